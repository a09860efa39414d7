/* SPDX-License-Identifier: MIT */
/* print/print.c: what a kernel may tell of a packet, and what must not get through. */
#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>

#include "packet.h"
#include "print/print.h"
#include "support/message.h"

static struct message msg;
static char *text, *json;

static void begin(void)
{
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, NF_INET_LOCAL_OUT);
}

/* From 127.0.0.1 to 127.0.0.1. */
static void put_icmp(uint8_t type, uint16_t checksum)
{
	static const uint8_t header[] = { 0x45, 0,    0,   28, 0, 0, 0,   0, 64, 1,
					  0x7c, 0xdf, 127, 0,  0, 1, 127, 0, 0,  1 };
	uint8_t packet[28] = { 0 };

	memcpy(packet, header, sizeof(header));
	packet[20] = type;
	packet[22] = (uint8_t)(checksum >> 8);
	packet[23] = (uint8_t)checksum;
	begin();
	message_attr(&msg, NFQA_PAYLOAD, packet, sizeof(packet));
}

/* From 10.0.0.1 to 10.0.0.2, @len bytes of a SYN, the first fragment of a datagram if @more. */
static void put_tcp(bool more, size_t len)
{
	const uint8_t packet[] = { 0x45,
				   0,
				   0,
				   40,
				   0x12,
				   0x34,
				   more ? 0x20 : 0,
				   0,
				   64,
				   6,
				   more ? 0x34 : 0x54,
				   0x9a,
				   10,
				   0,
				   0,
				   1,
				   10,
				   0,
				   0,
				   2,
				   0xc0,
				   1,
				   0,
				   80,
				   0,
				   0,
				   0,
				   1,
				   0,
				   0,
				   0,
				   0,
				   0x50,
				   2,
				   1,
				   0,
				   0,
				   0,
				   0,
				   0 };

	begin();
	message_attr32(&msg, NFQA_CAP_LEN, sizeof(packet));
	message_attr(&msg, NFQA_PAYLOAD, packet, len);
}

/* What has been put into `msg`, as text and as JSON. */
static void print(void)
{
	static struct mnfq_packet packet; /* of no queue */
	struct line line = { .packet = &packet, .verdict = "accept" };
	size_t size;
	FILE *out;

	cr_assert_eq(mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0);
	free(text);
	out = open_memstream(&text, &size);
	cr_assert_eq(print_text(out, &line), 0);
	fclose(out);
	cr_assert_eq(strlen(text), size);
	free(json);
	json = NULL;
	out = open_memstream(&json, &size);
	cr_assert_eq(print_json(out, &line), 0);
	fclose(out);
	cr_assert_eq(strlen(json), size);
}

static void expect_text(const char *part)
{
	cr_expect(strstr(text, part), "'%s' lacks '%s'", text, part);
}

static void expect_json(const char *part)
{
	cr_expect(strstr(json, part), "'%s' lacks '%s'", json, part);
}

static void expect_nowhere(const char *part)
{
	cr_expect(!strstr(text, part), "'%s' has '%s'", text, part);
	cr_expect(!strstr(json, part), "'%s' has '%s'", json, part);
}

/* An attribute with attributes in it: what follows the headers of another message. */
static void put_nest(uint16_t type, const struct message *nest)
{
	message_attr(&msg, type | NLA_F_NESTED, nest->bytes + MNFQ_I_HDRLEN,
		     nest->len - MNFQ_I_HDRLEN);
}

static void put_vlan(uint16_t tci, uint16_t protocol)
{
	static struct message nest;

	tci = htons(tci);
	protocol = htons(protocol);
	message_begin(&nest, 0);
	message_attr(&nest, MNFQ_I_NFQA_VLAN_TCI, &tci, sizeof(tci));
	message_attr(&nest, MNFQ_I_NFQA_VLAN_PROTO, &protocol, sizeof(protocol));
	put_nest(MNFQ_I_NFQA_VLAN, &nest);
}

static void put_connection(uint32_t info, uint32_t mark, uint16_t zone)
{
	static struct message nest;

	zone = htons(zone);
	message_begin(&nest, 0);
	message_attr32(&nest, CTA_ID, 4000000000);
	if (mark)
		message_attr32(&nest, CTA_MARK, mark);
	if (zone)
		message_attr(&nest, CTA_ZONE, &zone, sizeof(zone));
	put_nest(NFQA_CT, &nest);
	message_attr32(&msg, NFQA_CT_INFO, info);
}

Test(print, a_plain_packet_has_none_of_it)
{
	static const char *const words[] = { "checksum", "vlan",   "l2hdr",  "classid",
					     "priority", "secctx", "ct_",    " ct ",
					     "uid",      "gid",    "\"mark", " mark" };

	begin();
	print();
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		expect_nowhere(words[i]);
}

/* 2001-09-09 01:46:40.123456 UTC */
Test(print, whose_time_it_is)
{
	static const uint64_t stamp[] = { 1000000000, 123456 };
	uint64_t wire[2] = { htobe64(stamp[0]), htobe64(stamp[1]) };

	begin();
	message_attr(&msg, NFQA_TIMESTAMP, wire, sizeof(wire));
	print();
	expect_text(":40.123456 queue ");
	expect_json("\"time\":1000000000.123456,\"time_source\":\"kernel\",");

	begin();
	print();
	cr_expect_eq(strncmp(text + 15, "~ queue ", 8), 0, "%s", text);
	expect_json(",\"time_source\":\"mnfq\",");
}

