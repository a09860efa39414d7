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
#include <unistd.h>

#include "scene.h"

static void reopen(struct scene *scene, const struct mnfq_socket_options *options)
{
	mnfq_socket_close(scene->sock);
	scene_ok(NULL, mnfq_socket_open_netns(&scene->sock, scene->ns->name, options));
}

static void with_batch(uint32_t batch, int at_most)
{
	struct scene scene;
	int n, handled = 0;

	scene_open(&scene, 4);
	reopen(&scene, SOCKET_OPTIONS(.batch = batch));
	scene_bind(&scene, NULL, scene_count);
	udp_send_many(&scene.udp, 0, 200);
	while (handled < 200) {
		n = mnfq_socket_dispatch(scene.sock, DEADLINE_MS);
		cr_assert(n > 0 && n <= at_most, "%d", n);
		handled += n;
	}
	cr_assert(scene.seen == 200 && scene_stats(&scene).lost == 0);
	scene_close(&scene);
}

Test(socket, a_batch_is_a_limit)
{
	with_batch(1, 1);
	with_batch(7, 7);
	with_batch(0, 64);
	with_batch(1024, 200);
}

Test(socket, receive_buffer_is_the_effective_one)
{
	struct scene scene;

	scene_open(&scene, 4);
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) >= 64 << 20);
	reopen(&scene, SOCKET_OPTIONS(.receive_buffer = 100000));
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) == 100000);
	scene_ok(scene.sock, mnfq_socket_set_receive_buffer(scene.sock, 200000));
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) == 200000);
	cr_assert(mnfq_socket_set_receive_buffer(scene.sock, 0x80000000u) == -EINVAL);
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) == 200000);
	scene_close(&scene);
}

/* What is still on its way to a socket that was closed must not reach the next one. */
Test(socket, a_port_id_is_not_used_again)
{
	struct mnfq_socket *sock;
	struct scene scene;
	uint32_t portid;

	scene_open(&scene, 4);
	portid = mnfq_socket_get_portid(scene.sock);
	scene.sock = mnfq_socket_close(scene.sock);
	scene_ok(NULL, mnfq_socket_open_netns(&sock, scene.ns->name, NULL));
	cr_assert(mnfq_socket_get_portid(sock) != portid, "%u again", portid);
	mnfq_socket_close(sock);
	scene_close(&scene);
}

Test(socket, names_of_interfaces_are_those_of_its_namespace)
{
	struct netns *peer = netns_new();
	struct scene scene;
	char name[IF_NAMESIZE];

	scene_open(&scene, 4);
	netns_run(scene.ns,
		  "ip link add fifteen-letters index 4321 type veth peer name x netns %s",
		  peer->name);
	cr_assert(mnfq_socket_get_ifname(scene.sock, 1, name) == 0);
	cr_assert_str_eq(name, "lo");
	cr_assert(mnfq_socket_get_ifname(scene.sock, 4321, name) == 0);
	cr_assert_str_eq(name, "fifteen-letters");
	cr_assert(mnfq_socket_get_ifname(scene.sock, 4322, name) == -ENODEV);
	cr_assert(mnfq_socket_get_ifname(scene.sock, 0, name) < 0);
	cr_assert(mnfq_socket_get_ifname(scene.sock, 1, NULL) == -EINVAL);
	netns_run(scene.ns, "ip link del fifteen-letters");
	cr_assert(wait_until(mnfq_socket_get_ifname(scene.sock, 4321, name) == -ENODEV),
		  "remembered for ever");
	scene_close(&scene);
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
	scene_ok(NULL, mnfq_socket_open_netns(&sock, to->name, NULL));
	scene_ok(sock, mnfq_queue_bind(&queue, sock, 1, NULL, name_device, name));
	udp_open(&udp, from, to, address, PORT);
	udp_send(&udp, 1);
	cr_assert(mnfq_socket_dispatch(sock, DEADLINE_MS) == 1);
	cr_assert_str_eq(name, expected);
	udp_close(&udp);
	scene_account(sock, to, NULL);
	mnfq_socket_close(sock);
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

Test(socket, a_namespace_without_a_name)
{
	struct scene scene;
	struct child child;
	char name[64], expected[64], pid[16];
	uint64_t inode;

	scene_open(&scene, 4);
	cr_assert(mnfq_socket_get_netns_name(scene.sock, name, 0) == -EINVAL);
	child = child_start(live_apart, NULL);
	child_await(&child);
	snprintf(pid, sizeof(pid), "%d", (int)child.pid);
	mnfq_socket_close(scene.sock);
	scene_ok(NULL, mnfq_socket_open_netns(&scene.sock, pid, NULL));
	cr_assert(child_finish(&child) == 0);
	cr_assert(mnfq_socket_get_netns_inode(scene.sock, &inode) == 0);
	snprintf(expected, sizeof(expected), "net:[%llu]", (unsigned long long)inode);
	cr_assert(mnfq_socket_get_netns_name(scene.sock, name, sizeof(name)) == 0);
	cr_assert_str_eq(name, expected);
	strcpy(name, "as it was");
	cr_assert(mnfq_socket_get_netns_name(scene.sock, name, strlen(expected)) == -ENOSPC);
	cr_assert_str_eq(name, "as it was");
	scene_close(&scene);
}

/* What somebody closes under our feet is told by whatever uses it, and closing stays harmless. */
Test(socket, a_descriptor_that_somebody_closed)
{
	struct mnfq_queue_options options = { .size = sizeof(options) };
	struct mnfq_queue *other = NULL;
	struct scene scene;
	uint64_t inode;
	char name[64];

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_keep);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	close(mnfq_socket_get_fd(scene.sock));
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_ACCEPT) == -EBADF);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == -EBADF);
	cr_assert(mnfq_socket_dispatch(scene.sock, -1) == -EBADF);
	cr_assert(mnfq_socket_run(scene.sock) == -EBADF);
	mnfq_packet_free(scene.kept[0]);
	cr_assert(mnfq_socket_get_ifname(scene.sock, 1, name) == -EBADF);
	cr_assert(mnfq_socket_get_netns_inode(scene.sock, &inode) == -EBADF);
	cr_assert(mnfq_socket_get_netns_name(scene.sock, name, sizeof(name)) == -EBADF);
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) == -EBADF);
	cr_assert(mnfq_queue_get_options(scene.queue, &options) == 0);
	cr_assert(options.max_len == MNFQ_MAX_LEN_DEFAULT);
	cr_assert(mnfq_socket_set_receive_buffer(scene.sock, 1 << 20) == -EBADF);
	cr_assert(strstr(mnfq_socket_get_error(scene.sock), "receive buffer"));
	cr_assert(mnfq_queue_bind(&other, scene.sock, 2, NULL, scene_count, NULL) == -EBADF);
	cr_assert(strstr(mnfq_socket_get_error(scene.sock), "queue 2: the socket's descriptor"),
		  "%s", mnfq_socket_get_error(scene.sock));
	cr_assert(mnfq_queue_configure(scene.queue, NULL) == -EBADF);
	cr_assert(mnfq_queue_set_flags(scene.queue, 0, MNFQ_QUEUE_NO_GSO) == -EBADF);
	cr_assert(strstr(mnfq_socket_get_error(scene.sock), "queue 1: the socket's descriptor"));
	cr_assert(other == NULL);
	scene.unaccounted = "nobody can ask a closed descriptor";
	scene_close(&scene);
}

