// SPDX-License-Identifier: MIT
/* Sockets: open, adopt, close; what can be set on them and asked of them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/time.h>
#include <unistd.h>

#include "backlog.h"
#include "clock.h"
#include "error.h"
#include "fd-check.h"
#include "netns.h"
#include "options.h"
#include "packet-retain.h"
#include "queue-end.h"
#include "refs.h"
#include "request.h"
#include "ring.h"
#include "round.h"
#include "send.h"
#include "sockopt.h"
#include "wire.h"

#define BATCH_MAX          1024
#define DEFAULT_TIMEOUT_MS 2000
#define BUSY_POLL_MAX      1000000u
#define COALESCE_MAX       10000u
#define MAX_DELAY_LEAST    100u
#define MAX_DELAY_MOST     1000000u

const char *mnfq_get_version(void)
{
	return MNFQ_VERSION;
}

static uint32_t random_number(void)
{
	uint32_t number;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = (uint32_t)mnfq_i_now_ms() ^ (uint32_t)getpid() << 16;
	return number;
}

/*
 * A port id that was not used lately. The kernel's own choice is the process id, again and again:
 * a packet that another processor is just enqueuing for a queue that went with the socket before
 * would get here, and be taken for one of ours. Process ids are smaller than these.
 */
static int bind_portid(int fd)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int err, tries = 10;

	do {
		addr.nl_pid = random_number() | 1u << 31;
		err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	} while (err == -EADDRINUSE && --tries > 0);
	return err;
}

/*
 * Gives an unbound socket its port id; a bound one keeps the one it has, and who knows what it was
 * used for: packets may be on their way to it. To one that had no port id there are none.
 */
static int get_portid(int fd, uint32_t *portid, bool *used)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	socklen_t len = sizeof(addr);
	int err;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	*used = addr.nl_pid != 0;
	if (!*used) {
		err = bind_portid(fd);
		len = sizeof(addr);
		if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
			return -errno;
		if (err < 0 && addr.nl_pid == 0)
			return err;
		*used = err < 0; /* another user of the socket was quicker */
	}
	*portid = addr.nl_pid;
	return 0;
}

/* What all constructors check. */
static int check_options(struct mnfq_socket **ret, struct mnfq_socket_options *to,
			 const struct mnfq_socket_options *from, uint32_t known_flags,
			 struct mnfq_i_errmsg *error)
{
	int err = mnfq_i_options_copy(to, sizeof(*to), from);

	if (err < 0 && mnfq_i_options_unsized(from)) { /* these are in all versions */
		to->error = from->error;
		to->error_size = from->error_size;
	}
	if (err < 0)
		return mnfq_i_fail(error, err,
				   "socket options: set .size to sizeof(struct "
				   "mnfq_socket_options) and zero the rest");
	if (!ret)
		return mnfq_i_fail(error, -EINVAL, "no place for the new socket was given");
	known_flags |= MNFQ_SOCKET_TIMESTAMPS;
	if (to->flags & ~known_flags)
		return mnfq_i_fail(error, -EINVAL,
				   "socket options: flags 0x%x are unknown, or not for this call",
				   to->flags & ~known_flags);
	if (to->batch > BATCH_MAX)
		return mnfq_i_fail(error, -EINVAL, "socket options: batch %u is above %u packets",
				   to->batch, BATCH_MAX);
	if (to->ring && to->batch > 0)
		return mnfq_i_fail(error, -EINVAL,
				   "socket options: the ring that is given has its batch: leave "
				   ".batch 0");
	if (to->receive_buffer > INT32_MAX)
		return mnfq_i_fail(error, -EINVAL,
				   "socket options: receive buffer is above 2 GiB");
	if (to->busy_poll_us > BUSY_POLL_MAX)
		return mnfq_i_fail(error, -EINVAL,
				   "socket options: busy polling for %u us is above %u",
				   to->busy_poll_us, BUSY_POLL_MAX);
	if (to->coalesce_us > COALESCE_MAX)
		return mnfq_i_fail(error, -EINVAL,
				   "socket options: coalescing for %u us is above %u",
				   to->coalesce_us, COALESCE_MAX);
	if (to->coalesce_us > 0 && to->busy_poll_us > 0)
		return mnfq_i_fail(
			error, -EINVAL,
			"socket options: coalescing and busy polling exclude each other: "
			"set .coalesce_us or .busy_poll_us");
	if (to->max_delay_us > 0 &&
	    (to->max_delay_us < MAX_DELAY_LEAST || to->max_delay_us > MAX_DELAY_MOST))
		return mnfq_i_fail(error, -EINVAL,
				   "socket options: a delay of %u us at most is not in the range "
				   "from %u to %u",
				   to->max_delay_us, MAX_DELAY_LEAST, MAX_DELAY_MOST);
	if (to->timeout_ms > INT32_MAX)
		return mnfq_i_fail(error, -EINVAL, "socket options: timeout is above 2^31 ms");
	return 0;
}

