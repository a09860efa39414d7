/* SPDX-License-Identifier: MIT */
/* Who may bind a queue; and the messages that say to others what to do about it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel-fixture.h"

static int lose_capability(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return -1;
	caps[0].effective &= ~(1u << CAP_NET_ADMIN);
	caps[0].permitted &= ~(1u << CAP_NET_ADMIN);
	caps[0].inheritable &= ~(1u << CAP_NET_ADMIN);
	return (int)syscall(SYS_capset, &head, caps);
}

/* Tries to bind queue 1, writes the message and returns the errno; for a child's end. */
static int try_to_bind(int stream)
{
	int err = mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, &fixture);

	dprintf(stream, "%s", mnfq_socket_get_error(fixture.sock));
	return -err;
}

/* Runs a child that ends as with try_to_bind(); its errno and part of its message are expected. */
static void refused(int (*function)(int stream, void *arg), int expected, const char *part)
{
	struct child child = child_start(function, &fixture);
	char errmsg[512] = "";

	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, errmsg, sizeof(errmsg) - 1) > 0, "it said nothing");
	cr_assert_eq(child_finish(&child), expected);
	cr_assert(strstr(errmsg, part), "%s", errmsg);
}

static int own_it(int stream, void *arg)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	char byte = 0;

	(void)arg;
	prctl(PR_SET_NAME, "the-owner");
	if (mnfq_socket_open_netns(&sock, fixture.ns->name, NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, &fixture) < 0)
		return 1;
	return write(stream, &byte, 1) == 1 && read(stream, &byte, 1) == 0 ? 0 : 1;
}

QueueTest(rights, the_owner_of_a_queue_is_named)
{
	struct netns_queue kernel;
	struct child child;
	char expected[96];

	child = child_start(own_it, &fixture);
	child_await(&child);
	cr_assert(mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, NULL) ==
		  -EBUSY);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	snprintf(expected, sizeof(expected), "portid %u (pid %d, the-owner)", kernel.portid,
		 (int)child.pid);
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), expected), "%s",
		  mnfq_socket_get_error(fixture.sock));
	cr_assert(child_finish(&child) == 0);
	fixture_bind(NULL, count_packet);
}

static int bind_powerless(int stream, void *arg)
{
	(void)arg;
	return lose_capability() < 0 ? 255 : try_to_bind(stream);
}

QueueTest(rights, no_capability_says_so)
{
	refused(bind_powerless, EPERM, "no CAP_NET_ADMIN");
}

/* All capabilities, but over a user namespace to which the network namespace does not belong. */
static int bind_from_elsewhere(int stream, void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWUSER) < 0 ? 255 : try_to_bind(stream);
}

QueueTest(rights, capability_over_another_user_namespace_says_so)
{
	refused(bind_from_elsewhere, EPERM, "elsewhere");
}

static int open_powerless(int stream, void *arg)
{
	int fd;

	netns_enter(arg);
	if (lose_capability() < 0)
		return 1;
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	return fd < 0 || send_descriptor(stream, fd) < 0;
}

/* A process that hands a socket over has a copy, and could read with it what our rights bind. */
QueueTest(rights, those_of_the_opener_are_needed_unless_they_are_lent)
{
	struct netns_queue kernel;
	struct child child;
	int fd;

	child = child_start(open_powerless, fixture.ns);
	fd = receive_descriptor(child.fd);
	cr_assert(fd >= 0 && child_finish(&child) == 0);
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, dup(fd), NULL));
	cr_assert(mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet,
				  &fixture) == -EPERM);
	cr_assert(
		strstr(mnfq_socket_get_error(fixture.sock), "that opened the socket had no CAP"));
	cr_assert(!netns_get_queue(fixture.ns, 1, &kernel));
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd,
					  SOCKET_OPTIONS(.flags = MNFQ_SOCKET_LEND)));
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 1);
}

static int serve_powerless(int stream, void *arg)
{
	char byte = 0;
	int n;

	(void)arg;
	if (mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, &fixture) < 0 ||
	    lose_capability() < 0 || write(stream, &byte, 1) != 1)
		return 1;
	do {
		n = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
	} while (n > 0);
	dprintf(stream, "%s", mnfq_socket_get_error(fixture.sock));
	return -n;
}

/* Receiving needs no right, so that only the answers to the verdicts tell. */
QueueTest(rights, lost_while_serving)
{
	char errmsg[512] = "";
	struct child child;

	child = child_start(serve_powerless, &fixture);
	child_await(&child);
	udp_send(&fixture.udp, 1);
	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, errmsg, sizeof(errmsg) - 1) > 0);
	cr_assert_eq(child_finish(&child), EPERM);
	cr_assert(strstr(errmsg, "no CAP_NET_ADMIN"), "%s", errmsg);
	fixture.sock = mnfq_socket_close(fixture.sock);
}

