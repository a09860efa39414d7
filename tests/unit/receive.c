// SPDX-License-Identifier: MIT
/*
 * The walk of a packet, and what can go wrong on it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "support/fixture.h"

TestSuite(rounds, .init = setup, .fini = teardown);

Test(rounds, a_batch_costs_two_system_calls)
{
	unsigned int sends = fake.sends;

	pass_packets(64);
	cr_expect(eq(u32, fake.sends - sends, 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1));
	cr_expect(eq(u32, fake_queued(7), 0));
	cr_expect(eq(u64, stats().accepted, 64));
	cr_expect(eq(u64, stats().bytes, 64 * 60));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

Test(rounds, a_gap_is_counted_and_decided_by_default)
{
	fake_packet(7, 60, true);
	fake_packet(7, 60, false); /* taken by another process */
	fake_overrun(7);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u64, stats().lost, 2));
	cr_expect(eq(u64, stats().refused, 0));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_DROP);
	expect_verdict(3, FAKE_UNDECIDED);
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(eq(u32, fake_queued(7), 0));
}

Test(rounds, what_was_lost_is_not_refused_as_well)
{
	fake_overrun(7);
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().lost, 1));
	cr_expect(eq(u64, stats().refused, 0), "ENOENT for what was lost is no news");
}

Test(rounds, what_is_not_from_the_kernel_is_forged)
{
	message_packet(&msg, 7, 1, 60);
	fake_datagram(msg.bytes, msg.len, 4711);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u32, seen, 0));
	cr_expect(eq(u64, stats().forged, 1));
	pass_packets(1);
	cr_expect(eq(u64, stats().lost, 0));
}

Test(rounds, malformed_datagrams_are_counted)
{
	message_packet(&msg, 7, 1, 60);
	fake_datagram(msg.bytes, 0, 0);
	fake_datagram(msg.bytes, 15, 0);
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = 15;
	fake_datagram(msg.bytes, msg.len, 0);
	message_begin(&msg, 7);
	fake_datagram(msg.bytes, msg.len, 0);
	((struct nlmsghdr *)msg.bytes)->nlmsg_type = NLMSG_ERROR;
	fake_datagram(msg.bytes, msg.len, 0);
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = 0x80000010;
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().malformed, 6));
	cr_expect(eq(u32, seen, 0));
}

Test(rounds, a_cut_packet_is_decided_by_default)
{
	fake_packet(7, 60, false);
	message_packet(&msg, 7, 1, 60);
	fake_datagram(msg.bytes, msg.len - 20, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, seen, 0));
	cr_expect(eq(u64, stats().truncated, 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().defaulted, 1));
	expect_verdict(1, MNFQ_DROP);
}

Test(rounds, packets_of_other_queues_are_unclaimed)
{
	message_packet(&msg, 8, 1, 60);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().unclaimed, 1));
}

Test(rounds, refused_verdicts_are_counted_and_reported)
{
	fake.verdict_error = -ENOENT;
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0), "a flushed packet is normal life");
	cr_expect(eq(u64, stats().refused, 1));

	fake.verdict_error = -ENODEV;
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENODEV));
	cr_expect(eq(u64, stats().refused, 2));

	fake.verdict_error = -EPERM;
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	fake.verdict_error = 0;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1), "the next verdict works");
}

Test(rounds, a_want_of_memory_is_waited_for)
{
	fake.send_error = ENOBUFS;
	fake.send_errors = 3;
	pass_packets(1);
	expect_verdict(1, MNFQ_ACCEPT);
}

Test(rounds, a_send_that_fails_for_good_is_reported)
{
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

Test(rounds, stop_ends_the_next_wait)
{
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	mnfq_socket_stop(sock);
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0), "two are one");
}

static enum mnfq_verdict misbehave(struct mnfq_packet *packet, void *data)
{
	static const uint32_t wrong[] = { 2, 99, MNFQ_DEFER + 1, UINT32_MAX, 0x70001, 3 | 0x100 };

	(void)data;
	return (enum mnfq_verdict)wrong[mnfq_packet_get_id(packet) % 6];
}

static void expect_default(enum mnfq_verdict fallback)
{
	rebind_seven(misbehave, fallback);
	pass_packets(6);
	expect_each_verdict(1, 6, fallback);
	cr_expect(eq(u64, queue_stats(queue).invalid, 6));
	cr_expect(eq(u64, queue_stats(queue).defaulted, 6));
}

Test(rounds, what_is_no_verdict_becomes_the_default)
{
	expect_default(MNFQ_DROP);
	expect_default(MNFQ_ACCEPT);
	expect_default(MNFQ_REPEAT);
}

