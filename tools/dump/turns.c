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

#define SHARE_NS    1000000  /* of a pass over all that have packets */
#define TOO_LONG_NS 10000000 /* one such turn is enough to know */
#define SLOW_TURNS  3        /* in a row, else */
#define FEW_PACKETS 8        /* for them to be slow, not many */
#define SLOW_MAX    32       /* threads */
#define REPORT_MS   500      /* for them to tell their counters */

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int serve_member(struct member *member)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = member };
	struct many *many = member->many;
	int err = mnfq_socket_set_ring(member->source.sock, many->ring);

	if (err == 0 && epoll_ctl(many->epoll, EPOLL_CTL_ADD,
				  mnfq_socket_get_fd(member->source.sock), &event) < 0)
		err = -errno;
	if (err < 0)
		snprintf(member->why, sizeof(member->why), "cannot watch one more socket: %s",
			 strerror(-err));
	else
		set_state(member, MEMBER_SERVED);
	return err;
}

/* Closing is not enough: whoever has a copy of the descriptor keeps it in the loop. */
void unserve_member(struct member *member)
{
	(void)epoll_ctl(member->many->epoll, EPOLL_CTL_DEL,
			mnfq_socket_get_fd(member->source.sock), NULL);
}

/* ---- in a thread of its own ------------------------------------------------------------- */

/* Its counters are its thread's: it tells them when it is woken, and not to end. */
static void tell_counters(struct member *member)
{
	struct many *many = member->many;
	struct source *source = &member->source;
	const unsigned int wanted = atomic_load(&many->dump->wanted);
	const uint64_t one = 1;
	struct counters counters;

	read_counters(&counters, source);
	pthread_mutex_lock(&many->lock);
	source->counters = counters;
	source->reported = wanted;
	pthread_mutex_unlock(&many->lock);
	(void)!write(many->dump->wake, &one, sizeof(one));
}

static void serve_slow(struct member *member)
{
	int n = 0;

	while (!atomic_load(&member->ends)) {
		n = dispatch_source(&member->source);
		if (n == -ECANCELED)
			tell_counters(member);
		else if (n < 0 && n != -EINTR)
			break;
	}
	member->error = atomic_load(&member->ends) ? 0 : n;
}

static void move_to_thread(struct member *member)
{
	struct many *many = member->many;

	if (many->dump->alone || many->slow >= SLOW_MAX)
		return;
	unserve_member(member);
	set_state(member, MEMBER_SLOW);
	if (mnfq_socket_set_ring(member->source.sock, NULL) == 0 &&
	    threads_start(member, serve_slow) == 0)
		many->slow++;
	else if (serve_member(member) < 0)
		remove_member(member, member->why);
}

/* ---- turns ------------------------------------------------------------------------------ */

void fail_member(struct member *member, int err)
{
	const struct ipc_msg forget = { .type = IPC_FORGET, .id = member->id };
	struct many *many = member->many;
	char error[1024];

	if (many->link >= 0)
		(void)ipc_send(many->link, &forget, -1);
	if (many->dump->alone) {
		explain_source(error, sizeof(error), &member->source, err);
		fail_alone(many, error);
		return;
	}
	if (many->link < 0)
		many->status = EXIT_FAILURE;
	remove_member(member, mnfq_socket_get_error(member->source.sock));
}

/* One round, from @begin on. Returns when it ended. */
static int64_t take_turn(struct member *member, int64_t begin)
{
	const int n = mnfq_socket_dispatch(member->source.sock, 0);
	const int64_t end = clock_ns(), took = end - begin;

	if (n < 0 && n != -EINTR && n != -ECANCELED) {
		fail_member(member, n);
		return end;
	}
	member->owes_ns = took > SHARE_NS ? took - SHARE_NS : 0;
	if (member->owes_ns == 0)
		member->slow_turns = 0;
	else if (n <= FEW_PACKETS)
		member->slow_turns++;
	if (took > TOO_LONG_NS || member->slow_turns >= SLOW_TURNS)
		move_to_thread(member);
	return end;
}

/*
 * Those whose last turn was within their share come first. Of the others one gets a turn a pass: the one
 * that owes least, once it has sat out as many passes as it owes shares, or when nobody else has anything.
 */
void take_turns(struct many *many, const struct epoll_event *events, int count)
{
	int64_t now = clock_ns();
	struct member *slow = NULL;
	bool served = false;

	for (int i = 0; i < count && !atomic_load(&many->dump->ending); i++) {
		struct member *member = events[i].data.ptr;

		if (!member || (void *)member == many) /* not one of them */
			continue;
		if (member->owes_ns == 0) {
			now = take_turn(member, now);
			served = true;
			continue;
		}
		member->owes_ns -= SHARE_NS;
		if (!slow || member->owes_ns < slow->owes_ns)
			slow = member;
	}
	if (slow && (slow->owes_ns <= 0 || !served))
		(void)take_turn(slow, now);
}

/* ---- counters --------------------------------------------------------------------------- */

/* All of it is known but for those that are just being closed, or have a thread that did not tell. */
static bool add_counters(struct many *many, struct counters *sums)
{
	const unsigned int wanted = atomic_load(&many->dump->wanted);
	struct counters counters;
	bool all = true;

	for (struct member *each = many->members; each; each = each->next) {
		if (each->state == MEMBER_SERVED) {
			read_counters(&counters, &each->source);
		} else if (each->state == MEMBER_SLOW) {
			pthread_mutex_lock(&many->lock);
			counters = each->source.counters;
			all = all && each->source.reported == wanted;
			pthread_mutex_unlock(&many->lock);
		} else {
			all = all && each->state != MEMBER_CLOSING;
			continue;
		}
		counters_add(sums, &counters);
	}
	return all;
}

void report_members(struct many *many)
{
	struct dump *dump = many->dump;
	struct counters sums = dump->totals;
	const unsigned int wanted = atomic_load(&dump->wanted);

	if (wanted == dump->reported)
		return;
	if (many->report_by == 0)
		many->report_by = clock_ms() + REPORT_MS;
	if (many->asked != wanted)
		for (struct member *each = many->members; each; each = each->next)
			if (each->state == MEMBER_SLOW)
				mnfq_socket_stop(each->source.sock);
	many->asked = wanted;
	if (!add_counters(many, &sums) && clock_ms() < many->report_by)
		return;
	dump->reported = wanted;
	many->report_by = 0;
	print_counters(dump, &sums);
}
