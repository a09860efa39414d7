/* SPDX-License-Identifier: MIT */
/* mnfq dump: a socket with its queues, from opening it to its final counters. */
#ifndef MNFQ_TOOLS_DUMP_HANDLE_H
#define MNFQ_TOOLS_DUMP_HANDLE_H

#include <stddef.h>
#include <stdint.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "dump/runtime.h"
#include "packets/counters.h"

struct dump_handle {
	struct dump *dump;
	struct mnfq_socket *sock;
	struct mnfq_queue **queues;
	size_t queue_count;
	struct packet_counts counts; /* so far */
	struct socket_spec spec;     /* where it comes from */
	char netns[256];             /* name of its namespace; "": unknown */
	char label[MNFQ_LABEL_SIZE]; /* chosen by the process that handed it over */
	struct counters counters;    /* as of the last report, or final */
	unsigned int reported;       /* the report request that they belong to */
};

/**
 * Open, receive or adopt the socket of @spec. Returns 0 or a negative errno with the message in the error
 * buffer of @options.
 */
int handle_open(struct dump_handle *handle, struct dump *dump, const struct socket_spec *spec,
		struct mnfq_socket_options *options);

/**
 * Bind @count queues from @first on. @timeout_ms limits the total unless it is 0. Returns 0 or a negative
 * errno, see handle_explain().
 */
int handle_bind(struct dump_handle *handle, unsigned int first, size_t count, int timeout_ms);

/** Receive a batch, or wait for one, as mnfq_socket_dispatch(). Output is flushed before it waits. */
int handle_dispatch(struct dump_handle *handle);

/**
 * Unbind, take the final counters and close. @timeout_ms limits that unless it is 0. @leave_queues: the queues
 * stay bound, for the owner of another copy of the descriptor. Also for a zeroed handle, and in any thread.
 */
void handle_close(struct dump_handle *handle, int timeout_ms, bool leave_queues);

/** The counters so far. */
void handle_read_counters(struct counters *counters, const struct dump_handle *handle);

/** Namespace and label, safe for a terminal. Returns @out. */
#define HANDLE_NAME_SIZE 1400
const char *handle_format_name(char out[HANDLE_NAME_SIZE], const struct dump_handle *handle);

/** The message of the last failure, @err, prefixed with the namespace unless it is our own. */
void handle_explain(char *out, size_t size, const struct dump_handle *handle, int err);

#endif
