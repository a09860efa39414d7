// SPDX-License-Identifier: MIT
/*
 * Packets that are decided later, or never, and a game in which all of it happens at once.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "sockopt.h"
#include "support/fixture.h"

TestSuite(held, .init = setup, .fini = teardown);

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

	rebind_seven(hold, fallback);
	for (i = 0; i < n; i++)
		fake_packet(7, 60, true);
	cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), (int)n));
	cr_assert(eq(u32, fake_queued(7), n));
}

Test(held, a_retained_packet_is_decided_later)
{
	uint8_t payload[100] = { 1 };
	size_t len;

	hold_all(4, MNFQ_DROP);
	cr_expect(eq(u64, stats().held, 4));
	cr_expect(eq(u64, stats().deferred, 4));
	mnfq_packet_set_mark(held[2], 5);
	cr_expect(eq(int, mnfq_packet_set_payload(held[2], payload, sizeof(payload)), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[2], MNFQ_ACCEPT), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[2], MNFQ_ACCEPT), -EALREADY));
	cr_expect(eq(int, mnfq_packet_set_payload(held[2], payload, 1), -EALREADY));
	cr_expect(eq(int, mnfq_packet_set_mark(held[2], 6), -EALREADY));
	cr_expect(eq(u32, mnfq_packet_get_payload(held[2], &len)[0], 1));
	cr_expect(fake_queue(7)->decisions[3].has_mark);
	cr_expect(eq(sz, fake_queue(7)->decisions[3].payload_len, sizeof(payload)));

	cr_expect(eq(int, mnfq_packet_decide(held[0], 99), -EINVAL));
	cr_expect(eq(int, mnfq_packet_decide(held[0], 2), -EINVAL));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DEFER), -EINVAL));
	expect_verdict(1, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_REPEAT), 0));
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

static enum mnfq_verdict hold_and_misbehave(struct mnfq_packet *packet, void *data)
{
	(void)hold(packet, data);
	return (enum mnfq_verdict)99;
}

/* The default verdict decides the copy as well. */
Test(held, no_verdict_for_a_retained_packet_is_the_default)
{
	rebind_seven(hold_and_misbehave, MNFQ_STOP);
	enqueue_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_STOP);
	cr_expect(eq(u64, stats().invalid, 1));
	cr_expect(eq(u64, stats().held, 0));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), -EALREADY));
	mnfq_packet_free(held[0]);
}

Test(held, unbinding_decides_what_is_held)
{
	hold_all(3, MNFQ_ACCEPT);
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(u32, fake.queues[0].decisions[3].verdict, MNFQ_ACCEPT));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DROP), -ENODEV));
	cr_expect(eq(ptr, mnfq_packet_get_queue(held[0]), NULL));
	cr_expect(eq(u32, mnfq_packet_get_id(held[1]), 2));
	cr_expect(eq(u64, stats().held, 0));
	cr_expect(eq(u64, stats().defaulted, 3));
	cr_expect(eq(u64, stats().accepted, 3));
	mnfq_packet_free(held[0]);
	sock = mnfq_socket_close(sock);
	mnfq_packet_free(held[1]);
	cr_expect(eq(int, mnfq_packet_decide(held[2], MNFQ_DROP), -ENODEV));
	mnfq_packet_free(held[2]);
}

static enum mnfq_verdict copy_and_accept(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_expect(eq(int, mnfq_packet_retain(&held[n_held++], packet), 0));
	return MNFQ_ACCEPT;
}

static int before, after, on_copy;

static enum mnfq_verdict hold_with_data(struct mnfq_packet *packet, void *data)
{
	cr_expect(eq(ptr, mnfq_queue_get_data(mnfq_packet_get_queue(packet)), data));
	cr_expect(eq(ptr, mnfq_packet_get_data(packet), NULL));
	mnfq_packet_set_data(packet, &before);
	cr_expect(eq(ptr, mnfq_packet_get_data(packet), &before));
	cr_expect(eq(int, mnfq_packet_retain(&held[n_held], packet), 0));
	cr_expect(eq(ptr, mnfq_packet_get_data(held[n_held]), &before));
	mnfq_packet_set_data(packet, &after);
	cr_expect(eq(ptr, mnfq_packet_get_data(held[n_held]), &after));
	mnfq_packet_set_data(held[n_held], &on_copy);
	cr_expect(eq(ptr, mnfq_packet_get_data(packet), &after), "the original keeps its own");
	n_held++;
	return MNFQ_DEFER;
}

