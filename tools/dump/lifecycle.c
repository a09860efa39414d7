/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: which of them join and leave now, and which wait for that. */
#include "dump/lifecycle.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/notify.h"
#include "dump/open-close.h"
#include "dump/report.h"
#include "dump/threads.h"

#define JOINING_MAX 16
#define CLOSING_MAX 16
#define STALL_MS    50  /* and 1 ms for each queue */
#define END_MS      800 /* likewise, to close all */

/* ---- served by the main thread ---------------------------------------------------------- */

int lifecycle_serve(struct netns_entry *entry)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = entry };
	struct dump_multi *multi = entry->multi;
	int err = mnfq_socket_set_ring(entry->handle.sock, multi->ring);

	if (err == 0 && epoll_ctl(multi->epoll, EPOLL_CTL_ADD,
				  mnfq_socket_get_fd(entry->handle.sock), &event) < 0)
		err = -errno;
	if (err < 0)
		snprintf(entry->reason, sizeof(entry->reason),
			 "cannot add the socket to epoll: %s", strerror(-err));
	else
		entry_set_state(entry, NETNS_SERVED);
	return err;
}

/* Closing the socket is not enough: a copy of the descriptor elsewhere keeps it in the epoll set. */
void lifecycle_suspend(struct netns_entry *entry)
{
	(void)epoll_ctl(entry->multi->epoll, EPOLL_CTL_DEL,
			mnfq_socket_get_fd(entry->handle.sock), NULL);
}

static void count_served(struct netns_entry *entry)
{
	entry->named = spec_is_name(&entry->handle.spec);
	if (entry->user) {
		entry->user->namespaces++;
		entry->counted = true;
	}
	notify_served(entry);
}

int lifecycle_add(struct netns_entry *entry, const struct socket_spec *spec, char *error,
		  size_t error_size)
{
	int err;

	entry->handle.spec = *spec;
	entry_enlist(entry);
	err = entry_open(entry, entry->multi->ring);
	if (err == 0)
		err = lifecycle_serve(entry);
	if (err == 0) {
		count_served(entry);
		return 0;
	}
	snprintf(error, error_size, "%s", entry->reason);
	entry_close(entry);
	entry_free(entry);
	return err;
}

/* ---- leaving ---------------------------------------------------------------------------- */

static void set_reason(struct netns_entry *entry, const char *reason)
{
	if (reason && reason != entry->reason && !entry->report_reason)
		snprintf(entry->reason, sizeof(entry->reason), "%s", reason);
	entry->report_reason |= reason != NULL;
}

/* Once there is a thread for it. */
static void close_later(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	if (!entry->counted)
		entry->user = NULL; /* the record may go */
	entry->discarded = !entry->handle.sock;
	multi->discards += entry->discarded;
	if (entry->stored && entry->report_reason)
		notify_unstore(entry);
	entry->leave_queues = !entry->report_reason && multi->dump->opts->keep && entry->stored;
	entry_set_state(entry, NETNS_CLOSING);
	entry_queue_add(&multi->closing, entry);
}

static void cancel_pending(struct netns_entry *entry)
{
	struct entry_queue *pending = &entry->multi->pending;
	struct netns_entry **at = &pending->first;

	while (*at != entry)
		at = &(*at)->next_queued;
	entry_queue_take(pending, at);
	if (entry->user)
		entry->user->waiting--;
	close_later(entry);
}

void lifecycle_remove(struct netns_entry *entry, const char *reason)
{
	switch (entry->state) {
	case NETNS_PENDING:
		cancel_pending(entry);
		break;
	case NETNS_JOINING: /* finish_join() looks */
		entry_set_leaving(entry);
		break;
	case NETNS_SERVED:
		set_reason(entry, reason);
		lifecycle_suspend(entry);
		close_later(entry);
		break;
	case NETNS_THREADED: /* closed once its thread has ended */
		set_reason(entry, reason);
		entry_set_leaving(entry);
		atomic_store(&entry->stop_requested, true);
		mnfq_socket_stop(entry->handle.sock);
		break;
	default:
		break;
	}
}

