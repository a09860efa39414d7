// SPDX-License-Identifier: MIT
/*
 * Coalescing, as network cards have it (interrupt moderation): while packets come so fast that several
 * arrive within a pause, there is one after each batch, and the next batch is larger. It is adaptive:
 *
 * - A packet after a longer time without one is received and decided at once, and so is the next one.
 * - A pause that gathered no second packet, as with requests of which each waits for the reply, is
 *   followed by batches without one, 1, 3, 7 and so on up to SKIP_MAX.
 * - Where pauses do not make packets cheaper there are none: that depends on how many they gather, on what
 *   a timer costs here (in a virtual machine as much as deciding ten packets), and on what it costs to be
 *   woken up by each. So the processor time with and without is compared now and then.
 * - What comes within a pause takes a quarter of the room in the queue and in the receive buffer at
 *   most, as far as the last batch says how fast that is.
 */
#include "coalesce.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include "clock.h"
#include "sockopt.h"
#include "wire.h"

#define SKIP_MAX  255
#define WINDOW    64 /* batches whose costs are compared */
#define KEEP_MAX  63 /* windows until they are compared again */
#define LOOK_EACH 64 /* pauses: what others can change is read anew */

/* What the kernel keeps of memory for a message: no more than twice its length and this. */
#define MESSAGE_MEMORY 1024u

/*
 * The kernel ends a sleep later by up to the timer slack of the thread, which must not be changed: the
 * user's own timers depend on it. So that much less is asked for. Real-time threads have none.
 */
static int64_t get_slack(void)
{
	const int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
	const int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);

	if (policy == SCHED_FIFO || policy == SCHED_RR)
		return 0;
	return slack < 0 ? INT64_MAX : slack; /* not known: a pause may last any time */
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How many packets still fit: into the fullest queue, and into the receive buffer. */
static uint64_t count_room(const struct mnfq_socket *sock, unsigned int packets)
{
	const uint64_t memory = 2 * sock->round_bytes / packets + MESSAGE_MEMORY;
	uint64_t room = (uint64_t)sock->coalesce.buffer / memory, held;
	const struct mnfq_queue *queue;

	for (queue = sock->queues; queue; queue = queue->next) {
		held = atomic_load(&queue->held);
		room = held < queue->options.max_len ? least(room, queue->options.max_len - held)
						     : 0;
	}
	return room;
}

/* What the thread and the socket are like. */
static void refresh(struct mnfq_socket *sock)
{
	struct mnfq_i_coalesce *coalesce = &sock->coalesce;
	int buffer;

	if (coalesce->looks > 0 && pthread_equal(coalesce->thread, pthread_self())) {
		coalesce->looks--;
		return;
	}
	if (!pthread_equal(coalesce->thread, pthread_self()))
		coalesce->cpu_at = 0; /* was of another one */
	coalesce->looks = LOOK_EACH;
	coalesce->thread = pthread_self();
	coalesce->slack = get_slack();
	buffer = mnfq_i_get_int(sock->fd, SOL_SOCKET, SO_RCVBUF);
	coalesce->buffer = buffer > 0 ? buffer : 0;
}

/* Did the pause before this batch gather anything? */
static bool was_worth_it(struct mnfq_i_coalesce *coalesce, unsigned int packets)
{
	if (!coalesce->paused)
		return true;
	coalesce->paused = false;
	if (packets > 1) {
		coalesce->skip_max = 0;
		return true;
	}
	coalesce->skip_max =
		coalesce->skip_max < SKIP_MAX ? 2 * coalesce->skip_max + 1 : SKIP_MAX;
	coalesce->skip = coalesce->skip_max;
	return false;
}

/* The other way costs so much: is it to be the usual one, by more than chance? */
static void choose(struct mnfq_i_coalesce *coalesce, int64_t cost)
{
	coalesce->compares = false;
	if (cost < coalesce->cost - coalesce->cost / 20) {
		coalesce->keep_max = 1;
		coalesce->cost = cost;
	} else {
		coalesce->off = !coalesce->off;
		coalesce->keep_max =
			coalesce->keep_max < KEEP_MAX ? 2 * coalesce->keep_max + 1 : KEEP_MAX;
	}
	coalesce->keep = coalesce->keep_max;
}

/* One more batch of those that come fast, with or without a pause before it. */
static void compare(struct mnfq_i_coalesce *coalesce, unsigned int packets)
{
	int64_t now, cost;

	coalesce->packets += packets;
	if (coalesce->cpu_at != 0 && ++coalesce->batches < WINDOW)
		return;
	now = mnfq_i_cpu_ns();
	cost = (now - coalesce->cpu_at) / coalesce->packets;
	coalesce->batches = coalesce->packets = 0;
	if (coalesce->cpu_at != 0 && coalesce->compares) {
		choose(coalesce, cost);
	} else if (coalesce->cpu_at != 0) {
		coalesce->cost = cost;
		coalesce->compares = coalesce->keep == 0;
		coalesce->off = coalesce->off != coalesce->compares;
		coalesce->keep -= coalesce->keep > 0;
	}
	coalesce->cpu_at = now;
}

/*
 * A batch was decided: @packets of @batch at most. Is there to be a pause before the next one, and how
 * long? After a full one more packets may be waiting already.
 */
void mnfq_i_coalesce_count(struct mnfq_socket *sock, unsigned int packets, unsigned int batch)
{
	struct mnfq_i_coalesce *coalesce = &sock->coalesce;
	const int64_t now = mnfq_i_now_ns(), took = now - coalesce->counted_at;

	coalesce->counted_at = now;
	coalesce->pause = 0;
	if (!was_worth_it(coalesce, packets) || packets >= batch ||
	    took >= coalesce->max * packets)
		return;
	refresh(sock);
	compare(coalesce, packets);
	if (coalesce->skip > 0)
		coalesce->skip--;
	else if (!coalesce->off)
		coalesce->pause =
			(int64_t)least((uint64_t)coalesce->max,
				       count_room(sock, packets) * (uint64_t)took / 4 / packets);
}

/* Makes the pause, unless it is longer than @left_ms. Returns 0, or -EINTR if a signal ended it. */
int mnfq_i_coalesce_pause(struct mnfq_socket *sock, int64_t left_ms)
{
	struct mnfq_i_coalesce *coalesce = &sock->coalesce;
	const int64_t pause = coalesce->pause, slack = coalesce->slack;
	struct timespec time = { .tv_nsec = pause > slack ? pause - slack : 1 };

	coalesce->pause = 0;
	if (pause == 0 || slack > pause || (left_ms >= 0 && pause > left_ms * 1000000))
		return 0;
	coalesce->paused = true;
	return nanosleep(&time, NULL) < 0 ? -errno : 0;
}
