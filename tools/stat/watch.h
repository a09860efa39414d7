/* SPDX-License-Identifier: MIT */
/* Readings one after the other, on a terminal or as a stream. */
#ifndef MNFQ_TOOLS_STAT_WATCH_H
#define MNFQ_TOOLS_STAT_WATCH_H

#include "stat/reading.h"
#include "stat/stat.h"

/**
 * Show @first and then what @take reads, until a signal, a key or a failure. Takes over @first. Returns the exit
 * status.
 */
int watch_run(const struct stat_options *opts, struct reading *first,
	      int (*take)(struct reading *reading, void *data), void *data);

#endif
