/* SPDX-License-Identifier: MIT */
/* Flags of a queue, set and cleared while packets flow. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"

/* What the last packet had, and how many there were. */
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

static void open_on_output(void)
{
	memset(&last, 0, sizeof(last));
	fixture_open(4);
	netns_rule(fixture.ns, 4, "-t mangle -F INPUT");
	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
}

static void bind_on_output(void)
{
	open_on_output();
	fixture_bind(QUEUE_OPTIONS(.max_len = 5000), look);
}

static void set_flags(uint32_t flags, uint32_t mask)
{
	expect_ok(fixture.sock, mnfq_queue_set_flags(fixture.queue, flags, mask));
}

static void expect_flags(uint32_t flags)
{
	struct mnfq_queue_options options = { .size = sizeof(options) };

	cr_assert(mnfq_queue_get_options(fixture.queue, &options) == 0);
	cr_assert(options.flags == flags, "flags 0x%x", options.flags);
	cr_assert(options.copy_range == MNFQ_COPY_RANGE_MAX && options.max_len == 5000);
}

/* A datagram of five segments comes as @packets. */
static void expect_segments(unsigned int packets)
{
	last.count = 0;
	udp_send_sized(&fixture.udp, 1, 5000);
	fixture_serve(packets);
	cr_assert(last.count == packets && last.length == (packets == 1 ? 5028 : 1028),
		  "%u packets, the last of %zu bytes", last.count, last.length);
	cr_assert(last.skb_info == (packets == 1 ? MNFQ_SKB_GSO | MNFQ_SKB_CSUMNOTREADY : 0));
}

Test(flags, gso_off_and_on)
{
	int segment = 1000;

	bind_on_output();
	cr_assert(setsockopt(fixture.udp.tx, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) ==
		  0);
	expect_segments(1);
	set_flags(MNFQ_QUEUE_NO_GSO, MNFQ_QUEUE_NO_GSO);
	expect_flags(MNFQ_QUEUE_NO_GSO);
	expect_segments(5);
	set_flags(0, MNFQ_QUEUE_NO_GSO);
	expect_flags(0);
	expect_segments(1);
	fixture.elsewhere = -4; /* for the rule five segments are one packet */
	fixture_close();
}

static void expect_owner(bool known)
{
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(last.uid_err == (known ? 0 : -ENODATA));
	cr_assert(last.gid_err == (known ? 0 : -ENODATA));
}

/* Each flag leaves the others as they are: in the kernel, not only in our books. */
Test(flags, owner_on_and_off)
{
	int segment = 1000;

	bind_on_output();
	cr_assert(setsockopt(fixture.udp.tx, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) ==
		  0);
	expect_owner(false);
	set_flags(MNFQ_QUEUE_UID_GID, MNFQ_QUEUE_UID_GID);
	expect_flags(MNFQ_QUEUE_UID_GID);
	expect_owner(true);
	expect_segments(1);
	set_flags(MNFQ_QUEUE_NO_GSO, MNFQ_QUEUE_NO_GSO);
	expect_flags(MNFQ_QUEUE_UID_GID | MNFQ_QUEUE_NO_GSO);
	expect_owner(true);
	set_flags(0, MNFQ_QUEUE_UID_GID);
	expect_flags(MNFQ_QUEUE_NO_GSO);
	expect_owner(false);
	set_flags(0, MNFQ_QUEUE_NO_GSO | MNFQ_QUEUE_UID_GID);
	expect_owner(false);
	expect_segments(1);
	fixture_close();
}

/* The flag was cleared before those of even numbers, and set before the others. */
static enum mnfq_verdict look_by_number(struct mnfq_packet *packet, void *data)
{
	uint32_t seq = seq_of(packet), uid;

	(void)data;
	last.count++;
	cr_assert(mnfq_packet_get_uid(packet, &uid) == (seq & 1 ? 0 : -ENODATA), "datagram %u",
		  seq);
	return MNFQ_ACCEPT;
}

