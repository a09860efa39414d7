// SPDX-License-Identifier: MIT
/* What else happens to a round that is open between calls: failures, other threads, unusual callers. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "support/fixture.h"
#include "wake.h"

TestSuite(open_rounds, .init = setup, .fini = teardown);

static void pull_seven(unsigned int packets)
{
	rebind_seven(NULL, MNFQ_STOP);
	enqueue_packets(packets);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), (int)packets));
}

static void accept_next(void)
{
	cr_assert(eq(int, mnfq_packet_decide(mnfq_socket_next_packet(sock), MNFQ_ACCEPT), 0));
}

static int feed_packet(uint16_t num)
{
	message_packet(&msg, num, fake_packet(num, 60, false), 60);
	return feed();
}

/* ---- failures ---- */

Test(open_rounds, a_flush_tells_what_could_not_be_sent)
{
	pull_seven(2);
	accept_next();
	accept_next();
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2;
	cr_expect(eq(int, mnfq_socket_flush(sock), -EMSGSIZE));
	cr_expect(not(sock->open));
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 0), "it is told once");
	expect_each_verdict(1, 2, MNFQ_STOP);
	cr_expect(eq(u64, stats().unsent, 2));
}

Test(open_rounds, a_flush_tells_that_of_fed_packets_as_well)
{
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, feed_packet(7), 1));
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2;
	cr_expect(eq(int, mnfq_socket_flush(sock), -EMSGSIZE));
	cr_expect(eq(u64, stats().unsent, 1));
}

static void open_guarded(void)
{
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .timeout_ms = 50,
					       .max_delay_us = 1000 };

	mnfq_socket_close(sock);
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	bind_seven(accept_all, MNFQ_DROP);
}

/* In a wait in the receive that is the error of one in which nothing came, too. */
Test(open_rounds, a_guard_that_cannot_be_started_is_told)
{
	open_guarded();
	fake.thread_error = EAGAIN;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -EAGAIN));
	cr_expect(ne(ptr, strstr(mnfq_socket_get_error(sock), "max_delay_us"), NULL));
	cr_expect(eq(int, mnfq_socket_run(sock), -EAGAIN));
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), -EAGAIN));
	cr_expect(eq(int, mnfq_socket_cork(sock), -EAGAIN));
	cr_expect(eq(int, feed_packet(7), -EAGAIN));
	fake.thread_error = 0;
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ENOMEM));
	cr_expect(not(atomic_load(&sock->ring->busy)));
}

Test(open_rounds, without_memory_the_rest_of_a_batch_is_lost)
{
	pull_seven(4);
	accept_next();
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 1), "one of three was put back");
	fake.fail_allocation = 0;
	while (mnfq_socket_receive(sock, 0) > 0)
		while (mnfq_socket_next_packet(sock))
			;
	expect_verdict(1, MNFQ_ACCEPT);
	enqueue_packets(1);
	cr_expect(gt(int, mnfq_socket_receive(sock, 0), 0));
	accept_next();
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 0));
	cr_expect(eq(uint, fake_queued(7), 0));
	cr_expect(eq(u64, stats().lost, 1));
}

/* ---- queues and callbacks ---- */

Test(open_rounds, a_queue_that_is_bound_meanwhile_has_its_packets_fed)
{
	struct mnfq_queue *eight;

	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_assert(eq(int, mnfq_queue_bind(&eight, sock, 8, NULL, accept_all, NULL), 0));
	cr_expect(eq(int, feed_packet(8), 1));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(uint, fake_queued(8), 0));
	cr_expect(eq(u64, stats().unclaimed, 0));
}

Test(open_rounds, feeding_what_nobody_decides_is_refused)
{
	pull_seven(1);
	cr_expect(eq(int, feed_packet(7), -EINVAL));
	cr_expect(ne(ptr, strstr(mnfq_socket_get_error(sock), "without a callback"), NULL));
	expect_each_verdict(1, 2, FAKE_UNDECIDED);
	accept_next();
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_verdict(1, MNFQ_ACCEPT);
}

static enum mnfq_verdict close_it(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	cr_expect(eq(ptr, mnfq_socket_close(sock), NULL));
	return MNFQ_ACCEPT;
}

