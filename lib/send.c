// SPDX-License-Identifier: MIT
/*
 * Messages on their way to the kernel. Within a round they gather in the outbox and leave with
 * one sendmsg; outside of it each is sent at once. The kernel handles a message before sendmsg
 * returns.
 */
#include "send.h"

#include <errno.h>
#include <time.h>

#include "clock.h"
#include "error.h"
#include "packet.h"
#include "refs.h"
#include "release.h"
#include "ring.h"
#include "sockopt.h"
#include "unanswered.h"
#include "verdict.h"
#include "wire.h"

#define RETRY_MS 1000 /* how long a want of memory may last before verdicts are given up */

/* Both releases that can wait, and before them the end of a run, and a release below that. */
#define RELEASE_ROOM (4 * sizeof(struct mnfq_i_verdict_msg))

/*
 * Sends whole messages to the kernel, at once or not at all. Without an address the kernel demands the
 * capability of who opened the socket as well, not only of who sends.
 */
static int send_once(int fd, struct iovec *iov, size_t count, bool address)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr msg = { .msg_name = address ? &kernel : NULL,
			      .msg_namelen = address ? sizeof(kernel) : 0,
			      .msg_iov = iov,
			      .msg_iovlen = count };
	ssize_t sent;

	do {
		if (count == 1) /* which costs less */
			sent = sendto(fd, iov->iov_base, iov->iov_len,
				      MSG_DONTWAIT | MSG_NOSIGNAL, msg.msg_name, msg.msg_namelen);
		else
			sent = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int mnfq_i_send_once(struct mnfq_socket *sock, struct iovec *iov, size_t count)
{
	return send_once(sock->fd, iov, count, true);
}

/* The same, but what passes by itself is waited for: never with the lock held. */
static int send_patiently(int fd, struct iovec *iov, size_t count, bool address)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int err, tries = 0;

	for (;;) {
		err = send_once(fd, iov, count, address);
		if (err != -EAGAIN && err != -ENOBUFS && err != -ENOMEM)
			return err;
		if (++tries > RETRY_MS)
			return err;
		nanosleep(&pause, NULL);
	}
}

static int send_whole(struct mnfq_socket *sock, struct iovec *iov, size_t count)
{
	return send_patiently(sock->fd, iov, count, true);
}

/* @ask_opener: only if who opened the socket had the right, too. */
int mnfq_i_send_request(struct mnfq_socket *sock, struct iovec *iov, bool ask_opener)
{
	return send_patiently(sock->fd, iov, 1, !ask_opener);
}

/*
 * Decisions that did not get to the kernel, a run that is open among them: their packets are to be
 * decided by default, before any batch verdict for others reaches over them. A release among them
 * does not wait for what is held above it.
 */
static void give_up(struct mnfq_queue *queue)
{
	uint64_t n;

	mnfq_i_count_run(&queue->outgoing, &queue->run);
	n = mnfq_i_count_decisions(&queue->outgoing);
	if (queue->has_put)
		mnfq_i_release_later(queue, queue->put, queue->put);
	queue->stats.unsent += n - queue->outgoing.defaulted;
	queue->stats.defaulted += n;
	mnfq_i_count_verdicts(&queue->stats, queue->options.default_verdict, n);
	queue->run.count = queue->run.by_default = 0;
	mnfq_i_release_past(queue);
}

/* Keeps that decisions could not be sent, for mnfq_i_report_unsent(); returns @err. */
int mnfq_i_fail_unsent(struct mnfq_socket *sock, int err)
{
	sock->failure = err;
	return err;
}

int mnfq_i_report_unsent(struct mnfq_socket *sock, int err)
{
	sock->failure = 0;
	return mnfq_i_fail(
		&sock->error, err,
		"verdicts could not be sent (%s): their packets get the default verdict "
		"of their queue",
		strerror(-err));
}

/* A verdict that is too large by itself becomes the default one of its queue. */
static void replace(struct mnfq_socket *sock, struct nlmsghdr *verdict)
{
	struct mnfq_queue *queue = sock->queues;

	while (queue && queue->tag != verdict->nlmsg_pid)
		queue = queue->next;
	if (!queue)
		return;
	mnfq_i_verdict_replace(verdict, queue->options.default_verdict, &queue->outgoing);
	queue->stats.unsent++;
	(void)mnfq_i_fail_unsent(sock, -EMSGSIZE);
}

