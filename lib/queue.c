// SPDX-License-Identifier: MIT
/* Queues: bind, configure, unbind. */
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backlog.h"
#include "error.h"
#include "explain.h"
#include "kernel-stats.h"
#include "options.h"
#include "packet-retain.h"
#include "portions.h"
#include "queue-end.h"
#include "refs.h"
#include "release.h"
#include "request.h"
#include "round.h"
#include "send.h"
#include "verdict.h"
#include "wake.h"
#include "walk.h"
#include "wire.h"

/* The one flag that the kernel has the other way round. */
#define INVERTED MNFQ_QUEUE_NO_GSO

/* Checks what the user asked for and fills in the defaults. */
static int normalise(struct mnfq_socket *sock, struct mnfq_queue_options *to,
		     const struct mnfq_queue_options *from)
{
	int err = mnfq_i_options_copy(to, sizeof(*to), from);

	if (err < 0)
		return mnfq_i_fail(
			&sock->error, err,
			"queue options: set .size to sizeof(struct mnfq_queue_options) "
			"and zero the rest");
	if (to->copy_mode > MNFQ_COPY_NONE)
		return mnfq_i_fail(&sock->error, -EINVAL, "queue options: no copy mode %u",
				   (unsigned int)to->copy_mode);
	if (to->copy_range > MNFQ_COPY_RANGE_MAX)
		return mnfq_i_fail(&sock->error, -EINVAL,
				   "queue options: copy range %u is above %u bytes",
				   to->copy_range, MNFQ_COPY_RANGE_MAX);
	if ((to->flags | to->flags_optional) & ~MNFQ_QUEUE_FLAGS)
		return mnfq_i_fail(&sock->error, -EINVAL, "queue options: unknown flags 0x%x",
				   (to->flags | to->flags_optional) & ~MNFQ_QUEUE_FLAGS);
	if (!mnfq_i_verdict_valid(to->default_verdict))
		return mnfq_i_fail(&sock->error, -EINVAL,
				   "queue options: default verdict 0x%x is no verdict",
				   (unsigned int)to->default_verdict);

	if (to->copy_mode == MNFQ_COPY_DEFAULT)
		to->copy_mode = MNFQ_COPY_PACKET;
	if (to->copy_mode != MNFQ_COPY_PACKET)
		to->copy_range = 0;
	else if (to->copy_range == 0)
		to->copy_range = MNFQ_COPY_RANGE_MAX;
	if (to->max_len == 0)
		to->max_len = MNFQ_MAX_LEN_DEFAULT;
	return 0;
}

static struct mnfq_i_settings to_kernel(const struct mnfq_queue_options *options)
{
	return (struct mnfq_i_settings){ .copy_mode = options->copy_mode,
					 .copy_range = options->copy_range,
					 .max_len = options->max_len,
					 .flags = options->flags ^ INVERTED,
					 .mask = MNFQ_QUEUE_FLAGS };
}

/* Some flags alone, which shows whether the kernel knows them. They are to be set anyway. */
static int request_flags(struct mnfq_socket *sock, uint16_t num, uint32_t flags)
{
	struct mnfq_i_settings only = { .flags = flags, .mask = flags };
	bool repeated;

	return mnfq_i_request(sock, num, NFQNL_CFG_CMD_NONE, &only, &repeated);
}

/*
 * A request with settings. The kernel does not report which flag it lacks, so those that the user
 * can do without are asked for one by one, and what it lacks is left out. Those that the user
 * insists on come first: if the kernel lacks one of them, nothing has been changed yet.
 */
static int request_settings(struct mnfq_socket *sock, uint16_t num, uint8_t command,
			    struct mnfq_i_settings *settings, uint32_t optional, bool *repeated)
{
	int err = mnfq_i_request(sock, num, command, settings, repeated);
	uint32_t flag, lacking = 0;

	optional &= settings->flags;
	if (err != -EOPNOTSUPP || !optional)
		return err;
	err = request_flags(sock, num, settings->flags & ~optional);
	if (err < 0 && err != -ENODEV)
		return err;
	for (flag = 1; flag & MNFQ_QUEUE_FLAGS; flag <<= 1) {
		if (!(optional & flag))
			continue;
		err = request_flags(sock, num, flag);
		if (err == -EOPNOTSUPP)
			lacking |= flag;
		else if (err < 0 && err != -ENODEV)
			return err;
	}
	settings->flags &= ~lacking;
	return mnfq_i_request(sock, num, command, settings, repeated);
}

