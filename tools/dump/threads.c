/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: threads for what may block. */
#include "dump/threads.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Enough to print a packet, or an error message; touched as far as it is used. */
#define STACK_SIZE (256u << 10)

struct thread_arg {
	struct netns_entry *entry;
	void (*work)(struct netns_entry *entry);
};

/* The main thread may free the entry as soon as the lock is released. */
static void *run_thread(void *arg)
{
	const struct thread_arg thread = *(struct thread_arg *)arg;
	struct dump_multi *multi = thread.entry->multi;
	const int wake = multi->dump->wake;
	const uint64_t one = 1;

	free(arg);
	thread.work(thread.entry);
	pthread_mutex_lock(&multi->lock);
	entry_queue_add(&multi->done, thread.entry);
	pthread_mutex_unlock(&multi->lock);
	(void)!write(wake, &one, sizeof(one));
	return NULL;
}

int threads_start(struct netns_entry *entry, void (*work)(struct netns_entry *entry))
{
	struct thread_arg *arg = malloc(sizeof(*arg));
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	if (!arg)
		return -ENOMEM;
	*arg = (struct thread_arg){ .entry = entry, .work = work };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	err = pthread_create(&thread, &attr, run_thread, arg);
	pthread_attr_destroy(&attr);
	if (err)
		free(arg);
	return -err;
}

struct netns_entry *threads_take(struct dump_multi *multi)
{
	struct netns_entry *entry;

	pthread_mutex_lock(&multi->lock);
	entry = multi->done.first ? entry_queue_take(&multi->done, &multi->done.first) : NULL;
	pthread_mutex_unlock(&multi->lock);
	return entry;
}