static enum mnfq_verdict reenter(struct mnfq_packet *packet, void *data)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };

	(void)data, (void)packet;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EBUSY));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -EBUSY));
	cr_expect(eq(int, mnfq_socket_run(sock), -EBUSY));
	cr_expect(eq(int, mnfq_socket_feed(sock, &msg, 1, (void *)&from, sizeof(from)), -EBUSY));
	return MNFQ_ACCEPT;
}

Test(rounds, a_callback_cannot_dispatch)
{
	rebind_seven(reenter, MNFQ_DROP);
	pass_packets(1);
	expect_verdict(1, MNFQ_ACCEPT);
}

static struct mnfq_packet *copy;

static enum mnfq_verdict retain_and_misuse(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet *again;

	(void)data;
	cr_assert(eq(int, mnfq_packet_retain(&copy, packet), 0));
	cr_expect(eq(int, mnfq_packet_retain(&again, copy), -EINVAL));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DROP), -EALREADY));
	cr_expect(eq(int, mnfq_packet_decide(copy, MNFQ_DROP), -EALREADY));
	return MNFQ_DEFER;
}

Test(rounds, a_verdict_given_in_the_callback_decides_the_copy_as_well)
{
	rebind_seven(retain_and_misuse, MNFQ_DROP);
	pass_packets(1);
	expect_verdict(1, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_packet_decide(copy, MNFQ_DROP), -EALREADY));
	cr_expect(eq(u64, stats().accepted, 1));
	cr_expect(eq(u64, stats().deferred, 0));
	mnfq_packet_free(copy);
}

static enum mnfq_verdict unbind_at_two(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	if (mnfq_packet_get_id(packet) == 2)
		mnfq_queue_unbind(mnfq_packet_get_queue(packet));
	return MNFQ_ACCEPT;
}

static void configure_default(enum mnfq_verdict fallback)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .default_verdict = fallback };

	cr_expect(eq(int, mnfq_queue_configure(queue, &options), 0));
}

Test(rounds, a_callback_may_unbind_its_queue)
{
	rebind_seven(unbind_at_two, MNFQ_STOP);
	enqueue_packets(4);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u32, seen, 2));
	cr_expect(not(fake.queues[0].bound));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[4].verdict, MNFQ_STOP));
	cr_expect(eq(u64, stats().packets, 2));
	cr_expect(eq(u64, stats().defaulted, 2));
	cr_expect(eq(u64, stats().stopped, 2));
	cr_expect(eq(u64, stats().unclaimed, 0));
}

/* ---- what waits at the end ---- */

static void end_with_unread(enum mnfq_verdict fallback)
{
	rebind_seven(accept_all, fallback);
	fake_packet(7, 60, true);
	configure_default(fallback); /* the packet goes into the backlog */
	enqueue_packets(4);
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u64, stats().packets, 0));
	cr_expect(eq(u64, stats().defaulted, 5));
	cr_expect(eq(u64, fallback ? stats().accepted : stats().dropped, 5));
	for (uint32_t id = 1; fallback && id <= 5; id++)
		cr_expect(eq(u32, fake.queues[0].decisions[id].verdict, fallback));
	cr_expect(eq(u32, fake.queues[0].max_len, 0), "nothing could come in between");
}

Test(rounds, what_was_not_read_is_counted_when_its_queue_ends)
{
	end_with_unread(MNFQ_DROP);
}

Test(rounds, what_was_not_read_gets_the_default_verdict)
{
	end_with_unread(MNFQ_ACCEPT);
}

static enum mnfq_verdict close_at_two(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	if (mnfq_packet_get_id(packet) == 2)
		mnfq_socket_close(sock);
	return MNFQ_ACCEPT;
}

Test(rounds, a_callback_may_close_its_socket)
{
	rebind_seven(close_at_two, MNFQ_STOP);
	enqueue_packets(4);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	sock = NULL;
	cr_expect(eq(u32, seen, 2));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[4].verdict, MNFQ_STOP));
}

static int feed_from(const void *bytes, size_t len, uint32_t portid, socklen_t size)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK, .nl_pid = portid };

	return mnfq_socket_feed(sock, bytes, len, size ? (struct sockaddr *)&from : NULL, size);
}