Test(held, what_the_user_keeps_with_a_packet_is_on_the_copy)
{
	rebind_seven(hold_with_data, MNFQ_DROP);
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(ptr, mnfq_packet_get_data(held[0]), &on_copy));
	cr_expect(eq(u16, mnfq_packet_get_queue_num(held[0]), 7));
	queue = mnfq_queue_unbind(queue);
	cr_expect(eq(ptr, mnfq_packet_get_data(held[1]), &on_copy));
	cr_expect(eq(u16, mnfq_packet_get_queue_num(held[0]), 7), "without its queue, too");
	cr_expect(eq(ptr, mnfq_packet_get_queue(held[0]), NULL));
	mnfq_packet_set_data(NULL, &before);
	cr_expect(eq(ptr, mnfq_packet_get_data(NULL), NULL));
	cr_expect(eq(ptr, mnfq_queue_get_data(NULL), NULL));
	cr_expect(eq(u16, mnfq_packet_get_queue_num(NULL), 0));
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[1]);
}

Test(held, a_copy_of_a_decided_packet_can_only_be_read)
{
	rebind_seven(copy_and_accept, MNFQ_DROP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_DROP), -EALREADY));
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
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 9), 0), "it is undecided");
	return mnfq_packet_get_id(packet) == 2 ? MNFQ_DEFER : MNFQ_ACCEPT;
}

/* As on an error path of a callback that wanted to keep the packet. */
Test(held, a_copy_freed_in_its_callback_was_never_retained)
{
	rebind_seven(copy_and_free, MNFQ_STOP);
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 3));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, MNFQ_ACCEPT);
	cr_expect(fake_queue(7)->decisions[3].has_mark);
	cr_expect(eq(u64, stats().accepted, 2));
	cr_expect(eq(u64, stats().defaulted, 1), "deferred, and not decided later");
	cr_expect(eq(u64, stats().invalid, 1));
	cr_expect(eq(u64, stats().deferred, 0));
	cr_expect(eq(u64, stats().held, 0));
}

static enum mnfq_verdict decide_copy_and_free(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet *copy;

	(void)data;
	cr_expect(eq(int, mnfq_packet_retain(&copy, packet), 0));
	cr_expect(eq(int, mnfq_packet_decide(copy, MNFQ_DROP), 0));
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 9), -EALREADY));
	mnfq_packet_free(copy);
	return MNFQ_ACCEPT; /* too late */
}

Test(held, a_copy_decided_and_freed_in_its_callback_is_decided)
{
	rebind_seven(decide_copy_and_free, MNFQ_STOP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, MNFQ_DROP);
	cr_expect(eq(u64, stats().dropped, 1));
	cr_expect(eq(u64, stats().accepted, 0));
	cr_expect(eq(u64, stats().defaulted, 0));
}

Test(held, a_gap_above_a_held_packet_waits_for_it)
{
	hold_all(1, MNFQ_STOP);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, FAKE_UNDECIDED);
	expect_verdict(2, FAKE_UNDECIDED);
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, FAKE_UNDECIDED);
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[1]);
}

/*
 * Against a model: packets come, are taken by others, lost, held and decided in random order, over
 * many rounds. Each must end with the verdict that it was given, or the default if no callback saw it.
 * Where sending fails or is refused now and then, the default may take the place of what was not
 * obeyed, but never another packet's verdict.
 */
static uint32_t seed, expected[FAKE_IDS];
static enum { NO_TROUBLE, SENDING_FAILS, REFUSED, REFUSED_UNREAD, ANSWERS_LOST } trouble;

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
		while (mnfq_packet_decide(packet, expected[id]) != 0)
			cr_assert(trouble == SENDING_FAILS);
	}
	held[i] = held[--n_held];
	mnfq_packet_free(packet);
}

