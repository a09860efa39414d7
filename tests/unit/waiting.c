// SPDX-License-Identifier: MIT
/* dispatch.c, wake.c: waiting in the receive itself, and being stopped at each point of it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <unistd.h>

#include "support/fixture.h"

TestSuite(waiting, .init = setup, .fini = teardown);

static void come(void)
{
	fake_packet(7, 60, true);
}

static void stop(void)
{
	mnfq_socket_stop(sock);
}

/* One packet for which it waits: how many calls there were that receive, send and wait. */
static void expect_calls(int timeout_ms, unsigned int fills, unsigned int sends,
			 unsigned int polls)
{
	fake.fills = fake.sends = fake.polls = 0;
	cr_assert(eq(int, mnfq_socket_dispatch(sock, timeout_ms), 1));
	cr_expect(eq(uint, fake.fills, fills));
	cr_expect(eq(uint, fake.sends, sends));
	cr_expect(eq(uint, fake.polls, polls));
}

Test(waiting, a_packet_alone_costs_two_system_calls)
{
	unsigned int i;

	fake.on_wait = come;
	for (i = 0; i < 100; i++)
		expect_calls(i % 2 == 0 ? -1 : 1000, 1, 1, 0);
}

/* ---- stop ---- */

/* How it ended; nothing is left over for the next dispatch. */
static void expect_stopped(void)
{
	fake.on_fill = fake.on_wait = fake.on_poll = NULL;
	come();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1), "a stop is consumed once");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().forged, 0));
	cr_expect(eq(u64, stats().malformed, 0));
}

Test(waiting, a_stop_before_it_needs_no_message)
{
	stop();
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.fills, 0));
	cr_expect(eq(uint, fake.wakes, 0), "which would make the descriptor readable");
	expect_stopped();
}

Test(waiting, a_stop_at_its_begin_ends_it)
{
	fake.on_fill = stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.wakes, 1));
	cr_expect(eq(uint, fake.waits, 0));
	expect_stopped();
}

Test(waiting, a_stop_within_it_ends_it)
{
	fake.on_wait = stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.wakes, 1));
	cr_expect(eq(uint, fake.waits, 1));
	cr_expect(eq(uint, fake.polls, 0));
	expect_stopped();
}

static void come_and_stop(void)
{
	come();
	stop();
}

/* No callback is called any more; the packet is for the next dispatch, and the message is nothing. */
Test(waiting, a_stop_beside_a_packet_ends_it)
{
	fake.on_wait = come_and_stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	expect_verdict(1, FAKE_UNDECIDED);
	cr_expect(eq(uint, fake.polls, 0));
	cr_expect(ge(sz, fake_unread(), 1), "the descriptor is readable");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_stopped();
}

/* Two of its threads stop it. */
static void stop_twice(void)
{
	stop();
	stop();
}

Test(waiting, two_stops_end_it_once)
{
	fake.on_wait = stop_twice;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	expect_stopped();
}

static void stop_without_right(void)
{
	fake.no_right = true;
	stop();
	fake.no_right = false;
}

/* A thread that may send no verdict: the kernel refuses its message, in an answer. */
Test(waiting, a_stop_needs_no_right)
{
	const int64_t begin = fake.clock_ms;

	fake.on_wait = stop_without_right;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1));
	cr_expect(eq(i64, fake.clock_ms, begin), "at once");
	expect_stopped();
}

static void stop_without_memory(void)
{
	fake.send_error = ENOBUFS;
	fake.send_errors = 1;
	stop();
}

Test(waiting, a_stop_that_cannot_be_sent_ends_it_in_a_while)
{
	fake.on_wait = stop_without_memory;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1), "the wait ends by itself");
	cr_expect(eq(uint, fake.polls, 0));
	expect_stopped();
}

static void stop_and_steal(void)
{
	stop();
	cr_assert(eq(sz, fake_unread(), 1));
	fake_steal();
}

Test(waiting, a_stolen_message_ends_it_in_a_while)
{
	fake.on_wait = stop_and_steal;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1), "the wait ends by itself");
	cr_expect(eq(uint, fake.polls, 0));
	expect_stopped();
}

/* There is no room for the answer, but there is something to receive. */
static void fill_and_stop(void)
{
	fake.on_fill = NULL;
	come();
	come();
	fake.lose_answers = 1;
	stop();
}

