/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: how each of them is opened, bound, listed and closed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/multi.h"
#include "dump/systemd.h"

/*
 * The kernel answers a request before its sendmsg returns, so that only an answer that somebody
 * stole takes longer; whoever does that must not keep a thread.
 */
#define ANSWER_MS  50
#define PRIVATE_MS 500 /* where nobody steals: for the kernel's work, which the namespace sets */
#define ROUND_US   500
#define BIND_MS    500  /* all queues of a socket that others have, too */
#define CLOSE_MS   500  /* besides a moment for each queue */
#define CLAIM_MS   1000 /* for another one of the same namespace to be gone */

#define STORED_PREFIX "mnfq-" /* of a name: mnfq-INODE-LABEL */

struct netns_entry *entry_new(struct dump_multi *multi, uint32_t id)
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

struct netns_entry *entry_find(const struct dump_multi *multi, uint32_t id)
{
	struct netns_entry *entry = multi->entries;

	while (entry && entry->id != id)
		entry = entry->next;
	return entry;
}

/* Another one of this namespace. With the lock held. */
static const struct netns_entry *find_other(const struct netns_entry *entry, uint64_t inode)
{
	const struct netns_entry *other = entry->multi->entries;

	while (other && (other == entry || other->inode != inode))
		other = other->next;
	return other;
}

