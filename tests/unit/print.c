/* SPDX-License-Identifier: MIT */
/* print/print.c: what a kernel may tell of a packet, and what must not get through. */
#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <unistd.h>

#include "packet.h"
#include "print/print.h"
#include "support/message.h"

static struct message msg;
static char *text, *json;
static struct print_options options; /* of both */

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
	static const uint8_t header[] = { 0x45, 0,    0,    40, 0x12, 0x34, 0,  0, 64, 6,
					  0x54, 0x9a, 10,   0,  0,    1,    10, 0, 0,  2,
					  0xc0, 1,    0,    80, 0,    0,    0,  1, 0,  0,
					  0,    0,    0x50, 2,  1,    0,    0,  0, 0,  0 };
	uint8_t packet[sizeof(header)];

	memcpy(packet, header, sizeof(header));
	if (more) {
		packet[6] = 0x20;
		packet[10] = 0x34;
	}
	begin();
	message_attr32(&msg, NFQA_CAP_LEN, sizeof(packet));
	message_attr(&msg, NFQA_PAYLOAD, packet, len);
}

/* What has been put into `msg`, as text and as JSON. */
static const char *verdict = "accept";
static bool foreign; /* as in captures of other programs */

static void print(void)
{
	static struct mnfq_packet packet; /* of no queue */
	struct printer printers[2] = { { .options = options }, { .options = options } };
	struct line line;
	size_t size;
	FILE *out;

	cr_assert_eq(mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0);
	line = line_of(&packet);
	line.verdict = verdict;
	line.no_queue = line.no_id = line.no_hook = foreign;
	printers[1].options.json = true;
	free(text);
	out = open_memstream(&text, &size);
	cr_assert_eq(print_line(out, &printers[0], &line), 0);
	fclose(out);
	cr_assert_eq(strlen(text), size);
	free(json);
	json = NULL;
	out = open_memstream(&json, &size);
	cr_assert_eq(print_line(out, &printers[1], &line), 0);
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

	options.verbose = true;
	begin();
	print();
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		expect_nowhere(words[i]);
}

Test(print, what_a_capture_lacks)
{
	foreign = true;
	begin();
	message_attr32(&msg, NFQA_IFINDEX_INDEV, 99);
	print();
	expect_text(" | if99, accept\n");
	expect_nowhere("\"queue\"");
	expect_nowhere("\"id\"");
	expect_nowhere("\"hook\"");
	begin();
	message_attr32(&msg, NFQA_MARK, 7);
	print();
	expect_text(" | mark 0x7, accept\n");
	verdict = NULL;
	begin();
	print();
	cr_expect(!strstr(text, " | "), "%s", text);
}

/* 2001-09-09 01:46:40.123456 UTC */
static void put_stamp(uint64_t seconds)
{
	uint64_t wire[2] = { htobe64(seconds), htobe64(123456) };

	begin();
	message_attr(&msg, NFQA_TIMESTAMP, wire, sizeof(wire));
}

Test(print, whose_time_it_is)
{
	put_stamp(1000000000);
	print();
	expect_text(":40.123456 IP [|ip] | q");
	expect_json("\"time\":1000000000.123456,\"time_source\":\"kernel\",");

	begin();
	print();
	cr_expect_eq(strncmp(text + 15, " IP [|ip] | q", 13), 0, "%s", text);
	expect_json(",\"time_source\":\"mnfq\",");
}

Test(print, styles_of_time)
{
	static const char *const expected[] = {
		[TIME_NONE] = "IP [|ip] |",
		[TIME_EPOCH] = "1000000000.123456 IP [|ip] |",
		[TIME_SINCE_PREVIOUS] = " 00:00:00.000000 IP [|ip] |",
		[TIME_DATE] = "2001-09-09 01:46:40.123456 IP [|ip] |",
		[TIME_SINCE_FIRST] = " 00:00:00.000000 IP [|ip] |",
	};

	setenv("TZ", "UTC", 1);
	for (options.times = TIME_NONE; options.times < TIME_STYLES; options.times++) {
		put_stamp(1000000000);
		print();
		cr_expect_eq(
			strncmp(text, expected[options.times], strlen(expected[options.times])),
			0, "%s", text);
		expect_json("\"time\":1000000000.123456,");
	}
}

Test(print, time_since_another_line)
{
	struct time_reference previous = { 0 }, first = { 0 };
	char out[TIME_SIZE];

	(void)format_time(out, TIME_SINCE_PREVIOUS, &previous, 1000000);
	(void)format_time(out, TIME_SINCE_FIRST, &first, 1000000);
	cr_expect_str_eq(format_time(out, TIME_SINCE_PREVIOUS, &previous, 3723000001000),
			 " 1034:09:59.001000");
	cr_expect_str_eq(format_time(out, TIME_SINCE_FIRST, &first, 62500001),
			 " 00:01:01.500001");
	cr_expect_str_eq(format_time(out, TIME_SINCE_PREVIOUS, &previous, 3722000001000),
			 "-00:16:40.000000");
	cr_expect_str_eq(format_time(out, TIME_SINCE_FIRST, &first, 2000000), " 00:00:01.000000");
}

