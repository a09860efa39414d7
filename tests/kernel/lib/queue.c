/* SPDX-License-Identifier: MIT */
/* Queues: what is in force, who may have them, what happens around binding and unbinding. */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/* ---- settings ---- */

Test(queue, defaults_are_in_force)
{
	struct mnfq_queue_options options = { .size = sizeof(options) };
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel));
	cr_assert(kernel.portid == mnfq_socket_get_portid(scene.sock));
	cr_assert(kernel.copy_mode == 2 && kernel.copy_range == MNFQ_COPY_RANGE_MAX);
	cr_assert(mnfq_queue_get_options(scene.queue, &options) == 0);
	cr_assert(options.copy_mode == MNFQ_COPY_PACKET);
	cr_assert(options.copy_range == MNFQ_COPY_RANGE_MAX);
	cr_assert(options.max_len == MNFQ_MAX_LEN_DEFAULT);
	cr_assert(options.flags == 0);
	cr_assert(options.default_verdict == MNFQ_DROP);
	cr_assert(mnfq_queue_get_num(scene.queue) == 1);
	cr_assert(mnfq_queue_get_socket(scene.queue) == scene.sock);
	scene_close(&scene);
}

Test(queue, settings_change_while_it_runs)
{
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	udp_send_many(&scene.udp, 0, 3);
	scene_ok(scene.sock, mnfq_queue_configure(scene.queue,
						  QUEUE_OPTIONS(.copy_range = 128, .max_len = 2,
								.default_verdict = MNFQ_ACCEPT)));
	cr_assert(netns_get_queue(scene.ns, 1, &kernel));
	cr_assert(kernel.copy_mode == 2 && kernel.copy_range == 128 && kernel.waiting == 3);
	scene_serve(&scene, 3);
	scene_expect(&scene, 0);
	scene_expect(&scene, 1);
	scene_expect(&scene, 2);

	udp_send_many(&scene.udp, 10, 5); /* three more than there is room for now */
	scene_serve(&scene, 2);
	scene_expect(&scene, 10);
	scene_expect(&scene, 11);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel) && kernel.dropped == 3);
	scene_ok(scene.sock,
		 mnfq_queue_configure(scene.queue, QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_META)));
	cr_assert(netns_get_queue(scene.ns, 1, &kernel));
	cr_assert(kernel.copy_mode == 1 && kernel.copy_range == 0);
	scene_close(&scene);
}

Test(queue, copy_none_lets_the_kernel_drop)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_NONE), scene_count);
	udp_send(&scene.udp, 1);
	scene_ok(scene.sock, mnfq_queue_configure(scene.queue, NULL));
	udp_send(&scene.udp, 2);
	scene_serve(&scene, 1);
	scene_expect(&scene, 2);
	scene_expect_nothing(&scene);
	cr_assert(scene.seen == 1);
	scene.elsewhere = 1; /* dropped: the kernel has no counter for that */
	scene_close(&scene);
}

static void refuse(struct scene *scene, unsigned int num,
		   const struct mnfq_queue_options *options, int expected)
{
	struct mnfq_queue *untouched = (struct mnfq_queue *)scene, *queue = untouched;
	int err = mnfq_queue_bind(&queue, scene->sock, num, options, scene_count, scene);

	cr_assert(err == expected, "%s, not %s: %s", strerror(-err), strerror(-expected),
		  mnfq_socket_get_error(scene->sock));
	cr_assert(queue == untouched);
	cr_assert(mnfq_socket_get_error(scene->sock)[0] != '\0');
}

/* Nothing has been changed: the queue can be bound afterwards, and was not bound meanwhile. */
Test(queue, what_is_out_of_range_is_refused)
{
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	refuse(&scene, 65536, NULL, -EINVAL);
	refuse(&scene, ~0u, NULL, -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.copy_mode = (enum mnfq_copy)4), -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.copy_range = MNFQ_COPY_RANGE_MAX + 1), -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.flags_optional = 0x20), -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.flags = 0x20), -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.default_verdict = MNFQ_DEFER), -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.default_verdict = (enum mnfq_verdict)2), -EINVAL);
	refuse(&scene, 1, QUEUE_OPTIONS(.default_verdict = (enum mnfq_verdict)99), -EINVAL);
	refuse(&scene, 1, &(struct mnfq_queue_options){ .size = 3 }, -EINVAL);
	cr_assert(mnfq_queue_bind(&scene.queue, NULL, 1, NULL, scene_count, NULL) == -EINVAL);
	cr_assert(mnfq_queue_bind(&scene.queue, scene.sock, 1, NULL, NULL, NULL) == -EINVAL);
	cr_assert(!netns_get_queue(scene.ns, 1, &kernel));
	scene_bind(&scene, NULL, scene_count);
	refuse(&scene, 1, NULL, -EEXIST);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel));
	scene_close(&scene);
}

