/* SPDX-License-Identifier: MIT */
/* mnfq dump: what the command line says, and what its files share. */
#ifndef MNFQ_TOOLS_DUMP_H
#define MNFQ_TOOLS_DUMP_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#define DUMP_NAME "mnfq dump"

struct dump_options {
	uint16_t first; /* the queues */
	uint16_t last;
	bool has_queues;
	uint16_t threads;
	const char *netns;
	int fd;         /* -1: none */
	uint64_t count; /* 0: no end */
	uint32_t busy_poll_us;
	bool quiet;
	bool json;
	bool no_sandbox;
	const char *verdict_text;
	enum mnfq_verdict verdict;
	bool has_mark;
	uint32_t mark;
	bool has_priority;
	uint32_t priority;
	bool has_ct_mark;
	uint32_t ct_mark;
	uint32_t ct_mark_mask;
	struct mnfq_queue_options queue;
};

/* A socket with its share of the queues, and the thread that serves it. */
struct worker {
	struct dump *dump;
	struct mnfq_socket *sock;
	struct mnfq_queue **queues;
	size_t queue_count;
	uint64_t untracked; /* packets without a connection that --ct-mark could mark */
	pthread_t thread;
	int status;
};

struct dump {
	const struct dump_options *opts;
	struct worker *workers;
	size_t worker_count;
	int (*serve)(struct worker *worker); /* until it is stopped; returns the exit status */
	struct mnfq_queue **queues;
	const char *netns_name; /* NULL if nobody knows */
	char netns_buffer[256];
	atomic_bool failed; /* and the reason was told */
	sem_t ended;        /* a worker, or all of them are to end */

	/* Used with stdout locked. */
	uint64_t seen;    /* with -c only */
	int output_error; /* errno */
};

/**
 * Take the command line apart, and check that it makes sense.
 * Returns whether there is something to run; otherwise *status is the exit status: help was asked
 * for, or something is wrong and was told.
 */
bool take_dump_options(struct dump_options *opts, int argc, char **argv, int *status);

/** Have SIGINT and SIGTERM stop all workers; NULL: no more. */
void catch_signals(struct dump *dump);

/** All of them end with the batch that they are at. Safe in signal handlers and in callbacks. */
void stop_workers(struct dump *dump);

/**
 * Have each worker serve its socket, in a thread of its own if there are several. Once one of them
 * has ended, the others are stopped, and waited for. Returns the exit status of all.
 */
int run_workers(struct dump *dump);

#endif
