// SPDX-License-Identifier: MIT
/* How many packets a round has where each may cost much (round_us), by a clock of our own. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "support/fixture.h"

/* ---- the arithmetic ---- */

static void expect_next(unsigned int batch, unsigned int done, int64_t took, unsigned int next)
{
	unsigned int got = mnfq_i_next_batch(batch, done, 64, took, 1000);

	cr_expect(eq(uint, got, next), "%u of %u in %lld", done, batch, (long long)took);
}

Test(pace, doubles_what_took_less_than_half)
{
	expect_next(1, 1, 0, 2);
	expect_next(1, 1, 499, 2);
	expect_next(1, 1, 500, 1);
	expect_next(16, 16, 499, 32);
	expect_next(32, 32, 499, 64);
	expect_next(33, 33, 499, 64);
	expect_next(48, 48, 499, 64);
	expect_next(64, 64, 499, 64);
}

Test(pace, halves_what_took_longer)
{
	expect_next(64, 64, 1000, 64);
	expect_next(64, 64, 1001, 32);
	expect_next(3, 3, 1001, 1);
	expect_next(2, 2, 1001, 1);
	expect_next(1, 1, 1001, 1);
	expect_next(64, 64, INT64_MAX, 32);
}

/* What three packets took says nothing of 64 if that was quick, and much if it was not. */
Test(pace, a_batch_that_was_not_full)
{
	expect_next(64, 3, 1, 64);
	expect_next(32, 31, 1, 32);
	expect_next(64, 3, 1001, 1);
	expect_next(64, 10, 1001, 5);
	expect_next(1, 0, 1001, 1);
}

Test(pace, a_ring_of_one_slot_or_of_fewer_than_before)
{
	cr_expect(eq(uint, mnfq_i_next_batch(1, 1, 1, 0, 1000), 1));
	cr_expect(eq(uint, mnfq_i_next_batch(4, 4, 4, 0, 1000), 4));
	cr_expect(eq(uint, mnfq_i_next_batch(1024, 1024, 1024, 0, 1000), 1024));
}

/* ---- rounds ---- */

static void open_with(uint32_t round_us, uint32_t batch)
{
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .round_us = round_us,
					       .batch = batch };

	fake_reset();
	seen = 0;
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	bind_seven(accept_all, MNFQ_DROP);
}

static void queue_packets(unsigned int n)
{
	while (n-- > 0)
		fake_packet(7, 60, true);
}

static void expect_round(int n)
{
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), n));
}

TestSuite(rounds_in_time, .fini = teardown);

Test(rounds_in_time, without_a_limit_a_round_is_a_batch_and_reads_no_clock)
{
	int64_t before;

	open_with(0, 16);
	queue_packets(16);
	fake.clock_step = 1;
	before = fake.clock_ns;
	expect_round(16);
	cr_expect(eq(i64, fake.clock_ns, before));
}

Test(rounds_in_time, it_begins_with_one_and_doubles_up_to_the_batch)
{
	open_with(1000, 10);
	queue_packets(1 + 2 + 4 + 8 + 10 + 10);
	expect_round(1);
	expect_round(2);
	expect_round(4);
	expect_round(8);
	expect_round(10);
	expect_round(10);
	cr_expect(eq(uint, fake_queued(7), 0));
}

Test(rounds_in_time, packets_that_take_longer_come_one_by_one)
{
	open_with(1000, 16);
	fake.verdict_ns = 3000000;
	queue_packets(3);
	expect_round(1);
	expect_round(1);
	expect_round(1);
}

Test(rounds_in_time, it_gets_smaller_when_packets_get_slower_and_larger_when_quicker)
{
	open_with(1000, 64);
	queue_packets(1 + 2 + 4 + 8 + 16);
	while (fake_queued(7) > 0)
		(void)mnfq_socket_dispatch(sock, 0);
	fake.verdict_ns = 40000; /* 25 fit */
	queue_packets(200);
	expect_round(32);
	expect_round(16);
	expect_round(16);
	fake.verdict_ns = 1000;
	expect_round(16);
	expect_round(32);
	expect_round(64);
}

static enum mnfq_verdict take_long(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	fake.clock_ns += 600000;
	return MNFQ_DROP;
}

Test(rounds_in_time, callbacks_count)
{
	open_with(1000, 0);
	rebind_seven(take_long, MNFQ_DROP);
	queue_packets(4);
	expect_round(1);
	expect_round(1);
	expect_round(1);
}

