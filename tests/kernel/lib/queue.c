/* SPDX-License-Identifier: MIT */
/* Queues: what is in force, who may have them, what happens around binding and unbinding. */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"

/* ---- settings ---- */

QueueTest(queue, defaults_are_in_force)
{
	struct mnfq_queue_options options = { .size = sizeof(options) };
	struct netns_queue kernel;

	fixture_bind(NULL, count_packet);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(kernel.portid == mnfq_socket_get_portid(fixture.sock));
	cr_assert(kernel.copy_mode == 2 && kernel.copy_range == MNFQ_COPY_RANGE_MAX);
	cr_assert(mnfq_queue_get_options(fixture.queue, &options) == 0);
	cr_assert(options.copy_mode == MNFQ_COPY_PACKET);
	cr_assert(options.copy_range == MNFQ_COPY_RANGE_MAX);
	cr_assert(options.max_len == MNFQ_MAX_LEN_DEFAULT);
	cr_assert(options.flags == 0);
	cr_assert(options.default_verdict == MNFQ_DROP);
	cr_assert(mnfq_queue_get_num(fixture.queue) == 1);
	cr_assert(mnfq_queue_get_socket(fixture.queue) == fixture.sock);
}

QueueTest(queue, settings_change_while_it_runs)
{
	struct netns_queue kernel;

	fixture_bind(NULL, count_packet);
	udp_send_many(&fixture.udp, 0, 3);
	expect_ok(fixture.sock,
		  mnfq_queue_configure(fixture.queue,
				       QUEUE_OPTIONS(.copy_range = 128, .max_len = 2,
						     .default_verdict = MNFQ_ACCEPT)));
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(kernel.copy_mode == 2 && kernel.copy_range == 128 && kernel.waiting == 3);
	fixture_serve(3);
	fixture_expect(0, 3);

	udp_send_many(&fixture.udp, 10, 5); /* three more than there is room for now */
	fixture_serve(2);
	fixture_expect(10, 2);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel) && kernel.dropped == 3);
	expect_ok(fixture.sock, mnfq_queue_configure(fixture.queue,
						     QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_META)));
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(kernel.copy_mode == 1 && kernel.copy_range == 0);
}

QueueTest(queue, copy_none_lets_the_kernel_drop)
{
	fixture_bind(QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_NONE), count_packet);
	udp_send(&fixture.udp, 1);
	expect_ok(fixture.sock, mnfq_queue_configure(fixture.queue, NULL));
	fixture_pass(2, 1);
	fixture_expect_nothing();
	cr_assert(fixture.seen == 1);
	fixture.elsewhere = 1; /* dropped: the kernel has no counter for that */
}

/* Connection tracking data: kernels are built with it or without. */
QueueTest(queue, a_flag_that_the_kernel_may_lack)
{
	struct mnfq_queue *queue;
	int err;

	err = mnfq_queue_bind(&queue, fixture.sock, 1,
			      QUEUE_OPTIONS(.flags = MNFQ_QUEUE_CONNTRACK), count_packet,
			      &fixture);
	if (err == 0) {
		mnfq_queue_unbind(queue);
	} else {
		cr_assert(err == -EOPNOTSUPP, "%s", strerror(-err));
		cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "onnection tracking"));
	}
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 1);
}

/* ---- several queues ---- */

QueueTest(queue, two_on_one_socket)
{
	struct fixture second = { .verdict = MNFQ_DROP };
	struct mnfq_queue *other;
	struct udp udp;

	netns_rule(fixture.ns, 4, "-A INPUT -p udp --dport 7001 -j NFQUEUE --queue-num 2");
	udp_open(&udp, fixture.ns, fixture.ns, "127.0.0.1", 7001);
	fixture_bind(NULL, count_packet);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 2, NULL, count_packet, &second));
	udp_send_many(&fixture.udp, 0, 20);
	udp_send_many(&udp, 0, 10);
	fixture_serve(30);
	cr_assert(fixture.seen == 20 && second.seen == 10);
	cr_assert(fixture_stats().accepted == 20 && fixture_stats().dropped == 0);
	cr_assert(mnfq_queue_unbind(other) == NULL);
	cr_assert(fixture_socket_stats().dropped == 10);
	udp_send(&fixture.udp, 20);
	fixture_serve(1);
	cr_assert(fixture.seen == 21);
	udp_close(&udp);
}

