/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: what may block while one of them joins or leaves. */
#ifndef MNFQ_TOOLS_DUMP_OPEN_CLOSE_H
#define MNFQ_TOOLS_DUMP_OPEN_CLOSE_H

#include "dump/entries.h"

/* To close a queue; far more than it takes unless the machine is slow. */
#define ENTRY_QUEUE_MS 4

/**
 * Open the socket of its spec and bind the queues. @ring: NULL in a thread. Returns 0 or a negative errno with
 * the reason; entry_close() has to follow.
 */
int entry_open(struct netns_entry *entry, struct mnfq_ring *ring);

/** The same for a thread: the result is its error, and after a failure it is closed. */
void entry_join(struct netns_entry *entry);

/** Also for one that was never opened, whose descriptor was handed over. */
void entry_close(struct netns_entry *entry);

#endif
