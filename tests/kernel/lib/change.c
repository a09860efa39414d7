/* SPDX-License-Identifier: MIT */
/* What is changed with a verdict, and what the kernel would do with what is refused. */
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

/* ---- priority ---- */

static uint32_t next_priority;

static enum mnfq_verdict set_priority(struct mnfq_packet *packet, void *data)
{
	uint32_t before, after;

	(void)data;
	before = mnfq_packet_get_priority(packet);
	cr_assert(mnfq_packet_set_priority(packet, next_priority) == 0);
	after = mnfq_packet_get_priority(packet);
	cr_assert(before == after, "the getter tells what came");
	return MNFQ_ACCEPT;
}

static enum mnfq_verdict read_priority(struct mnfq_packet *packet, void *data)
{
	uint32_t priority = mnfq_packet_get_priority(packet);

	(void)data;
	cr_assert(priority == next_priority, "0x%x", priority);
	fixture.seen++;
	return MNFQ_ACCEPT;
}

/* Queue 2 comes later on the way, in another table. */
static void set_and_see(uint32_t priority)
{
	const unsigned int seen = fixture.seen;

	next_priority = priority;
	udp_send(&fixture.udp, priority & 0xffff);
	fixture_serve(2);
	fixture_expect(priority & 0xffff, 1);
	cr_assert(fixture.seen == seen + 1);
}

FamilyTest(change, priority_is_seen_by_a_later_queue)
{
	struct mnfq_queue *later;
	int six = 6;

	fixture_open(family);
	netns_rule(fixture.ns, family, "-A INPUT -p udp -j NFQUEUE --queue-num 2");
	fixture_bind(NULL, set_priority);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&later, fixture.sock, 2, NULL, read_priority, &fixture));
	set_and_see(3);
	set_and_see(0xfedcba98);
	cr_assert(setsockopt(fixture.udp.tx, SOL_SOCKET, SO_PRIORITY, &six, sizeof(six)) == 0);
	set_and_see(0);
	fixture_close();
}

/* The packets that class 1:20 of `lo` has sent. */
static unsigned int sent_in_class(struct netns *ns)
{
	char *text = netns_output(ns, "tc -s class show dev lo classid 1:20");
	const char *sent = strstr(text, "Sent ");
	unsigned int packets = ~0u;

	cr_assert(sent && sscanf(sent, "Sent %*u bytes %u pkt", &packets) == 1, "%s", text);
	free(text);
	return packets;
}

QueueTest(change, priority_chooses_a_class_of_the_queueing_discipline)
{
	netns_rule(fixture.ns, 4, "-t mangle -F INPUT");
	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	netns_run(fixture.ns, "tc qdisc add dev lo root handle 1: htb &&"
			      " tc class add dev lo classid 1:20 htb rate 1gbit");
	fixture_bind(NULL, set_priority);
	next_priority = 0x00010021; /* of no class */
	fixture_pass(1, 1);
	cr_assert(sent_in_class(fixture.ns) == 0);
	next_priority = 0x00010020;
	fixture_pass(2, 3);
	cr_assert(sent_in_class(fixture.ns) == 3);
}

/* ---- a payload for a truncated packet ---- */

/* The received bytes are made a packet of their own. */
static int cut(struct mnfq_packet *packet)
{
	uint8_t copy[64];
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	cr_assert(len == sizeof(copy));
	memcpy(copy, payload, sizeof(copy));
	packet_repair(copy, sizeof(copy));
	return mnfq_packet_set_payload(packet, copy, sizeof(copy));
}

static enum mnfq_verdict cut_on_purpose(struct mnfq_packet *packet, void *data)
{
	size_t len;

	(void)data;
	cr_assert(cut(packet) == -EMSGSIZE);
	cr_assert(strstr(mnfq_packet_get_error(packet), "MNFQ_ALLOW_CUT"));
	cr_assert(mnfq_packet_allow(packet, MNFQ_ALLOW_CUT) == 0);
	cr_assert(cut(packet) == 0);
	cr_assert(mnfq_packet_get_length(packet, &len) == 0 && len > 1000, "as it was queued");
	return MNFQ_ACCEPT;
}

static void expect_cut(size_t size)
{
	struct datagram datagram;

	cr_assert(udp_await(&fixture.udp, &datagram));
	cr_assert(datagram.seq == 7 && datagram.intact && datagram.size == size,
		  "%zu bytes arrive", datagram.size);
	expect_counts(.rewritten = 1);
}

QueueTest(change, a_truncated_packet_is_cut_on_purpose)
{
	fixture_bind(QUEUE_OPTIONS(.copy_range = 64), cut_on_purpose);
	udp_send_sized(&fixture.udp, 7, 1000);
	fixture_serve(1);
	expect_cut(64 - 28);
}

/* What was allowed to the packet of the callback holds for the copy as well. */
static enum mnfq_verdict allow_and_keep(struct mnfq_packet *packet, void *data)
{
	cr_assert(mnfq_packet_allow(packet, MNFQ_ALLOW_CUT) == 0);
	return retain_packet(packet, data);
}

