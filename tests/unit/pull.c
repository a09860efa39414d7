// SPDX-License-Identifier: MIT
/* Packets that are taken one by one, and verdicts that leave together. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "support/fixture.h"

TestSuite(pull, .init = setup, .fini = teardown);
TestSuite(cork, .init = setup, .fini = teardown);

static struct mnfq_packet *next(void)
{
	return mnfq_socket_next_packet(sock);
}

static void pull_seven(unsigned int packets, enum mnfq_verdict fallback)
{
	rebind_seven(NULL, fallback);
	enqueue_packets(packets);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), (int)packets));
}

Test(pull, packets_are_taken_one_by_one)
{
	struct mnfq_packet *packet;
	unsigned int sends, id;

	pull_seven(5, MNFQ_DROP);
	sends = fake.sends;
	for (id = 1; id <= 5; id++) {
		packet = next();
		cr_assert(ne(ptr, packet, NULL));
		cr_expect(eq(u32, mnfq_packet_get_id(packet), id));
		cr_expect(eq(ptr, mnfq_packet_get_queue(packet), queue));
		cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
		cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DROP), -EALREADY));
	}
	cr_expect(eq(ptr, next(), NULL));
	cr_expect(eq(u32, fake.sends, sends), "not yet");
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 0));
	cr_expect(eq(u32, fake.sends, sends + 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1));
	expect_each_verdict(1, 5, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().packets, 5));
	cr_expect(eq(ptr, next(), NULL), "without a batch");
}

Test(pull, a_flush_sends_and_ends_a_batch_that_is_decided)
{
	struct mnfq_packet *first, *second;

	pull_seven(2, MNFQ_DROP);
	first = next();
	cr_expect(eq(int, mnfq_packet_decide(first, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, FAKE_UNDECIDED);
	second = next();
	cr_assert(ne(ptr, second, NULL), "it goes on");
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(2, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_packet_decide(second, MNFQ_STOP), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(2, MNFQ_STOP);
	cr_expect(not(sock->open));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
}

Test(pull, in_any_order)
{
	static const unsigned int order[] = { 3, 0, 1, 4, 2 };
	struct mnfq_packet *packets[5];
	unsigned int i;

	pull_seven(5, MNFQ_DROP);
	for (i = 0; i < 5; i++)
		packets[i] = next();
	for (i = 0; i < 5; i++)
		cr_expect(eq(int,
			     mnfq_packet_decide(packets[order[i]],
						order[i] % 2 ? MNFQ_ACCEPT : MNFQ_STOP),
			     0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	for (i = 0; i < 5; i++)
		expect_verdict(i + 1, i % 2 ? MNFQ_ACCEPT : MNFQ_STOP);
}

/* A batch verdict must not reach over one that was taken earlier and is still in hand. */
Test(pull, one_in_hand_is_not_overtaken)
{
	struct mnfq_packet *first, *packet;

	pull_seven(6, MNFQ_DROP);
	first = next();
	while ((packet = next()))
		cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(1, FAKE_UNDECIDED);
	expect_each_verdict(2, 6, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_packet_decide(first, MNFQ_REPEAT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(1, MNFQ_REPEAT);
}

Test(pull, what_is_not_decided_gets_the_default_verdict)
{
	struct mnfq_packet *packet, *copy;

	pull_seven(4, MNFQ_STOP);
	(void)next();
	packet = next();
	cr_expect(eq(int, mnfq_packet_retain(&copy, packet), 0));
	cr_expect(eq(int, mnfq_packet_decide(next(), MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 1), "the fourth was not taken");
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, FAKE_UNDECIDED);
	expect_verdict(3, MNFQ_ACCEPT);
	expect_verdict(4, FAKE_UNDECIDED);
	cr_expect(eq(u64, stats().defaulted, 1));
	cr_expect(eq(u64, stats().deferred, 1));
	packet = next();
	cr_expect(eq(u32, mnfq_packet_get_id(packet), 4));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_packet_decide(copy, MNFQ_REPEAT), 0));
	mnfq_packet_free(copy);
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(2, MNFQ_REPEAT);
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().lost, 0));
}