/* Flows are spread over the queues; each flow stays in one. */
QueueTest(queue, a_balanced_range_on_one_socket)
{
	struct fixture queues[4] = { 0 };
	struct mnfq_queue *queue;
	unsigned int sum = 0, used = 0;
	struct udp udp;

	netns_rule(fixture.ns, 4, "-t mangle -F");
	netns_rule(fixture.ns, 4, "-A INPUT -p udp -j NFQUEUE --queue-balance 10:13");
	for (unsigned int i = 0; i < 4; i++) {
		queues[i].verdict = MNFQ_ACCEPT;
		expect_ok(fixture.sock, mnfq_queue_bind(&queue, fixture.sock, 10 + i, NULL,
							count_packet, &queues[i]));
	}
	for (unsigned int i = 1; i < 33; i++) {
		char address[16];

		snprintf(address, sizeof(address), "127.0.%u.%u", i, i);
		udp_open(&udp, fixture.ns, fixture.ns, address, PORT);
		udp_send_many(&udp, 0, 4);
		fixture_serve(4);
		udp_close(&udp);
	}
	for (unsigned int i = 0; i < 4; i++) {
		cr_assert(queues[i].seen % 4 == 0, "a flow was torn apart");
		sum += queues[i].seen;
		used += queues[i].seen > 0;
	}
	cr_assert(sum == 128 && used > 1);
}

/* ---- around binding ---- */

/* They are in the socket when the acknowledgement comes, and must neither be lost nor misread. */
QueueTest(queue, packets_that_arrive_while_another_is_bound)
{
	struct mnfq_queue *other;

	fixture_bind(NULL, count_packet);
	for (unsigned int i = 0; i < 50; i++) {
		udp_send_many(&fixture.udp, i * 3, 3);
		expect_ok(fixture.sock, mnfq_queue_bind(&other, fixture.sock, 100 + i, NULL,
							count_packet, &fixture));
		expect_ok(fixture.sock, mnfq_queue_configure(fixture.queue, NULL));
		mnfq_queue_unbind(other);
	}
	cr_assert(fixture.seen == 0, "no callback but from within dispatch");
	fixture_serve(150);
	fixture_expect(0, 150);
	expect_counts(.lost = 0);
}

QueueTest(queue, unbound_means_unbound)
{
	struct netns_queue kernel;

	fixture_bind(NULL, count_packet);
	udp_send(&fixture.udp, 1);
	cr_assert(mnfq_queue_unbind(fixture.queue) == NULL);
	cr_assert(!netns_get_queue(fixture.ns, 1, &kernel));
	udp_send(&fixture.udp, 2);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	fixture_bind(NULL, count_packet);
	fixture_pass(3, 1);
	fixture_expect_nothing();
	expect_counts(.seen = 1, .packets = 1);
	cr_assert(fixture_socket_stats().lost == 0);
	fixture.elsewhere = 1; /* dropped while no queue was bound */
}

/* Ids begin at 1 again: what is left of the first life must not be taken for the second's. */
QueueTest(queue, bound_again_with_old_packets_in_the_socket)
{
	for (unsigned int i = 0; i < 100; i++) {
		fixture_bind(NULL, count_packet);
		udp_send_many(&fixture.udp, 1000, 5);
		cr_assert(netns_wait_waiting(fixture.ns, 1, 5));
		fixture.queue = mnfq_queue_unbind(fixture.queue);
	}
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 3);
	fixture_expect_nothing();
	expect_counts(.seen = 3);
}

/* Asking for the default verdict of nothing is no failure worth telling. */
QueueTest(queue, an_empty_queue_is_unbound_in_silence)
{
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), count_packet);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(fixture_socket_stats().refused == 0);
	cr_assert(mnfq_socket_get_error(fixture.sock)[0] == '\0');
}

/* ---- full ---- */

