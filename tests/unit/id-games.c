// SPDX-License-Identifier: MIT
/*
 * Against a model: packets are decided at once, in hand, or later by their ids, with callbacks, pulled, or fed while
 * verdicts are gathered. Meanwhile something goes wrong. Each packet ends with its own verdict, or, where there is
 * trouble, with the default one: never with that of another.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "support/fixture.h"

TestSuite(id_games, .init = setup, .fini = teardown);

enum trouble { NO_TROUBLE, NO_RIGHT, REFUSED, ANSWERS_LOST, SENDING_FAILS, LOST, LATE, TROUBLES };
enum way { CALLBACK, PULLED, FED, WAYS };

static enum trouble trouble;
static enum way way;
static uint32_t waiting[FAKE_IDS];
static unsigned int n_waiting;
static uint32_t base;                        /* the ids begin behind it */
static struct mnfq_packet *copies[FAKE_IDS]; /* by id, from there on */

static struct mnfq_packet **copy_of(uint32_t id)
{
	return &copies[id - base];
}

/* What each packet is to get: by its id. */
static enum mnfq_verdict wanted(uint32_t id)
{
	static const enum mnfq_verdict verdicts[] = { MNFQ_ACCEPT, MNFQ_STOP, MNFQ_ACCEPT,
						      MNFQ_REPEAT };

	return verdicts[id / 5 % 4];
}

static bool one_of(int n)
{
	return rand() % n == 0;
}

static void take_out(unsigned int at, unsigned int n)
{
	for (unsigned int i = at; i < at + n; i++)
		*copy_of(waiting[i]) = mnfq_packet_free(*copy_of(waiting[i]));
	memmove(waiting + at, waiting + at + n, (n_waiting - at - n) * sizeof(*waiting));
	n_waiting -= n;
}

static void decide(unsigned int at, unsigned int n)
{
	int done = mnfq_queue_decide(queue, waiting + at, n, wanted(waiting[at]));

	if (trouble == SENDING_FAILS && done < (int)n) {
		take_out(at, done > 0 ? (unsigned int)done : 0);
		return;
	}
	cr_assert(eq(int, done, (int)n));
	take_out(at, n);
}

static void decide_some(unsigned int n)
{
	for (; n > 0 && n_waiting > 0; n--)
		decide(one_of(3) ? (unsigned int)rand() % n_waiting : 0, 1);
}

/* Equal ones at the beginning, in one call. */
static void decide_run(void)
{
	unsigned int n = 1;

	while (n < n_waiting && wanted(waiting[n]) == wanted(waiting[0]))
		n++;
	if (n_waiting > 0)
		decide(0, n);
}

static void put_off(struct mnfq_packet *packet)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	waiting[n_waiting++] = id;
	if (!one_of(6))
		return;
	cr_assert(eq(int, mnfq_packet_retain(copy_of(id), packet), 0));
	cr_expect(eq(int, mnfq_packet_set_mark(*copy_of(id), id), 0));
}

static enum mnfq_verdict play(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	if (one_of(20))
		decide_some(2);
	if (one_of(30))
		mnfq_socket_stop(sock);
	if (one_of(2)) {
		put_off(packet);
		return MNFQ_DEFER;
	}
	if (one_of(10)) {
		cr_expect(eq(int, mnfq_packet_decide(packet, wanted(id)), 0));
		if (one_of(2))
			(void)mnfq_socket_flush(sock);
		return MNFQ_DROP;
	}
	return wanted(id);
}

static void decide_pulled(struct mnfq_packet *packet)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	if (one_of(4)) {
		put_off(packet);
		cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DEFER), 0));
	} else {
		cr_expect(eq(int, mnfq_packet_decide(packet, wanted(id)), 0));
	}
}

static void pull_some(void)
{
	struct mnfq_packet *packets[64], *packet;
	unsigned int n = 0, i;

	while ((packet = mnfq_socket_next_packet(sock)))
		packets[n++] = packet;
	for (; n > 0; n--) {
		i = one_of(2) ? (unsigned int)rand() % n : 0;
		decide_pulled(packets[i]);
		memmove(packets + i, packets + i + 1, (n - i - 1) * sizeof(*packets));
		if (one_of(16))
			decide_some(1);
		if (one_of(16))
			(void)mnfq_socket_flush(sock);
	}
}

/* ---- what comes, and how it is taken ---- */

static uint32_t late; /* its message is still to come; 0: none */

static void send_message(uint32_t id)
{
	message_packet(&msg, 7, id, 60);
	if (way == FED)
		cr_assert(mnfq_socket_get_error(sock) && feed() > -EINVAL);
	else
		fake_datagram(msg.bytes, msg.len, 0);
}