static void expect_ended(void)
{
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_STOP);
	cr_expect(eq(u32, fake_queued(7), 0));
}

static void leave_one_in_hand(void)
{
	pull_seven(3, MNFQ_STOP);
	cr_expect(eq(int, mnfq_packet_decide(next(), MNFQ_ACCEPT), 0));
	(void)next();
}

Test(pull, unbinding_ends_the_batch)
{
	leave_one_in_hand();
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
	cr_expect(eq(ptr, next(), NULL));
}

Test(pull, closing_ends_the_batch)
{
	leave_one_in_hand();
	sock = mnfq_socket_close(sock);
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
}

Test(pull, another_ring_ends_the_batch)
{
	leave_one_in_hand();
	cr_expect(eq(int, mnfq_socket_set_ring(sock, NULL), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_STOP);
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 1));
	cr_expect(eq(int, mnfq_packet_decide(next(), MNFQ_STOP), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_ended();
}

Test(pull, dispatching_what_nobody_decides_is_refused)
{
	leave_one_in_hand();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EINVAL));
	cr_expect(ne(ptr, strstr(mnfq_socket_get_error(sock), "without a callback"), NULL));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, FAKE_UNDECIDED);
}

Test(pull, queues_with_a_callback_have_it_called)
{
	struct mnfq_queue *eight;
	struct mnfq_packet *packet;

	rebind_seven(NULL, MNFQ_DROP);
	cr_assert(eq(int, mnfq_queue_bind(&eight, sock, 8, NULL, accept_all, NULL), 0));
	fake_packet(8, 60, true);
	fake_packet(7, 60, true);
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 3));
	packet = next();
	cr_expect(eq(uint, seen, 1));
	cr_expect(eq(uint, mnfq_packet_get_queue_num(packet), 7));
	cr_expect(eq(ptr, next(), NULL));
	cr_expect(eq(uint, seen, 2));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(u32, fake_queued(8), 0));
	expect_verdict(1, MNFQ_ACCEPT);
}

/* The space for a new payload is one packet's: others have their own. */
Test(pull, each_has_its_own_payload)
{
	uint8_t bytes[3][30];
	struct mnfq_packet *packets[3];
	const uint8_t *payload;
	unsigned int i;
	size_t len;

	pull_seven(3, MNFQ_DROP);
	for (i = 0; i < 3; i++) {
		packets[i] = next();
		memset(bytes[i], 'a' + (int)i, sizeof(bytes[i]));
	}
	for (i = 0; i < 3; i++)
		cr_expect(eq(int, mnfq_packet_set_payload(packets[i], bytes[i], 20 + i), 0));
	for (i = 0; i < 3; i++) {
		payload = mnfq_packet_get_payload(packets[i], &len);
		cr_expect(eq(sz, len, 20 + i));
		cr_expect(eq(int, memcmp(payload, bytes[i], len), 0), "packet %u", i);
		cr_expect(eq(int, mnfq_packet_decide(packets[i], MNFQ_ACCEPT), 0));
		(void)mnfq_packet_get_payload(packets[i], &len);
		cr_expect(eq(sz, len, 60), "it is gone with the verdict");
	}
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	for (i = 0; i < 3; i++)
		cr_expect(eq(sz, fake_decision(fake_queue(7), i + 1)->payload_len, 20 + i));
}

Test(pull, a_stop_ends_the_next_receive)
{
	pull_seven(2, MNFQ_DROP);
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_packet_decide(next(), MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_packet_decide(next(), MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_receive(sock, -1), -ECANCELED));
	expect_each_verdict(1, 2, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 0));
}