/* A newer program with fields that we do not know. */
Test(queue, options_of_another_version)
{
	struct {
		struct mnfq_queue_options known;
		uint64_t unknown;
	} options = { .known.size = sizeof(options) };
	struct scene scene;

	scene_open(&scene, 4);
	options.unknown = 1;
	refuse(&scene, 1, &options.known, -E2BIG);
	options.unknown = 0;
	scene_bind(&scene, &options.known, scene_count);
	scene_close(&scene);
}

/* Connection tracking data: kernels are built with it or without. */
Test(queue, a_flag_that_the_kernel_may_lack)
{
	struct mnfq_queue *queue;
	struct scene scene;
	int err;

	scene_open(&scene, 4);
	err = mnfq_queue_bind(&queue, scene.sock, 1, QUEUE_OPTIONS(.flags = MNFQ_QUEUE_CONNTRACK),
			      scene_count, &scene);
	if (err == 0) {
		mnfq_queue_unbind(queue);
	} else {
		cr_assert(err == -EOPNOTSUPP, "%s", strerror(-err));
		cr_assert(strstr(mnfq_socket_get_error(scene.sock), "onnection tracking"));
	}
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	scene_expect(&scene, 1);
	scene_close(&scene);
}

Test(queue, configure_fails_as_a_whole)
{
	struct mnfq_queue_options before = { .size = sizeof(before) }, after = before;
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.copy_range = 300), scene_count);
	cr_assert(mnfq_queue_get_options(scene.queue, &before) == 0);
	cr_assert(mnfq_queue_configure(scene.queue, QUEUE_OPTIONS(.copy_range = 70000)) ==
		  -EINVAL);
	cr_assert(mnfq_queue_configure(scene.queue, QUEUE_OPTIONS(.flags = MNFQ_QUEUE_SECCTX |
									   0x40)) == -EINVAL);
	cr_assert(mnfq_queue_get_options(scene.queue, &after) == 0);
	cr_assert(memcmp(&before, &after, sizeof(before)) == 0);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel) && kernel.copy_range == 300);
	scene_close(&scene);
}

/* ---- several queues ---- */

Test(queue, two_on_one_socket)
{
	struct scene scene;
	struct scene second = { .verdict = MNFQ_DROP };
	struct mnfq_queue *other;
	struct udp udp;

	scene_open(&scene, 4);
	netns_rule(scene.ns, 4, "-A INPUT -p udp --dport 7001 -j NFQUEUE --queue-num 2");
	udp_open(&udp, scene.ns, scene.ns, "127.0.0.1", 7001);
	scene_bind(&scene, NULL, scene_count);
	scene_ok(scene.sock, mnfq_queue_bind(&other, scene.sock, 2, NULL, scene_count, &second));
	udp_send_many(&scene.udp, 0, 20);
	udp_send_many(&udp, 0, 10);
	scene_serve(&scene, 30);
	cr_assert(scene.seen == 20 && second.seen == 10);
	cr_assert(scene_stats(&scene).accepted == 20 && scene_stats(&scene).dropped == 0);
	cr_assert(mnfq_queue_unbind(other) == NULL);
	cr_assert(scene_socket_stats(&scene).dropped == 10);
	udp_send(&scene.udp, 20);
	scene_serve(&scene, 1);
	cr_assert(scene.seen == 21);
	udp_close(&udp);
	scene_close(&scene);
}

/* Flows are spread over the queues; each flow stays in one. */
Test(queue, a_balanced_range_on_one_socket)
{
	struct scene scene, queues[4] = { 0 };
	struct mnfq_queue *queue;
	unsigned int i, sum = 0, used = 0;
	struct udp udp;

	scene_open(&scene, 4);
	netns_rule(scene.ns, 4, "-t mangle -F");
	netns_rule(scene.ns, 4, "-A INPUT -p udp -j NFQUEUE --queue-balance 10:13");
	for (i = 0; i < 4; i++) {
		queues[i].verdict = MNFQ_ACCEPT;
		scene_ok(scene.sock, mnfq_queue_bind(&queue, scene.sock, 10 + i, NULL,
						     scene_count, &queues[i]));
	}
	for (i = 1; i < 33; i++) {
		char address[16];

		snprintf(address, sizeof(address), "127.0.%u.%u", i, i);
		udp_open(&udp, scene.ns, scene.ns, address, PORT);
		udp_send_many(&udp, 0, 4);
		scene_serve(&scene, 4);
		udp_close(&udp);
	}
	for (i = 0; i < 4; i++) {
		cr_assert(queues[i].seen % 4 == 0, "a flow was torn apart");
		sum += queues[i].seen;
		used += queues[i].seen > 0;
	}
	cr_assert(sum == 128 && used > 1);
	scene_close(&scene);
}

