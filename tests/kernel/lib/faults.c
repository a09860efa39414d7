/* SPDX-License-Identifier: MIT */
/* What goes wrong in real life: nothing stops the service, and the counters tell what was lost. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"
#include "kernel-fixture.h"

/* ---- a receiver that dies ---- */

static int hold_and_wait(int stream, void *arg)
{
	struct mnfq_socket *sock;
	char byte = 0;

	(void)arg;
	if (mnfq_socket_open_netns(&sock, fixture.ns->name, NULL) < 0 ||
	    mnfq_queue_bind(&fixture.queue, sock, 1, NULL, retain_packet, &fixture) < 0 ||
	    write(stream, &byte, 1) != 1)
		return 1;
	while (mnfq_socket_dispatch(sock, DEADLINE_MS) > 0)
		;
	return 2;
}

/* With some packets in its hands, and some unread. */
QueueTest(faults, a_receiver_is_killed_and_another_binds_at_once)
{
	struct child child;

	for (uint32_t round = 0; round < 10; round++) {
		child = child_start(hold_and_wait, &fixture);
		child_await(&child);
		udp_send_many(&fixture.udp, 0, 100);
		cr_assert(netns_wait_waiting(fixture.ns, 1, 100));
		child_kill(&child);
		fixture_bind(NULL, count_packet);
		udp_send(&fixture.udp, 1000 + round);
		fixture_serve(1);
		fixture_expect(1000 + round, 1);
		fixture_expect_nothing();
		expect_counts(.lost = 0);
		mnfq_queue_unbind(fixture.queue);
	}
	fixture.elsewhere = 1000; /* dropped with the sockets that were killed */
}

/* ---- more than the socket holds ---- */

static void drain(void)
{
	struct pollfd pfd = { .fd = mnfq_socket_get_fd(fixture.sock), .events = POLLIN };

	while (poll(&pfd, 1, 0) == 1)
		cr_assert(mnfq_socket_dispatch(fixture.sock, 0) >= 0);
}

/* @count datagrams into a buffer for a few; one more shows the gap. Returns how many were seen. */
static unsigned int overrun(unsigned int count)
{
	udp_send_many(&fixture.udp, 0, count);
	drain();
	udp_send(&fixture.udp, count);
	while (fixture.seen == 0 || fixture_stats().lost == 0)
		cr_assert(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) > 0);
	cr_assert(fixture.seen > 1 && fixture.seen < count);
	return fixture.seen;
}

/* The kernel's own counter says the same, and who was seen has arrived. */
static void check_overrun(unsigned int count)
{
	struct netns_queue kernel;
	struct tally tally;

	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(kernel.user_dropped > 0 && kernel.dropped == 0);
	cr_assert_eq(fixture_stats().lost, kernel.user_dropped);
	cr_assert_eq(fixture_socket_stats().overruns, kernel.user_dropped);
	cr_assert_eq(fixture.seen + kernel.user_dropped, count);
	tally_init(&tally, count);
	cr_assert(udp_drain_until(&fixture.udp, &tally, fixture.seen));
	cr_assert(tally.count == fixture.seen && tally.repeated == 0);
	tally_free(&tally);
	fixture_pass(5000, 1);
}

QueueTest(faults, an_overrun_is_counted_exactly)
{
	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 16384));
	fixture_bind(NULL, count_packet);
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) == 16384);
	(void)overrun(500);
	check_overrun(501);
}

static struct mnfq_kernel_stats kernel_stats(void)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };

	expect_ok(fixture.sock, mnfq_queue_get_kernel_stats(fixture.queue, &stats));
	return stats;
}

/* No packet comes after the loss by which a gap would show. */
QueueTest(faults, an_overrun_before_silence_is_counted_exactly)
{
	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 100000));
	fixture_bind(QUEUE_OPTIONS(.max_len = 50000), count_packet);
	udp_send_many(&fixture.udp, 0, 3000);
	drain();
	cr_assert(fixture.seen > 1 && fixture.seen < 3000);
	expect_counts(.lost = 0);
	cr_assert_eq(fixture_socket_stats().overruns, 3000 - fixture.seen);
	cr_assert_eq(kernel_stats().user_dropped, 3000 - fixture.seen);
}

QueueTest(faults, a_full_queue_is_counted_by_the_kernel)
{
	struct mnfq_kernel_stats stats;

	fixture_bind(QUEUE_OPTIONS(.max_len = 100), count_packet);
	udp_send_many(&fixture.udp, 0, 300);
	stats = kernel_stats();
	cr_assert(stats.waiting == 100 && stats.queue_dropped == 200 && stats.user_dropped == 0);
	cr_assert(stats.last_id == 100 && stats.portid == mnfq_socket_get_portid(fixture.sock));
	drain();
	expect_counts(.seen = 100);
	stats = kernel_stats();
	cr_assert(stats.waiting == 0 && stats.queue_dropped == 200);
}

