/* SPDX-License-Identifier: MIT */
/* The callback that hears of verdicts that the kernel refused. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-fixture.h"

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

static void open_and_hear(mnfq_callback callback)
{
	memset(&heard, 0, sizeof(heard));
	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.refused = hear), callback);
}

/* Each of them by an id of its own. */
Test(refused, packets_flushed_by_a_link_that_goes_down)
{
	open_and_hear(retain_packet);
	udp_send_many(&fixture.udp, 0, 5);
	fixture_serve(5);
	cr_assert(mnfq_packet_decide(fixture.retained[1], MNFQ_ACCEPT) == 0);
	netns_run(fixture.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0));
	for (unsigned int i = 0; i < 5; i++)
		if (i != 1)
			cr_assert(mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT) == 0);
	cr_assert(heard.count == 0, "from within a dispatch only");
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(heard.count == 4 && heard.counted == 4 && heard.queue == fixture.queue);
	for (unsigned int i = 0; i < 4; i++) {
		cr_assert(heard.ids[i] == (i == 0 ? 1 : i + 2), "id %u", heard.ids[i]);
		cr_assert(heard.errors[i] == -ENOENT, "%s", strerror(-heard.errors[i]));
	}
	for (unsigned int i = 0; i < 5; i++)
		mnfq_packet_free(fixture.retained[i]);
	fixture_close();
}

/* The link is down before the batch is received. Whether its one verdict, which finds nothing, is told once. */
static bool tells_once(void)
{
	bool once;

	open_and_hear(count_packet);
	udp_send_many(&fixture.udp, 0, 5);
	netns_run(fixture.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0));
	fixture_serve(5);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(heard.count > 0 && heard.ids[heard.count - 1] == 5);
	once = heard.count == 1;
	cr_assert(!once || heard.errors[0] == -ENOENT);
	netns_run(fixture.ns, "ip link set lo up");
	heard.count = 0;
	fixture_pass(6, 1);
	cr_assert(heard.count == 0);
	fixture_close();
	return once;
}

/* Where callbacks are slow, as on a busy machine, a round sends more than one. */
Test(refused, a_batch_is_told_by_its_last_packet)
{
	unsigned int tries = 20;

	while (!tells_once())
		cr_assert(--tries > 0);
}

/* A process with a copy of the descriptor takes the queue over, and lets it go. */
static int unbind_ours(int stream, void *arg)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;

	(void)arg;
	(void)stream;
	if (mnfq_socket_adopt(&sock, fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0),
			      NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, &fixture) < 0)
		return 1;
	mnfq_socket_close(sock);
	return 0;
}

Test(refused, a_queue_unbound_behind_our_back)
{
	struct mnfq_kernel_stats kernel = { .size = sizeof(kernel) };
	struct child child;

	open_and_hear(retain_packet);
	udp_send_many(&fixture.udp, 0, 2);
	fixture_serve(2);
	child = child_start(unbind_ours, &fixture);
	cr_assert(child_finish(&child) == 0);
	cr_assert(mnfq_queue_get_kernel_stats(fixture.queue, &kernel) == -ENODEV);
	cr_assert(mnfq_packet_decide(fixture.retained[1], MNFQ_ACCEPT) == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) == -ENODEV);
	cr_assert(heard.count == 1 && heard.ids[0] == 2, "%u heard", heard.count);
	cr_assert(heard.errors[0] == -ENODEV, "%s", strerror(-heard.errors[0]));
	mnfq_packet_free(fixture.retained[0]);
	mnfq_packet_free(fixture.retained[1]);
	fixture_close();
}

/* A packet that never reached us may wait in the kernel or not: finding nothing is no news. */
Test(refused, the_default_for_what_was_lost_is_not_heard)
{
	uint8_t stolen[4096];
	int fd;

	open_and_hear(count_packet);
	fd = mnfq_socket_get_fd(fixture.sock);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	udp_send(&fixture.udp, 2);
	cr_assert(wait_readable(fd) && recv(fd, stolen, sizeof(stolen), MSG_DONTWAIT) > 0);
	netns_run(fixture.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0));
	netns_run(fixture.ns, "ip link set lo up");
	udp_send(&fixture.udp, 3);
	fixture_serve(1);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(fixture_stats().lost == 1 && heard.count == 0, "%u heard", heard.count);
	fixture_close();
}

/* It may unbind the queue that it hears about. */
static void hear_and_unbind(struct mnfq_queue *queue, uint32_t id, int error, void *data)
{
	hear(queue, id, error, data);
	mnfq_queue_unbind(fixture.queue);
}

Test(refused, unbound_within)
{
	struct netns_queue kernel;

	memset(&heard, 0, sizeof(heard));
	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.refused = hear_and_unbind), retain_packet);
	udp_send_many(&fixture.udp, 0, 1);
	fixture_serve(1);
	netns_run(fixture.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0));
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(heard.count == 1 && heard.ids[0] == 1 && heard.errors[0] == -ENOENT);
	cr_assert(!netns_get_queue(fixture.ns, 1, &kernel));
	mnfq_packet_free(fixture.retained[0]);
	fixture_close();
}

/* Queue 2 of our socket is unbound through a copy of the descriptor, and bound by another socket. */
static struct mnfq_socket *lose_two(void)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int fd = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);

	expect_ok(NULL, mnfq_socket_adopt(&sock, fd, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, count_packet, &fixture));
	mnfq_queue_unbind(queue);
	mnfq_socket_close(sock);
	expect_ok(NULL, mnfq_socket_open_netns(&sock, fixture.ns->name, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, count_packet, &fixture));
	return sock;
}

QueueTest(refused, a_lost_queue_costs_the_other_no_packet)
{
	struct mnfq_socket *owner;
	struct mnfq_queue *two;
	struct udp udp;
	int failures = 0, n;

	fixture_bind(NULL, count_packet);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&two, fixture.sock, 2, NULL, retain_packet, &fixture));
	netns_rule(fixture.ns, 4, "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 2",
		   PORT + 1);
	udp_open(&udp, fixture.ns, fixture.ns, "127.0.0.1", PORT + 1);
	udp_send(&udp, 1);
	cr_assert(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) == 1);
	owner = lose_two();

	udp_send_many(&fixture.udp, 0, 10);
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == 0);
	udp_send_many(&fixture.udp, 10, 30);
	while (fixture.seen < 40 || failures == 0) {
		n = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
		cr_assert(n > 0 || n == -EPERM, "%s", mnfq_socket_get_error(fixture.sock));
		failures += n < 0;
	}
	cr_expect(strstr(mnfq_socket_get_error(fixture.sock), "queue 2"));
	for (uint32_t seq = 0; seq < 40; seq++)
		fixture_expect(seq, 1);
	cr_assert(fixture_stats().accepted == 40 && fixture_socket_stats().unsent == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 200) == 0, "it was reported");
	cr_assert(failures == 1);
	mnfq_packet_free(fixture.retained[0]);
	mnfq_socket_close(owner);
	udp_close(&udp);
}
