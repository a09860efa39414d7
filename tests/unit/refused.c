// SPDX-License-Identifier: MIT
/* receive.c, request.c: verdicts that the kernel refused, and who hears of it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "request.h"
#include "support/fixture.h"

/* What the callback of queue 7 heard. */
static struct {
	unsigned int times;
	struct mnfq_queue *queue;
	uint32_t id;
	int error;
	void *data;
	uint64_t counted;
} heard;

static int mine;
static struct mnfq_queue *other;

static void hear(struct mnfq_queue *of, uint32_t id, int error, void *data)
{
	struct mnfq_stats now = MNFQ_INIT(now);

	heard.times++;
	heard.queue = of;
	heard.id = id;
	heard.error = error;
	heard.data = data;
	cr_expect(eq(int, mnfq_queue_get_stats(of, &now), 0));
	heard.counted = now.refused;
}

static int bind_with(struct mnfq_queue **to, uint16_t num, mnfq_refused_callback refused,
		     enum mnfq_verdict fallback)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .refused = refused,
					      .default_verdict = fallback };

	return mnfq_queue_bind(to, sock, num, &options, accept_all, &mine);
}

static void rebind_with(mnfq_refused_callback refused)
{
	mnfq_queue_unbind(queue);
	cr_assert(eq(int, bind_with(&queue, 7, refused, MNFQ_DROP), 0));
}

static void begin(void)
{
	setup();
	rebind_with(hear);
}

TestSuite(refused, .init = begin, .fini = teardown);

/* An error for the verdict on @id; @tag is the queue's, or that of a release. */
static void refuse_tag(int error, uint32_t id, uint32_t tag)
{
	message_error(&msg, error, MNFQ_I_MSG(NFQNL_MSG_VERDICT), id, tag);
	fake_datagram(msg.bytes, msg.len, 0);
}

static void refuse(int error, uint32_t id)
{
	refuse_tag(error, id, queue->tag);
}

static void dispatch(void)
{
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
}

static void expect_heard(unsigned int times)
{
	cr_expect(eq(u32, heard.times, times));
}

Test(refused, a_callback_hears_of_it_once)
{
	fake.verdict_error = -ENOENT;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_heard(0);
	dispatch();
	expect_heard(1);
	cr_expect(eq(ptr, heard.queue, queue));
	cr_expect(eq(u32, heard.id, 1));
	cr_expect(eq(int, heard.error, -ENOENT));
	cr_expect(eq(ptr, heard.data, &mine));
	cr_expect(eq(u64, heard.counted, 1), "counted before");
	dispatch();
	expect_heard(1);
	cr_expect(eq(u64, stats().refused, 1));
}

Test(refused, of_a_batch_the_last_id_is_told)
{
	unsigned int i;

	fake.verdict_error = -ENOENT;
	for (i = 0; i < 5; i++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 5));
	dispatch();
	expect_heard(1);
	cr_expect(eq(u32, heard.id, 5));
}

Test(refused, each_error_is_told)
{
	static const int errors[] = { -ENOENT, -EINVAL, -ENOMEM, -ENODEV, -EPERM };
	size_t i;

	for (i = 0; i < 5; i++) {
		refuse(errors[i], 10 + (uint32_t)i);
		cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), i < 3 ? 0 : errors[i]));
		cr_expect(eq(int, heard.error, errors[i]));
		cr_expect(eq(u32, heard.id, 10 + i));
	}
	expect_heard(5);
	cr_expect(eq(u64, stats().refused, 5));
}

Test(refused, that_all_is_well_is_not_told)
{
	refuse(0, 1);
	dispatch();
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 0));
}

Test(refused, releases_are_not_told)
{
	refuse_tag(-ENOENT, 1, queue->tag | MNFQ_I_TAG_RELEASE);
	refuse_tag(-EINVAL, 1, queue->tag | MNFQ_I_TAG_RELEASE);
	dispatch();
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 1), "but counted, unless there was nothing");
}

Test(refused, what_others_sent_is_not_told)
{
	refuse_tag(-EPERM, 1, 7);
	refuse_tag(-EPERM, 1, queue->tag ^ 1u << 31);
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_PACKET), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	refuse(-ENOENT, 1);
	message_error(&msg, -ENOENT, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 2, queue->tag);
	fake_datagram(msg.bytes, msg.len, 4711);
	dispatch();
	expect_heard(1);
	cr_expect(eq(u32, heard.id, 1));
	cr_expect(eq(u64, stats().refused, 1));
	cr_expect(eq(u64, stats().forged, 1));
}

Test(refused, each_queue_has_its_own_callback)
{
	cr_assert(eq(int, bind_with(&other, 8, NULL, MNFQ_DROP), 0));
	refuse_tag(-ENOENT, 3, other->tag);
	dispatch();
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 1));
	refuse(-ENOENT, 4);
	dispatch();
	expect_heard(1);
	cr_expect(eq(ptr, heard.queue, queue));
}

