/* SPDX-License-Identifier: MIT */
/* Who may bind a queue; and what the others are told, so that they know what to do about it. */
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

#include "scene.h"

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

/* Tries to bind queue 1, writes the sentence and returns the errno; for a child's end. */
static int try_to_bind(int stream, struct scene *scene)
{
	int err = mnfq_queue_bind(&scene->queue, scene->sock, 1, NULL, scene_count, scene);

	dprintf(stream, "%s", mnfq_socket_get_error(scene->sock));
	return -err;
}

/* Runs a child that ends as with try_to_bind(); its errno and part of its sentence are expected. */
static void refused(int (*function)(int stream, void *arg), struct scene *scene, int expected,
		    const char *part)
{
	struct child child = child_start(function, scene);
	char sentence[512] = "";

	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, sentence, sizeof(sentence) - 1) > 0, "it said nothing");
	cr_assert_eq(child_finish(&child), expected);
	cr_assert(strstr(sentence, part), "%s", sentence);
}

static int own_it(int stream, void *arg)
{
	struct scene *scene = arg;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	char byte = 0;

	prctl(PR_SET_NAME, "the-owner");
	if (mnfq_socket_open_netns(&sock, scene->ns->name, NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, scene_count, scene) < 0)
		return 1;
	return write(stream, &byte, 1) == 1 && read(stream, &byte, 1) == 0 ? 0 : 1;
}

Test(rights, owned_by_somebody_else_says_who)
{
	struct netns_queue kernel;
	struct child child;
	struct scene scene;
	char expected[96];

	scene_open(&scene, 4);
	child = child_start(own_it, &scene);
	child_await(&child);
	cr_assert(mnfq_queue_bind(&scene.queue, scene.sock, 1, NULL, scene_count, NULL) ==
		  -EBUSY);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel));
	snprintf(expected, sizeof(expected), "portid %u (pid %d, the-owner)", kernel.portid,
		 (int)child.pid);
	cr_assert(strstr(mnfq_socket_get_error(scene.sock), expected), "%s",
		  mnfq_socket_get_error(scene.sock));
	cr_assert(child_finish(&child) == 0);
	scene_bind(&scene, NULL, scene_count);
	scene_close(&scene);
}

static int bind_powerless(int stream, void *arg)
{
	return lose_capability() < 0 ? 255 : try_to_bind(stream, arg);
}

Test(rights, no_capability_says_so)
{
	struct scene scene;

	scene_open(&scene, 4);
	refused(bind_powerless, &scene, EPERM, "no CAP_NET_ADMIN");
	scene_close(&scene);
}

/* All capabilities, but over a user namespace to which the network namespace does not belong. */
static int bind_from_elsewhere(int stream, void *arg)
{
	return unshare(CLONE_NEWUSER) < 0 ? 255 : try_to_bind(stream, arg);
}

Test(rights, capability_over_another_user_namespace_says_so)
{
	struct scene scene;

	scene_open(&scene, 4);
	refused(bind_from_elsewhere, &scene, EPERM, "elsewhere");
	scene_close(&scene);
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

/* Whoever hands a socket over keeps a copy, and could read with it what our rights bind. */
Test(rights, those_of_the_opener_are_needed_unless_they_are_lent)
{
	struct netns_queue kernel;
	struct scene scene;
	struct child child;
	int fd;

	scene_open(&scene, 4);
	child = child_start(open_powerless, scene.ns);
	fd = receive_descriptor(child.fd);
	cr_assert(fd >= 0 && child_finish(&child) == 0);
	mnfq_socket_close(scene.sock);
	scene_ok(NULL, mnfq_socket_adopt(&scene.sock, dup(fd), NULL));
	cr_assert(mnfq_queue_bind(&scene.queue, scene.sock, 1, NULL, scene_count, &scene) ==
		  -EPERM);
	cr_assert(strstr(mnfq_socket_get_error(scene.sock), "that opened the socket had no CAP"));
	cr_assert(!netns_get_queue(scene.ns, 1, &kernel));
	mnfq_socket_close(scene.sock);
	scene_ok(NULL,
		 mnfq_socket_adopt(&scene.sock, fd, SOCKET_OPTIONS(.flags = MNFQ_SOCKET_LEND)));
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	scene_expect(&scene, 1);
	scene_close(&scene);
}

static int serve_powerless(int stream, void *arg)
{
	struct scene *scene = arg;
	char byte = 0;
	int n;

	if (mnfq_queue_bind(&scene->queue, scene->sock, 1, NULL, scene_count, scene) < 0 ||
	    lose_capability() < 0 || write(stream, &byte, 1) != 1)
		return 1;
	do {
		n = mnfq_socket_dispatch(scene->sock, DEADLINE_MS);
	} while (n > 0);
	dprintf(stream, "%s", mnfq_socket_get_error(scene->sock));
	return -n;
}

/* Receiving needs no right, so that only the answers to the verdicts tell. */
Test(rights, lost_while_serving)
{
	char sentence[512] = "";
	struct child child;
	struct scene scene;

	scene_open(&scene, 4);
	child = child_start(serve_powerless, &scene);
	child_await(&child);
	udp_send(&scene.udp, 1);
	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, sentence, sizeof(sentence) - 1) > 0);
	cr_assert_eq(child_finish(&child), EPERM);
	cr_assert(strstr(sentence, "no CAP_NET_ADMIN"), "%s", sentence);
	scene.sock = mnfq_socket_close(scene.sock);
	scene_close(&scene);
}

