// SPDX-License-Identifier: MIT
/*
 * A thread that sends what has waited in the outbox for too long, also while a callback blocks. It looks twice
 * within the delay: what it finds at two looks, without anything having been sent in between, it sends.
 * So nobody reads a clock for each verdict, and it is woken only if it sleeps, which it does after a
 * while in which nothing waited.
 */
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define IDLE_LOOKS 16 /* until it sleeps */

struct look {
	bool waits;     /* something was in the outbox, */
	uint64_t sends; /* after so many */
};

/* Returns whether there is a reason to look again. */
static bool look_at_outbox(struct mnfq_i_guard *guard, struct look *last)
{
	bool waits;

	if (pthread_mutex_trylock(&guard->outbox) != 0)
		return true; /* the round goes on */
	waits = guard->sock && guard->pending;
	if (waits && last->waits && last->sends == guard->sends) {
		(void)guard->send(guard->sock); /* keeps what failed, for the round to report */
		waits = false;
	}
	*last = (struct look){ .waits = waits, .sends = guard->sends };
	pthread_mutex_unlock(&guard->outbox);
	return waits;
}

static void wait_interval(struct mnfq_i_guard *guard)
{
	struct timespec begin, until;
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do { /* which may get shorter meanwhile */
		ns = begin.tv_nsec + guard->interval;
		until.tv_sec = begin.tv_sec + ns / 1000000000;
		until.tv_nsec = ns % 1000000000;
	} while (!guard->ends && pthread_cond_timedwait(&guard->wake, &guard->lock, &until) == 0);
}

static void *run(void *arg)
{
	struct mnfq_i_guard *guard = arg;
	struct look last = { 0 };
	unsigned int idle = 0;
	bool again;

	pthread_mutex_lock(&guard->lock);
	while (!guard->ends) {
		if (!guard->awake) {
			pthread_cond_wait(&guard->wake, &guard->lock);
			continue;
		}
		wait_interval(guard);
		/* Who gives the outbox away after the last look sees that there will be no other. */
		idle++;
		guard->awake = idle < IDLE_LOOKS;
		pthread_mutex_unlock(&guard->lock);
		again = look_at_outbox(guard, &last);
		pthread_mutex_lock(&guard->lock);
		if (again)
			idle = 0;
		guard->awake |= again;
	}
	pthread_mutex_unlock(&guard->lock);
	return NULL;
}

static void init(struct mnfq_i_guard *guard)
{
	pthread_mutexattr_t recursive;
	pthread_condattr_t monotonic;

	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&guard->outbox, &recursive);
	pthread_mutexattr_destroy(&recursive);
	pthread_mutex_init(&guard->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&guard->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void destroy(struct mnfq_i_guard *guard)
{
	pthread_mutex_destroy(&guard->outbox);
	pthread_mutex_destroy(&guard->lock);
	pthread_cond_destroy(&guard->wake);
	free(guard);
}

/* @delay: how long something may be in the outbox, in nanoseconds. Returns 0, -ENOMEM or -EAGAIN. */
int mnfq_i_guard_start(struct mnfq_i_guard **ret, int64_t delay,
		       int (*send)(struct mnfq_socket *sock))
{
	struct mnfq_i_guard *guard = calloc(1, sizeof(*guard));
	sigset_t all, before;
	int err;

	if (!guard)
		return -ENOMEM;
	init(guard);
	guard->send = send;
	guard->interval = delay / 2;
	guard->pid = getpid();
	/* The program's signal handlers must not run on a thread that it does not know. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&guard->thread, NULL, run, guard);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0) {
		destroy(guard);
		return -err;
	}
	(void)pthread_setname_np(guard->thread, "mnfq-delay");
	*ret = guard;
	return 0;
}

/* Another socket may need it to look more often. */
void mnfq_i_guard_hurry(struct mnfq_i_guard *guard, int64_t delay)
{
	pthread_mutex_lock(&guard->lock);
	if (guard->interval > delay / 2) {
		guard->interval = delay / 2;
		pthread_cond_signal(&guard->wake);
	}
	pthread_mutex_unlock(&guard->lock);
}

struct mnfq_i_guard *mnfq_i_guard_stop(struct mnfq_i_guard *guard)
{
	if (!guard)
		return NULL;
	if (guard->pid != getpid()) { /* whatever its locks look like, nobody else has them */
		free(guard);
		return NULL;
	}
	pthread_mutex_lock(&guard->lock);
	guard->ends = true;
	pthread_cond_signal(&guard->wake);
	pthread_mutex_unlock(&guard->lock);
	pthread_join(guard->thread, NULL);
	destroy(guard);
	return NULL;
}

void mnfq_i_guard_wake(struct mnfq_i_guard *guard)
{
	pthread_mutex_lock(&guard->lock);
	guard->awake = true;
	pthread_cond_signal(&guard->wake);
	pthread_mutex_unlock(&guard->lock);
}