static enum mnfq_verdict play(struct mnfq_packet *packet, void *data)
{
	uint32_t id = mnfq_packet_get_id(packet), choice = random32() % 64;

	(void)data;
	if (random32() % 32 == 0)
		mnfq_socket_stop(sock);
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

static void refuse(void)
{
	bool refused = random32() % 4 == 0;

	fake.no_right = refused && random32() % 2;
	fake_queue(7)->error = refused && !fake.no_right ? -EPERM : 0;
	fake.lose_answers = trouble == ANSWERS_LOST && random32() % 4 == 0 ? random32() % 3 : 0;
}

/*
 * All that is there. Failures to send come in short rows, so that those of releases are met. Verdicts
 * are refused because the right is missing or another socket owns the queue, until all answers have
 * been read (REFUSED) or for single rounds, and the receive buffer may be full. Otherwise steps of a release may be left to the next time.
 */
static void stop(void)
{
	mnfq_socket_stop(sock);
}

/* A receive takes longer now and then, as if it had waited. */
static void take_time(void)
{
	fake.clock_ns += random32() % 2 * 10000;
}

static void serve(bool may_fail)
{
	int n;

	fake.clock_ms += random32() % 200;
	fake.no_right = false;
	fake_queue(7)->error = 0;
	fake.lose_answers = 0;
	if (may_fail && trouble == REFUSED)
		refuse();
	do {
		if (may_fail && trouble >= REFUSED_UNREAD)
			refuse();
		if (may_fail && trouble == SENDING_FAILS && random32() % 4 == 0) {
			fake.send_error = EMSGSIZE;
			fake.send_errors = 1 + random32() % 3;
		}
		n = mnfq_socket_dispatch(sock, random32() % 2 ? 0 : -1);
		cr_assert(n >= 0 || n == -ECANCELED ||
			  (trouble == SENDING_FAILS && n == -EMSGSIZE) ||
			  (trouble >= REFUSED && n == -EPERM));
	} while (n != 0 || (fake_unread() > 0 && (!may_fail || trouble >= REFUSED)));
}

/* More than one step of a release has; some were never there. */
static void lose_many(void)
{
	uint32_t n = random32() % 300;

	while (n-- > 0) {
		expected[fake_queue(7)->next_id] = MNFQ_STOP;
		if (random32() % 4 == 0)
			fake_overrun(7);
		else
			fake_packet(7, 40, false);
	}
}

static void play_a_game(uint32_t new_seed)
{
	uint32_t id, round, i;

	seed = new_seed;
	n_held = 0;
	bind_seven(play, MNFQ_STOP);
	fake.verdict_ns = 10000;
	fake.on_wait = fake.on_poll = stop;
	fake.on_fill = take_time;
	sock->round_ns = new_seed % 2 ? 0 : 300000;
	fake.loses_if_unread = true;
	sock->buffer = trouble == ANSWERS_LOST ? 1 : sock->buffer;
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
		if (random32() % 16 == 0)
			lose_many();
		serve(true);
		while (n_held > 0 && random32() % 4 == 0)
			decide_one();
	}
	/* Something to show the last gap by, and the end of all that is held. */
	fake.send_errors = 0;
	for (i = 0; i < 2; i++) {
		fake.clock_ms += 10000; /* beyond each pause */
		expected[fake_packet(7, 40, true)] = FAKE_UNDECIDED;
		serve(false);
		while (n_held > 0)
			decide_one();
	}
	cr_assert(eq(u32, fake_queued(7), 0), "seed %u", new_seed);
	for (id = 1; id < fake_queue(7)->next_id; id++) {
		uint32_t is = fake_queue(7)->decisions[id].verdict;

		if (is == FAKE_UNDECIDED) /* an overrun was never there */
			continue;
		if (trouble == NO_TROUBLE || is != MNFQ_STOP)
			cr_assert(eq(u32, is, expected[id]), "seed %u packet %u", new_seed, id);
	}
	cr_assert(trouble >= REFUSED || stats().refused == 0);
	queue = mnfq_queue_unbind(queue);
}