Test(refused, a_callback_can_be_taken_away)
{
	cr_assert(eq(int, mnfq_queue_configure(queue, NULL), 0));
	refuse(-ENOENT, 3);
	dispatch();
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 1));
}

/* What wakes an event loop may be fed, too. */
Test(refused, feeding_tells)
{
	message_error(&msg, -ENOENT, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 9, queue->tag);
	cr_expect(eq(int, feed(), 0));
	expect_heard(1);
	cr_expect(eq(u32, heard.id, 9));
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 10, queue->tag);
	cr_expect(eq(int, feed(), -EPERM));
	expect_heard(2);
	msg.len--;
	cr_expect(eq(int, feed(), 0));
	expect_heard(2);
	cr_expect(eq(u64, stats().malformed, 1));
}

/* ---- callbacks that do something about it ---- */

static void unbind_it(struct mnfq_queue *of, uint32_t id, int error, void *data)
{
	hear(of, id, error, data);
	queue = mnfq_queue_unbind(of);
}

Test(refused, a_callback_may_unbind_its_queue)
{
	rebind_with(unbind_it);
	refuse(-ENOENT, 1);
	refuse(-ENOENT, 2);
	fake_packet(7, 60, true);
	dispatch();
	expect_heard(1);
	cr_expect(eq(u32, heard.id, 1));
	cr_expect(eq(u32, seen, 0));
	cr_expect(eq(ptr, fake_queue(7), NULL));
	cr_expect(eq(u64, stats().refused, 2));
	cr_expect(eq(u64, stats().unclaimed, 0));
	cr_expect(eq(u64, stats().defaulted, 1), "what came with it");
}

static void bind_another(struct mnfq_queue *of, uint32_t id, int error, void *data)
{
	hear(of, id, error, data);
	if (!other)
		cr_assert(eq(int, bind_with(&other, 8, hear, MNFQ_DROP), 0));
}

Test(refused, a_callback_may_bind_another)
{
	other = NULL;
	rebind_with(bind_another);
	refuse(-ENOENT, 1);
	refuse(-ENOENT, 2);
	fake.packets_on_bind = 1;
	while (mnfq_socket_dispatch(sock, 0) > 0 || fake_unread() > 0)
		;
	expect_heard(2);
	cr_expect(eq(u32, seen, 1));
	cr_expect(eq(u32, fake_queued(8), 0));
	cr_expect(eq(u64, stats().lost, 0));
}

static void close_all(struct mnfq_queue *of, uint32_t id, int error, void *data)
{
	hear(of, id, error, data);
	sock = mnfq_socket_close(sock);
}

Test(refused, a_callback_may_close_its_socket)
{
	struct mnfq_socket *closed;

	rebind_with(close_all);
	refuse(-ENOENT, 1);
	refuse(-ENOENT, 2);
	closed = sock;
	cr_expect(eq(int, mnfq_socket_dispatch(closed, 0), -ECANCELED));
	expect_heard(1);
	cr_expect(eq(ptr, fake_queue(7), NULL));
}

static void stop_all(struct mnfq_queue *of, uint32_t id, int error, void *data)
{
	hear(of, id, error, data);
	mnfq_socket_stop(sock);
}

Test(refused, a_callback_may_stop_the_loop)
{
	rebind_with(stop_all);
	refuse(-ENOENT, 1);
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	expect_heard(1);
}

static void dispatch_more(struct mnfq_queue *of, uint32_t id, int error, void *data)
{
	hear(of, id, error, data);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EBUSY));
	cr_expect(eq(int, mnfq_queue_configure(of, NULL), 0));
}

Test(refused, a_callback_may_do_what_that_of_a_packet_may)
{
	rebind_with(dispatch_more);
	refuse(-ENOENT, 1);
	fake_packet(7, 60, true);
	refuse(-ENOENT, 2);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	while (fake_unread() > 0)
		(void)mnfq_socket_dispatch(sock, 0);
	expect_heard(1);
	cr_expect(eq(u64, stats().refused, 2));
	cr_expect(eq(u32, seen, 1));
}

/* ---- refusals that arrive while an answer is awaited ---- */

Test(refused, what_a_request_reads_is_told_by_the_next_dispatch)
{
	refuse(-ENOENT, 1);
	cr_assert(eq(int, bind_with(&other, 8, NULL, MNFQ_DROP), 0));
	refuse(-ENOENT, 2);
	cr_assert(eq(int, mnfq_queue_set_flags(queue, 0, 0), 0));
	refuse(-ENOENT, 3);
	mnfq_queue_unbind(other);
	expect_heard(0);
	cr_expect(ne(sz, fake_unread(), 0), "the descriptor is readable for an event loop");
	dispatch();
	expect_heard(3);
	cr_expect(eq(u32, heard.id, 3));
	cr_expect(eq(u64, stats().refused, 3));
}

