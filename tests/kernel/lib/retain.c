/* SPDX-License-Identifier: MIT */
/* Verdicts that come later, in any order, from any thread, or never. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

static void keep(struct scene *scene, int family, enum mnfq_verdict default_verdict,
		 unsigned int count)
{
	scene_open(scene, family);
	scene_bind(scene, QUEUE_OPTIONS(.default_verdict = default_verdict), scene_keep);
	udp_send_many(&scene->udp, 0, count);
	scene_serve(scene, count);
	cr_assert(scene->kept_count == count);
	cr_assert(scene_stats(scene).held == count && scene_stats(scene).deferred == count);
}

static void shuffle(struct scene *scene)
{
	unsigned int i, j;

	srand(4711);
	for (i = scene->kept_count - 1; i > 0; i--) {
		struct mnfq_packet *other = scene->kept[i];

		j = (unsigned int)rand() % (i + 1);
		scene->kept[i] = scene->kept[j];
		scene->kept[j] = other;
	}
}

static void in_random_order(int family)
{
	struct scene scene;
	unsigned int i;

	keep(&scene, family, MNFQ_DROP, 300);
	shuffle(&scene);
	for (i = 0; i < 300; i++) {
		uint32_t seq = scene_seq(scene.kept[i]);

		cr_assert(mnfq_packet_decide(scene.kept[i], seq % 3 ? MNFQ_ACCEPT : MNFQ_DROP) ==
			  0);
		cr_assert(mnfq_packet_free(scene.kept[i]) == NULL);
		if (seq % 3)
			scene_expect(&scene, seq);
	}
	scene_expect_nothing(&scene);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(scene_stats(&scene).accepted == 200 && scene_stats(&scene).dropped == 100);
	cr_assert(scene_stats(&scene).held == 0 && scene_stats(&scene).refused == 0);
	scene_close(&scene);
}

Test(retain, decided_in_random_order_ipv4)
{
	in_random_order(4);
}

Test(retain, decided_in_random_order_ipv6)
{
	in_random_order(6);
}

struct share {
	struct scene *scene;
	unsigned int first, failures;
};

static void *decide_share(void *arg)
{
	struct share *share = arg;
	unsigned int i;

	for (i = share->first; i < share->scene->kept_count; i += 4) {
		share->failures += mnfq_packet_decide(share->scene->kept[i], MNFQ_ACCEPT) != 0;
		mnfq_packet_free(share->scene->kept[i]);
	}
	return NULL;
}

Test(retain, decided_by_four_threads)
{
	struct scene scene;
	struct share shares[4];
	pthread_t threads[4];
	struct tally tally;
	unsigned int i;

	keep(&scene, 4, MNFQ_DROP, 1000);
	shuffle(&scene);
	for (i = 0; i < 4; i++) {
		shares[i] = (struct share){ .scene = &scene, .first = i };
		cr_assert(pthread_create(&threads[i], NULL, decide_share, &shares[i]) == 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_assert(shares[i].failures == 0);
	}
	tally_init(&tally, 1000);
	cr_assert(udp_drain_until(&scene.udp, &tally, 1000));
	cr_assert(tally.count == 1000 && tally.repeated == 0 && tally.strange == 0);
	tally_free(&tally);
	cr_assert(scene_stats(&scene).accepted == 1000 && scene_stats(&scene).held == 0);
	scene_close(&scene);
}

static enum mnfq_verdict keep_some(struct mnfq_packet *packet, void *data)
{
	return scene_seq(packet) % 10 == 3 ? scene_keep(packet, data) : MNFQ_ACCEPT;
}

/* The verdicts for those around them are sent in batches, which must not reach over them. */
Test(retain, a_batch_does_not_decide_what_is_held)
{
	struct netns_queue queue;
	struct scene scene;
	struct tally tally;
	unsigned int i;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, keep_some);
	udp_send_many(&scene.udp, 0, 500);
	scene_serve(&scene, 500);
	tally_init(&tally, 500);
	cr_assert(udp_drain_until(&scene.udp, &tally, 450));
	for (i = 0; i < 500; i++)
		cr_assert(tally.hits[i] == (i % 10 != 3), "datagram %u", i);
	cr_assert(netns_get_queue(scene.ns, 1, &queue) && queue.waiting == 50);
	for (i = 0; i < 50; i++) {
		cr_assert(mnfq_packet_decide(scene.kept[i], MNFQ_ACCEPT) == 0);
		mnfq_packet_free(scene.kept[i]);
	}
	cr_assert(udp_drain_until(&scene.udp, &tally, 500) && tally.repeated == 0);
	tally_free(&tally);
	scene_close(&scene);
}

