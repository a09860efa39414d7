// SPDX-License-Identifier: MIT
/*
 * The walk of a packet, and what can go wrong on it.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "support/fixture.h"

TestSuite(rounds, .init = setup, .fini = teardown);

Test(rounds, a_batch_costs_two_system_calls)
{
	unsigned int i, sends = fake.sends;

	for (i = 0; i < 64; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 64));
	cr_expect(eq(u32, fake.sends - sends, 1));
	cr_expect(eq(u32, fake.batch_verdicts, 1));
	cr_expect(eq(u32, fake_queued(7), 0));
	cr_expect(eq(u64, stats().accepted, 64));
	cr_expect(eq(u64, stats().bytes, 64 * 60));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

Test(rounds, a_gap_is_counted_and_decided_by_default)
{
	fake_packet(7, 60, true);
	fake_packet(7, 60, false); /* taken by somebody else */
	fake_overrun(7);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u64, stats().lost, 2));
	cr_expect(eq(u64, stats().refused, 0));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_DROP);
	expect_verdict(3, FAKE_UNDECIDED);
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(eq(u32, fake_queued(7), 0));
}

Test(rounds, what_was_lost_is_not_refused_as_well)
{
	fake_overrun(7);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().lost, 1));
	cr_expect(eq(u64, stats().refused, 0), "ENOENT for what was lost is no news");
}

Test(rounds, what_is_not_from_the_kernel_is_forged)
{
	message_packet(&msg, 7, 1, 60);
	fake_datagram(msg.bytes, msg.len, 4711);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u32, seen, 0));
	cr_expect(eq(u64, stats().forged, 1));
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
}

Test(rounds, malformed_datagrams_are_counted)
{
	message_packet(&msg, 7, 1, 60);
	fake_datagram(msg.bytes, 0, 0);
	fake_datagram(msg.bytes, 15, 0);
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = 15;
	fake_datagram(msg.bytes, msg.len, 0);
	message_begin(&msg, 7);
	fake_datagram(msg.bytes, msg.len, 0);
	((struct nlmsghdr *)msg.bytes)->nlmsg_type = NLMSG_ERROR;
	fake_datagram(msg.bytes, msg.len, 0);
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = 0x80000010;
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().malformed, 6));
	cr_expect(eq(u32, seen, 0));
}

Test(rounds, a_cut_packet_is_decided_by_default)
{
	fake_packet(7, 60, false);
	message_packet(&msg, 7, 1, 60);
	fake_datagram(msg.bytes, msg.len - 20, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, seen, 0));
	cr_expect(eq(u64, stats().truncated, 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().defaulted, 1));
	expect_verdict(1, MNFQ_DROP);
}

Test(rounds, packets_of_other_queues_are_unclaimed)
{
	message_packet(&msg, 8, 1, 60);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().unclaimed, 1));
}

Test(rounds, refused_verdicts_are_counted_and_told)
{
	fake.verdict_error = -ENOENT;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0), "a flushed packet is normal life");
	cr_expect(eq(u64, stats().refused, 1));

	fake.verdict_error = -ENODEV;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENODEV));
	cr_expect(eq(u64, stats().refused, 2));

	fake.verdict_error = -EPERM;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	fake.verdict_error = 0;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1), "the next verdict works");
}

Test(rounds, a_want_of_memory_is_waited_for)
{
	fake.send_error = ENOBUFS;
	fake.send_errors = 3;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_ACCEPT);
}

Test(rounds, a_send_that_fails_for_good_is_told)
{
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

Test(rounds, stop_ends_the_next_wait)
{
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

static enum mnfq_verdict misbehave(struct mnfq_packet *packet, void *data)
{
	static const uint32_t wrong[] = { 2, 99, MNFQ_DEFER, UINT32_MAX, 0x10001 };

	(void)data;
	return (enum mnfq_verdict)wrong[mnfq_packet_get_id(packet) % 5];
}

Test(rounds, what_is_no_verdict_becomes_the_default)
{
	unsigned int i;

	rebind_seven(misbehave, MNFQ_REPEAT);
	for (i = 0; i < 5; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 5));
	for (i = 1; i <= 5; i++)
		expect_verdict(i, MNFQ_REPEAT);
	cr_expect(eq(u64, stats().invalid, 5));
	cr_expect(eq(u64, stats().defaulted, 5));
}

static enum mnfq_verdict reenter(struct mnfq_packet *packet, void *data)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };

	(void)data, (void)packet;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EBUSY));
	cr_expect(eq(int, mnfq_socket_feed(sock, &msg, 1, (void *)&from, sizeof(from)), -EBUSY));
	return MNFQ_ACCEPT;
}