Test(pull, a_wrong_decision_leaves_the_packet_in_hand)
{
	struct mnfq_packet *packet;

	pull_seven(1, MNFQ_DROP);
	packet = next();
	cr_expect(eq(int, mnfq_packet_decide(packet, (enum mnfq_verdict)99), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 1), 0));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DEFER), -EINVAL), "the mark");
	cr_expect(eq(int, mnfq_packet_decide(NULL, MNFQ_ACCEPT), -EINVAL));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 0));
	cr_expect(fake_decision(fake_queue(7), 1)->has_mark);
	cr_expect(eq(u64, stats().invalid, 0));
	cr_expect(eq(int, mnfq_socket_receive(NULL, 0), -EINVAL));
	cr_expect(eq(ptr, mnfq_socket_next_packet(NULL), NULL));
	cr_expect(eq(int, mnfq_socket_cork(NULL), -EINVAL));
	cr_expect(eq(int, mnfq_socket_flush(NULL), -EINVAL));
}

static enum mnfq_verdict misuse(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), -EBUSY));
	cr_expect(eq(int, mnfq_socket_cork(sock), -EBUSY));
	cr_expect(eq(ptr, next(), NULL));
	return MNFQ_ACCEPT;
}

Test(pull, not_from_a_callback)
{
	rebind_seven(misuse, MNFQ_DROP);
	pass_packets(2);
	expect_each_verdict(1, 2, MNFQ_ACCEPT);
}

/* ---- verdicts of the packet in the callback, and flush ---- */

static enum mnfq_verdict decide_and_flush(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	if (id == 2) {
		expect_verdict(1, FAKE_UNDECIDED);
		cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_STOP), 0));
		cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DROP), -EALREADY));
		cr_expect(eq(int, mnfq_packet_set_mark(packet, 1), -EALREADY));
		cr_expect(eq(int, mnfq_socket_flush(sock), 0));
		expect_verdict(1, MNFQ_ACCEPT);
		expect_verdict(2, MNFQ_STOP);
		return MNFQ_DROP;
	}
	return MNFQ_ACCEPT;
}

Test(pull, a_callback_flushes_its_own_verdict)
{
	rebind_seven(decide_and_flush, MNFQ_DROP);
	pass_packets(4);
	expect_each_verdict(3, 4, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().accepted, 3));
	cr_expect(eq(u64, stats().stopped, 1));
	cr_expect(eq(u64, stats().dropped, 0));
}

/* ---- cork ---- */

static struct mnfq_packet *held[64];
static unsigned int n_held;

static enum mnfq_verdict hold(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_retain(&held[n_held++], packet), 0));
	return MNFQ_DEFER;
}

Test(cork, verdicts_leave_together)
{
	unsigned int i, sends;

	rebind_seven(hold, MNFQ_DROP);
	pass_packets(20);
	sends = fake.sends;
	fake.batch_verdicts = fake.single_verdicts = 0;
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, mnfq_socket_cork(sock), 0), "twice is once");
	for (i = 0; i < 20; i++)
		cr_expect(eq(int, mnfq_packet_decide(held[i], MNFQ_ACCEPT), 0));
	cr_expect(eq(u32, fake.sends, sends));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(u32, fake.sends, sends + 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1), "oldest first, and equal");
	cr_expect(eq(u32, fake.single_verdicts, 0));
	expect_each_verdict(1, 20, MNFQ_ACCEPT);
	for (i = 0; i < 20; i++)
		mnfq_packet_free(held[i]);
}