/* Whole messages, as many at a time as the kernel takes at once. */
static int send_in_parts(struct mnfq_socket *sock, uint8_t *bytes, size_t len)
{
	struct iovec iov = { .iov_base = bytes };
	size_t at, whole;
	int err = 0;

	for (at = 0; at < len && err == 0; at += whole) {
		struct nlmsghdr *nlh = (struct nlmsghdr *)(bytes + at);

		whole = NLMSG_ALIGN(nlh->nlmsg_len);
		if (iov.iov_len > 0 && iov.iov_len + whole > sock->send_max) {
			err = send_whole(sock, &iov, 1);
			iov = (struct iovec){ .iov_base = bytes + at };
		}
		if (whole > sock->send_max)
			replace(sock, nlh);
		iov.iov_len += NLMSG_ALIGN(nlh->nlmsg_len);
		if (whole > sock->send_max && err == 0) { /* a gap follows */
			err = send_whole(sock, &iov, 1);
			iov = (struct iovec){ .iov_base = bytes + at + whole };
		}
	}
	return err < 0 || iov.iov_len == 0 ? err : send_whole(sock, &iov, 1);
}

/* Sends the outbox as it is; runs stay open unless that fails. */
static int send_outbox(struct mnfq_socket *sock)
{
	struct mnfq_i_outbox *outbox = &sock->ring->outbox;
	struct iovec iov = { .iov_base = outbox->bytes, .iov_len = outbox->len };
	struct mnfq_queue *queue;
	int err;

	if (outbox->len == 0)
		return 0;
	err = send_whole(sock, &iov, 1);
	if (err == -EMSGSIZE) { /* another user of the socket shrank its send buffer */
		sock->send_max = mnfq_i_get_send_max(sock->fd);
		err = send_in_parts(sock, outbox->bytes, outbox->len);
	}
	outbox->len = 0;
	if (sock->guard) {
		sock->guard->pending = false;
		sock->guard->sends++;
	}
	for (queue = sock->queues; queue; queue = queue->next) {
		if (err < 0)
			give_up(queue);
		else if (queue->putting == MNFQ_I_VERDICT_NONE)
			continue;
		else
			mnfq_i_stats_add(&queue->stats, &queue->outgoing);
		mnfq_i_unanswered_sent(queue);
		queue->guarded = queue->has_put = false;
		queue->outgoing = (struct mnfq_stats){ 0 };
	}
	return err < 0 ? mnfq_i_fail_unsent(sock, err) : 0;
}

/* Makes room for @need bytes. */
static void make_room(struct mnfq_socket *sock, size_t need)
{
	if (sock->ring->outbox.len + need > sock->send_max)
		(void)send_outbox(sock);
}

/* After a failure the kernel is asked to answer also if all is well. */
static size_t build_release(uint8_t *to, struct mnfq_queue *queue, uint32_t verdict,
			    uint32_t last)
{
	size_t len = mnfq_i_verdict_batch(to, queue->tag | MNFQ_I_TAG_RELEASE, verdict, last);

	if (atomic_load(&queue->retry_ms) > 0)
		((struct nlmsghdr *)to)->nlmsg_flags |= NLM_F_ACK;
	return len;
}

/* Something is in the outbox, or in a run that is open. */
static void note_pending(struct mnfq_socket *sock)
{
	if (sock->guard)
		sock->guard->pending = true;
}

/* Within a round: the default verdict for all up to @last, behind the outbox, which has room for it. */
static void put_batch(struct mnfq_queue *queue, uint32_t last)
{
	struct mnfq_i_outbox *outbox = &queue->sock->ring->outbox;

	mnfq_i_unanswered_put(queue, queue->options.default_verdict);
	note_pending(queue->sock);
	outbox->len += build_release(outbox->bytes + outbox->len, queue,
				     queue->options.default_verdict, last);
}

/* What lies below a run that is open goes ahead, since its batch verdict will reach over that. */
static void release_below(struct mnfq_queue *queue)
{
	put_batch(queue, queue->run.first - 1);
	queue->guarded = true;
}

/*
 * Ends a run. If packets before it may have been refused another verdict, they are released first. Once
 * for all that is sent together is enough: the kernel refuses all of it or nothing, and keeps its order.
 */
static void close_run(struct mnfq_queue *queue)
{
	if (queue->run.count == 0)
		return;
	make_room(queue->sock, 2 * sizeof(struct mnfq_i_verdict_msg));
	if (queue->run.count > 1 && !queue->guarded &&
	    mnfq_i_unanswered_differ(queue, queue->run.verdict))
		release_below(queue);
	if (queue->run.count > 0)
		mnfq_i_unanswered_put(queue, queue->run.verdict);
	mnfq_i_outbox_close_run(&queue->sock->ring->outbox, &queue->run, queue->tag,
				&queue->outgoing);
}