Test(rounds, a_callback_cannot_dispatch)
{
	rebind_seven(reenter, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_ACCEPT);
}

static enum mnfq_verdict unbind_at_two(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	if (mnfq_packet_get_id(packet) == 2)
		mnfq_queue_unbind(mnfq_packet_get_queue(packet));
	return MNFQ_ACCEPT;
}

static void configure_default(enum mnfq_verdict fallback)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .default_verdict = fallback };

	cr_expect(eq(int, mnfq_queue_configure(queue, &options), 0));
}

Test(rounds, a_callback_may_unbind_its_queue)
{
	unsigned int i;

	rebind_seven(unbind_at_two, MNFQ_STOP);
	for (i = 0; i < 4; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u32, seen, 2));
	cr_expect(not(fake.queues[0].bound));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[4].verdict, MNFQ_STOP));
	cr_expect(eq(u64, stats().packets, 2));
	cr_expect(eq(u64, stats().defaulted, 2));
	cr_expect(eq(u64, stats().stopped, 2));
	cr_expect(eq(u64, stats().unclaimed, 0));
}

/* ---- what waits at the end ---- */

static void end_with_unread(enum mnfq_verdict fallback)
{
	uint32_t id;

	rebind_seven(accept_all, fallback);
	fake_packet(7, 60, true);
	configure_default(fallback); /* the packet is stashed */
	for (id = 2; id <= 5; id++)
		fake_packet(7, 60, true);
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u64, stats().packets, 0));
	cr_expect(eq(u64, stats().defaulted, 5));
	cr_expect(eq(u64, fallback ? stats().accepted : stats().dropped, 5));
	for (id = 1; fallback && id <= 5; id++)
		cr_expect(eq(u32, fake.queues[0].decisions[id].verdict, fallback));
	cr_expect(eq(u32, fake.queues[0].max_len, 0), "nothing could come in between");
}

Test(rounds, what_nobody_read_is_counted_when_its_queue_ends)
{
	end_with_unread(MNFQ_DROP);
}

Test(rounds, what_nobody_read_gets_the_default_verdict)
{
	end_with_unread(MNFQ_ACCEPT);
}

static enum mnfq_verdict close_at_two(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	if (mnfq_packet_get_id(packet) == 2)
		mnfq_socket_close(sock);
	return MNFQ_ACCEPT;
}

Test(rounds, a_callback_may_close_its_socket)
{
	unsigned int i;

	rebind_seven(close_at_two, MNFQ_STOP);
	for (i = 0; i < 4; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	sock = NULL;
	cr_expect(eq(u32, seen, 2));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[4].verdict, MNFQ_STOP));
}

Test(rounds, feeding_is_receiving)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sockaddr_nl other = { .nl_family = AF_NETLINK, .nl_pid = 1 };
	uint8_t *odd = malloc(msg.len + sizeof(msg.bytes) + 1);
	uint32_t id = fake_packet(7, 60, false);

	message_packet(&msg, 7, id, 60);
	memcpy(odd + 1, msg.bytes, msg.len);
	cr_expect(eq(int, mnfq_socket_feed(sock, odd + 1, msg.len, (void *)&other, sizeof(other)),
		     0));
	cr_expect(eq(int, mnfq_socket_feed(sock, odd + 1, msg.len, NULL, 0), 0));
	cr_expect(eq(u64, stats().forged, 2));
	cr_expect(eq(int,
		     mnfq_socket_feed(sock, odd + 1, msg.len, (void *)&kernel, sizeof(kernel)),
		     1));
	expect_verdict(id, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_socket_feed(sock, NULL, 1, (void *)&kernel, sizeof(kernel)),
		     -EINVAL));
	free(odd);
}

