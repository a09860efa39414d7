/* SPDX-License-Identifier: MIT */
/*
 * The broker of mnfq dump: a process that meets strangers, who hand sockets over, and that looks
 * for namespaces. What it does may stall or fail without a packet being late. It says what it
 * found over a link, see ipc.h. Its parent is its keeper (keeper.c), which replaces it when it
 * hangs; what strangers send is received by receivers (receiver.h), which may hang.
 */
#ifndef MNFQ_TOOLS_BROKER_H
#define MNFQ_TOOLS_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/unix-socket.h"

struct broker_options {
	const int *listeners; /* listening Unix sockets, which stay the caller's */
	unsigned int listener_count;
	struct unix_listener
		*own; /* the last of them, if it is to be closed at the end, or NULL */
	const uint32_t *allowed_uids; /* who may hand over; none: whoever can connect */
	unsigned int allowed_count;
	bool all_netns;              /* offer sockets of all namespaces that exist */
	const char *const *excluded; /* but of these: names, paths, process ids, "self" */
	unsigned int excluded_count;
	const char *const *netns; /* looked at, too: names, paths, process ids */
	unsigned int netns_count;
	bool again;             /* offer what a name of these leads to, unless it is watched */
	bool plain;             /* take descriptors without our header, too */
	bool sandbox;           /* give up rights that are not needed */
	unsigned int answer_ms; /* how long a peer waits for IPC_ANSWER; 0: 30 seconds */
};

/**
 * Start the broker, and a keeper that replaces it when it hangs. Both end when the other end of the link
 * is closed, or with their parent. The file of @own is removed then, and nobody can connect there any more.
 *
 * @pid    of the keeper, for waitpid()
 * @error  where the sentence of a failure is written
 * Returns our end of the link (close-on-exec, non-blocking), or a negative errno.
 */
int broker_start(const struct broker_options *options, pid_t *pid, char *error,
		 size_t error_size);

#endif
