// SPDX-License-Identifier: MIT
/*
 * Packets that outlive their callback, to be decided later, in any order, by any thread. A queue
 * lists those that are undecided, oldest first; the socket's lock guards the lists and is held
 * while a verdict is sent, so that a packet counts as held until the kernel knows its verdict.
 */
#include "packet-retain.h"

#include <errno.h>
#include <stdlib.h>

#include "memory.h"
#include "packet-set.h"
#include "packet.h"
#include "refs.h"
#include "refused.h"
#include "release.h"
#include "request.h"
#include "send.h"
#include "verdict.h"
#include "wire.h"

/*
 * Takes a packet off the list, with all that waited for that; with the lock held. Unless it is a copy,
 * @entry is gone after this.
 */
void mnfq_i_retain_decided(struct mnfq_queue *queue, struct mnfq_i_held *entry)
{
	uint32_t budget = mnfq_i_batch(queue->sock);
	struct mnfq_packet *packet = entry->packet;
	int err;

	if (packet) {
		packet->decided = true;
		if (packet->counterpart)
			packet->counterpart->decided = true;
	}
	mnfq_i_held_remove(&queue->held_list, entry);
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

/* Holds the id of a packet in hand, which is decided by that later. Returns 0 or -ENOMEM. */
int mnfq_i_retain_id(struct mnfq_queue *queue, uint32_t id)
{
	bool done;

	pthread_mutex_lock(&queue->sock->lock);
	done = mnfq_i_held_add(&queue->held_list, id);
	if (done)
		atomic_fetch_add(&queue->held, 1);
	pthread_mutex_unlock(&queue->sock->lock);
	return done ? 0 : -ENOMEM;
}

static bool hold_copy(struct mnfq_packet *copy, struct mnfq_packet *packet)
{
	struct mnfq_queue *queue = packet->queue;
	bool done;

	copy->held.packet = copy;
	copy->held.id = packet->id;
	pthread_mutex_lock(&queue->sock->lock);
	done = mnfq_i_held_insert(&queue->held_list, &copy->held);
	if (done) {
		packet->copied = true;
		packet->counterpart = copy;
		atomic_fetch_add(&queue->refs, 1);
		atomic_fetch_add(&queue->held, 1);
	}
	pthread_mutex_unlock(&queue->sock->lock);
	return done;
}

/* A copy of @packet with its payload and settings. Returns 0 or -ENOMEM. */
static int copy_packet(struct mnfq_packet **ret, const struct mnfq_packet *packet)
{
	struct mnfq_packet *copy = malloc(sizeof(*copy) + packet->msg_len);
	uint8_t *msg;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, packet, sizeof(*copy));
	msg = (uint8_t *)(copy + 1);
	memcpy(msg, packet->msg, packet->msg_len);
	copy->msg = msg;
	copy->scratch = NULL;
	copy->in_hand = false;
	copy->retained = copy->allocates = true;
	if (!(packet->changes.set & MNFQ_I_CHANGE_PAYLOAD)) {
		copy->payload = msg + (packet->payload - packet->msg);
	} else if (mnfq_i_packet_replace(copy, packet->payload, packet->payload_len) < 0) {
		free(copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int mnfq_packet_retain(struct mnfq_packet **ret, struct mnfq_packet *packet)
{
	struct mnfq_packet *copy;
	int err;

	if (!ret || !packet || !packet->in_hand)
		return -EINVAL;
	if (packet->copied)
		return -EEXIST;
	err = copy_packet(&copy, packet);
	if (err < 0)
		return err;
	if (packet->memory) {
		mnfq_i_memory_hold(copy, packet);
	} else {
		copy->counterpart = packet;
		if (!hold_copy(copy, packet)) {
			free(copy->scratch);
			free(copy);
			return -ENOMEM;
		}
	}
	*ret = copy;
	return 0;
}

/*
 * A verdict is about to be given for @packet, which was retained, or it is put off. Returns whether nothing is
 * left to decide: it is put off, or the copy is decided already. A copy that was freed meanwhile without a
 * verdict counts for nothing: what is given here decides.
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
		copy->counterpart = packet->counterpart = NULL;
		if (!done)
			mnfq_i_retain_decided(packet->queue, &copy->held);
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
	err = mnfq_i_decide_now(queue, decision);
	if (err == 0)
		mnfq_i_count(&queue->late, decision);
	return err;
}

/* Decides a copy. Returns as mnfq_packet_decide(). */
int mnfq_i_retain_decide(struct mnfq_packet *packet, uint32_t verdict)
{
	struct mnfq_socket *sock = packet->queue->sock;
	struct mnfq_i_decision decision =
		mnfq_i_packet_decision(packet, packet->queue->tag, verdict);
	int err;

	decision.held = true;
	mnfq_i_reserve(packet->queue, &decision);
	pthread_mutex_lock(&sock->lock);
	if (!packet->queue->bound)
		err = -ENODEV;
	else if (packet->decided)
		err = -EALREADY;
	else
		err = send_decision(packet->queue, &decision);
	if (err == 0)
		mnfq_i_retain_decided(packet->queue, &packet->held);
	pthread_mutex_unlock(&sock->lock);
	return err;
}

struct mnfq_packet *mnfq_packet_free(struct mnfq_packet *packet)
{
	struct mnfq_i_decision decision = { .by_default = true, .held = true };
	struct mnfq_queue *queue;
	bool entered;

	if (packet && packet->memory)
		return mnfq_i_memory_free(packet);
	if (!packet || !packet->retained)
		return NULL;
	queue = packet->queue;
	entered = mnfq_i_enter(queue->sock);
	decision.tag = queue->tag;
	decision.id = packet->id;
	mnfq_i_reserve(queue, &decision);
	pthread_mutex_lock(&queue->sock->lock);
	if (packet->counterpart) { /* that is in hand, and decides it unless it is decided */
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
		mnfq_i_retain_decided(queue, &packet->held);
	pthread_mutex_unlock(&queue->sock->lock);
	mnfq_i_leave(queue->sock, entered);
	free(packet->scratch);
	free(packet);
	mnfq_i_queue_unref(queue);
	return NULL;
}

/* Takes the oldest packets off the list of a queue that ends, and returns their ids. */
unsigned int mnfq_i_retain_take(struct mnfq_queue *queue, uint32_t *ids, unsigned int max)
{
	struct mnfq_i_held *oldest;
	unsigned int n = 0;

	pthread_mutex_lock(&queue->sock->lock);
	for (; (oldest = queue->held_list.oldest) && n < max; n++) {
		ids[n] = oldest->id;
		mnfq_i_retain_decided(queue, oldest);
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
	while (queue->held_list.oldest) {
		mnfq_i_count(&queue->late, &decision);
		mnfq_i_retain_decided(queue, queue->held_list.oldest);
	}
}

/* Copy and original may be used by two threads. */
void mnfq_packet_set_data(struct mnfq_packet *packet, void *data)
{
	struct mnfq_socket *sock;

	if (!packet)
		return;
	if (packet->memory) {
		mnfq_i_memory_set_data(packet, data);
		return;
	}
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
	if (!packet->retained || packet->memory)
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
	if (!packet->retained || !queue)
		return queue;
	pthread_mutex_lock(&queue->sock->lock);
	bound = queue->bound;
	pthread_mutex_unlock(&queue->sock->lock);
	return bound ? queue : NULL;
}
