/* SPDX-License-Identifier: MIT */
/* layers.c: where the headers are, with every kind of header; cut at every length, and lying. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "edit/edit.h"
#include "support/build.h"

static struct build b;
static struct mnfq_i_layers l;

/* As much memory as there are bytes, so that a sanitizer sees one too many being read. */
static int find_in(size_t len, size_t true_len, uint16_t ethertype)
{
	uint8_t *copy = malloc(len + 1);
	struct mnfq_i_raw raw = { copy + 1, len, true_len, ethertype };
	int err;

	memcpy(copy + 1, b.p, len);
	err = mnfq_i_layers_find(&l, &raw);
	free(copy);
	return err;
}

static uint16_t ethertype(void)
{
	return b.family == AF_INET ? 0x0800 : 0x86dd;
}

static int find(void)
{
	return find_in(b.len, b.len, ethertype());
}

static void expect_layers(uint8_t protocol, size_t network, size_t transport, size_t data)
{
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u8, l.at.family, b.family));
	cr_expect(eq(u8, l.at.protocol, protocol));
	cr_expect(eq(sz, l.at.network, network));
	cr_expect(eq(sz, l.at.transport, transport));
	cr_expect(eq(sz, l.at.data, data));
	cr_expect(eq(sz, l.at.end, b.len));
	cr_expect(eq(u8, l.at.fragment, 0));
	cr_expect(not(l.cut));
}

static const uint8_t protocols4[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP,
				      IPPROTO_SCTP };
static const uint8_t protocols6[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMPV6,
				      IPPROTO_SCTP };
static const size_t lengths[] = { 20, 8, 8, 8, 12 };

Test(layers, transports)
{
	for (size_t i = 0; i < 5; i++) {
		build(&b, AF_INET, protocols4[i], 33);
		expect_layers(protocols4[i], 0, 20, 20 + lengths[i]);
		cr_expect(eq(sz, l.check, 20 + build_check(protocols4[i])));
		build(&b, AF_INET6, protocols6[i], 33);
		expect_layers(protocols6[i], 0, 40, 40 + lengths[i]);
		cr_expect(eq(sz, l.check, 40 + build_check(protocols6[i])));
	}
}

/* Each is understood in its own family only. */
Test(layers, unknown_transports)
{
	static const struct {
		uint8_t family, protocol;
	} unknown[] = { { AF_INET, IPPROTO_ESP },   { AF_INET, IPPROTO_AH },
			{ AF_INET, IPPROTO_GRE },   { AF_INET, IPPROTO_ICMPV6 },
			{ AF_INET, 253 },           { AF_INET6, IPPROTO_ESP },
			{ AF_INET6, IPPROTO_AH },   { AF_INET6, IPPROTO_ICMP },
			{ AF_INET6, IPPROTO_NONE }, { AF_INET, IPPROTO_ROUTING } };

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		size_t header = unknown[i].family == AF_INET ? 20 : 40;

		build(&b, unknown[i].family, IPPROTO_UDP, 20);
		b.p[unknown[i].family == AF_INET ? 9 : 6] = unknown[i].protocol;
		expect_layers(unknown[i].protocol, 0, header, header);
		cr_expect(not(l.known));
		cr_expect(eq(sz, l.check, 0));
	}
}

Test(layers, tcp_options_belong_to_the_header)
{
	build(&b, AF_INET, IPPROTO_TCP, 40);
	b.p[32] = 0xf0;
	expect_layers(IPPROTO_TCP, 0, 20, 80);
	b.p[32] = 0x40;
	cr_expect(eq(int, find(), -EBADMSG), "less than a header");
	build(&b, AF_INET, IPPROTO_TCP, 39);
	b.p[32] = 0xf0;
	cr_expect(eq(int, find(), -EBADMSG), "more than the packet");
}

