// SPDX-License-Identifier: MIT
/*
 * Sockets in the child after fork(), where they end without a word to the kernel. The child has one
 * thread. Those that the parent had may have held the lock, and may have been in the middle of changing a list:
 * in the order in which they do so, its forward links are right at every moment, the others are not.
 */
#include <stdlib.h>
#include <unistd.h>

#include "backlog.h"
#include "packet.h"
#include "refs.h"
#include "ring.h"

static void forget_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void forget_held(struct mnfq_queue *queue)
{
	struct mnfq_i_held *held;

	for (held = queue->held_list.oldest; held; held = held->next)
		if (held->packet)
			held->packet->decided = true;
	queue->held_list.oldest = queue->held_list.newest = NULL;
	queue->bound = false;
}

/* The packets in hand go with the ring, which another socket may be using; their copies do not. */
static void forget_originals(const struct mnfq_socket *sock)
{
	struct mnfq_packet *copy;
	unsigned int i;

	for (i = 0; i < sock->ring->slots; i++) {
		copy = sock->ring->packets[i].counterpart;
		if (copy && copy->queue->sock == sock)
			copy->counterpart = NULL;
	}
}

static void forget_queues(struct mnfq_queue *first)
{
	struct mnfq_queue *next;

	for (; first; first = next) {
		next = first->next;
		forget_held(first);
		mnfq_i_queue_unref(first);
	}
}

static void forget_backlog(struct mnfq_i_backlog *entry)
{
	struct mnfq_i_backlog *next;

	for (; entry; entry = next) {
		next = entry->next;
		free(entry);
	}
}

struct mnfq_socket *mnfq_socket_forget(struct mnfq_socket *sock)
{
	bool dispatched;

	if (!sock)
		return NULL;
	dispatched = atomic_load(&sock->use) == MNFQ_I_DISPATCHED;
	mnfq_i_socket_init_locks(sock);
	atomic_store(&sock->wake, -1);
	forget_fd(&sock->fd);
	forget_fd(&sock->wake_fd);
	forget_fd(&sock->queues_fd);
	sock->guard = NULL; /* the thread is not there, and may have had the outbox */
	if (mnfq_i_in_round(sock) && sock->in_callback) {
		sock->closing = true; /* by the end of the round, which cannot send any more */
		return NULL;
	}
	atomic_store(&sock->dispatcher, 0);
	forget_originals(sock);
	forget_queues(sock->queues);
	forget_queues(sock->ended);
	forget_backlog(sock->backlog);
	forget_backlog(sock->walk.taken);
	sock->ring = mnfq_ring_free(sock->ring);
	if (dispatched) /* by a thread that the child does not have */
		mnfq_i_socket_unref(sock);
	return mnfq_i_socket_unref(sock);
}
