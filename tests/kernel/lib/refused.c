/* SPDX-License-Identifier: MIT */
/* The callback that hears of verdicts that the kernel refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

static struct {
	unsigned int count;
	uint32_t ids[16];
	int errors[16];
	uint64_t counted; /* by the queue, when the last one was heard */
	const struct mnfq_queue *queue;
} heard;

static void hear(struct mnfq_queue *queue, uint32_t id, int error, void *data)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	(void)data;
	cr_assert(heard.count < 16);
	cr_assert(mnfq_queue_get_stats(queue, &stats) == 0);
	heard.queue = queue;
	heard.counted = stats.refused;
	heard.ids[heard.count] = id;
	heard.errors[heard.count++] = error;
}

static void open_and_hear(struct scene *scene, mnfq_callback callback)
{
	memset(&heard, 0, sizeof(heard));
	scene_open(scene, 4);
	scene_bind(scene, QUEUE_OPTIONS(.refused = hear), callback);
}

/* Each of them by an id of its own. */
Test(refused, packets_flushed_by_a_link_that_goes_down)
{
	struct scene scene;
	unsigned int i;

	open_and_hear(&scene, scene_keep);
	udp_send_many(&scene.udp, 0, 5);
	scene_serve(&scene, 5);
	cr_assert(mnfq_packet_decide(scene.kept[1], MNFQ_ACCEPT) == 0);
	netns_run(scene.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(scene.ns, 1, 0));
	for (i = 0; i < 5; i++)
		if (i != 1)
			cr_assert(mnfq_packet_decide(scene.kept[i], MNFQ_ACCEPT) == 0);
	cr_assert(heard.count == 0, "from within a dispatch only");
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(heard.count == 4 && heard.counted == 4 && heard.queue == scene.queue);
	for (i = 0; i < 4; i++) {
		cr_assert(heard.ids[i] == (i == 0 ? 1 : i + 2), "id %u", heard.ids[i]);
		cr_assert(heard.errors[i] == -ENOENT, "%s", strerror(-heard.errors[i]));
	}
	for (i = 0; i < 5; i++)
		mnfq_packet_free(scene.kept[i]);
	scene_close(&scene);
}

/* The link is down before the batch is received: its one verdict finds nothing. */
Test(refused, a_batch_is_told_by_its_last_packet)
{
	struct scene scene;

	open_and_hear(&scene, scene_count);
	udp_send_many(&scene.udp, 0, 5);
	netns_run(scene.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(scene.ns, 1, 0));
	scene_serve(&scene, 5);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(heard.count == 1 && heard.ids[0] == 5 && heard.errors[0] == -ENOENT);
	netns_run(scene.ns, "ip link set lo up");
	udp_send(&scene.udp, 6);
	scene_serve(&scene, 1);
	scene_expect(&scene, 6);
	cr_assert(heard.count == 1);
	scene_close(&scene);
}

/* Somebody who has a copy of the descriptor takes the queue over, and lets it go. */
static int unbind_ours(int stream, void *arg)
{
	struct scene *scene = arg;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;

	(void)stream;
	if (mnfq_socket_adopt(&sock, fcntl(mnfq_socket_get_fd(scene->sock), F_DUPFD_CLOEXEC, 0),
			      NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, scene_count, scene) < 0)
		return 1;
	mnfq_socket_close(sock);
	return 0;
}

Test(refused, a_queue_unbound_behind_our_back)
{
	struct mnfq_kernel_stats kernel = { .size = sizeof(kernel) };
	struct child child;
	struct scene scene;

	open_and_hear(&scene, scene_keep);
	udp_send_many(&scene.udp, 0, 2);
	scene_serve(&scene, 2);
	child = child_start(unbind_ours, &scene);
	cr_assert(child_finish(&child) == 0);
	cr_assert(mnfq_queue_get_kernel_stats(scene.queue, &kernel) == -ENODEV);
	cr_assert(mnfq_packet_decide(scene.kept[1], MNFQ_ACCEPT) == 0);
	cr_assert(mnfq_socket_dispatch(scene.sock, DEADLINE_MS) == -ENODEV);
	cr_assert(heard.count == 1 && heard.ids[0] == 2, "%u heard", heard.count);
	cr_assert(heard.errors[0] == -ENODEV, "%s", strerror(-heard.errors[0]));
	mnfq_packet_free(scene.kept[0]);
	mnfq_packet_free(scene.kept[1]);
	scene_close(&scene);
}