static enum mnfq_verdict drop_two(struct mnfq_packet *packet, void *data)
{
	(void)data;
	return mnfq_packet_get_id(packet) <= 2 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/* Two verdicts are lost; two more that could be a batch must not reach over their packets. */
static void lose_two_verdicts(void)
{
	rebind_seven(drop_two, MNFQ_STOP);
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
}

static void expect_default_for_two(void)
{
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, MNFQ_ACCEPT);
	expect_verdict(4, MNFQ_ACCEPT);
}

Test(rounds, verdicts_that_could_not_be_sent_become_the_default)
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

Test(rounds, as_long_as_nothing_can_be_sent_nothing_is_overtaken)
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

Test(rounds, verdicts_refused_for_want_of_a_right_become_the_default)
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
Test(rounds, what_was_refused_is_tried_again_after_a_pause)
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
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_STOP);
}

/* As after setuid(): the loop neither spins nor fills a log, and the timeout holds. */
Test(rounds, a_lasting_failure_is_reported_once)
{
	unsigned int i, failures = 0, polls = fake.polls;
	int64_t before = fake.clock_ms;
	int n;

	fake.no_right = true;
	fake_packet(7, 60, true);
	for (i = 0; i < 20; i++) {
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
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM), "it worked meanwhile");
	fake.no_right = false;
}

Test(rounds, a_queue_that_is_lost_does_not_disturb_another)
{
	struct mnfq_queue *other;
	unsigned int i, failures = 0;
	int n;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_queue(8)->error = -EPERM;
	fake_packet(8, 60, true);
	for (i = 0; i < 100; i++) {
		fake_packet(7, 60, true);
		n = mnfq_socket_dispatch(sock, 10);
		failures += n < 0;
	}
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, failures, 1));
	for (i = 1; i <= 100; i++)
		expect_verdict(i, MNFQ_ACCEPT);
}

Test(rounds, each_queue_reports_its_own_failure)
{
	struct mnfq_queue *other;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	message_error(&msg, -ENODEV, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, other->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENODEV));
	cr_expect(strstr(mnfq_socket_get_error(sock), "queue 8") != NULL);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	cr_expect(strstr(mnfq_socket_get_error(sock), "queue 7") != NULL);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

/* Somebody steals the kernel's answers, the one to a question of ours, too. */
Test(rounds, an_explanation_does_not_wait)
{
	int64_t before = fake.clock_ms;

	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	fake.lose_answers = ~0u;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	cr_expect(eq(i64, fake.clock_ms, before));
}

/* The kernel answers one message of those that it refused. */
Test(rounds, a_refusal_is_for_all_queues)
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
Test(rounds, a_run_that_is_open_does_not_reach_over_refused_verdicts)
{
	uint32_t id;

	rebind_seven(drop_two, MNFQ_STOP);
	for (id = 1; id <= 4; id++)
		fake_packet(7, 60, id != 1);
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	queue->next_id = 2; /* 1 was seen and dropped */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 3));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_DROP);
	expect_verdict(3, MNFQ_ACCEPT);
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(eq(u32, fake_queued(7), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
}

/* The outbox holds decisions of both queues, and an open run of each. */
Test(rounds, each_queue_counts_what_could_not_be_sent)
{
	struct mnfq_queue *other;
	unsigned int i;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	for (i = 0; i < 5; i++)
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

/* ---- somebody who shares the socket shrinks its send buffer ---- */

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

Test(rounds, what_has_become_too_large_is_sent_in_parts)
{
	uint32_t id;

	rebind_seven(rewrite_all, MNFQ_STOP);
	fake.on_fill = shrink;
	for (id = 1; id <= 64; id++)
		if (id == 20)
			fake_overrun(7);
		else
			fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 63));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0), "no failure");
	for (id = 1; id <= 64; id++)
		if (id != 20)
			expect_verdict(id, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().unsent, 0));
	cr_expect(eq(u64, stats().rewritten, 63));
}

