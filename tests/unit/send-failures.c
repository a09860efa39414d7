// SPDX-License-Identifier: MIT
/*
 * send.c, refused.c: verdicts that cannot be sent or are refused, for a moment or for good, and what
 * that means for other packets and queues.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "sockopt.h"
#include "support/fixture.h"

TestSuite(failures, .init = setup, .fini = teardown);

static enum mnfq_verdict drop_two(struct mnfq_packet *packet, void *data)
{
	(void)data;
	return mnfq_packet_get_id(packet) <= 2 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/* Two verdicts are lost; two more that could be a batch must not reach over their packets. */
static void lose_two_verdicts(void)
{
	rebind_seven(drop_two, MNFQ_STOP);
	enqueue_packets(2);
}

static void expect_default_for_two(void)
{
	pass_packets(2);
	expect_each_verdict(1, 2, MNFQ_STOP);
	expect_each_verdict(3, 4, MNFQ_ACCEPT);
}

Test(failures, verdicts_that_could_not_be_sent_become_the_default)
{
	lose_two_verdicts();
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u64, stats().unsent, 2));
	cr_expect(eq(u64, queue_stats(queue).unsent, 2));
	cr_expect(eq(u64, stats().dropped, 0),
		  "nothing that was not sent is counted as if it were");
	cr_expect(eq(u64, stats().stopped, 2));
	cr_expect(eq(u64, stats().defaulted, 2));
	cr_expect(eq(u32, fake_queued(7), 0), "already at the end of the round");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	expect_default_for_two();
}

Test(failures, as_long_as_nothing_can_be_sent_nothing_is_overtaken)
{
	lose_two_verdicts();
	fake.send_error = EMSGSIZE;
	fake.send_errors = 3; /* the default verdict as well */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u32, fake_queued(7), 2));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE), "verdicts");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE), "default verdicts");
	fake.clock_ms += 100;
	expect_default_for_two();
}

Test(failures, verdicts_refused_for_want_of_a_right_become_the_default)
{
	lose_two_verdicts();
	fake.verdict_error = -EPERM;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	fake.verdict_error = 0;
	fake.clock_ms += 100;
	expect_default_for_two();
}

static unsigned int verdict_messages(void)
{
	return fake.single_verdicts + fake.batch_verdicts;
}

/* A full queue sends no packet by which we would be woken. */
Test(failures, what_was_refused_is_tried_again_after_a_pause)
{
	unsigned int before, tries;

	lose_two_verdicts();
	fake.verdict_error = -EPERM;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	before = verdict_messages();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 99), 0));
	cr_expect(eq(u32, verdict_messages(), before), "not before the pause is over");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 10000), 0), "the error was reported");
	tries = verdict_messages() - before;
	cr_expect(ge(u32, tries, 5));
	cr_expect(le(u32, tries, 15), "the pauses get longer");
	fake.verdict_error = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 1000), 0));
	expect_each_verdict(1, 2, MNFQ_STOP);
}

/* As after setuid(): the loop neither spins nor fills a log, and the timeout holds. */
Test(failures, a_lasting_failure_is_reported_once)
{
	unsigned int failures = 0, polls = fake.polls;
	int64_t before = fake.clock_ms;
	int n;

	fake.no_right = true;
	fake_packet(7, 60, true);
	for (unsigned int i = 0; i < 20; i++) {
		n = mnfq_socket_dispatch(sock, 200);
		cr_assert(n >= 0 || n == -EPERM);
		failures += n < 0;
	}
	cr_expect(eq(u32, failures, 1));
	cr_expect(ge(i64, fake.clock_ms - before, 18 * 200), "it waited");
	cr_expect(le(u32, fake.polls - polls, 100));
	cr_expect(eq(u64, stats().refused, fake.sends_refused), "but each is counted");

	fake.no_right = false;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 2000), 0));
	cr_expect(eq(u32, fake_queued(7), 0));
	fake.no_right = true;
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM), "it worked meanwhile");
	fake.no_right = false;
}

