/* SPDX-License-Identifier: MIT */
/* What the broker is asked to do. */
#ifndef MNFQ_TOOLS_BROKER_OPTIONS_H
#define MNFQ_TOOLS_BROKER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/unix-socket.h"

struct broker_options {
	const int *listeners; /* listening Unix sockets, which stay the caller's */
	unsigned int listener_count;
	struct unix_listener
		*own; /* the last of them, if it is to be closed at the end, or NULL */
	const uint32_t *allowed_uids; /* as in struct peer_rules */
	unsigned int allowed_count;
	bool all_netns;              /* offer sockets of all namespaces that exist */
	const char *const *excluded; /* but of these: names, paths, process ids, "self" */
	unsigned int excluded_count;
	const char *const *netns; /* scanned, too: names, paths, process ids */
	unsigned int netns_count;
	bool again;              /* offer what a name of these leads to, unless it is watched */
	bool plain;              /* take descriptors without our header, too */
	bool sandbox;            /* give up rights that are not needed */
	unsigned int answer_ms;  /* how long a client waits for IPC_ANSWER; 0: 30 seconds */
	unsigned int receive_ms; /* how long a receiver may live; 0: 25 seconds */
};

#endif
