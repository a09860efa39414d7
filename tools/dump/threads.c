/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: threads for one member each, which do what may take long. Nobody
 * joins them: one that is stuck in the kernel must not keep the main thread from ending.
 */
#include <errno.h>
#include <unistd.h>

#include "dump/multi.h"

/* Enough for a packet that is printed and for a sentence about a failure; touched as far as it is used. */
#define STACK_SIZE (256u << 10)

void threads_init(struct many *many)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&many->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&many->changed, &attr);
	pthread_condattr_destroy(&attr);
	queue_init(&many->waiting);
	queue_init(&many->closing);
	queue_init(&many->done);
}

/* Whoever takes the member may free it: it is not touched any more once the lock is given up. */
static void *threads_run(void *arg)
{
	struct member *member = arg;
	struct many *many = member->many;
	const int wake = many->dump->wake;
	const uint64_t one = 1;

	member->work(member);
	pthread_mutex_lock(&many->lock);
	queue_add(&many->done, member);
	pthread_mutex_unlock(&many->lock);
	(void)!write(wake, &one, sizeof(one));
	return NULL;
}

int threads_start(struct member *member, void (*work)(struct member *member))
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	member->work = work;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&thread, &attr, threads_run, member);
	pthread_attr_destroy(&attr);
	return -err;
}

struct member *threads_take(struct many *many)
{
	struct member *member;

	pthread_mutex_lock(&many->lock);
	member = many->done.first ? queue_take(&many->done, &many->done.first) : NULL;
	pthread_mutex_unlock(&many->lock);
	return member;
}

void set_state(struct member *member, enum member_state state)
{
	struct many *many = member->many;

	pthread_mutex_lock(&many->lock);
	member->state = state;
	pthread_cond_broadcast(&many->changed);
	pthread_mutex_unlock(&many->lock);
}

void set_leaving(struct member *member)
{
	pthread_mutex_lock(&member->many->lock);
	member->leaving = true;
	pthread_mutex_unlock(&member->many->lock);
}

/* ---- members in line -------------------------------------------------------------------- */

void queue_init(struct member_queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

void queue_add(struct member_queue *queue, struct member *member)
{
	member->next_queued = NULL;
	*queue->end = member;
	queue->end = &member->next_queued;
}

/* @link: where it hangs. */
struct member *queue_take(struct member_queue *queue, struct member **link)
{
	struct member *member = *link;

	*link = member->next_queued;
	if (!*link)
		queue->end = link;
	return member;
}
