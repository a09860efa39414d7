// SPDX-License-Identifier: MIT
/*
 * Packets that outlive their callback, to be decided later, in any order, by any thread. A queue
 * lists those that are undecided, oldest first; the socket's lock guards the lists and is held
 * while a verdict is sent, so that a packet counts as held until the kernel knows its verdict.
 */
#include "packet-retain.h"

#include <errno.h>
#include <stdlib.h>

#include "packet-set.h"
#include "packet.h"
#include "refs.h"
#include "refused.h"
#include "release.h"
#include "request.h"
#include "send.h"
#include "verdict.h"
#include "wire.h"

/* By id: one that was handed to us late goes where it belongs. */
static void insert(struct mnfq_queue *queue, struct mnfq_packet *packet)
{
	struct mnfq_packet *prev = queue->newest;

	while (prev && mnfq_i_after(prev->id, packet->id))
		prev = prev->prev;
	packet->prev = prev;
	packet->next = prev ? prev->next : queue->oldest;
	if (packet->next)
		packet->next->prev = packet;
	else
		queue->newest = packet;
	if (prev)
		prev->next = packet;
	else
		queue->oldest = packet;
	atomic_fetch_add(&queue->held, 1);
}

/* Takes a packet off the list, with all that waited for that. */
static void settle(struct mnfq_packet *packet)
{
	struct mnfq_queue *queue = packet->queue;
	uint32_t budget = mnfq_i_batch(queue->sock);
	int err;

	packet->decided = true;
	if (packet->counterpart)
		packet->counterpart->decided = true;
	if (packet->prev)
		packet->prev->next = packet->next;
	else
		queue->oldest = packet->next;
	if (packet->next)
		packet->next->prev = packet->prev;
	else
		queue->newest = packet->prev;
	packet->prev = packet->next = NULL;
	/*
	 * The receiver goes on with what is too much for one step, and has to try again what failed
	 * here, at once: it reports if that fails as well.
	 */
	err = mnfq_i_release(queue, mnfq_i_in_round(queue->sock) ? &queue->sock->release_budget
								 : &budget);
	if (err < 0)
		mnfq_i_queue_doubt(queue);
	if (err != 0)
		mnfq_i_wake(queue->sock);
	/* Last, because batch verdicts are allowed from here on. */
	atomic_fetch_sub(&queue->held, 1);
}

int mnfq_packet_retain(struct mnfq_packet **ret, struct mnfq_packet *packet)
{
	struct mnfq_packet *copy;
	uint8_t *msg;

	if (!ret || !packet || packet->retained || !mnfq_i_in_round(packet->queue->sock))
		return -EINVAL;
	if (packet->copied)
		return -EEXIST;
	copy = malloc(sizeof(*copy) + packet->msg_len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, packet, sizeof(*copy));
	msg = (uint8_t *)(copy + 1);
	memcpy(msg, packet->msg, packet->msg_len);
	copy->msg = msg;
	copy->scratch = NULL;
	copy->retained = true;
	copy->counterpart = packet;
	if (!(packet->changes.set & MNFQ_I_CHANGE_PAYLOAD)) {
		copy->payload = msg + (packet->payload - packet->msg);
	} else if (mnfq_i_packet_replace(copy, packet->payload, packet->payload_len) < 0) {
		free(copy);
		return -ENOMEM;
	}

	pthread_mutex_lock(&packet->queue->sock->lock);
	packet->copied = true;
	packet->counterpart = copy;
	atomic_fetch_add(&packet->queue->refs, 1);
	insert(packet->queue, copy);
	pthread_mutex_unlock(&packet->queue->sock->lock);
	*ret = copy;
	return 0;
}

/*
 * The callback that retained @packet returned. Returns whether nothing is left to decide: it put
 * the decision off, or the copy is decided already. A copy that was freed meanwhile without a
 * verdict counts for nothing: the callback's verdict decides.
 */
bool mnfq_i_retain_settle(struct mnfq_packet *packet, bool deferred)
{
	struct mnfq_socket *sock = packet->queue->sock;
	struct mnfq_packet *copy;
	bool done;

	mnfq_i_reserve(packet->queue, NULL);
	pthread_mutex_lock(&sock->lock);
	copy = packet->counterpart;
	done = packet->decided || (copy && deferred);
	if (copy) {
		copy->counterpart = NULL;
		if (!done)
			settle(copy);
	}
	pthread_mutex_unlock(&sock->lock);
	if (done && deferred)
		packet->queue->stats.deferred++;
	return done;
}

