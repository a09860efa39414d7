/* SPDX-License-Identifier: MIT */
/* A thread that sends what has waited in the outbox for too long. */
#ifndef MNFQ_GUARD_H
#define MNFQ_GUARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mnfq_socket;

struct mnfq_i_guard {
	/*
	 * Who has the outbox, and all that sending it changes: the thread of the round, but not while a
	 * callback runs or between the calls of a caller that pulls. Recursive.
	 */
	pthread_mutex_t outbox;
	struct mnfq_socket *sock; /* in a round; NULL: none is */
	bool pending;             /* something is in the outbox */
	uint64_t sends;           /* of it so far */

	/* The thread: */
	pthread_t thread;
	pid_t pid; /* a child of fork() does not have it */
	int (*send)(struct mnfq_socket *sock);
	int64_t interval; /* of its looks at the outbox, in nanoseconds */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_bool awake;
	bool ends;
};

int mnfq_i_guard_start(struct mnfq_i_guard **ret, int64_t delay,
		       int (*send)(struct mnfq_socket *sock));
struct mnfq_i_guard *mnfq_i_guard_stop(struct mnfq_i_guard *guard);
void mnfq_i_guard_hurry(struct mnfq_i_guard *guard, int64_t delay);
void mnfq_i_guard_wake(struct mnfq_i_guard *guard);

/* With a guard only the owner of the outbox may change it; without one there is nobody else. */
static inline void mnfq_i_guard_take(struct mnfq_i_guard *guard)
{
	if (guard)
		pthread_mutex_lock(&guard->outbox);
}

/* What is in the outbox may stay there for long. */
static inline void mnfq_i_guard_give(struct mnfq_i_guard *guard)
{
	bool pending;

	if (!guard)
		return;
	pending = guard->pending;
	pthread_mutex_unlock(&guard->outbox);
	if (pending && !atomic_load(&guard->awake))
		mnfq_i_guard_wake(guard);
}

#endif