Test(rounds, feeding_is_receiving)
{
	const socklen_t whole = sizeof(struct sockaddr_nl);
	uint8_t *odd = malloc(sizeof(msg.bytes) + 1);
	uint32_t id = fake_packet(7, 60, false);

	message_packet(&msg, 7, id, 60);
	memcpy(odd + 1, msg.bytes, msg.len);
	cr_expect(eq(int, feed_from(odd + 1, msg.len, 1, whole), 0));
	cr_expect(eq(int, feed_from(odd + 1, msg.len, 0, 3), 0));
	cr_expect(eq(int, feed_from(odd + 1, msg.len, 0, 0), 0));
	cr_expect(eq(u64, stats().forged, 3));
	cr_expect(eq(int, feed_from(odd + 1, msg.len, 0, whole), 1));
	expect_verdict(id, MNFQ_ACCEPT);
	free(odd);
}

/* By nothing but that very length, and only where there is no sender that says otherwise. */
Test(rounds, a_caller_may_vouch_for_the_sender)
{
	static const socklen_t others[] = {
		0,         1,          sizeof(struct sockaddr_nl), 4096,
		INT32_MAX, UINT32_MAX, MNFQ_FROM_KERNEL - 1,       MNFQ_FROM_KERNEL + 1
	};
	const struct sockaddr_nl forger = { .nl_family = AF_NETLINK, .nl_pid = 1 };
	const size_t count = sizeof(others) / sizeof(others[0]);
	uint32_t id = fake_packet(7, 60, false);

	message_packet(&msg, 7, id, 60);
	for (size_t i = 0; i < count; i++)
		cr_expect(
			eq(int, mnfq_socket_feed(sock, msg.bytes, msg.len, NULL, others[i]), 0));
	cr_expect(eq(int,
		     mnfq_socket_feed(sock, msg.bytes, msg.len, (const struct sockaddr *)&forger,
				      MNFQ_FROM_KERNEL),
		     0));
	cr_expect(eq(u64, stats().forged, count + 1));
	cr_expect(eq(int, mnfq_socket_feed(sock, msg.bytes, msg.len, NULL, MNFQ_FROM_KERNEL), 1));
	expect_verdict(id, MNFQ_ACCEPT);
}

Test(rounds, fed_garbage_is_counted_or_refused)
{
	const socklen_t whole = sizeof(struct sockaddr_nl);
	uint8_t garbage[64];

	memset(garbage, 0xff, sizeof(garbage));
	cr_expect(eq(int, feed_from(garbage, sizeof(garbage), 0, whole), 0));
	cr_expect(eq(int, feed_from(garbage, 3, 0, whole), 0));
	cr_expect(eq(u64, stats().malformed, 2));
	cr_expect(eq(int, feed_from(NULL, 1, 0, whole), -EINVAL));
	cr_expect(eq(int, mnfq_socket_feed(NULL, garbage, 1, NULL, 0), -EINVAL));
	cr_expect(eq(u32, seen, 0));
}

Test(rounds, what_was_called_forged_is_lost)
{
	message_packet(&msg, 7, fake_packet(7, 60, false), 60);
	cr_expect(eq(int, feed_from(msg.bytes, msg.len, 4711, sizeof(struct sockaddr_nl)), 0));
	pass_packets(1);
	cr_expect(eq(u64, stats().lost, 1));
}

Test(rounds, errors_for_others_on_the_descriptor_are_not_ours)
{
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, 7);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().refused, 0));
}

static enum mnfq_verdict stop_and_dispatch(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EBUSY));
	return MNFQ_ACCEPT;
}

Test(rounds, misuse_in_a_callback_does_not_eat_the_stop)
{
	rebind_seven(stop_and_dispatch, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	expect_verdict(1, MNFQ_ACCEPT);
}

static enum mnfq_verdict configure_and_go_on(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	if (++seen < 1000)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	return MNFQ_ACCEPT;
}

/* Each callback puts the next packet into the backlog. */
Test(rounds, a_round_ends_although_callbacks_add_to_the_backlog)
{
	rebind_seven(configure_and_go_on, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(le(int, mnfq_socket_dispatch(sock, 0), 64));
	cr_expect(ne(sz, fake_unread(), 0), "the descriptor is readable for the rest");
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, seen, 1000));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().refused, 0));
}

static enum mnfq_verdict configure_at_one(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_id(packet) == 1)
		cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	return MNFQ_ACCEPT;
}

/* The caller took 1 to 3 at once; the library takes 4 while it handles 1. */
Test(rounds, fed_datagrams_keep_their_order)
{
	rebind_seven(configure_at_one, MNFQ_DROP);
	for (uint32_t id = 1; id <= 3; id++)
		fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	for (uint32_t id = 1; id <= 3; id++) {
		message_packet(&msg, 7, id, 60);
		cr_expect(eq(int, feed(), 1));
	}
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	expect_each_verdict(1, 4, MNFQ_ACCEPT);
}

static enum mnfq_verdict unbind_at_once(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	seen++;
	queue = mnfq_queue_unbind(queue);
	return MNFQ_ACCEPT;
}

