// SPDX-License-Identifier: MIT
/*
 * A round has the ring: from its beginning to its end decisions of its thread gather in the outbox. That of
 * dispatch begins and ends within a call; one may also stay open between calls, of a caller that pulls packets or
 * gathers verdicts.
 */
#include "round.h"

#include <errno.h>

#include "clock.h"
#include "error.h"
#include "refused.h"
#include "release.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "walk.h"

#define STEPS_MAX 16      /* of releases, at the end of a round */
#define STEPS_NS  1000000 /* how long they should take without a limit for a round */

/* The guard of the ring, which is started for the first socket that has one. */
static int get_guard(struct mnfq_socket *sock)
{
	struct mnfq_ring *ring = sock->ring;
	int err;

	if (sock->max_delay == 0 || sock->guard)
		return 0;
	if (!ring->guard) {
		err = mnfq_i_guard_start(&ring->guard, sock->max_delay, mnfq_i_flush);
		if (err < 0)
			return mnfq_i_fail(&sock->error, err,
					   "cannot start the thread for max_delay_us: %s",
					   strerror(-err));
	}
	mnfq_i_guard_hurry(ring->guard, sock->max_delay);
	sock->guard = ring->guard;
	return 0;
}

/* Is there a queue without a callback, whose packets nobody would decide? Returns 0 or -EINVAL. */
int mnfq_i_round_check(struct mnfq_socket *sock)
{
	const struct mnfq_queue *queue = sock->pulls ? sock->queues : NULL;

	while (queue && queue->callback)
		queue = queue->next;
	return queue ? mnfq_i_fail(&sock->error, -EINVAL,
				   "queue %u was bound without a callback: take its packets with "
				   "mnfq_socket_receive() and mnfq_socket_next_packet()",
				   queue->num)
		     : 0;
}

/* Takes the ring. */
int mnfq_i_round_take(struct mnfq_socket *sock)
{
	int err;

	if (atomic_load(&sock->dispatcher) != 0)
		return mnfq_i_fail(&sock->error, -EBUSY,
				   "called from within a callback: return from it first");
	if (atomic_exchange(&sock->ring->busy, true))
		return mnfq_i_fail(&sock->error, -EBUSY,
				   "the ring is in use by another socket that shares it: return "
				   "from that one's callback first, and give each thread a ring "
				   "of its own");
	err = get_guard(sock);
	if (err < 0)
		atomic_store(&sock->ring->busy, false);
	return err;
}

/* With the ring taken. */
void mnfq_i_round_begin(struct mnfq_socket *sock, bool stops, bool pulled)
{
	mnfq_i_guard_take(sock->guard);
	if (sock->guard)
		sock->guard->sock = sock;
	atomic_store(&sock->dispatcher, (uintptr_t)pthread_self());
	sock->release_budget = mnfq_i_batch(sock);
	sock->emptied = false;
	sock->stops = stops;
	sock->sent_at = 0;
	sock->round++;
	mnfq_i_walk_begin(sock, pulled);
}

/*
 * Steps of releases for as long as there is time, since most of them may decide nothing: then they
 * take none, but each has an answer, for which there must be room. Returns whether more is to follow.
 */
static bool release_rest(struct mnfq_socket *sock)
{
	const int64_t limit = sock->round_ns > 0 ? sock->round_ns / 2 : STEPS_NS;
	const uint32_t batch = mnfq_i_batch(sock);
	struct mnfq_queue *queue;
	unsigned int steps = 0;
	int64_t begin = 0;
	uint32_t last, budget;
	int err = 0;

	for (queue = sock->queues; queue; queue = queue->next, err = 0) {
		while (err >= 0 && mnfq_i_release_step(queue, batch, false, &last)) {
			if (steps == 0)
				begin = mnfq_i_now_ns();
			else if (steps == STEPS_MAX || mnfq_i_now_ns() - begin >= limit)
				return true;
			budget = batch;
			err = mnfq_i_release(queue, &budget);
			if (err < 0)
				mnfq_i_queue_fail(queue, err);
			if (budget < sock->release_budget)
				sock->release_budget = budget;
			steps++;
		}
	}
	return false;
}

/*
 * From here on other threads release what they find; what they had to leave is done now. They look for the
 * dispatcher after they have noted a release, so either they or this sees it. Returns whether more is to follow.
 */
static bool let_others(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue = sock->queues;
	bool more;

	atomic_store(&sock->dispatcher, 0);
	while (queue && !atomic_load(&queue->has_release))
		queue = queue->next;
	if (!queue)
		return false;
	pthread_mutex_lock(&sock->lock);
	more = release_rest(sock);
	pthread_mutex_unlock(&sock->lock);
	return more;
}

/*
 * Ends a round: all that is undecided gets the default verdict, and all is sent. Returns 0, or why that could not
 * be sent. @more: a part of the releases is to follow.
 */
int mnfq_i_round_end(struct mnfq_socket *sock, bool *more)
{
	struct mnfq_queue *queue;
	int err;

	mnfq_i_walk_end(sock);
	err = mnfq_i_flush(sock);
	*more = let_others(sock);
	while ((queue = sock->ended)) {
		sock->ended = queue->next;
		mnfq_i_queue_unref(queue);
	}
	sock->open = false;
	if (sock->guard)
		sock->guard->sock = NULL;
	mnfq_i_guard_give(sock->guard);
	atomic_store(&sock->ring->busy, false);
	return err;
}

/*
 * Is a round open between calls? Whichever thread uses the socket now goes on with it, until mnfq_i_round_pause()
 * or its end.
 */
bool mnfq_i_round_resume(struct mnfq_socket *sock)
{
	if (!mnfq_i_take_over(sock))
		return false;
	mnfq_i_guard_take(sock->guard);
	return true;
}

/* The round stays open while the caller does something else. */
void mnfq_i_round_pause(struct mnfq_socket *sock)
{
	sock->open = true;
	mnfq_i_guard_give(sock->guard);
}

/* Begins a call that no other of its kind may be in; mnfq_i_round_leave() ends it. Returns 0 or -EBUSY. */
int mnfq_i_round_enter(struct mnfq_socket *sock)
{
	int err = mnfq_i_use(sock, MNFQ_I_DISPATCHED);

	return err < 0 ? mnfq_i_fail(&sock->error, err,
				     "called from within a callback, or while another thread "
				     "dispatches the socket")
		       : 0;
}

/* The end of such a call: another thread's unbinding may have come too late to be seen in there. */
void mnfq_i_round_leave(struct mnfq_socket *sock)
{
	atomic_store(&sock->use, MNFQ_I_CHANGED);
	if (atomic_load(&sock->deferred_unbind) && atomic_load(&sock->dispatcher) == 0)
		mnfq_i_walk_unbind(sock);
	mnfq_i_unuse(sock);
}

/* Ends the round that is open between calls, if there is one. What failed is kept for the next dispatch. */
void mnfq_i_round_close(struct mnfq_socket *sock)
{
	bool more;

	if (!mnfq_i_round_resume(sock))
		return;
	(void)mnfq_i_round_end(sock, &more);
	mnfq_i_request_remind(sock);
}