Test(print, checksums)
{
	options.verbose = true;
	begin();
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_CSUMNOTREADY | MNFQ_SKB_GSO);
	print();
	expect_text(", checksum not computed yet, accept\n");
	expect_json(",\"checksum\":\"not-ready\",");

	put_icmp(8, 0xf7ff);
	print();
	expect_json(",\"checksum\":\"good\",");
	expect_text(", checksum good, accept\n");

	put_icmp(8, 0xf7fe);
	print();
	expect_text(", checksum bad, accept\n");
	expect_json(",\"checksum\":\"bad\",");

	options.verbose = false;
	print();
	cr_expect_null(strstr(text, "checksum"), "%s", text);
	expect_json(",\"checksum\":\"bad\",");
}

Test(print, what_is_in_tcp)
{
	put_tcp(true, 40);
	print();
	expect_text(" IP 10.0.0.1.49153 > 10.0.0.2.80: Flags [S], seq 1, win 256, length 0 "
		    "(frag 4660:20@0+) | q0 id 1 output, accept\n");
	expect_json(",\"protocol\":\"tcp\",\"tos\":0,\"ttl\":64,\"ip_id\":4660,"
		    "\"dont_fragment\":false,\"ip_protocol\":6,\"src\":\"10.0.0.1\","
		    "\"sport\":49153,\"dst\":\"10.0.0.2\",\"dport\":80,\"tcp_flags\":\"S\","
		    "\"seq\":1,\"window\":256,\"data_length\":0,\"fragment_id\":4660,"
		    "\"fragment_offset\":0,\"more_fragments\":true,\"queue\":0,");
	expect_json(",\"length\":40,\"caplen\":40,");
	expect_nowhere("problem");

	put_tcp(false, 30);
	print();
	expect_text(" IP 10.0.0.1.49153 > 10.0.0.2.80: [|tcp] | q0 id 1 output, accept\n");
	expect_json(",\"dport\":80,\"problem\":\"cut short\",");
	expect_json(",\"length\":40,\"caplen\":30,");
	expect_nowhere("fragment_");
}

Test(print, verbosely)
{
	options.verbose = true;
	options.times = TIME_NONE;
	put_tcp(false, 30);
	print();
	cr_expect_str_eq(text,
			 "IP (tos 0x0, ttl 64, id 4660, offset 0, flags [none], proto TCP (6),"
			 " length 40)\n    10.0.0.1.49153 > 10.0.0.2.80: [|tcp] | q0 id 1 "
			 "output, captured 30, accept\n");
}

Test(print, what_is_in_icmp)
{
	put_icmp(8, 0xf7ff);
	print();
	expect_text(" IP 127.0.0.1 > 127.0.0.1: ICMP echo request, id 0, seq 0, length 8 | q0");
	expect_json(",\"icmp_type\":8,\"icmp_code\":0,\"message\":\"echo request\","
		    "\"icmp_id\":0,\"icmp_seq\":0,\"data_length\":8,");

	put_icmp(200, 0x37ff);
	print();
	expect_text(" IP 127.0.0.1 > 127.0.0.1: ICMP type-#200, length 8 | q0");
	expect_json(",\"icmp_type\":200,\"icmp_code\":0,\"message\":\"type-#200\",");
}

Test(print, names_of_ports)
{
	char path[] = "/tmp/mnfq-services-XXXXXX";
	struct services *services;
	FILE *file = fdopen(mkstemp(path), "w");

	fputs("# http 80/tcp\nhttp\t80/tcp www\nweb 80/tcp\nother 80/udp\n\033[2J 49153/tcp\n",
	      file);
	fclose(file);
	options.services = services = services_read_file(path);
	unlink(path);
	cr_assert(services);
	put_tcp(false, 40);
	print();
	expect_text(" IP 10.0.0.1.49153 > 10.0.0.2.http: Flags [S]");
	expect_json(",\"dport\":80,");
	cr_expect_null(services_find(services, 132, 80));
	services_free(services);
	cr_expect_null(services_read_file("/nonexistent"));
}

/* The bytes of a packet below its line. */
static void put_bytes(void)
{
	begin();
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, "\x02\x00\xff", 3);
	message_attr(&msg, NFQA_PAYLOAD, "IP ~\n00:00 \033[2J\r\n\x7f\xff\t", 20);
}

static void expect_bytes(const char *expected)
{
	print();
	cr_expect_str_eq(strchr(text, '\n') + 1, expected);
	cr_expect_eq(strchr(json, '\n'), json + strlen(json) - 1);
}

