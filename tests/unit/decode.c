/* SPDX-License-Identifier: MIT */
/* print/decode.c: packets of each protocol, whole, cut at every length, and lying about lengths. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "print/decode.h"
#include "support/message.h"

#define IPV4 0x0800
#define ARP  0x0806
#define IPV6 0x86dd

#define IPV4_HEADER(length, fragment, protocol)                                                  \
	0x45, 0, 0, length, 0x12, 0x34, (fragment) >> 8, (fragment)&0xff, 64, protocol, 0, 0,    \
		10, 0, 0, 1, 10, 0, 0, 2

#define IPV6_HEADER(payload, next)                                                               \
	0x60, 0, 0, 0, 0, payload, next, 64, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
		0, 1, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2

#define TCP_HEADER(words, flags)                                                                 \
	0xc0, 0x01, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, (words) << 4, flags, 1, 0, 0, 0, 0, 0

#define UDP_HEADER(length) 0x04, 0x00, 0, 53, 0, length, 0, 0

struct sample {
	const char *name;
	uint16_t ethertype;
	size_t len;
	size_t need; /* bytes below which decoding is cut short */
	const char *protocol;
	const uint8_t *bytes;
};

#define SAMPLE(name, ethertype, need, protocol, ...)                                             \
	{                                                                                        \
		name, ethertype, sizeof((const uint8_t[]){ __VA_ARGS__ }), need, protocol,       \
			(const uint8_t[])                                                        \
		{                                                                                \
			__VA_ARGS__                                                              \
		}                                                                                \
	}

static const struct sample samples[] = {
	SAMPLE("tcp over ipv4", IPV4, 40, "tcp", IPV4_HEADER(44, 0, 6), TCP_HEADER(5, 0x12), 'd',
	       'a', 't', 'a'),
	SAMPLE("tcp with options", IPV4, 44, "tcp", IPV4_HEADER(44, 0, 6), TCP_HEADER(6, 0x02), 2,
	       4, 5, 0xb4),
	SAMPLE("udp over ipv4", IPV4, 28, "udp", IPV4_HEADER(30, 0, 17), UDP_HEADER(10), 'h',
	       'i'),
	SAMPLE("ip options", IPV4, 32, "udp", 0x46, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0,
	       1, 10, 0, 0, 2, 1, 1, 1, 1, UDP_HEADER(8)),
	SAMPLE("icmp", IPV4, 28, "icmp", IPV4_HEADER(28, 0, 1), 8, 0, 0, 0, 0, 1, 0, 1),
	SAMPLE("sctp", IPV4, 32, "sctp", IPV4_HEADER(32, 0, 132), 0, 7, 0, 9, 0, 0, 0, 0, 0, 0, 0,
	       0),
	SAMPLE("gre", IPV4, 20, "gre", IPV4_HEADER(24, 0, 47), 0, 0, 8, 0),
	SAMPLE("unnamed", IPV4, 20, "ip-proto-253", IPV4_HEADER(24, 0, 253), 0, 0, 8, 0),
	SAMPLE("tcp over ipv6", IPV6, 60, "tcp", IPV6_HEADER(20, 6), TCP_HEADER(5, 0x10)),
	SAMPLE("udp over ipv6", IPV6, 48, "udp", IPV6_HEADER(8, 17), UDP_HEADER(8)),
	SAMPLE("icmpv6", IPV6, 48, "icmpv6", IPV6_HEADER(8, 58), 128, 0, 0, 0, 0, 1, 0, 1),
	SAMPLE("extension headers", IPV6, 96, "udp", IPV6_HEADER(56, 0), 60, 0, 0, 0, 0, 0, 0, 0,
	       43, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 51, 0, 0, 1, 0, 0, 0, 7, 17, 2,
	       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, UDP_HEADER(8)),
	SAMPLE("authenticated", IPV4, 40, "udp", IPV4_HEADER(40, 0, 51), 17, 1, 0, 0, 0, 0, 0, 0,
	       0, 0, 0, 0, UDP_HEADER(8)),
	SAMPLE("nothing next", IPV6, 40, "ipv6-nonxt", IPV6_HEADER(0, 59)),
	SAMPLE("arp", ARP, 28, "arp", 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0,
	       0, 0, 0, 0, 10, 0, 0, 2),
	SAMPLE("behind a tag", 0x8100, 32, "udp", 0, 5, 8, 0, IPV4_HEADER(28, 0, 17),
	       UDP_HEADER(8)),
	SAMPLE("lldp", 0x88cc, 0, "lldp", 2, 7, 4),
	SAMPLE("a length, not an ethertype", 38, 0, "802.3", 0x42, 0x42, 3),
	SAMPLE("unnamed ethertype", 0x9abc, 0, "ethertype-0x9abc", 2, 7, 4),
};

