/* SPDX-License-Identifier: MIT */
/* The packets of a capture in place of those of a queue. */
#ifndef MNFQ_TOOLS_REPLAY_PLAY_H
#define MNFQ_TOOLS_REPLAY_PLAY_H

#include "packets/options.h"

/**
 * Print and write the packets of @file, "-": stdin. @decide: each with the verdict that it would get, and in the
 * end how many of which; otherwise with the one that it got. Returns an exit status.
 */
int play_capture(struct packet_options *opts, const char *file, bool decide);

#endif