static enum mnfq_verdict rewrite_twenty(struct mnfq_packet *packet, void *data)
{
	return mnfq_packet_get_id(packet) % 20 ? MNFQ_ACCEPT : rewrite_all(packet, data);
}

Test(rounds, what_is_too_large_by_itself_is_decided_by_default)
{
	uint32_t id;

	rebind_seven(rewrite_twenty, MNFQ_STOP);
	shrink();
	sock->send_max = mnfq_i_get_send_max(sock->fd);
	for (id = 1; id <= 40; id++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 40));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	for (id = 1; id <= 40; id++)
		expect_verdict(id, id == 20 ? MNFQ_STOP : MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().unsent, 1));
	cr_expect(eq(u64, stats().defaulted, 1));
	cr_expect(eq(u64, stats().accepted, 39));
	cr_expect(eq(u64, stats().rewritten, 1));
	fake.send_buffer = 0;
	for (id = 41; id <= 60; id++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 20), "and later ones are sent");
	cr_expect(eq(u64, stats().rewritten, 2));
}

/* ---- a queue that is lost, beside one that is not ---- */

Test(rounds, a_refusal_for_one_queue_leaves_the_verdicts_of_another)
{
	struct mnfq_queue *other;
	uint32_t id;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_queue(8)->error = -EPERM; /* bound by another socket */
	for (id = 1; id <= 40; id++) {
		fake_packet(7, 60, true);
		if (id % 10 != 5)
			continue;
		message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), id, other->tag);
		fake_datagram(msg.bytes, msg.len, 0);
	}
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 40));
	for (id = 1; id <= 40; id++)
		expect_verdict(id, MNFQ_ACCEPT);
	cr_expect(eq(u64, queue_stats(queue).accepted, 40));
	cr_expect(eq(u64, stats().unsent, 0));
}

Test(rounds, a_failure_makes_the_descriptor_readable)
{
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(ne(sz, fake_unread(), 0));
}

Test(rounds, errors_for_others_on_the_descriptor_are_not_ours)
{
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, 7);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().refused, 0));
}

static enum mnfq_verdict stop_and_dispatch(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EBUSY));
	return MNFQ_ACCEPT;
}

Test(rounds, misuse_in_a_callback_does_not_eat_the_stop)
{
	rebind_seven(stop_and_dispatch, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
}

static enum mnfq_verdict configure_and_go_on(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	if (++seen < 1000)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	return MNFQ_ACCEPT;
}

/* Each callback stashes the next packet. */
Test(rounds, a_round_ends_although_callbacks_stash_more)
{
	rebind_seven(configure_and_go_on, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(le(int, mnfq_socket_dispatch(sock, 0), 64));
	cr_expect(ne(sz, fake_unread(), 0), "the descriptor is readable for the rest");
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, seen, 1000));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().refused, 0));
}

static enum mnfq_verdict configure_at_one(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_id(packet) == 1)
		cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	return MNFQ_ACCEPT;
}

/* The caller took 1 to 3 at once; the library takes 4 while it handles 1. */
Test(rounds, fed_datagrams_keep_their_order)
{
	uint32_t id;

	rebind_seven(configure_at_one, MNFQ_DROP);
	for (id = 1; id <= 3; id++)
		fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	for (id = 1; id <= 3; id++) {
		message_packet(&msg, 7, id, 60);
		cr_expect(eq(int, feed(), 1));
	}
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	for (id = 1; id <= 4; id++)
		expect_verdict(id, MNFQ_ACCEPT);
}

static enum mnfq_verdict unbind_at_once(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	seen++;
	queue = mnfq_queue_unbind(queue);
	return MNFQ_ACCEPT;
}

Test(rounds, two_packets_in_a_datagram_are_two_packets)
{
	static struct message second;

	rebind_seven(unbind_at_once, MNFQ_DROP);
	fake_packet(7, 60, false);
	message_packet(&msg, 7, 1, 60);
	message_packet(&second, 7, 2, 60);
	memcpy(msg.bytes + msg.len, second.bytes, second.len);
	msg.len += second.len;
	cr_expect(eq(int, feed(), 1));
	cr_expect(eq(u32, seen, 1), "the queue is gone before the second");
	cr_expect(eq(u64, stats().unclaimed, 0));
	cr_expect(eq(u64, stats().defaulted, 1));
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
Test(rounds, a_run_that_is_open_does_not_reach_over_lost_verdicts)
{
	uint32_t id;

	rebind_seven(drop_and_rewrite, MNFQ_STOP);
	for (id = 1; id <= 6; id++)
		fake_packet(7, 60, true);
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2; /* in parts, too */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 6));
	for (id = 1; id <= 5; id++)
		expect_verdict(id, MNFQ_STOP);
	expect_verdict(6, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().unsent, 5));
}