/* More queues than one read of the file has room for. */
QueueTest(faults, the_kernels_counters_of_each_of_many_queues)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	struct mnfq_queue *queues[200];

	for (unsigned int i = 0; i < 200; i++)
		expect_ok(fixture.sock, mnfq_queue_bind(&queues[i], fixture.sock, i + 100, NULL,
							count_packet, &fixture));
	fixture_bind(NULL, count_packet);
	udp_send_many(&fixture.udp, 0, 5);
	for (unsigned int i = 0; i < 200; i++) {
		expect_ok(fixture.sock, mnfq_queue_get_kernel_stats(queues[i], &stats));
		cr_assert(stats.waiting == 0 && stats.last_id == 0);
	}
	cr_assert_eq(kernel_stats().waiting, 5);
	fixture_serve(5);
}

/* And of no other socket's. */
QueueTest(faults, the_kernels_counters_of_all_queues_of_a_socket)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	struct mnfq_socket *owner;
	struct mnfq_queue *other;

	fixture_bind(QUEUE_OPTIONS(.max_len = 4), count_packet);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 2, QUEUE_OPTIONS(.max_len = 3),
				  count_packet, &fixture));
	expect_ok(NULL, mnfq_socket_open_netns(&owner, fixture.ns->name, NULL));
	netns_rule(fixture.ns, 4,
		   "-t mangle -I INPUT -p udp -m statistic --mode nth --every 3 "
		   "--packet 0 -j NFQUEUE --queue-num 2");
	netns_rule(fixture.ns, 4,
		   "-t mangle -I INPUT -p udp -m statistic --mode nth --every 3 "
		   "--packet 0 -j NFQUEUE --queue-num 3");
	expect_ok(owner, mnfq_queue_bind(&other, owner, 3, QUEUE_OPTIONS(.max_len = 1),
					 count_packet, &fixture));
	udp_send_many(&fixture.udp, 0, 45);
	expect_ok(fixture.sock, mnfq_socket_get_kernel_stats(fixture.sock, &stats));
	cr_assert(stats.waiting == 7, "%" PRIu64, stats.waiting);
	cr_assert(stats.queue_dropped == 30 - 7 && stats.user_dropped == 0);
	cr_assert(stats.portid == mnfq_socket_get_portid(fixture.sock) && stats.last_id == 0);
	cr_assert_eq(stats.queues, 2);
	drain();
	mnfq_socket_close(owner);
	fixture.elsewhere = 15; /* of the other socket */
}

/* By another user of the socket. */
QueueTest(faults, an_overrun_of_a_shrunk_buffer_is_counted_exactly)
{
	int tiny = 1, copy;

	fixture_bind(NULL, count_packet);
	copy = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);
	cr_assert(setsockopt(copy, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)) == 0);
	cr_assert(mnfq_socket_get_receive_buffer(fixture.sock) < 8192);
	(void)overrun(500);
	check_overrun(501);
	close(copy);
}

/* The kernel then loses everything until the socket has been drained. */
QueueTest(faults, an_overrun_with_enobufs_is_counted_exactly)
{
	int zero = 0;

	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 16384));
	fixture_bind(NULL, count_packet);
	cr_assert(setsockopt(mnfq_socket_get_fd(fixture.sock), SOL_NETLINK, NETLINK_NO_ENOBUFS,
			     &zero, sizeof(zero)) == 0);
	(void)overrun(500);
	check_overrun(501);
}

/* What the kernel let pass by itself counts as lost, although it arrived. */
QueueTest(faults, an_overrun_with_fail_open_loses_no_datagram)
{
	struct tally tally;
	unsigned int seen;

	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 16384));
	fixture_bind(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_FAIL_OPEN), count_packet);
	seen = overrun(500);
	tally_init(&tally, 501);
	cr_assert(udp_drain_until(&fixture.udp, &tally, 501));
	cr_assert(tally.count == 501 && tally.repeated == 0);
	cr_assert_eq(seen + fixture_stats().lost, 501);
	tally_free(&tally);
}

/* The acknowledgement finds no room either: the request still ends, and the queue is bound. */
QueueTest(faults, a_request_with_a_full_buffer)
{
	struct mnfq_queue *other = NULL;

	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 8192));
	fixture_bind(NULL, count_packet);
	udp_send_many(&fixture.udp, 0, 200);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 2, NULL, count_packet, &fixture));
	expect_ok(fixture.sock,
		  mnfq_queue_configure(fixture.queue, QUEUE_OPTIONS(.copy_range = 500)));
	mnfq_queue_unbind(other);
	drain();
	cr_assert(fixture.seen > 0);
}

