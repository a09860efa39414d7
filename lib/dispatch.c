// SPDX-License-Identifier: MIT
/* Rounds one after the other: waiting for the next, and being stopped. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "coalesce.h"
#include "error.h"
#include "receive.h"
#include "refs.h"
#include "refused.h"
#include "release.h"
#include "request.h"
#include "ring.h"
#include "round.h"
#include "unanswered.h"
#include "wake.h"
#include "walk.h"

/* Waits until there is something to do. Returns 0 also if the time is over. */
static int wait_for(struct mnfq_socket *sock, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = sock->fd, .events = POLLIN },
				 { .fd = sock->wake_fd, .events = POLLIN } };
	uint64_t count;

	if (poll(fds, 2, timeout_ms) < 0)
		return -errno;
	if (fds[0].revents & POLLNVAL)
		return mnfq_i_fail(&sock->error, -EBADF,
				   "the socket's descriptor was closed by other code");
	if (fds[1].revents & POLLIN)
		(void)!read(sock->wake_fd, &count, sizeof(count));
	return 0;
}

/* Something that can be waited for and be written to by a signal handler. */
static int prepare_wake(struct mnfq_socket *sock)
{
	if (sock->wake_fd >= 0)
		return 0;
	sock->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sock->wake_fd < 0)
		return mnfq_i_fail(&sock->error, -errno, "cannot make an event descriptor: %s",
				   strerror(errno));
	atomic_store(&sock->wake, sock->wake_fd);
	return 0;
}

/* ---- looking again before sleeping ---- */

#define SPIN_FIRST 10000 /* ns */

/* Nothing was there: is it worth looking again at once? */
static bool keeps_spinning(struct mnfq_i_spin *spin)
{
	int64_t now;

	if (spin->max == 0)
		return false;
	now = mnfq_i_now_ns();
	if (spin->idle_since == 0)
		spin->idle_since = now;
	return now - spin->idle_since < spin->limit;
}

/*
 * Something was there. If it came soon enough for spinning, next time there will be more of that;
 * if it did not, less: so nothing is spent on a socket that is mostly idle.
 */
static void end_spin(struct mnfq_i_spin *spin)
{
	int64_t idle;

	if (spin->idle_since == 0)
		return;
	idle = mnfq_i_now_ns() - spin->idle_since;
	spin->idle_since = 0;
	if (idle > spin->max) {
		spin->limit = spin->limit < SPIN_FIRST ? 0 : spin->limit / 2;
		return;
	}
	spin->limit = spin->limit < SPIN_FIRST ? SPIN_FIRST : spin->limit * 2;
	if (spin->limit > spin->max)
		spin->limit = spin->max;
}

/* Is a round under way, of the socket or of one that shares its ring? The next is refused then. */
static bool in_use(const struct mnfq_socket *sock)
{
	return atomic_load(&sock->dispatcher) != 0 || atomic_load(&sock->ring->busy);
}

/* Is there something that a round does before a wait: the backlog, a failure to report, lost answers? */
static bool must_look(struct mnfq_socket *sock)
{
	return sock->spin.max > 0 || sock->backlog || mnfq_i_has_failed(sock) || in_use(sock) ||
	       mnfq_i_unanswered_unsure(sock);
}

/*
 * Where packets come one by one, a look before waiting finds nothing, and costs a system call for each
 * of them. But what else a round does must not wait, nor verdicts that are to be tried again.
 */
static bool waits_first(struct mnfq_socket *sock)
{
	return sock->single_packet && !sock->coalesce.paused && !must_look(sock) &&
	       mnfq_i_release_left(sock) != 0;
}

/* May the next wait be in the receive: one that is long enough, with nothing else to do at its end? */
static bool waits_in_receive(struct mnfq_socket *sock, int64_t left)
{
	return (left < 0 || left >= MNFQ_I_WAIT_MS) && !must_look(sock) &&
	       mnfq_i_release_left(sock) < 0 && mnfq_i_wait_prepare(sock);
}

/* Returns as mnfq_i_receive(): 0 also if it was only woken, or nothing came for a while. */
static int wait_in_receive(struct mnfq_socket *sock, bool pulled, int64_t left)
{
	int n = mnfq_i_round_take(sock);

	if (n < 0)
		return n;
	n = mnfq_i_receive_wait(sock, pulled);
	if (n != -EAGAIN)
		return n;
	if (atomic_load(&sock->stop))
		return 0;
	return wait_for(sock, left < 0 ? -1 : (int)(left - MNFQ_I_WAIT_MS));
}

/* Has more packets gather for the next batch, unless there is something else to do. */
static int pause_before(struct mnfq_socket *sock, int64_t left)
{
	if (sock->coalesce.pause == 0 || left == 0 || sock->backlog || atomic_load(&sock->stop) ||
	    mnfq_i_has_failed(sock) || in_use(sock))
		return 0;
	return mnfq_i_coalesce_pause(sock, left);
}

/* @n packets of @batch at most came: what that says of the next ones. */
static void count_batch(struct mnfq_socket *sock, unsigned int n, unsigned int batch)
{
	sock->single_packet = n == 1 && batch > 1;
	end_spin(&sock->spin);
	if (sock->coalesce.max > 0)
		mnfq_i_coalesce_count(sock, n, batch);
}