static void freed_undecided(enum mnfq_verdict default_verdict)
{
	struct scene scene;
	struct mnfq_stats stats;
	unsigned int i;

	keep(&scene, 4, default_verdict, 3);
	for (i = 3; i > 0; i--) {
		cr_assert(mnfq_packet_free(scene.kept[i - 1]) == NULL);
		if (default_verdict == MNFQ_ACCEPT)
			scene_expect(&scene, i - 1);
	}
	scene_expect_nothing(&scene);
	stats = scene_stats(&scene);
	cr_assert(stats.defaulted == 3 && stats.held == 0);
	cr_assert((default_verdict == MNFQ_ACCEPT ? stats.accepted : stats.dropped) == 3);
	scene_close(&scene);
}

Test(retain, freed_undecided_gets_the_default)
{
	freed_undecided(MNFQ_DROP);
	freed_undecided(MNFQ_ACCEPT);
}

/* What is still readable, and what is not allowed any more, once the queue is gone. */
static void check_orphan(struct mnfq_packet *packet, uint32_t seq)
{
	cr_assert(scene_seq(packet) == seq);
	cr_assert(mnfq_packet_get_queue(packet) == NULL);
	cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == -ENODEV);
	cr_assert(mnfq_packet_free(packet) == NULL);
}

static void orphaned(enum mnfq_verdict default_verdict, bool by_close)
{
	struct scene scene;
	uint32_t i;

	keep(&scene, 4, default_verdict, 5);
	udp_send_many(&scene.udp, 5, 2); /* these wait in the socket, unseen */
	cr_assert(netns_wait_waiting(scene.ns, 1, 7));
	if (by_close)
		scene.sock = mnfq_socket_close(scene.sock);
	else
		scene.queue = mnfq_queue_unbind(scene.queue);
	for (i = 0; default_verdict == MNFQ_ACCEPT && i < 7; i++)
		scene_expect(&scene, i);
	scene_expect_nothing(&scene);
	for (i = 0; i < 5; i++)
		check_orphan(scene.kept[i], i);
	if (!by_close) {
		cr_assert(scene_socket_stats(&scene).defaulted == 7);
		cr_assert(scene_socket_stats(&scene).held == 0);
		cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	}
	scene_close(&scene);
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

static enum mnfq_verdict keep_twice(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet *again;

	(void)scene_keep(packet, data);
	cr_assert(mnfq_packet_retain(&again, packet) == -EEXIST);
	cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == -EINVAL);
	return MNFQ_DEFER;
}

Test(retain, misuse_is_refused_and_changes_nothing)
{
	struct mnfq_packet *again;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, keep_twice);
	udp_send(&scene.udp, 0);
	scene_serve(&scene, 1);
	cr_assert(mnfq_packet_retain(&again, scene.kept[0]) == -EINVAL);
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_DEFER) == -EINVAL);
	cr_assert(mnfq_packet_decide(scene.kept[0], (enum mnfq_verdict)99) == -EINVAL);
	cr_assert(mnfq_packet_decide(scene.kept[0], (enum mnfq_verdict)2) == -EINVAL);
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_ACCEPT) == 0);
	scene_expect(&scene, 0);
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_DROP) == -EALREADY);
	mnfq_packet_free(scene.kept[0]);
	cr_assert(scene_stats(&scene).accepted == 1 && scene_stats(&scene).dropped == 0);
	scene_close(&scene);
}

static enum mnfq_verdict keep_but_decide(struct mnfq_packet *packet, void *data)
{
	(void)scene_keep(packet, data);
	return MNFQ_ACCEPT;
}

