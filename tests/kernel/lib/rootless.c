/* SPDX-License-Identifier: MIT */
/*
 * Containers of users without rights, and who may serve them: the table "RIGHTS" of libmnfq(3), a
 * row of which each test names.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "container.h"
#include "kernel-fixture.h"

#define OWNER      12345
#define OTHER_USER 12346

/* ---- a process that serves queue 1 ---------------------------------------------------------------- */

struct server {
	uid_t uid; /* 0: stays what it is */
	int fd;    /* -1: opens one where it is */
	uint32_t flags;
	int64_t buffer;
};

/* Says what went wrong, in a message, and ends with the errno. */
static int tell(int stream, const struct mnfq_socket *sock, int err)
{
	dprintf(stream, "%s", mnfq_socket_get_error(sock));
	return -err;
}

/* Adopts, binds, says "+" and serves one packet. */
static int serve_one(int stream, void *arg)
{
	const struct server *server = arg;
	int n;

	if (server->uid && become(server->uid) < 0)
		return 255;
	n = server->fd < 0 ? mnfq_socket_open(&fixture.sock, NULL)
			   : mnfq_socket_adopt(&fixture.sock, server->fd,
					       SOCKET_OPTIONS(.flags = server->flags));
	if (n < 0)
		return -n;
	n = mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet, &fixture);
	if (n < 0)
		return tell(stream, fixture.sock, n);
	if (write(stream, "+", 1) != 1)
		return 255;
	n = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
	if (n != 1)
		return tell(stream, fixture.sock, n);
	mnfq_socket_close(fixture.sock);
	return 0;
}

static void open_queued(struct container *container, struct udp *udp)
{
	netns_rule(&container->ns, 4, "-A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1",
		   PORT);
	udp_open(udp, &container->ns, &container->ns, "127.0.0.1", PORT);
}

/* A datagram goes through the queue of who said "+". */
static void expect_served(const struct udp *udp, int stream)
{
	struct datagram datagram = { 0 };
	char text[512] = "";

	cr_assert(wait_readable(stream));
	cr_assert(read(stream, text, 1) == 1);
	if (text[0] != '+')
		(void)!read(stream, text + 1, sizeof(text) - 2);
	cr_assert_str_eq(text, "+");
	udp_send(udp, 1);
	cr_assert(udp_await(udp, &datagram) && datagram.seq == 1 && datagram.intact);
}

static void served(const struct udp *udp, struct server server)
{
	struct child child = child_start(serve_one, &server);

	expect_served(udp, child.fd);
	cr_assert_eq(child_finish(&child), 0);
}

static void not_served(struct server server, const char *part)
{
	struct child child = child_start(serve_one, &server);
	char text[512] = "";

	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, text, sizeof(text) - 1) > 0);
	cr_assert_eq(child_finish(&child), EPERM, "%s", text);
	cr_expect(strstr(text, "no CAP_NET_ADMIN over "), "%s", text);
	cr_expect(strstr(text, part), "%s", text);
}

/* ---- bind, configure, decide -------------------------------------------------------------------- */

/* Row "open a socket here", and "bind, configure, decide": by the capabilities of its root. */
Test(rootless, root_of_a_container_serves_its_own)
{
	struct server server = { .fd = -1 };
	struct container container;
	struct udp udp;

	container_start(&container, OWNER, serve_one, &server);
	open_queued(&container, &udp);
	expect_served(&udp, container.child.fd);
	udp_close(&udp);
	cr_assert_eq(container_finish(&container), 0);
}

/* Row "bind, configure, decide": by being the user, outside, without any capability. */
Test(rootless, the_user_who_made_it_serves_it_from_outside)
{
	struct container container;
	struct udp udp;

	container_start_idle(&container, OWNER);
	open_queued(&container, &udp);
	served(&udp, (struct server){ .uid = OWNER, .fd = container.socket });
	udp_close(&udp);
	cr_assert_eq(container_finish(&container), 0);
}

/* Row "bind, configure, decide": root of the machine has all capabilities over it. */
Test(rootless, root_of_the_machine_serves_it)
{
	struct container container;
	struct udp udp;

	container_start_idle(&container, OWNER);
	open_queued(&container, &udp);
	served(&udp, (struct server){ .fd = container.socket });
	udp_close(&udp);
	cr_assert_eq(container_finish(&container), 0);
}

/* Row "bind, configure, decide": no other user, who does not learn either which namespace it is. */
Test(rootless, another_user_does_not)
{
	struct container container;

	container_start_idle(&container, OWNER);
	not_served((struct server){ .uid = OTHER_USER, .fd = container.socket },
		   "the socket's network namespace: run it as root, as the user who made");
	cr_assert_eq(container_finish(&container), 0);
}

