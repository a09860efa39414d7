// SPDX-License-Identifier: MIT
/* Callbacks that take long, by a clock of our own: what was decided does not wait for them. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "support/fixture.h"

#define COUNT 64

TestSuite(late, .init = setup, .fini = teardown);

/* By the id of a packet: how long its callback takes, and how many packets had left at its begin. */
static unsigned int takes_ms[COUNT + 1], left[COUNT + 1];

static enum mnfq_verdict take_time(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	left[id] = COUNT - fake_queued(7);
	fake.clock_ms += takes_ms[id];
	return MNFQ_ACCEPT;
}

/* A full batch; returns how many sends there were. */
static unsigned int serve(void)
{
	unsigned int i;

	rebind_seven(take_time, MNFQ_DROP);
	for (i = 0; i < COUNT; i++)
		fake_packet(7, 60, true);
	fake.clock_ms += 1000; /* before the first callback nothing is late */
	fake.sends = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), COUNT));
	cr_expect(eq(uint, fake_queued(7), 0));
	cr_expect(eq(u64, stats().accepted, COUNT));
	cr_expect(eq(u64, stats().refused, 0));
	return fake.sends;
}

Test(late, fast_callbacks_are_sent_together)
{
	cr_expect(eq(uint, serve(), 1));
	cr_expect(eq(uint, left[COUNT], 0));
}

Test(late, slow_callbacks_are_sent_one_by_one)
{
	unsigned int i;

	for (i = 1; i <= COUNT; i++)
		takes_ms[i] = 5;
	cr_expect(eq(uint, serve(), COUNT));
	for (i = 1; i <= COUNT; i++)
		cr_expect(eq(uint, left[i], i - 1), "at callback %u", i);
}

Test(late, one_slow_callback_is_one_send_more)
{
	takes_ms[2] = 500;
	cr_expect(eq(uint, serve(), 2));
	cr_expect(eq(uint, left[2], 0));
	cr_expect(eq(uint, left[3], 2));
	cr_expect(eq(uint, left[COUNT], 2));
}

/* Together they take a millisecond: none of them alone. */
Test(late, many_fast_callbacks_are_slow_together)
{
	takes_ms[20] = takes_ms[40] = 1;
	cr_expect(eq(uint, serve(), 3));
	cr_expect(eq(uint, left[20], 0));
	cr_expect(eq(uint, left[21], 20));
	cr_expect(eq(uint, left[40], 20));
	cr_expect(eq(uint, left[41], 40));
}

/* What a send itself takes is nothing for which the next callback is to blame. */
Test(late, slow_verdicts_are_sent_together)
{
	fake.verdict_ns = 3000000;
	takes_ms[2] = 5;
	cr_expect(eq(uint, serve(), 2));
}

/* The time between rounds counts for nothing: what a gap releases leaves with the first verdict. */
Test(late, nothing_is_late_in_the_first_callback)
{
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	fake.clock_ms += 1000;
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	fake.sends = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(uint, fake.sends, 1));
	expect_verdict(2, MNFQ_DROP);
}

static struct mnfq_packet *kept;

static enum mnfq_verdict keep_the_first(struct mnfq_packet *packet, void *data)
{
	(void)data;
	fake.clock_ms += 5;
	if (mnfq_packet_get_id(packet) > 1)
		return MNFQ_ACCEPT;
	cr_assert(eq(int, mnfq_packet_retain(&kept, packet), 0));
	return MNFQ_DEFER;
}

/* Between callbacks as at the end of a round no batch reaches over what is held. */
Test(late, what_is_held_stays_undecided)
{
	unsigned int i;

	rebind_seven(keep_the_first, MNFQ_DROP);
	for (i = 0; i < 4; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 4));
	expect_verdict(1, FAKE_UNDECIDED);
	cr_expect(eq(uint, fake_queued(7), 1));
	cr_expect(eq(int, mnfq_packet_decide(kept, MNFQ_ACCEPT), 0));
	mnfq_packet_free(kept);
}
