// SPDX-License-Identifier: MIT
/* Verdicts that are not returned by a callback: for packets in hand, for copies, and by id. */
#include <errno.h>
#include <limits.h>

#include "handle.h"
#include "memory.h"
#include "packet-retain.h"
#include "packet.h"
#include "refs.h"
#include "send.h"
#include "unanswered.h"
#include "verdict.h"
#include "wire.h"

/* ---- by id ---- */

#define GROUP 64 /* verdicts that are sent together */

/* What is sent by itself: verdicts for packets of one queue. */
struct group {
	struct mnfq_queue *queue;
	uint32_t verdict;
	uint8_t bytes[2 * GROUP * sizeof(struct mnfq_i_verdict_msg)];
	struct mnfq_i_outbox outbox; /* in there */
	struct mnfq_i_run run;
	struct mnfq_stats stats; /* to be counted once it is sent */
	struct mnfq_i_held *entries[GROUP];
	unsigned int count;
	bool may_batch;
	struct mnfq_i_held *below; /* all held packets up to this one are in the group */
};

/* Ends a run. Ahead of a batch verdict goes a release if other verdicts may have been refused. */
static void close_group_run(struct group *group)
{
	struct mnfq_queue *queue = group->queue;
	struct mnfq_i_outbox *outbox = &group->outbox;

	if (group->run.count > 1 && mnfq_i_unanswered_varied(queue, group->verdict))
		outbox->len += mnfq_i_verdict_batch(
			outbox->bytes + outbox->len, queue->tag | MNFQ_I_TAG_RELEASE,
			queue->options.default_verdict, group->run.first - 1);
	mnfq_i_outbox_close_run(outbox, &group->run, queue->tag, &group->stats);
}

static void add_to_group(struct group *group, struct mnfq_i_held *entry)
{
	const struct mnfq_i_decision decision = { .tag = group->queue->tag,
						  .id = entry->id,
						  .verdict = group->verdict };
	const bool batch = group->may_batch && entry->prev == group->below;

	if (mnfq_i_run_ends(&group->run, &decision, batch))
		close_group_run(group);
	mnfq_i_outbox_put(&group->outbox, &group->run, &decision, batch, &group->stats);
	if (batch)
		group->below = entry;
	entry->taken = true;
	group->entries[group->count++] = entry;
}

/* Sends a group, with the lock held. Returns how many are decided, or a negative errno. */
static int send_group(struct group *group)
{
	struct mnfq_queue *queue = group->queue;
	unsigned int i;
	int err = 0;

	close_group_run(group);
	if (group->outbox.len > 0)
		err = mnfq_i_decided_now(queue, group->bytes, group->outbox.len, group->verdict);
	if (err == 0)
		mnfq_i_stats_add(&queue->late, &group->stats);
	for (i = 0; i < group->count; i++) {
		group->entries[i]->taken = false;
		if (err == 0)
			mnfq_i_retain_decided(queue, group->entries[i]);
	}
	return err < 0 ? err : (int)group->count;
}

/*
 * As many of @ids as a group has, or up to a copy, which is decided by itself; @done: how many of them were looked
 * at. With the lock held. No batch verdict is made while a round is under way: verdicts for packets below may be in
 * its outbox.
 */
static int decide_group(struct mnfq_queue *queue, const uint32_t *ids, size_t n, uint32_t verdict,
			size_t *done)
{
	struct group group = { .queue = queue, .verdict = verdict };
	struct mnfq_i_held *entry;
	int err;

	group.outbox.bytes = group.bytes;
	group.may_batch =
		atomic_load(&queue->sock->dispatcher) == 0 && !atomic_load(&queue->has_release);
	for (*done = 0; *done < n && group.count < GROUP; ++*done) {
		entry = mnfq_i_held_find(&queue->held_list, ids[*done]);
		if (!entry || entry->taken)
			continue;
		if (!entry->packet) {
			add_to_group(&group, entry);
			continue;
		}
		if (group.count > 0)
			break;
		err = mnfq_i_retain_decide(entry->packet, verdict);
		++*done;
		return err < 0 ? err : 1;
	}
	return send_group(&group);
}

