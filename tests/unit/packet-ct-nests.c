// SPDX-License-Identifier: MIT
/* packet-ct.c: nests that are cut, lie about their lengths, or lack something. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "support/connection.h"

/* Asks everything: what is malformed is an error, or there is a value. */
static void expect_sane(const char *what, size_t where)
{
	struct mnfq_tuple found = MNFQ_INIT(found);
	int answers[2] = { mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_ORIGINAL, &found),
			   mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, &found) };
	const uint8_t *bits;
	size_t len;

	(void)mnfq_packet_get_ct_id(&packet);
	(void)mnfq_packet_get_ct_zone(&packet);
	(void)mnfq_i_packet_seq_adjustable(&packet);
	bits = mnfq_packet_get_ct_labels(&packet, &len);
	cr_expect(bits == NULL || bits + len <= msg.bytes + msg.len, "%s, byte %zu", what, where);
	for (size_t i = 0; i < 2; i++)
		cr_expect(answers[i] == 0 || answers[i] == -ENODATA || answers[i] == -EBADMSG,
			  "%s, byte %zu: tuple %zu answers %d", what, where, i, answers[i]);
}

static struct nlattr *attr_at(size_t at)
{
	return (struct nlattr *)(msg.bytes + at);
}

/* Ends the message at @end, and with it the attributes at @nests, each within the one before. */
static void end_at(size_t end, const size_t *nests, size_t n)
{
	msg.len = end;
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = (uint32_t)end;
	for (size_t i = 0; i < n && nests[i] + 4 <= end; i++)
		attr_at(nests[i])->nla_len = (uint16_t)(end - nests[i]);
}

Test(nests, a_cut_is_survived_wherever_it_is)
{
	/* The connection, its first tuple, and the parts of that. */
	static const size_t nests[] = { CT, CT + 4, CT + 8 }, ports[] = { CT, CT + 4, CT + 28 };
	size_t whole, end, boundary = CT + 4;

	put_connection();
	for (whole = msg.len, end = CT + 4; end < whole; end++) {
		put_connection();
		while (boundary + 4 <= end)
			boundary += NLA_ALIGN(attr_at(boundary)->nla_len);
		end_at(end, nests, 1);
		cr_assert(eq(int, parse(), 0));
		expect_sane("cut", end);
		if (boundary > end + 3) /* within an attribute that says to be longer */
			expect_all(-EBADMSG);
	}
	for (end = CT + 8; end < CT + 56; end++) {
		put_connection();
		end_at(end, nests, 3);
		cr_assert(eq(int, parse(), 0));
		expect_sane("cut with its nests", end);
		put_connection();
		end_at(end, ports, 3);
		cr_assert(eq(int, parse(), 0));
		expect_sane("cut with its protocol", end);
	}
}

static void expect_tuples(int original, int reply, const char *what)
{
	struct mnfq_tuple found = { .size = sizeof(found), .sport = 4711 };

	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_ORIGINAL, &found), original),
		  "%s", what);
	cr_expect(eq(u16, found.sport, original ? 4711 : 40000), "%s", what);
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, &found), reply), "%s",
		  what);
}

static const uint16_t lies[] = { 0, 1, 3, 0x7fff, 0xffff };

#define LIES (sizeof(lies) / sizeof(lies[0]))

/* A lie at the top spoils everything. */
Test(nests, lengths_that_lie)
{
	size_t at, end;

	put_connection();
	for (end = msg.len, at = CT + 4; at < end; at += NLA_ALIGN(attr_at(at)->nla_len)) {
		for (size_t i = 0; i < LIES; i++) {
			put_connection();
			attr_at(at)->nla_len = lies[i];
			cr_assert(eq(int, parse(), 0));
			expect_all(-EBADMSG);
		}
		put_connection();
	}
}

/* One within a tuple spoils that. */
Test(nests, lengths_that_lie_in_a_tuple)
{
	static const size_t within[] = { 8, 12, 20, 28, 32, 40, 48 };

	for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++) {
		for (size_t j = 0; j < LIES; j++) {
			put_connection();
			attr_at(CT + within[i])->nla_len = lies[j];
			cr_assert(eq(int, parse(), 0));
			expect_tuples(-EBADMSG, 0, "a lie");
			cr_expect(eq(u32, mnfq_packet_get_ct_mark(&packet), 0x01020304));
		}
	}
}

/* Of a tuple, @ip and @proto are all that there is. */
static void put_parts(const char *ip, size_t ip_len, const char *proto, size_t proto_len)
{
	size_t ct, outer;

	begin();
	ct = message_open(&msg, NFQA_CT);
	outer = message_open(&msg, CTA_TUPLE_ORIG);
	if (ip)
		message_attr(&msg, CTA_TUPLE_IP, ip, ip_len);
	if (proto)
		message_attr(&msg, CTA_TUPLE_PROTO, proto, proto_len);
	message_close(&msg, outer);
	message_close(&msg, ct);
	cr_assert(eq(int, parse(), 0));
}

