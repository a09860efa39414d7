// SPDX-License-Identifier: MIT
/* Receiving: the ring is filled, which begins a round; and what failed in rounds is reported. */
#include "receive.h"

#include <errno.h>

#include "clock.h"
#include "error.h"
#include "explain.h"
#include "refs.h"
#include "refused.h"
#include "request.h"
#include "ring.h"
#include "round.h"
#include "send.h"
#include "unanswered.h"
#include "wake.h"
#include "walk.h"

/*
 * In a round whose ring was filled with @count messages of at most @max, or where that failed. Only a receive
 * that got fewer shows that the buffer is empty, a receive of one does not.
 */
static void note_fill(struct mnfq_socket *sock, int count, unsigned int max)
{
	mnfq_i_unanswered_passed(sock, count > 0 ? (size_t)count : 0, sock->ring->filled);
	sock->emptied = count < 0 ? count == -EAGAIN : (unsigned int)count < max;
	if (sock->emptied && mnfq_i_unanswered_lost(sock))
		mnfq_i_answers_lost(sock);
}

/* Without NETLINK_NO_ENOBUFS an overrun is reported once, in place of what is in the buffer. */
static int fill_ring(struct mnfq_socket *sock, unsigned int max)
{
	int count;

	sock->late_before = atomic_load(&sock->late);
	count = mnfq_i_ring_fill(sock->ring, sock->fd, max, false);
	if (count == -ENOBUFS) { /* also of an answer for which there was no memory */
		sock->overran = true;
		count = mnfq_i_ring_fill(sock->ring, sock->fd, max, false);
	}
	note_fill(sock, count, max);
	return count == -ENOBUFS ? 0 : count;
}

/* What a round released by default costs as much as what it handled. */
static void adapt_batch(struct mnfq_socket *sock)
{
	const unsigned int batch = sock->round_batch;
	unsigned int done = sock->round_messages + batch - sock->release_budget;

	if (done > 0)
		sock->batch =
			mnfq_i_next_batch(batch, done < batch ? done : batch, sock->ring->slots,
					  mnfq_i_now_ns() - sock->round_begin, sock->round_ns);
}

/* Ends a round: returns the packets that it handled, or why none were. May free the socket: -ECANCELED. */
int mnfq_i_receive_end(struct mnfq_socket *sock)
{
	const int handled = sock->walk.handled;
	bool more;
	int err = mnfq_i_round_end(sock, &more);

	if (sock->closing) {
		mnfq_socket_close(sock);
		return -ECANCELED;
	}
	/* The rest of the backlog, of releases, and the failure are for the next call: it must come. */
	if (sock->backlog || more || (handled > 0 && mnfq_i_has_failed(sock)))
		mnfq_i_request_self_wake(sock);
	if (sock->round_begin > 0)
		adapt_batch(sock);
	if (handled > 0)
		return handled;
	return err < 0 ? mnfq_i_report_unsent(sock, err) : 0;
}

static int fail_receive(struct mnfq_socket *sock, int err)
{
	return mnfq_i_fail(&sock->error, err, "cannot receive from the netlink socket: %s",
			   strerror(-err));
}

static void begin_receive(struct mnfq_socket *sock, bool pulled, unsigned int batch)
{
	sock->round_begin = sock->round_ns > 0 ? mnfq_i_now_ns() : 0;
	sock->round_batch = batch;
	mnfq_i_round_begin(sock, !pulled, pulled);
}

/* The messages of the round that has begun. */
static int received(struct mnfq_socket *sock, int count)
{
	sock->round_messages = (unsigned int)count;
	mnfq_i_walk_ring(sock, count);
	return count;
}

/*
 * Begins a round with what is there: the backlog, or else a batch of messages. Returns how many there are, so
 * that the round is to be ended; 0 if there is nothing; or a negative errno.
 */
int mnfq_i_receive(struct mnfq_socket *sock, bool pulled)
{
	const unsigned int batch = mnfq_i_batch(sock);
	int count, err = mnfq_i_round_take(sock);

	if (err < 0)
		return err;
	begin_receive(sock, pulled, batch);
	if (sock->backlog) {
		sock->round_messages = sock->walk.backlog;
		return 1;
	}
	count = fill_ring(sock, batch);
	if (count > 0)
		return received(sock, count);
	sock->round_messages = 0;
	err = mnfq_i_receive_end(sock);
	if (err != 0 || count >= 0 || count == -EAGAIN || count == -EINTR)
		return err;
	return fail_receive(sock, count);
}

/* Begins a round without messages, for those of the caller, or for none. */
int mnfq_i_receive_none(struct mnfq_socket *sock)
{
	int err = mnfq_i_round_take(sock);

	if (err < 0)
		return err;
	mnfq_i_round_begin(sock, false, false);
	sock->walk.backlog = 0;
	sock->round_begin = 0;
	return 0;
}

/* Ends the round that is open between calls. -ECANCELED: a callback of one who pulled had closed the socket. */
int mnfq_i_receive_close(struct mnfq_socket *sock)
{
	mnfq_i_round_close(sock);
	if (!sock->closing)
		return 0;
	mnfq_socket_close(sock);
	return -ECANCELED;
}

/* The wait brought no message. An overrun is reported once: then what is in the buffer is read. */
static int end_wait(struct mnfq_socket *sock, bool pulled, int err)
{
	atomic_store(&sock->ring->busy, false);
	if (err == -ENOBUFS) {
		sock->overran = true;
		return mnfq_i_receive(sock, pulled);
	}
	return err == -EAGAIN || err == -EINTR ? err : fail_receive(sock, err);
}

/*
 * The same with the ring taken, but waits for messages; there must be nothing else to do. While it waits there is no
 * round, so that other threads send their verdicts: the answers to these may come after the receive, so what
 * was sent late is counted before it. -EAGAIN: nothing came for a while, or it was stopped; -EINTR: a signal came.
 */
int mnfq_i_receive_wait(struct mnfq_socket *sock, bool pulled)
{
	const unsigned int batch = mnfq_i_batch(sock);
	int count;

	sock->late_before = atomic_load(&sock->late);
	count = mnfq_i_wait_fill(sock, batch);
	if (count < 0)
		return end_wait(sock, pulled, count);
	begin_receive(sock, pulled, batch);
	note_fill(sock, count, batch);
	return received(sock, count);
}

/* Says why verdicts for a queue fail. */
static void explain_failure(struct mnfq_queue *queue, int err)
{
	struct mnfq_socket *sock = queue->sock;

	if (err == -EPERM)
		(void)mnfq_i_explain_bind(sock, queue->num, 0, err);
	else if (err == -ENODEV)
		(void)mnfq_i_fail(&sock->error, err,
				  "queue %u: another user of the socket unbound it; unbind it "
				  "here and bind it again",
				  queue->num);
	else
		(void)mnfq_i_fail(&sock->error, err,
				  "queue %u: default verdicts could not be sent (%s): trying "
				  "again",
				  queue->num, strerror(-err));
}

/* Reports one failure that was noted during a round; 0 if there is none. */
int mnfq_i_take_failure(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;
	int err = sock->failure;

	if (err < 0)
		err = mnfq_i_report_unsent(sock, err);
	for (queue = sock->queues; queue && err == 0; queue = queue->next) {
		err = queue->failure;
		queue->failure = 0;
		if (err)
			explain_failure(queue, err);
	}
	if (err)
		mnfq_i_request_remind(sock); /* there may be another */
	else
		sock->queue_failed = false;
	return err;
}
