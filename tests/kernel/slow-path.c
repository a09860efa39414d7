/* SPDX-License-Identifier: MIT */
/*
 * A namespace that makes each verdict cost what it likes: an accepted packet goes on with its path
 * inside our sendmsg, and there are 60,000 rules on it.
 */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "scene.h"

/* Behind the queue in mangle INPUT; rules of one table only would not see the packet again. */
static void slow_down(struct scene *scene)
{
	netns_run(scene->ns,
		  "{ echo '*filter'; i=0; while [ $i -lt 60000 ]; do "
		  "echo \"-A INPUT -s 10.9.$((i / 256)).$((i %% 256)) -j DROP\"; i=$((i + 1)); "
		  "done; echo COMMIT; } | iptables-legacy-restore -w");
}

static void speed_up(struct scene *scene)
{
	netns_rule(scene->ns, 4, "-F INPUT");
}

TestSuite(slow_path, .timeout = 300);

/* One by one while each takes longer than a round should; many again as soon as they are quick. */
Test(slow_path, a_round_has_as_many_packets_as_its_time_allows)
{
	struct scene scene;
	int n, most = 0;
	uint32_t seq = 0, i;

	scene_open(&scene, 4);
	mnfq_socket_close(scene.sock);
	scene_ok(NULL, mnfq_socket_open_netns(&scene.sock, scene.ns->name,
					      SOCKET_OPTIONS(.round_us = 200)));
	scene_bind(&scene, NULL, scene_count);
	slow_down(&scene);
	udp_send_many(&scene.udp, seq, 50);
	for (; seq < 50; seq++)
		cr_assert_eq(mnfq_socket_dispatch(scene.sock, DEADLINE_MS), 1);
	speed_up(&scene);
	for (i = 0; i < 100 && most < 8; i++) {
		udp_send_many(&scene.udp, seq, 100);
		for (seq += 100; scene.seen<seq; most = n> most ? n : most) {
			n = mnfq_socket_dispatch(scene.sock, DEADLINE_MS);
			cr_assert(n > 0);
		}
	}
	cr_assert(most >= 8, "%d at most", most);
	scene_close(&scene);
}

/* ---- the end ---- */

/* Many seconds' worth of packets, and an end that may take one. */
static void open_slow(struct scene *scene, mnfq_callback callback)
{
	scene_open(scene, 4);
	mnfq_socket_close(scene->sock);
	scene_ok(NULL, mnfq_socket_open_netns(&scene->sock, scene->ns->name,
					      SOCKET_OPTIONS(.timeout_ms = 1000)));
	scene_bind(scene,
		   QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT, .max_len = 65536,
				 .copy_mode = MNFQ_COPY_META),
		   callback);
	slow_down(scene);
	netns_rule(scene->ns, 4, "-A INPUT -p udp --dport %d -j ACCEPT", PORT);
	udp_send_many(&scene->udp, 0, 30000);
	cr_assert(netns_wait_waiting(scene->ns, 1, 30000));
}

/* Within the deadline and one portion, and what passed is what was counted as accepted. */
static void expect_end(struct scene *scene, int64_t took)
{
	struct mnfq_stats stats = scene_socket_stats(scene);

	cr_assert(took < 5000, "%" PRId64 " ms", took);
	cr_assert(stats.defaulted == 30000 && stats.accepted + stats.dropped == 30000,
		  "%" PRIu64 ", %" PRIu64 " accepted, %" PRIu64 " dropped", stats.defaulted,
		  stats.accepted, stats.dropped);
	cr_assert(stats.accepted > 0);
	cr_assert_eq(netns_rule_packets(scene->ns, 4, "filter", "INPUT", 60001), stats.accepted);
	cr_assert(mnfq_socket_dispatch(scene->sock, 0) == 0 && stats.refused == 0);
}

static void end_in_time(mnfq_callback callback, unsigned int handled)
{
	struct scene scene;
	int64_t begin;

	open_slow(&scene, callback);
	scene_serve(&scene, handled);
	begin = now_ms();
	scene.queue = mnfq_queue_unbind(scene.queue);
	expect_end(&scene, now_ms() - begin);
	while (scene.kept_count > 0)
		mnfq_packet_free(scene.kept[--scene.kept_count]);
	scene_close(&scene);
}

Test(slow_path, what_nobody_read_delays_the_end_no_longer_than_its_deadline)
{
	end_in_time(scene_count, 0);
}

Test(slow_path, what_is_held_delays_the_end_no_longer_than_its_deadline)
{
	end_in_time(scene_keep, 640);
}

static enum mnfq_verdict unbind_it(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	(void)packet;
	scene->queue = mnfq_queue_unbind(scene->queue);
	return MNFQ_DROP;
}

/* Some of what waits is in the ring, some is not. */
Test(slow_path, an_end_in_a_callback_takes_no_longer_than_its_deadline)
{
	struct mnfq_stats stats;
	struct scene scene;
	int64_t begin;

	open_slow(&scene, unbind_it);
	begin = now_ms();
	cr_assert_eq(mnfq_socket_dispatch(scene.sock, 0), 1);
	cr_assert(now_ms() - begin < 5000, "%" PRId64 " ms", now_ms() - begin);
	stats = scene_socket_stats(&scene);
	cr_assert(stats.defaulted == 29999 && stats.unclaimed == 0);
	cr_assert_eq(netns_rule_packets(scene.ns, 4, "filter", "INPUT", 60001), stats.accepted);
	scene_close(&scene);
}

/* All queues of a socket together. */
Test(slow_path, closing_takes_no_longer_than_its_deadline)
{
	struct scene scene;
	int64_t begin;

	open_slow(&scene, scene_count);
	begin = now_ms();
	scene.sock = mnfq_socket_close(scene.sock);
	cr_assert(now_ms() - begin < 5000, "%" PRId64 " ms", now_ms() - begin);
	cr_assert(netns_rule_packets(scene.ns, 4, "filter", "INPUT", 60001) > 0);
	scene_close(&scene);
}
