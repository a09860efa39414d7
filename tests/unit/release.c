// SPDX-License-Identifier: MIT
/* Releases of more ids than a round may have packets: in steps, since what is accepted takes time. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>

#include "support/fixture.h"

#define STEP 64 /* of a ring of the usual size */

TestSuite(release, .init = setup, .fini = teardown);

static struct mnfq_packet *held[4];
static unsigned int n_held;

static enum mnfq_verdict hold(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_retain(&held[n_held++], packet), 0));
	return MNFQ_DEFER;
}

static void lose(unsigned int n)
{
	while (n-- > 0)
		fake_packet(7, 60, false);
}

/* As an event loop does. Returns the most packets that one call decided. */
static unsigned int serve(void)
{
	unsigned int most = 0;

	while (fake_unread() > 0) {
		unsigned int before = fake_queued(7);

		cr_assert(ge(int, mnfq_socket_dispatch(sock, 0), 0));
		if (before - fake_queued(7) > most)
			most = before - fake_queued(7);
	}
	return most;
}

static void expect_verdicts(uint32_t first, uint32_t last, uint32_t verdict)
{
	for (; first <= last; first++)
		expect_verdict(first, verdict);
}

/* A step in the round, and one at its end, which takes all the time that there is. */
Test(release, a_round_has_no_more_than_two_steps_of_slow_packets)
{
	rebind_seven(accept_all, MNFQ_STOP);
	fake.verdict_ns = 1000000;
	lose(1000);
	fake_packet(7, 60, true);
	cr_expect(eq(u32, serve(), 2 * STEP + 1));
	cr_expect(eq(u32, fake_queued(7), 0));
	expect_verdicts(1, 1000, MNFQ_STOP);
	expect_verdict(1001, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().lost, 1000));
	cr_expect(eq(u64, stats().defaulted, 0));
}

Test(release, a_row_of_small_gaps_has_no_more)
{
	unsigned int i;

	rebind_seven(accept_all, MNFQ_STOP);
	fake.verdict_ns = 1000000;
	for (i = 0; i < STEP; i++) {
		lose(STEP - 1);
		fake_packet(7, 60, true);
	}
	cr_expect(le(u32, serve(), 3 * STEP));
	cr_expect(eq(u32, fake_queued(7), 0));
	for (i = 1; i <= STEP; i++)
		expect_verdict(i * STEP, MNFQ_ACCEPT);
}

/* A call that waits for packets makes them first. */
Test(release, steps_follow_each_other)
{
	rebind_seven(accept_all, MNFQ_STOP);
	fake.verdict_ns = 1000000;
	lose(1000);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_expect(ne(u32, fake_queued(7), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 100000), 0));
	cr_expect(eq(u32, fake_queued(7), 0));
}

/* Steps shrink with the batch, and grow with it. */
Test(release, steps_are_as_large_as_their_time_allows)
{
	unsigned int most;

	rebind_seven(accept_all, MNFQ_STOP);
	sock->round_ns = 1000000;
	fake.verdict_ns = 2000000;
	lose(200);
	fake_packet(7, 60, true);
	(void)mnfq_socket_dispatch(sock, 0);
	while (sock->batch > 1)
		cr_assert(ge(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_assert(ne(u32, fake_queued(7), 0));
	cr_expect(le(u32, serve(), 3));
	fake.verdict_ns = 1000;
	lose(2000);
	fake_packet(7, 60, true);
	most = serve();
	cr_expect(ge(u32, most, STEP), "%u", most);
	cr_expect(eq(u32, sock->batch, STEP));
	cr_expect(eq(u32, fake_queued(7), 0));
}

/* What never was there takes no time, but answers. */
Test(release, steps_for_nothing_are_many_but_not_too_many)
{
	unsigned int i;

	rebind_seven(accept_all, MNFQ_STOP);
	for (i = 0; i < 2000; i++)
		fake_overrun(7);
	fake_packet(7, 60, true);
	fake.batch_verdicts = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1 + 16));
	(void)serve();
	cr_expect(eq(u32, fake.batch_verdicts, 2000 / STEP + 1));
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u32, fake.batch_verdicts, 2000 / STEP + 2), "which are allowed again");
}

Test(release, what_is_dropped_goes_at_once)
{
	rebind_seven(accept_all, MNFQ_DROP);
	lose(1000);
	fake_packet(7, 60, true);
	fake.batch_verdicts = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1));
	cr_expect(eq(u32, fake_queued(7), 0));
}