/* Which of its packets were not taken is not known before the first one comes. */
static void drop_left(struct mnfq_queue *queue)
{
	uint32_t first;

	queue->synced = mnfq_i_backlog_find(queue->sock, queue->num, &first);
	if (!queue->synced) {
		/* A full queue would send no packet with an id. */
		(void)mnfq_i_release_all(queue);
		return;
	}
	queue->next_id = first;
	queue->decided_id = first - 1;
	if (mnfq_i_release_now(queue, first - 1, true) < 0)
		mnfq_i_release_later(queue, first - 1, first - 1);
}

/*
 * Packets that go on take time, so that it must be known between which ids they are. Far below the
 * others there are hardly any, unless another process put them there: dropped.
 */
static int decide_left(struct mnfq_queue *queue)
{
	struct mnfq_i_portions portions = { .queue = queue, .gaps = true, .size = 1 };
	struct mnfq_socket *sock = queue->sock;
	struct mnfq_kernel_stats stats;
	bool counted = mnfq_i_queues_look(sock, queue->num, &stats) == 0;
	uint32_t first;

	if (counted) /* what came before that is to be read */
		mnfq_i_request_read(sock);
	if (!mnfq_i_backlog_find(sock, queue->num, &first)) {
		if (!counted)
			return -ENODATA;
		first = (uint32_t)stats.last_id + 1;
	}
	queue->next_id = first;
	queue->decided_id = first - 1;
	if (counted &&
	    stats.waiting <= mnfq_i_backlog_count(sock, queue->num, (uint32_t)stats.last_id))
		return 0;
	portions.from = first - MNFQ_I_WAITING_MAX - 1;
	return mnfq_i_drop_up_to(queue, portions.from) == 0 &&
			       mnfq_i_portions_up_to(&portions, first - 1)
		       ? 0
		       : -ETIME;
}

/*
 * The socket owned the queue already: a former user of the socket had bound it. Packets that the former
 * reader took and did not decide get the default verdict; those that it did not take are ours.
 * Returns 0, -ETIME: there was no time for that; or -ENODATA: which they are is unknown.
 */
static int take_over(struct mnfq_queue *queue)
{
	if (queue->options.default_verdict != MNFQ_DROP)
		return decide_left(queue);
	drop_left(queue);
	return 0;
}

/*
 * Packets of a queue of this number that is gone must not be taken for ours, as ids begin anew.
 * They are in the receive buffer, or an enqueuing processor has still to put them there; the
 * latter ends with an RCU grace period, which is what a global membarrier waits for.
 */
static void settle_stale(struct mnfq_socket *sock)
{
	if (sock->stale)
		(void)syscall(SYS_membarrier, MNFQ_I_MEMBARRIER_GLOBAL, 0, 0);
	sock->stale = false;
}

/* The kernel drops what waits, in no time. Returns -ENODEV: it is gone, and so is what came of it. */
static int unbind_former(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;
	bool repeated;
	int err = mnfq_i_request(sock, queue->num, NFQNL_CFG_CMD_UNBIND, NULL, &repeated);

	if (err < 0 && !(err == -ENODEV && repeated))
		return err;
	sock->stale = true;
	settle_stale(sock);
	mnfq_i_request_read(sock);
	return -ENODEV;
}

/*
 * First the settings alone: that shows whether the socket owns the queue, and what is in the
 * receive buffer before the answer is from before the queue was bound.
 */
static int try_bind(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;
	uint16_t num = queue->num;
	struct mnfq_i_settings settings = to_kernel(&queue->options);
	bool repeated;
	int err = request_settings(sock, num, NFQNL_CFG_CMD_NONE, &settings,
				   queue->options.flags_optional, &repeated);

	queue->options.flags = settings.flags ^ INVERTED;
	if (err == 0) {
		err = take_over(queue);
		if (err == -ENODATA)
			err = unbind_former(queue);
	}
	if (err != -ENODEV)
		return err;

	(void)mnfq_i_backlog_purge(sock, num);
	err = mnfq_i_request(sock, num, NFQNL_CFG_CMD_BIND, &settings, &repeated);
	if (err == -EBUSY && repeated) /* the answer that was lost said yes */
		return 0;
	/* Without an answer it is unknown whether it is bound: a failure leaves nothing. */
	if (err < 0 && !sock->pending.answered) {
		(void)mnfq_i_request_send(sock, num, NFQNL_CFG_CMD_UNBIND, NULL);
		(void)mnfq_i_backlog_purge(sock, num);
		sock->stale = true;
	}
	return err;
}

