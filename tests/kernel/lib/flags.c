/* SPDX-License-Identifier: MIT */
/* Flags of a queue, set and cleared while packets flow. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

/* What the last packet told, and how many there were. */
static struct {
	unsigned int count;
	size_t length;
	uint32_t skb_info, uid;
	int uid_err, gid_err;
} last;

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	uint32_t gid;

	(void)data;
	last.count++;
	(void)mnfq_packet_get_length(packet, &last.length);
	last.skb_info = mnfq_packet_get_skb_info(packet);
	last.uid_err = mnfq_packet_get_uid(packet, &last.uid);
	last.gid_err = mnfq_packet_get_gid(packet, &gid);
	return MNFQ_ACCEPT;
}

static void open_on_output(struct scene *scene)
{
	memset(&last, 0, sizeof(last));
	scene_open(scene, 4);
	netns_rule(scene->ns, 4, "-t mangle -F INPUT");
	netns_rule(scene->ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
}

static void bind_on_output(struct scene *scene)
{
	open_on_output(scene);
	scene_bind(scene, QUEUE_OPTIONS(.max_len = 5000), look);
}

static void set_flags(struct scene *scene, uint32_t flags, uint32_t mask)
{
	scene_ok(scene->sock, mnfq_queue_set_flags(scene->queue, flags, mask));
}

static void expect_flags(struct scene *scene, uint32_t flags)
{
	struct mnfq_queue_options options = { .size = sizeof(options) };

	cr_assert(mnfq_queue_get_options(scene->queue, &options) == 0);
	cr_assert(options.flags == flags, "flags 0x%x", options.flags);
	cr_assert(options.copy_range == MNFQ_COPY_RANGE_MAX && options.max_len == 5000);
}

/* A datagram of five segments comes as @packets. */
static void expect_segments(struct scene *scene, unsigned int packets)
{
	last.count = 0;
	udp_send_sized(&scene->udp, 1, 5000);
	scene_serve(scene, packets);
	cr_assert(last.count == packets && last.length == (packets == 1 ? 5028 : 1028),
		  "%u packets, the last of %zu bytes", last.count, last.length);
	cr_assert(last.skb_info == (packets == 1 ? MNFQ_SKB_GSO | MNFQ_SKB_CSUMNOTREADY : 0));
}

Test(flags, gso_off_and_on)
{
	struct scene scene;
	int segment = 1000;

	bind_on_output(&scene);
	cr_assert(setsockopt(scene.udp.tx, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0);
	expect_segments(&scene, 1);
	set_flags(&scene, MNFQ_QUEUE_NO_GSO, MNFQ_QUEUE_NO_GSO);
	expect_flags(&scene, MNFQ_QUEUE_NO_GSO);
	expect_segments(&scene, 5);
	set_flags(&scene, 0, MNFQ_QUEUE_NO_GSO);
	expect_flags(&scene, 0);
	expect_segments(&scene, 1);
	scene.elsewhere = -4; /* for the rule five segments are one packet */
	scene_close(&scene);
}

static void expect_owner(struct scene *scene, bool told)
{
	udp_send(&scene->udp, 1);
	scene_serve(scene, 1);
	cr_assert(last.uid_err == (told ? 0 : -ENODATA));
	cr_assert(last.gid_err == (told ? 0 : -ENODATA));
}

/* Each flag leaves the others as they are: in the kernel, not only in our books. */
Test(flags, owner_on_and_off)
{
	struct scene scene;
	int segment = 1000;

	bind_on_output(&scene);
	cr_assert(setsockopt(scene.udp.tx, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0);
	expect_owner(&scene, false);
	set_flags(&scene, MNFQ_QUEUE_UID_GID, MNFQ_QUEUE_UID_GID);
	expect_flags(&scene, MNFQ_QUEUE_UID_GID);
	expect_owner(&scene, true);
	expect_segments(&scene, 1);
	set_flags(&scene, MNFQ_QUEUE_NO_GSO, MNFQ_QUEUE_NO_GSO);
	expect_flags(&scene, MNFQ_QUEUE_UID_GID | MNFQ_QUEUE_NO_GSO);
	expect_owner(&scene, true);
	set_flags(&scene, 0, MNFQ_QUEUE_UID_GID);
	expect_flags(&scene, MNFQ_QUEUE_NO_GSO);
	expect_owner(&scene, false);
	set_flags(&scene, 0, MNFQ_QUEUE_NO_GSO | MNFQ_QUEUE_UID_GID);
	expect_owner(&scene, false);
	expect_segments(&scene, 1);
	scene_close(&scene);
}

/* The flag was cleared before those of even numbers, and set before the others. */
static enum mnfq_verdict look_by_number(struct mnfq_packet *packet, void *data)
{
	uint32_t seq = scene_seq(packet), uid;

	(void)data;
	last.count++;
	cr_assert(mnfq_packet_get_uid(packet, &uid) == (seq & 1 ? 0 : -ENODATA), "datagram %u",
		  seq);
	return MNFQ_ACCEPT;
}

/* What is on its way to us already is as it was when the kernel sent it. */
Test(flags, packets_that_wait_stay_as_they_are)
{
	struct scene scene;
	uint32_t i;

	open_on_output(&scene);
	scene_bind(&scene, NULL, look_by_number);
	for (i = 0; i < 300; i++) {
		udp_send(&scene.udp, i);
		set_flags(&scene, i & 1 ? 0 : MNFQ_QUEUE_UID_GID, MNFQ_QUEUE_UID_GID);
	}
	scene_serve(&scene, 300);
	for (i = 0; i < 300; i++)
		scene_expect(&scene, i);
	cr_assert(last.count == 300 && scene_stats(&scene).lost == 0);
	scene_close(&scene);
}

static bool wait_dropped(struct scene *scene, unsigned int packets)
{
	struct netns_queue kernel;

	return wait_until(netns_get_queue(scene->ns, 1, &kernel) && kernel.dropped == packets);
}

Test(flags, fail_open_on_and_off)
{
	struct scene scene;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 5), scene_count);
	udp_send_many(&scene.udp, 0, 6);
	cr_assert(wait_dropped(&scene, 1)); /* it may still be on its way over `lo` */
	scene_expect_nothing(&scene);
	set_flags(&scene, MNFQ_QUEUE_FAIL_OPEN, MNFQ_QUEUE_FAIL_OPEN);
	udp_send_many(&scene.udp, 6, 2);
	scene_expect(&scene, 6);
	scene_expect(&scene, 7);
	set_flags(&scene, 0, MNFQ_QUEUE_FAIL_OPEN);
	udp_send_many(&scene.udp, 8, 2);
	cr_assert(wait_dropped(&scene, 3));
	scene_serve(&scene, 5);
	for (i = 0; i < 5; i++)
		scene_expect(&scene, i);
	scene_expect_nothing(&scene);
	scene.failed_open = 2;
	scene_close(&scene);
}

/* Refused as a whole: nothing has changed in the kernel either. */
Test(flags, what_is_refused_changes_nothing)
{
	struct scene scene;

	bind_on_output(&scene);
	cr_assert(mnfq_queue_set_flags(scene.queue, 0x20, 0x20) == -EINVAL);
	cr_assert(mnfq_queue_set_flags(scene.queue, MNFQ_QUEUE_UID_GID, 0) == -EINVAL);
	cr_assert(mnfq_queue_set_flags(scene.queue, MNFQ_QUEUE_UID_GID, MNFQ_QUEUE_NO_GSO) ==
		  -EINVAL);
	expect_flags(&scene, 0);
	expect_owner(&scene, false);
	scene_close(&scene);
}

/* ---- flags that the kernel may lack ---- */

/* What can be done without is left out where it is lacking, and nothing else with it. */
Test(flags, optional_ones_are_in_force_where_they_can)
{
	struct scene scene;
	uint32_t lacking;

	open_on_output(&scene);
	lacking = kernel_has(scene.ns, MNFQ_QUEUE_CONNTRACK) ? 0 : MNFQ_QUEUE_CONNTRACK;
	scene_bind(&scene,
		   QUEUE_OPTIONS(.max_len = 5000,
				 .flags = MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID,
				 .flags_optional = MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID),
		   look);
	expect_flags(&scene, (MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID) & ~lacking);
	expect_owner(&scene, true);
	set_flags(&scene, 0, MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID);
	expect_flags(&scene, 0);
	expect_owner(&scene, false);
	set_flags(&scene, MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID,
		  MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID);
	expect_flags(&scene, (MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID) & ~lacking);
	expect_owner(&scene, true);
	scene_close(&scene);
}

/* Without being optional it fails, and the queue goes on as it was. */
Test(flags, a_lacking_one_is_told)
{
	struct scene scene;
	bool has;
	int err;

	open_on_output(&scene);
	has = kernel_has(scene.ns, MNFQ_QUEUE_CONNTRACK);
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 5000), look);
	err = mnfq_queue_set_flags(scene.queue, MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID,
				   MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID);
	if (has) {
		cr_assert(err == 0);
	} else {
		cr_assert(err == -EOPNOTSUPP);
		expect_flags(&scene, 0);
	}
	expect_owner(&scene, err == 0);
	scene_close(&scene);
}