static void come(void)
{
	const bool missing = (trouble == LOST || trouble == LATE) && one_of(20);
	uint32_t id;

	if (trouble == LOST && one_of(40)) {
		fake_overrun(7);
		return;
	}
	id = fake_packet(7, 60, way != FED && !missing);
	if (way == FED && !missing)
		send_message(id);
	if (late && one_of(10)) {
		send_message(late);
		late = 0;
	} else if (missing && trouble == LATE && !late) {
		late = id;
	}
}

static void begin_trouble(void)
{
	fake.no_right = trouble == NO_RIGHT && one_of(4);
	if (trouble == REFUSED || trouble == ANSWERS_LOST)
		fake_queue(7)->error = one_of(4) ? -EPERM : 0;
	if (trouble == ANSWERS_LOST && one_of(4))
		fake.lose_answers = (unsigned int)rand() % 3;
	if (trouble == SENDING_FAILS && one_of(4)) {
		fake.send_error = EMSGSIZE;
		fake.send_errors = 1 + (unsigned int)rand() % 3;
	}
}

static void end_trouble(void)
{
	fake.no_right = false;
	fake_queue(7)->error = 0;
	fake.lose_answers = fake.send_errors = 0;
}

static void serve(void)
{
	if (way == PULLED && mnfq_socket_receive(sock, 0) > 0)
		pull_some();
	else if (way != PULLED)
		(void)mnfq_socket_dispatch(sock, 0);
}

static void play_round(void)
{
	unsigned int i;

	if (way == FED && one_of(2))
		(void)mnfq_socket_cork(sock);
	begin_trouble();
	for (i = (unsigned int)rand() % 40 + 1; i > 0; i--)
		come();
	if (way != FED || one_of(4))
		serve();
	if (one_of(3))
		(void)mnfq_socket_cork(sock);
	if (one_of(2))
		decide_some((unsigned int)rand() % 30);
	else
		decide_run();
	(void)mnfq_socket_flush(sock);
	if (one_of(3))
		end_trouble();
}

static void expect_end(unsigned int seed)
{
	uint32_t id;

	cr_assert(eq(u32, fake_queued(7), 0), "trouble %d, way %d, seed %u", trouble, way, seed);
	for (id = base + 1; id != fake_queue(7)->next_id; id++) {
		const struct fake_decision *is = fake_decision(fake_queue(7), id);

		if (is->verdict == FAKE_UNDECIDED || (trouble && is->verdict == MNFQ_DROP))
			continue;
		cr_assert(eq(u32, is->verdict, wanted(id)),
			  "trouble %d, way %d, seed %u: packet %u", trouble, way, seed, id);
		cr_assert(is->has_mark == 0 || is->mark == id);
	}
}

static void play_a_game(unsigned int seed)
{
	unsigned int i;

	srand(seed);
	n_waiting = late = 0;
	base = seed % 2 ? 0 : UINT32_MAX - 500;
	rebind_seven(way == PULLED ? NULL : play, MNFQ_DROP);
	fake_set_base(7, base);
	queue->decided_id = base;
	queue->next_id = base + 1;
	fake.loses_if_unread = true;
	sock->buffer = trouble == ANSWERS_LOST ? 1 : 1 << 20;
	for (i = 0; i < 150; i++)
		play_round();
	end_trouble();
	for (i = 0; i < 100; i++) {
		fake.clock_ms += 1000;
		if (i < 2) /* they show what is missing */
			send_message(fake_packet(7, 60, false));
		serve();
		decide_some(n_waiting);
		(void)mnfq_socket_flush(sock);
	}
	expect_end(seed);
}

static void play_games(enum trouble with)
{
	unsigned int seed;

	trouble = with;
	for (way = CALLBACK; way < WAYS; way++)
		for (seed = 1; seed <= 15; seed++)
			play_a_game(seed);
}

Test(id_games, nothing_goes_wrong)
{
	play_games(NO_TROUBLE);
	cr_expect(eq(u64, stats().refused, 0));
	cr_expect(eq(u64, stats().lost, 0));
}

Test(id_games, the_right_is_missing)
{
	play_games(NO_RIGHT);
	cr_expect(ge(u64, stats().refused, 100));
}

Test(id_games, verdicts_are_refused)
{
	play_games(REFUSED);
	cr_expect(ge(u64, stats().refused, 100));
}

Test(id_games, answers_are_lost)
{
	play_games(ANSWERS_LOST);
	cr_expect(ge(u64, stats().refused, 100));
}

Test(id_games, verdicts_cannot_be_sent)
{
	play_games(SENDING_FAILS);
	cr_expect(ge(u64, stats().unsent, 100));
}

Test(id_games, messages_are_lost)
{
	play_games(LOST);
	cr_expect(ge(u64, stats().lost, 100));
}

Test(id_games, messages_are_late)
{
	play_games(LATE);
	cr_expect(ge(u64, stats().lost, 100));
}
