// SPDX-License-Identifier: MIT
/* packet-ct.c: what a packet tells of its connection. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "support/connection.h"

static struct mnfq_tuple tuple(enum mnfq_ct_direction direction)
{
	struct mnfq_tuple found = MNFQ_INIT(found);

	cr_assert(eq(int, mnfq_packet_get_ct_tuple(&packet, direction, &found), 0));
	cr_expect(eq(sz, found.size, sizeof(found)));
	return found;
}

static void expect_side(enum mnfq_ct_direction direction, const struct side *side)
{
	struct mnfq_tuple found = tuple(direction);
	size_t size = found.family == AF_INET ? 4 : 16;

	cr_expect(memcmp(found.src, side->src, size) == 0, "source");
	cr_expect(memcmp(found.dst, side->dst, size) == 0, "destination");
	cr_expect(eq(u16, found.sport, side->sport));
	cr_expect(eq(u16, found.dport, side->dport));
	cr_expect(eq(u16, found.id, 0));
	cr_expect(eq(u8, found.type | found.code, 0));
}

Test(conntrack, a_connection_is_read_whole)
{
	const uint8_t *bits;
	uint32_t number;
	size_t len;

	put_connection();
	cr_assert(eq(int, parse(), 0));
	expect_side(MNFQ_CT_ORIGINAL, &(struct side){ "\xc0\xa8\1\2", "\12\0\0\1", 40000, 21 });
	expect_side(MNFQ_CT_REPLY, &(struct side){ "\12\0\0\1", "\xcb\0\x71\5", 21, 1025 });
	cr_expect(eq(u8, tuple(MNFQ_CT_REPLY).family, AF_INET));
	cr_expect(eq(u8, tuple(MNFQ_CT_REPLY).protocol, IPPROTO_TCP));
	cr_expect(eq(u16, tuple(MNFQ_CT_REPLY).zone, 0));
	cr_expect(eq(u16, mnfq_packet_get_ct_zone(&packet), 0x1234));
	cr_expect(eq(u32, mnfq_packet_get_ct_id(&packet), 0xdeadbeef));
	cr_expect(eq(u32, mnfq_packet_get_ct_status(&packet),
		     IPS_SEEN_REPLY | IPS_ASSURED | IPS_SRC_NAT));
	cr_expect(eq(u32, mnfq_packet_get_ct_mark(&packet), 0x01020304));
	bits = mnfq_packet_get_ct_labels(&packet, &len);
	cr_assert(eq(sz, len, sizeof(labels)));
	cr_expect(memcmp(bits, labels, sizeof(labels)) == 0);
	cr_expect(eq(int, mnfq_packet_get_ct_info(&packet, &number), 0));
	cr_expect(eq(u32, number, IP_CT_ESTABLISHED_REPLY));
	cr_expect(mnfq_i_packet_seq_adjustable(&packet));
}

Test(conntrack, its_bytes_are_there_as_they_came)
{
	const uint8_t *bytes;
	size_t len, nest;

	put_connection();
	nest = MNFQ_I_HDRLEN + 12 + 8; /* behind a header and the state */
	cr_assert(eq(int, parse(), 0));
	bytes = mnfq_packet_get_ct(&packet, &len);
	cr_assert(eq(sz, len, msg.len - nest - 4));
	cr_expect(memcmp(bytes, msg.bytes + nest + 4, len) == 0);
	cr_expect(eq(sz, (uintptr_t)bytes % 4, 0));
	begin();
	message_attr(&msg, NFQA_CT, NULL, 0);
	cr_assert(eq(int, parse(), 0));
	cr_expect(mnfq_packet_get_ct(&packet, &len) != NULL);
	cr_expect(eq(sz, len, 0));
}