/* The ring that the socket shares with others, or one of its own. */
static struct mnfq_ring *get_ring(struct mnfq_ring *ring, unsigned int batch)
{
	if (!ring)
		return mnfq_ring_new(&ring, batch) < 0 ? NULL : ring;
	atomic_fetch_add(&ring->refs, 1);
	return ring;
}

/*
 * Wraps a socket that is fit; takes the descriptor only if it succeeds. @own: others do not have it,
 * unless the user gave it to them.
 */
static int wrap(struct mnfq_socket **ret, int fd, bool own,
		const struct mnfq_socket_options *options, struct mnfq_i_errmsg *error)
{
	struct mnfq_socket *sock = calloc(1, sizeof(*sock));
	int err;

	if (sock)
		sock->ring = get_ring(options->ring, options->batch);
	if (!sock || !sock->ring) {
		free(sock);
		return mnfq_i_fail(error, -ENOMEM, "out of memory");
	}
	err = get_portid(fd, &sock->portid, &sock->stale);
	if (err < 0) {
		mnfq_ring_free(sock->ring);
		free(sock);
		return mnfq_i_fail(error, err, "the netlink socket gets no port id: %s",
				   strerror(-err));
	}
	mnfq_i_set_options(fd, options->receive_buffer);
	if (options->flags & MNFQ_SOCKET_TIMESTAMPS)
		mnfq_i_request_timestamps(fd);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	sock->fd = fd;
	sock->wake_fd = sock->queues_fd = -1;
	sock->can_block = own;
	mnfq_i_begin_overruns(sock);
	mnfq_i_note_buffer(sock);
	atomic_init(&sock->wake, -1);
	atomic_init(&sock->refs, 1);
	sock->spin.max = sock->spin.limit = (int64_t)options->busy_poll_us * 1000;
	sock->coalesce.max = (int64_t)options->coalesce_us * 1000;
	sock->max_delay = (int64_t)options->max_delay_us * 1000;
	sock->round_ns = (int64_t)options->round_us * 1000;
	sock->batch = options->round_us ? 1 : BATCH_MAX;
	sock->timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
	sock->send_max = mnfq_i_get_send_max(fd);
	sock->backlog_end = &sock->backlog;
	mnfq_i_socket_init_locks(sock);
	/* Numbers that no other user of the descriptor uses, or used before. */
	sock->seq = random_number();
	sock->tag = (sock->seq << 17 | 1u << 31) & MNFQ_I_TAG_OWN;
	*ret = sock;
	return 0;
}

static int new_fd(void *arg)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	(void)arg;
	return fd < 0 ? -errno : fd;
}

#define HERE (-1) /* in place of a descriptor: the caller's own namespace */

static int open_at(struct mnfq_socket **ret, const char *netns, int netns_fd,
		   const struct mnfq_socket_options *options, struct mnfq_i_errmsg *error)
{
	int err, fd = netns_fd == HERE ? new_fd(NULL) : mnfq_i_netns_call(netns_fd, new_fd, NULL);

	if (fd < 0)
		return netns_fd == HERE ? mnfq_i_explain_socket(error, fd)
					: mnfq_i_explain_open(error, netns, fd);
	err = wrap(ret, fd, true, options, error);
	if (err < 0)
		close(fd);
	return err;
}

/* In the namespace called @netns if there is a name, else in that of @netns_fd. */
static int open_socket(struct mnfq_socket **ret, const char *netns, int netns_fd,
		       const struct mnfq_socket_options *options)
{
	struct mnfq_i_errmsg error = { "" };
	struct mnfq_socket_options checked;
	int err = check_options(ret, &checked, options, 0, &error);

	if (err == 0 && netns)
		err = netns_fd = mnfq_i_netns_open(netns, &error);
	if (err >= 0)
		err = open_at(ret, netns, netns_fd, &checked, &error);
	if (netns && netns_fd >= 0)
		close(netns_fd);
	return err < 0 ? mnfq_i_errmsg_return(checked.error, checked.error_size, &error, err) : 0;
}

int mnfq_socket_open(struct mnfq_socket **ret, const struct mnfq_socket_options *options)
{
	return open_socket(ret, NULL, HERE, options);
}

int mnfq_socket_open_netns_fd(struct mnfq_socket **ret, int netns_fd,
			      const struct mnfq_socket_options *options)
{
	/* Whatever is negative is closed; only one such number means here. */
	return open_socket(ret, NULL, netns_fd < 0 ? INT_MIN : netns_fd, options);
}

int mnfq_socket_open_netns(struct mnfq_socket **ret, const char *netns,
			   const struct mnfq_socket_options *options)
{
	return open_socket(ret, netns ? netns : "", HERE, options);
}

