// SPDX-License-Identifier: MIT
/*
 * The walk of a packet, and what can go wrong on it, with a kernel of our own behind the system
 * calls (support/fake-kernel.c).
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>

#include "internal.h"
#include "support/fake-kernel.h"
#include "support/message.h"

static struct mnfq_socket *sock;
static struct mnfq_queue *queue;
static struct message msg;
static unsigned int seen;
static uint32_t last_id;

static enum mnfq_verdict accept_all(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	last_id = mnfq_packet_get_id(packet);
	return MNFQ_ACCEPT;
}

static void open_socket(void)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .timeout_ms = 50 };

	fake_reset();
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
}

static void bind_default(mnfq_callback callback, enum mnfq_verdict fallback)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .default_verdict = fallback };

	cr_assert(eq(int, mnfq_queue_bind(&queue, sock, 7, &options, callback, NULL), 0));
}

static void setup(void)
{
	open_socket();
	bind_default(accept_all, MNFQ_DROP);
}

static void teardown(void)
{
	sock = mnfq_socket_close(sock);
	cr_expect(eq(ptr, fake_queue(7), NULL), "the queue is unbound at close");
	fake_reset();
}

static struct mnfq_stats stats(void)
{
	struct mnfq_stats now = { .size = sizeof(now) };

	cr_assert(eq(int, mnfq_socket_get_stats(sock, &now), 0));
	return now;
}

static void expect_verdict(uint32_t id, uint32_t verdict)
{
	cr_expect(eq(u32, fake_queue(7)->decisions[id].verdict, verdict), "packet %u", id);
}

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

Test(rounds, nobody_misses_a_lost_answer_of_a_release)
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

Test(rounds, packets_before_an_acknowledgement_are_kept)
{
	struct mnfq_queue *other;

	fake.packets_on_bind = 5;
	fake_packet(7, 60, true);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	cr_expect(eq(u32, seen, 0), "no callback runs under the feet of bind");
	cr_expect(eq(sz, fake_unread(), 1), "the descriptor is readable for an event loop");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 6));
	cr_expect(eq(u32, fake_queued(7) + fake_queued(8), 0));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().unclaimed, 0));
}

Test(rounds, a_lost_acknowledgement_is_asked_for_again)
{
	struct mnfq_queue *other;

	fake.lose_answers = 2;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
}

Test(rounds, no_acknowledgement_at_all_ends_by_the_deadline)
{
	struct mnfq_queue *other = NULL;

	fake.lose_answers = UINT32_MAX;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), -ETIMEDOUT));
	cr_expect(eq(ptr, other, NULL));
	cr_expect(strstr(mnfq_socket_get_error(sock), "no answer") != NULL);
	cr_expect(eq(ptr, fake_queue(8), NULL), "nothing stays bound");
	fake.lose_answers = 0;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
}

Test(rounds, a_queue_of_the_former_reader_is_taken_over)
{
	/* The former reader left packet 1 undecided, and packet 2 in the receive buffer. */
	mnfq_i_request_send(sock, 9, NFQNL_CFG_CMD_BIND);
	fake_packet(9, 60, false);
	fake_packet(9, 60, true);
	cr_assert(eq(int, mnfq_queue_bind(&queue, sock, 9, NULL, accept_all, NULL), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u32, fake_queue(9)->decisions[1].verdict, MNFQ_DROP));
	cr_expect(eq(u32, fake_queue(9)->decisions[2].verdict, MNFQ_ACCEPT));
}

Test(rounds, settings_reach_the_kernel)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .copy_mode = MNFQ_COPY_PACKET,
					      .copy_range = 128,
					      .max_len = 4096,
					      .flags = MNFQ_QUEUE_FAIL_OPEN,
					      .flags_mask = MNFQ_QUEUE_FAIL_OPEN };

	cr_expect(eq(u32, fake_queue(7)->copy_range, 65531));
	cr_expect(eq(u8, fake_queue(7)->copy_mode, NFQNL_COPY_PACKET));
	cr_expect(eq(u32, fake_queue(7)->flags, MNFQ_QUEUE_GSO));
	cr_expect(eq(u32, fake_queue(7)->max_len, 1024));
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->copy_range, 128));
	cr_expect(eq(u32, fake_queue(7)->flags, MNFQ_QUEUE_GSO | MNFQ_QUEUE_FAIL_OPEN));
	cr_expect(eq(u32, fake_queue(7)->max_len, 4096));
	options.flags_mask |= MNFQ_QUEUE_GSO;
	options.copy_mode = MNFQ_COPY_META;
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->flags, MNFQ_QUEUE_FAIL_OPEN));
	cr_expect(eq(u8, fake_queue(7)->copy_mode, NFQNL_COPY_META));
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	cr_assert(eq(int, mnfq_queue_get_options(queue, &options), 0));
	cr_expect(eq(u32, options.copy_range, 0));
	cr_expect(eq(u32, options.copy_mode, MNFQ_COPY_META));
	cr_expect(eq(u32, options.flags, MNFQ_QUEUE_FAIL_OPEN));
	cr_expect(eq(u32, options.flags_mask, MNFQ_QUEUE_FLAGS));
	cr_expect(eq(u32, options.max_len, 4096));
}