/* Returns how often it was told. */
static int serve_on(int stream, void *arg)
{
	struct scene *scene = arg;
	char byte = 0;
	int i, told = 0;

	if (mnfq_queue_bind(&scene->queue, scene->sock, 1, NULL, scene_count, scene) < 0 ||
	    lose_capability() < 0 || write(stream, &byte, 1) != 1)
		return 101;
	while (mnfq_socket_dispatch(scene->sock, DEADLINE_MS) != -EPERM)
		;
	for (i = 0, told = 1; i < 30; i++)
		told += mnfq_socket_dispatch(scene->sock, 10) < 0;
	return told;
}

Test(rights, lost_for_good_is_reported_once)
{
	struct child child;
	struct scene scene;

	scene_open(&scene, 4);
	child = child_start(serve_on, &scene);
	child_await(&child);
	udp_send(&scene.udp, 1);
	cr_assert_eq(child_finish(&child), 1);
	scene.sock = mnfq_socket_close(scene.sock);
	scene_close(&scene);
}

/* The kernel's counters: of another namespace only with the right to go there, or once it was used. */
static int tell_counting(int stream, struct scene *scene)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	int err = mnfq_queue_get_kernel_stats(scene->queue, &stats);

	dprintf(stream, "%d: %s", err, mnfq_socket_get_error(scene->sock));
	return -err;
}

static int count_powerless(int stream, void *arg)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	struct scene *scene = arg;
	const bool asked_before = scene->seen;

	if (mnfq_queue_bind(&scene->queue, scene->sock, 1, NULL, scene_count, scene) < 0)
		return 101;
	if (asked_before && mnfq_queue_get_kernel_stats(scene->queue, &stats) < 0)
		return 102;
	if (lose_capability() < 0)
		return 103;
	return tell_counting(stream, scene);
}

/* A user with the capability, and in the namespace: but the file is its root's. */
static int count_as_a_user(int stream, void *arg)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { .effective = 1u << CAP_NET_ADMIN,
						    .permitted = 1u << CAP_NET_ADMIN } };
	struct scene *scene = arg;

	netns_enter(scene->ns);
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(12345, 12345, 12345) < 0 || setresuid(12345, 12345, 12345) < 0 ||
	    syscall(SYS_capset, &head, caps) < 0)
		return 101;
	if (mnfq_queue_bind(&scene->queue, scene->sock, 1, NULL, scene_count, scene) < 0)
		return 102;
	return tell_counting(stream, scene);
}

static void expect_counting(int (*function)(int stream, void *arg), bool asked_before, int err,
			    const char *part)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene.seen = asked_before;
	refused(function, &scene, err, part);
	scene.sock = mnfq_socket_close(scene.sock);
	scene_close(&scene);
}

Test(rights, the_kernels_counters)
{
	expect_counting(count_powerless, false, ENODATA, "CAP_SYS_ADMIN");
	expect_counting(count_powerless, true, 0, "");
	expect_counting(count_as_a_user, false, ENODATA, "only root of the network namespace");
}

/* Somebody's own namespaces, in which he is root; nowhere else. */
static int rule_at_home(int stream, void *arg)
{
	struct scene home = { 0 };
	char byte = 0;

	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 1;
	if (mnfq_socket_open(&home.sock, NULL) < 0 ||
	    mnfq_queue_bind(&home.queue, home.sock, 1, NULL, scene_count, &home) < 0)
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
	scene_ok(NULL, mnfq_socket_open_netns(&sock, pid, NULL));
	cr_assert(mnfq_queue_bind(&queue, sock, 1, NULL, scene_count, NULL) == -EBUSY);
	scene_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, scene_count, NULL));
	mnfq_socket_close(sock);
	cr_assert_eq(child_finish(&child), 0);
}