int mnfq_socket_adopt(struct mnfq_socket **ret, int fd, const struct mnfq_socket_options *options)
{
	struct mnfq_i_errmsg error = { "" };
	struct mnfq_socket_options checked;
	int one = 1, err = check_options(ret, &checked, options, MNFQ_SOCKET_LEND, &error);

	if (err == 0)
		err = mnfq_i_check_fd(fd, &error);
	if (err == 0) {
		if (setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) < 0)
			err = mnfq_i_fail(
				&error, -errno,
				"descriptor %d cannot be kept from getting a socket filter: %s",
				fd, strerror(errno));
	}
	if (err == 0) /* between the check and the lock another process may have been quick */
		err = mnfq_i_check_filter(fd, &error);
	if (err == 0)
		err = wrap(ret, fd, false, &checked, &error);
	if (err < 0)
		return mnfq_i_errmsg_return(checked.error, checked.error_size, &error, err);
	(*ret)->ask_opener = !(checked.flags & MNFQ_SOCKET_LEND);
	return 0;
}

struct mnfq_socket *mnfq_socket_close(struct mnfq_socket *sock)
{
	if (!sock)
		return NULL;
	mnfq_i_round_close(sock);
	if (mnfq_i_in_round(sock)) {
		sock->closing = true;
		return NULL;
	}
	mnfq_i_request_start(sock);
	while (sock->queues)
		mnfq_i_queue_end(sock->queues, false);
	while (sock->backlog)
		free(mnfq_i_backlog_pop(sock));
	if (sock->fd >= 0)
		close(sock->fd);
	if (sock->wake_fd >= 0)
		close(sock->wake_fd);
	if (sock->queues_fd >= 0)
		close(sock->queues_fd);
	sock->ring = mnfq_ring_free(sock->ring);
	return mnfq_i_socket_unref(sock);
}

/* Without the descriptor nothing reaches the kernel of the messages of closing a socket. */
int mnfq_socket_detach(struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;
	int fd;

	if (!sock)
		return -EINVAL;
	mnfq_i_round_close(sock);
	if (mnfq_i_in_round(sock))
		return mnfq_i_fail(&sock->error, -EBUSY,
				   "called from within a callback: return from it first");
	/* Other threads send with the descriptor while a packet that they hold has a queue. */
	pthread_mutex_lock(&sock->lock);
	for (queue = sock->queues; queue; queue = queue->next)
		mnfq_i_retain_abandon(queue, queue->options.default_verdict);
	fd = sock->fd;
	sock->fd = -1;
	pthread_mutex_unlock(&sock->lock);
	if (sock->has_timeout) /* of the waits of this object */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0 },
				 sizeof(struct timeval));
	mnfq_socket_close(sock);
	return fd;
}

static int refuse_ring(struct mnfq_socket *sock)
{
	return mnfq_i_fail(&sock->error, -EBUSY,
			   "a socket that has the ring is in a round: change the ring "
			   "from outside of callbacks, and while no other thread uses it");
}

static int set_ring(struct mnfq_socket *sock, struct mnfq_ring *ring)
{
	struct mnfq_ring *old;

	mnfq_i_round_close(sock);
	/* A round of the socket has its ring, too. */
	if (atomic_load(&sock->ring->busy) || (ring && atomic_load(&ring->busy)))
		return refuse_ring(sock);
	ring = get_ring(ring, sock->ring->slots);
	if (!ring)
		return mnfq_i_fail(&sock->error, -ENOMEM, "out of memory");
	pthread_mutex_lock(&sock->lock); /* other threads, which decide, look at it */
	old = sock->ring;
	sock->ring = ring;
	pthread_mutex_unlock(&sock->lock);
	sock->guard = NULL; /* that of the new ring is found with the next round */
	mnfq_ring_free(old);
	return 0;
}

int mnfq_socket_set_ring(struct mnfq_socket *sock, struct mnfq_ring *ring)
{
	int err;

	if (!sock)
		return -EINVAL;
	err = mnfq_i_use(sock, MNFQ_I_CHANGED);
	if (err < 0)
		return refuse_ring(sock);
	err = set_ring(sock, ring);
	mnfq_i_round_leave(sock);
	return err;
}

int mnfq_socket_get_fd(const struct mnfq_socket *sock)
{
	return sock ? sock->fd : -EINVAL;
}

uint32_t mnfq_socket_get_portid(const struct mnfq_socket *sock)
{
	return sock ? sock->portid : 0;
}

int mnfq_socket_get_stats(struct mnfq_socket *sock, struct mnfq_stats *stats)
{
	const struct mnfq_queue *queue;
	struct mnfq_stats sum;

	if (!sock)
		return -EINVAL;
	if (!mnfq_i_options_sized(stats))
		return mnfq_i_fail(&sock->error, -EINVAL,
				   "counters: set .size to sizeof(struct mnfq_stats)");
	mnfq_i_count_overruns(sock);
	sum = sock->stats;
	sum.overruns = sock->overruns;
	for (queue = sock->queues; queue; queue = queue->next)
		mnfq_i_queue_count(queue, &sum);
	mnfq_i_options_return(stats, &sum, sizeof(sum));
	return 0;
}

const char *mnfq_socket_get_error(const struct mnfq_socket *sock)
{
	return sock ? sock->error.text : "";
}
