/* SPDX-License-Identifier: MIT */
/* What a socket tells and takes: options, buffers, names; and that misuse is refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "kernel-fixture.h"

static void reopen(const struct mnfq_socket_options *options)
{
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name, options));
}

static void with_batch(uint32_t batch, int at_most)
{
	int n, handled = 0;

	fixture_open(4);
	reopen(SOCKET_OPTIONS(.batch = batch));
	fixture_bind(NULL, count_packet);
	udp_send_many(&fixture.udp, 0, 200);
	while (handled < 200) {
		n = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
		cr_assert(n > 0 && n <= at_most, "%d", n);
		handled += n;
	}
	expect_counts(.seen = 200);
	fixture_close();
}

Test(socket, a_batch_is_a_limit)
{
	with_batch(1, 1);
	with_batch(7, 7);
	with_batch(0, 64);
	with_batch(1024, 200);
}

/* ---- timestamps ---- */

/* Whether it asks for them, of a socket that was just made; closes it. */
static bool asks_for_timestamps(int err, struct mnfq_socket *sock)
{
	int on = -1;
	socklen_t len = sizeof(on);

	expect_ok(NULL, err);
	cr_assert(getsockopt(mnfq_socket_get_fd(sock), SOL_SOCKET, SO_TIMESTAMP, &on, &len) == 0);
	mnfq_socket_close(sock);
	return on;
}

QueueTest(socket, all_sockets_can_ask_for_timestamps)
{
	for (uint32_t on = 0; on <= 1; on++) {
		const struct mnfq_socket_options *options =
			SOCKET_OPTIONS(.flags = on ? MNFQ_SOCKET_TIMESTAMPS : 0);
		struct mnfq_socket *sock;
		int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), err;

		err = mnfq_socket_open(&sock, options);
		cr_expect(asks_for_timestamps(err, sock) == on);
		err = mnfq_socket_open_netns(&sock, fixture.ns->name, options);
		cr_expect(asks_for_timestamps(err, sock) == on);
		err = mnfq_socket_open_netns_fd(&sock, fd, options);
		cr_expect(asks_for_timestamps(err, sock) == on);
		close(fd);
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
		err = mnfq_socket_adopt(&sock, fd, options);
		cr_expect(asks_for_timestamps(err, sock) == on);
	}
}

/* ---- buffers ---- */

QueueTest(socket, receive_buffer_is_the_effective_one)
{
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) >= 64 << 20);
	reopen(SOCKET_OPTIONS(.receive_buffer = 100000));
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) == 100000);
	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 200000));
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) == 200000);
	cr_assert(mnfq_socket_set_receive_buffer(fixture.sock, 0x80000000u) == -EINVAL);
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) == 200000);
}

/* What is still on its way to a socket that was closed must not reach the next one. */
QueueTest(socket, a_port_id_is_not_used_again)
{
	struct mnfq_socket *sock;
	uint32_t portid;

	portid = mnfq_socket_get_portid(fixture.sock);
	fixture.sock = mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&sock, fixture.ns->name, NULL));
	cr_assert(mnfq_socket_get_portid(sock) != portid, "%u again", portid);
	mnfq_socket_close(sock);
}

Test(socket, names_of_interfaces_are_those_of_its_namespace)
{
	struct netns *peer = netns_new();
	char name[IF_NAMESIZE];

	fixture_open(4);
	netns_run(fixture.ns,
		  "ip link add fifteen-letters index 4321 type veth peer name x netns %s",
		  peer->name);
	cr_assert(mnfq_socket_get_ifname(fixture.sock, 1, name) == 0);
	cr_assert_str_eq(name, "lo");
	cr_assert(mnfq_socket_get_ifname(fixture.sock, 4321, name) == 0);
	cr_assert_str_eq(name, "fifteen-letters");
	cr_assert(mnfq_socket_get_ifname(fixture.sock, 4322, name) == -ENODEV);
	cr_assert(mnfq_socket_get_ifname(fixture.sock, 0, name) < 0);
	cr_assert(mnfq_socket_get_ifname(fixture.sock, 1, NULL) == -EINVAL);
	netns_run(fixture.ns, "ip link del fifteen-letters");
	cr_assert(wait_until(mnfq_socket_get_ifname(fixture.sock, 4321, name) == -ENODEV),
		  "remembered for ever");
	fixture_close();
}

