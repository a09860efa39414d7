/* SPDX-License-Identifier: MIT */
/* Many packets, and many set-ups while packets pour in. Every single one is accounted for. */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-fixture.h"

/* ---- 100,000 packets ---- */

#define PACKETS 100000u
#define HELD    256u
#define WINDOW  512u
#define MARK    0x4d51

static unsigned int deferred, most_held;

/* By its number: every tenth is dropped, every tenth is marked. */
static enum mnfq_verdict judge(struct mnfq_packet *packet)
{
	uint32_t seq = seq_of(packet);

	if (seq % 10 == 0)
		return MNFQ_DROP;
	if (seq % 10 == 5)
		(void)mnfq_packet_set_mark(packet, MARK);
	return MNFQ_ACCEPT;
}

/* A third of them waits, as long as there is room. */
static enum mnfq_verdict judge_or_defer(struct mnfq_packet *packet, void *data)
{
	fixture.seen++;
	if (fixture.retained_count >= HELD || rand() % 3 != 0)
		return judge(packet);
	deferred++;
	return retain_packet(packet, data);
}

/* Decides randomly chosen ones until @left are held. */
static void decide_until(unsigned int left)
{
	if (fixture.retained_count > most_held)
		most_held = fixture.retained_count;
	while (fixture.retained_count > left) {
		unsigned int i = (unsigned int)rand() % fixture.retained_count;
		struct mnfq_packet *packet = fixture.retained[i];

		fixture.retained[i] = fixture.retained[--fixture.retained_count];
		cr_assert(mnfq_packet_decide(packet, judge(packet)) == 0);
		mnfq_packet_free(packet);
	}
}

static void pass_all(struct tally *tally)
{
	uint32_t sent = 0;

	while (fixture.seen < PACKETS) {
		uint32_t room = WINDOW - (sent - fixture.seen);

		if (room > PACKETS - sent)
			room = PACKETS - sent;
		udp_send_many(&fixture.udp, sent, room);
		sent += room;
		cr_assert(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) > 0, "after %u: %s",
			  fixture.seen, mnfq_socket_get_error(fixture.sock));
		decide_until(fixture.retained_count < HELD ? fixture.retained_count
							   : (unsigned int)rand() % HELD);
		udp_drain(&fixture.udp, tally);
	}
	decide_until(0);
}

static void check_all(struct tally *tally, int family)
{
	struct mnfq_stats stats = fixture_stats();
	struct netns_queue kernel;

	cr_assert(udp_drain_until(&fixture.udp, tally, PACKETS / 10 * 9));
	cr_assert(tally->count == PACKETS / 10 * 9);
	cr_assert(tally->repeated == 0 && tally->strange == 0);
	for (uint32_t i = 0; i < PACKETS; i++)
		cr_assert(tally->hits[i] == (i % 10 != 0), "datagram %u", i);
	cr_assert_eq(netns_rule_packets(fixture.ns, family, "filter", "INPUT", 1), PACKETS / 10);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(fixture.seen == PACKETS && stats.packets == PACKETS);
	cr_assert(stats.accepted == PACKETS / 10 * 9 && stats.dropped == PACKETS / 10);
	cr_assert(stats.marked == PACKETS / 10);
	cr_assert(stats.deferred == deferred && stats.held == 0 && most_held == HELD);
	cr_assert(stats.lost == 0 && stats.refused == 0 && stats.defaulted == 0);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(kernel.waiting == 0 && kernel.dropped == 0 && kernel.user_dropped == 0);
}

FamilyTest(load, hundred_thousand_with_exact_counts)
{
	struct tally tally;

	srand(20);
	fixture_open(family);
	netns_rule(fixture.ns, family, "-A INPUT -m mark --mark %d", MARK);
	fixture_bind(NULL, judge_or_defer);
	tally_init(&tally, PACKETS);
	pass_all(&tally);
	check_all(&tally, family);
	tally_free(&tally);
	fixture_close();
}

/* ---- one receives, four decide ---- */

#define SHARED 40000u

/* What is held goes through a pipe, and with it to the thread that decides it. */
struct office {
	int pipe[2];
	atomic_uint failures;
};

static void *clerk(void *arg)
{
	struct office *office = arg;
	struct mnfq_packet *packet;

	while (read(office->pipe[0], &packet, sizeof(packet)) == sizeof(packet)) {
		uint32_t seq = seq_of(packet);

		if (mnfq_packet_decide(packet, seq % 10 ? MNFQ_ACCEPT : MNFQ_DROP) < 0)
			office->failures++;
		mnfq_packet_free(packet);
	}
	return NULL;
}

/* Every fourth is decided at once, so that batches and single verdicts meet. */
static enum mnfq_verdict hand_over(struct mnfq_packet *packet, void *data)
{
	struct office *office = data;
	struct mnfq_packet *copy;
	uint32_t seq = seq_of(packet);

	fixture.seen++;
	if (seq % 4 == 0)
		return seq % 10 ? MNFQ_ACCEPT : MNFQ_DROP;
	if (mnfq_packet_retain(&copy, packet) < 0 ||
	    write(office->pipe[1], &copy, sizeof(copy)) != sizeof(copy))
		abort();
	return MNFQ_DEFER;
}