Test(waiting, a_stop_while_the_buffer_is_full_ends_it)
{
	fake.on_fill = fill_and_stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.lose_answers, 0));
	cr_expect(eq(uint, fake.waits, 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_stopped();
}

/* The same, and another process empties the buffer. */
static void fill_stop_and_steal(void)
{
	fill_and_stop();
	fake_steal();
	fake_steal();
}

Test(waiting, a_stop_that_found_no_room_ends_it_in_a_while)
{
	fake.on_fill = fill_stop_and_steal;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1));
	cr_expect(eq(uint, fake.polls, 0));
	mnfq_socket_stop(sock);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
}

/* Nothing came for a second: dispatch waits in poll() without an end, and so is not woken for nothing. */
Test(waiting, a_long_wait_is_one_in_poll)
{
	fake.on_poll = stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1));
	cr_expect(eq(uint, fake.polls, 1));
	cr_expect(eq(int, fake.poll_timeout, -1));
	cr_expect(eq(uint, fake.wakes, 0), "the event descriptor ends it");
	expect_stopped();
}

/* The same if its receive does not wait at all, as with O_NONBLOCK. */
Test(waiting, what_is_left_of_a_long_wait_is_one_in_poll)
{
	fake.on_poll = come;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 5000), 1));
	cr_expect(eq(uint, fake.waits, 1));
	cr_expect(eq(uint, fake.polls, 1));
	cr_expect(eq(int, fake.poll_timeout, 4000));
}

/* ---- stop in a callback ---- */

static enum mnfq_verdict stop_at_two(struct mnfq_packet *packet, void *data)
{
	if (mnfq_packet_get_id(packet) == 2)
		stop();
	return accept_all(packet, data);
}

static void expect_stop_at_two(void)
{
	cr_expect(eq(uint, seen, 2));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_ACCEPT);
	expect_verdict(3, FAKE_UNDECIDED);
	cr_expect(ge(sz, fake_unread(), 1), "the descriptor is readable");
}

/* The rest of the batch comes with the next dispatch, before what came meanwhile. */
static void expect_rest(int timeout_ms)
{
	unsigned int i;

	rebind_seven(stop_at_two, MNFQ_DROP);
	for (i = 0; i < 5; i++)
		come();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, timeout_ms), -ECANCELED));
	expect_stop_at_two();
	come();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, timeout_ms), 3));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, timeout_ms), 1));
	cr_expect(eq(uint, last_id, 6));
	cr_expect(eq(uint, fake_queued(7), 0));
	cr_expect(eq(u64, stats().lost, 0));
	cr_expect(eq(u64, stats().accepted, 6));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0), "the message that made it readable");
}

Test(waiting, a_stop_in_a_callback_ends_the_dispatch)
{
	expect_rest(0);
}

Test(waiting, a_stop_in_a_callback_ends_the_dispatch_that_waited)
{
	expect_rest(-1);
}

Test(waiting, a_stop_in_a_callback_ends_a_run)
{
	rebind_seven(stop_at_two, MNFQ_DROP);
	come();
	come();
	come();
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	expect_stop_at_two();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), 1));
}

/* What was put back and not called back is not decided otherwise. */
Test(waiting, a_stop_leaves_the_rest_to_the_end)
{
	rebind_seven(stop_at_two, MNFQ_STOP);
	come();
	come();
	come();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u64, stats().stopped, 1));
	cr_expect(eq(u64, stats().defaulted, 1));
}

/* Again and again: each time one packet more. */
static enum mnfq_verdict stop_always(struct mnfq_packet *packet, void *data)
{
	stop();
	return accept_all(packet, data);
}

Test(waiting, stops_in_each_callback_lose_nothing)
{
	int i;

	rebind_seven(stop_always, MNFQ_DROP);
	for (i = 0; i < 5; i++)
		come();
	for (i = 1; i <= 5; i++) {
		cr_expect(eq(int, mnfq_socket_dispatch(sock, i % 2 ? 0 : -1), -ECANCELED));
		cr_expect(eq(uint, last_id, (unsigned int)i));
		cr_expect(eq(uint, fake_queued(7), (unsigned int)(5 - i)));
	}
	cr_expect(eq(uint, fake.fills, 1), "what is put back comes first, and alone");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().lost, 0));
}

static enum mnfq_verdict rebind_and_stop(struct mnfq_packet *packet, void *data)
{
	struct mnfq_queue *other;

	(void)packet, (void)data;
	if (seen++ == 0) {
		fake_queue(8)->bound = false; /* by another user of the socket, and */
		cr_expect(eq(int, mnfq_queue_bind(&other, sock, 9, NULL, accept_all, NULL), 0));
		stop();
	}
	return MNFQ_ACCEPT;
}

