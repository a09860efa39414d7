// SPDX-License-Identifier: MIT
/*
 * The walk of a packet. A round receives one batch into the ring, makes a view of each packet,
 * calls its queue's callback, collects the verdicts in the outbox and sends them at the end:
 *
 *   kernel --recvmmsg--> ring --packet.c--> view --callback--> verdict --verdict.c--> outbox
 *   kernel <---------------------------- one sendmsg --------------------------------'
 *
 * No memory is allocated and no system call made for each packet.
 */
#include "receive.h"

#include <errno.h>
#include <stdlib.h>

#include "backlog.h"
#include "clock.h"
#include "error.h"
#include "explain.h"
#include "handle.h"
#include "packet.h"
#include "refs.h"
#include "refused.h"
#include "release.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "unanswered.h"
#include "verdict.h"
#include "wake.h"
#include "wire.h"

#define STEPS_MAX 16      /* of releases, at the end of a round */
#define STEPS_NS  1000000 /* how long they should take without a limit for a round */

/* Is the rest not to be handled any more, or not now? */
static bool is_over(struct mnfq_socket *sock)
{
	return sock->closing ||
	       (sock->stops && atomic_load_explicit(&sock->stop, memory_order_relaxed));
}

/* The backlog, at most a batch; callbacks may add to it meanwhile. */
static int handle_backlog(struct mnfq_socket *sock)
{
	unsigned int n;
	int handled = 0;

	for (n = mnfq_i_batch(sock); n > 0 && sock->backlog && !is_over(sock); n--) {
		struct mnfq_i_backlog *entry = mnfq_i_backlog_pop(sock);

		handled += mnfq_i_handle_datagram(sock, entry->data, entry->len, true);
		free(entry);
	}
	return handled;
}

/* Is it a message of a queue, so that a callback may be called for it? */
static bool is_for_callback(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;
	struct mnfq_packet packet;
	struct nlmsgerr answer;

	if (len >= NLMSG_HDRLEN && nlh->nlmsg_type == MNFQ_I_MSG(NFQNL_MSG_PACKET))
		return mnfq_i_packet_parse(&packet, data, len) != -EBADMSG &&
		       mnfq_i_handle_find(sock, mnfq_packet_get_queue_num(&packet), false);
	if (len < NLMSG_HDRLEN + sizeof(answer) || nlh->nlmsg_type != NLMSG_ERROR)
		return false;
	memcpy(&answer, data + NLMSG_HDRLEN, sizeof(answer));
	return mnfq_i_is_verdict(answer.msg.nlmsg_type) &&
	       mnfq_i_handle_find(sock, (uint16_t)answer.msg.nlmsg_pid, false);
}

/* Datagram @i of the ring. Returns the packets handled. */
static int handle_slot(struct mnfq_socket *sock, unsigned int i)
{
	struct mnfq_ring *ring = sock->ring;

	if (mnfq_i_from_kernel(&ring->senders[i], sizeof(ring->senders[i])))
		return mnfq_i_handle_datagram(sock, ring->iovecs[i].iov_base,
					      ring->messages[i].msg_len, false);
	sock->stats.forged++;
	return 0;
}

/*
 * The round was stopped: the rest of the ring comes first in the next one. Only messages for which there is
 * no callback are handled now, since queues that are bound later must not get them. Messages that do not fit
 * in memory are lost, as if the receive buffer had been full. Answers among the rest have not been handled,
 * so the buffer does not count as emptied.
 */
static void put_back_rest(struct mnfq_socket *sock)
{
	const struct mnfq_ring *ring = sock->ring;
	unsigned int i;

	for (i = sock->ring_count; i-- > sock->ring_at;) {
		const uint8_t *data = ring->iovecs[i].iov_base;
		const size_t len = ring->messages[i].msg_len;

		if (!mnfq_i_from_kernel(&ring->senders[i], sizeof(ring->senders[i])) ||
		    !is_for_callback(sock, data, len))
			(void)handle_slot(sock, i);
		else if (mnfq_i_backlog_put_back(sock, data, len) < 0)
			sock->overran = true;
		sock->emptied = false;
	}
}