Test(layers, ipv4_options_and_source_routes)
{
	static const uint8_t padding[] = { 1, 1, 1, 0 };
	uint8_t route[] = { 131, 11, 4, 9, 9, 9, 1, 9, 9, 9, 2, 0 };
	const uint8_t kinds[] = { 131, 137 };

	b.len = 0;
	build_ipv4(&b, IPPROTO_UDP, padding, 4);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
	expect_layers(IPPROTO_UDP, 0, 24, 32);
	for (size_t i = 0; i < 2; i++) {
		route[0] = kinds[i];
		b.len = 0;
		build_ipv4(&b, IPPROTO_UDP, route, 12);
		build_transport(&b, IPPROTO_UDP, "data", 4);
		build_end(&b);
		expect_layers(IPPROTO_UDP, 0, 32, 40);
		cr_expect(memcmp(l.destination, "\11\11\11\2", 4) == 0, "goes on to the last");
		b.p[22] = 8;
		expect_layers(IPPROTO_UDP, 0, 32, 40);
		cr_expect(memcmp(l.destination, "\11\11\11\2", 4) == 0);
		b.p[22] = 12;
		expect_layers(IPPROTO_UDP, 0, 32, 40);
		cr_expect(memcmp(l.destination, "\12\0\0\2", 4) == 0, "has arrived");
	}
	b.p[21] = 13;
	cr_expect(eq(int, find(), -EBADMSG), "longer than the header");
	b.p[21] = 1;
	cr_expect(eq(int, find(), -EBADMSG), "shorter than itself");
}

static void add_extension(uint8_t next, size_t words, const void *content, size_t len)
{
	uint8_t header[256] = { next, (uint8_t)words };

	if (len > 0)
		memcpy(header + 2, content, len);
	build_add(&b, header, 8 + 8 * words);
}

Test(layers, extension_headers)
{
	static const uint8_t kinds[] = { IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING };
	size_t at = 40;

	b.len = 0;
	build_ipv6(&b, kinds[0]);
	for (size_t i = 0; i < sizeof(kinds); i++) {
		add_extension(i + 1 < sizeof(kinds) ? kinds[i + 1] : IPPROTO_TCP, i, NULL, 0);
		at += 8 + 8 * i;
	}
	build_transport(&b, IPPROTO_TCP, "data", 4);
	build_end(&b);
	expect_layers(IPPROTO_TCP, 0, at, at + 20);
}

/* Mobility (RFC 6275), HIP (RFC 7401), Shim6 (RFC 5533): they are extension headers by name. */
Test(layers, headers_with_a_checksum_are_not_passed_over)
{
	static const uint8_t kinds[] = { 135, 139, 140 };

	for (size_t i = 0; i < sizeof(kinds); i++) {
		b.len = 0;
		build_ipv6(&b, IPPROTO_DSTOPTS);
		add_extension(kinds[i], 0, NULL, 0);
		add_extension(IPPROTO_NONE, 0, NULL, 0);
		build_end(&b);
		expect_layers(kinds[i], 0, 48, 48);
	}
}

Test(layers, too_many_extension_headers_are_not_walked_along)
{
	b.len = 0;
	build_ipv6(&b, IPPROTO_DSTOPTS);
	for (int i = 0; i < 16; i++)
		add_extension(i < 15 ? IPPROTO_DSTOPTS : IPPROTO_UDP, 0, NULL, 0);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
	expect_layers(IPPROTO_UDP, 0, 40 + 16 * 8, 40 + 17 * 8);
	b.p[40 + 15 * 8] = IPPROTO_DSTOPTS;
	expect_layers(IPPROTO_DSTOPTS, 0, 40 + 16 * 8, 40 + 16 * 8);
}

static void routed(const uint8_t *head, size_t addresses)
{
	uint8_t content[6 + 16 * 3] = { 0 };

	memcpy(content, head, 6);
	for (size_t i = 0; i < addresses; i++)
		content[6 + 16 * i + 15] = (uint8_t)(i + 1);
	b.len = 0;
	build_ipv6(&b, IPPROTO_ROUTING);
	add_extension(IPPROTO_UDP, 2 * addresses, content, 6 + 16 * addresses);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
}

