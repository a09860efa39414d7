/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: which of them join and leave now, which wait for that, and what
 * follows when their threads have ended. All of it is the main thread's, and nothing here blocks.
 */
#ifndef MNFQ_TOOLS_DUMP_LIFECYCLE_H
#define MNFQ_TOOLS_DUMP_LIFECYCLE_H

#include "dump/entries.h"

/**
 * Open the socket of @spec and serve it at once, during set-up. Returns 0 or a negative errno with the message
 * in @error; the entry is freed then, and a descriptor that was passed is closed.
 */
int lifecycle_add(struct netns_entry *entry, const struct socket_spec *spec, char *error,
		  size_t error_size);

/** Let it join when it is its turn; the broker gets the answer. */
void lifecycle_join(struct netns_entry *entry, const struct socket_spec *spec);

/** Close a descriptor that was handed over, in a thread. */
void lifecycle_discard(struct dump_multi *multi, int fd);

/** The main thread serves it from now on, or not any more. The first returns a negative errno with the reason. */
int lifecycle_serve(struct netns_entry *entry);
void lifecycle_suspend(struct netns_entry *entry);

/** Leave it, and report @reason unless that is NULL; also while it joins. */
void lifecycle_remove(struct netns_entry *entry, const char *reason);

/** Receiving failed for good: leave it. */
void lifecycle_fail(struct netns_entry *entry, int err);

/** A new broker: leave what only the old one could withdraw, have it watch all others. */
void lifecycle_restart(struct dump_multi *multi);

/** Go on with those whose threads have ended, and start threads for those whose turn it is. */
void lifecycle_run(struct dump_multi *multi);

/** At the end: close all, several at a time, but not for long. */
void lifecycle_close_all(struct dump_multi *multi);

#endif