QueueTest(load, four_threads_decide_what_one_receives)
{
	struct office office = { 0 };
	struct mnfq_stats stats;
	struct tally tally;
	pthread_t clerks[4];
	uint32_t sent = 0;

	cr_assert(pipe(office.pipe) == 0);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, hand_over, &office));
	tally_init(&tally, SHARED);
	for (uint32_t i = 0; i < 4; i++)
		cr_assert(pthread_create(&clerks[i], NULL, clerk, &office) == 0);
	while (fixture.seen < SHARED) {
		/* At most 1,024 may wait in the kernel, those in the pipe included. */
		while (sent < SHARED && sent - fixture.seen < 64 && fixture_stats().held < 900)
			udp_send(&fixture.udp, sent++);
		cr_assert(mnfq_socket_dispatch(fixture.sock, 1) >= 0);
		udp_drain(&fixture.udp, &tally);
	}
	close(office.pipe[1]);
	for (uint32_t i = 0; i < 4; i++)
		pthread_join(clerks[i], NULL);
	close(office.pipe[0]);
	cr_assert(udp_drain_until(&fixture.udp, &tally, SHARED / 10 * 9));
	cr_assert(tally.count == SHARED / 10 * 9 && tally.repeated == 0 && tally.strange == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	stats = fixture_stats();
	cr_assert(office.failures == 0 && stats.refused == 0 && stats.lost == 0);
	cr_assert(stats.accepted == SHARED / 10 * 9 && stats.dropped == SHARED / 10);
	cr_assert(stats.deferred == SHARED / 4 * 3 && stats.held == 0);
	tally_free(&tally);
}

/* ---- set-ups while packets pour in ---- */

/*
 * A sender whose allowance grows with each round, faster than it sends on most machines; and a
 * receiver that keeps up with it.
 */
#define ROUNDS    1000u
#define ALLOWANCE 2000u
#define FLOOD_MAX ((ROUNDS + 1) * ALLOWANCE)

struct flood {
	struct tally tally;
	uint8_t *seen; /* which numbers a callback has seen */
	pthread_t thread;
	atomic_bool stop;
	atomic_uint allowed;
	uint32_t sent;
};

static void *flood_thread(void *arg)
{
	struct flood *flood = arg;

	while (!flood->stop) {
		if (flood->sent < flood->allowed)
			udp_send(&fixture.udp, flood->sent++);
		else
			sched_yield();
		udp_drain(&fixture.udp, &flood->tally);
	}
	return NULL;
}

static void flood_start(struct flood *flood)
{
	memset(flood, 0, sizeof(*flood));
	flood->allowed = ALLOWANCE;
	flood->seen = calloc(FLOOD_MAX, 1);
	tally_init(&flood->tally, FLOOD_MAX);
	cr_assert(pthread_create(&flood->thread, NULL, flood_thread, flood) == 0);
}

/* No queue is bound any more: what was seen has arrived, exactly. */
static void flood_stop(struct flood *flood)
{
	uint32_t wrong = 0;

	flood->stop = true;
	pthread_join(flood->thread, NULL);
	udp_drain(&fixture.udp, &flood->tally);
	for (uint32_t i = 0; i < FLOOD_MAX; i++)
		wrong += flood->tally.hits[i] != flood->seen[i];
	cr_assert(wrong == 0, "%u of %u", wrong, flood->sent);
	cr_assert(flood->tally.repeated == 0 && flood->tally.strange == 0);
	tally_free(&flood->tally);
	free(flood->seen);
}

static enum mnfq_verdict note(struct mnfq_packet *packet, void *data)
{
	struct flood *flood = data;
	uint32_t seq = seq_of(packet);

	if (seq >= FLOOD_MAX)
		return MNFQ_DROP;
	flood->seen[seq]++;
	fixture.seen++;
	return MNFQ_ACCEPT;
}

static void check_clean(const struct mnfq_stats *stats)
{
	cr_assert(stats->lost == 0 && stats->truncated == 0 && stats->refused == 0,
		  "%" PRIu64 " lost, %" PRIu64 " truncated, %" PRIu64 " refused, %" PRIu64
		  " overruns",
		  stats->lost, stats->truncated, stats->refused, stats->overruns);
	cr_assert(stats->malformed == 0 && stats->forged == 0 && stats->overruns == 0);
	cr_assert(stats->packets == stats->accepted);
}

/* Each round serves at least one packet, so that the flood is really met. */
static void one_life(struct flood *flood, struct mnfq_socket *sock)
{
	struct mnfq_queue *queue;
	int n;

	expect_ok(sock, mnfq_queue_bind(&queue, sock, 1, NULL, note, flood));
	flood->allowed += ALLOWANCE;
	n = mnfq_socket_dispatch(sock, DEADLINE_MS);
	cr_assert(n > 0, "%d: %s", n, mnfq_socket_get_error(sock));
	expect_ok(sock, mnfq_queue_configure(queue, QUEUE_OPTIONS(.copy_range = 1000)));
	cr_assert(mnfq_socket_dispatch(sock, 0) >= 0);
	mnfq_queue_unbind(queue);
}

QueueTest(load, bound_and_unbound_under_load)
{
	struct mnfq_stats stats;
	struct flood flood;

	flood_start(&flood);
	for (unsigned int i = 0; i < ROUNDS / 4; i++)
		one_life(&flood, fixture.sock);
	flood_stop(&flood);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	stats = fixture_socket_stats();
	cr_assert(stats.packets == fixture.seen);
	check_clean(&stats);
	fixture.unaccounted = "nothing counts while no queue is bound";
}

QueueTest(load, thousand_set_ups_under_load)
{
	struct mnfq_stats stats;
	struct flood flood;

	fixture.sock = mnfq_socket_close(fixture.sock);
	flood_start(&flood);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name, NULL));
		one_life(&flood, fixture.sock);
		stats = fixture_socket_stats();
		check_clean(&stats);
		fixture.sock = mnfq_socket_close(fixture.sock);
	}
	flood_stop(&flood);
}