Test(held, no_failure_gives_a_packet_the_verdict_of_another)
{
	uint32_t game;

	mnfq_queue_unbind(queue);
	trouble = SENDING_FAILS;
	for (game = 1; game <= 50; game++)
		play_a_game(game);
	cr_expect(ge(u64, stats().unsent, 1000));
}

Test(held, no_refusal_gives_a_packet_the_verdict_of_another)
{
	uint32_t game;

	mnfq_queue_unbind(queue);
	trouble = REFUSED;
	for (game = 1; game <= 50; game++)
		play_a_game(game);
	cr_expect(ge(u64, stats().refused, 1000));
}

/* The right comes back while the answers to what was refused are behind packets that are unread. */
Test(held, no_refusal_that_is_unread_gives_a_packet_the_verdict_of_another)
{
	uint32_t game;

	mnfq_queue_unbind(queue);
	trouble = REFUSED_UNREAD;
	for (game = 1; game <= 50; game++)
		play_a_game(game);
	cr_expect(ge(u64, stats().refused, 1000));
}

/* Nor does one whose answer does not fit into the receive buffer. */
Test(held, no_refusal_that_is_lost_gives_a_packet_the_verdict_of_another)
{
	uint32_t game;

	mnfq_queue_unbind(queue);
	trouble = ANSWERS_LOST;
	for (game = 1; game <= 50; game++)
		play_a_game(game);
	cr_expect(ge(u64, stats().refused, 1000));
}

Test(held, every_packet_ends_with_its_own_verdict)
{
	uint32_t game;

	mnfq_queue_unbind(queue);
	for (game = 1; game <= 50; game++)
		play_a_game(game);
	cr_expect(ge(u32, fake.batch_verdicts, 1000));
	cr_expect(ge(u64, stats().lost, 1000));
	cr_expect(ge(u64, stats().deferred, 1000));
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
	return err < 0 ? err : mnfq_packet_decide(held[0], MNFQ_ACCEPT);
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

static void *decide_in_thread(void *arg)
{
	cr_expect(eq(int, mnfq_packet_decide(arg, MNFQ_ACCEPT), 0));
	return NULL;
}

static enum mnfq_verdict hold_three(struct mnfq_packet *packet, void *data)
{
	uint32_t id = mnfq_packet_get_id(packet);
	pthread_t thread;

	(void)data;
	if (id == 3) {
		cr_assert(eq(int, mnfq_packet_retain(&held[0], packet), 0));
		return MNFQ_DEFER;
	}
	if (id == 6) {
		cr_assert(eq(int, pthread_create(&thread, NULL, decide_in_thread, held[0]), 0));
		pthread_join(thread, NULL);
	}
	return MNFQ_ACCEPT;
}

/* 5 is lost while 3 is held; that 3 is decided elsewhere must not decide 1, 2 and 4, whose verdicts
 * have not left yet. */
Test(held, another_thread_does_not_overtake_the_outbox)
{
	uint32_t id;

	rebind_seven(hold_three, MNFQ_STOP);
	for (id = 1; id <= 7; id++)
		fake_packet(7, 60, id != 5);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 6));
	for (id = 1; id <= 7; id++)
		expect_verdict(id, id == 5 ? MNFQ_STOP : MNFQ_ACCEPT);
	cr_expect(eq(u64, stats().refused, 0));
	mnfq_packet_free(held[0]);
}

static enum mnfq_verdict decide_two_elsewhere(struct mnfq_packet *packet, void *data)
{
	pthread_t thread;

	(void)data;
	if (mnfq_packet_get_id(packet) != 2)
		return MNFQ_ACCEPT;
	cr_assert(eq(int, mnfq_packet_retain(&held[0], packet), 0));
	cr_assert(eq(int, pthread_create(&thread, NULL, decide_in_thread, held[0]), 0));
	pthread_join(thread, NULL);
	return MNFQ_DEFER;
}