/* Row "bind, configure, decide": capabilities over another user namespace count for nothing. */
static void refused_inside(int fd)
{
	struct server server = { .fd = fd };
	struct container container;
	char text[512] = "";

	container_start(&container, OWNER, serve_one, &server);
	cr_assert(wait_readable(container.child.fd));
	cr_assert(read(container.child.fd, text, sizeof(text) - 1) > 0);
	cr_expect(strstr(text, "(it has it elsewhere)"), "%s", text);
	cr_assert_eq(container_finish(&container), EPERM);
}

Test(rootless, root_of_a_container_does_not_serve_the_machine)
{
	struct netns *ns = netns_new();
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	refused_inside(fd);
	close(fd);
}

/* Although the same user made both. */
Test(rootless, root_of_a_container_does_not_serve_its_neighbour)
{
	struct container neighbour;

	container_start_idle(&neighbour, OWNER);
	refused_inside(neighbour.socket);
	cr_assert_eq(container_finish(&neighbour), 0);
}

/* ---- who opened it does not matter -------------------------------------------------------------- */

static int open_powerless(int stream, void *arg)
{
	int fd, sent;

	netns_enter(arg);
	if (become(OTHER_USER) < 0)
		return 1;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	sent = fd < 0 ? -1 : send_descriptor(stream, fd);
	return sent < 0;
}

/* A socket of the container, opened by a user who has no right over it. */
static int opened_by_stranger(struct container *container)
{
	struct child child = child_start(open_powerless, &container->ns);
	int fd = receive_descriptor(child.fd);

	cr_assert(fd >= 0 && child_finish(&child) == 0);
	return fd;
}

/* Rows "open a socket here" (nothing) and "bind, configure, decide" (of both, or lent). */
Test(rootless, an_opener_without_rights_and_a_sender_with_them)
{
	struct container container;
	struct udp udp;
	int fd;

	container_start_idle(&container, OWNER);
	open_queued(&container, &udp);
	fd = opened_by_stranger(&container);
	not_served((struct server){ .uid = OWNER, .fd = fd }, "that opened the socket");
	served(&udp, (struct server){ .uid = OWNER, .fd = fd, .flags = MNFQ_SOCKET_LEND });
	close(fd);
	udp_close(&udp);
	cr_assert_eq(container_finish(&container), 0);
}

/* The same row, the other way round: who opened it lends nothing to who sends. */
Test(rootless, an_opener_with_rights_and_a_sender_without)
{
	struct container container;
	int fd;

	container_start_idle(&container, OWNER);
	fd = netns_socket(&container.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	not_served((struct server){ .uid = OTHER_USER, .fd = fd },
		   "the socket's network namespace");
	close(fd);
	cr_assert_eq(container_finish(&container), 0);
}

/* ---- the other rows ----------------------------------------------------------------------------- */

/* Within this process; the cookie tells which namespace it is. */
static bool hands_over(int fd)
{
	struct mnfq_handover info = MNFQ_INIT(info);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	int ends[2], got = -1, err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return false;
	err = mnfq_handover_send(ends[0], fd, 0, NULL);
	if (err == 0)
		err = mnfq_handover_receive(&got, ends[1], 0, &info, NULL);
	if (err == 0)
		err = getsockopt(got, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size);
	close(ends[0]);
	close(ends[1]);
	if (got >= 0)
		close(got);
	return err == 0 && cookie != 0 && info.netns_cookie == cookie;
}

/* Ends with the number of the first step that did not go as it should. */
static int step_by_step(uid_t uid, int fd, int netns_fd, bool owner)
{
	struct mnfq_socket *sock, *other;
	char name[16], netns[64], errmsg[512] = "";
	uint64_t inode;
	int err;

	if (become(uid) < 0)
		return 1;
	if (!hands_over(fd)) /* row "hand a socket over, or receive one", and the cookie */
		return 9;
	if (mnfq_socket_adopt(&sock, fd, NULL) < 0) /* row "adopt a socket" */
		return 2;
	if (mnfq_socket_dispatch(sock, 0) != 0) /* row "receive packets" */
		return 3;
	if (mnfq_socket_get_ifname(sock, 1, name) < 0 || strcmp(name, "lo") != 0)
		return 4; /* row "names of interfaces" */
	err = mnfq_socket_get_netns_inode(sock,
					  &inode); /* row "which namespace a socket is of" */
	if (err != (owner ? 0 : -EPERM))
		return 5;
	err = mnfq_socket_get_netns_name(sock, netns, sizeof(netns));
	if (err != (owner ? 0 : -EPERM))
		return 6;
	/* row "open one in another namespace": being its owner is not enough */
	err = mnfq_socket_open_netns_fd(
		&other, netns_fd, SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg)));
	if (err != -EPERM || !strstr(errmsg, "no CAP_SYS_ADMIN to enter"))
		return 7;
	/* row "a receive buffer beyond net.core.rmem_max" */
	if (mnfq_socket_set_receive_buffer(sock, 64 << 20) < 0 ||
	    mnfq_socket_get_receive_buffer(sock) >= 64 << 20)
		return 8;
	mnfq_socket_close(sock); /* row "close a socket" */
	return fcntl(fd, F_GETFD) < 0 ? 0 : 10;
}

