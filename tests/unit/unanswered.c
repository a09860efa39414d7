// SPDX-License-Identifier: MIT
/*
 * Batch verdicts while answers are unread: a packet whose verdict was refused is still in the kernel, and
 * must not get the verdict of those behind it. held.c has a game of it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>

#include "support/fixture.h"

#define SLOTS 64 /* of a ring of the usual size */

TestSuite(unanswered, .init = setup, .fini = teardown);

static void queue_packets(unsigned int n)
{
	while (n-- > 0)
		fake_packet(7, 60, true);
}

static void serve(void)
{
	int n;

	do {
		n = mnfq_socket_dispatch(sock, 0);
		cr_assert(n >= 0 || n == -EPERM);
	} while (n != 0 || fake_unread() > 0);
}

#define RUN 16 /* 1 to 16 are accepted, the next 16 dropped, and so on */

static uint32_t wanted(uint32_t id)
{
	return (id - 1) / RUN % 2 ? MNFQ_DROP : MNFQ_ACCEPT;
}

static enum mnfq_verdict alternate(struct mnfq_packet *packet, void *data)
{
	(void)data;
	return wanted(mnfq_packet_get_id(packet));
}

static unsigned int serve_and_count(unsigned int packets)
{
	fake.batch_verdicts = 0;
	queue_packets(packets);
	serve();
	cr_expect(eq(u32, fake_queued(7), 0));
	return fake.batch_verdicts;
}

/* The right comes back at once, while the answer is behind packets that are unread. */
Test(unanswered, a_refused_packet_does_not_get_the_verdict_of_a_later_batch)
{
	uint32_t id;

	rebind_seven(alternate, MNFQ_STOP);
	queue_packets(3 * SLOTS);
	fake.no_right = true;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), SLOTS));
	fake.no_right = false;
	serve();
	for (id = 1; id <= SLOTS; id++)
		expect_verdict(id, MNFQ_STOP);
	for (id = SLOTS + 1; id <= 3 * SLOTS; id++)
		expect_verdict(id, wanted(id));
}

/* The answer is in the ring, behind the packets that were there before it. */
Test(unanswered, an_answer_that_is_received_with_packets_counts_before_them)
{
	uint32_t id;

	rebind_seven(alternate, MNFQ_STOP);
	queue_packets(SLOTS + 3 * RUN);
	fake.no_right = true;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), SLOTS));
	fake.no_right = false;
	serve();
	for (id = 1; id <= SLOTS; id++)
		expect_verdict(id, MNFQ_STOP);
}

/* What follows costs nothing where verdicts are equal, and a release a round where they are not. */
Test(unanswered, equal_verdicts_need_no_release)
{
	cr_expect(eq(u32, serve_and_count(10 * SLOTS), 10));
}

Test(unanswered, different_verdicts_need_a_release_a_round)
{
	rebind_seven(alternate, MNFQ_STOP);
	cr_expect(eq(u32, serve_and_count(10 * SLOTS), 10 * SLOTS / RUN + 9));
}

Test(unanswered, what_was_answered_needs_no_release)
{
	unsigned int i;

	rebind_seven(alternate, MNFQ_STOP);
	for (i = 0; i < 10; i++)
		cr_expect(eq(u32, serve_and_count(2 * RUN), 2));
}

static void lose_an_answer(int error)
{
	uint32_t id;

	rebind_seven(alternate, MNFQ_STOP);
	queue_packets(SLOTS);
	fake.no_right = true;
	fake.lose_answers = 1;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), SLOTS));
	fake.no_right = false;
	fake.drops -= error != 0;
	fake.receive_error = error;
	queue_packets(2 * RUN);
	serve();
	for (id = 1; id <= SLOTS; id++)
		expect_verdict(id, MNFQ_STOP);
	for (; id <= SLOTS + 2 * RUN; id++)
		expect_verdict(id, wanted(id));
}

Test(unanswered, an_answer_that_the_receive_buffer_has_no_room_for_counts_as_refusal)
{
	sock->buffer = 100000; /* less than what 64 packets may take up */
	lose_an_answer(0);
}

Test(unanswered, an_answer_that_there_is_no_memory_for_counts_as_refusal)
{
	lose_an_answer(ENOBUFS);
}

static void expect_none_and_stop(void)
{
	cr_expect(eq(u32, fake_queued(7), 0));
	mnfq_socket_stop(sock);
}

/* Nothing is left to the wait, which might not end for a long time. */
static void lose_an_answer_and_wait(int error)
{
	uint32_t id;

	rebind_seven(alternate, MNFQ_STOP);
	queue_packets(SLOTS);
	fake.no_right = true;
	fake.lose_answers = 1;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), SLOTS));
	fake.no_right = false;
	fake.drops -= error != 0;
	fake.receive_error = error;
	fake.on_wait = fake.on_poll = expect_none_and_stop;
	fake.waits = fake.polls = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(uint, fake.waits + fake.polls, 1));
	for (id = 1; id <= SLOTS; id++)
		expect_verdict(id, MNFQ_STOP);
}

