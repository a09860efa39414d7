// SPDX-License-Identifier: MIT
/* Packets that are decided later by their id, of which no copy is made. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "sockopt.h"
#include "support/fixture.h"

TestSuite(by_id, .init = setup, .fini = teardown);

static uint32_t ids[FAKE_IDS];
static unsigned int n_ids;

static enum mnfq_verdict defer(struct mnfq_packet *packet, void *data)
{
	(void)data;
	ids[n_ids++] = mnfq_packet_get_id(packet);
	return MNFQ_DEFER;
}

static int decide(const uint32_t *which, size_t n, enum mnfq_verdict verdict)
{
	return mnfq_queue_decide(queue, which, n, verdict);
}

static void defer_all(unsigned int n, enum mnfq_verdict fallback)
{
	n_ids = 0;
	rebind_seven(defer, fallback);
	pass_packets(n);
	cr_assert(eq(uint, n_ids, n));
	fake.batch_verdicts = fake.single_verdicts = 0;
}

Test(by_id, they_are_decided_together)
{
	unsigned int sends;

	defer_all(50, MNFQ_DROP);
	cr_expect(eq(u64, stats().held, 50));
	cr_expect(eq(u64, stats().deferred, 50));
	sends = fake.sends;
	cr_expect(eq(int, decide(ids, 50, MNFQ_ACCEPT), 50));
	cr_expect(eq(u32, fake.sends, sends + 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1));
	expect_each_verdict(1, 50, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().held, 0));
	cr_expect(eq(u64, stats().accepted, 50));
	cr_expect(eq(int, decide(ids, 50, MNFQ_DROP), 0), "decided once");
}

Test(by_id, more_than_a_send_has)
{
	unsigned int i, sends;

	n_ids = 0;
	rebind_seven(defer, MNFQ_DROP);
	for (i = 0; i < 5; i++)
		pass_packets(50);
	sends = fake.sends;
	cr_expect(eq(int, decide(ids, 250, MNFQ_ACCEPT), 250));
	cr_expect(eq(u32, fake.sends, sends + 4));
	expect_each_verdict(1, 250, MNFQ_ACCEPT);
}

Test(by_id, an_older_one_is_not_overtaken)
{
	const uint32_t some[] = { 5, 2, 3, 2, 99, 7 };

	defer_all(8, MNFQ_DROP);
	cr_expect(eq(int, decide(some, 6, MNFQ_ACCEPT), 4), "2 is there twice, 99 is not");
	expect_verdict(1, FAKE_UNDECIDED);
	expect_each_verdict(2, 3, MNFQ_ACCEPT);
	expect_verdict(4, FAKE_UNDECIDED);
	expect_verdict(5, MNFQ_ACCEPT);
	expect_verdict(6, FAKE_UNDECIDED);
	expect_verdict(7, MNFQ_ACCEPT);
	expect_verdict(8, FAKE_UNDECIDED);
	cr_expect(eq(u32, fake.batch_verdicts, 0));
	cr_expect(eq(int, decide((uint32_t[]){ 8, 1, 4, 6 }, 4, MNFQ_STOP), 4));
	expect_verdict(8, MNFQ_STOP);
	expect_verdict(1, MNFQ_STOP);
	cr_expect(eq(u32, fake_queued(7), 0));
}

Test(by_id, nor_is_one_from_before_ids_wrapped_around)
{
	const uint32_t base = UINT32_MAX - 2;

	n_ids = 0;
	rebind_seven(defer, MNFQ_DROP);
	fake_set_base(7, base);
	queue->decided_id = base;
	queue->next_id = base + 1;
	pass_packets(5);
	cr_expect(eq(int, decide(ids + 2, 3, MNFQ_ACCEPT), 3));
	expect_verdict(ids[0], FAKE_UNDECIDED);
	expect_verdict(ids[1], FAKE_UNDECIDED);
	cr_expect(eq(int, decide(ids, 2, MNFQ_STOP), 2));
	expect_verdict(ids[1], MNFQ_STOP);
}

Test(by_id, one_whose_verdict_may_be_refused_is_not_overtaken)
{
	defer_all(5, MNFQ_DROP);
	fake.verdict_error = EPERM;
	cr_expect(eq(int, decide(ids, 1, MNFQ_DROP), 1));
	fake.verdict_error = 0;
	cr_expect(eq(int, decide(ids + 1, 4, MNFQ_ACCEPT), 4));
	expect_each_verdict(2, 5, MNFQ_ACCEPT);
	expect_verdict(1, MNFQ_DROP);
}

Test(by_id, what_cannot_be_sent_is_undecided)
{
	defer_all(3, MNFQ_DROP);
	fake.send_error = ENOBUFS;
	fake.send_errors = 1;
	cr_expect(eq(int, decide(ids, 3, MNFQ_ACCEPT), -ENOBUFS));
	cr_expect(eq(u64, stats().held, 3));
	cr_expect(eq(int, decide(ids, 3, MNFQ_ACCEPT), 3));
	expect_each_verdict(1, 3, MNFQ_ACCEPT);
}

Test(by_id, misuse)
{
	defer_all(1, MNFQ_DROP);
	cr_expect(eq(int, decide(ids, 1, MNFQ_DEFER), -EINVAL));
	cr_expect(eq(int, decide(ids, 1, (enum mnfq_verdict)99), -EINVAL));
	cr_expect(eq(int, decide(NULL, 1, MNFQ_ACCEPT), -EINVAL));
	cr_expect(eq(int, decide(ids, SIZE_MAX, MNFQ_ACCEPT), -EINVAL));
	cr_expect(eq(int, mnfq_queue_decide(NULL, ids, 1, MNFQ_ACCEPT), -EINVAL));
	cr_expect(eq(int, decide(NULL, 0, MNFQ_ACCEPT), 0));
	cr_expect(eq(u64, stats().held, 1));
}

Test(by_id, unbinding_decides_them)
{
	defer_all(3, MNFQ_STOP);
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
	cr_expect(eq(u64, stats().held, 0));
	cr_expect(eq(u64, stats().defaulted, 3));
}

static enum mnfq_verdict mark_and_defer(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 3), 0));
	return MNFQ_DEFER;
}

Test(by_id, what_was_changed_must_be_retained)
{
	rebind_seven(mark_and_defer, MNFQ_STOP);
	pass_packets(1);
	expect_verdict(1, MNFQ_STOP);
	cr_expect(eq(u64, stats().invalid, 1));
	cr_expect(eq(u64, stats().deferred, 0));
}

static struct mnfq_packet *copy;

static enum mnfq_verdict retain_second(struct mnfq_packet *packet, void *data)
{
	if (mnfq_packet_get_id(packet) != 2)
		return defer(packet, data);
	cr_assert(eq(int, mnfq_packet_retain(&copy, packet), 0));
	cr_expect(eq(int, mnfq_packet_set_mark(copy, 9), 0));
	return MNFQ_DEFER;
}

Test(by_id, copies_are_decided_with_their_changes)
{
	rebind_seven(retain_second, MNFQ_DROP);
	pass_packets(3);
	cr_expect(eq(int, decide((uint32_t[]){ 1, 2, 3 }, 3, MNFQ_ACCEPT), 3));
	expect_each_verdict(1, 3, MNFQ_ACCEPT);
	cr_expect(eq(u32, fake_decision(fake_queue(7), 2)->mark, 9));
	cr_expect(not(fake_decision(fake_queue(7), 1)->has_mark));
	cr_expect(eq(int, mnfq_packet_decide(copy, MNFQ_DROP), -EALREADY));
	mnfq_packet_free(copy);
}

Test(by_id, one_that_is_too_large_stays_undecided)
{
	static uint8_t big[9000];

	rebind_seven(retain_second, MNFQ_DROP);
	pass_packets(3);
	cr_expect(eq(int, mnfq_packet_set_payload(copy, big, sizeof(big)), 0));
	fake.send_buffer = 4608;
	sock->send_max = mnfq_i_get_send_max(sock->fd);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, decide((uint32_t[]){ 2 }, 1, MNFQ_ACCEPT), -EMSGSIZE));
	cr_expect(eq(int, decide((uint32_t[]){ 1, 2, 3 }, 3, MNFQ_ACCEPT), 1));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(u64, stats().held, 2));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_each_verdict(2, 3, FAKE_UNDECIDED);
	mnfq_packet_free(copy);
	expect_verdict(2, MNFQ_DROP);
}

Test(by_id, what_was_decided_before_a_failure_counts)
{
	rebind_seven(retain_second, MNFQ_DROP);
	pass_packets(3);
	fake.send_error = ENOBUFS;
	fake.send_errors_after = 1;
	fake.send_errors = 1;
	cr_expect(eq(int, decide((uint32_t[]){ 1, 2, 3 }, 3, MNFQ_ACCEPT), 1));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_each_verdict(2, 3, FAKE_UNDECIDED);
	cr_expect(eq(int, decide((uint32_t[]){ 1, 2, 3 }, 3, MNFQ_ACCEPT), 2));
	mnfq_packet_free(copy);
}

static enum mnfq_verdict decide_earlier(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);
	const uint32_t earlier[] = { 1, 2, 3 };

	if (id < 4)
		return defer(packet, data);
	cr_expect(eq(int, decide(earlier, 3, MNFQ_STOP), id == 4 ? 3 : 0));
	return MNFQ_ACCEPT;
}

Test(by_id, within_a_callback_they_leave_with_the_others)
{
	unsigned int sends;

	rebind_seven(decide_earlier, MNFQ_DROP);
	enqueue_packets(5);
	sends = fake.sends;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 5));
	cr_expect(eq(u32, fake.sends, sends + 1));
	expect_each_verdict(1, 3, MNFQ_STOP);
	expect_each_verdict(4, 5, MNFQ_ACCEPT);
}

static void *accept_two_and_three(void *arg)
{
	cr_expect(eq(int, decide((uint32_t[]){ 2, 3 }, 2, MNFQ_ACCEPT), 2));
	return arg;
}

static enum mnfq_verdict drop_first(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);
	pthread_t thread;

	if (id == 4) {
		cr_assert(eq(int, pthread_create(&thread, NULL, accept_two_and_three, NULL), 0));
		pthread_join(thread, NULL);
		expect_verdict(1, FAKE_UNDECIDED);
		expect_each_verdict(2, 3, MNFQ_ACCEPT);
	}
	return id == 1 ? MNFQ_DROP : id == 4 ? MNFQ_STOP : defer(packet, data);
}

/* The verdict for the first one is in the outbox: a batch verdict of another thread would decide it. */
Test(by_id, another_thread_does_not_overtake_the_outbox)
{
	n_ids = 0;
	rebind_seven(drop_first, MNFQ_REPEAT);
	pass_packets(4);
	expect_verdict(1, MNFQ_DROP);
	expect_verdict(4, MNFQ_STOP);
	cr_expect(eq(u64, stats().refused, 0));
}