Test(layers, final_destinations)
{
	const uint8_t type0[] = { 0, 1, 0, 0, 0, 0 }, type2[] = { 2, 1, 0, 0, 0, 0 };
	const uint8_t type4[] = { 4, 2, 2, 0, 0, 0 }, arrived[] = { 0, 0, 0, 0, 0, 0 };
	const uint8_t beyond[] = { 0, 3, 0, 0, 0, 0 }, unknown[] = { 3, 1, 0, 0, 0, 0 };

	routed(type0, 2);
	expect_layers(IPPROTO_UDP, 0, 80, 88);
	cr_expect(eq(u8, l.destination[0], 0));
	cr_expect(eq(u8, l.destination[15], 2));
	routed(type2, 1);
	expect_layers(IPPROTO_UDP, 0, 64, 72);
	cr_expect(eq(u8, l.destination[0], 0));
	cr_expect(eq(u8, l.destination[15], 1));
	routed(type4, 3);
	expect_layers(IPPROTO_UDP, 0, 96, 104);
	cr_expect(eq(u8, l.destination[0], 0));
	cr_expect(eq(u8, l.destination[15], 1), "segments are in reverse order");
	routed(arrived, 2);
	expect_layers(IPPROTO_UDP, 0, 80, 88);
	cr_expect(eq(u8, l.destination[0], 0x20));
	routed(beyond, 2);
	cr_expect(eq(int, find(), -EBADMSG));
	routed(unknown, 2);
	expect_layers(IPPROTO_ROUTING, 0, 40, 40);
}

Test(layers, a_home_address_is_the_source)
{
	uint8_t content[22] = { 1, 0, 201, 16, [19] = 0x77 };

	b.len = 0;
	build_ipv6(&b, IPPROTO_DSTOPTS);
	add_extension(IPPROTO_UDP, 2, content, 22);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
	expect_layers(IPPROTO_UDP, 0, 64, 72);
	cr_expect(eq(u8, l.source[0], 0));
	cr_expect(eq(u8, l.source[15], 0x77));
}

Test(layers, fragments_of_ipv4)
{
	build(&b, AF_INET, IPPROTO_UDP, 32);
	put16(b.p + 6, 0x2000);
	put16(b.p + 24, 4000); /* the whole datagram's length is more than this part's */
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u8, l.at.fragment, 1));
	cr_expect(eq(u8, l.at.more_fragments, 1));
	cr_expect(eq(sz, l.at.data, 28));
	cr_expect(eq(sz, l.check, 26));
	put16(b.p + 6, 0x2003);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u32, l.at.fragment_offset, 24));
	cr_expect(eq(sz, l.at.data, 20), "no header in here");
	cr_expect(eq(sz, l.check, 0));
	put16(b.p + 6, 0x0003);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u8, l.at.fragment, 1));
	cr_expect(eq(u8, l.at.more_fragments, 0));
	put16(b.p + 6, 0x4000); /* do not fragment */
	put16(b.p + 24, 40);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u8, l.at.fragment, 0));
	build(&b, AF_INET, IPPROTO_TCP, 0);
	put16(b.p + 6, 0x2000);
	b.len -= 4;
	put16(b.p + 2, 36);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(sz, l.at.data, 20), "only a part of the header");
}

static void fragment6(unsigned int offset_and_more, uint8_t next)
{
	uint8_t header[8] = { next };

	put16(header + 2, offset_and_more);
	b.len = 0;
	build_ipv6(&b, IPPROTO_FRAGMENT);
	build_add(&b, header, 8);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
}

Test(layers, fragments_of_ipv6)
{
	fragment6(0x0001, IPPROTO_UDP);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u8, l.at.fragment, 1));
	cr_expect(eq(u8, l.at.more_fragments, 1));
	cr_expect(eq(sz, l.at.data, 56));
	fragment6(0x0048, IPPROTO_DSTOPTS);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(u32, l.at.fragment_offset, 72));
	cr_expect(eq(u8, l.at.more_fragments, 0));
	cr_expect(eq(u8, l.at.protocol, IPPROTO_DSTOPTS), "what begins the datagram");
	cr_expect(eq(sz, l.at.data, 48));
	fragment6(0, IPPROTO_UDP);
	expect_layers(IPPROTO_UDP, 0, 48, 56);
}