/* What waits in the library's own memory costs as much as what waits in the socket's. */
Test(rounds_in_time, the_backlog_counts)
{
	unsigned int n;

	open_with(1000, 0);
	queue_packets(5);
	cr_assert(eq(int, mnfq_queue_configure(queue, NULL), 0)); /* puts them into the backlog */
	fake.verdict_ns = 3000000;
	queue_packets(1);
	for (n = 0; n < 6; n++)
		cr_expect(eq(int, mnfq_socket_dispatch(sock, 1), 1));
	cr_expect(eq(uint, fake_queued(7), 0));
}

/* A full batch of one is followed by a look, not by sleep. */
Test(rounds_in_time, a_batch_of_one_is_not_a_packet_that_came_alone)
{
	open_with(1000, 0);
	fake.verdict_ns = 3000000;
	queue_packets(3);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_expect(eq(uint, fake.polls, 0));
}

static enum mnfq_verdict close_it(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	sock = mnfq_socket_close(sock);
	return MNFQ_ACCEPT;
}

/* Sanitizers and valgrind see if it is used after that. */
Test(rounds_in_time, closed_in_a_callback)
{
	open_with(1000, 0);
	rebind_seven(close_it, MNFQ_DROP);
	queue_packets(1);
	expect_round(-ECANCELED);
}

Test(rounds_in_time, a_smaller_ring_is_never_overrun)
{
	struct mnfq_ring *small;

	open_with(1000, 64);
	queue_packets(200);
	while (seen < 127)
		(void)mnfq_socket_dispatch(sock, 0);
	cr_assert(eq(int, mnfq_ring_new(&small, 4), 0));
	cr_assert(eq(int, mnfq_socket_set_ring(sock, small), 0));
	mnfq_ring_free(small);
	expect_round(4);
	expect_round(4);
}

/* ---- the end of a queue ---- */

TestSuite(ends_in_time, .fini = teardown);

static void open_for_end(unsigned int packets)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .timeout_ms = 100 };

	fake_reset();
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	bind_seven(accept_all, MNFQ_ACCEPT);
	queue_packets(packets);
}

static void expect_end(uint64_t accepted, uint64_t dropped)
{
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u64, stats().accepted, accepted));
	cr_expect(eq(u64, stats().dropped, dropped));
	cr_expect(eq(u64, stats().defaulted, accepted + dropped));
	cr_expect(eq(ptr, fake_queue(7), NULL));
}

/* Portions of 1, 2, 4, 4, … packets: 12 ms of 10, then of 2, 6 ms. */
Test(ends_in_time, what_there_is_no_time_for_is_dropped)
{
	int64_t begin;

	open_for_end(100);
	fake.verdict_ns = 3000000;
	begin = fake.clock_ns;
	expect_end(35, 65);
	cr_expect(fake.clock_ns - begin < 112000000, "%lld", (long long)(fake.clock_ns - begin));
}

Test(ends_in_time, quick_packets_go_in_few_portions)
{
	unsigned int sends;

	open_for_end(200);
	sends = fake.sends;
	expect_end(200, 0);
	cr_expect(le(uint, fake.sends - sends, 12), "%u", fake.sends - sends);
}

/* Between those that came lies what another reader took, as much as he likes. */
Test(ends_in_time, what_another_reader_took_is_decided_in_portions)
{
	unsigned int i;

	open_for_end(1);
	for (i = 0; i < 1000; i++)
		fake_packet(7, 60, false);
	queue_packets(1);
	fake.verdict_ns = 3000000;
	expect_end(1, 1);
	cr_expect(fake.clock_ns < 112000000, "%lld", (long long)fake.clock_ns);
}

static enum mnfq_verdict keep(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet **to = data;

	cr_assert(eq(int, mnfq_packet_retain(&to[mnfq_packet_get_id(packet)], packet), 0));
	return MNFQ_DEFER;
}

Test(ends_in_time, what_is_held_comes_first)
{
	static struct mnfq_packet *held[101];
	unsigned int i;

	open_for_end(0);
	queue = mnfq_queue_unbind(queue);
	cr_assert(eq(int,
		     mnfq_queue_bind(&queue, sock, 7,
				     &(struct mnfq_queue_options){
					     .size = sizeof(struct mnfq_queue_options),
					     .default_verdict = MNFQ_ACCEPT },
				     keep, held),
		     0));
	queue_packets(60);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), 60));
	queue_packets(40);
	fake.verdict_ns = 3000000;
	expect_end(35, 65);
	for (i = 1; i <= 60; i++)
		mnfq_packet_free(held[i]);
}
