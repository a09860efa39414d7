/* SPDX-License-Identifier: MIT */
/* mnfq dump: starting the broker. */
#ifndef MNFQ_TOOLS_DUMP_BROKER_START_H
#define MNFQ_TOOLS_DUMP_BROKER_START_H

#include "dump/runtime.h"

struct unix_listener;

/**
 * Start the broker with these listeners, which are closed here. Returns our end of the IPC socket, or -1; the
 * reason was reported.
 */
int dump_start_broker(const struct dump *dump, const int *listeners, unsigned int count,
		      struct unix_listener *own);

#endif