/* ---- forged messages ---- */

QueueTest(faults, forged_messages_reach_no_callback)
{
	const uint32_t portid = mnfq_socket_get_portid(fixture.sock);
	int fd = netns_socket(fixture.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	fixture_bind(NULL, count_packet);
	for (uint32_t i = 0; i < 100000; i++) {
		hostile_forge_packet(fd, portid, i / 100 + 1); /* the id that comes next */
		if (i % 100 == 50)
			udp_send(&fixture.udp, i);
		if (i % 100 == 99) {
			fixture_serve(1);
			fixture_expect(i - 49, 1);
		}
	}
	while (fixture_socket_stats().forged < 100000)
		cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(fixture.seen == 1000 && fixture_socket_stats().forged == 100000);
	expect_counts(.lost = 0);
	close(fd);
}

/* Forged answers in the socket neither confirm nor deny a request. */
QueueTest(faults, forged_messages_do_not_disturb_requests)
{
	int fd = netns_socket(fixture.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct netns_queue kernel;

	for (uint32_t seq = 0; seq < 200; seq++)
		hostile_forge_answer(fd, mnfq_socket_get_portid(fixture.sock), seq, -EPERM);
	fixture_bind(NULL, count_packet);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel) && kernel.copy_mode == 2);
	drain();
	cr_assert(fixture_socket_stats().forged == 200);
	close(fd);
}

/* ---- the ground moves ---- */

static void decide_all(void)
{
	for (unsigned int i = 0; i < fixture.retained_count; i++) {
		cr_assert(mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT) == 0);
		mnfq_packet_free(fixture.retained[i]);
	}
	fixture.retained_count = 0;
}

static void expect_service(uint32_t seq)
{
	udp_send(&fixture.udp, seq);
	fixture_serve(1);
	decide_all();
	fixture_expect(seq, 1);
}

QueueTest(faults, a_link_goes_down_and_its_packets_with_it)
{
	fixture_bind(NULL, retain_packet);
	udp_send_many(&fixture.udp, 0, 5);
	fixture_serve(5);
	netns_run(fixture.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0));
	decide_all();
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0, "that is no error of the loop");
	expect_counts(.refused = 5);
	netns_run(fixture.ns, "ip link set lo up");
	expect_service(9);
}

QueueTest(faults, a_rule_is_removed_while_packets_wait)
{
	fixture_bind(NULL, retain_packet);
	udp_send_many(&fixture.udp, 0, 3);
	fixture_serve(3);
	netns_rule(fixture.ns, 4, "-t mangle -F INPUT");
	udp_send(&fixture.udp, 3);
	fixture_expect(3, 1);
	decide_all();
	fixture_expect(0, 3);
	netns_rule(fixture.ns, 4, "-t mangle -A INPUT -p udp -j NFQUEUE --queue-num 1");
	expect_service(9);
	fixture.elsewhere = -3; /* of the rule that is gone */
}

/* Removing a base chain makes the kernel drop all that is queued in the namespace. */
QueueTest(faults, a_hook_is_removed_and_all_packets_with_it)
{
	if (system("command -v iptables-nft >/dev/null") != 0)
		skip_or_fail("this needs iptables-nft");
	netns_rule(fixture.ns, 4, "-t mangle -F INPUT");
	netns_run(fixture.ns, "iptables-nft -A INPUT -p udp -j NFQUEUE --queue-num 1");
	fixture_bind(NULL, retain_packet);
	udp_send_many(&fixture.udp, 0, 3);
	fixture_serve(3);
	netns_run(fixture.ns, "iptables-nft -F INPUT && iptables-nft -X INPUT");
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0));
	decide_all();
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	expect_counts(.refused = 3);
	netns_rule(fixture.ns, 4, "-t mangle -A INPUT -p udp -j NFQUEUE --queue-num 1");
	expect_service(9);
	fixture.elsewhere = -3; /* of the rule that is gone */
}

static bool has_device(struct netns *ns, const char *device)
{
	char *links = netns_output(ns, "ip -o link");
	bool found = strstr(links, device) != NULL;

	free(links);
	return found;
}

/* Its other end of a veth pair tells whether a namespace still exists. */
Test(faults, a_deleted_namespace_is_served_and_freed_by_our_close)
{
	struct netns *outside = netns_new();

	fixture_open(4);
	free(fixture.descriptors);
	netns_join(outside, "witness", fixture.ns, "eth0", 1);
	fixture_bind(NULL, retain_packet);
	netns_free(fixture.ns);
	expect_service(1);
	cr_assert(has_device(outside, "witness"));
	udp_close(&fixture.udp);
	mnfq_socket_close(fixture.sock);
	cr_assert(wait_until(!has_device(outside, "witness")), "the namespace is still there");
}