/* 1 and 3 get one batch verdict, with a refusal in between: what is released begins below 1. */
Test(held, a_release_below_a_run_spares_its_first_packet)
{
	uint32_t id;

	rebind_seven(decide_two_elsewhere, MNFQ_STOP);
	for (id = 1; id <= 3; id++)
		fake_packet(7, 60, true);
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 3));
	for (id = 1; id <= 3; id++)
		expect_verdict(id, MNFQ_ACCEPT);
	mnfq_packet_free(held[0]);
}

static enum mnfq_verdict hold_first(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_id(packet) > 1)
		return MNFQ_ACCEPT;
	cr_assert(eq(int, mnfq_packet_retain(&held[0], packet), 0));
	return MNFQ_DEFER;
}

Test(held, a_packet_freed_in_vain_is_not_overtaken)
{
	rebind_seven(hold_first, MNFQ_STOP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	fake.send_error = EMSGSIZE;
	fake.send_errors = 2;
	mnfq_packet_free(held[0]);
	fake.clock_ms += 100;
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_ACCEPT);
	expect_verdict(3, MNFQ_ACCEPT);
}

static enum mnfq_verdict rewrite_largely(struct mnfq_packet *packet, void *data)
{
	static uint8_t big[65000];
	uint32_t id = mnfq_packet_get_id(packet);

	if (id == 1)
		return hold_first(packet, data);
	if (id == 4) { /* the outbox is full; sending the others' verdicts fails */
		fake.send_error = EMSGSIZE;
		fake.send_errors = 2;
		cr_expect(eq(int, mnfq_packet_set_payload(held[0], big, sizeof(big)), 0));
		cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	} else {
		cr_expect(eq(int, mnfq_packet_set_payload(packet, big, sizeof(big)), 0));
	}
	return MNFQ_ACCEPT;
}

Test(held, a_failure_of_others_is_not_ones_own)
{
	uint32_t id;

	rebind_seven(rewrite_largely, MNFQ_STOP);
	for (id = 1; id <= 4; id++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 4));
	expect_verdict(1, MNFQ_ACCEPT);
	expect_verdict(4, MNFQ_ACCEPT);
	cr_expect(ne(u64, stats().unsent, 0));
	cr_expect(eq(u32, fake_queued(7), 0));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EMSGSIZE));
	mnfq_packet_free(held[0]);
}

static enum mnfq_verdict hold_one_free_it_at_two(struct mnfq_packet *packet, void *data)
{
	uint32_t id = mnfq_packet_get_id(packet);

	if (id == 1)
		return hold_first(packet, data);
	if (id == 2)
		cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	return MNFQ_ACCEPT;
}

static enum mnfq_verdict hold_one_copy_two(struct mnfq_packet *packet, void *data)
{
	uint32_t id = mnfq_packet_get_id(packet);

	if (id == 1)
		return hold_first(packet, data);
	if (id == 2) {
		mnfq_packet_decide(held[0], MNFQ_ACCEPT);
		cr_assert(eq(int, mnfq_packet_retain(&held[1], packet), 0));
	}
	return MNFQ_ACCEPT;
}

/* 2 is handed to us behind 3, by which time it counts as lost and waits to be released. */
static void hand_over_late(mnfq_callback callback)
{
	static const uint32_t order[] = { 1, 3, 2 };
	uint32_t i;

	rebind_seven(callback, MNFQ_STOP);
	for (i = 0; i < 3; i++)
		fake_packet(7, 60, false);
	for (i = 0; i < 3; i++) {
		message_packet(&msg, 7, order[i], 60);
		cr_expect(eq(int, feed(), 1));
	}
	for (i = 1; i <= 3; i++)
		expect_verdict(i, MNFQ_ACCEPT);
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[1]);
}

Test(held, a_late_packet_is_not_released_in_its_callback)
{
	hand_over_late(hold_one_free_it_at_two);
	hand_over_late(hold_one_copy_two);
}

Test(held, a_packet_freed_in_vain_is_counted)
{
	hold_all(1, MNFQ_STOP);
	fake.send_error = EMSGSIZE;
	fake.send_errors = 1;
	mnfq_packet_free(held[0]);
	cr_expect(eq(u64, stats().stopped, 1));
	cr_expect(eq(u64, stats().defaulted, 1));
	cr_expect(eq(u64, stats().unsent, 0), "it was not decided otherwise");
	cr_expect(eq(u64, stats().held, 0));
}