Test(failures, a_queue_that_is_lost_does_not_disturb_another)
{
	struct mnfq_queue *other;
	unsigned int failures = 0;
	int n;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_queue(8)->error = -EPERM;
	fake_packet(8, 60, true);
	for (unsigned int i = 0; i < 100; i++) {
		fake_packet(7, 60, true);
		n = mnfq_socket_dispatch(sock, 10);
		failures += n < 0;
	}
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, failures, 1));
	expect_each_verdict(1, 100, MNFQ_ACCEPT);
}

Test(failures, each_queue_reports_its_own_failure)
{
	struct mnfq_queue *other;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	message_error(&msg, -ENODEV, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, other->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENODEV));
	cr_expect(strstr(mnfq_socket_get_error(sock), "queue 8") != NULL);
	cr_expect(ne(sz, fake_unread(), 0), "the descriptor is readable for the other");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	cr_expect(strstr(mnfq_socket_get_error(sock), "queue 7") != NULL);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

/* Another process steals the kernel's answers, the one to a question of ours, too. */
Test(failures, an_explanation_does_not_wait)
{
	int64_t before = fake.clock_ms;

	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	fake.lose_answers = ~0u;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	cr_expect(eq(i64, fake.clock_ms, before));
}

/* The kernel answers one message of those that it refused. */
Test(failures, a_refusal_is_for_all_queues)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .default_verdict = MNFQ_STOP };
	struct mnfq_queue *other;

	lose_two_verdicts();
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, &options, accept_all, NULL), 0));
	fake.send_swallowed = 1; /* as if refused */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, other->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	expect_default_for_two();
}

/* The refusal for 1 is read behind packets 2 and 3, which are about to become a batch. */
Test(failures, a_run_that_is_open_does_not_reach_over_refused_verdicts)
{
	rebind_seven(drop_two, MNFQ_STOP);
	for (uint32_t id = 1; id <= 4; id++)
		fake_packet(7, 60, id != 1);
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	queue->next_id = 2; /* 1 was seen and dropped */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 3));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_DROP);
	expect_each_verdict(3, 4, MNFQ_ACCEPT);
	cr_expect(eq(u32, fake_queued(7), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
}

/* The outbox holds decisions of both queues, and an open run of each. */
Test(failures, each_queue_counts_what_could_not_be_sent)
{
	struct mnfq_queue *other;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	for (unsigned int i = 0; i < 5; i++)
		fake_packet(i % 2 ? 7 : 8, 60, true);
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 5));
	cr_expect(eq(u64, queue_stats(queue).unsent, 2));
	cr_expect(eq(u64, queue_stats(queue).defaulted, 2));
	cr_expect(eq(u64, queue_stats(queue).accepted, 0));
	cr_expect(eq(u64, queue_stats(queue).dropped, 2));
	cr_expect(eq(u64, queue_stats(other).unsent, 3));
	cr_expect(eq(u64, queue_stats(other).dropped, 3));
	cr_expect(eq(u64, stats().unsent, 5));
}

static enum mnfq_verdict decide_nothing(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	return (enum mnfq_verdict)99;
}

/* What is decided by default anyway has lost nothing. */
Test(failures, default_verdicts_that_could_not_be_sent_are_not_unsent)
{
	rebind_seven(decide_nothing, MNFQ_STOP);
	enqueue_packets(2);
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u64, stats().defaulted, 2));
	cr_expect(eq(u64, stats().stopped, 2));
	cr_expect(eq(u64, stats().unsent, 0));
}

/* ---- another user of the socket shrinks its send buffer ---- */

static void shrink(void)
{
	fake.send_buffer = 4608; /* the least that the kernel allows */
}

static enum mnfq_verdict rewrite_all(struct mnfq_packet *packet, void *data)
{
	static uint8_t bytes[9000];
	uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	cr_expect(eq(int, mnfq_packet_set_payload(packet, bytes, id == 20 ? 9000 : 1000), 0));
	return MNFQ_ACCEPT;
}

Test(failures, what_has_become_too_large_is_sent_in_parts)
{
	rebind_seven(rewrite_all, MNFQ_STOP);
	fake.on_fill = shrink;
	for (uint32_t id = 1; id <= 64; id++)
		if (id == 20)
			fake_overrun(7);
		else
			fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 63));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0), "no failure");
	for (uint32_t id = 1; id <= 64; id++)
		if (id != 20)
			expect_verdict(id, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().unsent, 0));
	cr_expect(eq(u64, stats().rewritten, 63));
}

