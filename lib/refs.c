// SPDX-License-Identifier: MIT
/* What a socket and its queues are held by: the last one to let go frees them. */
#include "refs.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "verdict.h"

/* Is this thread in a round of the socket, that is, in one of its callbacks? */
bool mnfq_i_in_round(struct mnfq_socket *sock)
{
	return atomic_load(&sock->dispatcher) == (uintptr_t)pthread_self();
}

/* ---- queue numbers ---- */

static struct mnfq_i_slot **chain(const struct mnfq_socket *sock, uint16_t num)
{
	return &sock->slots[num & (sock->slots_size - 1)];
}

/* As many chains as slots, so that they stay short; without memory they get longer. */
static void grow(struct mnfq_socket *sock)
{
	struct mnfq_i_slot **old = sock->slots, **more, *slot;
	size_t i, size = sock->slots_size;

	more = calloc(size ? 2 * size : 8, sizeof(*more));
	if (!more)
		return;
	sock->slots = more;
	sock->slots_size = size ? 2 * size : 8;
	for (i = 0; i < size; i++) {
		while ((slot = old[i])) {
			old[i] = slot->next;
			slot->next = *chain(sock, slot->num);
			*chain(sock, slot->num) = slot;
		}
	}
	free(old);
}

static void free_slots(struct mnfq_socket *sock)
{
	struct mnfq_i_slot *slot;
	size_t i;

	for (i = 0; i < sock->slots_size; i++) {
		while ((slot = sock->slots[i])) {
			sock->slots[i] = slot->next;
			free(slot);
		}
	}
	free(sock->slots);
}

struct mnfq_i_slot *mnfq_i_slot_find(const struct mnfq_socket *sock, uint16_t num)
{
	struct mnfq_i_slot *slot = sock->slots_size > 0 ? *chain(sock, num) : NULL;

	while (slot && slot->num != num)
		slot = slot->next;
	return slot;
}

/* The same, but makes it if there is none. NULL: out of memory. It stays as long as the socket. */
struct mnfq_i_slot *mnfq_i_slot_get(struct mnfq_socket *sock, uint16_t num)
{
	struct mnfq_i_slot *slot = mnfq_i_slot_find(sock, num);

	if (slot)
		return slot;
	if (sock->slots_count >= sock->slots_size)
		grow(sock);
	if (sock->slots_size == 0)
		return NULL;
	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return NULL;
	slot->num = num;
	slot->end = &slot->first;
	slot->next = *chain(sock, num);
	*chain(sock, num) = slot;
	sock->slots_count++;
	return slot;
}

struct mnfq_queue *mnfq_i_queue_find(const struct mnfq_socket *sock, uint16_t num)
{
	const struct mnfq_i_slot *slot = mnfq_i_slot_find(sock, num);

	return slot ? slot->queue : NULL;
}

void mnfq_i_queue_link(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;

	queue->slot->queue = queue;
	queue->next = sock->queues;
	queue->link = &sock->queues;
	if (queue->next)
		queue->next->link = &queue->next;
	sock->queues = queue;
}

void mnfq_i_queue_unlink(struct mnfq_queue *queue)
{
	queue->slot->queue = NULL;
	*queue->link = queue->next;
	if (queue->next)
		queue->next->link = queue->link;
}

/* ---- references ---- */

void mnfq_i_socket_init_locks(struct mnfq_socket *sock)
{
	pthread_mutexattr_t attr;

	atomic_init(&sock->use, MNFQ_I_UNUSED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&sock->lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

struct mnfq_socket *mnfq_i_socket_unref(struct mnfq_socket *sock)
{
	if (atomic_fetch_sub(&sock->refs, 1) != 1)
		return NULL;
	pthread_mutex_destroy(&sock->lock);
	free_slots(sock);
	free(sock);
	return NULL;
}

void mnfq_i_queue_unref(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;

	if (atomic_fetch_sub(&queue->refs, 1) != 1)
		return;
	mnfq_i_held_free(&queue->held_list);
	free(queue);
	mnfq_i_socket_unref(sock);
}

/*
 * Of the threads that dispatch a socket, or unbind queues of it, one at a time does. Returns -EBUSY if a
 * call of dispatch is under way, perhaps of this thread.
 */
int mnfq_i_use(struct mnfq_socket *sock, enum mnfq_i_use use)
{
	int now = MNFQ_I_UNUSED;

	while (!atomic_compare_exchange_strong(&sock->use, &now, (int)use)) {
		if (now == MNFQ_I_DISPATCHED)
			return -EBUSY;
		now = MNFQ_I_UNUSED;
		sched_yield(); /* a queue is being unbound */
	}
	atomic_fetch_add(&sock->refs, 1); /* a callback may close it */
	return 0;
}

void mnfq_i_unuse(struct mnfq_socket *sock)
{
	atomic_store(&sock->use, MNFQ_I_UNUSED);
	mnfq_i_socket_unref(sock);
}

/* ---- counting ---- */

/* Packets that waited for a verdict without having been seen by a callback. */
void mnfq_i_queue_count_unread(struct mnfq_queue *queue, uint32_t verdict, uint64_t n)
{
	struct mnfq_stats *stats = queue->unlinked ? &queue->sock->stats : &queue->stats;

	stats->defaulted += n;
	mnfq_i_count_verdicts(stats, verdict, n);
}

/* Adds all that a queue counted, also what is on its way. */
void mnfq_i_queue_count(const struct mnfq_queue *queue, struct mnfq_stats *sum)
{
	const bool entered = mnfq_i_enter(queue->sock);

	pthread_mutex_lock(&queue->sock->lock);
	mnfq_i_stats_add(sum, &queue->stats);
	mnfq_i_stats_add(sum, &queue->outgoing);
	mnfq_i_stats_add(sum, &queue->late);
	mnfq_i_count_run(sum, &queue->run);
	sum->held += atomic_load(&queue->held);
	pthread_mutex_unlock(&queue->sock->lock);
	mnfq_i_leave(queue->sock, entered);
}