static enum mnfq_verdict configure_at_first(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_queue(packet) == queue && mnfq_packet_get_id(packet) == 1)
		cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	return MNFQ_ACCEPT;
}

static int feed_packet(uint16_t num, uint32_t id)
{
	message_packet(&msg, num, id, 60);
	return feed();
}

/* The caller took 7:1, 8:1 and 7:2; the library took 7:3. */
Test(rounds, fed_datagrams_keep_their_order_across_queues)
{
	struct mnfq_queue *other;
	uint32_t id;

	rebind_seven(configure_at_first, MNFQ_DROP);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, configure_at_first, NULL), 0));
	fake_packet(7, 60, false);
	fake_packet(8, 60, false);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	cr_expect(eq(int, feed_packet(7, 1), 1));
	cr_expect(eq(int, feed_packet(8, 1), 1));
	cr_expect(eq(int, feed_packet(7, 2), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	for (id = 1; id <= 3; id++)
		expect_verdict(id, MNFQ_ACCEPT);
}

/* Feeding what is no packet, such as the answer that woke the caller, serves the stash. */
Test(rounds, feeding_is_bounded_although_callbacks_stash_more)
{
	rebind_seven(configure_and_go_on, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_queue_configure(queue, NULL), 0));
	message_error(&msg, 0, MNFQ_I_MSG(NFQNL_MSG_CONFIG), 0, 0);
	cr_expect(eq(int, feed(), 64));
	cr_expect(ne(sz, fake_unread(), 0));
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, seen, 1000));
	cr_expect(eq(u64, stats().lost, 0));
}

static enum mnfq_verdict mark_some(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	if (seen % 10 == 7)
		mnfq_packet_set_mark(packet, seen);
	return seen % 10 == 3 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/* And there are two system calls for a batch, not for a packet. */
Test(rounds, nothing_is_allocated_for_a_packet)
{
	unsigned int i, allocations, sends;

	rebind_seven(mark_some, MNFQ_DROP);
	allocations = fake.allocations;
	sends = fake.sends;
	seen = 0;
	for (i = 0; i < 640; i++)
		fake_packet(7, i % 2 ? 60 : 60000, true);
	while (seen < 640)
		cr_assert(mnfq_socket_dispatch(sock, 0) > 0);
	cr_expect(eq(uint, fake.allocations, allocations));
	cr_expect(eq(uint, fake.sends, sends + 10));
	cr_expect(eq(uint, fake_queued(7), 0));
}

/* ---- the kernel's own count of what did not fit ---- */

Test(rounds, overruns_show_without_a_later_packet)
{
	fake_packet(7, 60, true);
	fake_overrun(7);
	fake_overrun(7);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().overruns, 2));
	fake.drops = 1; /* it has wrapped around since */
	cr_expect(eq(u64, stats().overruns, 2 + UINT64_C(0xffffffff)));
}

Test(rounds, overruns_from_before_a_socket_was_ours_are_not_counted)
{
	int fd = mnfq_socket_release(sock);

	fake.drops = 1000;
	cr_assert(eq(int, mnfq_socket_adopt(&sock, fd, NULL), 0));
	fake.drops = 1003;
	cr_expect(eq(u64, stats().overruns, 3));
	bind_seven(accept_all, MNFQ_DROP);
}

Test(rounds, overruns_that_the_kernel_does_not_tell_are_unknown)
{
	fake.no_meminfo = true;
	cr_expect(eq(u64, stats().overruns, MNFQ_UNKNOWN));
	cr_expect(eq(u64, stats().overruns, MNFQ_UNKNOWN));
}