static void close_in_a_callback(void)
{
	rebind_seven(close_it, MNFQ_STOP);
	enqueue_packets(3);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), 3));
	cr_expect(eq(ptr, mnfq_socket_next_packet(sock), NULL));
	cr_expect(eq(ptr, mnfq_socket_next_packet(sock), NULL));
}

static void expect_closed(void)
{
	sock = NULL;
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_STOP));
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_STOP));
	cr_expect(not(fake.queues[0].bound));
}

Test(open_rounds, a_flush_closes_what_a_callback_closed)
{
	close_in_a_callback();
	cr_expect(eq(int, mnfq_socket_flush(sock), -ECANCELED));
	expect_closed();
}

Test(open_rounds, a_receive_closes_what_a_callback_closed)
{
	close_in_a_callback();
	cr_expect(eq(int, mnfq_socket_receive(sock, -1), -ECANCELED));
	expect_closed();
}

Test(open_rounds, a_dispatch_closes_what_a_callback_closed)
{
	close_in_a_callback();
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(uint, fake.waits, 0));
	expect_closed();
}

Test(open_rounds, a_feed_closes_what_a_callback_closed)
{
	close_in_a_callback();
	message_packet(&msg, 7, 4, 60);
	cr_expect(eq(int, feed(), -ECANCELED));
	expect_closed();
}

/* A packet that the caller should have forgotten: what it is a view of is gone, and so is its queue. */
Test(open_rounds, a_packet_of_a_batch_before_is_decided)
{
	struct mnfq_packet *packet;

	pull_seven(1);
	packet = mnfq_socket_next_packet(sock);
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), -EALREADY));
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 1), -EALREADY));
	cr_expect(eq(int, mnfq_packet_retain(&packet, packet), -EINVAL));
}

/* ---- unbinding from another thread ---- */

static void *unbind(void *arg)
{
	(void)arg;
	mnfq_queue_unbind(queue);
	return NULL;
}

static void unbind_elsewhere(void)
{
	pthread_t thread;

	cr_assert(eq(int, pthread_create(&thread, NULL, unbind, NULL), 0));
	pthread_join(thread, NULL);
}

Test(open_rounds, unbinding_waits_for_the_thread_that_pulls)
{
	pull_seven(2);
	accept_next();
	unbind_elsewhere();
	cr_assert(ne(ptr, fake_queue(7), NULL));
	cr_expect(eq(ptr, mnfq_socket_next_packet(sock), NULL));
	cr_expect(eq(ptr, fake_queue(7), NULL));
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_STOP));
}

Test(open_rounds, unbinding_waits_for_the_flush)
{
	cr_expect(eq(int, mnfq_socket_cork(sock), 0));
	cr_expect(eq(int, feed_packet(7), 1));
	unbind_elsewhere();
	expect_verdict(1, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(ptr, fake_queue(7), NULL));
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
}

/* Whoever pulls does not know that another thread has had its packet decided: it must not become another one. */
Test(open_rounds, a_packet_of_a_queue_that_is_unbound_elsewhere_is_no_other_one)
{
	struct mnfq_packet *packet, *other;
	struct mnfq_queue *eight;

	pull_seven(1);
	cr_assert(eq(int, mnfq_socket_flush(sock), 0));
	cr_assert(eq(int, mnfq_queue_bind(&eight, sock, 8, NULL, NULL, NULL), 0));
	enqueue_packets(1);
	fake_packet(8, 60, true);
	fake_packet(8, 60, true);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), 1), "what was not taken");
	accept_next();
	cr_assert(ge(int, mnfq_socket_receive(sock, 0), 3));
	packet = mnfq_socket_next_packet(sock);
	unbind_elsewhere();
	accept_next();
	other = mnfq_socket_next_packet(sock);
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_STOP), -EALREADY));
	cr_expect(eq(int, mnfq_packet_decide(other, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(u32, fake_decision(fake_queue(8), 2)->verdict, MNFQ_ACCEPT));
}

Test(open_rounds, unbinding_elsewhere_leaves_the_packets_of_other_queues)
{
	struct mnfq_packet *other;
	struct mnfq_queue *eight;

	rebind_seven(NULL, MNFQ_STOP);
	cr_assert(eq(int, mnfq_queue_bind(&eight, sock, 8, NULL, NULL, NULL), 0));
	fake_packet(8, 60, true);
	enqueue_packets(1);
	cr_assert(ge(int, mnfq_socket_receive(sock, 0), 2));
	other = mnfq_socket_next_packet(sock);
	(void)mnfq_socket_next_packet(sock);
	unbind_elsewhere();
	cr_expect(eq(ptr, mnfq_socket_next_packet(sock), NULL));
	cr_expect(eq(int, mnfq_packet_decide(other, MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(u32, fake_decision(fake_queue(8), 1)->verdict, MNFQ_ACCEPT));
}

static enum mnfq_verdict have_it_unbound(struct mnfq_packet *packet, void *data)
{
	if (seen == 0)
		unbind_elsewhere();
	cr_expect(ne(ptr, fake_queue(7), NULL));
	return accept_all(packet, data);
}

static void expect_unbound_after_one(void)
{
	cr_expect(eq(uint, seen, 1));
	cr_expect(eq(ptr, fake_queue(7), NULL));
	cr_expect(eq(u32, fake.queues[0].decisions[1].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u32, fake.queues[0].decisions[2].verdict, MNFQ_STOP));
}

Test(open_rounds, unbinding_waits_for_a_callback)
{
	rebind_seven(have_it_unbound, MNFQ_STOP);
	enqueue_packets(2);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_unbound_after_one();
}

Test(open_rounds, unbinding_waits_for_a_callback_of_one_who_pulls)
{
	rebind_seven(have_it_unbound, MNFQ_STOP);
	enqueue_packets(2);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), 2));
	cr_expect(eq(ptr, mnfq_socket_next_packet(sock), NULL));
	expect_unbound_after_one();
}

