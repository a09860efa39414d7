// SPDX-License-Identifier: MIT
/*
 * The end of a queue. What waits in the kernel gets the default verdict, unless that is to drop it:
 * the kernel does so by itself. An accepted packet goes on with its path within our sendmsg, and how
 * long that takes depends on the rules of the namespace; so they are decided in portions
 * until a deadline, and what is left then is dropped.
 */
#include "queue-end.h"

#include "backlog.h"
#include "packet-retain.h"
#include "packet.h"
#include "portions.h"
#include "refs.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "verdict.h"
#include "wire.h"

struct end {
	struct mnfq_i_portions portions;
	uint32_t ids[MNFQ_I_PORTION_MAX];
	unsigned int count; /* of ids that are to be decided, in ascending order, */
	unsigned int done;  /* and are decided */
};

/* No more packets than a portion has. Ids first and last. */
static bool decide_portion(struct end *end, uint32_t to)
{
	if (!mnfq_i_portions_next(&end->portions, to))
		return false;
	while (end->done < end->count && !mnfq_i_after(end->ids[end->done], end->portions.from))
		end->done++;
	return true;
}

/* All of the ids, and what is between them. */
static bool decide_ids(struct end *end)
{
	unsigned int last;

	end->done = 0;
	while (end->done < end->count) {
		last = end->done + end->portions.size;
		last = last < end->count ? last : end->count;
		if (!decide_portion(end, end->ids[last - 1]))
			return false;
	}
	return true;
}

/* What is held, oldest first. Other threads cannot decide it any more. */
static bool decide_held(struct end *end)
{
	struct mnfq_queue *queue = end->portions.queue;
	const struct mnfq_i_decision decision = { .verdict = queue->options.default_verdict,
						  .by_default = true };
	const struct mnfq_i_decision none = { .verdict = MNFQ_DROP, .by_default = true };
	bool in_time = true;
	unsigned int i;

	do {
		end->count = mnfq_i_retain_take(queue, end->ids, MNFQ_I_PORTION_MAX);
		in_time = decide_ids(end);
		pthread_mutex_lock(&queue->sock->lock);
		for (i = 0; i < end->count; i++)
			mnfq_i_count(&queue->late, i < end->done ? &decision : &none);
		pthread_mutex_unlock(&queue->sock->lock);
	} while (in_time && end->count > 0);
	return in_time;
}

/* The ids of a queue's first and last packet of those that the round has still to handle. */
static bool find_in_ring(struct mnfq_socket *sock, uint16_t num, uint32_t *first, uint32_t *last)
{
	const struct mnfq_ring *ring = sock->ring;
	struct mnfq_packet packet;
	bool found = false;
	unsigned int i;

	for (i = sock->ring_at; i < sock->ring_count; i++) {
		const struct nlmsghdr *nlh = ring->iovecs[i].iov_base;

		if (ring->senders[i].nl_pid != 0 || ring->messages[i].msg_len < NLMSG_HDRLEN ||
		    nlh->nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_PACKET))
			continue;
		(void)mnfq_i_packet_parse(&packet, ring->iovecs[i].iov_base,
					  ring->messages[i].msg_len);
		if (!mnfq_i_packet_has_id(&packet) || mnfq_packet_get_queue_num(&packet) != num)
			continue;
		*first = found ? *first : packet.id;
		*last = packet.id;
		found = true;
	}
	return found;
}

/* The packets still unread, from the backlog first; and those still in the ring. */
static void decide_unread(struct end *end)
{
	struct mnfq_queue *queue = end->portions.queue;
	uint32_t first, last;
	bool in_time = true;

	end->portions.gaps = queue->synced; /* else what is before the first id is not known */
	if (find_in_ring(queue->sock, queue->num, &first, &last)) {
		if (!queue->synced)
			end->portions.from = first - 1;
		queue->synced = end->portions.gaps = true;
		if (!mnfq_i_portions_up_to(&end->portions, last))
			return;
	}
	do {
		end->count = mnfq_i_request_gather(queue, end->ids, MNFQ_I_PORTION_MAX);
		if (end->count > 0 && !queue->synced)
			end->portions.from = end->ids[0] - 1;
		in_time = decide_ids(end);
		end->portions.gaps = true;
		mnfq_i_queue_count_unread(queue, queue->options.default_verdict, end->done);
		mnfq_i_queue_count_unread(queue, MNFQ_DROP, end->count - end->done);
		queue->synced = queue->synced || end->count > 0;
	} while (in_time && end->count > 0);
}

static void decide_by_default(struct mnfq_queue *queue)
{
	struct end end = { .portions = {
				   .queue = queue, .from = queue->next_id - 1, .size = 1 } };
	struct mnfq_i_portions *portions = &end.portions;
	const struct mnfq_i_held *oldest;

	mnfq_i_request_stop_queueing(queue);
	pthread_mutex_lock(&queue->sock->lock);
	queue->bound = false;
	portions->gaps = queue->has_release;
	if (queue->has_release)
		portions->from -= MNFQ_I_WAITING_MAX;
	if (queue->has_release && mnfq_i_after(portions->from, queue->release_from - 1))
		portions->from = queue->release_from - 1;
	oldest = queue->held_list.oldest;
	if (oldest && mnfq_i_after(portions->from, oldest->id - 1))
		portions->from = oldest->id - 1;
	queue->has_release = queue->has_release_next = false;
	pthread_mutex_unlock(&queue->sock->lock);
	if (decide_held(&end) &&
	    (!queue->synced || mnfq_i_portions_up_to(portions, queue->next_id - 1))) {
		portions->from = queue->next_id - 1;
		decide_unread(&end);
	}
	queue->next_id = portions->from + 1;
}

/* What is read on the way to the answer is counted: the kernel drops it. */
static void unbind(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;
	bool repeated;

	mnfq_i_queue_count_unread(queue, MNFQ_DROP, mnfq_i_backlog_purge(sock, queue->num));
	sock->ending = queue;
	mnfq_i_request_start(sock);
	(void)mnfq_i_request(sock, queue->num, NFQNL_CFG_CMD_UNBIND, NULL, &repeated);
	sock->ending = NULL;
	(void)mnfq_i_backlog_purge(sock, queue->num); /* refusals */
}

/*
 * Ends it, with the default verdict for the packets that wait, as far as the deadline of the call
 * allows. If another process reads from the socket, the kernel drops the packets that it took.
 */
void mnfq_i_queue_end(struct mnfq_queue *queue, bool wait)
{
	struct mnfq_socket *sock = queue->sock;

	if (queue->options.default_verdict != MNFQ_DROP && sock->fd >= 0)
		decide_by_default(queue);
	pthread_mutex_lock(&sock->lock);
	mnfq_i_retain_abandon(queue, MNFQ_DROP);
	pthread_mutex_unlock(&sock->lock);
	if (wait)
		unbind(queue);
	else
		(void)mnfq_i_request_send(sock, queue->num, NFQNL_CFG_CMD_UNBIND, NULL);
	mnfq_i_queue_unlink(queue);
	mnfq_i_queue_count(queue, &sock->stats);
	queue->unlinked = true;
	sock->stale = true;
	if (mnfq_i_in_round(sock)) { /* the end of the round lets go of it */
		queue->next = sock->ended;
		sock->ended = queue;
	} else {
		mnfq_i_queue_unref(queue);
	}
}
