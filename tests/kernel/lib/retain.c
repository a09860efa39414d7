/* SPDX-License-Identifier: MIT */
/* Verdicts that come later, in any order, from any thread, or never. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"

static void keep(int family, enum mnfq_verdict default_verdict, unsigned int count)
{
	fixture_open(family);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = default_verdict), retain_packet);
	udp_send_many(&fixture.udp, 0, count);
	fixture_serve(count);
	cr_assert(fixture.retained_count == count);
	expect_counts(.held = count, .deferred = count);
}

static void shuffle(void)
{
	unsigned int j;

	srand(4711);
	for (unsigned int i = fixture.retained_count - 1; i > 0; i--) {
		struct mnfq_packet *other = fixture.retained[i];

		j = (unsigned int)rand() % (i + 1);
		fixture.retained[i] = fixture.retained[j];
		fixture.retained[j] = other;
	}
}

FamilyTest(retain, decided_in_random_order)
{
	keep(family, MNFQ_DROP, 300);
	shuffle();
	for (unsigned int i = 0; i < 300; i++) {
		uint32_t seq = seq_of(fixture.retained[i]);

		cr_assert(mnfq_packet_decide(fixture.retained[i],
					     seq % 3 ? MNFQ_ACCEPT : MNFQ_DROP) == 0);
		cr_assert(mnfq_packet_free(fixture.retained[i]) == NULL);
		if (seq % 3)
			fixture_expect(seq, 1);
	}
	fixture_expect_nothing();
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	expect_counts(.accepted = 200, .dropped = 100);
	fixture_close();
}

struct share {
	unsigned int first, failures;
};

static void *decide_share(void *arg)
{
	struct share *share = arg;

	for (unsigned int i = share->first; i < fixture.retained_count; i += 4) {
		share->failures += mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT) != 0;
		mnfq_packet_free(fixture.retained[i]);
	}
	return NULL;
}

Test(retain, decided_by_four_threads)
{
	struct share shares[4];
	pthread_t threads[4];
	struct tally tally;

	keep(4, MNFQ_DROP, 1000);
	shuffle();
	for (unsigned int i = 0; i < 4; i++) {
		shares[i] = (struct share){ .first = i };
		cr_assert(pthread_create(&threads[i], NULL, decide_share, &shares[i]) == 0);
	}
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_assert(shares[i].failures == 0);
	}
	tally_init(&tally, 1000);
	cr_assert(udp_drain_until(&fixture.udp, &tally, 1000));
	cr_assert(tally.count == 1000 && tally.repeated == 0 && tally.strange == 0);
	tally_free(&tally);
	expect_counts(.accepted = 1000);
	fixture_close();
}

static enum mnfq_verdict keep_some(struct mnfq_packet *packet, void *data)
{
	return seq_of(packet) % 10 == 3 ? retain_packet(packet, data) : MNFQ_ACCEPT;
}

/* The verdicts for those around them are sent in batches, which must not reach over them. */
QueueTest(retain, a_batch_does_not_decide_what_is_held)
{
	struct netns_queue queue;
	struct tally tally;

	fixture_bind(NULL, keep_some);
	udp_send_many(&fixture.udp, 0, 500);
	fixture_serve(500);
	tally_init(&tally, 500);
	cr_assert(udp_drain_until(&fixture.udp, &tally, 450));
	for (unsigned int i = 0; i < 500; i++)
		cr_assert(tally.hits[i] == (i % 10 != 3), "datagram %u", i);
	cr_assert(netns_get_queue(fixture.ns, 1, &queue) && queue.waiting == 50);
	for (unsigned int i = 0; i < 50; i++) {
		cr_assert(mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT) == 0);
		mnfq_packet_free(fixture.retained[i]);
	}
	cr_assert(udp_drain_until(&fixture.udp, &tally, 500) && tally.repeated == 0);
	tally_free(&tally);
}

static void freed_undecided(enum mnfq_verdict default_verdict)
{
	struct mnfq_stats stats;

	keep(4, default_verdict, 3);
	for (unsigned int i = 3; i > 0; i--) {
		cr_assert(mnfq_packet_free(fixture.retained[i - 1]) == NULL);
		if (default_verdict == MNFQ_ACCEPT)
			fixture_expect(i - 1, 1);
	}
	fixture_expect_nothing();
	stats = fixture_stats();
	cr_assert(stats.defaulted == 3 && stats.held == 0);
	cr_assert((default_verdict == MNFQ_ACCEPT ? stats.accepted : stats.dropped) == 3);
	fixture_close();
}

