/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: threads for what may block. They are detached: one that is stuck in
 * the kernel must not keep the main thread from ending.
 */
#ifndef MNFQ_TOOLS_DUMP_THREADS_H
#define MNFQ_TOOLS_DUMP_THREADS_H

#include "dump/entries.h"

/** Have a thread do @work. threads_take() returns the entry afterwards. Returns 0 or a negative errno. */
int threads_start(struct netns_entry *entry, void (*work)(struct netns_entry *entry));

/** An entry whose thread has ended, or NULL. */
struct netns_entry *threads_take(struct dump_multi *multi);

#endif
