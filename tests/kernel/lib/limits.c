/* SPDX-License-Identifier: MIT */
/* What the limits of a process do to us: the errno says which, the message what to raise. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "container.h"
#include "kernel-fixture.h"

static char errmsg[256];

/* From now on @spare more descriptors can be open than there are. */
static void limit_descriptors(unsigned int spare)
{
	struct rlimit limit;
	int fds[9]; /* for 8 at most */
	unsigned int i;

	cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
	cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (i = 0; i <= spare; i++)
		fds[i] = dup(0);
	limit.rlim_cur = (rlim_t)fds[spare];
	while (i-- > 0)
		close(fds[i]);
	cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void open_expecting(const char *netns, int fd, int expected, const char *part)
{
	struct mnfq_socket *const untouched = (struct mnfq_socket *)&untouched, *sock = untouched;
	const struct mnfq_socket_options *options =
		SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg));
	int err = netns     ? mnfq_socket_open_netns(&sock, netns, options)
		  : fd >= 0 ? mnfq_socket_open_netns_fd(&sock, fd, options)
			    : mnfq_socket_open(&sock, options);

	cr_assert(err == expected, "%s, not %s", strerror(-err), strerror(-expected));
	cr_assert(strstr(errmsg, part), "%s", errmsg);
	cr_assert(sock == untouched);
}

QueueTest(limits, no_descriptor_left)
{
	uint64_t inode = 4711;
	char name[64] = "as it was";
	struct mnfq_kernel_stats kernel = { .size = sizeof(kernel) };

	for (unsigned int spare = 0; spare < 2; spare++) {
		limit_descriptors(spare);
		open_expecting(fixture.ns->name, -1, -EMFILE, "ulimit -n"); /* takes two */
		open_expecting("/proc/self/ns/net", -1, -EMFILE, "ulimit -n");
	}
	limit_descriptors(0);
	open_expecting(NULL, -1, -EMFILE, "ulimit -n");
	open_expecting(NULL, fixture.ns->fd, -EMFILE, "ulimit -n");
	cr_assert(mnfq_socket_get_netns_inode(fixture.sock, &inode) == -EMFILE && inode == 4711);
	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, sizeof(name)) == -EMFILE);
	cr_assert_str_eq(name, "as it was");
	cr_assert(mnfq_socket_get_kernel_stats(fixture.sock, &kernel) == -ENODATA);
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "ulimit -n"), "%s",
		  mnfq_socket_get_error(fixture.sock));
	cr_assert(mnfq_socket_dispatch(fixture.sock, 10) == -EMFILE, "the first wait takes one");
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	limit_descriptors(8);
	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, sizeof(name)) == 0);
	cr_assert_str_eq(name, fixture.ns->name);
}

/* Binding takes none, only telling why it failed does. */
QueueTest(limits, a_queue_without_a_descriptor_left)
{
	struct mnfq_socket *other;
	struct mnfq_queue *queue;

	expect_ok(NULL, mnfq_socket_open_netns(&other, fixture.ns->name, NULL));
	limit_descriptors(0);
	fixture_bind(NULL, count_packet);
	cr_assert(mnfq_queue_bind(&queue, other, 1, NULL, count_packet, NULL) == -EBUSY);
	cr_assert(strstr(mnfq_socket_get_error(other), "owned by another socket"), "%s",
		  mnfq_socket_get_error(other));
	limit_descriptors(8);
	mnfq_socket_close(other);
}

/* ---- what binds users without rights only ---- */

/* Runs as a user without rights; the errno and the message are expected. */
static void as_user(int (*function)(int stream, void *arg), void *arg, int expected,
		    const char *part)
{
	struct child child = child_start(function, arg);

	memset(errmsg, 0, sizeof(errmsg));
	cr_assert(wait_readable(child.fd) && read(child.fd, errmsg, sizeof(errmsg) - 1) > 0);
	cr_assert_eq(child_finish(&child), expected);
	cr_assert(strstr(errmsg, part), "%s", errmsg);
}

static int open_without_threads(int stream, void *arg)
{
	const struct rlimit none = { 0, 0 };
	struct netns *ns = arg;
	struct mnfq_socket *sock;
	int err;

	if (setrlimit(RLIMIT_NPROC, &none) < 0 || become(4242) < 0)
		return 255;
	err = mnfq_socket_open_netns_fd(
		&sock, ns->fd, SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg)));
	dprintf(stream, "%s", errmsg);
	return -err;
}

Test(limits, no_thread_left)
{
	as_user(open_without_threads, netns_new(), EAGAIN, "ulimit -u");
}

static int open_that_of_root(int stream, void *arg)
{
	struct mnfq_socket *sock;
	int err;

	(void)arg;
	if (become(4242) < 0)
		return 255;
	err = mnfq_socket_open_netns(
		&sock, "1", SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg)));
	dprintf(stream, "%s", errmsg);
	return -err;
}

Test(limits, a_namespace_that_may_not_be_opened)
{
	as_user(open_that_of_root, netns_new(), EACCES, "run as root");
}

/* What is sent is not received; each is on its way. */
static int send_too_many(int stream, void *arg)
{
	const struct rlimit few = { 16, 16 };
	const struct mnfq_handover_options options = { .size = sizeof(options),
						       .error = errmsg,
						       .error_size = sizeof(errmsg) };
	int ends[2], err = 0, fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	(void)arg;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || setrlimit(RLIMIT_NOFILE, &few) < 0 ||
	    become(4242) < 0)
		return 255;
	for (int i = 0; i < 100 && err == 0; i++)
		err = mnfq_handover_send(ends[0], fd, 0, &options);
	dprintf(stream, "%s", errmsg);
	return -err;
}

Test(limits, too_many_descriptors_on_their_way)
{
	as_user(send_too_many, netns_new(), ETOOMANYREFS, "ulimit -n");
}
