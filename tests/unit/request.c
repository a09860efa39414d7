// SPDX-License-Identifier: MIT
/*
 * Requests to the kernel: binding, configuring, unbinding, and answers that do not come.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "request.h"
#include "support/fixture.h"

TestSuite(requests, .init = setup, .fini = teardown);

Test(requests, packets_before_an_acknowledgement_are_not_lost)
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

Test(requests, a_lost_acknowledgement_is_asked_for_again)
{
	struct mnfq_queue *other;

	fake.lose_answers = 2;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
}

Test(requests, no_acknowledgement_at_all_ends_by_the_deadline)
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

/* The machine is slow, and the answer was not stolen. */
Test(requests, an_answer_is_read_however_long_sending_took)
{
	struct mnfq_queue *other;

	fake.config_ms = 51;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	cr_expect_str_eq(mnfq_socket_get_error(sock), "");
	fake.config_ms = 0;
}

Test(requests, a_queue_of_the_former_reader_is_taken_over)
{
	/* The former reader left packet 1 undecided, and packet 2 in the receive buffer. */
	mnfq_i_request_send(sock, 9, NFQNL_CFG_CMD_BIND, NULL);
	fake_packet(9, 60, false);
	fake_packet(9, 60, true);
	cr_assert(eq(int, mnfq_queue_bind(&queue, sock, 9, NULL, accept_all, NULL), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u32, fake_queue(9)->decisions[1].verdict, MNFQ_DROP));
	cr_expect(eq(u32, fake_queue(9)->decisions[2].verdict, MNFQ_ACCEPT));
}

Test(requests, settings_reach_the_kernel)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .copy_mode = MNFQ_COPY_PACKET,
					      .copy_range = 128,
					      .max_len = 4096,
					      .flags = MNFQ_QUEUE_FAIL_OPEN };

	cr_expect(eq(u32, fake_queue(7)->copy_range, 65531));
	cr_expect(eq(u8, fake_queue(7)->copy_mode, NFQNL_COPY_PACKET));
	cr_expect(eq(u32, fake_queue(7)->flags, NFQA_CFG_F_GSO));
	cr_expect(eq(u32, fake_queue(7)->max_len, 1024));
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->copy_range, 128));
	cr_expect(eq(u32, fake_queue(7)->flags, NFQA_CFG_F_GSO | MNFQ_QUEUE_FAIL_OPEN));
	cr_expect(eq(u32, fake_queue(7)->max_len, 4096));
	options.flags |= MNFQ_QUEUE_NO_GSO;
	options.copy_mode = MNFQ_COPY_META;
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->flags, MNFQ_QUEUE_FAIL_OPEN));
	cr_expect(eq(u8, fake_queue(7)->copy_mode, NFQNL_COPY_META));
	memset(&options, 0, sizeof(options));
	options.size = sizeof(options);
	cr_assert(eq(int, mnfq_queue_get_options(queue, &options), 0));
	cr_expect(eq(u32, options.copy_range, 0));
	cr_expect(eq(u32, options.copy_mode, MNFQ_COPY_META));
	cr_expect(eq(u32, options.flags, MNFQ_QUEUE_FAIL_OPEN | MNFQ_QUEUE_NO_GSO));
	cr_expect(eq(u32, options.max_len, 4096));
}

/* Of all lengths only 0 has another number, by which it comes back. */
Test(requests, a_length_of_0_can_be_asked_for)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .max_len = MNFQ_MAX_LEN_ZERO };

	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->max_len, 0));
	cr_assert(eq(int, mnfq_queue_get_options(queue, &options), 0));
	cr_expect(eq(u32, options.max_len, MNFQ_MAX_LEN_ZERO));
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->max_len, 0));
	cr_assert(eq(int, mnfq_queue_set_flags(queue, MNFQ_QUEUE_FAIL_OPEN, MNFQ_QUEUE_FAIL_OPEN),
		     0));
	cr_expect(eq(u32, fake_queue(7)->max_len, 0), "flags do not change it");
	options.max_len = UINT32_MAX;
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->max_len, UINT32_MAX));
	options.max_len = 0;
	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(eq(u32, fake_queue(7)->max_len, MNFQ_MAX_LEN_DEFAULT));
}

