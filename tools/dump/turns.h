/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: how they share the time of the main thread. */
#ifndef MNFQ_TOOLS_DUMP_TURNS_H
#define MNFQ_TOOLS_DUMP_TURNS_H

#include <sys/epoll.h>

#include "dump/entries.h"

/** Serve those that are ready, as far as they have no debt of time. */
void turns_run(struct dump_multi *multi, const struct epoll_event *events, int count);

/** Report the counters if that was requested, once they are known or the wait for them is over. */
void turns_report(struct dump_multi *multi);

#endif
