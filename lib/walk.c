// SPDX-License-Identifier: MIT
/*
 * The walk of a packet. A round receives one batch into the ring, and goes through its messages one by one:
 * a packet becomes a view, which a callback or the caller decides; the verdicts gather in the outbox.
 *
 *   kernel --recvmmsg--> ring --packet.c--> view --callback--> verdict --verdict.c--> outbox
 *   kernel <---------------------------- one sendmsg --------------------------------'
 *
 * No memory is allocated and no system call made for each packet.
 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>

#include "backlog.h"
#include "handle.h"
#include "packet.h"
#include "queue-end.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "wire.h"

/* Is the rest not to be handled any more, or not now? */
static bool is_over(struct mnfq_socket *sock)
{
	return sock->closing ||
	       (sock->stops && atomic_load_explicit(&sock->stop, memory_order_relaxed));
}

/* From the backlog, if there is one, there is at most a batch. */
void mnfq_i_walk_begin(struct mnfq_socket *sock, bool pulled)
{
	sock->walk = (struct mnfq_i_walk){ .backlog = sock->backlog ? mnfq_i_batch(sock) : 0,
					   .pulled = pulled };
	sock->ring_at = sock->ring_count = 0;
}

/* The ring was filled with @count messages. */
void mnfq_i_walk_ring(struct mnfq_socket *sock, int count)
{
	sock->ring_count = (unsigned int)count;
	sock->round_bytes = sock->ring->filled;
}

static bool next_in_backlog(struct mnfq_socket *sock)
{
	struct mnfq_i_walk *walk = &sock->walk;
	struct mnfq_i_backlog *entry;

	if (walk->backlog == 0 || !sock->backlog)
		return false;
	entry = mnfq_i_backlog_pop(sock);
	entry->next = walk->taken;
	walk->taken = entry;
	walk->backlog--;
	walk->backlogged = true;
	walk->data = entry->data;
	walk->len = entry->len;
	return true;
}

static bool next_in_ring(struct mnfq_socket *sock)
{
	const struct mnfq_ring *ring = sock->ring;
	unsigned int i;

	while (sock->ring_at < sock->ring_count) {
		i = sock->ring_at++;
		if (mnfq_i_from_kernel(&ring->senders[i], sizeof(ring->senders[i]))) {
			sock->walk.backlogged = false;
			sock->walk.data = ring->iovecs[i].iov_base;
			sock->walk.len = ring->messages[i].msg_len;
			return true;
		}
		sock->stats.forged++;
	}
	return false;
}

static bool next_datagram(struct mnfq_socket *sock)
{
	return !is_over(sock) && (next_in_backlog(sock) || next_in_ring(sock));
}

/* The next message of the datagram, which are aligned to 4 bytes. Returns a packet in hand, or NULL. */
static struct mnfq_packet *take_message(struct mnfq_socket *sock)
{
	struct mnfq_i_walk *walk = &sock->walk;
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)walk->data;
	struct mnfq_packet *packet = &sock->ring->packets[walk->packets];
	const uint8_t *data = walk->data;
	const size_t len = walk->len;
	size_t whole;

	walk->len = 0;
	whole = len < NLMSG_HDRLEN ? 0 : nlh->nlmsg_len;
	if (whole < NLMSG_HDRLEN ||
	    (whole > len && nlh->nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_PACKET))) {
		sock->stats.malformed++;
		return NULL;
	}
	if (NLMSG_ALIGN(whole) < len) {
		walk->data += NLMSG_ALIGN(whole);
		walk->len = len - NLMSG_ALIGN(whole);
	}
	if (nlh->nlmsg_type == MNFQ_I_MSG(NFQNL_MSG_PACKET))
		return mnfq_i_handle_packet(sock, packet, data, len, walk->backlogged);
	if (nlh->nlmsg_type == NLMSG_ERROR)
		mnfq_i_handle_error(sock, data, whole, walk->backlogged);
	return NULL;
}

static void default_in_hand(struct mnfq_socket *sock, const struct mnfq_queue *queue)
{
	struct mnfq_packet *packet = sock->ring->packets, *end = packet + sock->walk.packets;

	for (; packet < end; packet++)
		if (packet->in_hand && (!queue || packet->queue == queue))
			mnfq_i_handle_default(packet);
}

