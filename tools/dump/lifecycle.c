/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: which of them join and leave now, which wait for that, and what
 * follows once their threads have ended. All of this is the main thread's, and nothing here waits.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/multi.h"

#define JOINING_MAX 16
#define CLOSING_MAX 16
#define PENDING_MAX 64  /* of one user */
#define STALL_MS    50  /* besides a moment for each queue */
#define END_MS      800 /* for all to be closed, and a moment for each queue */

/* ---- leaving ---------------------------------------------------------------------------- */

static void set_reason(struct netns_entry *entry, const char *why)
{
	if (why && !entry->reported)
		snprintf(entry->why, sizeof(entry->why), "%s", why);
	entry->reported |= why != NULL;
}

/* When there is a thread for it. */
static void close_later(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	if (!entry->counted)
		entry->user = NULL; /* its record may go */
	entry->discarded = !entry->handle.sock;
	multi->discards += entry->discarded;
	if (entry->stored && entry->reported)
		store_socket(entry, false);
	entry->leave_queues = !entry->reported && multi->dump->opts->keep && entry->stored;
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

void lifecycle_remove(struct netns_entry *entry, const char *why)
{
	switch (entry->state) {
	case NETNS_PENDING:
		cancel_pending(entry);
		break;
	case NETNS_JOINING: /* to be seen when it has joined */
		entry->cancelled = true;
		break;
	case NETNS_SERVED:
		set_reason(entry, why);
		stop_serving(entry);
		close_later(entry);
		break;
	case NETNS_THREADED: /* to be closed when its thread has let go of it */
		set_reason(entry, why);
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
		handle_count(&entry->handle, entry->reported && may_log_leaving(multi, entry)
						     ? entry->why
						     : NULL);
	entry_free(entry);
}

/* One that closes at a time of each user, so that nobody takes all threads. */
static void begin_close(struct netns_entry **at)
{
	struct netns_entry *entry = *at;
	struct dump_multi *multi = entry->multi;

	entry_queue_take(&multi->closing, at);
	if (entry->counted)
		entry->user->closing = true;
	multi->closing_threads++;
	if ((!entry->handle.sock || mnfq_socket_set_ring(entry->handle.sock, NULL) == 0) &&
	    entry_start_thread(entry, entry_close) == 0)
		return;
	multi->closing_threads--;
	entry_close(entry);
	finish_close(entry);
}

/* ---- whose turn it is ------------------------------------------------------------------- */

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

static void refuse_member(struct netns_entry *entry, int err)
{
	entry->error = err;
	reply_refused(entry);
	close_later(entry);
}

void lifecycle_join(struct netns_entry *entry, const struct socket_spec *spec)
{
	struct dump_multi *multi = entry->multi;
	const struct dump_options *opts = multi->dump->opts;
	const struct peer_rules rules = { .allowed_uids = opts->allowed_uids,
					  .allowed_count = opts->allowed_count };
	const char *why = "too many users hand sockets over: try again";
	int err = 0;

	entry->handle.spec = *spec;
	entry_enlist(entry);
	if (entry->handed_over) {
		err = peer_check_uid(&rules, entry->uid, &why);
		if (err == 0)
			entry->user = peer_find_user(&multi->users, entry->uid, clock_ms());
		if (err == 0 && !entry->user)
			err = -EBUSY;
		if (err == 0 && entry->user->waiting >= PENDING_MAX) {
			why = "so many of your user's sockets wait already: try again";
			err = -EBUSY;
		}
	}
	if (err < 0) {
		snprintf(entry->why, sizeof(entry->why), "%s", why);
		refuse_member(entry, err);
		return;
	}
	if (entry->user)
		entry->user->waiting++;
	entry_queue_add(&multi->pending, entry);
}

/* The first one whose user may begin, and has begun with it. */
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
		err = peer_check_quota(&rules, entry->user, entry->why, sizeof(entry->why));
	}
	if (err == 0) {
		entry_set_state(entry, NETNS_JOINING);
		err = entry_start_thread(entry, entry_open_and_bind);
		if (err < 0)
			snprintf(entry->why, sizeof(entry->why), "cannot start a thread: %s",
				 strerror(-err));
	}
	if (err == 0) {
		multi->joining_threads++;
		return;
	}
	if (entry->user)
		peer_end(entry->user, now, false);
	refuse_member(entry, err);
}

static struct netns_entry **next_to_close(struct dump_multi *multi)
{
	struct netns_entry **at = &multi->closing.first;

	while (*at && (*at)->counted && (*at)->user->closing)
		at = &(*at)->next_queued;
	return *at ? at : NULL;
}

void lifecycle_start_threads(struct dump_multi *multi)
{
	const int64_t now = clock_ms();
	struct netns_entry **at;

	while (multi->closing_threads < CLOSING_MAX && (at = next_to_close(multi)))
		begin_close(at);
	while (multi->joining_threads < JOINING_MAX && (at = next_to_join(multi, now)))
		begin_join(at, now);
}

/* ---- whose thread has ended ------------------------------------------------------------- */

/* An honest one takes a moment for each queue; somebody who steals answers, or has rules without end, more. */
static bool has_stalled(const struct netns_entry *entry, int64_t now)
{
	return now - entry->since >=
	       STALL_MS + (int64_t)options_queue_count(entry->multi->dump->opts);
}

/* One that never was served. If it could not be opened or bound its thread has closed it. */
static void discard(struct netns_entry *entry)
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
	if (atomic_load(&multi->dump->ending)) {
		discard(entry);
		return;
	}
	if (entry->error == 0)
		entry->error = lifecycle_serve(entry);
	if (entry->error < 0) {
		reply_refused(entry);
		discard(entry);
		return;
	}
	report_joined(entry);
	reply_joined(entry);
	if (entry->cancelled)
		lifecycle_remove(entry, "gone");
}

void lifecycle_finish_threads(struct dump_multi *multi)
{
	struct netns_entry *entry;

	while ((entry = entry_take_done(multi))) {
		switch (entry->state) {
		case NETNS_JOINING:
			finish_join(entry);
			break;
		case NETNS_THREADED:
			multi->threaded--;
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

/*
 * All of them, several at a time, but not for longer than END_MS: what a thread is stuck with in the kernel is
 * cleaned up by that once it lets go.
 */
void lifecycle_close_all(struct dump_multi *multi)
{
	struct pollfd woken = { .fd = multi->dump->wake, .events = POLLIN };
	int64_t left = END_MS + (int64_t)options_queue_count(multi->dump->opts);
	const int64_t end = clock_ms() + left;
	uint64_t count;

	atomic_store(&multi->dump->ending, true); /* for those that are about to join */
	for (struct netns_entry *each = multi->entries; each; each = each->next)
		lifecycle_remove(each, NULL);
	for (lifecycle_start_threads(multi); multi->entries && left > 0;
	     left = end - clock_ms()) {
		if (poll(&woken, 1, (int)left) > 0)
			(void)!read(multi->dump->wake, &count, sizeof(count));
		lifecycle_finish_threads(multi);
		lifecycle_start_threads(multi);
	}
	multi->dump->abandoned = multi->entries != NULL;
	for (struct netns_entry *each = multi->entries; each; each = each->next)
		multi->dump->unclosed += each->state >= NETNS_SERVED && !each->discarded;
}
