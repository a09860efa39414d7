/* SPDX-License-Identifier: MIT */
/* Descriptors that another process opened: which are refused and how, and which work. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel-fixture.h"

/*
 * Refused, with a message that says @part, and the caller's descriptors are as they were. What
 * cannot be adopted cannot be handed over either.
 */
static void refuse_and_leave(int fd, int expected, const char *part)
{
	char *before = descriptors(), errmsg[256] = "";
	struct mnfq_socket *const untouched = (struct mnfq_socket *)&untouched, *sock = untouched;
	const int fd_flags = fcntl(fd, F_GETFD), flags = fcntl(fd, F_GETFL);
	int ends[2],
		err = mnfq_socket_adopt(
			&sock, fd, SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg)));

	cr_assert(err == expected, "%s, not %s: %s", strerror(-err), strerror(-expected), errmsg);
	cr_assert(sock == untouched && strstr(errmsg, part), "%s", errmsg);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	err = mnfq_handover_send(
		ends[0], fd, 0,
		&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),
						 .error = errmsg,
						 .error_size = sizeof(errmsg) });
	cr_assert(err == expected && strstr(errmsg, part), "%s: %s", strerror(-err), errmsg);
	close(ends[0]);
	close(ends[1]);
	cr_assert(fcntl(fd, F_GETFD) == fd_flags && fcntl(fd, F_GETFL) == flags);
	check_descriptors(before);
}

static void refuse(int fd, int expected, const char *part)
{
	refuse_and_leave(fd, expected, part);
	close(fd);
}

static int netlink(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, protocol);

	cr_assert(fd >= 0, "%s", strerror(errno));
	return fd;
}

Test(adopt, refuses_a_closed_descriptor)
{
	refuse(-1, -EBADF, "not open");
	refuse(1000, -EBADF, "not open");
}

Test(adopt, refuses_a_file)
{
	refuse(open("/proc/self/exe", O_RDONLY), -ENOTSOCK, "not a socket");
	refuse(open("/dev/null", O_RDWR), -ENOTSOCK, "not a socket");
	refuse(open("/", O_RDONLY | O_DIRECTORY), -ENOTSOCK, "not a socket");
}

Test(adopt, refuses_o_path)
{
	refuse(open("/dev/null", O_PATH), -EBADF, "O_PATH");
}

Test(adopt, refuses_a_pipe)
{
	int ends[2];

	cr_assert(pipe(ends) == 0);
	refuse(ends[0], -ENOTSOCK, "not a socket");
	refuse(ends[1], -ENOTSOCK, "not a socket");
}

Test(adopt, refuses_other_families)
{
	int ends[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	refuse(ends[0], -EAFNOSUPPORT, "AF_NETLINK");
	refuse(ends[1], -EAFNOSUPPORT, "AF_NETLINK");
	refuse(socket(AF_UNIX, SOCK_DGRAM, 0), -EAFNOSUPPORT, "AF_NETLINK");
	refuse(socket(AF_INET, SOCK_DGRAM, 0), -EAFNOSUPPORT, "AF_NETLINK");
}

Test(adopt, refuses_other_netlink_protocols)
{
	refuse(netlink(NETLINK_ROUTE), -EPROTONOSUPPORT, "NETLINK_NETFILTER");
	refuse(netlink(NETLINK_GENERIC), -EPROTONOSUPPORT, "NETLINK_NETFILTER");
}

Test(adopt, refuses_a_connected_one)
{
	struct sockaddr_nl peer = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	struct netns *ns = netns_new();
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	cr_assert(connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0);
	refuse(fd, -EISCONN, "connected");
}

Test(adopt, refuses_a_filtered_one)
{
	struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &reject };
	int zero = 0, fd = netlink(NETLINK_NETFILTER);

	cr_assert(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
	refuse_and_leave(fd, -EBADFD, "socket filter");
	cr_assert(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero)) == 0,
		  "locked");
	close(fd);
}

Test(adopt, refuses_wrong_arguments)
{
	int fd = netlink(NETLINK_NETFILTER);
	struct mnfq_socket *sock;

	cr_assert(mnfq_socket_adopt(NULL, fd, NULL) == -EINVAL);
	cr_assert(mnfq_socket_adopt(&sock, fd, SOCKET_OPTIONS(.batch = 1025)) == -EINVAL);
	cr_assert(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

/* ---- what works ---- */

/* The descriptor is the socket's: same port id, serves packets, and goes with the socket. */
static void serve(int fd)
{
	struct sockaddr_nl before = { 0 }, after = { 0 };
	socklen_t len = sizeof(before);

	fixture.sock = mnfq_socket_close(fixture.sock);
	cr_assert(getsockname(fd, (struct sockaddr *)&before, &len) == 0);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd, NULL));
	cr_assert(mnfq_socket_get_fd(fixture.sock) == fd);
	cr_assert(getsockname(fd, (struct sockaddr *)&after, &len) == 0);
	cr_assert(after.nl_pid != 0 && after.nl_pid == mnfq_socket_get_portid(fixture.sock));
	cr_assert(before.nl_pid == 0 || before.nl_pid == after.nl_pid);
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 3);
	fixture.sock = mnfq_socket_close(fixture.sock);
	cr_assert(fcntl(fd, F_GETFD) < 0, "still open");
	fixture_close();
}

