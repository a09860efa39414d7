// SPDX-License-Identifier: MIT
/* coalesce.c: when a pause has packets gather, and when not, by a clock of our own. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <sched.h>

#include "support/fixture.h"

#define US 1000 /* ns */

static int64_t interval;     /* between packets, while dispatch waits; ns */
static unsigned int gathers; /* packets that come within a pause */

static void come(void)
{
	fake.clock_ns += interval;
	fake_packet(7, 60, true);
}

static void gather(void)
{
	unsigned int i;

	for (i = 0; i < gathers; i++)
		fake_packet(7, 60, true);
}

static void open_with(uint32_t coalesce_us, uint32_t max_len)
{
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .coalesce_us = coalesce_us };
	struct mnfq_queue_options settings = { .size = sizeof(settings), .max_len = max_len };

	fake_reset();
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	cr_assert(eq(int, mnfq_queue_bind(&queue, sock, 7, &settings, accept_all, NULL), 0));
	fake.on_wait = come;
	fake.on_sleep = gather;
	interval = 10 * US;
	gathers = 5;
}

TestSuite(coalesce, .fini = teardown);

static void expect_packets(int count)
{
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), count));
}

/* The next batch is received after a pause for which so much is asked, or without one. */
static void expect_pause(int64_t ns)
{
	unsigned int sleeps = fake.sleeps;

	expect_packets((int)gathers);
	cr_expect(eq(uint, fake.sleeps, sleeps + 1));
	cr_expect(eq(i64, fake.slept_ns, ns));
}

static void expect_no_pause(int count)
{
	unsigned int sleeps = fake.sleeps;

	expect_packets(count);
	cr_expect(eq(uint, fake.sleeps, sleeps));
}

Test(coalesce, by_default_there_is_none)
{
	unsigned int i;

	open_with(0, 0);
	for (i = 0; i < 100; i++)
		expect_no_pause(1);
}

/* The kernel adds up to the timer slack of the thread, 50 us. */
Test(coalesce, packets_that_come_fast_gather)
{
	open_with(200, 0);
	expect_no_pause(1); /* the first, */
	expect_no_pause(1); /* by the second one it is known how fast they come */
	expect_pause(150 * US);
	expect_pause(150 * US);
	cr_expect(eq(u64, stats().accepted, 12));
}

Test(coalesce, as_much_as_the_slack_is_the_least)
{
	open_with(50, 0);
	expect_no_pause(1);
	expect_no_pause(1);
	expect_pause(1);
}

Test(coalesce, a_packet_after_a_longer_time_is_not_delayed)
{
	open_with(200, 0);
	interval = 200 * US;
	expect_no_pause(1);
	expect_no_pause(1);
	expect_no_pause(1);
	interval = 10 * US;
	expect_no_pause(1);
	expect_pause(150 * US);
	interval = 1000000 * US;
	gathers = 0;
	expect_packets(1); /* the pause was in vain */
	gathers = 5;
	expect_no_pause(1);
}

/* Requests of which each waits for the reply: a pause gathers nothing but the one that it delays. */
Test(coalesce, pauses_in_vain_become_rare)
{
	unsigned int i;

	open_with(200, 0);
	interval = 60 * US;
	gathers = 1;
	sock->coalesce.keep = 1000000; /* whatever they cost */
	for (i = 0; i < 2000; i++)
		expect_packets(1);
	cr_expect(ge(uint, fake.sleeps, 8), "it is tried again");
	cr_expect(le(uint, fake.sleeps, 16), "%u", fake.sleeps);
	gathers = 5;
	for (i = 0; i < 256; i++)
		expect_packets(sock->coalesce.pause ? 5 : 1);
	expect_pause(150 * US);
	gathers = 1;
	expect_packets(1);
	gathers = 5;
	expect_no_pause(1); /* one that was in vain among others does not make them rare */
	expect_no_pause(1);
	expect_pause(150 * US);
}

static int64_t wait_costs, pause_costs; /* processor time, ns */

static void come_at_a_cost(void)
{
	fake.cpu_ns += wait_costs;
	come();
}

static void gather_at_a_cost(void)
{
	fake.cpu_ns += pause_costs;
	gather();
}

/* Of so many batches, how many had a pause before them? */
static unsigned int count_pauses(unsigned int batches)
{
	unsigned int sleeps = fake.sleeps, i;

	for (i = 0; i < batches; i++)
		cr_assert(gt(int, mnfq_socket_dispatch(sock, -1), 0));
	return fake.sleeps - sleeps;
}

/* They gather five packets each time, and yet these cost more. The rest of the time there are none. */
Test(coalesce, pauses_that_save_nothing_become_rare)
{
	unsigned int pauses;

	open_with(200, 0);
	fake.on_wait = come_at_a_cost;
	fake.on_sleep = gather_at_a_cost;
	wait_costs = 3000;
	pause_costs = 20000;
	(void)count_pauses(10000);
	pauses = count_pauses(64 * 64 * 4);
	cr_expect(ge(uint, pauses, 64), "they are tried again");
	cr_expect(le(uint, pauses, 5 * 64), "%u", pauses);
	pause_costs = 10000;
	(void)count_pauses(64 * 64 * 2);
	pauses = count_pauses(64 * 64 * 4);
	cr_expect(ge(uint, pauses, 64 * 64 * 4 - 5 * 64), "%u", pauses);
}

