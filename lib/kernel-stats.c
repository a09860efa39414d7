// SPDX-License-Identifier: MIT
/*
 * The kernel's own counters of queues, from a /proc file of the socket's namespace. sockopt.c reads those of
 * a socket, which need no right.
 */
#include "kernel-stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "error.h"
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

/* A line: queue, port id, waiting, copy mode, copy range, dropped, user dropped, last id, 1. */
static bool parse(const char *text, unsigned int *num, struct mnfq_kernel_stats *stats)
{
	unsigned int portid, waiting, dropped, user_dropped, id;

	if (sscanf(text, "%u %u %u %*u %*u %u %u %u", num, &portid, &waiting, &dropped,
		   &user_dropped, &id) != 6)
		return false;
	*stats = (struct mnfq_kernel_stats){ .size = sizeof(*stats),
					     .waiting = waiting,
					     .queue_dropped = dropped,
					     .user_dropped = user_dropped,
					     .portid = portid,
					     .last_id = id,
					     .queues = 1 };
	return true;
}

/* What to read from the file: one queue of any owner, or the sum of all queues of an owner. */
struct wanted {
	int num; /* -1: all of @portid */
	uint32_t portid;
	struct mnfq_kernel_stats *stats;
	bool found;
};

static void look_at(struct wanted *wanted, const char *line)
{
	struct mnfq_kernel_stats stats, *sum = wanted->stats;
	unsigned int num;

	if (!parse(line, &num, &stats))
		return;
	if (wanted->num >= 0 && num == (unsigned int)wanted->num) {
		*sum = stats;
		wanted->found = true;
	} else if (wanted->num < 0 && stats.portid == wanted->portid) {
		sum->waiting += stats.waiting;
		sum->queue_dropped += stats.queue_dropped;
		sum->user_dropped += stats.user_dropped;
		sum->queues++;
	}
}

static int read_file(int fd, struct wanted *wanted)
{
	char buffer[2048], *line, *end;
	size_t have = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buffer + have, sizeof(buffer) - 1 - have, at)) > 0) {
		at += n;
		have += (size_t)n;
		buffer[have] = '\0';
		for (line = buffer; (end = strchr(line, '\n')); line = end + 1)
			look_at(wanted, line);
		have -= (size_t)(line - buffer);
		memmove(buffer, line, have);
	}
	return n < 0 ? -errno : 0;
}

/* What the file @fd says of queue @num. Returns 0, -ENODEV: there is none, or a failed read. */
static int queues_read(int fd, uint16_t num, struct mnfq_kernel_stats *stats)
{
	struct wanted wanted = { .num = num, .stats = stats };
	int err = read_file(fd, &wanted);

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
		err = read_file(sock->queues_fd, &wanted);
	if (err < 0)
		return explain(sock, err);
	mnfq_i_options_return(stats, &sum, sizeof(sum));
	return 0;
}