static int handle_ring(struct mnfq_socket *sock, int count)
{
	int handled = 0;

	sock->ring_at = 0;
	sock->ring_count = (unsigned int)count;
	sock->round_bytes = 0;
	while (sock->ring_at < sock->ring_count && !is_over(sock)) {
		sock->round_bytes += sock->ring->messages[sock->ring_at].msg_len;
		handled += handle_slot(sock, sock->ring_at++);
	}
	if (sock->closing)
		return handled; /* the end of its queues looks at the rest */
	put_back_rest(sock);
	sock->ring_count = 0;
	return handled;
}

static int take_ring(struct mnfq_socket *sock)
{
	if (atomic_load(&sock->dispatcher) != 0)
		return mnfq_i_fail(&sock->error, -EBUSY,
				   "called from within a callback: return from it first");
	if (atomic_exchange(&sock->ring->busy, true))
		return mnfq_i_fail(&sock->error, -EBUSY,
				   "the ring is in use by another socket that shares it: return "
				   "from that one's callback first, and give each thread a ring "
				   "of its own");
	return 0;
}

/* With the ring taken. */
static void begin_round(struct mnfq_socket *sock, bool stops)
{
	atomic_store(&sock->dispatcher, (uintptr_t)pthread_self());
	sock->release_budget = mnfq_i_batch(sock);
	sock->emptied = false;
	sock->stops = stops;
	sock->sent_at = 0;
	sock->round++;
}