Test(change, a_truncated_packet_is_cut_later)
{
	fixture_open(6);
	fixture_bind(QUEUE_OPTIONS(.copy_range = 64), allow_and_keep);
	udp_send_sized(&fixture.udp, 7, 1000);
	fixture_serve(1);
	cr_assert(cut(fixture.retained[0]) == 0);
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == 0);
	expect_cut(64 - 48);
	mnfq_packet_free(fixture.retained[0]);
	fixture_close();
}

/* ---- what the kernel would have done ----
 *
 * The library refuses to set what the kernel would take without a word and not do. Each of these
 * sends the verdict past the library, and sees that it changes nothing and that nothing is reported.
 */

static enum mnfq_verdict keep_refused(struct mnfq_packet *packet, void *data)
{
	static const uint8_t bytes[MNFQ_CT_LABELS_SIZE] = { 1 };

	cr_assert(mnfq_packet_set_vlan(packet, 5, 0x8100) == -EOPNOTSUPP);
	cr_assert(mnfq_packet_set_l2hdr(packet, bytes, 14) == -EOPNOTSUPP);
	cr_assert(strstr(mnfq_packet_get_error(packet), "bridge"));
	cr_assert(mnfq_packet_set_ct_mark(packet, 1, 1) == -ENODATA);
	cr_assert(mnfq_packet_set_ct_labels(packet, bytes, NULL) == -ENODATA);
	cr_assert(strstr(mnfq_packet_get_error(packet), "MNFQ_QUEUE_CONNTRACK"));
	return retain_packet(packet, data);
}

static void accept_past_the_library(const uint8_t *attributes, size_t len)
{
	int err;

	fixture_open(4);
	fixture_bind(NULL, keep_refused);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	err = raw_accept(mnfq_packet_get_id(fixture.retained[0]), attributes, len);
	cr_assert(err == 0, "the kernel does tell: %s", strerror(-err));
	fixture_expect(1, 1);
	mnfq_packet_free(fixture.retained[0]);
	fixture_close();
}

Test(change, vlan_tag_of_a_packet_of_no_bridge_is_ignored)
{
	const uint16_t tci = htons(5), protocol = htons(0x8100);
	uint8_t nest[32], attributes[64], *end = nest;

	end = raw_put(end, NFQA_VLAN_TCI, &tci, sizeof(tci));
	end = raw_put(end, NFQA_VLAN_PROTO, &protocol, sizeof(protocol));
	end = raw_put(attributes, NLA_F_NESTED | NFQA_VLAN, nest, (size_t)(end - nest));
	accept_past_the_library(attributes, (size_t)(end - attributes));
}

Test(change, link_layer_header_of_a_packet_of_no_bridge_is_ignored)
{
	static const uint8_t header[14] = { 2 };
	uint8_t attributes[64], *end = raw_put(attributes, NFQA_L2HDR, header, 14);

	accept_past_the_library(attributes, (size_t)(end - attributes));
}

Test(change, mark_of_an_untracked_connection_is_ignored)
{
	const uint32_t mark = htonl(1);
	uint8_t nest[32], attributes[64], *end = nest;

	end = raw_put(nest, CTA_MARK, &mark, sizeof(mark));
	end = raw_put(attributes, NLA_F_NESTED | NFQA_CT, nest, (size_t)(end - nest));
	accept_past_the_library(attributes, (size_t)(end - attributes));
}

/* And this it does, without asking: the first bytes are all that is left of the packet. */
static enum mnfq_verdict see_length(struct mnfq_packet *packet, void *data)
{
	size_t len = 0;

	cr_assert(mnfq_packet_get_length(packet, &len) == 0);
	*(size_t *)data = len;
	return MNFQ_ACCEPT;
}

QueueTest(change, a_truncated_copy_cuts_the_packet)
{
	struct mnfq_queue *later;
	uint8_t attributes[128], *end;
	const uint8_t *payload;
	size_t len, left = 0;

	netns_rule(fixture.ns, 4, "-A INPUT -p udp -j NFQUEUE --queue-num 2");
	fixture_bind(QUEUE_OPTIONS(.copy_range = 64), retain_packet);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&later, fixture.sock, 2, NULL, see_length, &left));
	udp_send_sized(&fixture.udp, 1, 1000);
	fixture_serve(1);
	payload = mnfq_packet_get_payload(fixture.retained[0], &len);
	cr_assert(mnfq_packet_set_payload(fixture.retained[0], payload, len) == -EMSGSIZE);
	end = raw_put(attributes, NFQA_PAYLOAD, payload, len);
	raw_send(1, attributes, (size_t)(end - attributes));
	fixture_serve(1);
	cr_assert(left == 64, "%zu bytes", left);
	fixture_expect_nothing();
	mnfq_packet_free(fixture.retained[0]);
}