static int fresh(void)
{
	fixture_open(4);
	return netns_socket(fixture.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

Test(adopt, takes_an_unbound_one)
{
	serve(fresh());
}

Test(adopt, takes_a_bound_one)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK, .nl_pid = 123456 };
	int fd = fresh();

	cr_assert(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	serve(fd);
}

Test(adopt, takes_one_with_options_for_acknowledgements)
{
	static const int options[] = { NETLINK_CAP_ACK, NETLINK_EXT_ACK };

	for (size_t i = 0; i < 2; i++) {
		int one = 1, fd = fresh();

		cr_assert(setsockopt(fd, SOL_NETLINK, options[i], &one, sizeof(one)) == 0);
		serve(fd);
	}
}

Test(adopt, takes_a_member_of_a_group)
{
	int group = 1, fd = fresh();

	cr_assert(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) ==
		  0);
	serve(fd);
}

Test(adopt, leaves_the_status_flags_alone)
{
	int copy, fd = fresh();

	cr_assert(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	copy = dup(fd);
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd, NULL));
	fixture_bind(NULL, count_packet);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(fcntl(copy, F_GETFL) & O_NONBLOCK);
	cr_assert(fcntl(copy, F_SETFL, 0) == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 1) == 0);
	cr_assert((fcntl(copy, F_GETFL) & O_NONBLOCK) == 0);
	close(copy);
	fixture_close();
}

/* Otherwise a process with a copy could make packets vanish later. */
Test(adopt, locks_the_filter)
{
	struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &reject };
	int fd = fresh(), copy = dup(fd);

	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd, NULL));
	cr_assert(setsockopt(copy, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0);
	cr_assert(errno == EPERM);
	close(copy);
	fixture_close();
}

/* ---- taking a queue over ---- */

/* The queue outlives the socket object, and what came meanwhile or was held waits in it. */
Test(adopt, takes_what_was_released)
{
	struct mnfq_packet *held;
	int fd;

	cr_assert(mnfq_socket_detach(NULL) == -EINVAL);
	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), retain_packet);
	udp_send(&fixture.udp, 0);
	fixture_serve(1);
	fd = mnfq_socket_detach(fixture.sock);
	cr_assert(fd >= 0);
	held = fixture.retained[0];
	cr_assert(mnfq_packet_decide(held, MNFQ_DROP) < 0, "it has no socket any more");
	mnfq_packet_free(held);
	udp_send(&fixture.udp, 1);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 2));

	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd, NULL));
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), count_packet);
	fixture_serve(1);
	fixture_expect(0, 2);
	fixture.elsewhere = 1; /* likewise */
	fixture_close();
}

/* Binds the queue, holds five packets undecided, and is gone without closing anything. */
static int former_reader(int stream, void *arg)
{
	char byte = 0;

	(void)arg;
	if (mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, retain_packet, &fixture) < 0)
		return 1;
	if (write(stream, &byte, 1) != 1)
		return 2;
	while (fixture.retained_count < 5)
		if (mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) <= 0)
			return 3;
	return write(stream, &byte, 1) == 1 && read(stream, &byte, 1) == 0 ? 0 : 4;
}

/* Datagrams 0 to 4 are left in the kernel by a reader that is gone. */
static void leave_five(void)
{
	struct child child;

	fixture_open(4);
	child = child_start(former_reader, &fixture);
	child_await(&child);
	udp_send_many(&fixture.udp, 0, 5);
	child_await(&child);
	cr_assert(child_finish(&child) == 0);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 5));
}

static void take_over(enum mnfq_verdict default_verdict)
{
	leave_five();
	udp_send_many(&fixture.udp, 5, 2);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 7));
	fixture_bind(QUEUE_OPTIONS(.default_verdict = default_verdict), count_packet);
	fixture_serve(2);
	for (uint32_t i = default_verdict == MNFQ_ACCEPT ? 0 : 5; i < 7; i++)
		fixture_expect(i, 1);
	fixture_expect_nothing();
	expect_counts(.seen = 2);
	fixture_pass(8, 1);
	fixture.elsewhere = 5; /* by the release of what the former reader left */
	fixture_close();
}

Test(adopt, takes_a_queue_over_and_drops_what_was_left)
{
	take_over(MNFQ_DROP);
}

Test(adopt, takes_a_queue_over_and_accepts_what_was_left)
{
	take_over(MNFQ_ACCEPT);
}

/* At the latest when the queue ends, if nothing arrives until then. */
Test(adopt, takes_a_queue_over_and_ends_it)
{
	leave_five();
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), count_packet);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	fixture_expect(0, 5);
	cr_assert(fixture.seen == 0 && fixture_socket_stats().refused == 0);
	fixture.elsewhere = 5; /* likewise */
	fixture_close();
}
