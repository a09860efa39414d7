// SPDX-License-Identifier: MIT
/* Messages that arrived while an acknowledgement was awaited, for many queues of one socket. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "support/fixture.h"

#define QUEUES  1000
#define PACKETS 3 /* of each */

TestSuite(backlog, .init = setup, .fini = teardown);

/* Each look at a message that may be of a queue is a step. */
static unsigned int steps;

int __real_mnfq_i_packet_parse(struct mnfq_packet *packet, const uint8_t *bytes, size_t len);
int __wrap_mnfq_i_packet_parse(struct mnfq_packet *packet, const uint8_t *bytes, size_t len);

int __wrap_mnfq_i_packet_parse(struct mnfq_packet *packet, const uint8_t *bytes, size_t len)
{
	steps++;
	return __real_mnfq_i_packet_parse(packet, bytes, len);
}

static struct mnfq_queue *queues[QUEUES];

static void bind_all(enum mnfq_verdict fallback)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .default_verdict = fallback };
	unsigned int i;

	for (i = 0; i < QUEUES; i++)
		cr_assert(eq(int,
			     mnfq_queue_bind(&queues[i], sock, FAKE_PLAIN + i, &options,
					     accept_all, NULL),
			     0));
}

/* The packets of all queues are mixed, and a request reads them all. */
static void fill_backlog(void)
{
	unsigned int i;

	for (i = 0; i < PACKETS * QUEUES; i++) {
		message_packet(&msg, (uint16_t)(FAKE_PLAIN + i % QUEUES), 1 + i / QUEUES, 60);
		fake_datagram(msg.bytes, msg.len, 0);
	}
	cr_assert(eq(int, mnfq_queue_configure(queue, NULL), 0));
	cr_assert(eq(sz, fake_unread(), 1), "what wakes an event loop");
	steps = 0;
}

static void expect_few_steps(void)
{
	cr_expect(le(u32, steps, 2 * PACKETS * QUEUES), "%u", steps);
	cr_expect(eq(u64, stats().defaulted, PACKETS * QUEUES));
	cr_expect(eq(u64, stats().unclaimed, 0));
}

Test(backlog, the_end_of_many_queues_looks_at_each_message_once)
{
	unsigned int i;

	bind_all(MNFQ_DROP);
	fill_backlog();
	for (i = 0; i < QUEUES; i++)
		mnfq_queue_unbind(queues[i]);
	expect_few_steps();
	cr_expect(eq(u64, stats().dropped, PACKETS * QUEUES));
}

Test(backlog, so_does_one_that_decides_them)
{
	unsigned int i;

	bind_all(MNFQ_ACCEPT);
	fill_backlog();
	for (i = 0; i < QUEUES; i++)
		mnfq_queue_unbind(queues[i]);
	expect_few_steps();
	cr_expect(eq(u64, stats().accepted, PACKETS * QUEUES));
}

static enum mnfq_verdict unbind_all(struct mnfq_packet *packet, void *data)
{
	unsigned int i;

	(void)packet, (void)data;
	for (i = 0; i < QUEUES; i++)
		mnfq_queue_unbind(queues[i]);
	return MNFQ_ACCEPT;
}

Test(backlog, so_does_one_in_a_callback)
{
	rebind_seven(unbind_all, MNFQ_DROP);
	bind_all(MNFQ_DROP);
	fake_packet(7, 60, true);
	fill_backlog();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_few_steps();
}

static uint32_t order[4];

static enum mnfq_verdict note_order(struct mnfq_packet *packet, void *data)
{
	(void)data;
	order[seen++ % 4] = mnfq_packet_get_queue_num(packet) * 10u + mnfq_packet_get_id(packet);
	return MNFQ_ACCEPT;
}

/* What is taken out of the middle leaves the rest in order. */
Test(backlog, what_stays_keeps_its_order)
{
	static const uint16_t nums[] = { 1001, 1000, 1001, 1002, 1000, 1002 };
	static const uint32_t ids[] = { 1, 1, 2, 1, 2, 2 };
	struct mnfq_queue *of[3];
	unsigned int i;

	for (i = 0; i < 3; i++)
		cr_assert(eq(int, mnfq_queue_bind(&of[i], sock, 1000 + i, NULL, note_order, NULL),
			     0));
	for (i = 0; i < 6; i++) {
		message_packet(&msg, nums[i], ids[i], 60);
		fake_datagram(msg.bytes, msg.len, 0);
	}
	cr_assert(eq(int, mnfq_queue_configure(queue, NULL), 0));
	mnfq_queue_unbind(of[1]);
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, seen, 4));
	cr_expect(eq(u32, order[0], 10001));
	cr_expect(eq(u32, order[1], 10021));
	cr_expect(eq(u32, order[2], 10002));
	cr_expect(eq(u32, order[3], 10022));
}