Test(conntrack, addresses_of_ipv6)
{
	static const struct side original = { "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1",
					      "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 5353,
					      53 };
	static const struct side reply = { "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2",
					   "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 53, 5353 };
	struct nlmsghdr *nlh = (struct nlmsghdr *)msg.bytes;
	struct nlattr *ct;

	begin();
	ct = mnl_attr_nest_start(nlh, NFQA_CT);
	put_tuple(nlh, CTA_TUPLE_ORIG, IPPROTO_UDP, true, &original);
	put_tuple(nlh, CTA_TUPLE_REPLY, IPPROTO_UDP, true, &reply);
	mnl_attr_nest_end(nlh, ct);
	msg.len = nlh->nlmsg_len;
	cr_assert(eq(int, parse(), 0));
	expect_side(MNFQ_CT_ORIGINAL, &original);
	expect_side(MNFQ_CT_REPLY, &reply);
	cr_expect(eq(u8, tuple(MNFQ_CT_ORIGINAL).family, AF_INET6));
	cr_expect(eq(u8, tuple(MNFQ_CT_ORIGINAL).protocol, IPPROTO_UDP));
	cr_expect(not(mnfq_i_packet_seq_adjustable(&packet)));
}

/* ---- tuples piece by piece ---- */

/* A tuple of IPv4 whose protocol part is what @put adds, and zone @zone unless that is 0. */
static void put_original(void (*put)(void), uint16_t zone)
{
	size_t ct, outer, nest;

	begin();
	ct = message_open(&msg, NFQA_CT);
	outer = message_open(&msg, CTA_TUPLE_ORIG);
	nest = message_open(&msg, CTA_TUPLE_IP);
	message_attr(&msg, CTA_IP_V4_SRC, "\12\0\0\1", 4);
	message_attr(&msg, CTA_IP_V4_DST, "\12\0\0\2", 4);
	message_close(&msg, nest);
	nest = message_open(&msg, CTA_TUPLE_PROTO);
	put();
	message_close(&msg, nest);
	if (zone)
		message_attr16(&msg, MNFQ_I_CTA_TUPLE_ZONE, zone);
	message_close(&msg, outer);
	message_close(&msg, ct);
	cr_assert(eq(int, parse(), 0));
}

static void put_icmp(void)
{
	message_attr(&msg, CTA_PROTO_NUM, "\1", 1);
	message_attr16(&msg, CTA_PROTO_ICMP_ID, 0x1234);
	message_attr(&msg, CTA_PROTO_ICMP_TYPE, "\10", 1);
	message_attr(&msg, CTA_PROTO_ICMP_CODE, "\5", 1);
}

static void put_icmpv6(void)
{
	message_attr(&msg, CTA_PROTO_NUM, "\x3a", 1);
	message_attr16(&msg, CTA_PROTO_ICMPV6_ID, 0x4321);
	message_attr(&msg, CTA_PROTO_ICMPV6_TYPE, "\x80", 1);
	message_attr(&msg, CTA_PROTO_ICMPV6_CODE, "\6", 1);
}

static void put_gre(void)
{
	message_attr(&msg, CTA_PROTO_NUM, "\x2f", 1);
}

Test(conntrack, icmp_has_no_ports)
{
	struct mnfq_tuple found;

	put_original(put_icmp, 0);
	found = tuple(MNFQ_CT_ORIGINAL);
	cr_expect(eq(u8, found.protocol, IPPROTO_ICMP));
	cr_expect(eq(u16, found.sport | found.dport, 0));
	cr_expect(eq(u16, found.id, 0x1234));
	cr_expect(eq(u8, found.type, 8));
	cr_expect(eq(u8, found.code, 5));

	put_original(put_icmpv6, 0);
	found = tuple(MNFQ_CT_ORIGINAL);
	cr_expect(eq(u8, found.protocol, IPPROTO_ICMPV6));
	cr_expect(eq(u16, found.sport | found.dport, 0));
	cr_expect(eq(u16, found.id, 0x4321));
	cr_expect(eq(u8, found.type, 128));
	cr_expect(eq(u8, found.code, 6));
}

Test(conntrack, a_protocol_without_details)
{
	struct mnfq_tuple found;

	put_original(put_gre, 0);
	found = tuple(MNFQ_CT_ORIGINAL);
	cr_expect(eq(u8, found.family, AF_INET));
	cr_expect(eq(u8, found.protocol, IPPROTO_GRE));
	cr_expect(eq(u16, found.sport | found.dport | found.id, 0));
}

Test(conntrack, a_zone_may_be_of_one_direction_only)
{
	put_original(put_gre, 4660);
	cr_expect(eq(u16, tuple(MNFQ_CT_ORIGINAL).zone, 4660));
	cr_expect(eq(u16, mnfq_packet_get_ct_zone(&packet), 0));
	put_original(put_gre, 0);
	cr_expect(eq(u16, tuple(MNFQ_CT_ORIGINAL).zone, 0));
}

Test(conntrack, a_caller_may_know_less_or_more_of_a_tuple)
{
	struct {
		struct mnfq_tuple tuple;
		uint64_t future;
	} large = { .tuple = { .size = sizeof(large) }, .future = 1 };
	struct mnfq_tuple small = { .size = offsetof(struct mnfq_tuple, src[4]),
				    .src = { [4] = 9 } };
	struct mnfq_tuple none = { .size = sizeof(size_t) - 1 };

	put_connection();
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_ORIGINAL, &small), 0));
	cr_expect(eq(sz, small.size, offsetof(struct mnfq_tuple, src[4])));
	cr_expect(eq(u8, small.protocol, IPPROTO_TCP));
	cr_expect(eq(u8, small.src[4], 9), "untouched");
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, &large.tuple), 0));
	cr_expect(eq(sz, large.tuple.size, sizeof(large)));
	cr_expect(eq(u16, large.tuple.dport, 1025));
	cr_expect(eq(u64, large.future, 0));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, &none), -EINVAL));
	none.size = 0;
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, &none), -EINVAL));
}