static enum mnfq_verdict rewrite_twenty(struct mnfq_packet *packet, void *data)
{
	return mnfq_packet_get_id(packet) % 20 ? MNFQ_ACCEPT : rewrite_all(packet, data);
}

Test(failures, what_is_too_large_by_itself_is_decided_by_default)
{
	rebind_seven(rewrite_twenty, MNFQ_STOP);
	shrink();
	sock->send_max = mnfq_i_get_send_max(sock->fd);
	pass_packets(40);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	for (uint32_t id = 1; id <= 40; id++)
		expect_verdict(id, id == 20 ? MNFQ_STOP : MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().unsent, 1));
	cr_expect(eq(u64, stats().defaulted, 1));
	cr_expect(eq(u64, stats().accepted, 39));
	cr_expect(eq(u64, stats().rewritten, 1));
	fake.send_buffer = 0;
	enqueue_packets(20);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 20), "and later ones are sent");
	cr_expect(eq(u64, stats().rewritten, 2));
}

/* Of a whole round one verdict is too large, which was not known when the others were made. */
Test(failures, what_has_become_too_large_costs_the_others_nothing)
{
	struct mnfq_queue *other;

	rebind_seven(rewrite_twenty, MNFQ_STOP);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake.on_fill = shrink;
	for (uint32_t id = 1; id <= 30; id++) {
		fake_packet(7, 60, true);
		fake_packet(8, 60, true);
	}
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 60));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	for (uint32_t id = 1; id <= 30; id++) {
		expect_verdict(id, id == 20 ? MNFQ_STOP : MNFQ_ACCEPT);
		cr_expect(eq(u32, fake_queue(8)->decisions[id].verdict, MNFQ_ACCEPT));
	}
	cr_expect(eq(u64, queue_stats(queue).unsent, 1));
	cr_expect(eq(u64, queue_stats(queue).defaulted, 1));
	cr_expect(eq(u64, queue_stats(queue).stopped, 1));
	cr_expect(eq(u64, queue_stats(queue).accepted, 29));
	cr_expect(eq(u64, queue_stats(queue).rewritten, 0));
	cr_expect(eq(u64, queue_stats(other).unsent, 0));
	cr_expect(eq(u64, queue_stats(other).accepted, 30));
}

/* ---- a queue that is lost, beside one that is not ---- */

Test(failures, a_refusal_for_one_queue_leaves_the_verdicts_of_another)
{
	struct mnfq_queue *other;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_queue(8)->error = -EPERM; /* bound by another socket */
	for (uint32_t id = 1; id <= 40; id++) {
		fake_packet(7, 60, true);
		if (id % 10 != 5)
			continue;
		message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), id, other->tag);
		fake_datagram(msg.bytes, msg.len, 0);
	}
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 40));
	expect_each_verdict(1, 40, MNFQ_ACCEPT);
	cr_expect(eq(u64, queue_stats(queue).accepted, 40));
	cr_expect(eq(u64, stats().unsent, 0));
}

Test(failures, a_failure_makes_the_descriptor_readable)
{
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	pass_packets(1);
	cr_expect(ne(sz, fake_unread(), 0));
}

static enum mnfq_verdict drop_and_rewrite(struct mnfq_packet *packet, void *data)
{
	static uint8_t big[65000];
	uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	if (id == 2 || id == 3 || id == 6) /* two of them fill the outbox */
		cr_expect(eq(int, mnfq_packet_set_payload(packet, big, sizeof(big)), 0));
	return id == 1 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/* While the verdicts for 1 to 3 are lost, 4 and 5 are about to become a batch. */
Test(failures, a_run_that_is_open_does_not_reach_over_lost_verdicts)
{
	rebind_seven(drop_and_rewrite, MNFQ_STOP);
	enqueue_packets(6);
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 6));
	expect_each_verdict(1, 5, MNFQ_STOP);
	expect_verdict(6, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().unsent, 5));
}