/* With the lock held. NULL: it is not held. */
static struct mnfq_i_held *find_held(struct mnfq_queue *queue, uint32_t id, uint32_t verdict,
				     struct mnfq_i_decision *decision)
{
	struct mnfq_i_held *entry = mnfq_i_held_find(&queue->held_list, id);

	if (entry && entry->packet)
		*decision = mnfq_i_packet_decision(entry->packet, queue->tag, verdict);
	else
		*decision = (struct mnfq_i_decision){ .tag = queue->tag,
						      .id = id,
						      .verdict = verdict };
	decision->held = true;
	return entry;
}

/* In a round of this thread: into the outbox. Returns 1; 0: it is not held; or a negative errno. */
static int put(struct mnfq_queue *queue, uint32_t id, uint32_t verdict)
{
	struct mnfq_i_decision decision;
	struct mnfq_i_held *entry;
	int err = 0;

	pthread_mutex_lock(&queue->sock->lock);
	(void)find_held(queue, id, verdict, &decision);
	pthread_mutex_unlock(&queue->sock->lock);
	mnfq_i_reserve(queue, &decision);
	pthread_mutex_lock(&queue->sock->lock);
	entry = find_held(queue, id, verdict, &decision);
	if (entry)
		err = mnfq_i_decide(queue, &decision);
	if (entry && err == 0)
		mnfq_i_retain_decided(queue, entry);
	pthread_mutex_unlock(&queue->sock->lock);
	return err < 0 ? err : entry != NULL;
}

int mnfq_queue_decide(struct mnfq_queue *queue, const uint32_t *ids, size_t n,
		      enum mnfq_verdict verdict)
{
	size_t at = 0, done;
	int count = 0, err = 0;
	bool entered;

	if (!queue || (!ids && n > 0) || n > INT_MAX || !mnfq_i_verdict_valid(verdict))
		return -EINVAL;
	entered = mnfq_i_enter(queue->sock);
	while (at < n && err >= 0) {
		if (mnfq_i_in_round(queue->sock)) {
			err = put(queue, ids[at++], verdict);
		} else {
			pthread_mutex_lock(&queue->sock->lock);
			err = decide_group(queue, ids + at, n - at, verdict, &done);
			pthread_mutex_unlock(&queue->sock->lock);
			at += done;
		}
		count += err > 0 ? err : 0;
	}
	mnfq_i_leave(queue->sock, entered);
	return err < 0 && count == 0 ? err : count;
}

/* ---- packets ---- */

static int decide_view(struct mnfq_packet *packet, uint32_t verdict)
{
	struct mnfq_socket *sock;
	bool entered;
	int err;

	if (!packet->in_hand) /* its queue may be gone, too */
		return packet->decided ? -EALREADY : -EINVAL;
	sock = packet->queue->sock;
	if (!mnfq_i_take_over(sock) && !mnfq_i_in_round(sock))
		return -EINVAL;
	entered = mnfq_i_enter(sock);
	err = mnfq_i_handle_verdict(packet, verdict);
	mnfq_i_leave(sock, entered);
	return err;
}

int mnfq_packet_decide(struct mnfq_packet *packet, enum mnfq_verdict verdict)
{
	bool entered;
	int err;

	if (!packet)
		return -EINVAL;
	if (packet->memory)
		return mnfq_i_memory_decide(packet, verdict);
	if (!packet->retained)
		return decide_view(packet, verdict);
	if (!mnfq_i_verdict_valid(verdict))
		return -EINVAL;
	entered = mnfq_i_enter(packet->queue->sock);
	err = mnfq_i_retain_decide(packet, verdict);
	mnfq_i_leave(packet->queue->sock, entered);
	return err;
}