Test(rounds, two_packets_in_a_datagram_are_two_packets)
{
	static struct message second;

	rebind_seven(unbind_at_once, MNFQ_DROP);
	fake_packet(7, 60, false);
	message_packet(&msg, 7, 1, 60);
	message_packet(&second, 7, 2, 60);
	memcpy(msg.bytes + msg.len, second.bytes, second.len);
	msg.len += second.len;
	cr_expect(eq(int, feed(), 1));
	cr_expect(eq(u32, seen, 1), "the queue is gone before the second");
	cr_expect(eq(u64, stats().unclaimed, 0));
	cr_expect(eq(u64, stats().defaulted, 1));
}

static enum mnfq_verdict configure_at_first(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_queue(packet) == queue && mnfq_packet_get_id(packet) == 1)
		cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	return MNFQ_ACCEPT;
}

static int feed_packet(uint16_t num, uint32_t id)
{
	message_packet(&msg, num, id, 60);
	return feed();
}

/* The caller took 7:1, 8:1 and 7:2; the library took 7:3. */
Test(rounds, fed_datagrams_keep_their_order_across_queues)
{
	struct mnfq_queue *other;

	rebind_seven(configure_at_first, MNFQ_DROP);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, configure_at_first, NULL), 0));
	fake_packet(7, 60, false);
	fake_packet(8, 60, false);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	cr_expect(eq(int, feed_packet(7, 1), 1));
	cr_expect(eq(int, feed_packet(8, 1), 1));
	cr_expect(eq(int, feed_packet(7, 2), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	expect_each_verdict(1, 3, MNFQ_ACCEPT);
}

/* Feeding what is no packet, such as the answer that woke the caller, serves the backlog. */
Test(rounds, feeding_is_bounded_although_callbacks_add_to_the_backlog)
{
	rebind_seven(configure_and_go_on, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	message_error(&msg, 0, MNFQ_I_MSG(NFQNL_MSG_CONFIG), 0, 0);
	cr_expect(eq(int, feed(), 64));
	cr_expect(ne(sz, fake_unread(), 0));
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, seen, 1000));
	cr_expect(eq(u64, stats().lost, 0));
}

static enum mnfq_verdict mark_some(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	if (seen % 10 == 7)
		mnfq_packet_set_mark(packet, seen);
	return seen % 10 == 3 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/* And there are two system calls for a batch, not for a packet. */
Test(rounds, nothing_is_allocated_for_a_packet)
{
	unsigned int allocations, sends;

	rebind_seven(mark_some, MNFQ_DROP);
	allocations = fake.allocations;
	sends = fake.sends;
	seen = 0;
	for (unsigned int i = 0; i < 640; i++)
		fake_packet(7, i % 2 ? 60 : 60000, true);
	while (seen < 640)
		cr_assert(mnfq_socket_dispatch(sock, 0) > 0);
	cr_expect(eq(uint, fake.allocations, allocations));
	cr_expect(eq(uint, fake.sends, sends + 10));
	cr_expect(eq(uint, fake_queued(7), 0));
}

/* ---- the kernel's own count of what did not fit ---- */

Test(rounds, overruns_show_without_a_later_packet)
{
	fake_packet(7, 60, true);
	fake_overrun(7);
	fake_overrun(7);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().overruns, 2));
	cr_expect(eq(u64, stats().overruns, 2), "asking changes nothing");
}

/* The kernel counts in 32 bits. */
Test(rounds, overruns_never_decrease)
{
	fake.drops = UINT32_MAX;
	cr_expect(eq(u64, stats().overruns, UINT32_MAX));
	fake.drops = 1;
	cr_expect(eq(u64, stats().overruns, UINT32_MAX + 2ull));
	fake.drops = UINT32_MAX - 3;
	cr_expect(eq(u64, stats().overruns, UINT32_MAX + 2ull + UINT32_MAX - 4));
}

Test(rounds, overruns_from_before_a_socket_was_ours_are_not_counted)
{
	int fd = mnfq_socket_detach(sock);

	fake.drops = 1000;
	cr_assert(eq(int, mnfq_socket_adopt(&sock, fd, NULL), 0));
	fake.drops = 1003;
	cr_expect(eq(u64, stats().overruns, 3));
	bind_seven(accept_all, MNFQ_DROP);
}

Test(rounds, overruns_that_the_kernel_does_not_count_are_unknown)
{
	fake.no_meminfo = true;
	cr_expect(eq(u64, stats().overruns, MNFQ_UNKNOWN));
	cr_expect(eq(u64, stats().overruns, MNFQ_UNKNOWN));
}