/*
 * An owner that was killed right before may not have closed its socket yet. Finding out who it is
 * takes a moment, in which that happens: so it is reported only if a second try is refused as well.
 */
static int request_bind(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;
	struct mnfq_i_errmsg before;
	int explained, err;

	settle_stale(sock);
	mnfq_i_request_start(sock);
	err = try_bind(queue);
	if (err == 0)
		return 0;
	if (err == -ETIME)
		return mnfq_i_fail(
			&sock->error, -ETIMEDOUT,
			"queue %u: there was no time to decide all packets that its "
			"former reader left: try again, allow more (timeout_ms), or have "
			"them dropped (default_verdict)",
			queue->num);
	before = sock->error;
	explained = mnfq_i_explain_bind(sock, queue->num, queue->options.flags, err);
	if (explained != -EBUSY || try_bind(queue) < 0)
		return explained;
	sock->error = before;
	return 0;
}

static struct mnfq_queue *new_queue(struct mnfq_socket *sock, uint16_t num)
{
	struct mnfq_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	queue->slot = mnfq_i_slot_get(sock, num);
	if (!queue->slot) {
		free(queue);
		return NULL;
	}
	queue->sock = sock;
	queue->num = num;
	queue->tag = sock->tag | num;
	queue->next_id = 1;
	queue->synced = true;
	queue->putting = queue->sent = MNFQ_I_VERDICT_NONE;
	atomic_init(&queue->history, MNFQ_I_VERDICT_NONE);
	queue->bind_round = sock->round;
	atomic_init(&queue->refs, 1);
	return queue;
}

/* It is bound. */
static void add_queue(struct mnfq_queue *queue)
{
	queue->bound = true;
	queue->sock->pulls |= !queue->callback;
	mnfq_i_queue_link(queue);
	atomic_fetch_add(&queue->sock->refs, 1);
}

int mnfq_queue_bind(struct mnfq_queue **ret, struct mnfq_socket *sock, unsigned int num,
		    const struct mnfq_queue_options *options, mnfq_callback callback, void *data)
{
	struct mnfq_queue *queue;
	bool entered;
	int err;

	if (!sock)
		return -EINVAL;
	if (num > UINT16_MAX)
		return mnfq_i_fail(&sock->error, -EINVAL, "queue %u: numbers end at 65535", num);
	if (mnfq_i_queue_find(sock, (uint16_t)num))
		return mnfq_i_fail(&sock->error, -EEXIST,
				   "queue %u: this socket has bound it already", num);
	queue = new_queue(sock, (uint16_t)num);
	if (!queue)
		return mnfq_i_fail(&sock->error, -ENOMEM, "out of memory");
	queue->callback = callback;
	queue->data = data;
	err = normalise(sock, &queue->options, options);
	entered = mnfq_i_enter(sock);
	if (err == 0)
		err = request_bind(queue);
	if (err == 0)
		add_queue(queue);
	mnfq_i_leave(sock, entered);
	if (err < 0) {
		free(queue);
		return err;
	}
	if (ret)
		*ret = queue;
	return 0;
}

/* Changes settings of a queue that is running. */
static int change_settings(struct mnfq_queue *queue, struct mnfq_i_settings *settings,
			   uint32_t optional)
{
	struct mnfq_socket *sock = queue->sock;
	bool repeated;
	int err;

	mnfq_i_request_start(sock);
	err = request_settings(sock, queue->num, NFQNL_CFG_CMD_NONE, settings, optional,
			       &repeated);
	return err < 0 ? mnfq_i_explain_bind(sock, queue->num, settings->flags, err) : 0;
}