Test(layers, tags_in_the_frame)
{
	static const uint8_t two[] = { 0, 5, 0x81, 0, 0, 6, 8, 0 };
	static const uint8_t three[] = { 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7, 8, 0 };

	b.len = 0;
	build_add(&b, two, 8);
	build_ipv4(&b, IPPROTO_UDP, NULL, 0);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
	cr_assert(eq(int, find_in(b.len, b.len, 0x88a8), 0));
	cr_expect(eq(sz, l.at.network, 8));
	cr_expect(eq(sz, l.at.transport, 28));
	cr_expect(eq(int, find_in(b.len, b.len, 0x0806), -EPROTONOSUPPORT));
	for (size_t i = 0; i < 8; i++)
		cr_expect(eq(int, find_in(i, i, 0x88a8), -EBADMSG));
	cr_expect(eq(int, find_in(5, 60, 0x88a8), -EMSGSIZE));
	b.len = 0;
	build_add(&b, three, 12);
	build_ipv4(&b, IPPROTO_UDP, NULL, 0);
	cr_expect(eq(int, find_in(b.len, b.len, 0x88a8), -EPROTONOSUPPORT));
}

Test(layers, every_cut_is_seen)
{
	const uint8_t type0[] = { 0, 1, 0, 0, 0, 0 };

	for (int v6 = 0; v6 < 2; v6++) {
		if (v6)
			routed(type0, 1);
		else
			build(&b, AF_INET, IPPROTO_TCP, 30);
		for (size_t len = 0; len < b.len; len++) {
			size_t headers = v6 ? 64 : 20, data = v6 ? 72 : 40;
			int err;

			cr_expect(eq(int, find_in(len, len, ethertype()), -EBADMSG), "%zu", len);
			err = find_in(len, b.len, ethertype());
			cr_assert(eq(int, err, len < headers ? -EMSGSIZE : 0), "%zu", len);
			if (err < 0)
				continue;
			cr_expect(l.cut);
			cr_expect(eq(sz, l.at.end, len));
			cr_expect(eq(sz, l.whole, b.len));
			cr_expect(eq(sz, l.at.data, len < data ? headers : data), "%zu", len);
		}
	}
}

Test(layers, padding_is_not_the_packet)
{
	build(&b, AF_INET, IPPROTO_UDP, 10);
	cr_assert(eq(int, find_in(b.len + 8, b.len + 8, 0x0800), 0));
	cr_expect(eq(sz, l.at.end, b.len));
	cr_assert(eq(int, find_in(b.len, b.len + 8, 0x0800), 0));
	cr_expect(not(l.cut), "only padding is missing");
}

Test(layers, lies_about_lengths)
{
	build(&b, AF_INET, IPPROTO_UDP, 10);
	put16(b.p + 2, 19);
	cr_expect(eq(int, find(), -EBADMSG));
	put16(b.p + 2, 0);
	cr_expect(eq(int, find(), -EOPNOTSUPP));
	put16(b.p + 2, (unsigned int)b.len + 1);
	cr_expect(eq(int, find(), -EBADMSG));
	put16(b.p + 2, (unsigned int)b.len);
	b.p[0] = 0x44;
	cr_expect(eq(int, find(), -EBADMSG));
	b.p[0] = 0x65;
	cr_expect(eq(int, find(), -EBADMSG));
	b.p[0] = 0x4f;
	cr_expect(eq(int, find(), -EBADMSG));
	build(&b, AF_INET6, IPPROTO_UDP, 10);
	put16(b.p + 4, 0);
	cr_expect(eq(int, find(), -EOPNOTSUPP));
	put16(b.p + 4, 19);
	cr_expect(eq(int, find(), -EBADMSG));
	b.p[0] = 0x40;
	cr_expect(eq(int, find(), -EBADMSG));
}

Test(layers, lengths_of_udp)
{
	build(&b, AF_INET, IPPROTO_UDP, 10);
	put16(b.p + 24, 12);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(sz, l.covered, 32));
	cr_expect(eq(sz, l.at.end, 38));
	put16(b.p + 24, 7);
	cr_expect(eq(int, find(), -EBADMSG));
	put16(b.p + 24, 0);
	cr_expect(eq(int, find(), -EBADMSG));
	put16(b.p + 24, 19);
	cr_expect(eq(int, find(), -EBADMSG));
	b.p[9] = IPPROTO_UDPLITE;
	cr_expect(eq(int, find(), -EBADMSG));
	put16(b.p + 24, 9);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(sz, l.covered, 29));
	put16(b.p + 24, 0);
	cr_assert(eq(int, find(), 0));
	cr_expect(eq(sz, l.covered, 38));
	build(&b, AF_INET6, IPPROTO_UDP, 10);
	put16(b.p + 44, 0);
	cr_expect(eq(int, find(), -EOPNOTSUPP));
}
