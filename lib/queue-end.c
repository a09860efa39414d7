// SPDX-License-Identifier: MIT
/*
 * The end of a queue. What waits in the kernel gets the default verdict, unless that is to drop it:
 * the kernel does so by itself. An accepted packet goes on with its path within our sendmsg, and how
 * long that takes is up to whoever makes the rules of the namespace; so they are decided in portions
 * until a deadline, and what is left then is dropped.
 */
#include "queue-end.h"

#include "clock.h"
#include "packet-retain.h"
#include "packet.h"
#include "refs.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "verdict.h"
#include "wire.h"

#define PORTION_MAX 64
#define PORTION_NS  10000000 /* how long one should take at most */
#define HELD_MAX    65536u   /* packets, in a queue */

struct end {
	struct mnfq_queue *queue;
	uint32_t from;        /* all up to this id is decided */
	bool gaps;            /* packets may wait of which nobody here knows */
	unsigned int portion; /* how many packets the next one has */
	uint32_t ids[PORTION_MAX];
	unsigned int count; /* of ids that are to be decided, in ascending order, */
	unsigned int done;  /* and are decided */
};

static bool has_time(const struct end *end)
{
	return mnfq_i_now_ms() < end->queue->sock->deadline;
}

/* The default verdict up to id @to, but no more packets than a portion has. Ids first and last. */
static bool decide_portion(struct end *end, uint32_t to)
{
	const int64_t begin = mnfq_i_now_ns();

	if (end->gaps && mnfq_i_after(to, end->from + end->portion))
		to = end->from + end->portion;
	if (!has_time(end) || mnfq_i_release_now(end->queue, to, true) < 0)
		return false;
	end->from = to;
	while (end->done < end->count && !mnfq_i_after(end->ids[end->done], to))
		end->done++;
	end->portion = mnfq_i_next_batch(end->portion, end->portion, PORTION_MAX,
					 mnfq_i_now_ns() - begin, PORTION_NS);
	return true;
}

/* All up to @to. Returns whether there was time for it. */
static bool decide_up_to(struct end *end, uint32_t to)
{
	while (mnfq_i_after(to, end->from))
		if (!decide_portion(end, to))
			return false;
	return true;
}

/* All of the ids, and what is between them. */
static bool decide_ids(struct end *end)
{
	unsigned int last;

	end->done = 0;
	while (end->done < end->count) {
		last = end->done + end->portion;
		last = last < end->count ? last : end->count;
		if (!decide_portion(end, end->ids[last - 1]))
			return false;
	}
	return true;
}

/* What is held, oldest first. Other threads cannot decide it any more. */
static bool decide_held(struct end *end)
{
	struct mnfq_queue *queue = end->queue;
	const struct mnfq_i_decision decision = { .verdict = queue->options.default_verdict,
						  .by_default = true };
	const struct mnfq_i_decision none = { .verdict = MNFQ_DROP, .by_default = true };
	bool in_time = true;
	unsigned int i;

	do {
		end->count = mnfq_i_retain_take(queue, end->ids, PORTION_MAX);
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
		if (!mnfq_i_packet_has_id(&packet) || mnfq_i_packet_queue_num(&packet) != num)
			continue;
		*first = found ? *first : packet.id;
		*last = packet.id;
		found = true;
	}
	return found;
}

/* What nobody has read so far, from the backlog first; and what is still in the ring. */
static void decide_unread(struct end *end)
{
	struct mnfq_queue *queue = end->queue;
	uint32_t first, last;
	bool in_time = true;

	end->gaps = queue->synced; /* else what is before the first id is not known */
	if (find_in_ring(queue->sock, queue->num, &first, &last)) {
		if (!queue->synced)
			end->from = first - 1;
		queue->synced = end->gaps = true;
		if (!decide_up_to(end, last))
			return;
	}
	do {
		end->count = mnfq_i_request_gather(queue, end->ids, PORTION_MAX);
		if (end->count > 0 && !queue->synced)
			end->from = end->ids[0] - 1;
		in_time = decide_ids(end);
		end->gaps = true;
		mnfq_i_queue_count_unread(queue, queue->options.default_verdict, end->done);
		mnfq_i_queue_count_unread(queue, MNFQ_DROP, end->count - end->done);
		queue->synced = queue->synced || end->count > 0;
	} while (in_time && end->count > 0);
}

static void decide_by_default(struct mnfq_queue *queue)
{
	struct end end = { .queue = queue, .from = queue->next_id - 1, .portion = 1 };

	mnfq_i_request_stop_queueing(queue);
	pthread_mutex_lock(&queue->sock->lock);
	queue->bound = false;
	end.gaps = queue->has_release;
	if (queue->oldest)
		end.from = queue->oldest->id - 1;
	else if (queue->has_release)
		end.from -= HELD_MAX;
	queue->has_release = queue->has_release_next = false;
	pthread_mutex_unlock(&queue->sock->lock);
	if (decide_held(&end) && (!queue->synced || decide_up_to(&end, queue->next_id - 1))) {
		end.from = queue->next_id - 1;
		decide_unread(&end);
	}
	queue->next_id = end.from + 1;
}

static void unlink_queue(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;
	struct mnfq_queue **link = &sock->queues;

	while (*link != queue)
		link = &(*link)->next;
	*link = queue->next;
	if (sock->recent == queue)
		sock->recent = NULL;
	mnfq_i_queue_count(queue, &sock->stats);
	queue->unlinked = true;
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
 * Ends it, with the default verdict for what waits as far as the deadline of the call allows. If
 * somebody else reads from the socket there is more, of which he alone knows: the kernel drops that.
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
	unlink_queue(queue);
	sock->stale = true;
	if (mnfq_i_in_round(sock)) { /* the end of the round lets go of it */
		queue->next = sock->ended;
		sock->ended = queue;
	} else {
		mnfq_i_queue_unref(queue);
	}
}