int mnfq_queue_configure(struct mnfq_queue *queue, const struct mnfq_queue_options *options)
{
	struct mnfq_queue_options wanted;
	struct mnfq_i_settings settings;
	bool entered;
	int err = queue ? normalise(queue->sock, &wanted, options) : -EINVAL;

	if (err < 0)
		return err;
	settings = to_kernel(&wanted);
	err = change_settings(queue, &settings, wanted.flags_optional);
	if (err < 0)
		return err;
	wanted.flags = settings.flags ^ INVERTED;
	entered = mnfq_i_enter(queue->sock);
	pthread_mutex_lock(&queue->sock->lock);
	queue->options = wanted;
	pthread_mutex_unlock(&queue->sock->lock);
	mnfq_i_leave(queue->sock, entered);
	return 0;
}

int mnfq_queue_set_flags(struct mnfq_queue *queue, uint32_t flags, uint32_t mask)
{
	struct mnfq_i_settings settings = { .flags = flags ^ (mask & INVERTED), .mask = mask };
	int err;

	if (!queue)
		return -EINVAL;
	if ((mask & ~MNFQ_QUEUE_FLAGS) || (flags & ~mask))
		return mnfq_i_fail(
			&queue->sock->error, -EINVAL,
			"queue %u: flags 0x%x with mask 0x%x: unknown, or not in the mask",
			queue->num, flags, mask);
	err = change_settings(queue, &settings, queue->options.flags_optional);
	if (err < 0)
		return err;
	flags = settings.flags ^ (mask & INVERTED);
	pthread_mutex_lock(&queue->sock->lock);
	queue->options.flags = (queue->options.flags & ~mask) | flags;
	pthread_mutex_unlock(&queue->sock->lock);
	return 0;
}

/* Is no call of dispatch, nor a round of another thread, nor a callback under way? None begins until mnfq_i_unuse(). */
static bool begin_unbind(struct mnfq_socket *sock)
{
	if (mnfq_i_use(sock, MNFQ_I_CHANGED) < 0)
		return false;
	if (mnfq_i_in_round(sock)) /* unless in a callback of one who pulls */
		mnfq_i_round_close(sock);
	if (atomic_load(&sock->dispatcher) == 0)
		return true;
	mnfq_i_unuse(sock);
	return false;
}

/* The thread of the round, or that dispatches the socket, does it, unless its call has ended before it saw that. */
static void unbind_later(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue->sock;

	atomic_fetch_add(&sock->refs, 1);
	atomic_store(&queue->closing, true);
	atomic_store(&sock->deferred_unbind, true);
	if (begin_unbind(sock)) {
		mnfq_i_walk_unbind(sock);
		mnfq_i_unuse(sock);
	} else if (!mnfq_i_in_round(sock)) {
		mnfq_i_wake_dispatch(sock);
	}
	mnfq_i_socket_unref(sock);
}

struct mnfq_queue *mnfq_queue_unbind(struct mnfq_queue *queue)
{
	struct mnfq_socket *sock = queue ? queue->sock : NULL;

	if (!queue)
		return NULL;
	if (!begin_unbind(sock)) {
		unbind_later(queue);
		return NULL;
	}
	mnfq_i_request_start(sock);
	mnfq_i_queue_end(queue, true);
	mnfq_i_unuse(sock);
	return NULL;
}

int mnfq_queue_get_options(const struct mnfq_queue *queue, struct mnfq_queue_options *options)
{
	if (!queue)
		return -EINVAL;
	if (!mnfq_i_options_sized(options))
		return mnfq_i_fail(
			&queue->sock->error, -EINVAL,
			"queue options: set .size to sizeof(struct mnfq_queue_options)");
	mnfq_i_options_return(options, &queue->options, sizeof(queue->options));
	return 0;
}

uint16_t mnfq_queue_get_num(const struct mnfq_queue *queue)
{
	return queue ? queue->num : 0;
}

void *mnfq_queue_get_data(const struct mnfq_queue *queue)
{
	return queue ? queue->data : NULL;
}

struct mnfq_socket *mnfq_queue_get_socket(const struct mnfq_queue *queue)
{
	return queue ? queue->sock : NULL;
}

int mnfq_queue_get_stats(const struct mnfq_queue *queue, struct mnfq_stats *stats)
{
	struct mnfq_stats sum = { 0 };

	if (!queue)
		return -EINVAL;
	if (!mnfq_i_options_sized(stats))
		return mnfq_i_fail(&queue->sock->error, -EINVAL,
				   "counters: set .size to sizeof(struct mnfq_stats)");
	mnfq_i_queue_count(queue, &sum);
	mnfq_i_options_return(stats, &sum, sizeof(sum));
	return 0;
}