#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

/*
 * A packet of a bridge, which has these bytes of @length. They end with their allocation, so that a
 * sanitizer sees reading further.
 */
static struct decoded decode_cut(uint16_t ethertype, const uint8_t *bytes, size_t len,
				 size_t length)
{
	static struct message msg;
	static struct mnfq_packet packet;
	struct decoded decoded;
	uint8_t *copy;

	message_begin(&msg, 1);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = NFPROTO_BRIDGE;
	message_hdr(&msg, 1, ethertype, NF_INET_LOCAL_IN);
	message_attr32(&msg, NFQA_CAP_LEN, (uint32_t)length);
	message_attr(&msg, NFQA_PAYLOAD, bytes, len);
	copy = malloc(msg.len);
	memcpy(copy, msg.bytes, msg.len);
	cr_assert_eq(mnfq_i_packet_parse(&packet, copy, msg.len), 0);
	decode_packet(&decoded, &packet);
	free(copy);
	return decoded;
}

static struct decoded decode_exactly(uint16_t ethertype, const uint8_t *bytes, size_t len)
{
	return decode_cut(ethertype, bytes, len, len);
}

static struct decoded decode_sample(const char *name)
{
	for (size_t i = 0; i < SAMPLES; i++)
		if (strcmp(samples[i].name, name) == 0)
			return decode_exactly(samples[i].ethertype, samples[i].bytes,
					      samples[i].len);
	cr_fatal("no sample %s", name);
}

/* A changed copy of a sample. */
static struct decoded decode_changed(const char *name, size_t at, uint8_t value)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		uint8_t bytes[128];

		if (strcmp(samples[i].name, name) != 0)
			continue;
		memcpy(bytes, samples[i].bytes, samples[i].len);
		bytes[at] = value;
		return decode_exactly(samples[i].ethertype, bytes, samples[i].len);
	}
	cr_fatal("no sample %s", name);
}

static void expect_addresses(const struct decoded *decoded, const char *src, const char *dst)
{
	char text[INET6_ADDRSTRLEN];

	cr_assert_neq(decoded->family, 0);
	cr_expect_str_eq(inet_ntop(decoded->family, decoded->src, text, sizeof(text)), src);
	cr_expect_str_eq(inet_ntop(decoded->family, decoded->dst, text, sizeof(text)), dst);
}

static void expect_ports(const struct decoded *decoded, uint16_t sport, uint16_t dport)
{
	cr_expect(decoded->has_ports);
	cr_expect_eq(decoded->sport, sport);
	cr_expect_eq(decoded->dport, dport);
}

static void expect_problem(struct decoded decoded, const char *problem)
{
	cr_expect_str_eq(decoded.problem ? decoded.problem : "none", problem);
}

Test(decode, names_each_protocol)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		struct decoded decoded = decode_sample(samples[i].name);

		cr_expect_str_eq(decoded.protocol, samples[i].protocol, "%s", samples[i].name);
		cr_expect_null(decoded.problem, "%s: %s", samples[i].name, decoded.problem);
	}
}

Test(decode, every_cut_is_reported)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		for (size_t len = 1; len <= samples[i].len; len++) {
			struct decoded decoded;

			decoded = decode_cut(samples[i].ethertype, samples[i].bytes, len,
					     samples[i].len);
			cr_expect_eq(decoded.problem != NULL, len < samples[i].need,
				     "%s, %zu bytes: %s", samples[i].name, len, decoded.problem);
		}
	}
}