/* ---- around binding ---- */

/* They are in the socket when the acknowledgement comes, and must neither be lost nor misread. */
Test(queue, packets_that_arrive_while_another_is_bound)
{
	struct scene scene;
	struct mnfq_queue *other;
	unsigned int i;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	for (i = 0; i < 50; i++) {
		udp_send_many(&scene.udp, i * 3, 3);
		scene_ok(scene.sock,
			 mnfq_queue_bind(&other, scene.sock, 100 + i, NULL, scene_count, &scene));
		scene_ok(scene.sock, mnfq_queue_configure(scene.queue, NULL));
		mnfq_queue_unbind(other);
	}
	cr_assert(scene.seen == 0, "no callback but from within dispatch");
	scene_serve(&scene, 150);
	for (i = 0; i < 150; i++)
		scene_expect(&scene, i);
	cr_assert(scene_stats(&scene).lost == 0);
	scene_close(&scene);
}

Test(queue, unbound_means_unbound)
{
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 1);
	cr_assert(mnfq_queue_unbind(scene.queue) == NULL);
	cr_assert(!netns_get_queue(scene.ns, 1, &kernel));
	udp_send(&scene.udp, 2);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 3);
	scene_serve(&scene, 1);
	scene_expect(&scene, 3);
	scene_expect_nothing(&scene);
	cr_assert(scene.seen == 1 && scene_stats(&scene).packets == 1);
	cr_assert(scene_socket_stats(&scene).lost == 0);
	scene.elsewhere = 1; /* dropped while no queue was bound */
	scene_close(&scene);
}

/* Ids begin at 1 again: what is left of the first life must not be taken for the second's. */
Test(queue, bound_again_with_old_packets_in_the_socket)
{
	struct scene scene;
	unsigned int i;

	scene_open(&scene, 4);
	for (i = 0; i < 100; i++) {
		scene_bind(&scene, NULL, scene_count);
		udp_send_many(&scene.udp, 1000, 5);
		cr_assert(netns_wait_waiting(scene.ns, 1, 5));
		scene.queue = mnfq_queue_unbind(scene.queue);
	}
	scene_bind(&scene, NULL, scene_count);
	udp_send_many(&scene.udp, 1, 3);
	scene_serve(&scene, 3);
	for (i = 1; i <= 3; i++)
		scene_expect(&scene, i);
	scene_expect_nothing(&scene);
	cr_assert(scene.seen == 3 && scene_stats(&scene).lost == 0);
	cr_assert(scene_stats(&scene).refused == 0);
	scene_close(&scene);
}

/* Asking for the default verdict of nothing is no failure worth telling. */
Test(queue, an_empty_queue_is_unbound_in_silence)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), scene_count);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	scene.queue = mnfq_queue_unbind(scene.queue);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(scene_socket_stats(&scene).refused == 0);
	cr_assert(mnfq_socket_get_error(scene.sock)[0] == '\0');
	scene_close(&scene);
}

static enum mnfq_verdict unbind_itself(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	(void)packet;
	scene->seen++;
	scene->queue = mnfq_queue_unbind(scene->queue);
	return MNFQ_ACCEPT;
}

/* The packet in the callback still gets its verdict, those behind it the default. */
static void unbound_within(enum mnfq_verdict default_verdict)
{
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.default_verdict = default_verdict), unbind_itself);
	udp_send_many(&scene.udp, 0, 3);
	cr_assert(mnfq_socket_dispatch(scene.sock, DEADLINE_MS) > 0);
	cr_assert(scene.seen == 1 && scene.queue == NULL);
	cr_assert(!netns_get_queue(scene.ns, 1, &kernel));
	scene_expect(&scene, 0);
	if (default_verdict == MNFQ_ACCEPT) {
		scene_expect(&scene, 1);
		scene_expect(&scene, 2);
	}
	scene_expect_nothing(&scene);
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 4);
	scene_serve(&scene, 1);
	scene_expect(&scene, 4);
	scene_close(&scene);
}

Test(queue, unbound_within_its_callback)
{
	unbound_within(MNFQ_DROP);
	unbound_within(MNFQ_ACCEPT);
}

static enum mnfq_verdict bind_it_again(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	(void)packet;
	cr_assert(mnfq_queue_bind(&scene->queue, scene->sock, 1, NULL, scene_count, scene) == 0);
	return MNFQ_ACCEPT;
}

