/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: how they share the time of the main thread. What a verdict costs
 * is set by the namespace: the rest of an accepted packet's path, with all rules there, is walked within our
 * sendmsg. So it is time that is shared, not packets, and one that stays slow gets a thread of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/multi.h"

#define SHARE_NS     1000000  /* of a pass over all that have packets */
#define TOO_LONG_NS  10000000 /* one such turn is enough to know */
#define SLOW_TURNS   3        /* in a row, else */
#define FEW_PACKETS  8        /* for them to be slow, not many */
#define THREADED_MAX 32       /* threads */
#define REPORT_MS    500      /* for them to tell their counters */

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int lifecycle_serve(struct netns_entry *entry)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = entry };
	struct dump_multi *multi = entry->multi;
	int err = mnfq_socket_set_ring(entry->handle.sock, multi->ring);

	if (err == 0 && epoll_ctl(multi->epoll, EPOLL_CTL_ADD,
				  mnfq_socket_get_fd(entry->handle.sock), &event) < 0)
		err = -errno;
	if (err < 0)
		snprintf(entry->why, sizeof(entry->why), "cannot watch one more socket: %s",
			 strerror(-err));
	else
		entry_set_state(entry, NETNS_SERVED);
	return err;
}

/* Closing is not enough: whoever has a copy of the descriptor keeps it in the loop. */
void stop_serving(struct netns_entry *entry)
{
	(void)epoll_ctl(entry->multi->epoll, EPOLL_CTL_DEL,
			mnfq_socket_get_fd(entry->handle.sock), NULL);
}

/* ---- in a thread of its own ------------------------------------------------------------- */

/* Its counters are its thread's: it tells them when it is woken, and not to end. */
static void publish_counters(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;
	struct dump_handle *handle = &entry->handle;
	const unsigned int wanted = atomic_load(&multi->dump->wanted);
	const uint64_t one = 1;
	struct counters counters;

	handle_read_counters(&counters, handle);
	pthread_mutex_lock(&multi->lock);
	handle->counters = counters;
	handle->reported = wanted;
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

	if (multi->dump->single_netns || multi->threaded >= THREADED_MAX)
		return;
	stop_serving(entry);
	entry_set_state(entry, NETNS_THREADED);
	if (mnfq_socket_set_ring(entry->handle.sock, NULL) == 0 &&
	    entry_start_thread(entry, serve_in_thread) == 0)
		multi->threaded++;
	else if (lifecycle_serve(entry) < 0)
		lifecycle_remove(entry, entry->why);
}

/* ---- turns ------------------------------------------------------------------------------ */

void lifecycle_fail(struct netns_entry *entry, int err)
{
	const struct ipc_msg forget = { .type = IPC_FORGET, .id = entry->id };
	struct dump_multi *multi = entry->multi;
	char error[1024];

	if (multi->ipc >= 0)
		(void)ipc_send(multi->ipc, &forget, -1);
	if (multi->dump->single_netns) {
		handle_explain(error, sizeof(error), &entry->handle, err);
		multi_fail(multi, error);
		return;
	}
	if (multi->ipc < 0)
		multi->status = EXIT_FAILURE;
	lifecycle_remove(entry, mnfq_socket_get_error(entry->handle.sock));
}

/* One round, from @begin on. Returns when it ended. */
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
 * Those whose last turn was within their share come first. Of the others one gets a turn a pass: the one
 * that owes least, once it has sat out as many passes as it owes shares, or when nobody else has anything.
 */
void turns_run(struct dump_multi *multi, const struct epoll_event *events, int count)
{
	int64_t now = clock_ns();
	struct netns_entry *threaded = NULL;
	bool served = false;

	for (int i = 0; i < count && !atomic_load(&multi->dump->ending); i++) {
		struct netns_entry *entry = events[i].data.ptr;

		if (!entry || (void *)entry == multi) /* not one of them */
			continue;
		if (entry->debt_ns == 0) {
			now = run_turn(entry, now);
			served = true;
			continue;
		}
		entry->debt_ns -= SHARE_NS;
		if (!threaded || entry->debt_ns < threaded->debt_ns)
			threaded = entry;
	}
	if (threaded && (threaded->debt_ns <= 0 || !served))
		(void)run_turn(threaded, now);
}

/* ---- counters --------------------------------------------------------------------------- */

/* All of it is known but for those that are just being closed, or have a thread that did not tell. */
static bool add_counters(struct dump_multi *multi, struct counters *sums)
{
	const unsigned int wanted = atomic_load(&multi->dump->wanted);
	struct counters counters;
	bool all = true;

	for (struct netns_entry *each = multi->entries; each; each = each->next) {
		if (each->state == NETNS_SERVED) {
			handle_read_counters(&counters, &each->handle);
		} else if (each->state == NETNS_THREADED) {
			pthread_mutex_lock(&multi->lock);
			counters = each->handle.counters;
			all = all && each->handle.reported == wanted;
			pthread_mutex_unlock(&multi->lock);
		} else {
			all = all && each->state != NETNS_CLOSING;
			continue;
		}
		counters_add(sums, &counters);
	}
	return all;
}

void turns_report(struct dump_multi *multi)
{
	struct dump *dump = multi->dump;
	struct counters sums = dump->totals;
	const unsigned int wanted = atomic_load(&dump->wanted);

	if (wanted == dump->reported)
		return;
	if (multi->report_by == 0)
		multi->report_by = clock_ms() + REPORT_MS;
	if (multi->requested != wanted)
		for (struct netns_entry *each = multi->entries; each; each = each->next)
			if (each->state == NETNS_THREADED)
				mnfq_socket_stop(each->handle.sock);
	multi->requested = wanted;
	if (!add_counters(multi, &sums) && clock_ms() < multi->report_by)
		return;
	dump->reported = wanted;
	multi->report_by = 0;
	report_counters(dump, &sums);
}
