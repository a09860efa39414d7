/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: messages to the log, the broker and the service manager when one of
 * them joins or leaves.
 */
#ifndef MNFQ_TOOLS_DUMP_NOTIFY_H
#define MNFQ_TOOLS_DUMP_NOTIFY_H

#include "broker/ipc.h"
#include "dump/entries.h"

/** It is served: log it, store its socket, reply to its IPC_ATTACH, and have the broker watch it. */
void notify_served(struct netns_entry *entry);

/** Reply to its IPC_ATTACH with its error, and log that. */
void notify_refused(const struct netns_entry *entry);

/** The same for an IPC_ATTACH without an entry. */
void notify_refuse(struct dump_multi *multi, const struct ipc_msg *attach, int err,
		   const char *reason);

/** It is served, which the new broker does not know. */
void notify_restarted(const struct netns_entry *entry);

/** Have the broker forget it. */
void notify_forget(const struct netns_entry *entry);

/** The service manager need not keep the socket any more. */
void notify_unstore(const struct netns_entry *entry);

/** The label of a socket that was stored under @name. */
void notify_parse_stored_name(struct netns_entry *entry, const char *name);

/** With a single namespace: it cannot be served, so end. */
void notify_single_failed(struct dump_multi *multi, const char *reason);

/** May a line about the end of this entry be logged? */
bool notify_may_log(const struct netns_entry *entry);

/** At the end: how many lines were suppressed. */
void notify_suppressed(struct dump_multi *multi);

#endif