/* A packet received before a queue was bound is for one that is gone, also when it is put back. */
Test(waiting, what_is_put_back_is_not_for_a_queue_that_is_bound_later)
{
	struct mnfq_queue *other;

	rebind_seven(rebind_and_stop, MNFQ_DROP);
	cr_assert(eq(int, mnfq_queue_bind(&other, sock, 8, NULL, accept_all, NULL), 0));
	come();
	message_packet(&msg, 9, 1, 60);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	cr_expect(eq(u64, stats().unclaimed, 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(u64, stats().packets, 1));
}

/* Without memory the rest is lost, which is counted, and decided by default. */
Test(waiting, what_cannot_be_put_back_is_lost)
{
	rebind_seven(stop_at_two, MNFQ_DROP);
	come();
	come();
	come();
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	come();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(3, MNFQ_DROP);
	cr_expect(eq(u64, stats().lost, 1));
}

static void stop_with_one_left(void)
{
	rebind_seven(stop_at_two, MNFQ_DROP);
	come();
	come();
	come();
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
}

Test(waiting, what_comes_later_is_behind_what_was_put_back)
{
	stop_with_one_left();
	come();
	cr_assert(eq(int, mnfq_queue_configure(queue, NULL), 0), "which reads it");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_verdict(3, MNFQ_ACCEPT);
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().lost, 0));
}

/* feed() is not a dispatch: what was put back goes first, as always. */
Test(waiting, a_stop_does_not_end_a_feed)
{
	stop_with_one_left();
	stop();
	message_packet(&msg, 7, fake_packet(7, 60, false), 60);
	cr_expect(eq(int, feed(), 2));
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
}

/* ---- signals ---- */

Test(waiting, a_signal_ends_a_dispatch_and_no_run)
{
	fake.interrupt = true;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -EINTR));
	fake.interrupt = true;
	fake.on_poll = stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 3));
	expect_stopped();
}

static void stop_by_a_handler(void)
{
	fake.on_wait = NULL;
	fake.lose_answers = 1;
	stop();
	fake.interrupt = true;
}

Test(waiting, a_handler_that_stops_ends_a_run)
{
	fake.on_wait = stop_by_a_handler;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1));
	expect_stopped();
}

/* ---- who waits elsewhere ---- */

static void expect_poll(int timeout_ms)
{
	fake.on_poll = come;
	fake.waits = 0;
	cr_assert(eq(int, mnfq_socket_dispatch(sock, timeout_ms), 1));
	cr_expect(eq(uint, fake.waits, 0));
	fake.on_poll = NULL;
}

Test(waiting, a_wait_of_less_than_a_second_is_one_in_poll)
{
	expect_poll(999);
}

Test(waiting, an_adopted_socket_waits_in_poll)
{
	int fd = dup(mnfq_socket_get_fd(sock));

	mnfq_socket_close(sock);
	fake_reset();
	cr_assert(eq(int, mnfq_socket_adopt(&sock, fd, NULL), 0));
	bind_seven(accept_all, MNFQ_DROP);
	expect_poll(-1);
}

Test(waiting, a_socket_of_a_shared_ring_waits_in_poll)
{
	struct mnfq_ring *ring;

	cr_assert(eq(int, mnfq_ring_new(&ring, 0), 0));
	cr_assert(eq(int, mnfq_socket_set_ring(sock, ring), 0));
	expect_poll(-1);
	mnfq_ring_free(ring);
	fake.on_wait = come;
	expect_calls(-1, 1, 1, 0);
}

/* Whatever the reason: the wait would not end by itself. */
Test(waiting, a_socket_without_a_timeout_waits_in_poll)
{
	fake.no_timeout = true;
	expect_poll(-1);
}

/* ---- what others do meanwhile ---- */

static struct mnfq_packet *kept;

static enum mnfq_verdict keep(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_retain(&kept, packet), 0));
	return MNFQ_DEFER;
}

static void decide_and_stop(void)
{
	cr_expect(eq(int, mnfq_packet_decide(kept, MNFQ_STOP), 0));
	expect_verdict(1, MNFQ_STOP);
	stop();
}

/* No round is under way, for whose end they would wait. */
Test(waiting, verdicts_of_other_threads_leave_meanwhile)
{
	rebind_seven(keep, MNFQ_DROP);
	come();
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	fake.on_wait = decide_and_stop;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	mnfq_packet_free(kept);
}

static void use_the_ring(void)
{
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EBUSY));
	cr_expect(eq(int, mnfq_socket_set_ring(sock, NULL), -EBUSY));
	stop();
}

/* Another thread does what it must not: the ring is in use. */
Test(waiting, nothing_else_is_received_meanwhile)
{
	fake.on_wait = use_the_ring;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	expect_stopped();
}
