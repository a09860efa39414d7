// SPDX-License-Identifier: MIT
/*
 * The kernel's own counters of queues, from a /proc file of the socket's namespace. sockopt.c reads those of
 * a socket, which need no right.
 */
#include "kernel-stats.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "error.h"
#include "kernel-queues.h"
#include "netns.h"
#include "options.h"
#include "refs.h"

static int open_file(void *arg)
{
	int fd = open("/proc/thread-self/net/netfilter/nfnetlink_queue", O_RDONLY | O_CLOEXEC);

	(void)arg;
	return fd < 0 ? -errno : fd;
}

static int queues_open(const struct mnfq_socket *sock)
{
	return mnfq_i_netns_call_at(sock->fd, open_file, NULL);
}

/* What to read from the file: one queue of any owner, or the sum of all queues of an owner. */
struct wanted {
	int num; /* -1: all of @portid */
	uint32_t portid;
	struct mnfq_kernel_stats *stats;
	bool found;
};

static void look_at(const struct mnfq_kernel_queue *queue, void *data)
{
	struct wanted *wanted = data;
	struct mnfq_kernel_stats *stats = wanted->stats;

	if (wanted->num >= 0 ? queue->num != wanted->num : queue->portid != wanted->portid)
		return;
	wanted->found = true;
	if (wanted->num >= 0)
		*stats = (struct mnfq_kernel_stats){ .size = sizeof(*stats),
						     .portid = queue->portid,
						     .last_id = queue->last_id };
	stats->waiting += queue->waiting;
	stats->queue_dropped += queue->queue_dropped;
	stats->user_dropped += queue->user_dropped;
	stats->queues++;
}

/* What the file @fd says of queue @num. Returns 0, -ENODEV: there is none, or a failed read. */
static int queues_read(int fd, uint16_t num, struct mnfq_kernel_stats *stats)
{
	struct wanted wanted = { .num = num, .stats = stats };
	int err = mnfq_i_kernel_queues_each(fd, look_at, &wanted);

	return err == 0 && !wanted.found ? -ENODEV : err;
}

/* The same, of a file that is opened for this alone. */
int mnfq_i_queues_look(const struct mnfq_socket *sock, uint16_t num,
		       struct mnfq_kernel_stats *stats)
{
	int err, fd = queues_open(sock);

	if (fd < 0)
		return fd;
	err = queues_read(fd, num, stats);
	close(fd);
	return err;
}

/* Opens the file unless it is open. */
static int open_once(struct mnfq_socket *sock)
{
	if (sock->queues_fd < 0)
		sock->queues_fd = queues_open(sock);
	return sock->queues_fd < 0 ? sock->queues_fd : 0;
}

static const char *advise(int err)
{
	switch (err) {
	case -EPERM:
		return "run with CAP_SYS_ADMIN, to enter the socket's network namespace, and with "
		       "CAP_NET_ADMIN over it";
	case -EACCES:
		return "only root of the network namespace may open their file in /proc";
	case -EMFILE:
		return "raise the limit of open files (ulimit -n)";
	case -ENOENT:
		return "mount /proc";
	default:
		return strerror(-err);
	}
}

static int explain(struct mnfq_socket *sock, int err)
{
	if (err == -EINVAL)
		return mnfq_i_fail(&sock->error, err,
				   "counters: set .size to sizeof(struct mnfq_kernel_stats)");
	if (err == -ENODEV)
		return mnfq_i_fail(&sock->error, err,
				   "the queue is not bound on this socket any more");
	return mnfq_i_fail(&sock->error, -ENODATA,
			   "the kernel's counters of queues cannot be read: %s", advise(err));
}

int mnfq_queue_get_kernel_stats(struct mnfq_queue *queue, struct mnfq_kernel_stats *stats)
{
	struct mnfq_kernel_stats found;
	int err;

	if (!queue)
		return -EINVAL;
	if (!mnfq_i_options_sized(stats))
		return explain(queue->sock, -EINVAL);
	err = open_once(queue->sock);
	if (err == 0)
		err = queues_read(queue->sock->queues_fd, queue->num, &found);
	if (err == 0 && found.portid != queue->sock->portid)
		err = -ENODEV;
	if (err < 0)
		return explain(queue->sock, err);
	mnfq_i_options_return(stats, &found, sizeof(found));
	return 0;
}

int mnfq_socket_get_kernel_stats(struct mnfq_socket *sock, struct mnfq_kernel_stats *stats)
{
	struct mnfq_kernel_stats sum = { .size = sizeof(sum) };
	struct wanted wanted = { .num = -1, .stats = &sum };
	int err;

	if (!sock)
		return -EINVAL;
	if (!mnfq_i_options_sized(stats))
		return explain(sock, -EINVAL);
	wanted.portid = sum.portid = sock->portid;
	err = open_once(sock);
	if (err == 0)
		err = mnfq_i_kernel_queues_each(sock->queues_fd, look_at, &wanted);
	if (err < 0)
		return explain(sock, err);
	mnfq_i_options_return(stats, &sum, sizeof(sum));
	return 0;
}