/* The name of the device that its datagram came in by, as its own socket tells it. */
static enum mnfq_verdict name_device(struct mnfq_packet *packet, void *data)
{
	struct mnfq_socket *sock = mnfq_queue_get_socket(mnfq_packet_get_queue(packet));

	cr_assert(mnfq_packet_get_indev(packet) == 77);
	cr_assert(mnfq_socket_get_ifname(sock, mnfq_packet_get_indev(packet), data) == 0);
	return MNFQ_ACCEPT;
}

static void expect_device(struct netns *from, struct netns *to, const char *address,
			  const char *expected)
{
	char name[IF_NAMESIZE] = "";
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	struct udp udp;

	netns_rule(to, 4, "-A INPUT -p udp -j NFQUEUE --queue-num 1");
	expect_ok(NULL, mnfq_socket_open_netns(&sock, to->name, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 1, NULL, name_device, name));
	udp_open(&udp, from, to, address, PORT);
	udp_send(&udp, 1);
	cr_assert(mnfq_socket_dispatch(sock, DEADLINE_MS) == 1);
	cr_assert_str_eq(name, expected);
	udp_close(&udp);
	close_accounted(sock, to);
}

/* Both ends of the pair have the same index, and so has a device of the namespace that asks. */
Test(socket, names_of_a_packets_devices_are_those_of_its_namespace)
{
	struct netns *here = netns_new(), *a = netns_new(), *b = netns_new();

	netns_run(here, "ip link add elsewhere index 77 type veth peer name other");
	netns_enter(here);
	netns_run(a,
		  "ip link add alpha index 77 type veth peer name beta index 77 netns %s &&"
		  " ip address add 10.0.1.1/24 dev alpha && ip link set alpha up",
		  b->name);
	netns_run(b, "ip address add 10.0.1.2/24 dev beta && ip link set beta up");
	expect_device(a, b, "10.0.1.2", "beta");
	expect_device(b, a, "10.0.1.1", "alpha");
}

static int live_apart(int stream, void *arg)
{
	char byte = 0;

	(void)arg;
	return unshare(CLONE_NEWNET) == 0 && write(stream, &byte, 1) == 1 &&
			       read(stream, &byte, 1) == 0
		       ? 0
		       : 1;
}

QueueTest(socket, a_namespace_without_a_name)
{
	struct child child;
	char name[64], expected[64], pid[16];
	uint64_t inode;

	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, 0) == -EINVAL);
	child = child_start(live_apart, NULL);
	child_await(&child);
	snprintf(pid, sizeof(pid), "%d", (int)child.pid);
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, pid, NULL));
	cr_assert(child_finish(&child) == 0);
	cr_assert(mnfq_socket_get_netns_inode(fixture.sock, &inode) == 0);
	snprintf(expected, sizeof(expected), "net:[%llu]", (unsigned long long)inode);
	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, sizeof(name)) == 0);
	cr_assert_str_eq(name, expected);
	strcpy(name, "as it was");
	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, strlen(expected)) == -ENOSPC);
	cr_assert_str_eq(name, "as it was");
}