Test(print, checksums)
{
	begin();
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_CSUMNOTREADY | MNFQ_SKB_GSO);
	print();
	expect_text(": checksum not ready, accept\n");
	expect_json(",\"checksum\":\"not-ready\",");

	put_icmp(8, 0xf7ff);
	print();
	expect_json(",\"checksum\":\"good\",");
	cr_expect_null(strstr(text, "checksum"), "%s", text);

	put_icmp(8, 0xf7fe);
	print();
	expect_text("echo request, length 28, checksum bad, accept\n");
	expect_json(",\"checksum\":\"bad\",");
}

Test(print, what_is_in_tcp)
{
	put_tcp(true, 40);
	print();
	expect_text(": tcp 10.0.0.1.49153 > 10.0.0.2.80: Flags [S], fragment id 4660 offset 0+, "
		    "length 40, accept\n");
	expect_json(",\"protocol\":\"tcp\",\"src\":\"10.0.0.1\",\"sport\":49153,"
		    "\"dst\":\"10.0.0.2\",\"dport\":80,\"tcp_flags\":\"S\",\"fragment_id\":4660,"
		    "\"fragment_offset\":0,\"more_fragments\":true,\"length\":40,\"caplen\":40,");
	expect_nowhere("problem");

	put_tcp(false, 30);
	print();
	expect_text(
		": tcp 10.0.0.1.49153 > 10.0.0.2.80: cut short, length 40, captured 30, accept\n");
	expect_json(",\"dport\":80,\"problem\":\"cut short\",\"length\":40,\"caplen\":30,");
	expect_nowhere("fragment");
}

Test(print, what_is_in_icmp)
{
	put_icmp(8, 0xf7ff);
	print();
	expect_text(": icmp 127.0.0.1 > 127.0.0.1: echo request, length 28, accept\n");
	expect_json(",\"icmp_type\":8,\"icmp_code\":0,\"message\":\"echo request\",");

	put_icmp(200, 0x37ff);
	print();
	expect_text(": icmp 127.0.0.1 > 127.0.0.1: type 200 code 0, length 28, accept\n");
	expect_json(",\"icmp_type\":200,\"icmp_code\":0,\"length\":28,");
}

Test(print, priorities_and_classes)
{
	begin();
	message_attr32(&msg, MNFQ_I_NFQA_PRIORITY, 6);
	message_attr32(&msg, MNFQ_I_NFQA_CGROUP_CLASSID, 0x10fffe);
	print();
	expect_text(": cgroup_classid 10:fffe, priority 6, accept\n");
	expect_json(",\"cgroup_classid\":1114110,");
	expect_json(",\"priority\":6,");
}

Test(print, vlan_and_header)
{
	begin();
	put_vlan(0x6005, ETH_P_8021Q);
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, "\x02\x00\xff", 3);
	print();
	expect_text(": vlan 5 p 3, accept\n");
	expect_json(",\"vlan\":{\"id\":5,\"priority\":3,\"dei\":false,\"protocol\":33024},");
	expect_json(",\"l2hdr\":\"0200ff\",");

	begin();
	put_vlan(0xffff, ETH_P_8021AD);
	print();
	expect_text(": vlan 4095 p 7 dei 802.1ad, accept\n");
	expect_json(",\"vlan\":{\"id\":4095,\"priority\":7,\"dei\":true,\"protocol\":34984},");
}

Test(print, connections)
{
	begin();
	put_connection(2, 0, 0);
	print();
	expect_text(": ct new id 4000000000, accept\n");
	expect_json(",\"ct_state\":\"new\",\"ct_direction\":\"original\",\"ct_id\":4000000000,");
	expect_nowhere("ct_mark");
	expect_nowhere("ct_zone");

	begin();
	put_connection(MNFQ_I_CT_IS_REPLY, 0xcafe, 9);
	print();
	expect_text(": ct established reply mark 0xcafe id 4000000000 zone 9, accept\n");
	expect_json(
		",\"ct_state\":\"established\",\"ct_direction\":\"reply\",\"ct_mark\":51966,");
	expect_json(",\"ct_zone\":9,");
}

Test(print, security_contexts)
{
	static const char selinux[] = "system_u:object_r:ssh_packet_t:s0";

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, selinux, sizeof(selinux)); /* with its zero */
	print();
	expect_text(": secctx system_u:object_r:ssh_packet_t:s0, accept\n");
	expect_json(",\"secctx\":\"system_u:object_r:ssh_packet_t:s0\",");
}

Test(print, hostile_security_contexts)
{
	static char longest[4001];

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "\033[2J\n\",\0\xff\r", 10);
	print();
	expect_text(": secctx \"\\x1b[2J\\x0a\\\",\\x00\\xff\\x0d\", accept\n");
	expect_json(",\"secctx\":\"\\u001B[2J\\u000A\\\",\\u0000\\\\xff\\u000D\"");

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "a\0\"\033", 4);
	print();
	expect_text(": secctx \"a\\x00\\\"\\x1b\", accept\n");
	expect_json(",\"secctx\":\"a\\u0000\\\"\\u001B\",");

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "a, uid 0", 8);
	print();
	expect_text(": secctx \"a, uid 0\", accept\n");

	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = (char)('a' + i % 23);
	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, longest, sizeof(longest));
	print();
	expect_text(longest);
	expect_json(longest);

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "", 0);
	print();
	expect_text(": secctx \"\", accept\n");
	expect_json(",\"secctx\":\"\",");
}

/* Malformed attributes leave nothing behind. */
Test(print, nonsense)
{
	begin();
	message_attr(&msg, MNFQ_I_NFQA_VLAN | NLA_F_NESTED, "\xff\xff\xff\xff", 4);
	message_attr(&msg, NFQA_CT | NLA_F_NESTED, "\x03\x00\x01\x00", 4);
	message_attr32(&msg, NFQA_CT_INFO, 0xffffffff);
	print();
	expect_text(": ct unknown, accept\n");
	expect_nowhere("vlan");
	expect_nowhere("ct_id");
}
