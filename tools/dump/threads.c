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

void multi_init(struct dump_multi *multi)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&multi->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&multi->changed, &attr);
	pthread_condattr_destroy(&attr);
	entry_queue_init(&multi->pending);
	entry_queue_init(&multi->closing);
	entry_queue_init(&multi->done);
}

/* Whoever takes the member may free it: it is not touched any more once the lock is given up. */
static void *run_entry_thread(void *arg)
{
	struct netns_entry *entry = arg;
	struct dump_multi *multi = entry->multi;
	const int wake = multi->dump->wake;
	const uint64_t one = 1;

	entry->work(entry);
	pthread_mutex_lock(&multi->lock);
	entry_queue_add(&multi->done, entry);
	pthread_mutex_unlock(&multi->lock);
	(void)!write(wake, &one, sizeof(one));
	return NULL;
}

int entry_start_thread(struct netns_entry *entry, void (*work)(struct netns_entry *entry))
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	entry->work = work;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&thread, &attr, run_entry_thread, entry);
	pthread_attr_destroy(&attr);
	return -err;
}

struct netns_entry *entry_take_done(struct dump_multi *multi)
{
	struct netns_entry *entry;

	pthread_mutex_lock(&multi->lock);
	entry = multi->done.first ? entry_queue_take(&multi->done, &multi->done.first) : NULL;
	pthread_mutex_unlock(&multi->lock);
	return entry;
}

void entry_set_state(struct netns_entry *entry, enum netns_state state)
{
	struct dump_multi *multi = entry->multi;

	pthread_mutex_lock(&multi->lock);
	entry->state = state;
	pthread_cond_broadcast(&multi->changed);
	pthread_mutex_unlock(&multi->lock);
}

/* ---- members in line -------------------------------------------------------------------- */

void entry_queue_init(struct entry_queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

void entry_queue_add(struct entry_queue *queue, struct netns_entry *entry)
{
	entry->next_queued = NULL;
	*queue->end = entry;
	queue->end = &entry->next_queued;
}

/* @at: where it hangs. */
struct netns_entry *entry_queue_take(struct entry_queue *queue, struct netns_entry **at)
{
	struct netns_entry *entry = *at;

	*at = entry->next_queued;
	if (!*at)
		queue->end = at;
	return entry;
}