/* Returns how often it was reported. */
static int serve_on(int stream, void *arg)
{
	char byte = 0;
	int i, reported = 0;

	(void)arg;
	if (mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, &fixture) < 0 ||
	    lose_capability() < 0 || write(stream, &byte, 1) != 1)
		return 101;
	while (mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) != -EPERM)
		;
	for (i = 0, reported = 1; i < 30; i++)
		reported += mnfq_socket_dispatch(fixture.sock, 10) < 0;
	return reported;
}

/* Of this thread; it may have it back. */
static void have_capability(bool wanted)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	cr_assert(syscall(SYS_capget, &head, caps) == 0);
	caps[0].effective &= ~(1u << CAP_NET_ADMIN);
	caps[0].effective |= wanted ? 1u << CAP_NET_ADMIN : 0;
	cr_assert(syscall(SYS_capset, &head, caps) == 0);
}

static enum mnfq_verdict drop_a_ring(struct mnfq_packet *packet, void *data)
{
	(void)data;
	return mnfq_packet_get_id(packet) <= 64 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/*
 * Refused packets stay in the kernel, and the reply lies behind the packets that were there before: those are
 * all accepted before it is read.
 */
QueueTest(rights, back_before_the_refusal_is_read)
{
	fixture_bind(NULL, drop_a_ring);
	for (uint32_t seq = 0; seq < 128; seq++)
		udp_send(&fixture.udp, seq);
	have_capability(false);
	fixture_serve(64);
	have_capability(true);
	fixture_serve(64);
	fixture_expect(64, 64);
	fixture_expect_nothing();
	cr_assert(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) == -EPERM);
}

QueueTest(rights, lost_for_good_is_reported_once)
{
	struct child child;

	child = child_start(serve_on, &fixture);
	child_await(&child);
	udp_send(&fixture.udp, 1);
	cr_assert_eq(child_finish(&child), 1);
	fixture.sock = mnfq_socket_close(fixture.sock);
}

/* The kernel's counters: of another namespace only with the right to go there, or once it was used. */
static int tell_counting(int stream)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	int err = mnfq_queue_get_kernel_stats(fixture.queue, &stats);

	dprintf(stream, "%d: %s", err, mnfq_socket_get_error(fixture.sock));
	return -err;
}

static int count_powerless(int stream, void *arg)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	const bool asked_before = fixture.seen;

	(void)arg;
	if (mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, &fixture) < 0)
		return 101;
	if (asked_before && mnfq_queue_get_kernel_stats(fixture.queue, &stats) < 0)
		return 102;
	if (lose_capability() < 0)
		return 103;
	return tell_counting(stream);
}

/* A user with the capability, and in the namespace: but the file is its root's. */
static int count_as_a_user(int stream, void *arg)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = 1u << CAP_NET_ADMIN,
						    .permitted = 1u << CAP_NET_ADMIN } };

	(void)arg;
	netns_enter(fixture.ns);
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(12345, 12345, 12345) < 0 || setresuid(12345, 12345, 12345) < 0 ||
	    syscall(SYS_capset, &head, caps) < 0)
		return 101;
	if (mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, &fixture) < 0)
		return 102;
	return tell_counting(stream);
}

static void expect_counting(int (*function)(int stream, void *arg), bool asked_before, int err,
			    const char *part)
{

	fixture_open(4);
	fixture.seen = asked_before;
	refused(function, err, part);
	fixture.sock = mnfq_socket_close(fixture.sock);
	fixture_close();
}

Test(rights, the_kernels_counters)
{
	expect_counting(count_powerless, false, ENODATA, "CAP_SYS_ADMIN");
	expect_counting(count_powerless, true, 0, "");
	expect_counting(count_as_a_user, false, ENODATA, "only root of the network namespace");
}

/* A user's own namespaces, in which he is root; nowhere else. */
static int rule_at_home(int stream, void *arg)
{
	struct fixture home = { 0 };
	char byte = 0;

	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 1;
	if (mnfq_socket_open(&home.sock, NULL) < 0 ||
	    mnfq_queue_bind(&home.queue, home.sock, 1, NULL, count_packet, &home) < 0)
		return 2;
	/* SO_RCVBUFFORCE is for the machine's root, so it is as large as the limit allows. */
	if (mnfq_socket_get_receive_buffer(home.sock) <= 0 ||
	    mnfq_socket_get_receive_buffer(home.sock) >= 64 << 20)
		return 3;
	return write(stream, &byte, 1) == 1 && read(stream, &byte, 1) == 0 ? 0 : 4;
}

Test(rights, root_of_a_user_namespace_serves_its_own)
{
	struct netns *ns = netns_new();
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	struct child child = child_start(rule_at_home, NULL);
	char pid[16];

	(void)ns;
	child_await(&child);
	snprintf(pid, sizeof(pid), "%d", (int)child.pid);
	expect_ok(NULL, mnfq_socket_open_netns(&sock, pid, NULL));
	cr_assert(mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, NULL) == -EBUSY);
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, count_packet, NULL));
	mnfq_socket_close(sock);
	cr_assert_eq(child_finish(&child), 0);
}
