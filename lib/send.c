// SPDX-License-Identifier: MIT
/*
 * Messages on their way to the kernel. Within a round they gather in the outbox and leave with one
 * sendmsg; outside of it each is sent at once. The kernel handles a message before sendmsg returns.
 */
#include <errno.h>
#include <time.h>

#include "internal.h"

#define RETRY_MS 1000 /* how long a want of memory may last before verdicts are given up */

static int send_once(int fd, struct iovec *iov, size_t count)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr msg = { .msg_name = &kernel,
			      .msg_namelen = sizeof(kernel),
			      .msg_iov = iov,
			      .msg_iovlen = count };

	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Sends one piece of memory, whole messages. What passes by itself is waited for. */
int mnfq_i_send(struct mnfq_socket *sock, struct iovec *iov, size_t count)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int err, tries = 0;

	for (;;) {
		err = send_once(sock->fd, iov, count);
		if (err != -EINTR && err != -EAGAIN && err != -ENOBUFS && err != -ENOMEM)
			return err;
		if (err == -EINTR)
			continue;
		if (++tries > RETRY_MS)
			return err;
		nanosleep(&pause, NULL);
	}
}

/* Is this thread in a round of the socket, that is, in one of its callbacks? */
bool mnfq_i_in_round(struct mnfq_socket *sock)
{
	return atomic_load(&sock->dispatcher) == (uintptr_t)pthread_self();
}

/* Sends the outbox as it is; open runs stay open. What could not be sent is given up and told. */
int mnfq_i_outbox_send(struct mnfq_socket *sock)
{
	struct mnfq_i_outbox *outbox = &sock->ring->outbox;
	struct iovec iov = { .iov_base = outbox->bytes, .iov_len = outbox->len };
	int err;

	if (outbox->len == 0)
		return 0;
	err = mnfq_i_send(sock, &iov, 1);
	outbox->len = 0;
	if (err < 0)
		sock->failure =
			mnfq_i_fail(&sock->error, err,
				    "verdicts could not be sent (%m): their packets stay in "
				    "the kernel until the queue is unbound");
	return err;
}

/* Makes room for @need bytes. */
static int make_room(struct mnfq_socket *sock, size_t need)
{
	return sock->ring->outbox.len + need > sock->send_max ? mnfq_i_outbox_send(sock) : 0;
}

static int close_run(struct mnfq_queue *queue)
{
	int err = 0;

	if (queue->run.count > 0) {
		err = make_room(queue->sock, sizeof(struct mnfq_i_verdict_msg));
		mnfq_i_outbox_close_run(&queue->sock->ring->outbox, &queue->run, queue->num);
	}
	return err;
}

/* Ends all runs and sends everything. */
int mnfq_i_flush(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;
	int err = 0, last;

	for (queue = sock->queues; queue; queue = queue->next) {
		last = close_run(queue);
		err = err ? err : last;
	}
	last = mnfq_i_outbox_send(sock);
	return err ? err : last;
}

/*
 * Within a round: puts a decision into the outbox. A batch verdict reaches over all lower ids, so
 * there is none while one of them is held: those held are always older than what arrives.
 */
int mnfq_i_decide(struct mnfq_queue *queue, const struct mnfq_i_decision *decision)
{
	struct mnfq_socket *sock = queue->sock;
	bool in_order = !mnfq_i_after(queue->next_id, decision->id + 1);
	bool may_batch = in_order && atomic_load(&queue->held) == 0;
	int err = make_room(sock, mnfq_i_decision_room(decision));

	mnfq_i_outbox_put(&sock->ring->outbox, &queue->run, decision, may_batch);
	return err;
}

/* Outside of a round: sends a decision by itself. */
int mnfq_i_decide_now(struct mnfq_socket *sock, const struct mnfq_i_decision *decision)
{
	uint8_t head[MNFQ_I_HEAD_MAX] __attribute__((aligned(4)));
	uint8_t pad[NLA_ALIGNTO] = { 0 };
	struct iovec iov[3] = {
		{ .iov_base = head, .iov_len = mnfq_i_verdict_head(head, decision) },
		{ .iov_base = (void *)(uintptr_t)decision->payload,
		  .iov_len = decision->payload_len },
		{ .iov_base = pad,
		  .iov_len = NLA_ALIGN(decision->payload_len) - decision->payload_len },
	};

	return mnfq_i_send(sock, iov, decision->payload_len > 0 ? 3 : 1);
}

/* The default verdict for all that the kernel still holds up to @last, sent by itself. */
int mnfq_i_batch_now(struct mnfq_queue *queue, uint32_t last, uint32_t tag)
{
	struct mnfq_i_verdict_msg msg;
	struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };

	mnfq_i_verdict_batch((uint8_t *)&msg, queue->num, queue->options.default_verdict, last,
			     tag);
	return mnfq_i_send(queue->sock, &iov, 1);
}

/* Within a round: the default verdict for all that the kernel still holds up to @last. */
static int put_release(struct mnfq_queue *queue, uint32_t last)
{
	struct mnfq_i_outbox *outbox = &queue->sock->ring->outbox;
	int err = close_run(queue);
	int full = make_room(queue->sock, sizeof(struct mnfq_i_verdict_msg));

	outbox->len +=
		mnfq_i_verdict_batch(outbox->bytes + outbox->len, queue->num,
				     queue->options.default_verdict, last, MNFQ_I_TAG_RELEASE);
	return err ? err : full;
}

/*
 * Ids up to @last never reached us. Most often the kernel dropped those packets because our buffer
 * was full; but if somebody else took the messages, the packets still wait in the kernel. Decide
 * them by default, as soon as no older packet is held that such a batch would decide as well.
 */
int mnfq_i_gap(struct mnfq_queue *queue, uint32_t last)
{
	if (atomic_load(&queue->held) == 0)
		return put_release(queue, last);

	pthread_mutex_lock(&queue->sock->lock);
	if (queue->has_release) {
		queue->release_next = last;
		queue->has_release_next = true;
	} else {
		queue->release = last;
		queue->has_release = true;
		mnfq_i_release(queue); /* the last one may have been decided meanwhile */
	}
	pthread_mutex_unlock(&queue->sock->lock);
	return 0;
}

/*
 * Decides lost ids that had to wait, if nothing older is held any more; with the lock held. Two
 * marks suffice: the first stands still until it is passed, so that steady losses cannot push it
 * ahead for ever. As long as a mark is set, a packet is held.
 */
void mnfq_i_release(struct mnfq_queue *queue)
{
	while (queue->has_release &&
	       (!queue->oldest || mnfq_i_after(queue->oldest->id, queue->release))) {
		if (mnfq_i_in_round(queue->sock))
			(void)put_release(queue, queue->release);
		else
			(void)mnfq_i_batch_now(queue, queue->release, MNFQ_I_TAG_RELEASE);
		queue->has_release = queue->has_release_next;
		queue->release = queue->release_next;
		queue->has_release_next = false;
	}
}
