/* SPDX-License-Identifier: MIT */
/*
 * A namespace that makes each verdict cost what it likes: an accepted packet goes on with its path
 * inside our sendmsg, and there are 60,000 rules on it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Where packets take long, on a socket with these options. */
static void open_behind_rules(struct scene *scene, mnfq_callback callback,
			      const struct mnfq_socket_options *options)
{
	scene_open(scene, 4);
	mnfq_socket_close(scene->sock);
	scene_ok(NULL, mnfq_socket_open_netns(&scene->sock, scene->ns->name, options));
	scene_bind(scene,
		   QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT, .max_len = 65536,
				 .copy_mode = MNFQ_COPY_META),
		   callback);
	slow_down(scene);
	netns_rule(scene->ns, 4, "-A INPUT -p udp --dport %d -j ACCEPT", PORT);
}

/* Many seconds' worth of packets, and an end that may take one. */
static void open_slow(struct scene *scene, mnfq_callback callback)
{
	open_behind_rules(scene, callback, SOCKET_OPTIONS(.timeout_ms = 1000));
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

/* ---- what others took ---- */

#define TAKEN 5000

static int copy_of(struct scene *scene)
{
	int copy = fcntl(mnfq_socket_get_fd(scene->sock), F_DUPFD_CLOEXEC, 0);

	cr_assert(copy >= 0);
	return copy;
}

static void take(int copy, unsigned int count)
{
	uint8_t data[4096];

	while (count-- > 0)
		cr_assert(recv(copy, data, sizeof(data), MSG_DONTWAIT) > 0);
}

/* Where packets may take long, of which a copy of the socket takes some. */
static void open_taken(struct scene *scene, mnfq_callback callback)
{
	open_behind_rules(scene, callback, SOCKET_OPTIONS(.round_us = 1000));
}

static uint64_t passed(struct scene *scene)
{
	return netns_rule_packets(scene->ns, 4, "filter", "INPUT", 60001);
}

static unsigned int waiting(struct scene *scene)
{
	struct netns_queue queue;

	cr_assert(netns_get_queue(scene->ns, 1, &queue));
	return queue.waiting;
}

/* As an event loop does, until @left wait. */
static void expect_short_rounds(struct scene *scene, unsigned int left)
{
	while (waiting(scene) > left) {
		int64_t begin = now_ms();

		cr_assert(wait_readable(mnfq_socket_get_fd(scene->sock)),
			  "%u wait, and nobody is told", waiting(scene));
		cr_assert(mnfq_socket_dispatch(scene->sock, 0) >= 0);
		cr_assert(now_ms() - begin < 1000, "%" PRId64 " ms", now_ms() - begin);
	}
}

Test(slow_path, what_a_copy_took_does_not_make_a_round_long)
{
	struct scene scene;
	int copy;

	open_taken(&scene, scene_count);
	copy = copy_of(&scene);
	udp_send_many(&scene.udp, 0, TAKEN + 1);
	take(copy, TAKEN);
	expect_short_rounds(&scene, 0);
	cr_assert(scene.seen == 1 && scene_stats(&scene).lost == TAKEN);
	cr_assert(passed(&scene) == TAKEN + 1);
	close(copy);
	scene_close(&scene);
}

/* Who decides the packet that keeps it back does no more than a step of it. */
Test(slow_path, what_a_copy_took_does_not_make_a_verdict_long)
{
	struct scene scene;
	int64_t begin;
	int copy;

	open_taken(&scene, scene_keep);
	copy = copy_of(&scene);
	udp_send(&scene.udp, 0);
	scene_serve(&scene, 1);
	udp_send_many(&scene.udp, 1, TAKEN + 1);
	take(copy, TAKEN);
	scene_serve(&scene, 1);
	cr_assert_eq(waiting(&scene), TAKEN + 2);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	begin = now_ms();
	cr_assert(mnfq_packet_decide(scene.kept[0], MNFQ_DROP) == 0);
	cr_assert(now_ms() - begin < 1000, "%" PRId64 " ms", now_ms() - begin);
	expect_short_rounds(&scene, 1);
	cr_assert(mnfq_packet_decide(scene.kept[1], MNFQ_DROP) == 0);
	cr_assert(passed(&scene) == TAKEN && scene_stats(&scene).lost == TAKEN);
	mnfq_packet_free(scene.kept[0]);
	mnfq_packet_free(scene.kept[1]);
	close(copy);
	scene_close(&scene);
}

/* ---- what a former reader left ---- */

/* All but the last @unread were taken by somebody who is gone, and whose socket we get. */
static void open_left(struct scene *scene, unsigned int unread)
{
	int copy, fd;

	open_taken(scene, scene_count);
	copy = copy_of(scene);
	udp_send_many(&scene->udp, 0, TAKEN + unread);
	take(copy, TAKEN);
	close(copy);
	fd = mnfq_socket_detach(scene->sock);
	scene->queue = NULL;
	scene_ok(NULL, mnfq_socket_adopt(&scene->sock, fd,
					 SOCKET_OPTIONS(.timeout_ms = 200, .round_us = 1000)));
	cr_assert_eq(waiting(scene), TAKEN + unread);
}

static int bind_again(struct scene *scene)
{
	int64_t begin = now_ms();
	int err = mnfq_queue_bind(&scene->queue, scene->sock, 1,
				  QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT, .max_len = 65536,
						.copy_mode = MNFQ_COPY_META),
				  scene_count, scene);

	cr_assert(now_ms() - begin < 2000, "%" PRId64 " ms", now_ms() - begin);
	return err;
}