Test(requests, wrong_options_change_nothing)
{
	struct {
		struct mnfq_queue_options options;
		uint64_t future;
	} wrong[] = {
		{ { .size = 0 }, 0 },
		{ { .size = sizeof(wrong[0]) }, 1 },
		{ { .size = 1 }, 0 },
		{ { .size = sizeof(wrong[0].options), .copy_mode = 4 }, 0 },
		{ { .size = sizeof(wrong[0].options), .copy_range = 65532 }, 0 },
		{ { .size = sizeof(wrong[0].options), .flags = 0x20 }, 0 },
		{ { .size = sizeof(wrong[0].options), .flags_optional = 0x20 }, 0 },
		{ { .size = sizeof(wrong[0].options), .default_verdict = 2 }, 0 },
		{ { .size = sizeof(wrong[0].options), .default_verdict = MNFQ_DEFER }, 0 },
		{ { .size = sizeof(wrong[0].options), .default_verdict = 99 }, 0 },
	};
	struct mnfq_queue *other = NULL;
	unsigned int sends = fake.sends;
	int err;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		err = mnfq_queue_bind(&other, sock, 8, &wrong[i].options, accept_all, NULL);
		cr_expect(eq(int, err, i == 1 ? -E2BIG : -EINVAL), "case %zu", i);
		cr_expect(mnfq_socket_get_error(sock)[0] != 0);
		cr_expect(i > 0 || strstr(mnfq_socket_get_error(sock), "set .size"), "forgotten");
	}
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 65536, NULL, accept_all, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, ~0u, NULL, accept_all, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_queue_bind(&other, NULL, 8, NULL, accept_all, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 7, NULL, accept_all, NULL), -EEXIST));
	cr_expect(eq(u32, fake.sends, sends));
	cr_expect(eq(ptr, other, NULL));
	/* A struct of the future whose unknown part is zero is fine. */
	wrong[1].future = 0;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, &wrong[1].options, accept_all, NULL),
		     0));
}

Test(requests, wrong_settings_change_nothing_of_a_queue)
{
	struct mnfq_queue_options before = { .size = sizeof(before), .copy_range = 300 }, after;
	const struct mnfq_queue_options wrong[] = {
		{ .size = sizeof(before), .copy_range = 70000 },
		{ .size = sizeof(before), .flags = MNFQ_QUEUE_SECCTX | 0x40 },
	};

	cr_assert(eq(int, mnfq_queue_configure(queue, &before), 0));
	cr_assert(eq(int, mnfq_queue_get_options(queue, &before), 0));
	after = before;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect(eq(int, mnfq_queue_configure(queue, &wrong[i]), -EINVAL));
	cr_assert(eq(int, mnfq_queue_get_options(queue, &after), 0));
	cr_expect(memcmp(&before, &after, sizeof(before)) == 0);
	cr_expect(eq(u32, fake_queue(7)->copy_range, 300));
}

Test(requests, a_queue_belongs_to_its_socket)
{
	struct mnfq_queue *other;

	cr_expect(eq(int, mnfq_queue_bind(NULL, sock, 8, NULL, accept_all, NULL), 0));
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), -EEXIST));
}

Test(requests, what_a_former_queue_left_is_not_its_successors)
{
	enqueue_packets(2);
	rebind_seven(accept_all, MNFQ_DROP);
	pass_packets(1);
	cr_expect(eq(u32, last_id, 1));
	cr_expect(eq(u64, stats().lost, 0));
}

static enum mnfq_verdict bind_once(struct mnfq_packet *packet, void *data)
{
	(void)data, (void)packet;
	if (!queue)
		bind_seven(accept_all, MNFQ_DROP);
	return MNFQ_ACCEPT;
}

Test(requests, a_queue_bound_in_a_round_takes_no_part_in_it)
{
	struct mnfq_queue *other;

	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, bind_once, NULL), 0));
	queue = mnfq_queue_unbind(queue);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	fake_packet(8, 60, true);
	message_packet(&msg, 7, 5, 60); /* from a queue 7 that was */
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().unclaimed, 1));
}

Test(requests, a_bind_that_timed_out_leaves_no_packets)
{
	struct mnfq_queue *other;

	fake.lose_answers = UINT32_MAX;
	fake.packets_on_bind = 3;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), -ETIMEDOUT));
	fake.lose_answers = fake.packets_on_bind = 0;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_packet(8, 60, false);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u32, fake_queued(8), 1), "no callback has seen it");
	cr_expect(eq(u32, seen, 0));
}

Test(requests, what_a_queue_of_another_user_left_is_not_ours)
{
	struct mnfq_queue *other;

	mnfq_i_request_send(sock, 8, NFQNL_CFG_CMD_BIND, NULL);
	fake_packet(8, 60, true);
	mnfq_i_request_send(sock, 8, NFQNL_CFG_CMD_UNBIND, NULL);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	fake_packet(8, 60, false);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u32, fake_queued(8), 1), "no callback has seen it");
}