/* What is on its way to us already is as it was when the kernel sent it. */
Test(flags, packets_that_wait_stay_as_they_are)
{
	open_on_output();
	fixture_bind(NULL, look_by_number);
	for (uint32_t i = 0; i < 300; i++) {
		udp_send(&fixture.udp, i);
		set_flags(i & 1 ? 0 : MNFQ_QUEUE_UID_GID, MNFQ_QUEUE_UID_GID);
	}
	fixture_serve(300);
	fixture_expect(0, 300);
	cr_assert(last.count == 300 && fixture_stats().lost == 0);
	fixture_close();
}

static bool wait_dropped(unsigned int packets)
{
	struct netns_queue kernel;

	return wait_until(netns_get_queue(fixture.ns, 1, &kernel) && kernel.dropped == packets);
}

QueueTest(flags, fail_open_on_and_off)
{
	fixture_bind(QUEUE_OPTIONS(.max_len = 5), count_packet);
	udp_send_many(&fixture.udp, 0, 6);
	cr_assert(wait_dropped(1)); /* it may still be on its way over `lo` */
	fixture_expect_nothing();
	set_flags(MNFQ_QUEUE_FAIL_OPEN, MNFQ_QUEUE_FAIL_OPEN);
	udp_send_many(&fixture.udp, 6, 2);
	fixture_expect(6, 2);
	set_flags(0, MNFQ_QUEUE_FAIL_OPEN);
	udp_send_many(&fixture.udp, 8, 2);
	cr_assert(wait_dropped(3));
	fixture_serve(5);
	fixture_expect(0, 5);
	fixture_expect_nothing();
	fixture.failed_open = 2;
}

/* Refused as a whole: nothing has changed in the kernel either. */
Test(flags, what_is_refused_changes_nothing)
{
	bind_on_output();
	cr_assert(mnfq_queue_set_flags(fixture.queue, 0x20, 0x20) == -EINVAL);
	cr_assert(mnfq_queue_set_flags(fixture.queue, MNFQ_QUEUE_UID_GID, 0) == -EINVAL);
	cr_assert(mnfq_queue_set_flags(fixture.queue, MNFQ_QUEUE_UID_GID, MNFQ_QUEUE_NO_GSO) ==
		  -EINVAL);
	expect_flags(0);
	expect_owner(false);
	fixture_close();
}

/* ---- flags that the kernel may lack ---- */

/* What can be done without is left out where it is lacking, and nothing else with it. */
Test(flags, optional_ones_are_in_force_where_they_can)
{
	uint32_t lacking;

	open_on_output();
	lacking = kernel_has(fixture.ns, MNFQ_QUEUE_CONNTRACK) ? 0 : MNFQ_QUEUE_CONNTRACK;
	fixture_bind(QUEUE_OPTIONS(.max_len = 5000,
				   .flags = MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID,
				   .flags_optional = MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID),
		     look);
	expect_flags((MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID) & ~lacking);
	expect_owner(true);
	set_flags(0, MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID);
	expect_flags(0);
	expect_owner(false);
	set_flags(MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID,
		  MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID);
	expect_flags((MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID) & ~lacking);
	expect_owner(true);
	fixture_close();
}

/* Without being optional it fails, and the queue goes on as it was. */
Test(flags, a_lacking_one_is_reported)
{
	bool has;
	int err;

	open_on_output();
	has = kernel_has(fixture.ns, MNFQ_QUEUE_CONNTRACK);
	fixture_bind(QUEUE_OPTIONS(.max_len = 5000), look);
	err = mnfq_queue_set_flags(fixture.queue, MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID,
				   MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_UID_GID);
	if (has) {
		cr_assert(err == 0);
	} else {
		cr_assert(err == -EOPNOTSUPP);
		expect_flags(0);
	}
	expect_owner(err == 0);
	fixture_close();
}
