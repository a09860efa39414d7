// SPDX-License-Identifier: MIT
/* What becomes of a message: a packet is handed out, and its verdict taken; an answer to a verdict is counted. */
#include "handle.h"

#include <errno.h>

#include "clock.h"
#include "packet-retain.h"
#include "packet-set.h"
#include "packet.h"
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
void mnfq_i_handle_error(struct mnfq_socket *sock, const uint8_t *msg, size_t len,
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
		queue->decided_id = id - 1;
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

/* The lowest id in hand was that of @packet: finds the next one, which mostly is the next packet. */
static void find_lowest(struct mnfq_queue *queue, const struct mnfq_packet *packet)
{
	const struct mnfq_packet *packets = queue->sock->ring->packets, *next;
	const unsigned int n = queue->sock->walk.packets, at = (unsigned int)(packet - packets);
	unsigned int i;

	queue->in_hand_id = queue->next_id - 1;
	for (i = 1; i < n; i++) {
		next = &packets[(at + i) % n];
		if (!next->in_hand || next->queue != queue)
			continue;
		if (mnfq_i_after(queue->in_hand_id, next->id))
			queue->in_hand_id = next->id;
		if (next->id == packet->id + 1)
			return;
	}
}

/* A packet has its verdict, or that is put off. A new payload is gone. */
static void let_go(struct mnfq_packet *packet)
{
	struct mnfq_queue *queue = packet->queue;

	packet->in_hand = false;
	packet->decided = true;
	queue->in_hand--;
	if (queue->in_hand > 0 && queue->in_hand_id == packet->id)
		find_lowest(queue, packet);
	if (packet->changes.set & MNFQ_I_CHANGE_PAYLOAD)
		mnfq_i_packet_restore(packet);
	mnfq_i_release_pending(queue);
}

/* Puts a decision off: by its id, since it was not retained. What was changed would be lost with the packet. */
static int defer(struct mnfq_packet *packet)
{
	int err = packet->changes.set ? -EINVAL : mnfq_i_retain_id(packet->queue, packet->id);

	if (err == 0)
		packet->queue->stats.deferred++;
	return err;
}

/*
 * Takes the verdict for a packet in hand, or MNFQ_DEFER. Returns 0; -EALREADY: another thread decided the
 * copy; or, with the packet still in hand, -EINVAL, -ENOMEM, -EMSGSIZE.
 */
int mnfq_i_handle_verdict(struct mnfq_packet *packet, uint32_t verdict)
{
	struct mnfq_queue *queue = packet->queue;
	struct mnfq_i_decision decision;
	int err;

	if (verdict != MNFQ_DEFER && !mnfq_i_verdict_valid(verdict))
		return -EINVAL;
	if (packet->copied && mnfq_i_retain_settle(packet, verdict == MNFQ_DEFER)) {
		err = verdict == MNFQ_DEFER ? 0 : -EALREADY;
	} else if (verdict == MNFQ_DEFER) {
		err = defer(packet);
	} else {
		decision = mnfq_i_packet_decision(packet, queue->tag, verdict);
		err = mnfq_i_decide(queue, &decision);
	}
	if (err == 0 || err == -EALREADY)
		let_go(packet);
	return err;
}

/* The default verdict, unless the copy has one; @deferred: or else is to get one later. */
static void give_default(struct mnfq_packet *packet, bool deferred)
{
	if (!packet->copied || !mnfq_i_retain_settle(packet, deferred))
		decide_default(packet->queue, packet->id);
	let_go(packet);
}

/* The same where a packet must get a verdict: if it cannot be this one, the default one. */
void mnfq_i_handle_return(struct mnfq_packet *packet, uint32_t verdict)
{
	struct mnfq_queue *queue = packet->queue;
	int err = mnfq_i_handle_verdict(packet, verdict);

	if (err == 0 || err == -EALREADY)
		return;
	if (err == -EINVAL) {
		queue->stats.invalid++;
	} else {
		(void)mnfq_i_fail_unsent(queue->sock, err);
		queue->stats.unsent++;
	}
	give_default(packet, false);
}

/* The same for one that was in hand and got none: if it was retained, it is put off. */
void mnfq_i_handle_default(struct mnfq_packet *packet)
{
	give_default(packet, true);
}

/*
 * Before a callback: what was decided does not wait for it if the one before, or all since something
 * was sent, have taken long. The coarse clock costs a few nanoseconds, and steps by some ms.
 */
static void send_late(struct mnfq_socket *sock)
{
	int64_t now;

	if (sock->sent_at == 0 && !sock->open && mnfq_i_nothing_left(sock))
		return; /* a packet alone */
	now = mnfq_i_now_ms();
	if (sock->sent_at == 0)
		sock->sent_at = now;
	if (now - sock->sent_at < LATE_MS)
		return;
	(void)mnfq_i_flush(sock);
	sock->sent_at = mnfq_i_now_ms();
}

/*
 * Where a new payload of a packet is kept. The space in the ring is for one packet only: those that are
 * pulled while another one uses it, or that do so later, allocate their own.
 */
static void give_scratch(struct mnfq_ring *ring, struct mnfq_packet *packet)
{
	struct mnfq_packet *user = ring->scratch_user;

	packet->scratch = NULL;
	packet->allocates = user && user != packet && user->in_hand &&
			    (user->changes.set & MNFQ_I_CHANGE_PAYLOAD);
	if (packet->allocates)
		return;
	if (user && user != packet && user->in_hand) {
		user->scratch = NULL;
		user->allocates = true;
	}
	packet->scratch = ring->scratch;
	ring->scratch_user = packet;
}

static void hand_out(struct mnfq_queue *queue, struct mnfq_packet *packet)
{
	size_t len;

	send_late(queue->sock);
	if (mnfq_packet_get_length(packet, &len) < 0)
		len = packet->payload_len;
	queue->stats.packets++;
	queue->stats.bytes += len;
	packet->queue = queue;
	packet->in_hand = true;
	give_scratch(queue->sock->ring, packet);
	if (queue->in_hand++ == 0 || mnfq_i_after(queue->in_hand_id, packet->id))
		queue->in_hand_id = packet->id;
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
 * A packet of the kernel's, of which @packet becomes a view. Returns it if there is a callback, or a caller who
 * pulls, to decide it. One that arrived cut is decided by default; a malformed one is left to be found as a gap.
 */
struct mnfq_packet *mnfq_i_handle_packet(struct mnfq_socket *sock, struct mnfq_packet *packet,
					 const uint8_t *msg, size_t len, bool backlogged)
{
	struct mnfq_queue *queue;
	int err = mnfq_i_packet_parse(packet, msg, len);

	if (err == -EBADMSG || !mnfq_i_packet_has_id(packet)) {
		sock->stats.malformed++;
		return NULL;
	}
	queue = mnfq_i_handle_find(sock, mnfq_packet_get_queue_num(packet), backlogged);
	if (!queue) {
		count_unclaimed(sock, packet);
		return NULL;
	}
	check_order(queue, packet->id);
	sock->walk.handled++;
	if (err == -EMSGSIZE) {
		queue->stats.truncated++;
		decide_default(queue, packet->id);
		return NULL;
	}
	hand_out(queue, packet);
	return packet;
}