/* What a callback, or another thread, asked for but could not be done under the feet of a callback. */
void mnfq_i_walk_unbind(struct mnfq_socket *sock)
{
	const bool in_round = mnfq_i_in_round(sock);
	struct mnfq_queue *queue, *next;

	atomic_store(&sock->deferred_unbind, false);
	for (queue = sock->queues; queue; queue = next) {
		next = queue->next;
		if (!atomic_load(&queue->closing))
			continue;
		if (in_round) {
			sock->walk.keeps = true;
			default_in_hand(sock, queue);
			(void)mnfq_i_flush(sock);
		}
		mnfq_i_request_start(sock);
		mnfq_i_queue_end(queue, true);
	}
}

/* The next packet, which is in hand from here on. NULL: there is none left in this round, or it is over. */
static struct mnfq_packet *next_packet(struct mnfq_socket *sock)
{
	struct mnfq_i_walk *walk = &sock->walk;
	struct mnfq_packet *packet = NULL;

	while (!walk->keeps && walk->packets > 0 &&
	       !sock->ring->packets[walk->packets - 1].in_hand)
		walk->packets--; /* mostly the same few cache lines again */
	while (!packet) {
		if (sock->deferred_unbind)
			mnfq_i_walk_unbind(sock);
		if (sock->closing || walk->packets == sock->ring->slots ||
		    (walk->len == 0 && !next_datagram(sock)))
			return NULL;
		packet = take_message(sock);
	}
	walk->packets += walk->pulled;
	return packet;
}

/* Has the callbacks decide their packets. Returns the next one of a queue without a callback, or NULL. */
struct mnfq_packet *mnfq_i_walk_call(struct mnfq_socket *sock)
{
	struct mnfq_packet *packet;
	uint32_t verdict;

	sock->in_callback = true;
	while ((packet = next_packet(sock)) && packet->queue->callback) {
		mnfq_i_guard_give(sock->guard);
		verdict = packet->queue->callback(packet, packet->queue->data);
		mnfq_i_guard_take(sock->guard);
		if (packet->in_hand) /* else it was decided in there */
			mnfq_i_handle_return(packet, verdict);
	}
	sock->in_callback = false;
	return packet;
}

/* The same for all, where nobody takes packets of a queue without a callback. */
void mnfq_i_walk_all(struct mnfq_socket *sock)
{
	struct mnfq_packet *packet;

	while ((packet = mnfq_i_walk_call(sock)))
		mnfq_i_handle_default(packet);
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

/* Handles a datagram in which there is nothing for a callback. */
static void handle_now(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	struct mnfq_packet *packet;

	sock->walk.backlogged = false;
	sock->walk.data = data;
	do {
		sock->walk.len = len;
		packet = take_message(sock);
		if (packet)
			mnfq_i_handle_default(packet);
		len = sock->walk.len;
	} while (len > 0);
}

static void put_back(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	if (mnfq_i_backlog_put_back(sock, data, len) < 0)
		sock->overran = true;
	sock->emptied = false;
}

/*
 * The rest comes first in the next round. Only messages for which there is no callback are handled now,
 * since queues that are bound later must not get them. Messages that do not fit in memory are lost, as
 * if the receive buffer had been full. Answers among the rest have not been handled, so the buffer does
 * not count as emptied.
 */
static void put_back_rest(struct mnfq_socket *sock)
{
	const struct mnfq_ring *ring = sock->ring;
	const uint8_t *data = sock->walk.data;
	const size_t left = sock->walk.len;
	unsigned int i;

	for (i = sock->ring_count; i-- > sock->ring_at;) {
		if (!mnfq_i_from_kernel(&ring->senders[i], sizeof(ring->senders[i])))
			sock->stats.forged++;
		else if (is_for_callback(sock, ring->iovecs[i].iov_base,
					 ring->messages[i].msg_len))
			put_back(sock, ring->iovecs[i].iov_base, ring->messages[i].msg_len);
		else
			handle_now(sock, ring->iovecs[i].iov_base, ring->messages[i].msg_len);
		sock->emptied = false;
	}
	if (left > 0)
		put_back(sock, data, left);
}

/* Packets that are still in hand get the default verdict, unless they were retained. */
void mnfq_i_walk_end(struct mnfq_socket *sock)
{
	struct mnfq_i_walk *walk = &sock->walk;
	struct mnfq_i_backlog *entry;

	default_in_hand(sock, NULL);
	walk->packets = 0;
	if (!sock->closing) { /* or else the end of its queues looks at the rest */
		put_back_rest(sock);
		sock->ring_count = 0;
	}
	while ((entry = walk->taken)) {
		walk->taken = entry->next;
		free(entry);
	}
	walk->len = 0;
}
