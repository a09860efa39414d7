/* SPDX-License-Identifier: MIT */
/* dispatch.c: looking for packets again and again before sleeping, by a clock of our own. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "release.h"
#include "support/fixture.h"

#define STEP 1000 /* ns that each look takes */

static unsigned int packet_at; /* the look that finds a packet */
static int64_t sleep_ns;       /* how long it takes until a packet ends a sleep */

static void come(void)
{
	if (--packet_at == 0)
		fake_packet(7, 60, true);
}

static void wake(void)
{
	fake.clock_ns += sleep_ns;
	fake_packet(7, 60, true);
}

/* Of a socket that others have, too: it waits in poll(). */
static void open_shared(void)
{
	int fd;

	fake_reset();
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(eq(int, mnfq_socket_adopt(&sock, fd, NULL), 0));
	bind_seven(accept_all, MNFQ_DROP);
	fake.on_poll = wake;
}

static void open_with(uint32_t busy_poll_us)
{
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .busy_poll_us = busy_poll_us };

	fake_reset();
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	bind_seven(accept_all, MNFQ_DROP);
	fake.clock_step = STEP;
	fake.on_poll = wake;
}

TestSuite(spin, .fini = teardown);

/* One packet, which comes after so long of sleep; returns how often was looked before. */
static unsigned int looks(int64_t sleep)
{
	fake.fills = fake.polls = 0;
	sleep_ns = sleep;
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_assert(eq(uint, fake.polls, 1));
	return fake.fills - 1; /* the last one found it */
}

Test(spin, by_default_there_is_none)
{
	open_with(0);
	cr_expect(eq(uint, looks(0), 1));
	cr_expect(le(uint, looks(1000000000), 1));
}

/* Not even once, where packets come one by one: it would find nothing, each time. */
Test(spin, single_packets_are_waited_for_at_once)
{
	open_shared();
	cr_expect(eq(uint, looks(0), 1), "the first");
	cr_expect(eq(uint, looks(0), 0));
	cr_expect(eq(uint, looks(0), 0));
	pass_packets(1);
	fake_packet(7, 60, true);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 2), "and the one of the poll");
	cr_expect(eq(uint, looks(0), 1), "after two at once there may be more");
}

/* A batch of one is a full batch: it says nothing of how many there are. */
Test(spin, a_full_batch_is_followed_by_a_look)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .batch = 1 };

	fake_reset();
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	bind_seven(accept_all, MNFQ_DROP);
	enqueue_packets(2);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_expect(eq(uint, fake.polls, 0));
}

/* The end of a round tries what could not be sent, so there must be a round. */
Test(spin, what_is_left_to_do_comes_before_waiting)
{
	open_shared();
	(void)looks(0);
	mnfq_i_release_later(queue, last_id, last_id);
	cr_expect(eq(uint, looks(0), 1));
	cr_expect(eq(uint, looks(0), 0));
}

Test(spin, it_ends_in_sleep)
{
	open_with(50);
	/* Fifty steps of the clock, the first of which sets it going. */
	cr_expect(eq(uint, looks(0), 51));
}

Test(spin, what_comes_meanwhile_needs_no_sleep)
{
	open_with(50);
	packet_at = 20;
	fake.on_fill = come;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	cr_expect(eq(uint, fake.fills, 20));
	cr_expect(eq(uint, fake.polls, 0));
}

/* Each long sleep halves it, until there is none. */
Test(spin, it_ceases_when_packets_are_rare)
{
	unsigned int before, now;

	open_with(1000);
	before = looks(5000000);
	cr_expect(eq(uint, before, 1001));
	for (unsigned int i = 0; i < 8; i++) {
		now = looks(5000000);
		cr_expect(now <= before / 2 + 1, "%u after %u", now, before);
		before = now;
	}
	cr_expect(eq(uint, now, 1));
}

Test(spin, it_comes_back_when_packets_do)
{
	open_with(1000);
	for (unsigned int i = 0; i < 10; i++)
		(void)looks(5000000);
	cr_assert(eq(uint, looks(2000), 1));
	for (unsigned int i = 0; i < 7; i++)
		(void)looks(2000);
	cr_expect(eq(uint, looks(2000), 1001));
}

/* The time that a call was given is kept. */
Test(spin, it_lasts_no_longer_than_the_call)
{
	open_with(1000000);
	fake.on_poll = NULL;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 10), 0));
	cr_expect(eq(uint, fake.polls, 0));
	cr_expect(fake.clock_ns >= 10000000 && fake.clock_ns < 12000000, "%lld",
		  (long long)fake.clock_ns);
	fake.fills = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(uint, fake.fills, 1));
}

static void stop_later(void)
{
	if (--packet_at == 0)
		mnfq_socket_stop(sock);
}

Test(spin, it_is_stopped)
{
	open_with(1000);
	packet_at = 20;
	fake.on_fill = stop_later;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.fills, 20));
	cr_expect(eq(uint, fake.polls, 0));
}

Test(spin, a_second_is_the_most)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .busy_poll_us = 1000001 };
	char error[128] = "";
	struct mnfq_socket *other;

	open_with(1000000);
	options.error = error;
	options.error_size = sizeof(error);
	cr_expect(eq(int, mnfq_socket_open(&other, &options), -EINVAL));
	cr_expect(strstr(error, "busy polling") != NULL);
}