/* As another thread does while the receiver sleeps. */
static void free_in_vain(void)
{
	if (fake.polls > 1) {
		mnfq_socket_stop(sock);
		return;
	}
	fake.send_error = ENOBUFS;
	fake.send_errors = 2; /* the default verdict, and its release */
	mnfq_packet_free(held[0]);
	cr_expect(ne(sz, fake_unread(), 0), "the receiver wakes up");
}

Test(held, a_release_that_fails_elsewhere_wakes_the_receiver)
{
	hold_all(1, MNFQ_STOP);
	fake.polls = 0;
	fake.on_poll = free_in_vain;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	fake.on_poll = NULL;
	cr_expect(eq(u32, fake.polls, 2));
	expect_verdict(1, MNFQ_STOP);
}

/* An event loop has no timer until it is told of a failure. */
Test(held, a_release_that_fails_elsewhere_is_tried_again_or_told)
{
	hold_all(2, MNFQ_STOP);
	fake.polls = 0;
	free_in_vain();
	while (fake_unread() > 0)
		cr_assert(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	expect_verdict(1, MNFQ_STOP);

	held[0] = held[1];
	free_in_vain();
	fake.send_errors = 1; /* the receiver tries in vain, too */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENOBUFS));
	fake.clock_ms += 100;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	expect_verdict(2, MNFQ_STOP);
}

/* Packets that were freed in vain wait for the kernel, not for others, which are held above them. */
Test(held, a_release_that_failed_elsewhere_keeps_its_place)
{
	hold_all(4, MNFQ_STOP);
	fake.polls = 0;
	fake.send_error = ENOBUFS;
	fake.send_errors = 10000;
	held[0] = mnfq_packet_free(held[0]);
	held[1] = mnfq_packet_free(held[1]);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1), "one more that is held");
	cr_expect(eq(u32, fake.sleeps, 0), "no wait for memory");
	fake.send_errors = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ENOBUFS));
	fake.clock_ms += 100;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, FAKE_UNDECIDED);
	cr_expect(eq(u32, fake_queued(7), 3));
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1), "and all is well again");
}

static enum mnfq_verdict hold_two_and_decide_the_first(struct mnfq_packet *packet, void *data)
{
	if (mnfq_packet_get_id(packet) < 4)
		return hold(packet, data);
	fake.send_errors = 1002; /* until the round gives up, beyond the verdict below */
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	return hold(packet, data);
}

/* 2 was lost, and waits for 1. */
Test(held, a_release_in_a_round_that_fails_keeps_its_place)
{
	rebind_seven(hold_two_and_decide_the_first, MNFQ_STOP);
	fake.send_error = ENOBUFS;
	fake_packet(7, 60, true);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 3));
	fake.send_errors = 0;
	while (mnfq_socket_dispatch(sock, 0) < 0)
		fake.clock_ms += 100;
	expect_verdict(1, MNFQ_STOP);
	expect_verdict(2, MNFQ_STOP);
	expect_verdict(3, FAKE_UNDECIDED);
}

static void stop_the_wait(void)
{
	mnfq_socket_stop(sock);
}

/* A release that waits for a packet that is held has nothing to do with time. */
Test(held, who_waits_for_a_held_packet_does_not_spin)
{
	hold_all(1, MNFQ_STOP);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	fake.on_poll = stop_the_wait;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	cr_expect(eq(int, fake.poll_timeout, -1));
	fake.on_poll = NULL;
	mnfq_packet_free(held[0]);
	expect_verdict(2, MNFQ_STOP);
	mnfq_packet_free(held[1]);
}

/* As another thread does while the receiver sleeps. */
static void decide_the_first(void)
{
	if (fake.polls == 1)
		cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	else
		mnfq_socket_stop(sock);
}