Test(retain, freed_undecided_gets_the_default)
{
	freed_undecided(MNFQ_DROP);
	freed_undecided(MNFQ_ACCEPT);
}

/* What is still readable, and what is not allowed any more, once the queue is gone. */
static void check_orphan(struct mnfq_packet *packet, uint32_t seq)
{
	cr_assert(seq_of(packet) == seq);
	cr_assert(mnfq_packet_get_queue(packet) == NULL);
	cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == -ENODEV);
	cr_assert(mnfq_packet_free(packet) == NULL);
}

static void orphaned(enum mnfq_verdict default_verdict, bool by_close)
{
	keep(4, default_verdict, 5);
	udp_send_many(&fixture.udp, 5, 2); /* these wait in the socket, unseen */
	cr_assert(netns_wait_waiting(fixture.ns, 1, 7));
	if (by_close)
		fixture.sock = mnfq_socket_close(fixture.sock);
	else
		fixture.queue = mnfq_queue_unbind(fixture.queue);
	for (uint32_t i = 0; default_verdict == MNFQ_ACCEPT && i < 7; i++)
		fixture_expect(i, 1);
	fixture_expect_nothing();
	for (uint32_t i = 0; i < 5; i++)
		check_orphan(fixture.retained[i], i);
	if (!by_close) {
		cr_assert(fixture_socket_stats().defaulted == 7);
		cr_assert(fixture_socket_stats().held == 0);
		cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	}
	fixture_close();
}

Test(retain, unbind_applies_the_default)
{
	orphaned(MNFQ_DROP, false);
	orphaned(MNFQ_ACCEPT, false);
}

Test(retain, close_applies_the_default)
{
	orphaned(MNFQ_DROP, true);
	orphaned(MNFQ_ACCEPT, true);
}

static enum mnfq_verdict decide_previous(struct mnfq_packet *packet, void *data)
{
	if (fixture.retained_count > 0)
		cr_assert(mnfq_packet_decide(fixture.retained[fixture.retained_count - 1],
					     MNFQ_ACCEPT) == 0);
	return retain_packet(packet, data);
}

/* Each packet lets its predecessor go; none is overtaken. */
QueueTest(retain, decided_within_a_later_callback)
{
	fixture_bind(NULL, decide_previous);
	udp_send_many(&fixture.udp, 0, 100);
	fixture_serve(100);
	fixture_expect(0, 99);
	fixture_expect_nothing();
	for (uint32_t i = 0; i < 100; i++)
		mnfq_packet_free(fixture.retained[i]);
	expect_counts(.accepted = 99, .defaulted = 1);
}

/* The settings of the callback go into the copy, and can be made on it as well. */
static enum mnfq_verdict mark_and_keep(struct mnfq_packet *packet, void *data)
{
	cr_assert(mnfq_packet_set_mark(packet, 6) == 0);
	return retain_packet(packet, data);
}

static void rewrite_kept(struct mnfq_packet *packet, uint8_t seq)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);
	uint8_t copy[256];

	memcpy(copy, payload, len);
	copy[31] = seq;
	for (size_t i = 32; i < len; i++)
		copy[i] = (uint8_t)(seq + i - 28);
	packet_repair(copy, len);
	cr_assert(mnfq_packet_set_payload(packet, copy, len) == 0);
	cr_assert(seq_of(packet) == seq);
}

QueueTest(retain, mark_and_payload_travel_with_the_verdict)
{
	netns_rule(fixture.ns, 4, "-A INPUT -m mark --mark 6");
	netns_rule(fixture.ns, 4, "-A INPUT -m mark --mark 8");
	fixture_bind(NULL, mark_and_keep);
	udp_send_many(&fixture.udp, 1, 2);
	fixture_serve(2);
	rewrite_kept(fixture.retained[1], 99);
	cr_assert(mnfq_packet_set_mark(fixture.retained[1], 8) == 0);
	cr_assert(mnfq_packet_decide(fixture.retained[1], MNFQ_ACCEPT) == 0);
	fixture_expect(99, 1);
	cr_assert(mnfq_packet_set_payload(fixture.retained[1], NULL, 0) == -EALREADY);
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == 0);
	fixture_expect(1, 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1) == 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 2) == 1);
	expect_counts(.marked = 2, .rewritten = 1);
	mnfq_packet_free(fixture.retained[0]);
	mnfq_packet_free(fixture.retained[1]);
}