/* The last thing that dispatch does is to receive. */
static void unbind_too_late(void)
{
	fake.on_filled = NULL;
	unbind_elsewhere();
}

Test(open_rounds, unbinding_at_the_end_of_a_dispatch)
{
	fake.on_filled = unbind_too_late;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	cr_expect(eq(ptr, fake_queue(7), NULL));
	bind_seven(accept_all, MNFQ_DROP);
	pass_packets(1);
}

static void unbind_in_the_wait(void)
{
	fake.on_wait = NULL;
	unbind_elsewhere();
	mnfq_socket_stop(sock);
}

Test(open_rounds, unbinding_ends_a_wait)
{
	fake.on_wait = unbind_in_the_wait;
	cr_expect(eq(int, mnfq_socket_run(sock), 0));
	cr_expect(eq(uint, fake.waits, 1));
	cr_expect(eq(ptr, fake_queue(7), NULL));
}

/* Between the look for that and the wait: whoever unbinds does not see a wait that it would end. */
Test(open_rounds, a_wait_does_not_begin_while_something_is_to_be_unbound)
{
	atomic_store(&sock->deferred_unbind, true);
	cr_expect(eq(int, mnfq_i_wait_fill(sock, 1), -EAGAIN));
	cr_expect(eq(uint, fake.fills, 0));
}

static void *decide_in_vain(void *packet)
{
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DROP), -EINVAL));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	return NULL;
}

static enum mnfq_verdict have_it_decided(struct mnfq_packet *packet, void *data)
{
	pthread_t thread;

	cr_assert(eq(int, pthread_create(&thread, NULL, decide_in_vain, packet), 0));
	pthread_join(thread, NULL);
	return accept_all(packet, data);
}

/* What is not retained is for the callback alone. */
Test(open_rounds, another_thread_cannot_decide_what_is_in_a_callback)
{
	rebind_seven(have_it_decided, MNFQ_STOP);
	pass_packets(2);
	enqueue_packets(1);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), 1));
	cr_expect(eq(ptr, mnfq_socket_next_packet(sock), NULL));
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	expect_each_verdict(1, 3, MNFQ_ACCEPT);
}

/* ---- what rounds learn from each other ---- */

Test(open_rounds, a_round_that_a_flush_ended_counts)
{
	pull_seven(1);
	accept_next();
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(int, mnfq_socket_receive(sock, 0), 0));
	fake.fills = fake.polls = 0;
	pull_seven(1);
	accept_next();
	cr_expect(eq(int, mnfq_socket_flush(sock), 0));
	cr_expect(eq(uint, sock->flushed, 1));
	(void)mnfq_socket_receive(sock, 0);
	cr_expect(eq(uint, sock->flushed, 0));
	cr_expect(sock->single_packet);
}