/* Whatever uses it reports that it is closed, and closing stays harmless. */
QueueTest(socket, a_descriptor_closed_behind_our_back)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);
	struct mnfq_queue *other = NULL;
	uint64_t inode;
	char name[64];

	fixture_bind(NULL, retain_packet);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	close(mnfq_socket_get_fd(fixture.sock));
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == -EBADF);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == -EBADF);
	cr_assert(mnfq_socket_dispatch(fixture.sock, -1) == -EBADF);
	cr_assert(mnfq_socket_run(fixture.sock) == -EBADF);
	mnfq_packet_free(fixture.retained[0]);
	cr_assert(mnfq_socket_get_ifname(fixture.sock, 1, name) == -EBADF);
	cr_assert(mnfq_socket_get_netns_inode(fixture.sock, &inode) == -EBADF);
	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, sizeof(name)) == -EBADF);
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) == -EBADF);
	cr_assert(mnfq_queue_get_options(fixture.queue, &options) == 0);
	cr_assert(options.max_len == MNFQ_MAX_LEN_DEFAULT);
	cr_assert(mnfq_socket_set_receive_buffer(fixture.sock, 1 << 20) == -EBADF);
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "receive buffer"));
	cr_assert(mnfq_queue_bind(&other, fixture.sock, 2, NULL, count_packet, NULL) == -EBADF);
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "queue 2: the socket's descriptor"),
		  "%s", mnfq_socket_get_error(fixture.sock));
	cr_assert(mnfq_queue_configure(fixture.queue, NULL) == -EBADF);
	cr_assert(mnfq_queue_set_flags(fixture.queue, 0, MNFQ_QUEUE_NO_GSO) == -EBADF);
	cr_assert(
		strstr(mnfq_socket_get_error(fixture.sock), "queue 1: the socket's descriptor"));
	cr_assert(other == NULL);
	fixture.unaccounted = "a closed descriptor cannot be asked";
}

/* Also one that was adopted without the flag, and what is made on the way. */
QueueTest(socket, every_descriptor_is_close_on_exec)
{
	bool there[256];
	int fd;

	mnfq_socket_close(fixture.sock);
	for (int i = 0; i < 256; i++)
		there[i] = fcntl(i, F_GETFD) >= 0;
	fd = netns_socket(fixture.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(fcntl(fd, F_SETFD, 0) == 0);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd, NULL));
	fixture_bind(NULL, count_packet);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 1) == 0);
	for (int i = 0; i < 256; i++) {
		int flags = fcntl(i, F_GETFD);

		cr_assert(there[i] || flags < 0 || flags & FD_CLOEXEC, "descriptor %d", i);
	}
}

static void *serve_there(void *arg)
{
	(void)arg;
	fixture_serve(100);
	return NULL;
}

/* There and back, with what waits and what is held. */
QueueTest(socket, it_moves_to_another_thread)
{
	struct mnfq_ring *here, *there;
	pthread_t thread;

	cr_assert(mnfq_ring_new(&here, 16) == 0 && mnfq_ring_new(&there, 0) == 0);
	reopen(SOCKET_OPTIONS(.ring = here));
	fixture_bind(NULL, retain_packet);
	udp_send_many(&fixture.udp, 0, 200);
	fixture_serve(16);
	expect_ok(fixture.sock, mnfq_socket_set_ring(fixture.sock, there));
	mnfq_ring_free(there);
	cr_assert(pthread_create(&thread, NULL, serve_there, &fixture) == 0);
	pthread_join(thread, NULL);
	expect_ok(fixture.sock, mnfq_socket_set_ring(fixture.sock, here));
	mnfq_ring_free(here);
	fixture_serve(200 - fixture.handled);
	cr_assert(fixture.retained_count == 200 && fixture_stats().lost == 0);
	for (uint32_t seq = 0; seq < 200; seq++) {
		cr_assert(mnfq_packet_decide(fixture.retained[seq], MNFQ_ACCEPT) == 0);
		mnfq_packet_free(fixture.retained[seq]);
		fixture_expect(seq, 1);
	}
}

static void refuse(const struct mnfq_socket_options *options, int expected)
{
	struct mnfq_socket *const untouched = (struct mnfq_socket *)&untouched, *sock = untouched;

	cr_assert(mnfq_socket_open(&sock, options) == expected && sock == untouched);
}

