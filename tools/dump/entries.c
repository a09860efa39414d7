/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: the list of them, and the queues that they wait in. */
#include "dump/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define CLAIM_MS 1000

void multi_init(struct dump_multi *multi, struct dump *dump)
{
	pthread_condattr_t attr;

	multi->dump = dump;
	multi->epoll = multi->ipc = multi->manager = -1;
	pthread_mutex_init(&multi->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&multi->changed, &attr);
	pthread_condattr_destroy(&attr);
	multi->pending.end = &multi->pending.first;
	multi->closing.end = &multi->closing.first;
	multi->done.end = &multi->done.first;
}

struct netns_entry *entry_new(struct dump_multi *multi, uint64_t id)
{
	struct netns_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->multi = multi;
	entry->id = id ? id : ++multi->last_id;
	entry->handle.spec.fd = -1;
	atomic_init(&entry->stop_requested, false);
	return entry;
}

void entry_enlist(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	pthread_mutex_lock(&multi->lock);
	entry->next = multi->entries;
	if (entry->next)
		entry->next->prev = entry;
	multi->entries = entry;
	multi->count++;
	pthread_mutex_unlock(&multi->lock);
}

void entry_free(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	pthread_mutex_lock(&multi->lock);
	if (entry->prev)
		entry->prev->next = entry->next;
	else
		multi->entries = entry->next;
	if (entry->next)
		entry->next->prev = entry->prev;
	multi->count--;
	pthread_cond_broadcast(&multi->changed);
	pthread_mutex_unlock(&multi->lock);
	free(entry);
}

struct netns_entry *entry_find(const struct dump_multi *multi, uint64_t id)
{
	struct netns_entry *entry = multi->entries;

	while (entry && entry->id != id)
		entry = entry->next;
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

void entry_set_leaving(struct netns_entry *entry)
{
	pthread_mutex_lock(&entry->multi->lock);
	entry->leaving = true;
	pthread_mutex_unlock(&entry->multi->lock);
}

void entry_queue_add(struct entry_queue *queue, struct netns_entry *entry)
{
	entry->next_queued = NULL;
	*queue->end = entry;
	queue->end = &entry->next_queued;
}

struct netns_entry *entry_queue_take(struct entry_queue *queue, struct netns_entry **at)
{
	struct netns_entry *entry = *at;

	*at = entry->next_queued;
	if (!*at)
		queue->end = at;
	return entry;
}

/* With the lock held. */
static const struct netns_entry *find_other(const struct netns_entry *entry, uint64_t inode)
{
	const struct netns_entry *other = entry->multi->entries;

	while (other && (other == entry || other->inode != inode))
		other = other->next;
	return other;
}

/* With the lock held. */
static bool is_staying(const struct netns_entry *entry)
{
	return (entry->state == NETNS_SERVED || entry->state == NETNS_THREADED) &&
	       !entry->leaving;
}

int entry_claim_netns(struct netns_entry *entry, uint64_t inode)
{
	struct dump_multi *multi = entry->multi;
	const struct netns_entry *other;
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLAIM_MS / 1000;
	pthread_mutex_lock(&multi->lock);
	while ((other = find_other(entry, inode)) && !is_staying(other) && err == 0)
		err = -pthread_cond_timedwait(&multi->changed, &multi->lock, &until);
	if (!other)
		entry->inode = inode;
	pthread_mutex_unlock(&multi->lock);
	if (atomic_load(&multi->dump->stopping)) /* which may be why the other one is gone */
		return -ECANCELED;
	return other ? -EEXIST : 0;
}