/* Ends all runs and sends everything. */
int mnfq_i_flush(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;

	for (queue = sock->queues; queue; queue = queue->next)
		close_run(queue);
	return send_outbox(sock);
}

/*
 * Is no packet with a lower id undecided, nor was one with a higher id decided before? Else a batch verdict for
 * this one could reach over the former, or where a verdict for the latter was refused, over that. With the
 * lock held for one that is held itself.
 */
static bool is_in_order(const struct mnfq_queue *queue, const struct mnfq_i_decision *decision)
{
	if (!mnfq_i_after(decision->id, queue->decided_id) ||
	    (queue->in_hand > 0 && mnfq_i_after(decision->id, queue->in_hand_id)))
		return false;
	return decision->held ? queue->held_list.oldest->id == decision->id
			      : atomic_load(&queue->held) == 0;
}

/*
 * Within a round: puts a decision into the outbox. A batch verdict reaches over all lower ids, so
 * there is none while one of them is undecided or waits for a release, nor for a packet that is decided out of
 * order. One that was decided by itself meanwhile may be refused yet: it ends a run, which
 * would reach over it. A release that waits comes behind the decision, which it may reach over.
 * -EMSGSIZE: it is larger than what the kernel takes at once.
 */
int mnfq_i_decide(struct mnfq_queue *queue, const struct mnfq_i_decision *decision)
{
	struct mnfq_socket *sock = queue->sock;
	size_t need = mnfq_i_decision_room(decision) + RELEASE_ROOM;
	bool may_batch;
	uint32_t late;

	if (need > sock->send_max)
		sock->send_max = mnfq_i_get_send_max(sock->fd);
	if (need > sock->send_max)
		return -EMSGSIZE;
	make_room(sock, need);
	may_batch = is_in_order(queue, decision) && !atomic_load(&queue->has_release);
	late = atomic_load(&sock->late); /* after `held` */
	if (late != queue->late_seen || mnfq_i_run_ends(&queue->run, decision, may_batch))
		close_run(queue);
	if (late != queue->late_seen)
		queue->guarded = false;
	queue->late_seen = late;
	mnfq_i_outbox_put(&sock->ring->outbox, &queue->run, decision, may_batch,
			  &queue->outgoing);
	note_pending(sock);
	if (mnfq_i_after(decision->id, queue->decided_id))
		queue->decided_id = decision->id;
	if (queue->run.count == 0)
		mnfq_i_unanswered_put(queue, mnfq_i_changes(decision, ~0u) ? MNFQ_I_VERDICT_MIXED
									   : decision->verdict);
	mnfq_i_release_pending(queue);
	return 0;
}

/*
 * Makes room for a decision (NULL: none) and the releases that follow from it, so that nothing has
 * to be sent, and so waited for, while the lock is held.
 */
void mnfq_i_reserve(struct mnfq_queue *queue, const struct mnfq_i_decision *decision)
{
	size_t need = decision ? mnfq_i_decision_room(decision) + RELEASE_ROOM : 0;

	if (mnfq_i_in_round(queue->sock))
		make_room(queue->sock, need + RELEASE_ROOM);
}

/* Outside of a round: sends a decision by itself. */
int mnfq_i_decide_now(struct mnfq_queue *queue, const struct mnfq_i_decision *decision)
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
	int err;

	err = mnfq_i_send_once(queue->sock, iov, decision->payload_len > 0 ? 3 : 1);
	mnfq_i_unanswered_late(queue, mnfq_i_changes(decision, ~0u) ? MNFQ_I_VERDICT_MIXED
								    : decision->verdict);
	return err;
}

/* The same with messages for packets of one queue, all with @verdict. */
int mnfq_i_decided_now(struct mnfq_queue *queue, uint8_t *bytes, size_t len, uint32_t verdict)
{
	struct iovec iov = { .iov_base = bytes, .iov_len = len };
	int err = mnfq_i_send_once(queue->sock, &iov, 1);

	mnfq_i_unanswered_late(queue, verdict);
	return err;
}

static int send_release(struct mnfq_queue *queue, uint32_t verdict, uint32_t last, bool patient)
{
	struct mnfq_i_verdict_msg msg;
	struct iovec iov = { .iov_base = &msg, .iov_len = sizeof(msg) };
	int err;

	build_release((uint8_t *)&msg, queue, verdict, last);
	err = patient ? send_whole(queue->sock, &iov, 1) : mnfq_i_send_once(queue->sock, &iov, 1);
	mnfq_i_unanswered_late(queue, verdict);
	return err;
}