Test(by_id, nothing_is_allocated_once_as_many_were_held)
{
	unsigned int i, allocations = 0;

	defer_all(64, MNFQ_DROP);
	cr_expect(eq(int, decide(ids, 64, MNFQ_ACCEPT), 64));
	for (i = 0; i < 10; i++) {
		n_ids = 0;
		if (i == 1)
			allocations = fake.allocations;
		pass_packets(64);
		cr_expect(eq(int, decide(ids, 64, MNFQ_ACCEPT), 64));
	}
	cr_expect(eq(uint, fake.allocations, allocations));
}

Test(by_id, without_memory_it_is_the_default_verdict)
{
	rebind_seven(defer, MNFQ_STOP);
	enqueue_packets(2);
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, FAKE_UNDECIDED);
	cr_expect(eq(u64, stats().unsent, 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENOMEM));
	cr_expect(eq(int, decide(ids + 1, 1, MNFQ_ACCEPT), 1));
	fake.fail_allocation = 2; /* the chunk is there, but no table */
}

Test(by_id, many_are_found)
{
	unsigned int i;
	uint32_t id;

	n_ids = 0;
	rebind_seven(defer, MNFQ_DROP);
	for (i = 0; i < 40; i++)
		pass_packets(64);
	for (i = 0; i < n_ids;
	     i++) { /* in an order of its own: 7 and the number have no common divisor */
		id = ids[(i * 7 + 3) % n_ids];
		cr_assert(eq(int, decide(&id, 1, id % 2 ? MNFQ_ACCEPT : MNFQ_STOP), 1));
	}
	for (i = 1; i <= n_ids; i++)
		expect_verdict(i, i % 2 ? MNFQ_ACCEPT : MNFQ_STOP);
	cr_expect(eq(u32, fake_queued(7), 0));
}
