/* SPDX-License-Identifier: MIT */
/* Marks and labels of connections, set along with a verdict. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"

/* What the callback sets. */
static struct {
	bool set_mark, set_labels;
	uint32_t mark, mark_mask;
	uint8_t labels[MNFQ_CT_LABELS_SIZE], labels_mask[MNFQ_CT_LABELS_SIZE];
} change;

static enum mnfq_verdict set(struct mnfq_packet *packet, void *data)
{
	uint32_t before, after;

	(void)data;
	before = mnfq_packet_get_ct_mark(packet);
	if (change.set_mark)
		cr_assert(mnfq_packet_set_ct_mark(packet, change.mark, change.mark_mask) == 0);
	if (change.set_labels)
		cr_assert(mnfq_packet_set_ct_labels(packet, change.labels, change.labels_mask) ==
			  0);
	after = mnfq_packet_get_ct_mark(packet);
	cr_assert(before == after, "the getter tells what came");
	return MNFQ_ACCEPT;
}

/* Datagrams over `lo` are queued on OUTPUT, and looked at by rules of INPUT. */
static void open_tracked(int family, mnfq_callback callback)
{
	memset(&change, 0, sizeof(change));
	fixture_open(family);
	netns_rule(fixture.ns, family, "-t mangle -F INPUT");
	netns_rule(fixture.ns, family, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	netns_rule(fixture.ns, family, "-A INPUT -m conntrack --ctstate INVALID");
	fixture_bind(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_CONNTRACK), callback);
}

static void pass(uint32_t seq)
{
	fixture_pass(seq, 1);
	expect_counts(.refused = 0);
}

/* The mark of the only connection of the namespace. */
static uint32_t mark_in_proc(void)
{
	char *text = netns_output(fixture.ns, "grep dport=%d /proc/net/nf_conntrack", PORT);
	const char *found = strstr(text, "mark=");
	unsigned int mark = 0;

	cr_assert(found && sscanf(found, "mark=%u", &mark) == 1, "%s", text);
	free(text);
	return mark;
}

FamilyTest(ctchange, mark_is_seen_by_rules_and_in_proc)
{
	open_tracked(family, set);
	netns_rule(fixture.ns, family, "-I INPUT -m connmark --mark 0xfedcba98");
	pass(1);
	cr_assert(mark_in_proc() == 0);
	change.set_mark = true;
	change.mark = 0xfedcba98;
	change.mark_mask = ~0u;
	pass(2);
	cr_assert(mark_in_proc() == 0xfedcba98, "0x%x", mark_in_proc());
	cr_assert(netns_rule_packets(fixture.ns, family, "filter", "INPUT", 1) == 1);
	change.set_mark = false;
	pass(3);
	cr_assert(mark_in_proc() == 0xfedcba98, "it stays with the connection");
	cr_assert(netns_rule_packets(fixture.ns, family, "filter", "INPUT", 1) == 2);
	fixture_close();
}

/* Also those bits of the new one that are outside of the mask. */
Test(ctchange, bits_of_the_mark_outside_of_the_mask_stay)
{
	open_tracked(4, set);
	change.set_mark = true;
	change.mark = 0x12345678;
	change.mark_mask = ~0u;
	pass(1);
	change.mark = 0xffaaffff;
	change.mark_mask = 0x00ff00f0;
	pass(2);
	cr_assert(mark_in_proc() == 0x12aa56f8, "0x%x", mark_in_proc());
	change.mark_mask = 0;
	pass(3);
	cr_assert(mark_in_proc() == 0x12aa56f8, "0x%x", mark_in_proc());
	change.mark = 0;
	change.mark_mask = ~0u;
	pass(4);
	cr_assert(mark_in_proc() == 0, "0x%x", mark_in_proc());
	fixture_close();
}

/* ---- labels ---- */

/* Rules that count packets whose connection has label 3, 100. */
static void watch_labels(void)
{
	netns_rule(fixture.ns, 4, "-t security -A INPUT -m connlabel --label 3");
	netns_rule(fixture.ns, 4, "-t security -A INPUT -m connlabel --label 100");
}

static void expect_labelled(uint64_t with_3, uint64_t with_100)
{
	uint64_t packets[] = {
		netns_rule_packets(fixture.ns, 4, "security", "INPUT", 1),
		netns_rule_packets(fixture.ns, 4, "security", "INPUT", 2),
	};

	cr_assert(packets[0] == with_3 && packets[1] == with_100, "label 3: %d, label 100: %d",
		  (int)packets[0], (int)packets[1]);
}

static void set_label(uint8_t *labels, unsigned int label)
{
	labels[label / 8] |= (uint8_t)(1 << label % 8);
}

Test(ctchange, labels_are_seen_by_rules)
{
	open_tracked(4, set);
	watch_labels();
	pass(1);
	expect_labelled(0, 0);
	change.set_labels = true;
	set_label(change.labels, 3);
	memset(change.labels_mask, 0xff, sizeof(change.labels_mask));
	pass(2);
	expect_labelled(1, 0);
	set_label(change.labels,
		  100); /* 3 is outside of the mask now, and cleared in the new ones */
	change.labels[0] = 0;
	memset(change.labels_mask, 0, sizeof(change.labels_mask));
	set_label(change.labels_mask, 100);
	pass(3);
	expect_labelled(2, 1);
	memset(change.labels_mask, 0, sizeof(change.labels_mask));
	set_label(change.labels_mask, 3);
	pass(4);
	expect_labelled(2, 2);
	fixture_close();
}