Test(coalesce, a_full_batch_is_followed_by_none)
{
	open_with(200, 0);
	expect_no_pause(1);
	gathers = 64;
	expect_no_pause(1);
	expect_pause(150 * US);
	gathers = 5;
	gather();
	expect_no_pause(5);
}

/* ---- no longer than there is room for what comes ---- */

/* 10 us a packet, and a quarter of the room. */
Test(coalesce, the_length_of_the_queue_bounds_it)
{
	open_with(200, 36);
	interval = 10 * US;
	expect_no_pause(1);
	expect_no_pause(1);
	expect_pause(40 * US);
}

static enum mnfq_verdict defer(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet **kept = data;

	cr_assert(eq(int, mnfq_packet_retain(&kept[seen++], packet), 0));
	return MNFQ_DEFER;
}

Test(coalesce, deferred_packets_take_room)
{
	struct mnfq_packet *kept[8];

	open_with(200, 38);
	mnfq_queue_unbind(queue);
	cr_assert(eq(int,
		     mnfq_queue_bind(
			     &queue, sock, 7,
			     &(struct mnfq_queue_options){
				     .size = sizeof(struct mnfq_queue_options), .max_len = 38 },
			     defer, kept),
		     0));
	expect_no_pause(1);
	expect_no_pause(1);
	expect_pause(40 * US);
	while (seen > 0)
		mnfq_packet_free(kept[--seen]);
}

/* A message of 60 bytes has about 100 of them; it counts as twice that and 1 KiB. */
Test(coalesce, the_receive_buffer_bounds_it)
{
	open_with(200, 0);
	fake.receive_buffer = 36 * 1300;
	expect_no_pause(1);
	expect_no_pause(1);
	expect_packets(5);
	cr_expect(eq(uint, fake.sleeps, 1));
	cr_expect(30 * US <= fake.slept_ns && fake.slept_ns <= 60 * US, "%lld",
		  (long long)fake.slept_ns);
	fake.receive_buffer = 1300;
	cr_assert(eq(int, mnfq_socket_set_receive_buffer(sock, 1300), 0));
	expect_packets(5); /* the pause was decided before */
	expect_no_pause(1);
	expect_no_pause(1);
}

/* ---- the thread ---- */

Test(coalesce, a_longer_slack_prevents_it)
{
	open_with(200, 0);
	fake.slack = 201 * US;
	expect_no_pause(1);
	expect_no_pause(1);
	expect_no_pause(1);
}

Test(coalesce, a_slack_that_is_not_known_prevents_it)
{
	open_with(200, 0);
	fake.slack = -1;
	expect_no_pause(1);
	expect_no_pause(1);
	expect_no_pause(1);
}

Test(coalesce, a_real_time_thread_has_no_slack)
{
	open_with(200, 0);
	fake.policy = SCHED_FIFO | SCHED_RESET_ON_FORK;
	expect_no_pause(1);
	expect_no_pause(1);
	expect_pause(200 * US);
}

/* ---- what ends it, and what comes before it ---- */

static void begin_pauses(void)
{
	open_with(200, 0);
	expect_packets(1);
	expect_packets(1);
}

Test(coalesce, a_signal_ends_it)
{
	begin_pauses();
	fake.interrupt = true;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -EINTR));
	expect_no_pause(1);
}

static void stop(void)
{
	mnfq_socket_stop(sock);
}

Test(coalesce, it_is_stopped)
{
	begin_pauses();
	stop();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(uint, fake.sleeps, 0));
	fake.on_sleep = stop;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(uint, fake.sleeps, 1));
	cr_expect(eq(uint, fake.wakes, 0));
}

Test(coalesce, a_call_with_less_time_has_none)
{
	open_with(2000, 65536);
	fake.receive_buffer = 64 << 20;
	expect_packets(1);
	expect_packets(1);
	gather();
	fake.clock_ns += interval;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 5));
	gather();
	fake.clock_ns += 100 * interval;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 1), 5));
	cr_expect(eq(uint, fake.sleeps, 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 3), 5));
	cr_expect(eq(uint, fake.sleeps, 1));
}

/* A socket that others have, too, and which waits in poll(). */
Test(coalesce, an_adopted_socket_has_it)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .coalesce_us = 200 };
	int fd;

	fake_reset();
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(eq(int, mnfq_socket_adopt(&sock, fd, &options), 0));
	bind_seven(accept_all, MNFQ_DROP);
	fake.on_poll = come;
	fake.on_sleep = gather;
	interval = 10 * US;
	gathers = 5;
	expect_no_pause(1);
	expect_no_pause(1);
	fake.polls = 0;
	expect_pause(150 * US);
	cr_expect(eq(uint, fake.polls, 0), "they are looked for at once");
}

static void expect_refused(const struct mnfq_socket_options *from, const char *part)
{
	struct mnfq_socket_options options = *from;
	struct mnfq_socket *other;
	char error[256] = "";

	options.size = sizeof(options);
	options.error = error;
	options.error_size = sizeof(error);
	cr_expect(eq(int, mnfq_socket_open(&other, &options), -EINVAL));
	cr_expect(strstr(error, part) != NULL, "%s", error);
}

Test(coalesce, ten_milliseconds_are_the_most)
{
	open_with(10000, 0);
	expect_refused(&(struct mnfq_socket_options){ .coalesce_us = 10001 }, "above 10000");
	expect_refused(&(struct mnfq_socket_options){ .coalesce_us = 1, .busy_poll_us = 1 },
		       "exclude each other");
}