/* What is returned instead of another batch: that it was stopped, or that something failed. */
static int report(struct mnfq_socket *sock)
{
	if (in_use(sock))
		return 0;
	if (atomic_load(&sock->deferred_unbind)) /* another thread's */
		mnfq_i_walk_unbind(sock);
	if (atomic_exchange(&sock->stop, false))
		return -ECANCELED;
	return mnfq_i_has_failed(sock) ? mnfq_i_take_failure(sock) : 0;
}

/* Nothing was there: waits for it, or looks again. */
static int wait_or_spin(struct mnfq_socket *sock, int64_t left, bool wait)
{
	int64_t retry = mnfq_i_release_left(sock);

	if (retry < 0 || (left >= 0 && left < retry))
		retry = left;
	return wait || !keeps_spinning(&sock->spin) ? wait_for(sock, (int)retry) : 0;
}

/* Has the round that began decide its packets. */
static int handle(struct mnfq_socket *sock)
{
	mnfq_i_walk_all(sock);
	return mnfq_i_receive_end(sock);
}

/*
 * Waits for a round, and handles it unless its packets are pulled. Returns the packets handled or the messages to be
 * pulled, 0 if there were none in time, or a negative errno.
 */
static int next_round(struct mnfq_socket *sock, int timeout_ms, bool pulled)
{
	const int64_t deadline = timeout_ms > 0 ? mnfq_i_now_ms() + timeout_ms : 0;
	int64_t left = timeout_ms;
	bool wait, in_receive;
	unsigned int batch;
	int n, err = pause_before(sock, left);

	while (err >= 0 && (err = report(sock)) >= 0) {
		in_receive = waits_in_receive(sock, left);
		wait = !in_receive && left != 0 && waits_first(sock);
		batch = mnfq_i_batch(sock);
		n = in_receive ? wait_in_receive(sock, pulled, left)
		    : wait     ? 0
			       : mnfq_i_receive(sock, pulled);
		if (n > 0 && pulled)
			return n;
		if (n > 0)
			n = handle(sock);
		if (n > 0)
			count_batch(sock, (unsigned int)n, batch);
		if (n > 0 && atomic_exchange(&sock->stop, false))
			return -ECANCELED;
		if (n != 0)
			return n;
		if (left == 0 && !mnfq_i_has_failed(sock))
			return 0;
		if (!in_receive && !mnfq_i_has_failed(sock)) {
			sock->single_packet = false; /* look at once what ends it */
			err = wait_or_spin(sock, left, wait);
		}
		left = mnfq_i_time_left(timeout_ms, deadline);
	}
	return err;
}

static int dispatch(struct mnfq_socket *sock, int timeout_ms)
{
	int err = mnfq_i_receive_close(sock);

	if (err == 0)
		err = mnfq_i_round_check(sock);
	if (err < 0)
		return err;
	if (timeout_ms != 0 && (err = prepare_wake(sock)) < 0)
		return err;
	return next_round(sock, timeout_ms, false);
}

int mnfq_socket_dispatch(struct mnfq_socket *sock, int timeout_ms)
{
	int n;

	if (!sock)
		return -EINVAL;
	n = mnfq_i_round_enter(sock);
	if (n < 0)
		return n;
	n = dispatch(sock, timeout_ms);
	mnfq_i_round_leave(sock);
	return n;
}

/* Ends the round before, and counts what it had. */
static int end_pulled(struct mnfq_socket *sock)
{
	int n = mnfq_i_receive_end(sock);

	if (n > 0)
		count_batch(sock, (unsigned int)n, sock->round_batch);
	return n < 0 ? n : 0;
}

static int receive_batch(struct mnfq_socket *sock, int timeout_ms)
{
	int n = 0;

	if (mnfq_i_round_resume(sock))
		n = end_pulled(sock);
	else if (sock->flushed > 0)
		count_batch(sock, sock->flushed, sock->round_batch);
	sock->flushed = 0;
	if (n == 0 && timeout_ms != 0)
		n = prepare_wake(sock);
	if (n == 0)
		n = next_round(sock, timeout_ms, true);
	if (n > 0)
		mnfq_i_round_pause(sock);
	return n;
}

int mnfq_socket_receive(struct mnfq_socket *sock, int timeout_ms)
{
	int n;

	if (!sock)
		return -EINVAL;
	n = mnfq_i_round_enter(sock);
	if (n < 0)
		return n;
	n = receive_batch(sock, timeout_ms);
	mnfq_i_round_leave(sock);
	return n;
}

int mnfq_socket_run(struct mnfq_socket *sock)
{
	int err;

	do {
		err = mnfq_socket_dispatch(sock, -1);
	} while (err >= 0 || err == -EINTR);
	return err == -ECANCELED ? 0 : err;
}

void mnfq_socket_stop(struct mnfq_socket *sock)
{
	if (!sock)
		return;
	atomic_store(&sock->stop, true);
	mnfq_i_wake_dispatch(sock);
}
