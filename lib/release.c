// SPDX-License-Identifier: MIT
/*
 * Which undecided packets of a queue are to get the default verdict, and how many of them at once: an
 * accepted packet goes on with its path within our sendmsg, and how long that takes depends on the
 * rules of the namespace. So a release has steps of no more ids than a round may have
 * packets. No I/O.
 */
#include "release.h"

#include "clock.h"
#include "packet.h"
#include "refs.h"
#include "wire.h"

/*
 * Remembers that all up to @last is to be released when nothing older is held any more. It may be
 * many packets only from @first on.
 */
void mnfq_i_release_later(struct mnfq_queue *queue, uint32_t first, uint32_t last)
{
	pthread_mutex_lock(&queue->sock->lock);
	if (!queue->has_release) {
		queue->release_from = first;
		queue->release = last;
		queue->has_release = true;
	} else if (mnfq_i_after(last, queue->release)) {
		if (!queue->has_release_next || mnfq_i_after(last, queue->release_next))
			queue->release_next = last;
		queue->has_release_next = true;
	} else if (mnfq_i_after(queue->release, last)) { /* an earlier one that failed */
		if (!queue->has_release_next)
			queue->release_next = queue->release;
		queue->has_release_next = true;
		queue->release_from = first;
		queue->release = last;
	}
	pthread_mutex_unlock(&queue->sock->lock);
}

/* Ids that count as released at once. What is dropped goes no further, so that it costs nothing. */
uint32_t mnfq_i_release_cost(const struct mnfq_queue *queue, uint32_t first, uint32_t last)
{
	return queue->options.default_verdict == MNFQ_DROP ? 0 : last - first + 1;
}

/* Does a packet that must get a verdict of its own stand in the way of a release up to @last? */
static bool must_wait(const struct mnfq_queue *queue, uint32_t last, bool in_round)
{
	const struct mnfq_i_held *oldest = queue->held_list.oldest;

	return (oldest && !mnfq_i_after(oldest->id, last)) ||
	       (in_round && queue->in_hand > 0 && !mnfq_i_after(queue->in_hand_id, last));
}

/* The last id of the next step, which has @budget ids at most. False: there is none for now. */
bool mnfq_i_release_step(const struct mnfq_queue *queue, uint32_t budget, bool in_round,
			 uint32_t *last)
{
	if (!queue->has_release || mnfq_i_now_ms() < atomic_load(&queue->retry_at))
		return false;
	*last = queue->release;
	if (mnfq_i_release_cost(queue, queue->release_from, *last) > budget)
		*last = queue->release_from + budget - 1;
	return (budget > 0 || *last == queue->release) && !must_wait(queue, *last, in_round);
}

/* A step up to @last was made. What is to be released next begins behind what was so far. */
void mnfq_i_release_advance(struct mnfq_queue *queue, uint32_t last)
{
	queue->release_from = last + 1;
	if (last != queue->release)
		return;
	queue->release = queue->release_next;
	queue->has_release = queue->has_release_next;
	queue->has_release_next = false;
}

/* Is there a release that a packet which is held keeps back? */
static bool is_kept_back(struct mnfq_queue *queue)
{
	uint32_t last;
	bool possible;

	pthread_mutex_lock(&queue->sock->lock);
	possible = mnfq_i_release_step(queue, mnfq_i_batch(queue->sock),
				       mnfq_i_in_round(queue->sock), &last);
	pthread_mutex_unlock(&queue->sock->lock);
	return !possible;
}

/*
 * How long until the first release may be tried, in ms; negative if there is nothing to wait for. One
 * that a packet keeps back is not: the verdict of that packet releases what waits behind it, unless
 * that is during the pause after a failure.
 */
int64_t mnfq_i_release_left(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;
	int64_t left, first = -1;

	for (queue = sock->queues; queue; queue = queue->next) {
		if (!atomic_load(&queue->has_release))
			continue;
		left = atomic_load(&queue->retry_at);
		left = left == 0 ? 0 : left - mnfq_i_now_ms();
		left = left > 0 ? left : 0;
		if (left == 0 && is_kept_back(queue))
			continue;
		if (first < 0 || left < first)
			first = left;
	}
	return first;
}