/* The default verdict for all that the kernel still holds up to @last, sent by itself. */
int mnfq_i_release_now(struct mnfq_queue *queue, uint32_t last, bool patient)
{
	return send_release(queue, queue->options.default_verdict, last, patient);
}

/* All that the kernel still holds up to @last goes no further, which takes no time. */
int mnfq_i_drop_up_to(struct mnfq_queue *queue, uint32_t last)
{
	return send_release(queue, MNFQ_DROP, last, true);
}

/* The default verdict for all that there is, as far as that can be sent. */
int mnfq_i_release_all(struct mnfq_queue *queue)
{
	uint8_t bytes[MNFQ_I_ALL_SIZE] __attribute__((aligned(4)));
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };

	mnfq_i_verdict_all(bytes, queue->tag | MNFQ_I_TAG_RELEASE,
			   queue->options.default_verdict);
	return send_whole(queue->sock, &iov, 1);
}

/* Behind the run that is open, too. */
static void put_release(struct mnfq_queue *queue, uint32_t last)
{
	close_run(queue);
	make_room(queue->sock, sizeof(struct mnfq_i_verdict_msg));
	put_batch(queue, last);
	queue->put = last;
	queue->has_put = true;
}

/*
 * All that came so far and may still be undecided in the kernel is to be released. A run that is open
 * keeps its verdict: what lies below it goes ahead, since its batch will reach over that. No packet
 * down there is held, or there would be no run. Before the first packet of a queue that was taken
 * over its ids are not known, and "up to" any number would reach over half of them; that packet
 * shows a gap.
 */
void mnfq_i_release_past(struct mnfq_queue *queue)
{
	if (!queue->synced)
		return;
	if (queue->run.count > 0)
		make_room(queue->sock, sizeof(struct mnfq_i_verdict_msg)); /* may give it up */
	if (queue->run.count > 0)
		release_below(queue);
	else
		mnfq_i_release_later(queue, queue->next_id - 1, queue->next_id - 1);
}

/*
 * Releases what was to be released later, if nothing older is held any more; with the lock held. Two
 * marks suffice: the first stands still until it is passed, so that steady losses cannot push it
 * ahead for ever. While a round is under way only its own thread does this, because verdicts for
 * lower ids may be on their way through the outbox; the end of the round makes up for it, also for
 * releases that failed before: each goes by itself until the kernel answers one. No more than
 * @budget ids, from which it takes what it released. Returns whether a step more can follow at once,
 * or a negative errno.
 */
int mnfq_i_release(struct mnfq_queue *queue, uint32_t *budget)
{
	bool in_round = mnfq_i_in_round(queue->sock);
	uint32_t last;
	int err;

	if (in_round ? atomic_load(&queue->retry_ms) > 0
		     : atomic_load(&queue->sock->dispatcher) != 0)
		return 0;
	while (mnfq_i_release_step(queue, *budget, in_round, &last)) {
		if (in_round)
			put_release(queue, last);
		else if ((err = mnfq_i_release_now(queue, last, false)) < 0)
			return err;
		*budget -= mnfq_i_release_cost(queue, queue->release_from, last);
		mnfq_i_release_advance(queue, last);
	}
	return !in_round &&
	       mnfq_i_release_step(queue, mnfq_i_batch(queue->sock), in_round, &last);
}

/* The same within a round, without the lock held; nearly always there is nothing to do. */
void mnfq_i_release_pending(struct mnfq_queue *queue)
{
	if (!atomic_load(&queue->has_release))
		return;
	mnfq_i_reserve(queue, NULL);
	pthread_mutex_lock(&queue->sock->lock);
	(void)mnfq_i_release(queue, &queue->sock->release_budget);
	pthread_mutex_unlock(&queue->sock->lock);
}

/*
 * The ids from @first to @last never reached us. Most often the kernel dropped those packets because
 * our buffer was full; but if another reader took the messages, the packets still wait in the kernel.
 * Decide them by default, as soon as no older packet is held that such a batch would decide as
 * well; and if they are many, in steps, the first of them in this round.
 */
void mnfq_i_gap(struct mnfq_queue *queue, uint32_t first, uint32_t last)
{
	const uint32_t cost = mnfq_i_release_cost(queue, first, last);

	if (atomic_load(&queue->held) == 0 && !atomic_load(&queue->has_release) &&
	    cost <= queue->sock->release_budget) {
		put_release(queue, last);
		queue->sock->release_budget -= cost;
		return;
	}
	mnfq_i_release_later(queue, first, last);
	mnfq_i_release_pending(queue); /* the last one may have been decided meanwhile */
}