Test(rounds, wrong_options_change_nothing)
{
	struct {
		struct mnfq_queue_options options;
		uint64_t future;
	} wrong[] = {
		{ { .size = 1 }, 0 },
		{ { .size = sizeof(wrong[0]) }, 1 },
		{ { .size = sizeof(wrong[0].options), .copy_mode = 4 }, 0 },
		{ { .size = sizeof(wrong[0].options), .copy_range = 65532 }, 0 },
		{ { .size = sizeof(wrong[0].options), .flags = 0x20, .flags_mask = 0x20 }, 0 },
		{ { .size = sizeof(wrong[0].options), .flags = MNFQ_QUEUE_GSO }, 0 },
		{ { .size = sizeof(wrong[0].options), .default_verdict = 2 }, 0 },
		{ { .size = sizeof(wrong[0].options), .default_verdict = MNFQ_DEFER }, 0 },
	};
	struct mnfq_queue *other = NULL;
	unsigned int sends = fake.sends;
	size_t i;
	int err;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err = mnfq_queue_bind(&other, sock, 8, &wrong[i].options, accept_all, NULL);
		cr_expect(eq(int, err, i == 1 ? -E2BIG : -EINVAL), "case %zu", i);
		cr_expect(mnfq_socket_get_error(sock)[0] != 0);
	}
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 65536, NULL, accept_all, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 7, NULL, accept_all, NULL), -EEXIST));
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, NULL, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_queue_bind(NULL, sock, 8, NULL, accept_all, NULL), -EINVAL));
	cr_expect(eq(u32, fake.sends, sends));
	cr_expect(eq(ptr, other, NULL));
	/* A struct of the future whose unknown part is zero is fine. */
	wrong[1].future = 0;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, &wrong[1].options, accept_all, NULL),
		     0));
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
	fake.send_errors = 1;
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

	mnfq_queue_unbind(queue);
	bind_default(misbehave, MNFQ_REPEAT);
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
	mnfq_queue_unbind(queue);
	bind_default(reenter, MNFQ_DROP);
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

Test(rounds, a_callback_may_unbind_its_queue)
{
	unsigned int i;

	mnfq_queue_unbind(queue);
	bind_default(unbind_at_two, MNFQ_STOP);
	for (i = 0; i < 4; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(u32, seen, 2));
	cr_expect(not(fake.queues[0].bound));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[4].verdict, MNFQ_STOP));
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

	mnfq_queue_unbind(queue);
	bind_default(close_at_two, MNFQ_STOP);
	for (i = 0; i < 4; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	sock = NULL;
	cr_expect(eq(u32, seen, 2));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[4].verdict, MNFQ_STOP));
}

Test(rounds, what_a_former_queue_left_is_not_its_successors)
{
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	queue = mnfq_queue_unbind(queue);
	bind_default(accept_all, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, last_id, 1));
	cr_expect(eq(u64, stats().lost, 0));
}

static enum mnfq_verdict bind_seven(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	if (!queue)
		bind_default(accept_all, MNFQ_DROP);
	return MNFQ_ACCEPT;
}

Test(rounds, a_queue_born_in_a_round_takes_no_part_in_it)
{
	struct mnfq_queue *other;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, bind_seven, NULL), 0));
	queue = mnfq_queue_unbind(queue);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	fake_packet(8, 60, true);
	message_packet(&msg, 7, 5, 60); /* from a queue 7 that was */
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().unclaimed, 1));
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

/* ---- retained packets ---- */

static struct mnfq_packet *held[FAKE_IDS];
static unsigned int n_held;

static enum mnfq_verdict hold(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet *again;

	(void)data;
	cr_expect(eq(int, mnfq_packet_retain(&held[n_held], packet), 0));
	cr_expect(eq(int, mnfq_packet_retain(&again, packet), -EEXIST));
	n_held++;
	return MNFQ_DEFER;
}

static void hold_all(unsigned int n, enum mnfq_verdict fallback)
{
	unsigned int i;

	mnfq_queue_unbind(queue);
	bind_default(hold, fallback);
	for (i = 0; i < n; i++)
		fake_packet(7, 60, true);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), (int)n));
	cr_assert(eq(u32, fake_queued(7), n));
}