Test(requests, more_than_a_batch_may_come_before_the_answer)
{
	struct mnfq_queue *other;
	int handled = 0;

	fake.packets_on_bind = 150;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	for (int i = 0; i < 10; i++)
		fake_packet(8, 60, true);
	for (int i = 0; i < 10; i++) {
		int n = mnfq_socket_dispatch(sock, 0);

		cr_expect(le(int, n, 64));
		handled += n;
	}
	cr_expect(eq(int, handled, 160));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u32, fake_queued(8), 0));
}

static enum mnfq_verdict bind_eight(struct mnfq_packet *packet, void *data)
{
	struct mnfq_queue **other = data;

	(void)packet;
	if (!*other) {
		cr_assert(eq(int, mnfq_queue_bind(other, sock, 8, NULL, accept_all, NULL), 0));
		fake_packet(8, 60, true);
		fake_packet(8, 60, true);
	}
	return MNFQ_ACCEPT;
}

Test(requests, a_queue_bound_for_a_packet_of_the_backlog_misses_none)
{
	struct mnfq_queue *seven, *eight = NULL;

	queue = mnfq_queue_unbind(queue);
	fake.packets_on_bind = 1;
	/* One of its own comes with it, and goes into the backlog while the other is handled. */
	cr_assert(eq(int, mnfq_queue_bind(&seven, sock, 7, NULL, bind_eight, &eight), 0));
	while (mnfq_socket_dispatch(sock, 0) > 0)
		;
	cr_expect(eq(u32, seen, 3));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().unclaimed, 0));
}

/* A full queue sends no packet which would show its ids. */
Test(requests, a_full_queue_is_taken_over)
{
	struct mnfq_queue *other;

	mnfq_i_request_send(sock, 9, NFQNL_CFG_CMD_BIND, NULL);
	for (unsigned int i = 0; i < 100; i++)
		fake_packet(9, 60, false);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 9, NULL, accept_all, NULL), 0));
	cr_expect(eq(u32, fake_queued(9), 0));
	fake_packet(9, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, last_id, 101));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u32, fake_queue(9)->decisions[101].verdict, MNFQ_ACCEPT));
}

Test(requests, a_take_over_that_fails_leaves_the_queue)
{
	struct mnfq_queue *other;

	mnfq_i_request_send(sock, 9, NFQNL_CFG_CMD_BIND, NULL);
	fake.lose_answers = UINT32_MAX;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 9, NULL, accept_all, NULL), -ETIMEDOUT));
	cr_expect(fake_queue(9) != NULL);
	fake.lose_answers = 1;
	fake_packet(9, 60, false);
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 9, NULL, accept_all, NULL), 0));
	fake_packet(9, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u64, stats().lost, 0), "taken over, not lost");
}

Test(requests, an_answer_to_another_request_is_not_ours)
{
	struct mnfq_queue *other = NULL;

	for (uint32_t seq = 0; seq < 16; seq++) {
		message_error(&msg, 0, MNFQ_I_MSG(NFQNL_MSG_CONFIG), seq, 0);
		fake_datagram(msg.bytes, msg.len, 0);
	}
	fake.bind_error = -EPERM;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), -EBUSY));
	cr_expect(eq(ptr, other, NULL));
}

Test(requests, a_failure_ends_with_its_queue)
{
	fake.verdict_error = -ENODEV;
	pass_packets(1);
	pass_packets(1); /* with the error for the first */
	fake.verdict_error = 0;
	rebind_seven(accept_all, MNFQ_DROP);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

Test(requests, a_receive_buffer_is_the_sockets)
{
	cr_assert(eq(int, mnfq_socket_set_receive_buffer(sock, 1 << 21), 0));
	cr_expect(eq(u32, fake.buffer, 1 << 21));
	cr_assert(eq(int, mnfq_socket_set_receive_buffer(sock, 0), 0));
	cr_expect(eq(u32, fake.buffer, 64 << 20));
}

static enum mnfq_verdict unbind_me(struct mnfq_packet *packet, void *data)
{
	struct mnfq_queue **me = data;

	(void)packet;
	seen++;
	*me = mnfq_queue_unbind(*me);
	return MNFQ_ACCEPT;
}

/* The backlog may vanish while it is being handled. */
Test(requests, a_callback_for_a_packet_of_the_backlog_may_unbind)
{
	struct mnfq_queue *other;

	fake.packets_on_bind = 3;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, unbind_me, &other), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, seen, 1));
	cr_expect(eq(ptr, fake_queue(8), NULL));
}