/* By this name the service manager keeps its socket, for set_stored_label() of who comes after us. */
static const char *format_stored_name(char name[256], const struct netns_entry *entry)
{
	int len = snprintf(name, 256, STORED_PREFIX "%llu-%s", (unsigned long long)entry->inode,
			   entry->handle.label);

	for (int i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			name[i] = '_';
	return name;
}

void set_stored_label(struct netns_entry *entry, const char *name)
{
	const char *label = strncmp(name, STORED_PREFIX, strlen(STORED_PREFIX)) == 0
				    ? strchr(name + strlen(STORED_PREFIX), '-')
				    : NULL;

	if (label)
		snprintf(entry->handle.label, sizeof(entry->handle.label), "%s", label + 1);
}

/*
 * What is worth keeping: what cannot be opened or found again. Not where the peer stays: it could not
 * withdraw what the manager has, and would be told that its namespace is served already when it comes
 * again.
 */
static bool should_store(const struct netns_entry *entry)
{
	return entry->handed_over && !entry->withdrawable;
}

/* The service manager keeps it for us while we are away, or not any more. */
void store_socket(const struct netns_entry *entry, bool keep)
{
	char name[256], state[512];

	snprintf(state, sizeof(state), "%s=1\nFDPOLL=0\nFDNAME=%s\n",
		 keep ? "FDSTORE" : "FDSTOREREMOVE", format_stored_name(name, entry));
	systemd_notify(entry->multi->manager, state,
		       keep ? mnfq_socket_get_fd(entry->handle.sock) : -1);
}

/*
 * The broker tells when it is over. Ahead of the answer: once the peer has that, its namespace may be
 * gone, and the broker must have looked before.
 */
static void watch_netns(const struct dump_multi *multi, const struct netns_entry *entry)
{
	struct ipc_msg message = { .type = IPC_WATCH,
				   .id = entry->id,
				   .flags = (entry->named ? IPC_SEEN : 0) |
					    (entry->hidden ? IPC_HIDDEN : 0),
				   .inode = entry->inode };

	if (multi->ipc >= 0 && !entry->withdrawable && entry->inode)
		(void)ipc_send(multi->ipc, &message, -1);
}

/* ---- what a thread does ----------------------------------------------------------------- */

/*
 * There is one socket a namespace. Another one that joins or leaves is waited for: it may have gone when its
 * peer comes again.
 */
static int claim_netns(struct netns_entry *entry, uint64_t inode)
{
	struct dump_multi *multi = entry->multi;
	const struct netns_entry *other;
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLAIM_MS / 1000;
	pthread_mutex_lock(&multi->lock);
	while ((other = find_other(entry, inode)) && other->state != NETNS_SERVED &&
	       other->state != NETNS_THREADED && err == 0)
		err = -pthread_cond_timedwait(&multi->changed, &multi->lock, &until);
	if (!other)
		entry->inode = inode;
	pthread_mutex_unlock(&multi->lock);
	if (atomic_load(&multi->dump->ending)) /* which may be why the other one is gone */
		return -ECANCELED;
	if (!other)
		return 0;
	snprintf(entry->why, sizeof(entry->why), "namespace %s is served already",
		 entry->handle.netns);
	return -EEXIST;
}

static int open_entry(struct netns_entry *entry, struct mnfq_ring *ring)
{
	struct dump_multi *multi = entry->multi;
	const struct socket_spec *spec = &entry->handle.spec;
	struct mnfq_socket_options options = {
		.size = sizeof(options),
		.error = entry->why,
		.error_size = sizeof(entry->why),
		.receive_buffer = multi->dump->opts->receive_buffer,
		.timeout_ms = spec_is_private(spec) ? PRIVATE_MS : ANSWER_MS,
		.ring = ring,
		.batch = ring ? 0 : 1,
		.round_us = ROUND_US
	};
	uint64_t inode;
	int err = handle_open(&entry->handle, multi->dump, spec, &options);

	if (err < 0)
		return err;
	/* Without the right to know, binding will fail, and say which right. */
	err = mnfq_socket_get_netns_inode(entry->handle.sock, &inode);
	if (err == -EPERM)
		return 0;
	if (err == 0)
		return claim_netns(entry, inode);
	snprintf(entry->why, sizeof(entry->why), "cannot tell which namespace it is: %s",
		 strerror(-err));
	return err;
}

static int join(struct netns_entry *entry, struct mnfq_ring *ring)
{
	const struct dump_options *opts = entry->multi->dump->opts;
	int err = open_entry(entry, ring);

	if (err == 0) {
		err = handle_bind(&entry->handle, opts->first, options_queue_count(opts),
				  entry->handed_over ? BIND_MS : 0);
		if (err < 0)
			handle_explain(entry->why, sizeof(entry->why), &entry->handle, err);
	}
	if (err < 0 && !entry->why[0])
		snprintf(entry->why, sizeof(entry->why), "%s", strerror(-err));
	return err;
}

void entry_close(struct netns_entry *entry)
{
	struct socket_spec *spec = &entry->handle.spec;

	if (!entry->handle.sock && spec->kind == SPEC_FD && spec->fd >= 0)
		close(spec->fd);
	spec->fd = -1;
	handle_close(&entry->handle,
		     CLOSE_MS + (int)options_queue_count(entry->multi->dump->opts),
		     entry->leave_queues);
}

void entry_open_and_bind(struct netns_entry *entry)
{
	entry->error = join(entry, NULL);
	if (entry->error < 0)
		entry_close(entry);
}

/* ---- in the list ------------------------------------------------------------------------ */

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

void report_joined(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	entry->named = spec_is_name(&entry->handle.spec);
	if (entry->user) {
		entry->user->namespaces++;
		entry->counted = true;
	}
	if (multi->listening || !multi->dump->single_netns) /* or the line that says so is all */
		log_joined(multi, entry);
	if (should_store(entry)) {
		store_socket(entry, true);
		entry->stored = true;
	}
	watch_netns(multi, entry);
}

int lifecycle_add_now(struct netns_entry *entry, const struct socket_spec *spec, char *error,
		      size_t error_size)
{
	int err;

	entry->handle.spec = *spec;
	entry_enlist(entry);
	err = join(entry, entry->multi->ring);
	if (err == 0)
		err = lifecycle_serve(entry);
	if (err == 0) {
		report_joined(entry);
		return 0;
	}
	snprintf(error, error_size, "%s", entry->why);
	entry_close(entry);
	entry_free(entry);
	return err;
}

/* What the broker found by itself it will find again, and be told that it is served. */
void lifecycle_restart(struct dump_multi *multi)
{
	struct netns_entry *entry, *next;

	for (entry = multi->entries; entry; entry = next) {
		next = entry->next;
		if (entry->handed_over && entry->withdrawable) {
			lifecycle_remove(entry, "the process that knew its peer has failed");
			continue;
		}
		entry->withdrawable = false;
		if (entry->state == NETNS_SERVED || entry->state == NETNS_THREADED)
			watch_netns(multi, entry);
	}
}

int watchdog_ask(struct dump_multi *multi, int wait)
{
	const struct ipc_msg ping = { .type = IPC_PING };
	const int64_t now = clock_ms();

	if (multi->watchdog_ms == 0)
		return wait;
	if (now >= multi->watchdog_at) {
		multi->watchdog_at = now + multi->watchdog_ms;
		if (multi->ipc >= 0)
			(void)ipc_send(multi->ipc, &ping, -1);
	}
	return wait < 0 || wait > multi->watchdog_at - now ? (int)(multi->watchdog_at - now)
							   : wait;
}

void watchdog_answered(const struct dump_multi *multi)
{
	systemd_notify(multi->manager, "WATCHDOG=1\n", -1);
}