/* All in one batch: the last one belongs to the life that is over. */
Test(queue, bound_again_within_a_batch)
{
	struct mnfq_queue *other;
	struct scene scene;
	struct udp udp;

	scene_open(&scene, 4);
	netns_rule(scene.ns, 4, "-A INPUT -p udp --dport 7001 -j NFQUEUE --queue-num 2");
	udp_open(&udp, scene.ns, scene.ns, "127.0.0.1", 7001);
	scene_bind(&scene, NULL, unbind_itself);
	scene_ok(scene.sock, mnfq_queue_bind(&other, scene.sock, 2, NULL, bind_it_again, &scene));
	udp_send(&scene.udp, 1);
	udp_send(&udp, 2);
	udp_send_many(&scene.udp, 3, 2);
	cr_assert(mnfq_socket_dispatch(scene.sock, DEADLINE_MS) == 2);
	scene_expect(&scene, 1);
	udp_send(&scene.udp, 5);
	scene_serve(&scene, 1);
	scene_expect(&scene, 5);
	scene_expect_nothing(&scene);
	cr_assert(scene.seen == 2 && scene_stats(&scene).lost == 0);
	udp_close(&udp);
	scene_close(&scene);
}

static enum mnfq_verdict bind_another(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;
	struct mnfq_queue *queue;

	(void)packet;
	cr_assert(mnfq_queue_bind(&queue, scene->sock, 50 + scene->seen, NULL, scene_count,
				  scene) == 0);
	scene->seen++;
	return MNFQ_ACCEPT;
}

Test(queue, bound_within_a_callback)
{
	struct netns_queue kernel;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, bind_another);
	udp_send_many(&scene.udp, 0, 3);
	scene_serve(&scene, 3);
	cr_assert(netns_get_queue(scene.ns, 52, &kernel));
	scene_expect(&scene, 0);
	scene_expect(&scene, 1);
	scene_expect(&scene, 2);
	scene_close(&scene);
}

/* ---- full ---- */

Test(queue, full_drops_and_the_kernel_counts)
{
	struct netns_queue kernel;
	struct scene scene;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 10), scene_count);
	udp_send_many(&scene.udp, 0, 25);
	scene_serve(&scene, 10);
	for (i = 0; i < 10; i++)
		scene_expect(&scene, i);
	scene_expect_nothing(&scene);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel));
	cr_assert(kernel.dropped == 15 && kernel.user_dropped == 0);
	cr_assert(scene_stats(&scene).lost == 0, "a full queue consumes no ids");
	udp_send(&scene.udp, 30);
	scene_serve(&scene, 1);
	scene_expect(&scene, 30);
	scene_close(&scene);
}

Test(queue, full_and_fail_open_accepts_unseen)
{
	struct netns_queue kernel;
	struct scene scene;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 10, .flags = MNFQ_QUEUE_FAIL_OPEN),
		   scene_count);
	udp_send_many(&scene.udp, 0, 25);
	for (i = 10; i < 25; i++)
		scene_expect(&scene, i);
	scene_serve(&scene, 10);
	for (i = 0; i < 10; i++)
		scene_expect(&scene, i);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel) && kernel.dropped == 0);
	cr_assert(scene.seen == 10 && scene_stats(&scene).lost == 0);
	scene.failed_open = 15;
	scene_close(&scene);
}

/* ---- what waits at the end ---- */

static void end_with_unread(enum mnfq_verdict default_verdict)
{
	struct mnfq_stats stats;
	struct scene scene;
	uint32_t seq;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.default_verdict = default_verdict), scene_count);
	udp_send_many(&scene.udp, 0, 800);
	cr_assert(netns_wait_waiting(scene.ns, 1, 800));
	scene.queue = mnfq_queue_unbind(scene.queue);
	stats = scene_socket_stats(&scene);
	cr_assert(stats.packets == 0 && stats.defaulted == 800, "%" PRIu64, stats.defaulted);
	cr_assert((default_verdict == MNFQ_DROP ? stats.dropped : stats.accepted) == 800);
	for (seq = 0; seq < 800 && default_verdict == MNFQ_ACCEPT; seq++)
		scene_expect(&scene, seq);
	scene_expect_nothing(&scene);
	scene_close(&scene);
}

Test(queue, what_waits_at_the_end_is_counted)
{
	end_with_unread(MNFQ_DROP);
	end_with_unread(MNFQ_ACCEPT);
}

static enum mnfq_verdict unbind_at_ten(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	if (mnfq_packet_get_id(packet) == 10)
		scene->queue = mnfq_queue_unbind(scene->queue);
	return MNFQ_ACCEPT;
}

/* Some of what waits is in the ring by then, some is not. */
Test(queue, what_waits_when_a_callback_unbinds_is_counted)
{
	struct mnfq_stats stats;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, unbind_at_ten);
	udp_send_many(&scene.udp, 0, 200);
	cr_assert(netns_wait_waiting(scene.ns, 1, 200));
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 10);
	stats = scene_socket_stats(&scene);
	cr_assert(stats.packets == 10 && stats.accepted == 10);
	cr_assert(stats.defaulted == 190 && stats.dropped == 190 && stats.unclaimed == 0);
	scene_close(&scene);
}