Test(cork, an_older_one_is_not_overtaken)
{
	unsigned int i;

	rebind_seven(hold, MNFQ_DROP);
	pass_packets(6);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	for (i = 1; i < 6; i++)
		cr_expect(eq(int, mnfq_packet_decide(held[i], MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(1, FAKE_UNDECIDED);
	expect_each_verdict(2, 6, MNFQ_ACCEPT);
	for (i = 0; i < 6; i++)
		mnfq_packet_free(held[i]);
}

/* The kernel may have refused the verdict of 3, and what comes later must not decide it. */
Test(cork, one_whose_verdict_may_be_refused_is_not_overtaken)
{
	unsigned int i;

	rebind_seven(hold, MNFQ_DROP);
	pass_packets(5);
	fake.verdict_error = EPERM;
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DROP), 0));
	fake.verdict_error = 0;
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	for (i = 1; i < 5; i++)
		cr_expect(eq(int, mnfq_packet_decide(held[i], MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_each_verdict(2, 5, MNFQ_ACCEPT);
	expect_verdict(1, MNFQ_DROP);
	for (i = 0; i < 5; i++)
		mnfq_packet_free(held[i]);
}

static int feed_packet(uint32_t id)
{
	fake_packet(7, 60, false);
	message_packet(&msg, 7, id, 60);
	return feed();
}

Test(cork, fed_packets_are_decided_together)
{
	unsigned int i, sends;

	sends = fake.sends;
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	for (i = 1; i <= 10; i++)
		cr_expect(eq(int, feed_packet(i), 1));
	cr_expect(eq(u32, fake.sends, sends));
	cr_expect(eq(uint, seen, 10));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(u32, fake.sends, sends + 1));
	expect_each_verdict(1, 10, MNFQ_ACCEPT);
	cr_expect(eq(int, feed_packet(11), 1));
	expect_verdict(11, MNFQ_ACCEPT);
}

static unsigned int sends_before[4];

static enum mnfq_verdict take_long(struct mnfq_packet *packet, void *data)
{
	(void)data;
	sends_before[mnfq_packet_get_id(packet)] = fake.sends;
	fake.clock_ms += 5;
	return MNFQ_ACCEPT;
}

/* Each datagram is alone in its call. What was decided in a call before is late for all that. */
Test(cork, no_verdict_waits_for_slow_callbacks_of_what_is_fed)
{
	unsigned int i;

	rebind_seven(take_long, MNFQ_DROP);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	for (i = 1; i <= 3; i++)
		cr_expect(eq(int, feed_packet(i), 1));
	cr_expect(eq(uint, sends_before[2], sends_before[1] + 1));
	cr_expect(eq(uint, sends_before[3], sends_before[2] + 1));
}

Test(cork, a_dispatch_sends_what_was_gathered)
{
	rebind_seven(hold, MNFQ_DROP);
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	cr_expect(not(sock->open));
	mnfq_packet_free(held[0]);
}

Test(cork, what_cannot_be_sent_gets_the_default_verdict)
{
	rebind_seven(hold, MNFQ_STOP);
	pass_packets(2);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[1], MNFQ_ACCEPT), 0));
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2;
	cr_expect(eq(int, mnfq_socket_flush(sock), -EMSGSIZE));
	cr_expect(ne(ptr, strstr(mnfq_socket_get_error(sock), "could not be sent"), NULL));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	expect_each_verdict(1, 2, MNFQ_STOP);
	cr_expect(eq(u64, stats().unsent, 2));
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[1]);
}

static enum mnfq_verdict close_it(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	sock = mnfq_socket_close(sock);
	return MNFQ_ACCEPT;
}

Test(cork, a_fed_callback_may_close)
{
	rebind_seven(close_it, MNFQ_DROP);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, feed_packet(1), -ECANCELED));
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
	sock = NULL;
}

Test(cork, the_ring_is_in_use_meanwhile)
{
	struct mnfq_socket_options options = { .size = sizeof(options) };
	struct mnfq_socket *second;

	cr_assert(eq(int, mnfq_ring_new(&options.ring, 0), 0));
	cr_assert(eq(int, mnfq_socket_set_ring(sock, options.ring), 0));
	cr_assert(eq(int, mnfq_socket_open(&second, &options), 0));
	mnfq_ring_free(options.ring);
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(second, 0), -EBUSY));
	cr_expect(eq(int, mnfq_socket_cork(second), -EBUSY));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(second, 0), 0));
	mnfq_socket_close(second);
}
