/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: how they share the time of the main thread. What a verdict costs is up
 * to the namespace: its rules process the rest of an accepted packet's path within our sendmsg. So namespaces
 * share time, not packets, and one that stays slow gets a thread of its own.
 */
#include "dump/turns.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/lifecycle.h"
#include "dump/notify.h"
#include "dump/report.h"
#include "dump/threads.h"

#define SHARE_NS    1000000  /* of a turn */
#define TOO_LONG_NS 10000000 /* one such turn makes a namespace slow, */
#define SLOW_TURNS  3        /* or so many beyond the share in a row … */
#define FEW_PACKETS 8        /* … with no more packets than that */
#define SERVING_MAX 32       /* threads */
#define REPORT_MS   500      /* to wait for the counters of threads */

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- in a thread of its own ------------------------------------------------------------- */

/* The counters belong to this thread, which is interrupted when a report is requested. */
static void publish_counters(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;
	struct dump_handle *handle = &entry->handle;
	const unsigned int request = atomic_load(&multi->dump->report_requests);
	const uint64_t one = 1;
	struct counters counters = { .uncounted = 0 };

	handle_read_counters(&counters, handle);
	pthread_mutex_lock(&multi->lock);
	handle->counters = counters;
	handle->reported = request;
	pthread_mutex_unlock(&multi->lock);
	(void)!write(multi->dump->wake, &one, sizeof(one));
}

static void serve_in_thread(struct netns_entry *entry)
{
	int n = 0;

	while (!atomic_load(&entry->stop_requested)) {
		n = handle_dispatch(&entry->handle);
		if (n == -ECANCELED)
			publish_counters(entry);
		else if (n < 0 && n != -EINTR)
			break;
	}
	entry->error = atomic_load(&entry->stop_requested) ? 0 : n;
}

static void move_to_thread(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	if (multi->dump->single_netns || multi->serving_threads >= SERVING_MAX)
		return;
	lifecycle_suspend(entry);
	entry_set_state(entry, NETNS_THREADED);
	if (mnfq_socket_set_ring(entry->handle.sock, NULL) == 0 &&
	    threads_start(entry, serve_in_thread) == 0)
		multi->serving_threads++;
	else if (lifecycle_serve(entry) < 0) {
		entry_set_state(entry, NETNS_SERVED); /* no thread has it */
		notify_forget(entry);
		lifecycle_remove(entry, entry->reason);
	}
}

/* ---- turns ------------------------------------------------------------------------------ */

/* A turn that begins at @begin. Returns when it ended. */
static int64_t run_turn(struct netns_entry *entry, int64_t begin)
{
	const int n = mnfq_socket_dispatch(entry->handle.sock, 0);
	const int64_t end = clock_ns(), took = end - begin;

	if (n < 0 && n != -EINTR && n != -ECANCELED) {
		lifecycle_fail(entry, n);
		return end;
	}
	entry->debt_ns = took > SHARE_NS ? took - SHARE_NS : 0;
	if (entry->debt_ns == 0)
		entry->slow_turns = 0;
	else if (n <= FEW_PACKETS)
		entry->slow_turns++;
	if (took > TOO_LONG_NS || entry->slow_turns >= SLOW_TURNS)
		move_to_thread(entry);
	return end;
}

/*
 * First those whose last turn was within their share. Of the others one gets a turn in each pass: the one with
 * the least debt, once it has sat out a pass for each share that it used, or when no other has packets.
 */
void turns_run(struct dump_multi *multi, const struct epoll_event *events, int count)
{
	int64_t now = clock_ns();
	struct netns_entry *slow = NULL;
	bool served = false;

	for (int i = 0; i < count && !atomic_load(&multi->dump->stopping); i++) {
		struct netns_entry *entry = events[i].data.ptr;

		if (!entry || (void *)entry == multi) /* the eventfd or the broker */
			continue;
		if (entry->debt_ns == 0) {
			now = run_turn(entry, now);
			served = true;
			continue;
		}
		entry->debt_ns -= SHARE_NS;
		if (!slow || entry->debt_ns < slow->debt_ns)
			slow = entry;
	}
	if (slow && (slow->debt_ns <= 0 || !served))
		(void)run_turn(slow, now);
}

/* ---- counters --------------------------------------------------------------------------- */

/* Returns whether that is all: not while some are closing, or threads have not published theirs. */
static bool add_counters(struct dump_multi *multi, struct counters *sum)
{
	const unsigned int request = atomic_load(&multi->dump->report_requests);
	struct counters counters = { .uncounted = 0 };
	bool all = true;

	for (struct netns_entry *each = multi->entries; each; each = each->next) {
		if (each->state == NETNS_SERVED) {
			handle_read_counters(&counters, &each->handle);
		} else if (each->state == NETNS_THREADED) {
			pthread_mutex_lock(&multi->lock);
			counters = each->handle.counters;
			all = all && each->handle.reported == request;
			pthread_mutex_unlock(&multi->lock);
		} else {
			all = all && each->state != NETNS_CLOSING;
			continue;
		}
		counters_add(sum, &counters);
	}
	return all;
}

void turns_report(struct dump_multi *multi)
{
	struct dump *dump = multi->dump;
	struct counters sum = dump->totals;
	const unsigned int request = atomic_load(&dump->report_requests);

	if (request == dump->reported)
		return;
	if (multi->report_by == 0)
		multi->report_by = clock_ms() + REPORT_MS;
	if (multi->asked != request)
		for (struct netns_entry *each = multi->entries; each; each = each->next)
			if (each->state == NETNS_THREADED)
				mnfq_socket_stop(each->handle.sock);
	multi->asked = request;
	if (!add_counters(multi, &sum) && clock_ms() < multi->report_by)
		return;
	dump->reported = request;
	multi->report_by = 0;
	report_counters(dump, &sum);
}