/* Holds 1 and @late, which is handed over late out of the 200 that were lost in between. */
static void hold_late(uint32_t late)
{
	rebind_seven(hold, MNFQ_STOP);
	fake_packet(7, 60, true);
	lose(200);
	fake_packet(7, 60, true);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	message_packet(&msg, 7, late, 60);
	cr_assert(eq(int, feed(), 1));
}

static void free_held(void)
{
	while (n_held > 0)
		mnfq_packet_free(held[--n_held]);
}

/* A packet that is held keeps back the step that it is in, and what follows. */
Test(release, a_held_packet_keeps_back_its_step_alone)
{
	hold_late(150);
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DROP), 0));
	(void)serve();
	expect_verdicts(2, 129, MNFQ_STOP);
	expect_verdicts(130, 202, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_packet_decide(held[2], MNFQ_DROP), 0));
	(void)serve();
	expect_verdicts(130, 149, MNFQ_STOP);
	expect_verdict(150, MNFQ_DROP);
	expect_verdicts(151, 201, MNFQ_STOP);
	expect_verdict(202, FAKE_UNDECIDED);
	free_held();
}

/* Who decides the packet that kept it back makes a step, and has the receiver make the rest. */
Test(release, a_verdict_makes_one_step)
{
	rebind_seven(hold, MNFQ_STOP);
	fake_packet(7, 60, true);
	lose(1000);
	fake_packet(7, 60, true);
	(void)serve();
	cr_assert(eq(u32, fake_queued(7), 1002));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DROP), 0));
	cr_expect(eq(u32, fake_queued(7), 1001 - STEP));
	cr_expect(ne(sz, fake_unread(), 0), "the receiver wakes up");
	(void)serve();
	cr_expect(eq(u32, fake_queued(7), 1));
	expect_verdicts(2, 1001, MNFQ_STOP);
	free_held();
}

static enum mnfq_verdict hold_first(struct mnfq_packet *packet, void *data)
{
	return n_held == 0 ? hold(packet, data) : MNFQ_ACCEPT;
}

/* Two gaps wait for one packet. */
Test(release, the_next_release_has_steps_too)
{
	rebind_seven(hold_first, MNFQ_STOP);
	fake.verdict_ns = 1000000;
	fake_packet(7, 60, true);
	lose(10);
	fake_packet(7, 60, true);
	lose(1000);
	fake_packet(7, 60, true);
	(void)serve();
	cr_assert(eq(u32, fake_queued(7), 1011));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DROP), 0));
	cr_expect(eq(u32, fake_queued(7), 1010 - STEP + 1),
		  "the step has a packet that is decided");
	cr_expect(le(u32, serve(), STEP));
	cr_expect(eq(u32, fake_queued(7), 0));
	expect_verdicts(2, 11, MNFQ_STOP);
	expect_verdict(12, MNFQ_ACCEPT);
	expect_verdicts(13, 1012, MNFQ_STOP);
	expect_verdict(1013, MNFQ_ACCEPT);
	free_held();
}

/* As long as it is not complete nothing may reach over it. */
Test(release, what_comes_meanwhile_is_decided_by_itself)
{
	uint32_t id;

	rebind_seven(accept_all, MNFQ_STOP);
	fake.verdict_ns = 1000000;
	lose(1000);
	for (id = 1001; id <= 1010; id++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 10));
	cr_expect(eq(u32, fake.single_verdicts, 10));
	(void)serve();
	expect_verdicts(1, 1000, MNFQ_STOP);
	expect_verdicts(1001, 1010, MNFQ_ACCEPT);
}

Test(release, the_end_of_a_queue_makes_the_rest)
{
	uint32_t id;

	rebind_seven(accept_all, MNFQ_STOP);
	fake.verdict_ns = 1000000;
	lose(1000);
	fake_packet(7, 60, true);
	(void)mnfq_socket_dispatch(sock, 0);
	cr_assert(ne(u32, fake_queued(7), 0));
	fake.verdict_ns = 0;
	queue = mnfq_queue_unbind(queue);
	for (id = 1; id <= 1000; id++)
		cr_expect(eq(u32, fake.queues[0].decisions[id].verdict, MNFQ_STOP), "%u", id);
}