Test(rounds, a_retained_packet_is_decided_later)
{
	uint8_t payload[100] = { 1 };
	size_t len;

	hold_all(4, MNFQ_DROP);
	cr_expect(eq(u64, stats().held, 4));
	cr_expect(eq(u64, stats().deferred, 4));
	mnfq_packet_set_mark(held[2], 5);
	cr_expect(eq(int, mnfq_packet_set_payload(held[2], payload, sizeof(payload)), 0));
	cr_expect(eq(int, mnfq_packet_verdict(held[2], MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_packet_verdict(held[2], MNFQ_ACCEPT), -EALREADY));
	cr_expect(eq(int, mnfq_packet_set_payload(held[2], payload, 1), -EALREADY));
	cr_expect(eq(u32, mnfq_packet_get_payload(held[2], &len)[0], 1));
	cr_expect(fake_queue(7)->decisions[3].has_mark);
	cr_expect(eq(sz, fake_queue(7)->decisions[3].payload_len, sizeof(payload)));

	cr_expect(eq(int, mnfq_packet_verdict(held[0], 99), -EINVAL));
	cr_expect(eq(int, mnfq_packet_verdict(held[0], 2), -EINVAL));
	cr_expect(eq(int, mnfq_packet_verdict(held[0], MNFQ_DEFER), -EINVAL));
	expect_verdict(1, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_packet_verdict(held[0], MNFQ_REPEAT), 0));
	held[1] = mnfq_packet_free(held[1]);
	expect_verdict(1, MNFQ_REPEAT);
	expect_verdict(2, MNFQ_DROP);
	expect_verdict(4, FAKE_UNDECIDED);
	cr_expect(eq(u64, stats().held, 1));
	cr_expect(eq(u64, stats().defaulted, 1));
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[2]);
	mnfq_packet_free(held[3]);
	cr_expect(eq(u32, fake_queued(7), 0));
}

Test(rounds, unbinding_decides_what_is_held)
{
	hold_all(3, MNFQ_ACCEPT);
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_ACCEPT));
	cr_expect(eq(int, mnfq_packet_verdict(held[0], MNFQ_DROP), -ENODEV));
	cr_expect(eq(ptr, mnfq_packet_get_queue(held[0]), NULL));
	cr_expect(eq(u32, mnfq_packet_get_id(held[1]), 2));
	cr_expect(eq(u64, stats().held, 0));
	cr_expect(eq(u64, stats().defaulted, 3));
	cr_expect(eq(u64, stats().accepted, 3));
	mnfq_packet_free(held[0]);
	sock = mnfq_socket_close(sock);
	mnfq_packet_free(held[1]);
	cr_expect(eq(int, mnfq_packet_verdict(held[2], MNFQ_DROP), -ENODEV));
	mnfq_packet_free(held[2]);
}

static enum mnfq_verdict copy_and_accept(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_expect(eq(int, mnfq_packet_retain(&held[n_held++], packet), 0));
	return MNFQ_ACCEPT;
}

Test(rounds, a_copy_of_a_decided_packet_can_only_be_read)
{
	mnfq_queue_unbind(queue);
	bind_default(copy_and_accept, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_packet_verdict(held[0], MNFQ_DROP), -EALREADY));
	cr_expect(eq(u64, stats().held, 0));
	mnfq_packet_free(held[0]);
	cr_expect(eq(u64, stats().defaulted, 0));
}

static enum mnfq_verdict copy_and_free(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet *copy;

	(void)data;
	cr_expect(eq(int, mnfq_packet_retain(&copy, packet), 0));
	mnfq_packet_free(copy);
	return MNFQ_ACCEPT; /* too late: freeing decided it */
}

Test(rounds, freeing_the_copy_in_its_callback_decides)
{
	mnfq_queue_unbind(queue);
	bind_default(copy_and_free, MNFQ_STOP);
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_STOP);
	cr_expect(eq(u64, stats().stopped, 2));
	cr_expect(eq(u64, stats().accepted, 0));
}

Test(rounds, a_gap_above_a_held_packet_waits_for_it)
{
	hold_all(1, MNFQ_STOP);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, FAKE_UNDECIDED);
	expect_verdict(2, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_packet_verdict(held[0], MNFQ_ACCEPT), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, FAKE_UNDECIDED);
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[1]);
}

static enum mnfq_verdict hold_once(struct mnfq_packet *packet, void *data)
{
	(void)data;
	return mnfq_packet_retain(&held[0], packet) < 0 ? MNFQ_DROP : MNFQ_DEFER;
}