static void finish_close(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	if (entry->counted) {
		entry->user->namespaces--;
		entry->user->closing = false;
	}
	if (entry->discarded)
		multi->discards--;
	else
		report_closed(&entry->handle, entry->report_reason && notify_may_log(entry)
						      ? entry->reason
						      : NULL);
	entry_free(entry);
}

/* One at a time of each user, so that no user takes all threads. */
static void begin_close(struct netns_entry **at)
{
	struct netns_entry *entry = *at;
	struct dump_multi *multi = entry->multi;

	entry_queue_take(&multi->closing, at);
	if (entry->counted)
		entry->user->closing = true;
	multi->closing_threads++;
	if ((!entry->handle.sock || mnfq_socket_set_ring(entry->handle.sock, NULL) == 0) &&
	    threads_start(entry, entry_close) == 0)
		return;
	multi->closing_threads--;
	entry_close(entry);
	finish_close(entry);
}

void lifecycle_fail(struct netns_entry *entry, int err)
{
	struct dump_multi *multi = entry->multi;
	char error[1024];

	notify_forget(entry);
	if (multi->dump->single_netns) {
		handle_explain(error, sizeof(error), &entry->handle, err);
		notify_single_failed(multi, error);
		return;
	}
	if (multi->ipc < 0)
		multi->status = EXIT_FAILURE;
	lifecycle_remove(entry, mnfq_socket_get_error(entry->handle.sock));
}

/* The new broker has the ids of what the one before found, and watches the rest. */
void lifecycle_restart(struct dump_multi *multi)
{
	struct netns_entry *entry, *next;

	for (entry = multi->entries; entry; entry = next) {
		next = entry->next;
		if (entry->handed_over && entry->withdrawable) {
			lifecycle_remove(entry, "its broker has failed");
			continue;
		}
		if ((entry->state == NETNS_SERVED || entry->state == NETNS_THREADED) &&
		    !entry->leaving)
			notify_restarted(entry);
	}
}

/* ---- joining, when it is their turn ----------------------------------------------------- */

void lifecycle_discard(struct dump_multi *multi, int fd)
{
	struct netns_entry *entry = entry_new(multi, 0);

	if (!entry) {
		close(fd);
		return;
	}
	entry->handle.spec = (struct socket_spec){ .kind = SPEC_FD, .fd = fd };
	entry_enlist(entry);
	close_later(entry);
}

static void refuse_entry(struct netns_entry *entry, int err)
{
	entry->error = err;
	notify_refused(entry);
	close_later(entry);
}

void lifecycle_join(struct netns_entry *entry, const struct socket_spec *spec)
{
	struct dump_multi *multi = entry->multi;
	const struct dump_options *opts = multi->dump->opts;
	const struct peer_rules rules = { .allowed_uids = opts->allowed.uids,
					  .allowed_count = opts->allowed.count };
	const char *reason = "too many users hand sockets over: try again later";
	int err = 0;

	entry->handle.spec = *spec;
	entry_enlist(entry);
	if (entry->handed_over) {
		err = peer_check_uid(&rules, entry->uid, &reason);
		if (err == 0)
			entry->user = peer_find_user(&multi->users, entry->uid, clock_ms());
		if (err == 0 && !entry->user)
			err = -EBUSY;
		if (err == 0)
			err = peer_check_waiting(entry->user, &reason);
	}
	if (err < 0) {
		snprintf(entry->reason, sizeof(entry->reason), "%s", reason);
		refuse_entry(entry, err);
		return;
	}
	if (entry->user)
		entry->user->waiting++;
	entry_queue_add(&multi->pending, entry);
}

/* The first one whose user may begin; peer_begin() has noted that it has. */
static struct netns_entry **next_to_join(struct dump_multi *multi, int64_t now)
{
	struct netns_entry **at = &multi->pending.first;
	int64_t retry_at = 0;

	multi->retry_at = 0;
	for (; *at; at = &(*at)->next_queued) {
		if (!(*at)->user || peer_begin((*at)->user, now, &retry_at))
			return at;
		if (retry_at && (!multi->retry_at || retry_at < multi->retry_at))
			multi->retry_at = retry_at;
	}
	return NULL;
}