Test(decode, survives_any_byte_anywhere)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		for (size_t at = 0; at < samples[i].len; at++) {
			for (unsigned int value = 0; value < 256; value++) {
				struct decoded decoded =
					decode_changed(samples[i].name, at, (uint8_t)value);

				cr_assert_lt(strlen(decoded.protocol), sizeof(decoded.protocol));
			}
		}
	}
}

Test(decode, without_bytes_only_the_protocol_is_named)
{
	struct decoded decoded = decode_exactly(IPV6, (const uint8_t *)"", 0);

	cr_expect_str_eq(decoded.protocol, "ipv6");
	cr_expect_eq(decoded.family, 0);
	cr_expect_null(decoded.problem);
}

Test(decode, tcp)
{
	struct decoded decoded = decode_sample("tcp over ipv4");
	char flags[9];

	expect_addresses(&decoded, "10.0.0.1", "10.0.0.2");
	expect_ports(&decoded, 49153, 80);
	cr_expect(decoded.has_tcp_flags);
	decode_tcp_flags(decoded.tcp_flags, flags);
	cr_expect_str_eq(flags, "S.");

	decoded = decode_sample("tcp over ipv6");
	expect_addresses(&decoded, "2001:db8::1", "2001:db8::2");
	expect_ports(&decoded, 49153, 80);
}

Test(decode, tcp_flags)
{
	char text[9];

	decode_tcp_flags(0xff, text);
	cr_expect_str_eq(text, "FSRP.UEW");
	decode_tcp_flags(0, text);
	cr_expect_str_eq(text, "none");
}

Test(decode, ports_survive_a_cut_behind_them)
{
	struct decoded decoded = decode_cut(IPV4, samples[0].bytes, 24, samples[0].len);

	expect_ports(&decoded, 49153, 80);
	cr_expect_not(decoded.has_tcp_flags);
	expect_problem(decoded, "cut short");
}

Test(decode, udp)
{
	struct decoded decoded = decode_sample("udp over ipv4");

	expect_ports(&decoded, 1024, 53);
	decoded = decode_sample("ip options");
	expect_ports(&decoded, 1024, 53);
}

Test(decode, icmp)
{
	struct decoded decoded = decode_sample("icmp");

	cr_expect(decoded.has_type);
	cr_expect_eq(decoded.type, 8);
	cr_expect_str_eq(decoded.message, "echo request");
	decoded = decode_sample("icmpv6");
	cr_expect_eq(decoded.type, 128);
	cr_expect_str_eq(decoded.message, "echo request");
	decoded = decode_changed("icmp", 20, 200);
	cr_expect_str_eq(decoded.message, "type-#200");
	cr_expect_not(decoded.has_ports);
}

Test(decode, arp)
{
	struct decoded decoded = decode_sample("arp");

	expect_addresses(&decoded, "10.0.0.1", "10.0.0.2");
	cr_expect_str_eq(decoded.message, "request");
	expect_problem(decode_changed("arp", 5, 3), "bad ARP address length");
	expect_problem(decode_changed("arp", 4, 255), "cut short");
	decoded = decode_changed("arp", 2, 9);
	cr_expect_eq(decoded.family, 0, "addresses of another protocol are no IP addresses");
}

Test(decode, extension_headers_are_walked)
{
	struct decoded decoded = decode_sample("extension headers");

	expect_addresses(&decoded, "2001:db8::1", "2001:db8::2");
	expect_ports(&decoded, 1024, 53);
	cr_expect(decoded.fragment);
	cr_expect_eq(decoded.fragment_id, 7);

	decoded = decode_changed("extension headers", 41, 255);
	expect_problem(decoded, "cut short");
	cr_expect_str_eq(decoded.protocol, "hopopt");
}

/* RFC 6946 */
Test(decode, a_fragment_that_is_all_of_it_is_none)
{
	struct decoded decoded = decode_changed("extension headers", 67, 0);

	cr_expect_not(decoded.fragment);
	expect_ports(&decoded, 1024, 53);
}

