// SPDX-License-Identifier: MIT
/* What becomes of the messages of a datagram: packets go to the callbacks, answers to verdicts are counted. */
#include "handle.h"

#include <errno.h>

#include "clock.h"
#include "packet-retain.h"
#include "packet.h"
#include "queue-end.h"
#include "refused.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "verdict.h"
#include "wire.h"

#define LATE_MS 1 /* how old a decision gets before the next callback begins */

/* The queue of a message; one received before a queue was bound is for one that is gone. */
struct mnfq_queue *mnfq_i_handle_find(struct mnfq_socket *sock, uint16_t num, bool backlogged)
{
	struct mnfq_queue *queue = mnfq_i_queue_find(sock, num);

	return queue && (backlogged || queue->bind_round != sock->round) ? queue : NULL;
}

/* NLMSG_ERROR: the answer to a request, which request.c takes, or what became of a verdict. */
static void handle_error(struct mnfq_socket *sock, const uint8_t *msg, size_t len,
			 bool backlogged)
{
	struct nlmsgerr answer;

	if (mnfq_i_request_answer(sock, msg, len))
		return;
	if (len < NLMSG_HDRLEN + sizeof(answer)) {
		sock->stats.malformed++;
		return;
	}
	memcpy(&answer, msg + NLMSG_HDRLEN, sizeof(answer));
	if (answer.error <= 0 && mnfq_i_is_verdict(answer.msg.nlmsg_type))
		mnfq_i_answered(
			sock,
			mnfq_i_handle_find(sock, (uint16_t)answer.msg.nlmsg_pid, backlogged),
			&answer.msg, answer.error);
}

/* Ids that were skipped never reached us. */
static void check_order(struct mnfq_queue *queue, uint32_t id)
{
	if (!queue->synced) {
		/* Taken over: what the former reader left undecided is before this one. */
		queue->synced = true;
		mnfq_i_gap(queue, id - MNFQ_I_WAITING_MAX, id - 1);
	} else if (mnfq_i_after(id, queue->next_id)) {
		queue->stats.lost += id - queue->next_id;
		mnfq_i_gap(queue, queue->next_id, id - 1);
	} else if (id != queue->next_id) {
		return; /* handed to us late: next_id stays */
	}
	queue->next_id = id + 1;
}

static void decide_default(struct mnfq_queue *queue, uint32_t id)
{
	struct mnfq_i_decision decision = { .tag = queue->tag,
					    .id = id,
					    .verdict = queue->options.default_verdict,
					    .by_default = true };

	(void)mnfq_i_decide(queue, &decision);
}

static void decide(struct mnfq_queue *queue, struct mnfq_packet *packet, uint32_t verdict)
{
	struct mnfq_i_decision decision;
	int err;

	if (packet->copied && mnfq_i_retain_settle(packet, verdict == MNFQ_DEFER))
		return;
	if (!mnfq_i_verdict_valid(verdict)) {
		queue->stats.invalid++;
		decide_default(queue, packet->id);
		return;
	}
	decision = mnfq_i_packet_decision(packet, queue->tag, verdict);
	err = mnfq_i_decide(queue, &decision);
	if (err < 0) {
		(void)mnfq_i_fail_unsent(queue->sock, err);
		queue->stats.unsent++;
		decide_default(queue, packet->id);
	}
}

/*
 * Before a callback: what was decided does not wait for it if the one before, or all since something
 * was sent, have taken long. The coarse clock costs a few nanoseconds, and steps by some ms.
 */
static void send_late(struct mnfq_socket *sock)
{
	const int64_t now = mnfq_i_now_ms();

	if (sock->sent_at == 0)
		sock->sent_at = now;
	if (now - sock->sent_at < LATE_MS)
		return;
	(void)mnfq_i_flush(sock);
	sock->sent_at = mnfq_i_now_ms();
}

static void call(struct mnfq_queue *queue, struct mnfq_packet *packet)
{
	size_t len;

	send_late(queue->sock);
	if (mnfq_packet_get_length(packet, &len) < 0)
		len = packet->payload_len;
	queue->stats.packets++;
	queue->stats.bytes += len;
	queue->calling_id = packet->id;
	queue->calling = true;
	decide(queue, packet, queue->callback(packet, queue->data));
	queue->calling = false;
	mnfq_i_release_pending(queue);
}

/* A packet of no queue of ours, or of one that was unbound since the packet was received. */
static void count_unclaimed(struct mnfq_socket *sock, const struct mnfq_packet *packet)
{
	const uint16_t num = mnfq_packet_get_queue_num(packet);
	struct mnfq_queue *queue = sock->ended;

	while (queue && queue->num != num)
		queue = queue->next;
	if (queue)
		mnfq_i_queue_count_unread(queue,
					  mnfq_i_after(queue->next_id, packet->id)
						  ? queue->options.default_verdict
						  : MNFQ_DROP,
					  1);
	else
		sock->stats.unclaimed++;
}

/*
 * A packet of the kernel's. Returns whether it was handled: seen by a callback, or decided by
 * default because it arrived cut. A malformed one is left to be found as a gap.
 */
static int handle_packet(struct mnfq_socket *sock, const uint8_t *msg, size_t len,
			 bool backlogged)
{
	struct mnfq_packet packet;
	struct mnfq_queue *queue;
	int err = mnfq_i_packet_parse(&packet, msg, len);

	if (err == -EBADMSG || !mnfq_i_packet_has_id(&packet)) {
		sock->stats.malformed++;
		return 0;
	}
	queue = mnfq_i_handle_find(sock, mnfq_packet_get_queue_num(&packet), backlogged);
	if (!queue) {
		count_unclaimed(sock, &packet);
		return 0;
	}
	check_order(queue, packet.id);
	if (err == -EMSGSIZE) {
		queue->stats.truncated++;
		decide_default(queue, packet.id);
		return 1;
	}
	packet.queue = queue;
	packet.scratch = sock->ring->scratch;
	call(queue, &packet);
	return 1;
}

/* What the callback asked for but could not be done under its feet. */
static void unbind_deferred(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue, *next;

	sock->deferred_unbind = false;
	(void)mnfq_i_flush(sock);
	for (queue = sock->queues; queue; queue = next) {
		next = queue->next;
		if (!queue->closing)
			continue;
		mnfq_i_request_start(sock);
		mnfq_i_queue_end(queue, true);
	}
}

/* All messages of one datagram, aligned to 4 bytes. Returns how many packets were handled. */
int mnfq_i_handle_datagram(struct mnfq_socket *sock, const uint8_t *data, size_t len,
			   bool backlogged)
{
	int handled = 0;

	while (len >= NLMSG_HDRLEN) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;
		size_t whole = nlh->nlmsg_len;

		if (whole < NLMSG_HDRLEN)
			break;
		if (nlh->nlmsg_type == MNFQ_I_MSG(NFQNL_MSG_PACKET))
			handled += handle_packet(sock, data, len, backlogged);
		else if (whole > len)
			break;
		else if (nlh->nlmsg_type == NLMSG_ERROR)
			handle_error(sock, data, whole, backlogged);
		if (sock->deferred_unbind)
			unbind_deferred(sock);
		if (sock->closing || whole >= len || NLMSG_ALIGN(whole) >= len)
			return handled;
		data += NLMSG_ALIGN(whole);
		len -= NLMSG_ALIGN(whole);
	}
	sock->stats.malformed++;
	return handled;
}