Test(refused, the_backlog_ends_with_its_queue)
{
	refuse(-ENOENT, 1);
	cr_assert(eq(int, bind_with(&other, 8, hear, MNFQ_DROP), 0));
	refuse(-ENOENT, 2);
	refuse(0, 2); /* this is no refusal */
	refuse_tag(-ENOENT, 3, other->tag);
	queue = mnfq_queue_unbind(queue);
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 2), "at once");
	dispatch();
	expect_heard(1);
	cr_expect(eq(u32, heard.id, 3), "the other's");
	cr_expect(eq(u64, stats().refused, 3));
}

Test(refused, a_successor_does_not_hear_of_its_predecessor)
{
	refuse(-ENOENT, 1);
	cr_assert(eq(int, mnfq_queue_set_flags(queue, 0, 0), 0));
	refuse(-ENOENT, 2);
	rebind_with(hear);
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 2));
	/* Its own, which is alone in the backlog. */
	refuse(-ENOENT, 1);
	cr_assert(eq(int, mnfq_queue_set_flags(queue, 0, 0), 0));
	dispatch();
	expect_heard(1);
	cr_expect(eq(ptr, heard.queue, queue));
}

/* The queue was taken from under us, so that the releases at its end are refused as well. */
Test(refused, a_successor_does_not_fail_for_its_predecessor)
{
	mnfq_queue_unbind(queue);
	cr_assert(eq(int, bind_with(&queue, 7, hear, MNFQ_ACCEPT), 0));
	mnfq_i_request_send(sock, 7, NFQNL_CFG_CMD_UNBIND, NULL);
	rebind_with(hear);
	dispatch();
	dispatch();
	expect_heard(0);
}

/* Two packets of queue 8 are accepted in vain; the only answer is for queue 7. */
static void refuse_for_all(void)
{
	cr_assert(eq(int, bind_with(&other, 8, NULL, MNFQ_STOP), 0));
	fake_packet(8, 60, true);
	fake_packet(8, 60, true);
	fake.send_swallowed = 1; /* as if refused */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	refuse(-EPERM, 1);
}

static void expect_eight(uint32_t id, uint32_t verdict)
{
	cr_expect(eq(u32, fake_queue(8)->decisions[id].verdict, verdict), "packet %u", id);
}

Test(refused, what_is_for_all_queues_outlives_its_own)
{
	refuse_for_all();
	queue = mnfq_queue_unbind(queue);
	fake_packet(8, 60, true);
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_eight(1, MNFQ_STOP);
	expect_eight(2, MNFQ_STOP);
	expect_eight(3, MNFQ_ACCEPT);
	expect_eight(4, MNFQ_ACCEPT);
}

/* A full queue sends no packet by which we would be woken. */
Test(refused, what_is_for_all_queues_needs_no_more_packets)
{
	refuse_for_all();
	queue = mnfq_queue_unbind(queue);
	cr_expect(ne(sz, fake_unread(), 0), "the descriptor is readable for an event loop");
	dispatch();
	expect_eight(1, MNFQ_STOP);
	expect_eight(2, MNFQ_STOP);
}

static enum mnfq_verdict unbind_then_bind_seven(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_id(packet) == 1)
		queue = mnfq_queue_unbind(queue);
	else if (!queue)
		cr_assert(eq(int, bind_with(&queue, 7, hear, MNFQ_DROP), 0));
	return MNFQ_ACCEPT;
}

/* One round receives it all: packets of 8 whose callback replaces 7, and what 7 was refused. */
Test(refused, a_queue_born_in_a_round_hears_nothing_in_it)
{
	cr_assert(
		eq(int, mnfq_queue_bind(&other, sock, 8, NULL, unbind_then_bind_seven, NULL), 0));
	fake_packet(8, 60, true);
	fake_packet(8, 60, true);
	refuse(-ENOENT, 5);
	refuse(-ENODEV, 6);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	dispatch();
	expect_heard(0);
	cr_expect(eq(u64, stats().refused, 2));
	refuse(-ENOENT, 1);
	dispatch();
	expect_heard(1);
}

/* ---- a queue that was taken over: its ids are not known before the first packet ---- */

static void take_over(uint32_t base)
{
	int fd = mnfq_socket_detach(sock);

	cr_assert(eq(int, mnfq_socket_adopt(&sock, fd, NULL), 0));
	fake_set_base(7, base);
	cr_assert(eq(int, bind_with(&queue, 7, hear, MNFQ_DROP), 0));
}

Test(refused, nothing_is_released_before_the_first_id_is_known)
{
	take_over(0x90000000);
	cr_assert(eq(int, bind_with(&other, 8, NULL, MNFQ_DROP), 0));
	refuse_tag(-EPERM, 1, other->tag);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(0x90000001, MNFQ_ACCEPT);
}