Test(unanswered, an_answer_that_the_receive_buffer_has_no_room_for_is_noticed_before_a_wait)
{
	sock->buffer = 100000; /* less than what 64 packets may take up */
	lose_an_answer_and_wait(0);
}

Test(unanswered, an_answer_that_there_is_no_memory_for_is_noticed_in_a_wait)
{
	lose_an_answer_and_wait(ENOBUFS);
}

static void come(void)
{
	fake.clock_ns += 10000; /* it was not there already */
	fake_packet(7, 60, true);
}

/* Packets that are received one by one fill the buffer as well as batches do. */
Test(unanswered, packets_that_are_received_one_by_one_count)
{
	unsigned int i;
	uint32_t id;

	fake.on_wait = come;
	for (i = 0; i < 4; i++)
		cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	sock->batch = 1;
	sock->passed = 0;
	sock->buffer = 4200; /* two packets may take up more, with their lengths */
	fake.lose_answers = 1;
	fake.no_right = true;
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	fake.no_right = false;
	cr_assert(eq(int, mnfq_socket_dispatch(sock, -1), 1));
	fake.on_wait = fake.on_poll = expect_none_and_stop;
	fake.waits = fake.polls = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(uint, fake.waits + fake.polls, 1));
	for (id = 1; id <= 6; id++)
		expect_verdict(id, id == 5 ? MNFQ_DROP : MNFQ_ACCEPT);
}

static enum mnfq_verdict alternate_and_stop(struct mnfq_packet *packet, void *data)
{
	if (mnfq_packet_get_id(packet) == SLOTS + 2)
		mnfq_socket_stop(sock);
	return alternate(packet, data);
}

/* It has been received, but the stop leaves it to the next round. */
Test(unanswered, an_answer_that_is_put_back_counts_as_unread)
{
	uint32_t id;

	rebind_seven(alternate_and_stop, MNFQ_STOP);
	queue_packets(SLOTS + 2 * RUN);
	fake.no_right = true;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), SLOTS));
	fake.no_right = false;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	serve();
	for (id = 1; id <= SLOTS; id++)
		expect_verdict(id, MNFQ_STOP);
	for (; id <= SLOTS + 2 * RUN; id++)
		expect_verdict(id, wanted(id));
}

static struct mnfq_packet *held;

static void *drop_without_right(void *arg)
{
	(void)arg;
	fake.no_right = true;
	cr_expect(eq(int, mnfq_packet_decide(held, MNFQ_DROP), 0));
	fake.no_right = false;
	return NULL;
}

static enum mnfq_verdict drop_three_elsewhere(struct mnfq_packet *packet, void *data)
{
	pthread_t thread;

	(void)data;
	if (mnfq_packet_get_id(packet) != 3)
		return MNFQ_ACCEPT;
	cr_assert(eq(int, mnfq_packet_retain(&held, packet), 0));
	cr_assert(eq(int, pthread_create(&thread, NULL, drop_without_right, NULL), 0));
	pthread_join(thread, NULL);
	return MNFQ_DEFER;
}

/* A thread that gave up its rights decides a packet, and the one that has them goes on. */
Test(unanswered, a_thread_without_right_leaves_no_packet_to_another_verdict)
{
	uint32_t id;

	rebind_seven(drop_three_elsewhere, MNFQ_STOP);
	queue_packets(5);
	serve();
	for (id = 1; id <= 5; id++)
		expect_verdict(id, id == 3 ? MNFQ_STOP : MNFQ_ACCEPT);
	mnfq_packet_free(held);
}

static enum mnfq_verdict defer_the_first(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_id(packet) != 1)
		return MNFQ_ACCEPT;
	cr_assert(eq(int, mnfq_packet_retain(&held, packet), 0));
	return MNFQ_DEFER;
}

static void come_three(void)
{
	come();
	come();
	come();
}

static void drop_elsewhere(void)
{
	pthread_t thread;

	fake.on_filled = NULL;
	cr_assert(eq(int, pthread_create(&thread, NULL, drop_without_right, NULL), 0));
	pthread_join(thread, NULL);
}

/* The receive emptied the buffer, but began to wait before the verdict was sent: its answer is unread. */
Test(unanswered, a_verdict_that_was_sent_during_a_wait_is_not_answered_by_its_end)
{
	uint32_t id;

	rebind_seven(defer_the_first, MNFQ_STOP);
	queue_packets(1);
	serve();
	fake.on_wait = come_three;
	fake.on_filled = drop_elsewhere;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 3));
	cr_expect(eq(uint, fake.waits, 1));
	serve();
	for (id = 1; id <= 4; id++)
		expect_verdict(id, id == 1 ? MNFQ_STOP : MNFQ_ACCEPT);
	mnfq_packet_free(held);
}