struct steps {
	uid_t uid;
	struct container *container;
};

static int take_steps(int stream, void *arg)
{
	const struct steps *steps = arg;
	struct container *container = steps->container;

	(void)stream;
	return step_by_step(steps->uid, container->socket, container->ns.fd, steps->uid == OWNER);
}

/* rmem_max is far below on any machine that was not tuned; here it is what the test asks for. */
static bool buffers_are_limited(void)
{
	FILE *file = fopen("/proc/sys/net/core/rmem_max", "re");
	long max = 0;

	cr_assert(file && fscanf(file, "%ld", &max) == 1);
	fclose(file);
	return max < 32 << 20;
}

static void all_steps(uid_t uid)
{
	struct container container;
	struct child child;

	netns_require();
	if (!buffers_are_limited())
		skip_or_fail("net.core.rmem_max is 32 MiB or more");
	container_start_idle(&container, OWNER);
	child = child_start(take_steps, &(struct steps){ uid, &container });
	cr_expect_eq(child_finish(&child), 0, "see the step of this number");
	cr_assert_eq(container_finish(&container), 0);
}

Test(rootless, what_its_owner_can_do_beside)
{
	all_steps(OWNER);
}

Test(rootless, what_another_user_can_do)
{
	all_steps(OTHER_USER);
}

/* Row "open one in another namespace": of its own user namespace its root may enter each. */
static int open_nested(int stream, void *arg)
{
	struct mnfq_socket *sock;
	int fd;

	(void)arg;
	(void)stream;
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || unshare(CLONE_NEWNET) < 0)
		return 1;
	if (mnfq_socket_open_netns_fd(&sock, fd, NULL) < 0)
		return 2;
	mnfq_socket_close(sock);
	return 0;
}

Test(rootless, root_of_a_container_enters_namespaces_of_its_own)
{
	struct container container;
	char byte;

	container_start(&container, OWNER, open_nested, NULL);
	cr_assert(read(container.child.fd, &byte, 1) == 0);
	cr_assert_eq(container_finish(&container), 0);
}

/* Row "which process owns a queue": a user sees those that are his, in /proc. */
static int bind_twice(int stream, void *arg)
{
	const struct container *container = arg;
	struct mnfq_queue *queue;
	struct mnfq_socket *sock;

	if (become(OWNER) < 0 || mnfq_socket_adopt(&sock, container->socket, NULL) < 0)
		return 255;
	return tell(stream, sock, mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, NULL));
}

static int bind_and_wait(int stream, void *arg)
{
	const struct container *container = arg;
	struct mnfq_queue *queue;
	struct mnfq_socket *sock;
	char byte;

	if (mnfq_socket_open_netns_fd(&sock, container->ns.fd, NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, NULL) < 0 ||
	    write(stream, "", 1) != 1)
		return 255;
	return read(stream, &byte, 1) == 0 ? 0 : 255;
}

/* The owner of the queue is root's process, which a user does not see into. */
Test(rootless, who_owns_the_queue_is_hidden_from_users)
{
	struct child child, user;
	struct container container;
	char text[512] = "";

	container_start_idle(&container, OWNER);
	child = child_start(bind_and_wait, &container);
	child_await(&child);
	user = child_start(bind_twice, &container);
	cr_assert(wait_readable(user.fd));
	cr_assert(read(user.fd, text, sizeof(text) - 1) > 0);
	cr_expect_eq(child_finish(&user), EBUSY);
	cr_expect(strstr(text, "queue 1 is owned by another socket"), "%s", text);
	cr_assert_eq(child_finish(&child), 0);
	cr_assert_eq(container_finish(&container), 0);
}