Test(socket, options_out_of_range_are_refused)
{
	struct {
		struct mnfq_socket_options known;
		uint64_t unknown;
	} newer = { .known.size = sizeof(newer), .unknown = 1 };
	char *before = descriptors(), errmsg[8] = "";

	refuse(SOCKET_OPTIONS(.batch = 1025), -EINVAL);
	refuse(SOCKET_OPTIONS(.receive_buffer = 0xffffffff), -EINVAL);
	refuse(SOCKET_OPTIONS(.timeout_ms = 0xffffffff), -EINVAL);
	refuse(&newer.known, -E2BIG);
	refuse(&(struct mnfq_socket_options){ .size = 1 }, -EINVAL);
	refuse(SOCKET_OPTIONS(.batch = 1025, .error = errmsg, .error_size = sizeof(errmsg)),
	       -EINVAL);
	cr_assert(strlen(errmsg) == sizeof(errmsg) - 1, "cut, but terminated");
	check_descriptors(before);
}

/* The one that waits had is not for the next user of the descriptor. */
QueueTest(socket, a_detached_descriptor_has_no_timeout)
{
	struct timeval timeout;
	socklen_t len = sizeof(timeout);
	int fd;

	fixture_bind(NULL, count_packet);
	udp_send(&fixture.udp, 1);
	cr_assert_eq(mnfq_socket_dispatch(fixture.sock, -1), 1);
	udp_send(&fixture.udp, 2);
	cr_assert_eq(mnfq_socket_dispatch(fixture.sock, -1), 1);
	fixture_expect(1, 2);
	fd = mnfq_socket_get_fd(fixture.sock);
	cr_assert(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &len) == 0);
	cr_assert_gt(timeout.tv_sec, 0, "it did not wait in the receive");
	fd = mnfq_socket_detach(fixture.sock);
	fixture.sock = NULL;
	cr_assert(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &len) == 0);
	cr_assert(timeout.tv_sec == 0 && timeout.tv_usec == 0);
	close(fd);
}

Test(socket, null_is_refused_or_harmless)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);
	struct mnfq_queue_options options = MNFQ_INIT(options);
	uint64_t inode;
	char name[64];
	size_t len;

	cr_assert(mnfq_socket_open(NULL, NULL) == -EINVAL);
	cr_assert(mnfq_socket_open_netns(NULL, "1", NULL) == -EINVAL);
	cr_assert(mnfq_socket_open_netns_fd(NULL, 0, NULL) == -EINVAL);
	cr_assert(mnfq_socket_close(NULL) == NULL && mnfq_queue_unbind(NULL) == NULL);
	cr_assert(mnfq_packet_free(NULL) == NULL);
	mnfq_socket_stop(NULL);
	cr_assert(mnfq_socket_run(NULL) == -EINVAL && mnfq_socket_get_fd(NULL) < 0);
	cr_assert(mnfq_socket_get_netns_inode(NULL, &inode) == -EINVAL);
	cr_assert(mnfq_socket_get_netns_name(NULL, name, sizeof(name)) == -EINVAL);
	cr_assert(mnfq_socket_get_ifname(NULL, 1, name) == -EINVAL);
	cr_assert(mnfq_socket_set_receive_buffer(NULL, 1) == -EINVAL);
	cr_assert(mnfq_socket_set_ring(NULL, NULL) == -EINVAL);
	cr_assert(mnfq_socket_get_receive_buffer(NULL) == -EINVAL);
	cr_assert(mnfq_socket_get_stats(NULL, &stats) == -EINVAL);
	cr_assert(mnfq_queue_get_stats(NULL, &stats) == -EINVAL);
	cr_assert(mnfq_queue_configure(NULL, &options) == -EINVAL);
	cr_assert(mnfq_queue_get_options(NULL, &options) == -EINVAL);
	cr_assert(mnfq_queue_get_socket(NULL) == NULL);
	cr_assert(mnfq_packet_get_queue(NULL) == NULL);
	cr_assert(mnfq_packet_set_mark(NULL, 1) == -EINVAL);
	cr_assert(mnfq_packet_set_payload(NULL, "", 1) == -EINVAL);
	cr_assert(mnfq_packet_get_length(NULL, &len) == -EINVAL);
	cr_assert(mnfq_packet_decide(NULL, MNFQ_DROP) == -EINVAL);
}