/* Opens, binds, holds a packet, edits and decides it. Returns the first error. */
static int whole_life(struct mnfq_socket **socket)
{
	struct mnfq_queue *bound;
	int err = mnfq_socket_open(socket, NULL);

	if (err < 0)
		return err;
	fake.packets_on_bind = 1;
	err = mnfq_queue_bind(&bound, *socket, 7, NULL, hold_once, NULL);
	if (err < 0)
		return err;
	err = mnfq_socket_dispatch(*socket, 0);
	if (err < 0 || !held[0])
		return err < 0 ? err : -ENOMEM;
	err = mnfq_packet_set_payload(held[0], "new", 3);
	return err < 0 ? err : mnfq_packet_verdict(held[0], MNFQ_ACCEPT);
}

Test(rounds, running_out_of_memory_is_told_and_survived)
{
	unsigned int nth, failures = 0;
	int err = -1;

	mnfq_queue_unbind(queue);
	mnfq_socket_close(sock);
	for (nth = 1; err != 0; nth++) {
		cr_assert(le(u32, nth, 100));
		fake_reset();
		fake.fail_allocation = nth;
		held[0] = NULL;
		sock = NULL;
		err = whole_life(&sock);
		cr_expect(err == 0 || err == -ENOMEM, "allocation %u: %d", nth, err);
		failures += err < 0;
		fake.fail_allocation = 0;
		mnfq_packet_free(held[0]);
		if (sock)
			mnfq_socket_close(sock);
		cr_expect(not(fake.queues[0].bound));
	}
	cr_expect(ge(u32, failures, 6));
	setup();
}

/*
 * Against a model: packets come, are taken by others, lost, held and decided in random order, over
 * many rounds. Each must end with the verdict that it was given, or the default if nobody saw it.
 */
static uint32_t seed, expected[FAKE_IDS];

static uint32_t random32(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void decide_one(void)
{
	unsigned int i = random32() % n_held;
	struct mnfq_packet *packet = held[i];
	uint32_t id = mnfq_packet_get_id(packet);

	if (random32() % 8 == 0) {
		expected[id] = MNFQ_STOP;
	} else {
		expected[id] = random32() % 2;
		cr_assert(eq(int, mnfq_packet_verdict(packet, expected[id]), 0));
	}
	held[i] = held[--n_held];
	mnfq_packet_free(packet);
}

static enum mnfq_verdict play(struct mnfq_packet *packet, void *data)
{
	uint32_t id = mnfq_packet_get_id(packet), choice = random32() % 64;

	(void)data;
	if (n_held > 0 && choice < 8)
		decide_one();
	if (choice == 20) {
		cr_assert(eq(int, mnfq_packet_retain(&held[n_held], packet), 0));
		n_held++;
		return MNFQ_DEFER;
	}
	if (choice == 21)
		mnfq_packet_set_mark(packet, id);
	if (choice == 22)
		cr_assert(eq(int, mnfq_packet_set_payload(packet, "new", 3), 0));
	expected[id] = choice == 23 ? MNFQ_DROP : choice == 24 ? MNFQ_REPEAT : MNFQ_ACCEPT;
	return expected[id];
}

static void play_a_game(uint32_t new_seed)
{
	uint32_t id, round, i;

	seed = new_seed;
	n_held = 0;
	bind_default(play, MNFQ_STOP);
	for (round = 0; round < 200; round++) {
		for (i = random32() % 80; i > 0; i--) {
			uint32_t choice = random32() % 100;

			expected[fake_queue(7)->next_id] =
				choice < 98 ? FAKE_UNDECIDED : MNFQ_STOP;
			if (choice == 99)
				fake_overrun(7);
			else
				fake_packet(7, 40, choice < 98);
		}
		while (mnfq_socket_dispatch(sock, 0) > 0)
			;
		while (n_held > 0 && random32() % 4 == 0)
			decide_one();
	}
	/* Something to show the last gap by, and the end of all that is held. */
	expected[fake_packet(7, 40, true)] = FAKE_UNDECIDED;
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	while (n_held > 0)
		decide_one();
	cr_assert(eq(u32, fake_queued(7), 0), "seed %u", new_seed);
	for (id = 1; id < fake_queue(7)->next_id; id++) {
		uint32_t is = fake_queue(7)->decisions[id].verdict;

		if (is != FAKE_UNDECIDED) /* an overrun was never there */
			cr_assert(eq(u32, is, expected[id]), "seed %u packet %u", new_seed, id);
	}
	cr_assert(eq(u64, stats().refused, 0));
	queue = mnfq_queue_unbind(queue);
}

Test(rounds, every_packet_ends_with_its_own_verdict)
{
	uint32_t game;

	mnfq_queue_unbind(queue);
	for (game = 1; game <= 50; game++)
		play_a_game(game);
	cr_expect(ge(u32, fake.batch_verdicts, 1000));
	cr_expect(ge(u64, stats().lost, 1000));
	cr_expect(ge(u64, stats().deferred, 1000));
}