Test(print, bytes)
{
	put_bytes();
	options.ascii = 1;
	expect_bytes("\tIP ~\n\t00:00 .[2J\n\t..\t\n");
	options.ascii = 2;
	expect_bytes("\t...IP ~\n\t00:00 .[2J\n\t..\t\n");
	options.hex = 1;
	expect_bytes(
		"\t0x0000:  4950 207e 0a30 303a 3030 201b 5b32 4a0d\n\t0x0010:  0a7f ff09\n");
	options.hex = 2;
	expect_bytes("\t0x0000:  0200 ff49 5020 7e0a 3030 3a30 3020 1b5b\n"
		     "\t0x0010:  324a 0d0a 7fff 09\n");
	options.hex_ascii = 1;
	expect_bytes("\t0x0000:  4950 207e 0a30 303a 3030 201b 5b32 4a0d  IP.~.00:00..[2J.\n"
		     "\t0x0010:  0a7f ff09                                ....\n");
}

Test(print, payload_in_json)
{
	static const char *const base64[] = { "", "SQ==", "SVA=", "SVAg", "SVAgfg==" };

	for (size_t len = 0; len < 5; len++) {
		char expected[64];

		begin();
		message_attr(&msg, NFQA_PAYLOAD, "IP ~", len);
		options.payload = PRINT_BASE64;
		print();
		snprintf(expected, sizeof(expected), ",\"payload\":\"%s\"}\n", base64[len]);
		expect_json(expected);
	}
	options.payload = PRINT_HEX;
	print();
	expect_json(",\"payload\":\"4950207e\"}\n");
	cr_expect_null(strstr(text, "payload"));
}

Test(print, in_color)
{
	options.color = true;
	begin();
	print();
	expect_text("IP [|ip]\033[2m | q0 id 1 output, \033[m\033[32maccept\033[m\n");
	cr_expect_null(strchr(json, '\033'));
}

Test(print, priorities_and_classes)
{
	options.verbose = true;
	begin();
	message_attr32(&msg, MNFQ_I_NFQA_PRIORITY, 6);
	message_attr32(&msg, MNFQ_I_NFQA_CGROUP_CLASSID, 0x10fffe);
	print();
	expect_text(", priority 6, cgroup_classid 10:fffe, accept\n");
	expect_json(",\"cgroup_classid\":1114110,");
	expect_json(",\"priority\":6,");
	options.verbose = false;
	print();
	expect_text(" | q0 id 1 output, accept\n");
}

Test(print, vlan_and_header)
{
	begin();
	put_vlan(0x6005, ETH_P_8021Q);
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, "\x02\x00\xff", 3);
	print();
	expect_text(", vlan 5, p 3, accept\n");
	expect_json(",\"vlan\":{\"id\":5,\"priority\":3,\"dei\":false,\"protocol\":33024},");
	expect_json(",\"l2hdr\":\"0200ff\",");

	begin();
	put_vlan(0xffff, ETH_P_8021AD);
	print();
	expect_text(", vlan 4095, p 7, DEI, 802.1ad, accept\n");
	expect_json(",\"vlan\":{\"id\":4095,\"priority\":7,\"dei\":true,\"protocol\":34984},");
}

Test(print, connections)
{
	begin();
	put_connection(2, 0, 0);
	print();
	expect_text(", ct new id 4000000000, accept\n");
	expect_json(",\"ct_state\":\"new\",\"ct_direction\":\"original\",\"ct_id\":4000000000,");
	expect_nowhere("ct_mark");
	expect_nowhere("ct_zone");

	begin();
	put_connection(MNFQ_I_CT_IS_REPLY, 0xcafe, 9);
	print();
	expect_text(", ct established reply mark 0xcafe id 4000000000 zone 9, accept\n");
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
	expect_text(", secctx system_u:object_r:ssh_packet_t:s0, accept\n");
	expect_json(",\"secctx\":\"system_u:object_r:ssh_packet_t:s0\",");
}

Test(print, hostile_security_contexts)
{
	static char longest[4001];

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "\033[2J\n\",\0\xff\r", 10);
	print();
	expect_text(", secctx \"\\x1b[2J\\x0a\\\",\\x00\\xff\\x0d\", accept\n");
	expect_json(",\"secctx\":\"\\u001B[2J\\u000A\\\",\\u0000\\\\xff\\u000D\"");

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "a\0\"\033", 4);
	print();
	expect_text(", secctx \"a\\x00\\\"\\x1b\", accept\n");
	expect_json(",\"secctx\":\"a\\u0000\\\"\\u001B\",");

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "a, uid 0", 8);
	print();
	expect_text(", secctx \"a, uid 0\", accept\n");

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
	expect_text(", secctx \"\", accept\n");
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
	expect_text(", ct unknown, accept\n");
	expect_nowhere("vlan");
	expect_nowhere("ct_id");
}