static int enter(struct mnfq_socket *sock, bool stops)
{
	int err = take_ring(sock);

	if (err == 0)
		begin_round(sock, stops);
	return err;
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
 * From here on other threads release what they find; what they had to leave is done now. Returns
 * whether more of it is to follow.
 */
static bool end_round(struct mnfq_socket *sock)
{
	bool more;

	pthread_mutex_lock(&sock->lock);
	atomic_store(&sock->dispatcher, 0);
	more = release_rest(sock);
	pthread_mutex_unlock(&sock->lock);
	return more;
}

/* Ends a round that handled @handled packets; may free the socket. */
static int leave(struct mnfq_socket *sock, int handled)
{
	int err = mnfq_i_flush(sock);
	struct mnfq_queue *queue;
	bool more = end_round(sock);

	while ((queue = sock->ended)) {
		sock->ended = queue->next;
		mnfq_i_queue_unref(queue);
	}
	atomic_store(&sock->ring->busy, false);
	if (sock->closing) {
		mnfq_socket_close(sock);
		return -ECANCELED;
	}
	/* The rest of the backlog, of releases, and the failure are for the next call: it must come. */
	if (sock->backlog || more || (handled > 0 && mnfq_i_has_failed(sock)))
		mnfq_i_request_self_wake(sock);
	if (handled > 0)
		return handled;
	if (err < 0)
		sock->failure = 0; /* reported now */
	return err;
}

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
static void adapt_batch(struct mnfq_socket *sock, unsigned int batch, unsigned int done,
			int64_t took)
{
	done += batch - sock->release_budget;
	if (done > 0)
		sock->batch = mnfq_i_next_batch(batch, done < batch ? done : batch,
						sock->ring->slots, took, sock->round_ns);
}

static int fail_receive(struct mnfq_socket *sock, int err)
{
	return mnfq_i_fail(&sock->error, err, "cannot receive from the netlink socket: %s",
			   strerror(-err));
}

/* The wait brought no message. An overrun is reported once: then what is in the buffer is read. */
static int end_wait(struct mnfq_socket *sock, int err)
{
	atomic_store(&sock->ring->busy, false);
	if (err == -ENOBUFS) {
		sock->overran = true;
		return mnfq_i_round(sock);
	}
	return err == -EAGAIN || err == -EINTR ? err : fail_receive(sock, err);
}

/*
 * Waits for a batch and handles it; there must be nothing else to do. While it waits there is no
 * round, so that other threads send their verdicts: the answers to these may come after the receive, so what
 * was sent late is counted before it. Returns as mnfq_i_round(), and -EAGAIN if nothing came for a while or
 * if it was stopped, -EINTR if a signal came.
 */
int mnfq_i_wait_round(struct mnfq_socket *sock)
{
	const unsigned int batch = mnfq_i_batch(sock), max = mnfq_i_wait_max(sock, batch);
	int count, err = take_ring(sock);
	int64_t begin;

	if (err < 0)
		return err;
	sock->late_before = atomic_load(&sock->late);
	count = mnfq_i_wait_fill(sock, max);
	if (count < 0)
		return end_wait(sock, count);
	begin = sock->round_ns > 0 ? mnfq_i_now_ns() : 0;
	begin_round(sock, true);
	note_fill(sock, count, max);
	err = leave(sock, handle_ring(sock, count));
	if (begin > 0 && err != -ECANCELED) /* then the socket is gone */
		adapt_batch(sock, batch, (unsigned int)count, mnfq_i_now_ns() - begin);
	return err;
}

/* One batch. Returns the packets handled, 0 if there was none, or a negative errno. */
int mnfq_i_round(struct mnfq_socket *sock)
{
	const int64_t begin = sock->round_ns > 0 ? mnfq_i_now_ns() : 0;
	const unsigned int batch = mnfq_i_batch(sock);
	int handled, count = 0, err = enter(sock, true);
	unsigned int done;

	if (err < 0)
		return err;
	handled = handle_backlog(sock);
	done = (unsigned int)handled;
	sock->round++; /* what the ring receives now is for the queues bound so far */
	/* The backlog came first. */
	if (!is_over(sock) && !sock->backlog && (unsigned int)handled < batch)
		count = fill_ring(sock, batch - (unsigned int)handled);
	if (count > 0) {
		done += (unsigned int)count;
		handled += handle_ring(sock, count);
	}
	err = leave(sock, handled);
	if (begin > 0 && err != -ECANCELED) /* then the socket is gone */
		adapt_batch(sock, batch, done, mnfq_i_now_ns() - begin);
	if (err != 0 || count >= 0 || count == -EAGAIN || count == -EINTR)
		return err;
	return fail_receive(sock, count);
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

	sock->failure = 0;
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

/*
 * May a datagram be handled although there is a backlog? That came later if the caller received
 * several datagrams at once, and the callback of the first made a request that read on. Only what
 * is in the backlog for the same queue matters for the order.
 */
static bool precedes_backlog(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;
	struct mnfq_packet packet;
	uint32_t first;

	if (!sock->backlog)
		return true;
	if (len < NLMSG_HDRLEN || nlh->nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_PACKET))
		return false;
	(void)mnfq_i_packet_parse(&packet, data, len);
	return mnfq_i_packet_has_id(&packet) &&
	       (!mnfq_i_backlog_find(sock, mnfq_packet_get_queue_num(&packet), &first) ||
		mnfq_i_after(first, packet.id));
}

/* Handles a datagram of the kernel's in its turn; returns the packets handled, or -ENOMEM. */
static int take_turn(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	int err, handled = 0;

	if (!precedes_backlog(sock, data, len))
		handled = handle_backlog(sock);
	if (sock->closing)
		return handled;
	if (precedes_backlog(sock, data, len))
		return handled + mnfq_i_handle_datagram(sock, data, len, false);
	err = mnfq_i_backlog_add(sock, data, len); /* behind the rest */
	return err < 0 ? err : handled;
}

int mnfq_socket_feed(struct mnfq_socket *sock, const void *datagram, size_t len,
		     const struct sockaddr *from, socklen_t from_len)
{
	int err, handled = 0;

	if (!sock || (!datagram && len > 0))
		return -EINVAL;
	err = enter(sock, false);
	if (err < 0)
		return err;
	/* Copied, because the alignment is unknown; cut as a receive would cut it. */
	len = len < MNFQ_I_SLOT_SIZE ? len : MNFQ_I_SLOT_SIZE;
	if (len > 0)
		memcpy(sock->ring->memory, datagram, len);
	if (mnfq_i_from_kernel(from, from_len))
		handled = take_turn(sock, sock->ring->memory, len);
	else
		sock->stats.forged++;
	err = leave(sock, handled > 0 ? handled : 0);
	if (handled < 0)
		return handled;
	return err == 0 ? mnfq_i_take_failure(sock) : err;
}
