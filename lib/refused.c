// SPDX-License-Identifier: MIT
/*
 * What the kernel answers to verdicts. It answers those that it refuses, and releases that ask for
 * it. EPERM has two meanings: the right is missing, then it answers only the first message of those
 * that were sent together and looks at none; or another socket owns the queue, then each message
 * for that queue is answered. A failure that lasts is reported once, until something works again.
 */
#include "refused.h"

#include <errno.h>

#include "clock.h"
#include "refs.h"
#include "send.h"
#include "wire.h"

#define BACK_OFF_MS     100 /* the first pause after releases that failed; it doubles */
#define BACK_OFF_MAX_MS 1000

/* Any queue may have undecided packets over which no batch may reach. */
void mnfq_i_answers_lost(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;

	for (queue = sock->queues; queue; queue = queue->next)
		mnfq_i_release_past(queue);
}

/* Releases failed: the next try has to wait. */
static void back_off(struct mnfq_queue *queue)
{
	unsigned int ms = atomic_load(&queue->retry_ms);
	int64_t now = mnfq_i_now_ms();

	if (now < atomic_load(&queue->retry_at))
		return; /* of the same try */
	ms = ms == 0 ? BACK_OFF_MS : 2 * ms < BACK_OFF_MAX_MS ? 2 * ms : BACK_OFF_MAX_MS;
	atomic_store(&queue->retry_ms, ms);
	atomic_store(&queue->retry_at, now + ms);
}

/* Has the next dispatch report @err, unless that was done already. */
void mnfq_i_queue_fail(struct mnfq_queue *queue, int err)
{
	back_off(queue);
	if (queue->reported == err)
		return;
	queue->reported = queue->failure = err;
	queue->sock->queue_failed = true;
}

/*
 * A release failed in another thread: the receiver is to try it by itself, at once, and begins a
 * pause only if that fails as well.
 */
void mnfq_i_queue_doubt(struct mnfq_queue *queue)
{
	unsigned int certain = 0;

	(void)atomic_compare_exchange_strong(&queue->retry_ms, &certain, BACK_OFF_MS / 2);
}

/* The kernel obeyed: a failure after this is a new one. */
static void works(struct mnfq_queue *queue)
{
	queue->reported = queue->failure = 0;
	atomic_store(&queue->retry_at, 0);
	atomic_store(&queue->retry_ms, 0);
}

/*
 * The answer to a verdict; @queue is NULL if its queue is gone. Packets that the kernel flushed
 * meanwhile are no failure of the loop.
 */
void mnfq_i_answered(struct mnfq_socket *sock, struct mnfq_queue *queue,
		     const struct nlmsghdr *request, int err)
{
	uint32_t tag = request->nlmsg_pid;

	if ((tag & MNFQ_I_TAG_OWN) != sock->tag)
		return; /* of another process that shares the descriptor */
	if ((tag & MNFQ_I_TAG_RELEASE) && (err == 0 || err == -ENOENT)) {
		if (queue)
			works(queue);
		return;
	}
	if (err == 0)
		return;
	if (err == -EPERM)
		mnfq_i_answers_lost(sock);
	if (!queue) {
		sock->stats.refused++;
		return;
	}
	queue->stats.refused++;
	if (err == -EPERM || err == -ENODEV)
		mnfq_i_queue_fail(queue, err);
	/* A release is for packets that no callback has seen. */
	if (!queue->options.refused || (tag & MNFQ_I_TAG_RELEASE))
		return;
	mnfq_i_guard_give(sock->guard);
	queue->options.refused(queue, request->nlmsg_seq, err, queue->data);
	mnfq_i_guard_take(sock->guard);
}