Test(retain, the_verdict_of_the_callback_wins)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, keep_but_decide);
	udp_send(&scene.udp, 5);
	scene_serve(&scene, 1);
	scene_expect(&scene, 5);
	cr_assert(scene_seq(scene.kept[0]) == 5);
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_DROP) == -EALREADY);
	mnfq_packet_free(scene.kept[0]);
	cr_assert(scene_stats(&scene).accepted == 1 && scene_stats(&scene).defaulted == 0);
	scene_close(&scene);
}

static enum mnfq_verdict decide_previous(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	if (scene->kept_count > 0)
		cr_assert(mnfq_packet_decide(scene->kept[scene->kept_count - 1], MNFQ_ACCEPT) ==
			  0);
	return scene_keep(packet, data);
}

/* Each packet lets its predecessor go; nobody overtakes. */
Test(retain, decided_within_a_later_callback)
{
	struct scene scene;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, decide_previous);
	udp_send_many(&scene.udp, 0, 100);
	scene_serve(&scene, 100);
	for (i = 0; i < 99; i++)
		scene_expect(&scene, i);
	scene_expect_nothing(&scene);
	for (i = 0; i < 100; i++)
		mnfq_packet_free(scene.kept[i]);
	cr_assert(scene_stats(&scene).accepted == 99 && scene_stats(&scene).defaulted == 1);
	scene_close(&scene);
}

static enum mnfq_verdict keep_and_free(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	(void)scene_keep(packet, data);
	mnfq_packet_free(scene->kept[--scene->kept_count]);
	return mnfq_packet_get_id(packet) == 2 ? MNFQ_DEFER : MNFQ_ACCEPT;
}

Test(retain, freed_within_its_own_callback)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, keep_and_free);
	udp_send_many(&scene.udp, 0, 3);
	scene_serve(&scene, 3);
	scene_expect(&scene, 0);
	scene_expect(&scene, 2);
	scene_expect_nothing(&scene);
	cr_assert(scene_stats(&scene).accepted == 2 && scene_stats(&scene).defaulted == 1);
	scene_close(&scene);
}

/* The settings of the callback go into the copy, and can be made on it as well. */
static enum mnfq_verdict mark_and_keep(struct mnfq_packet *packet, void *data)
{
	cr_assert(mnfq_packet_set_mark(packet, 6) == 0);
	return scene_keep(packet, data);
}

static void rewrite_kept(struct mnfq_packet *packet, uint8_t seq)
{
	size_t len, i;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);
	uint8_t copy[256];

	memcpy(copy, payload, len);
	copy[31] = seq;
	for (i = 32; i < len; i++)
		copy[i] = (uint8_t)(seq + i - 28);
	packet_repair(copy, len);
	cr_assert(mnfq_packet_set_payload(packet, copy, len) == 0);
	cr_assert(scene_seq(packet) == seq);
}

Test(retain, mark_and_payload_travel_with_the_verdict)
{
	struct scene scene;

	scene_open(&scene, 4);
	netns_rule(scene.ns, 4, "-A INPUT -m mark --mark 6");
	netns_rule(scene.ns, 4, "-A INPUT -m mark --mark 8");
	scene_bind(&scene, NULL, mark_and_keep);
	udp_send_many(&scene.udp, 1, 2);
	scene_serve(&scene, 2);
	rewrite_kept(scene.kept[1], 99);
	cr_assert(mnfq_packet_set_mark(scene.kept[1], 8) == 0);
	cr_assert(mnfq_packet_decide(scene.kept[1], MNFQ_ACCEPT) == 0);
	scene_expect(&scene, 99);
	cr_assert(mnfq_packet_set_payload(scene.kept[1], NULL, 0) == -EALREADY);
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_ACCEPT) == 0);
	scene_expect(&scene, 1);
	cr_assert(netns_rule_packets(scene.ns, 4, "filter", "INPUT", 1) == 1);
	cr_assert(netns_rule_packets(scene.ns, 4, "filter", "INPUT", 2) == 1);
	cr_assert(scene_stats(&scene).marked == 2 && scene_stats(&scene).rewritten == 1);
	mnfq_packet_free(scene.kept[0]);
	mnfq_packet_free(scene.kept[1]);
	scene_close(&scene);
}
