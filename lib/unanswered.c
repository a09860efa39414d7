// SPDX-License-Identifier: MIT
/*
 * Decisions that were sent and may have been refused, because not all answers have been read. The
 * kernel answers what it refuses, but the answer lies behind packets that were there before it. Were
 * the packets of a refused verdict still in the kernel when a batch verdict reaches over them, they
 * would get the verdict of others.
 *
 * All answers have been read when a receive that came after the send has emptied the buffer, and what it
 * received has no error in it any more. Until then a batch verdict may reach over what was sent only
 * if that had the same verdict, as it mostly does. No I/O.
 */
#include "unanswered.h"

#include "ring.h"
#include "sockopt.h"
#include "wire.h"

static uint32_t both(uint32_t a, uint32_t b)
{
	return a == MNFQ_I_VERDICT_NONE || a == b ? b
	       : b == MNFQ_I_VERDICT_NONE         ? a
						  : MNFQ_I_VERDICT_MIXED;
}

static void remember(struct mnfq_queue *queue, uint32_t verdict)
{
	unsigned int before = atomic_load_explicit(&queue->history, memory_order_relaxed), after;

	do
		after = both(before, verdict);
	while (after != before && !atomic_compare_exchange_weak(&queue->history, &before, after));
}

/* Decisions are in the outbox; MNFQ_I_VERDICT_MIXED: with changes. */
void mnfq_i_unanswered_put(struct mnfq_queue *queue, uint32_t verdict)
{
	queue->putting = both(queue->putting, verdict);
	remember(queue, verdict);
}

/* The outbox was sent. */
void mnfq_i_unanswered_sent(struct mnfq_queue *queue)
{
	if (queue->sent_round < queue->sock->answered)
		queue->sent = MNFQ_I_VERDICT_NONE;
	queue->sent = both(queue->sent, queue->putting);
	queue->sent_round = queue->sock->round;
	queue->putting = MNFQ_I_VERDICT_NONE;
}

/* A decision was sent by itself, perhaps by another thread. Before its packet counts as decided. */
void mnfq_i_unanswered_late(struct mnfq_queue *queue, uint32_t verdict)
{
	remember(queue, verdict);
	atomic_fetch_add(&queue->sock->late, 1);
}

/* Was there ever another verdict than @verdict? What any thread may ask: whether that is answered is not known. */
bool mnfq_i_unanswered_varied(const struct mnfq_queue *queue, uint32_t verdict)
{
	const uint32_t history = atomic_load(&queue->history);

	return history != MNFQ_I_VERDICT_NONE && history != verdict;
}

/* Have all answers been read to what was sent before the ring was filled? */
static bool all_read(const struct mnfq_socket *sock)
{
	const struct mnfq_ring *ring = sock->ring;
	unsigned int i;

	for (i = sock->ring_at; sock->emptied && i < sock->ring_count; i++) {
		const struct nlmsghdr *nlh = ring->iovecs[i].iov_base;

		if (ring->messages[i].msg_len >= NLMSG_HDRLEN && nlh->nlmsg_type == NLMSG_ERROR)
			return false;
	}
	return sock->emptied;
}

static bool agree(const struct mnfq_queue *queue, uint32_t verdict)
{
	return queue->late_seen == queue->sock->late_answered &&
	       (queue->sent_round < queue->sock->answered || queue->sent == MNFQ_I_VERDICT_NONE ||
		queue->sent == verdict);
}

/*
 * So much was read. In the receive buffer it took up no more than this: the kernel rounds what it
 * allocates up to a power of two, and adds its own structures.
 */
void mnfq_i_unanswered_passed(struct mnfq_socket *sock, size_t messages, size_t bytes)
{
	sock->passed += 2048 * (uint64_t)messages + 4 * (uint64_t)bytes;
}

/*
 * May answers have been lost? A wait must not begin before the receive buffer was found empty: only then it is
 * known, and the packets of a lost answer are decided.
 */
bool mnfq_i_unanswered_unsure(const struct mnfq_socket *sock)
{
	return sock->overran || sock->passed >= (uint64_t)sock->buffer;
}

/*
 * The receive buffer is empty. Is there an answer that it had no room for? It was never full if all that
 * was read since it was empty before could not fill it. Otherwise the kernel's counter says whether
 * anything was dropped.
 */
bool mnfq_i_unanswered_lost(struct mnfq_socket *sock)
{
	bool lost;

	if (sock->passed >= (uint64_t)sock->buffer)
		mnfq_i_count_overruns(sock);
	lost = sock->overran;
	sock->passed = 0;
	sock->overran = false;
	return lost;
}

/* May there be a packet that was refused another verdict than @verdict? */
bool mnfq_i_unanswered_differ(const struct mnfq_queue *queue, uint32_t verdict)
{
	struct mnfq_socket *sock = queue->sock;

	if (agree(queue, verdict))
		return false;
	if (!all_read(sock))
		return true;
	sock->answered = sock->round;
	sock->late_answered = sock->late_before;
	return !agree(queue, verdict);
}