/* The packet that keeps a release back is decided while that pauses after a failure. */
Test(held, who_waits_for_a_pause_does_not_sleep_on)
{
	hold_all(1, MNFQ_STOP);
	fake_packet(7, 60, false);
	fake_packet(7, 60, true);
	message_error(&msg, -EPERM, MNFQ_I_MSG(NFQNL_MSG_VERDICT), 1, queue->tag);
	fake_datagram(msg.bytes, msg.len, 0);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -EPERM));
	while (mnfq_socket_dispatch(sock, 0) > 0 || fake_unread() > 0)
		;
	fake.polls = 0;
	fake.on_poll = decide_the_first;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, -1), -ECANCELED));
	fake.on_poll = NULL;
	expect_verdict(2, MNFQ_STOP);
	mnfq_packet_free(held[0]);
	mnfq_packet_free(held[1]);
}

/* ---- no thread sleeps with the lock, for which the threads that decide wait ---- */

static void *try_lock(void *arg)
{
	bool *locked = arg;

	*locked = pthread_mutex_trylock(&sock->lock) != 0;
	if (!*locked)
		pthread_mutex_unlock(&sock->lock);
	return NULL;
}

static void expect_unlocked(void)
{
	bool locked = true;
	pthread_t thread;

	cr_assert(eq(int, pthread_create(&thread, NULL, try_lock, &locked), 0));
	pthread_join(thread, NULL);
	cr_expect(not(locked));
}

static void run_short_of_memory(void)
{
	fake.send_error = ENOBUFS;
	fake.send_errors = 3;
}

static enum mnfq_verdict fill_the_outbox(struct mnfq_packet *packet, void *data)
{
	static uint8_t big[60000];
	uint32_t id = mnfq_packet_get_id(packet);

	if (id == 1)
		return hold_first(packet, data);
	if (id == 4) {
		run_short_of_memory();
		cr_expect(eq(int, mnfq_packet_set_payload(held[0], big, sizeof(big)), 0));
		cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	} else {
		cr_expect(eq(int, mnfq_packet_set_payload(packet, big, sizeof(big)), 0));
	}
	return MNFQ_ACCEPT;
}

Test(held, a_verdict_in_a_callback_sleeps_without_the_lock)
{
	uint32_t id;

	rebind_seven(fill_the_outbox, MNFQ_STOP);
	fake.on_sleep = expect_unlocked;
	for (id = 1; id <= 4; id++)
		fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 4));
	cr_expect(eq(u32, fake.sleeps, 3));
	for (id = 1; id <= 4; id++)
		expect_verdict(id, MNFQ_ACCEPT);
	mnfq_packet_free(held[0]);
}

static enum mnfq_verdict decide_in_vain(struct mnfq_packet *packet, void *data)
{
	uint32_t id = mnfq_packet_get_id(packet);

	if (id == 1)
		return hold_first(packet, data);
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), -EMSGSIZE));
	return MNFQ_ACCEPT;
}

/* Another user of the socket shrinks its send buffer to the least. */
Test(held, a_verdict_that_is_too_large_leaves_the_packet_undecided)
{
	static uint8_t big[9000];

	rebind_seven(decide_in_vain, MNFQ_STOP);
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	fake.send_buffer = 4608;
	sock->send_max = mnfq_i_get_send_max(sock->fd);
	cr_expect(eq(int, mnfq_packet_set_payload(held[0], big, sizeof(big)), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), -EMSGSIZE));
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_verdict(1, FAKE_UNDECIDED);
	expect_verdict(2, MNFQ_ACCEPT);
	cr_expect(eq(int, mnfq_packet_set_payload(held[0], big, 100), 0));
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	mnfq_packet_free(held[0]);
}

Test(held, a_late_verdict_does_not_sleep)
{
	hold_all(1, MNFQ_STOP);
	run_short_of_memory();
	fake.on_sleep = expect_unlocked;
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), -ENOBUFS));
	cr_expect(eq(u32, fake.sleeps, 0));
	fake.send_errors = 0;
	cr_expect(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0), "it was undecided");
	expect_verdict(1, MNFQ_ACCEPT);
	mnfq_packet_free(held[0]);
}