/* A packet that never reached us may wait in the kernel or not: finding nothing is no news. */
Test(refused, the_default_for_what_was_lost_is_not_heard)
{
	uint8_t stolen[4096];
	struct scene scene;
	int fd;

	open_and_hear(&scene, scene_count);
	fd = mnfq_socket_get_fd(scene.sock);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	udp_send(&scene.udp, 2);
	cr_assert(wait_readable(fd) && recv(fd, stolen, sizeof(stolen), MSG_DONTWAIT) > 0);
	netns_run(scene.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(scene.ns, 1, 0));
	netns_run(scene.ns, "ip link set lo up");
	udp_send(&scene.udp, 3);
	scene_serve(&scene, 1);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(scene_stats(&scene).lost == 1 && heard.count == 0, "%u heard", heard.count);
	scene_close(&scene);
}

/* It may unbind the queue that it is told about. */
static void hear_and_unbind(struct mnfq_queue *queue, uint32_t id, int error, void *data)
{
	struct scene *scene = data;

	hear(queue, id, error, data);
	mnfq_queue_unbind(scene->queue);
}

Test(refused, unbound_within)
{
	struct netns_queue kernel;
	struct scene scene;

	memset(&heard, 0, sizeof(heard));
	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.refused = hear_and_unbind), scene_keep);
	udp_send_many(&scene.udp, 0, 1);
	scene_serve(&scene, 1);
	netns_run(scene.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(scene.ns, 1, 0));
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_ACCEPT) == 0);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(heard.count == 1 && heard.ids[0] == 1 && heard.errors[0] == -ENOENT);
	cr_assert(!netns_get_queue(scene.ns, 1, &kernel));
	mnfq_packet_free(scene.kept[0]);
	scene_close(&scene);
}

/* Queue 2 of our socket is unbound through a copy of the descriptor, and bound by another socket. */
static struct mnfq_socket *lose_two(struct scene *scene)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int fd = fcntl(mnfq_socket_get_fd(scene->sock), F_DUPFD_CLOEXEC, 0);

	scene_ok(NULL, mnfq_socket_adopt(&sock, fd, NULL));
	scene_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, scene_count, scene));
	mnfq_queue_unbind(queue);
	mnfq_socket_close(sock);
	scene_ok(NULL, mnfq_socket_open_netns(&sock, scene->ns->name, NULL));
	scene_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, scene_count, scene));
	return sock;
}

Test(refused, a_lost_queue_costs_the_other_no_packet)
{
	struct mnfq_socket *owner;
	struct mnfq_queue *two;
	struct scene scene;
	struct udp udp;
	int failures = 0, n;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	scene_ok(scene.sock, mnfq_queue_bind(&two, scene.sock, 2, NULL, scene_keep, &scene));
	netns_rule(scene.ns, 4, "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 2",
		   PORT + 1);
	udp_open(&udp, scene.ns, scene.ns, "127.0.0.1", PORT + 1);
	udp_send(&udp, 1);
	cr_assert(mnfq_socket_dispatch(scene.sock, DEADLINE_MS) == 1);
	owner = lose_two(&scene);

	udp_send_many(&scene.udp, 0, 10);
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_ACCEPT) == 0);
	udp_send_many(&scene.udp, 10, 30);
	while (scene.seen < 40 || failures == 0) {
		n = mnfq_socket_dispatch(scene.sock, DEADLINE_MS);
		cr_assert(n > 0 || n == -EPERM, "%s", mnfq_socket_get_error(scene.sock));
		failures += n < 0;
	}
	cr_expect(strstr(mnfq_socket_get_error(scene.sock), "queue 2"));
	for (uint32_t seq = 0; seq < 40; seq++)
		scene_expect(&scene, seq);
	cr_assert(scene_stats(&scene).accepted == 40 && scene_socket_stats(&scene).unsent == 0);
	cr_assert(mnfq_socket_dispatch(scene.sock, 200) == 0, "it was reported");
	cr_assert(failures == 1);
	mnfq_packet_free(scene.kept[0]);
	mnfq_socket_close(owner);
	udp_close(&udp);
	scene_close(&scene);
}