/* Also one that was adopted without the flag, and what is made on the way. */
Test(socket, every_descriptor_is_close_on_exec)
{
	bool there[256];
	struct scene scene;
	int i, fd;

	scene_open(&scene, 4);
	mnfq_socket_close(scene.sock);
	for (i = 0; i < 256; i++)
		there[i] = fcntl(i, F_GETFD) >= 0;
	fd = netns_socket(scene.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(fcntl(fd, F_SETFD, 0) == 0);
	scene_ok(NULL, mnfq_socket_adopt(&scene.sock, fd, NULL));
	scene_bind(&scene, NULL, scene_count);
	cr_assert(mnfq_socket_dispatch(scene.sock, 1) == 0);
	for (i = 0; i < 256; i++) {
		int flags = fcntl(i, F_GETFD);

		cr_assert(there[i] || flags < 0 || flags & FD_CLOEXEC, "descriptor %d", i);
	}
	scene_close(&scene);
}

static void *serve_there(void *arg)
{
	scene_serve(arg, 100);
	return NULL;
}

/* There and back, with what waits and what is held. */
Test(socket, it_moves_to_another_thread)
{
	struct mnfq_ring *here, *there;
	struct scene scene;
	pthread_t thread;
	uint32_t seq;

	scene_open(&scene, 4);
	cr_assert(mnfq_ring_new(&here, 16) == 0 && mnfq_ring_new(&there, 0) == 0);
	reopen(&scene, SOCKET_OPTIONS(.ring = here));
	scene_bind(&scene, NULL, scene_keep);
	udp_send_many(&scene.udp, 0, 200);
	scene_serve(&scene, 16);
	scene_ok(scene.sock, mnfq_socket_set_ring(scene.sock, there));
	mnfq_ring_free(there);
	cr_assert(pthread_create(&thread, NULL, serve_there, &scene) == 0);
	pthread_join(thread, NULL);
	scene_ok(scene.sock, mnfq_socket_set_ring(scene.sock, here));
	mnfq_ring_free(here);
	scene_serve(&scene, 200 - scene.handled);
	cr_assert(scene.kept_count == 200 && scene_stats(&scene).lost == 0);
	for (seq = 0; seq < 200; seq++) {
		cr_assert(mnfq_packet_decide(scene.kept[seq], MNFQ_ACCEPT) == 0);
		mnfq_packet_free(scene.kept[seq]);
		scene_expect(&scene, seq);
	}
	scene_close(&scene);
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
	char *before = descriptors(), sentence[8] = "";

	refuse(SOCKET_OPTIONS(.batch = 1025), -EINVAL);
	refuse(SOCKET_OPTIONS(.receive_buffer = 0xffffffff), -EINVAL);
	refuse(SOCKET_OPTIONS(.timeout_ms = 0xffffffff), -EINVAL);
	refuse(&newer.known, -E2BIG);
	refuse(&(struct mnfq_socket_options){ .size = 1 }, -EINVAL);
	refuse(SOCKET_OPTIONS(.batch = 1025, .error = sentence, .error_size = sizeof(sentence)),
	       -EINVAL);
	cr_assert(strlen(sentence) == sizeof(sentence) - 1, "cut, but terminated");
	check_descriptors(before);
}

Test(socket, null_is_refused_or_harmless)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };
	struct mnfq_queue_options options = { .size = sizeof(options) };
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
