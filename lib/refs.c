// SPDX-License-Identifier: MIT
/* What a socket and its queues are held by: the last one to let go frees them. */
#include "refs.h"

#include <stdlib.h>

#include "verdict.h"

struct mnfq_socket *mnfq_i_socket_unref(struct mnfq_socket *sock)
{
	if (atomic_fetch_sub(&sock->refs, 1) != 1)
		return NULL;
	pthread_mutex_destroy(&sock->lock);
	free(sock);
	return NULL;
}

void mnfq_i_queue_unref(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;

	if (atomic_fetch_sub(&queue->refs, 1) != 1)
		return;
	free(queue);
	mnfq_i_socket_unref(sock);
}

/* Is this thread in a round of the socket, that is, in one of its callbacks? */
bool mnfq_i_in_round(struct mnfq_socket *sock)
{
	return atomic_load(&sock->dispatcher) == (uintptr_t)pthread_self();
}

struct mnfq_queue *mnfq_i_queue_find(struct mnfq_socket *sock, uint16_t num)
{
	struct mnfq_queue *queue = sock->recent;

	if (queue && queue->num == num)
		return queue;
	for (queue = sock->queues; queue; queue = queue->next) {
		if (queue->num == num) {
			sock->recent = queue;
			return queue;
		}
	}
	return NULL;
}

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
	pthread_mutex_lock(&queue->sock->lock);
	mnfq_i_stats_add(sum, &queue->stats);
	mnfq_i_stats_add(sum, &queue->outgoing);
	mnfq_i_stats_add(sum, &queue->late);
	mnfq_i_count_run(sum, &queue->run);
	sum->held += atomic_load(&queue->held);
	pthread_mutex_unlock(&queue->sock->lock);
}