/* Sends the verdict for a packet on the list; with the lock held. */
static int send_decision(struct mnfq_queue *queue, const struct mnfq_i_decision *decision)
{
	int err;

	if (mnfq_i_in_round(queue->sock))
		return mnfq_i_decide(queue, decision);
	err = mnfq_i_decide_now(queue->sock, decision);
	if (err == 0)
		mnfq_i_count(&queue->late, decision);
	return err;
}

int mnfq_packet_decide(struct mnfq_packet *packet, enum mnfq_verdict verdict)
{
	struct mnfq_i_decision decision;
	struct mnfq_socket *sock;
	int err;

	if (!packet || !packet->retained || !mnfq_i_verdict_valid(verdict))
		return -EINVAL;
	sock = packet->queue->sock;
	decision = mnfq_i_packet_decision(packet, packet->queue->tag, verdict);
	mnfq_i_reserve(packet->queue, &decision);
	pthread_mutex_lock(&sock->lock);
	if (!packet->queue->bound)
		err = -ENODEV;
	else if (packet->decided)
		err = -EALREADY;
	else
		err = send_decision(packet->queue, &decision);
	if (err == 0)
		settle(packet);
	pthread_mutex_unlock(&sock->lock);
	return err;
}

struct mnfq_packet *mnfq_packet_free(struct mnfq_packet *packet)
{
	struct mnfq_i_decision decision = { .by_default = true };
	struct mnfq_queue *queue;

	if (!packet || !packet->retained)
		return NULL;
	queue = packet->queue;
	decision.tag = queue->tag;
	decision.id = packet->id;
	mnfq_i_reserve(queue, &decision);
	pthread_mutex_lock(&queue->sock->lock);
	if (packet->counterpart) { /* its callback is running, and decides it unless it is decided */
		packet->counterpart->counterpart = NULL;
		packet->counterpart = NULL;
	} else if (!packet->decided) {
		decision.verdict = queue->options.default_verdict;
		if (send_decision(queue, &decision) < 0) {
			mnfq_i_count(&queue->late, &decision);
			mnfq_i_release_later(queue, packet->id, packet->id);
		}
	}
	if (!packet->decided)
		settle(packet);
	pthread_mutex_unlock(&queue->sock->lock);
	free(packet->scratch);
	free(packet);
	mnfq_i_queue_unref(queue);
	return NULL;
}

/* Takes the oldest packets off the list of a queue that ends, and returns their ids. */
unsigned int mnfq_i_retain_take(struct mnfq_queue *queue, uint32_t *ids, unsigned int max)
{
	unsigned int n = 0;

	pthread_mutex_lock(&queue->sock->lock);
	for (; queue->oldest && n < max; n++) {
		ids[n] = queue->oldest->id;
		settle(queue->oldest);
	}
	pthread_mutex_unlock(&queue->sock->lock);
	return n;
}

/* The queue is about to be unbound, which decides all that it holds; with the lock held. */
void mnfq_i_retain_abandon(struct mnfq_queue *queue, uint32_t verdict)
{
	struct mnfq_i_decision decision = { .verdict = verdict, .by_default = true };

	queue->bound = false;
	queue->has_release = queue->has_release_next = false;
	while (queue->oldest) {
		mnfq_i_count(&queue->late, &decision);
		settle(queue->oldest);
	}
}

/* Copy and original may be used by two threads. */
void mnfq_packet_set_data(struct mnfq_packet *packet, void *data)
{
	struct mnfq_socket *sock;

	if (!packet)
		return;
	if (!packet->copied && !packet->retained) {
		packet->data = data;
		return;
	}
	sock = packet->queue->sock;
	pthread_mutex_lock(&sock->lock);
	packet->data = data;
	if (packet->counterpart && !packet->retained)
		packet->counterpart->data = data;
	pthread_mutex_unlock(&sock->lock);
}

void *mnfq_packet_get_data(const struct mnfq_packet *packet)
{
	struct mnfq_socket *sock;
	void *data;

	if (!packet)
		return NULL;
	if (!packet->retained)
		return packet->data;
	sock = packet->queue->sock;
	pthread_mutex_lock(&sock->lock);
	data = packet->data;
	pthread_mutex_unlock(&sock->lock);
	return data;
}

struct mnfq_queue *mnfq_packet_get_queue(const struct mnfq_packet *packet)
{
	struct mnfq_queue *queue;
	bool bound;

	if (!packet)
		return NULL;
	queue = packet->queue;
	if (!packet->retained)
		return queue;
	pthread_mutex_lock(&queue->sock->lock);
	bound = queue->bound;
	pthread_mutex_unlock(&queue->sock->lock);
	return bound ? queue : NULL;
}
