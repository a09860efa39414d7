/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: what may block while one of them joins or leaves. */
#include "dump/open-close.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The kernel answers a request before its sendmsg returns. An answer takes longer only if another process
 * stole it, and such a peer must not hold a thread.
 */
#define ANSWER_MS  50
#define PRIVATE_MS 500 /* of a private socket: the kernel's own work */
#define ROUND_US   500
#define BIND_MS    500 /* all queues of a socket that was handed over */
#define CLOSE_MS   500 /* and ENTRY_QUEUE_MS for each queue */

static int open_socket(struct netns_entry *entry, struct mnfq_ring *ring)
{
	struct dump *dump = entry->multi->dump;
	const struct socket_spec *spec = &entry->handle.spec;
	struct mnfq_socket_options options = {
		.size = sizeof(options),
		.error = entry->reason,
		.error_size = sizeof(entry->reason),
		.receive_buffer = dump->opts->receive_buffer,
		.timeout_ms = spec_is_private(spec) ? PRIVATE_MS : ANSWER_MS,
		.ring = ring,
		.batch = ring ? 0 : 1,
		.round_us = ROUND_US,
	};
	uint64_t inode;
	int err = handle_open(&entry->handle, dump, spec, &options);

	if (err < 0)
		return err;
	err = mnfq_socket_get_netns_inode(entry->handle.sock, &inode);
	if (err == -EPERM) /* binding will fail, too, and say which right is missing */
		return 0;
	if (err < 0) {
		snprintf(entry->reason, sizeof(entry->reason),
			 "cannot determine its namespace: %s", strerror(-err));
		return err;
	}
	err = entry_claim_netns(entry, inode);
	if (err == -EEXIST)
		snprintf(entry->reason, sizeof(entry->reason), "namespace %s is already served",
			 entry->handle.netns);
	return err;
}

int entry_open(struct netns_entry *entry, struct mnfq_ring *ring)
{
	const struct dump_options *opts = entry->multi->dump->opts;
	int err = open_socket(entry, ring);

	if (err == 0) {
		err = handle_bind(&entry->handle, opts->first, options_queue_count(opts),
				  entry->handed_over ? BIND_MS : 0);
		if (err < 0)
			handle_explain(entry->reason, sizeof(entry->reason), &entry->handle, err);
	}
	if (err < 0 && !entry->reason[0])
		snprintf(entry->reason, sizeof(entry->reason), "%s", strerror(-err));
	return err;
}

void entry_join(struct netns_entry *entry)
{
	entry->error = entry_open(entry, NULL);
	if (entry->error < 0)
		entry_close(entry);
}

void entry_close(struct netns_entry *entry)
{
	const struct dump_options *opts = entry->multi->dump->opts;
	struct socket_spec *spec = &entry->handle.spec;

	if (!entry->handle.sock && spec->kind == SPEC_FD && spec->fd >= 0)
		close(spec->fd);
	spec->fd = -1;
	handle_close(&entry->handle, CLOSE_MS + ENTRY_QUEUE_MS * (int)options_queue_count(opts),
		     entry->leave_queues);
}