static void begin_join(struct netns_entry **at, int64_t now)
{
	struct netns_entry *entry = *at;
	struct dump_multi *multi = entry->multi;
	const struct peer_rules rules = { .max_namespaces = multi->dump->opts->max_per_uid };
	int err = 0;

	entry_queue_take(&multi->pending, at);
	entry->since = now;
	if (entry->user) {
		entry->user->waiting--;
		err = peer_check_quota(&rules, entry->user, entry->reason, sizeof(entry->reason));
	}
	if (err == 0) {
		entry_set_state(entry, NETNS_JOINING);
		err = threads_start(entry, entry_join);
		if (err < 0)
			snprintf(entry->reason, sizeof(entry->reason),
				 "cannot start a thread: %s", strerror(-err));
	}
	if (err == 0) {
		multi->joining_threads++;
		return;
	}
	if (entry->user)
		peer_end(entry->user, now, false);
	refuse_entry(entry, err);
}

static struct netns_entry **next_to_close(struct dump_multi *multi)
{
	struct netns_entry **at = &multi->closing.first;

	while (*at && (*at)->counted && (*at)->user->closing)
		at = &(*at)->next_queued;
	return *at ? at : NULL;
}

static void start_threads(struct dump_multi *multi)
{
	const int64_t now = clock_ms();
	struct netns_entry **at;

	while (multi->closing_threads < CLOSING_MAX && (at = next_to_close(multi)))
		begin_close(at);
	while (multi->joining_threads < JOINING_MAX && (at = next_to_join(multi, now)))
		begin_join(at, now);
}

/* ---- when a thread has ended ------------------------------------------------------------ */

/* It took longer than an honest hand-over: acknowledgements were stolen, or packets are slow. */
static bool has_stalled(const struct netns_entry *entry, int64_t now)
{
	return now - entry->since >=
	       STALL_MS + (int64_t)options_queue_count(entry->multi->dump->opts);
}

/* It is not served. If it could not be opened or bound, its thread has closed it. */
static void drop_joined(struct netns_entry *entry)
{
	if (entry->handle.sock)
		close_later(entry);
	else
		entry_free(entry);
}

static void finish_join(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;
	const int64_t now = clock_ms();

	multi->joining_threads--;
	if (entry->user)
		peer_end(entry->user, now, has_stalled(entry, now));
	if (atomic_load(&multi->dump->stopping)) {
		drop_joined(entry);
		return;
	}
	if (entry->error == 0)
		entry->error = lifecycle_serve(entry);
	if (entry->error < 0) {
		notify_refused(entry);
		drop_joined(entry);
		return;
	}
	count_served(entry);
	if (entry->leaving)
		lifecycle_remove(entry, "gone");
}

static void finish_threads(struct dump_multi *multi)
{
	struct netns_entry *entry;

	while ((entry = threads_take(multi))) {
		switch (entry->state) {
		case NETNS_JOINING:
			finish_join(entry);
			break;
		case NETNS_THREADED:
			multi->serving_threads--;
			if (entry->error < 0)
				lifecycle_fail(entry, entry->error);
			close_later(entry);
			break;
		default:
			multi->closing_threads--;
			finish_close(entry);
		}
	}
}

void lifecycle_run(struct dump_multi *multi)
{
	finish_threads(multi);
	start_threads(multi);
}

/* A thread that is stuck in the kernel is abandoned; it cleans up once it returns. */
void lifecycle_close_all(struct dump_multi *multi)
{
	struct pollfd woken = { .fd = multi->dump->wake, .events = POLLIN };
	int64_t left = END_MS + ENTRY_QUEUE_MS * (int64_t)options_queue_count(multi->dump->opts);
	const int64_t end = clock_ms() + left;
	uint64_t count;

	atomic_store(&multi->dump->stopping, true); /* also for those that are joining */
	for (struct netns_entry *each = multi->entries; each; each = each->next)
		lifecycle_remove(each, NULL);
	for (start_threads(multi); multi->entries && left > 0; left = end - clock_ms()) {
		if (poll(&woken, 1, (int)left) > 0)
			(void)!read(multi->dump->wake, &count, sizeof(count));
		lifecycle_run(multi);
	}
	multi->dump->abandoned = multi->entries != NULL;
	for (struct netns_entry *each = multi->entries; each; each = each->next)
		multi->dump->unclosed += each->state >= NETNS_SERVED && !each->discarded;
}