/* ---- states ---- */

Test(conntrack, states_and_directions_have_names)
{
	static const struct {
		const char *state, *direction;
	} names[] = {
		{ "established", "original" }, { "related", "original" }, { "new", "original" },
		{ "established", "reply" },    { "related", "reply" },    { "new", "reply" },
		{ "unknown", NULL },           { "untracked", NULL },     { "unknown", NULL },
	};
	const char *name;

	for (uint32_t info = 0; info < 9; info++) {
		begin();
		message_attr32(&msg, NFQA_CT_INFO, info);
		cr_assert(eq(int, parse(), 0));
		name = mnfq_packet_get_ct_state_name(&packet);
		cr_assert(name != NULL);
		cr_expect(eq(str, (char *)name, (char *)names[info].state), "%u", info);
		name = mnfq_packet_get_ct_direction_name(&packet);
		cr_expect(eq(int, !name, !names[info].direction), "%u", info);
		if (name && names[info].direction)
			cr_expect(eq(str, (char *)name, (char *)names[info].direction), "%u",
				  info);
	}
	begin();
	message_attr32(&msg, NFQA_CT_INFO, UINT32_MAX);
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(str, (char *)mnfq_packet_get_ct_state_name(&packet), (char *)"unknown"));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_ct_direction_name(&packet), NULL));
}

/* ---- what is not there ---- */

Test(conntrack, an_untracked_packet_has_no_connection)
{
	uint32_t number;
	size_t len = 4711;

	begin();
	cr_assert(eq(int, parse(), 0));
	expect_all(-ENODATA);
	cr_expect(eq(int, mnfq_packet_get_ct_info(&packet, &number), -ENODATA));
	cr_expect(mnfq_packet_get_ct(&packet, &len) == NULL);
	cr_expect(eq(sz, len, 0));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_ct_state_name(&packet), NULL));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_ct_direction_name(&packet), NULL));
}

Test(conntrack, what_the_kernel_leaves_out_is_zero)
{
	begin();
	message_attr(&msg, NFQA_CT, "\10\0\7\0\0\0\0\1", 8); /* a time-out only */
	cr_assert(eq(int, parse(), 0));
	expect_all(-ENODATA);
}

Test(conntrack, labels_of_another_length)
{
	static const uint8_t wide[24] = { 1, 2, 3, 4, [15] = 15, [16] = 16 };
	const uint8_t *bits;
	size_t found, ct;

	for (size_t len = 0; len <= sizeof(wide); len += 4) {
		begin();
		ct = message_open(&msg, NFQA_CT);
		message_attr(&msg, MNFQ_I_CTA_LABELS, wide, len);
		message_close(&msg, ct);
		cr_assert(eq(int, parse(), 0));
		bits = mnfq_packet_get_ct_labels(&packet, &found);
		cr_assert(eq(sz, found, len));
		cr_expect(memcmp(bits, wide, len) == 0, "%zu bytes", len);
	}
}

Test(conntrack, wrong_arguments)
{
	struct mnfq_tuple found = MNFQ_INIT(found);
	uint32_t number;
	size_t len = 4711;

	put_connection();
	cr_assert(eq(int, parse(), 0));
	cr_expect(mnfq_packet_get_ct(NULL, &len) == NULL);
	cr_expect(eq(sz, len, 0));
	cr_expect(mnfq_packet_get_ct(&packet, NULL) != NULL);
	cr_expect(eq(int, mnfq_packet_get_ct_info(NULL, &number), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_ct_info(&packet, NULL), -EINVAL));
	cr_expect(eq(u32, mnfq_packet_get_ct_mark(NULL), 0));
	cr_expect(eq(u32, mnfq_packet_get_ct_id(NULL), 0));
	cr_expect(eq(u32, mnfq_packet_get_ct_status(NULL), 0));
	cr_expect(eq(u16, mnfq_packet_get_ct_zone(NULL), 0));
	cr_expect(mnfq_packet_get_ct_labels(NULL, &len) == NULL);
	cr_expect(mnfq_packet_get_ct_labels(&packet, NULL) != NULL);
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(NULL, MNFQ_CT_REPLY, &found), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, 2, &found), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, UINT32_MAX, &found), -EINVAL));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_ct_state_name(NULL), NULL));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_ct_direction_name(NULL), NULL));
}