Test(decode, first_fragment)
{
	static const uint8_t ipv4[] = { IPV4_HEADER(28, 0x2000, 17), UDP_HEADER(200) };
	static const uint8_t ipv6[] = { IPV6_HEADER(16, 44), 17, 0, 0, 1, 0, 0, 0, 9,
					UDP_HEADER(200) };
	struct decoded decoded = decode_exactly(IPV4, ipv4, sizeof(ipv4));

	cr_expect(decoded.fragment && decoded.more_fragments);
	cr_expect_eq(decoded.fragment_id, 0x1234);
	expect_ports(&decoded, 1024, 53);
	expect_problem(decoded, "none");

	decoded = decode_exactly(IPV6, ipv6, sizeof(ipv6));
	cr_expect(decoded.fragment && decoded.more_fragments);
	cr_expect_eq(decoded.fragment_id, 9);
	expect_ports(&decoded, 1024, 53);
	expect_problem(decoded, "none");
}

Test(decode, later_fragments_have_no_ports)
{
	static const uint8_t ipv4[] = { IPV4_HEADER(28, 185, 17), UDP_HEADER(8) };
	static const uint8_t ipv6[] = { IPV6_HEADER(16, 44), 60, 0, 0x05, 0xc9, 0, 0, 0, 9,
					UDP_HEADER(8) };
	struct decoded decoded = decode_exactly(IPV4, ipv4, sizeof(ipv4));

	cr_expect_str_eq(decoded.protocol, "udp");
	cr_expect_eq(decoded.fragment_offset, 1480);
	cr_expect(decoded.fragment && !decoded.more_fragments && !decoded.has_ports);

	decoded = decode_exactly(IPV6, ipv6, sizeof(ipv6));
	cr_expect_str_eq(decoded.protocol, "ipv6-opts");
	cr_expect_eq(decoded.fragment_offset, 1480);
	cr_expect(decoded.more_fragments && !decoded.has_ports);
}

Test(decode, lies_about_lengths_are_reported)
{
	expect_problem(decode_changed("udp over ipv4", 0, 0x65), "bad IP version");
	expect_problem(decode_changed("udp over ipv6", 0, 0x45), "bad IP version");
	expect_problem(decode_changed("udp over ipv4", 0, 0x44), "bad IP header length");
	expect_problem(decode_changed("udp over ipv4", 0, 0x4f), "bad IP length");
	expect_problem(decode_changed("udp over ipv4", 3, 19), "bad IP length");
	expect_problem(decode_changed("udp over ipv4", 25, 7), "bad UDP length");
	expect_problem(decode_changed("udp over ipv4", 25, 11), "bad UDP length");
	expect_problem(decode_changed("tcp over ipv4", 32, 0x40), "bad TCP header length");
	expect_problem(decode_changed("tcp over ipv4", 32, 0xf0), "bad TCP header length");
}

Test(decode, more_than_there_is_is_malformed)
{
	struct decoded decoded = decode_changed("tcp over ipv4", 3, 45);

	expect_ports(&decoded, 49153, 80);
	expect_problem(decoded, "malformed");
	expect_problem(decode_changed("tcp over ipv6", 5, 21), "malformed");
	expect_problem(decode_changed("ip options", 20, 7), "malformed");
}

Test(decode, padding_behind_the_packet_is_not_the_packet)
{
	expect_problem(decode_changed("udp over ipv4", 3, 24), "cut short");
	expect_problem(decode_changed("udp over ipv6", 5, 4), "cut short");
}

Test(decode, a_length_of_zero_means_large)
{
	struct decoded decoded = decode_changed("udp over ipv4", 3, 0);

	expect_problem(decoded, "none");
	expect_ports(&decoded, 1024, 53);
	expect_problem(decode_changed("tcp over ipv6", 5, 0), "none");
}

/* RFC 2675 */
Test(decode, jumbograms)
{
	static const uint8_t bytes[] = { IPV6_HEADER(0, 0),  6, 0, 194, 4, 0, 1, 0, 0,
					 TCP_HEADER(5, 0x10) };
	struct decoded decoded = decode_cut(IPV6, bytes, sizeof(bytes), 65536 + 40);

	expect_ports(&decoded, 49153, 80);
	expect_problem(decoded, "none");
}