/* In several attempts: each does what there is time for. */
static void take_over(unsigned int unread)
{
	struct scene scene;
	unsigned int attempts, left = TAKEN + unread;
	int err;

	open_left(&scene, unread);
	for (attempts = 0; (err = bind_again(&scene)) == -ETIMEDOUT; attempts++) {
		cr_assert(strstr(mnfq_socket_get_error(scene.sock), "former reader"));
		cr_assert(waiting(&scene) < left);
		left = waiting(&scene);
	}
	scene_ok(scene.sock, err);
	cr_assert(attempts > 0 && passed(&scene) == TAKEN);
	scene_serve(&scene, unread);
	cr_assert(scene_stats(&scene).lost == 0 && scene_stats(&scene).refused == 0);
	udp_send(&scene.udp, TAKEN + unread);
	scene_serve(&scene, 1);
	cr_assert(passed(&scene) == TAKEN + unread + 1);
	scene.elsewhere = TAKEN; /* that is not counted */
	scene_close(&scene);
}

Test(slow_path, what_a_former_reader_left_delays_its_successor_no_longer_than_its_deadline)
{
	take_over(10);
}

Test(slow_path, a_former_reader_that_took_all_delays_its_successor_no_longer_than_its_deadline)
{
	take_over(0);
}

/* Gives up or takes back CAP_SYS_ADMIN, without which nobody enters the namespace. */
static void may_enter(bool may)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	cr_assert(syscall(SYS_capget, &head, caps) == 0);
	caps[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (may)
		caps[0].effective |= 1u << CAP_SYS_ADMIN;
	cr_assert(syscall(SYS_capset, &head, caps) == 0);
}

/* Who cannot know which packets were taken has the kernel drop them, and begins anew. */
Test(slow_path, what_nobody_can_find_is_dropped_by_a_successor)
{
	struct scene scene;
	int err;

	open_left(&scene, 0);
	may_enter(false);
	err = bind_again(&scene);
	may_enter(true);
	scene_ok(scene.sock, err);
	cr_assert(waiting(&scene) == 0 && passed(&scene) == 0);
	udp_send_many(&scene.udp, TAKEN, 3);
	scene_serve(&scene, 3);
	cr_assert(passed(&scene) == 3 && scene_stats(&scene).lost == 0);
	scene.elsewhere = TAKEN;
	scene_close(&scene);
}