QueueTest(queue, full_drops_and_the_kernel_counts)
{
	struct netns_queue kernel;

	fixture_bind(QUEUE_OPTIONS(.max_len = 10), count_packet);
	udp_send_many(&fixture.udp, 0, 25);
	fixture_serve(10);
	fixture_expect(0, 10);
	fixture_expect_nothing();
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(kernel.dropped == 15 && kernel.user_dropped == 0);
	cr_assert(fixture_stats().lost == 0, "a full queue consumes no ids");
	fixture_pass(30, 1);
}

QueueTest(queue, full_and_fail_open_accepts_unseen)
{
	struct netns_queue kernel;

	fixture_bind(QUEUE_OPTIONS(.max_len = 10, .flags = MNFQ_QUEUE_FAIL_OPEN), count_packet);
	udp_send_many(&fixture.udp, 0, 25);
	fixture_expect(10, 15);
	fixture_serve(10);
	fixture_expect(0, 10);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel) && kernel.dropped == 0);
	expect_counts(.seen = 10);
	fixture.failed_open = 15;
}

QueueTest(queue, a_length_of_0_has_no_packet)
{
	struct mnfq_kernel_stats kernel = MNFQ_INIT(kernel);

	fixture_bind(QUEUE_OPTIONS(.max_len = MNFQ_MAX_LEN_ZERO), count_packet);
	udp_send_many(&fixture.udp, 0, 25);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	fixture_expect_nothing();
	expect_ok(fixture.sock, mnfq_queue_get_kernel_stats(fixture.queue, &kernel));
	cr_assert(kernel.queue_dropped == 25 && kernel.waiting == 0 && kernel.last_id == 0);
	expect_ok(fixture.sock, mnfq_queue_configure(fixture.queue, NULL));
	fixture_pass(30, 1);
	expect_counts(.seen = 1, .packets = 1, .accepted = 1, .lost = 0);
}

/* What waits when it is set is decided as ever. */
QueueTest(queue, a_length_of_0_and_fail_open_accepts_unseen)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);

	fixture_bind(NULL, count_packet);
	udp_send_many(&fixture.udp, 0, 2);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 2));
	expect_ok(fixture.sock,
		  mnfq_queue_configure(fixture.queue,
				       QUEUE_OPTIONS(.max_len = MNFQ_MAX_LEN_ZERO,
						     .flags = MNFQ_QUEUE_FAIL_OPEN)));
	cr_assert(mnfq_queue_get_options(fixture.queue, &options) == 0);
	cr_assert(options.max_len == MNFQ_MAX_LEN_ZERO);
	udp_send_many(&fixture.udp, 2, 23);
	fixture_expect(2, 23);
	fixture_serve(2);
	fixture_expect(0, 2);
	expect_counts(.seen = 2, .accepted = 2);
	fixture.failed_open = 23;
}

/* ---- what waits at the end ---- */

static void end_with_unread(enum mnfq_verdict default_verdict)
{
	struct mnfq_stats stats;

	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = default_verdict), count_packet);
	udp_send_many(&fixture.udp, 0, 800);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 800));
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	stats = fixture_socket_stats();
	cr_assert(stats.packets == 0 && stats.defaulted == 800, "%" PRIu64, stats.defaulted);
	cr_assert((default_verdict == MNFQ_DROP ? stats.dropped : stats.accepted) == 800);
	for (uint32_t seq = 0; seq < 800 && default_verdict == MNFQ_ACCEPT; seq++)
		fixture_expect(seq, 1);
	fixture_expect_nothing();
	fixture_close();
}

Test(queue, what_waits_at_the_end_is_counted)
{
	end_with_unread(MNFQ_DROP);
	end_with_unread(MNFQ_ACCEPT);
}

static enum mnfq_verdict unbind_at_ten(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_id(packet) == 10)
		fixture.queue = mnfq_queue_unbind(fixture.queue);
	return MNFQ_ACCEPT;
}

/* Some of what waits is in the ring by then, some is not. */
QueueTest(queue, what_waits_when_a_callback_unbinds_is_counted)
{
	struct mnfq_stats stats;

	fixture_bind(NULL, unbind_at_ten);
	udp_send_many(&fixture.udp, 0, 200);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 200));
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 10);
	stats = fixture_socket_stats();
	cr_assert(stats.packets == 10 && stats.accepted == 10);
	cr_assert(stats.defaulted == 190 && stats.dropped == 190 && stats.unclaimed == 0);
}