#define PARTS(ip, proto) put_parts(ip, sizeof(ip) - 1, proto, sizeof(proto) - 1)
#define ADDRESSES        "\10\0\1\0\12\0\0\1\10\0\2\0\12\0\0\2"
#define ONE_ZERO         "\5\0\1\0\6\0\0\0"

Test(nests, a_tuple_has_both_parts)
{
	struct mnfq_tuple found = MNFQ_INIT(found);

	put_parts(ADDRESSES, sizeof(ADDRESSES) - 1, NULL, 0);
	expect_tuples(-EBADMSG, -ENODATA, "no protocol");
	put_parts(NULL, 0, ONE_ZERO, sizeof(ONE_ZERO) - 1);
	expect_tuples(-EBADMSG, -ENODATA, "no addresses");
	put_parts(NULL, 0, NULL, 0);
	expect_tuples(-EBADMSG, -ENODATA, "nothing");
	/* Both are there, but do not tell much. */
	PARTS("", "");
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_ORIGINAL, &found), 0));
	cr_expect(eq(u8, found.family | found.protocol, 0));
	PARTS("\10\0\1\0\12\0\0\1", ONE_ZERO);
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_ORIGINAL, &found), 0));
	cr_expect(eq(u8, found.family, 0), "one address is none");
	cr_expect(eq(u8, found.src[0], 0));
	cr_expect(eq(u8, found.protocol, 6));
}

Test(nests, values_that_are_too_short)
{
	static const uint16_t types[] = { CTA_ID, CTA_STATUS, CTA_MARK, CTA_ZONE };
	uint32_t number;
	size_t ct;

	for (size_t i = 0; i < 4; i++) {
		begin();
		ct = message_open(&msg, NFQA_CT);
		message_attr(&msg, types[i], "abc", types[i] == CTA_ZONE ? 1 : 3);
		message_close(&msg, ct);
		cr_assert(eq(int, parse(), 0));
		number = i == 0   ? mnfq_packet_get_ct_id(&packet)
			 : i == 1 ? mnfq_packet_get_ct_status(&packet)
			 : i == 2 ? mnfq_packet_get_ct_mark(&packet)
				  : mnfq_packet_get_ct_zone(&packet);
		cr_expect(eq(u32, number, 0), "type %u", types[i]);
	}
	PARTS("\7\0\1\0\12\0\0\0\10\0\2\0\12\0\0\2", ONE_ZERO);
	expect_tuples(-EBADMSG, -ENODATA, "a short source");
	PARTS("\10\0\1\0\12\0\0\1\7\0\2\0\12\0\0\2", ONE_ZERO);
	expect_tuples(-EBADMSG, -ENODATA, "a short destination");
	PARTS("\10\0\3\0\12\0\0\1\10\0\4\0\12\0\0\2", ONE_ZERO);
	expect_tuples(-EBADMSG, -ENODATA, "IPv6 in four bytes");
	PARTS(ADDRESSES, "\4\0\1\0");
	expect_tuples(-EBADMSG, -ENODATA, "an empty protocol");
	PARTS(ADDRESSES, "\5\0\2\0\1\0\0\0");
	expect_tuples(-EBADMSG, -ENODATA, "a source port of one byte");
	PARTS(ADDRESSES, "\5\0\3\0\1\0\0\0");
	expect_tuples(-EBADMSG, -ENODATA, "a destination port of one byte");
	PARTS(ADDRESSES, "\5\0\4\0\1\0\0\0");
	expect_tuples(-EBADMSG, -ENODATA, "an ICMP id of one byte");
	PARTS(ADDRESSES, "\4\0\5\0");
	expect_tuples(-EBADMSG, -ENODATA, "an empty ICMP type");
	PARTS(ADDRESSES, "\4\0\11\0");
	expect_tuples(-EBADMSG, -ENODATA, "an empty ICMPv6 code");
}

Test(nests, adjusting_needs_nat_and_a_helper)
{
	static const uint32_t states[] = { IPS_SRC_NAT, IPS_DST_NAT, IPS_SRC_NAT | IPS_DST_NAT,
					   IPS_ASSURED, 0 };
	size_t i, ct, with_helper;

	for (i = 0; i < 10; i++) {
		with_helper = i % 2;
		begin();
		ct = message_open(&msg, NFQA_CT);
		message_attr32(&msg, CTA_STATUS, states[i / 2]);
		if (with_helper)
			message_attr(&msg, CTA_HELP, "", 0);
		message_close(&msg, ct);
		cr_assert(eq(int, parse(), 0));
		cr_expect(eq(int, mnfq_i_packet_seq_adjustable(&packet), with_helper &&i < 6));
	}
}