Test(ctchange, labels_outside_of_the_mask_are_not_set)
{
	open_tracked(4, set);
	watch_labels();
	change.set_labels = true;
	set_label(change.labels, 3);
	set_label(change.labels, 100);
	set_label(change.labels_mask, 100);
	pass(1);
	expect_labelled(0, 1);
	pass(2);
	expect_labelled(0, 2);
	fixture_close();
}

Test(ctchange, mark_and_labels_with_one_verdict)
{
	open_tracked(4, set);
	watch_labels();
	change.set_mark = change.set_labels = true;
	change.mark = 7;
	change.mark_mask = ~0u;
	set_label(change.labels, 3);
	memset(change.labels_mask, 0xff, sizeof(change.labels_mask));
	pass(1);
	expect_labelled(1, 0);
	cr_assert(mark_in_proc() == 7);
	fixture_close();
}

/* No rule mentions labels, so that the connection has no room for them. */
Test(ctchange, labels_without_room_cost_the_mark_as_well)
{
	open_tracked(4, set);
	change.set_mark = change.set_labels = true;
	change.mark = 7;
	change.mark_mask = ~0u;
	set_label(change.labels, 3);
	memset(change.labels_mask, 0xff, sizeof(change.labels_mask));
	pass(1);
	cr_assert(mark_in_proc() == 0, "0x%x", mark_in_proc());
	change.set_labels = false;
	pass(2);
	cr_assert(mark_in_proc() == 7);
	fixture_close();
}

/* ---- along with other changes, and later ---- */

static enum mnfq_verdict set_all(struct mnfq_packet *packet, void *data)
{
	uint8_t copy[128];
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	memcpy(copy, payload, len);
	copy[31] = 9; /* the number of the datagram */
	memset(copy + 32, 0, len - 32);
	len = 32;
	packet_repair(copy, len);
	cr_assert(mnfq_packet_set_payload(packet, copy, len) == 0);
	cr_assert(mnfq_packet_set_mark(packet, 0x11) == 0);
	cr_assert(mnfq_packet_set_priority(packet, 0x22) == 0);
	return set(packet, data);
}

Test(ctchange, with_a_payload_a_mark_and_a_priority)
{
	struct datagram datagram;

	open_tracked(4, set_all);
	netns_rule(fixture.ns, 4, "-I OUTPUT -m mark --mark 0x11 -m connmark --mark 0x33");
	change.set_mark = true;
	change.mark = 0x33;
	change.mark_mask = 0xff;
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(udp_await(&fixture.udp, &datagram) && datagram.seq == 9 && datagram.size == 4);
	cr_assert(mark_in_proc() == 0x33);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "OUTPUT", 1) == 1);
	fixture_close();
}

Test(ctchange, mark_of_a_retained_packet)
{
	open_tracked(4, retain_packet);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(mnfq_packet_set_ct_mark(fixture.retained[0], 0x44, ~0u) == 0);
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == 0);
	fixture_expect(1, 1);
	cr_assert(mark_in_proc() == 0x44);
	mnfq_packet_free(fixture.retained[0]);
	fixture_close();
}

/* ---- what the kernel does with what the library does not send ---- */

static void raw_mark(uint32_t id, uint32_t mark, uint32_t mask)
{
	const uint32_t wire[] = { htonl(mark), htonl(mask) };
	uint8_t nest[32], attributes[64], *end = nest;

	end = raw_put(end, CTA_MARK, &wire[0], sizeof(wire[0]));
	end = raw_put(end, CTA_MARK_MASK, &wire[1], sizeof(wire[1]));
	end = raw_put(attributes, NLA_F_NESTED | NFQA_CT, nest, (size_t)(end - nest));
	cr_assert(raw_accept(id, attributes, (size_t)(end - attributes)) == 0);
}

/* That is why the library takes the bits outside of the mask away. */
Test(ctchange, the_kernel_toggles_bits_outside_of_the_mask)
{
	open_tracked(4, retain_packet);
	netns_rule(fixture.ns, 4, "-t mangle -I OUTPUT -j CONNMARK --set-mark 0x12345678");
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	raw_mark(1, 0xffff, 0xff);
	fixture_expect(1, 1);
	cr_assert(mark_in_proc() == 0x1234a9ff, "0x%x", mark_in_proc());
	mnfq_packet_free(fixture.retained[0]);
	fixture_close();
}

Test(ctchange, the_mark_of_an_untracked_packet_is_ignored)
{
	open_tracked(4, retain_packet);
	netns_rule(fixture.ns, 4, "-t raw -A OUTPUT -p udp -j CT --notrack");
	netns_rule(fixture.ns, 4, "-I INPUT -m connmark ! --mark 0");
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	raw_mark(1, 1, 1);
	fixture_expect(1, 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1) == 0);
	mnfq_packet_free(fixture.retained[0]);
	fixture_close();
}
