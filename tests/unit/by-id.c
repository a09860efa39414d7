// SPDX-License-Identifier: MIT
/* Packets that are decided later by their id, of which no copy is made. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

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

/* ---- a game ---- */

/* What each packet is to get: by its id. */
static enum mnfq_verdict wanted(uint32_t id)
{
	static const enum mnfq_verdict verdicts[] = { MNFQ_ACCEPT, MNFQ_STOP, MNFQ_ACCEPT,
						      MNFQ_REPEAT };

	return verdicts[id / 5 % 4];
}

static uint32_t waiting[FAKE_IDS];
static unsigned int n_waiting;

static void decide_some(unsigned int n)
{
	uint32_t id;
	unsigned int at;

	for (; n > 0 && n_waiting > 0; n--) {
		at = rand() % 3 ? 0 : (unsigned int)rand() % n_waiting;
		id = waiting[at];
		memmove(waiting + at, waiting + at + 1, (n_waiting - at - 1) * sizeof(*waiting));
		n_waiting--;
		cr_assert(eq(int, decide(&id, 1, wanted(id)), 1));
	}
}

/* Equal ones at the beginning, in one call. */
static void decide_run(void)
{
	unsigned int n = 1;

	while (n < n_waiting && wanted(waiting[n]) == wanted(waiting[0]))
		n++;
	if (n_waiting == 0)
		return;
	cr_assert(eq(int, decide(waiting, n, wanted(waiting[0])), (int)n));
	memmove(waiting, waiting + n, (n_waiting - n) * sizeof(*waiting));
	n_waiting -= n;
}

static enum mnfq_verdict play(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	if (rand() % 20 == 0)
		decide_some(2);
	if (rand() % 2) {
		waiting[n_waiting++] = id;
		return MNFQ_DEFER;
	}
	if (rand() % 10 == 0) {
		cr_expect(eq(int, mnfq_packet_decide(packet, wanted(id)), 0));
		if (rand() % 2)
			cr_expect(eq(int, mnfq_socket_flush(sock), 0));
		return MNFQ_DROP;
	}
	return wanted(id);
}

static void pull_some(void)
{
	struct mnfq_packet *packets[64], *packet;
	unsigned int n = 0, i;
	uint32_t id;

	while ((packet = mnfq_socket_next_packet(sock)))
		packets[n++] = packet;
	for (; n > 0; n--) {
		i = rand() % 2 ? 0 : (unsigned int)rand() % n;
		packet = packets[i];
		id = mnfq_packet_get_id(packet);
		if (rand() % 4 == 0) {
			waiting[n_waiting++] = id;
			cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DEFER), 0));
		} else {
			cr_expect(eq(int, mnfq_packet_decide(packet, wanted(id)), 0));
		}
		if (rand() % 16 == 0)
			decide_some(1);
		memmove(packets + i, packets + i + 1, (n - i - 1) * sizeof(*packets));
	}
}

static void play_rounds(unsigned int seed, bool pulled)
{
	unsigned int i, total = 0, n;

	srand(seed);
	n_waiting = 0;
	rebind_seven(pulled ? NULL : play, MNFQ_DROP);
	for (i = 0; i < 200; i++) {
		n = (unsigned int)rand() % 40 + 1;
		total += n;
		enqueue_packets(n);
		fake.no_right = rand() % 25 == 0;
		if (pulled && mnfq_socket_receive(sock, 0) > 0)
			pull_some();
		else if (!pulled)
			(void)mnfq_socket_dispatch(sock, 0);
		if (rand() % 3 == 0)
			cr_expect(eq(int, mnfq_socket_cork(sock), 0));
		if (rand() % 2)
			decide_some((unsigned int)rand() % 30);
		else
			decide_run();
		(void)mnfq_socket_flush(sock);
		fake.no_right = false;
	}
	for (i = 0; i < 100 && (n_waiting > 0 || fake_unread() > 0 || fake_queued(7) > 0); i++) {
		fake.clock_ms += 1000;
		if (pulled && mnfq_socket_receive(sock, 0) > 0)
			pull_some();
		else if (!pulled)
			(void)mnfq_socket_dispatch(sock, 0);
		decide_some(n_waiting);
		(void)mnfq_socket_flush(sock);
	}
	cr_expect(eq(u32, fake_queued(7), 0));
	for (i = 1; i <= total; i++) {
		const uint32_t got = fake_decision(fake_queue(7), i)->verdict;

		cr_assert(got == wanted(i) || got == MNFQ_DROP, "packet %u got %x", i, got);
	}
}

/* Each packet gets its verdict, or where the right was missing the default one: never that of another. */
Test(by_id, a_game)
{
	unsigned int seed;

	for (seed = 1; seed <= 20; seed++)
		play_rounds(seed, false);
}

Test(by_id, a_game_of_pulling)
{
	unsigned int seed;

	for (seed = 1; seed <= 20; seed++)
		play_rounds(seed, true);
}