Test(requests, a_callback_for_a_packet_of_the_backlog_may_unbind_another)
{
	struct mnfq_queue *other;

	fake.packets_on_bind = 1;
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, unbind_me, &queue), 0));
	enqueue_packets(2);
	cr_assert(eq(int, mnfq_queue_configure(other, NULL), 0)); /* puts them into the backlog */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(ptr, fake_queue(7), NULL));
}

Test(requests, a_failure_that_a_request_met_makes_the_descriptor_readable)
{
	fake.verdict_error = -EPERM;
	pass_packets(1);
	cr_assert(eq(int, mnfq_queue_configure(queue, NULL), 0)); /* reads the refusal */
	cr_expect(ne(sz, fake_unread(), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
}

static void packet_comes(void)
{
	fake.on_probe = NULL;
	fake_packet(7, 60, true);
}

/* What comes before the answer to a question about a refusal is for the next dispatch. */
Test(requests, an_explanation_leaves_the_descriptor_readable)
{
	fake.on_probe = packet_comes;
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	cr_expect(eq(int, feed(), -EPERM));
	cr_expect(ne(sz, fake_unread(), 0), "for an event loop");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(u32, fake_queued(7), 0));
}

static void owner_ends(void)
{
	fake.bind_error = 0;
}

/* One that was killed right before, and is still about to close its socket. */
Test(requests, an_owner_that_ends_meanwhile_is_no_owner)
{
	struct mnfq_queue *other;

	fake.bind_error = -EPERM;
	fake.on_probe = owner_ends;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0), "%s",
		  mnfq_socket_get_error(sock));
	cr_expect(mnfq_socket_get_error(sock)[0] == 0, "nothing has failed");
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
}

/* What the kernel answers to a bind, and what becomes of it. */
Test(requests, each_refusal_has_its_errno_and_message)
{
	static const struct {
		int answer, expected;
		const char *part;
	} refusals[] = {
		{ -EPERM, -EBUSY, "owned by another" },
		{ -EEXIST, -EBUSY, "owned by another" },
		{ -EBUSY, -EEXIST, "by another process that shares the socket" },
		{ -EINVAL, -EPROTONOSUPPORT, "load nfnetlink_queue" },
		{ -EOPNOTSUPP, -EOPNOTSUPP, "too old" },
		{ -ENOMEM, -ENOMEM, "queue 8: Cannot allocate memory" },
	};
	struct mnfq_queue *other = NULL;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		fake.bind_error = refusals[i].answer;
		cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL),
			     refusals[i].expected));
		cr_expect(strstr(mnfq_socket_get_error(sock), refusals[i].part) != NULL, "%s",
			  mnfq_socket_get_error(sock));
	}
	fake.bind_error = -EPERM;
	fake.keep_answers = 2; /* but none to the question whether it is for want of a right */
	fake.lose_answers = UINT32_MAX;
	cr_expect(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), -EPERM));
	cr_expect(strstr(mnfq_socket_get_error(sock), "or another socket owns") != NULL);
	cr_expect(eq(ptr, other, NULL));
	fake.lose_answers = 0;
}

static enum mnfq_verdict release_it(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	cr_expect(eq(int, mnfq_socket_detach(sock), -EBUSY));
	cr_expect(strstr(mnfq_socket_get_error(sock), "within a callback") != NULL);
	return MNFQ_ACCEPT;
}

Test(requests, a_socket_is_not_released_within_a_callback)
{
	rebind_seven(release_it, MNFQ_DROP);
	pass_packets(1);
	expect_verdict(1, MNFQ_ACCEPT);
}

static void adopt_and_bind(int fd)
{
	struct mnfq_socket *adopted;
	struct mnfq_queue *eight;

	cr_assert(eq(int, mnfq_socket_adopt(&adopted, fd, NULL), 0));
	cr_assert(eq(int, mnfq_queue_bind(&eight, adopted, 8, NULL, accept_all, NULL), 0));
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(adopted, 0), 1));
	mnfq_socket_close(adopted);
}

/*
 * What takes 20 ms in a kernel is done only where it is of use: a socket that never had a port id
 * cannot have been sent anything.
 */
Test(requests, packets_on_their_way_are_waited_for_where_there_can_be_some)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	int fd;

	cr_expect(eq(uint, fake.membarriers, 0), "a socket of our own");
	adopt_and_bind(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	cr_expect(eq(uint, fake.membarriers, 0), "one that was not used");

	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(eq(int, bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0));
	adopt_and_bind(fd);
	cr_expect(eq(uint, fake.membarriers, 1), "one that had a port id");

	rebind_seven(accept_all, MNFQ_DROP);
	cr_expect(eq(uint, fake.membarriers, 2), "one on which a queue was unbound");
}
