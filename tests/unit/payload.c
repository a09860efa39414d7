/* SPDX-License-Identifier: MIT */
/* payload.c, sums.c: edited bytes against lengths and sums made in the test. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "edit/edit.h"
#include "support/build.h"

static struct build b, expected;
static struct mnfq_i_subject s;
static uint8_t out[2 * 65536];
static size_t out_len;
static uint32_t seed = 1;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

/* The packet in `b`, as a program may get it. */
static void receive(void)
{
	s = (struct mnfq_i_subject){ .bytes = { b.p, b.len, b.len,
						b.family == AF_INET ? 0x0800 : 0x86dd } };
}

static void make(uint8_t family, uint8_t protocol, size_t len)
{
	build(&b, family, protocol, len);
	receive();
}

static int edit(size_t offset, size_t remove, const void *data, size_t insert)
{
	struct mnfq_i_edit e = { offset, remove, data, insert };
	int err;

	s.why = NULL;
	err = mnfq_i_edit(&s, &e, out, &out_len);
	cr_expect(err == 0 || (s.why && *s.why), "a refusal has its message");
	return err;
}

static void expect_bytes(const char *what)
{
	size_t i;

	cr_assert(eq(sz, out_len, expected.len), "%s", what);
	for (i = 0; i < out_len && out[i] == expected.p[i]; i++)
		;
	cr_assert(eq(sz, i, out_len), "%s: byte %zu of protocol %u is %02x, not %02x", what, i,
		  expected.protocol, out[i], expected.p[i]);
}

/* `b` with the edit made, everything else by the test's own means. */
static void expect_edited(size_t offset, size_t remove, const uint8_t *data, size_t insert)
{
	expected = b;
	memcpy(expected.p + offset, data, insert);
	memcpy(expected.p + offset + insert, b.p + offset + remove, b.len - offset - remove);
	expected.len = b.len - remove + insert;
	if (b.family == AF_INET) {
		memcpy(expected.source, expected.p + b.network + 12, 4);
		memcpy(expected.destination, expected.p + b.network + 16, 4);
	} else {
		memcpy(expected.source, expected.p + b.network + 8, 16);
		memcpy(expected.destination, expected.p + b.network + 24, 16);
	}
	if (b.protocol == IPPROTO_UDPLITE)
		put16(expected.p + b.transport + 4, 0);
	build_end(&expected);
	expect_bytes("edited");
}

static size_t header_len(void)
{
	static const uint8_t lengths[256] = { [IPPROTO_TCP] = 20, [IPPROTO_SCTP] = 12 };

	return lengths[b.protocol] ? lengths[b.protocol] : 8;
}

Test(payload, other_lengths)
{
	uint8_t data[64];

	for (size_t i = 0; i < BUILD_KINDS; i++) {
		for (int round = 0; round < 1000; round++) {
			size_t len = roll(100), at = roll((uint32_t)len + 1), insert = roll(40);
			size_t remove = roll((uint32_t)(len - at) + 1), j;

			make(build_kinds[i].family, build_kinds[i].protocol, len);
			s.may_resize = true;
			for (j = 0; j < insert; j++)
				data[j] = (uint8_t)roll(256);
			at += b.transport + header_len();
			cr_assert(eq(int, edit(at, remove, data, insert), 0), "%s", s.why);
			expect_edited(at, remove, data, insert);
			cr_expect(eq(int, s.resized,
				     b.protocol == IPPROTO_TCP && remove != insert));
		}
	}
}

/* Anywhere: what is written over checksums and lengths is replaced. */
Test(payload, same_lengths)
{
	static uint8_t data[256];

	for (size_t i = 0; i < BUILD_KINDS; i++) {
		for (int round = 0; round < 10000; round++) {
			size_t len = roll(100), at, n, j;

			make(build_kinds[i].family, build_kinds[i].protocol, len);
			at = b.transport + roll((uint32_t)(b.len - b.transport));
			n = 1 + roll((uint32_t)(b.len - at));
			for (j = 0; j < n; j++)
				data[j] = (uint8_t)(roll(4) ? roll(256) : 0xff * roll(2));
			if (b.protocol == IPPROTO_TCP && at <= 12 + b.transport &&
			    at + n > 12 + b.transport)
				data[12 + b.transport - at] = 0x50;
			cr_assert(eq(int, edit(at, n, data, n), 0), "%s", s.why);
			expect_edited(at, n, data, n);
		}
	}
}

Test(payload, addresses_and_times_to_live)
{
	static const uint8_t ttl[] = { 7 };
	uint8_t addresses[32];

	for (size_t i = 0; i < BUILD_KINDS; i++) {
		for (int round = 0; round < 200; round++) {
			size_t at = build_kinds[i].family == AF_INET ? 12 : 8;
			size_t n = build_kinds[i].family == AF_INET ? 8 : 32;

			make(build_kinds[i].family, build_kinds[i].protocol, roll(50));
			for (size_t j = 0; j < n; j++)
				addresses[j] = (uint8_t)roll(256);
			cr_assert(eq(int, edit(at, n, addresses, n), 0), "%s", s.why);
			expect_edited(at, n, addresses, n);
			at = build_kinds[i].family == AF_INET ? 8 : 7;
			cr_assert(eq(int, edit(at, 1, ttl, 1), 0), "%s", s.why);
			expect_edited(at, 1, ttl, 1);
		}
	}
}

/* The network header may be written as a whole, with the lengths that it has and any sum. */
Test(payload, headers_keep_their_structure)
{
	static const struct {
		uint8_t family;
		uint8_t at, value;
	} broken[] = {
		{ AF_INET, 0, 0x46 },  { AF_INET, 0, 0x65 },
		{ AF_INET, 6, 0x20 },  { AF_INET, 7, 1 },
		{ AF_INET, 9, 6 },     { AF_INET, 9, IPPROTO_UDPLITE },
		{ AF_INET6, 0, 0x40 }, { AF_INET6, 6, 0 },
		{ AF_INET6, 6, 6 },    { AF_INET6, 6, IPPROTO_UDPLITE },
	};
	uint8_t header[28];

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		make(broken[i].family, IPPROTO_UDP, 40);
		cr_expect(eq(int, edit(broken[i].at, 1, &broken[i].value, 1), -EINVAL), "%zu", i);
	}
	make(AF_INET, IPPROTO_ICMP, 40);
	b.p[20] = 0;
	cr_expect(eq(int, edit(0, 1, "\x46", 1), -EINVAL), "data for options");
	make(AF_INET, IPPROTO_UDP, 40);
	cr_expect(eq(int, edit(8, 1, "ab", 2), -EINVAL), "another length");
	cr_expect(eq(int, edit(8, 0, "ab", 2), -EINVAL));
	cr_expect(eq(int, edit(12, 0, "12345678", 8), -EINVAL), "which looks like a header too");
	memcpy(header, b.p, sizeof(header));
	header[1] = 0x10, header[10] = 0x77, header[21] = 9;
	cr_expect(eq(int, edit(0, 28, header, 28), 0));
	expect_edited(0, 28, header, 28);
	make(AF_INET, IPPROTO_TCP, 40);
	cr_expect(eq(int, edit(32, 1, "\xf0", 1), 0), "more options are all right");
	cr_expect(eq(int, edit(32, 1, "\x40", 1), -EINVAL), "less than a header is not");
	make(AF_INET, IPPROTO_TCP, 39);
	cr_expect(eq(int, edit(32, 1, "\xf0", 1), -EINVAL), "nor is more than there is");
}

Test(payload, the_range_is_within_the_packet)
{
	make(AF_INET, IPPROTO_UDP, 10);
	cr_expect(eq(int, edit(39, 0, "x", 1), -EINVAL));
	cr_expect(eq(int, edit(38, 1, "x", 1), -EINVAL));
	cr_expect(eq(int, edit(30, SIZE_MAX, "x", 1), -EINVAL));
	cr_expect(eq(int, edit(SIZE_MAX, 1, "x", 1), -EINVAL));
	cr_expect(eq(int, edit(38, 0, "x", 1), 0));
	cr_expect(eq(int, edit(20, 18, NULL, 0), -EINVAL), "without a header");
	cr_expect(eq(int, edit(20, 11, NULL, 0), -EINVAL));
	make(AF_INET6, IPPROTO_SCTP, 0);
	cr_expect(eq(int, edit(51, 1, NULL, 0), -EINVAL));
	/* With padding behind it. */
	make(AF_INET, IPPROTO_UDP, 10);
	memset(b.p + b.len, 0xee, 8);
	s.bytes.len += 8, s.bytes.true_len += 8;
	cr_expect(eq(int, edit(38, 1, "x", 1), -EINVAL));
	cr_assert(eq(int, edit(36, 2, "xyz", 3), 0));
	cr_expect(eq(sz, out_len, 47));
	cr_expect(memcmp(out + 36, "xyz\xee\xee\xee\xee\xee\xee\xee\xee", 11) == 0);
	out_len -= 8;
	expect_edited(36, 2, (const uint8_t *)"xyz", 3);
}

Test(payload, the_largest_packet)
{
	static uint8_t data[65532];

	make(AF_INET, IPPROTO_UDP, 0);
	cr_assert(eq(int, edit(28, 0, data, 65503), 0));
	expect_edited(28, 0, data, 65503);
	cr_expect(eq(int, edit(28, 0, data, 65504), -EMSGSIZE));
	cr_expect(eq(int, edit(28, 0, data, SIZE_MAX), -EMSGSIZE));
}

Test(payload, what_was_damaged_stays_damaged)
{
	for (size_t i = 0; i < BUILD_KINDS; i++) {
		make(build_kinds[i].family, build_kinds[i].protocol, 21);
		b.p[b.len - 3] ^= 0x10;
		cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG));
		cr_expect(eq(int, edit(b.len - 9, 1, "xyz", 3),
			     b.protocol == IPPROTO_TCP ? -EOPNOTSUPP : -EBADMSG));
		s.may_resize = true;
		cr_expect(eq(int, edit(b.len - 9, 1, "xyz", 3), -EBADMSG));
		if (b.protocol == IPPROTO_SCTP) {
			cr_expect(eq(int, edit(b.len - 9, 3, "xyz", 3), -EBADMSG));
			continue;
		}
		cr_expect(eq(int, edit(b.len - 9, 3, "xyz", 3), 0));
		s.bytes.p = out;
		cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG), "%zu", i);
		out[b.len - 3] ^= 0x10;
		cr_expect(eq(int, mnfq_i_verify(&s), 0), "%zu", i);
	}
	make(AF_INET, IPPROTO_UDP, 8);
	b.p[11] ^= 1;
	cr_expect(eq(int, edit(8, 1, "\1", 1), 0));
	s.bytes.p = out;
	cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG), "the header's sum too");
}

Test(payload, udp_without_a_checksum)
{
	for (int v6 = 0; v6 < 2; v6++) {
		make(v6 ? AF_INET6 : AF_INET, IPPROTO_UDP, 10);
		put16(b.p + b.transport + 6, 0);
		cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
		cr_assert(eq(int, edit(b.transport, 10, "0123456789abc", 13), 0));
		cr_expect(eq(u16, get16(out + b.transport + 6), 0));
		cr_expect(eq(u16, get16(out + b.transport + 4), 21));
		cr_assert(eq(int, edit(b.transport, 10, "0123456789", 10), 0));
		cr_expect(eq(u16, get16(out + b.transport + 6), 0));
		cr_expect(eq(u16, get16(out + b.transport + 4), 18));
	}
}

/* Content chosen so that the sum becomes zero, which is then written as the other zero. */
Test(payload, udp_whose_checksum_becomes_zero)
{
	uint8_t word[4] = { 0 };

	make(AF_INET, IPPROTO_UDP, 10);
	cr_assert(eq(int, edit(30, 2, "\0\0", 2), 0));
	memcpy(word, out + 26, 2);
	cr_assert(eq(int, edit(30, 2, word, 2), 0));
	cr_expect(eq(u16, get16(out + 26), 0xffff));
	expect_edited(30, 2, word, 2);
	make(AF_INET, IPPROTO_UDP, 8);
	cr_assert(eq(int, edit(36, 0, "\0", 2), 0));
	memcpy(word, out + 26, 2);
	cr_assert(eq(int, edit(36, 0, word, 2), 0));
	cr_expect(eq(u16, get16(out + 26), 0xffff));
}

/* The only datagram whose sum is not zero in both ways. */
Test(payload, icmp_of_nothing_but_zeros)
{
	static const uint8_t zeros[28];

	make(AF_INET, IPPROTO_ICMP, 20);
	cr_assert(eq(int, edit(20, 28, zeros, 28), 0));
	cr_expect(eq(u16, get16(out + 22), 0xffff));
	expect_edited(20, 28, zeros, 28);
}

Test(payload, bytes_behind_the_udp_datagram)
{
	make(AF_INET, IPPROTO_UDP, 10);
	build_add(&b, "surplus", 7);
	put16(b.p + 2, (unsigned int)b.len);
	put16(b.p + 10, build_header_sum(&b, b.p));
	receive();
	cr_expect(eq(int, mnfq_i_verify(&s), 0));
	cr_assert(eq(int, edit(41, 1, "++", 2), 0));
	cr_expect(eq(u16, get16(out + 24), 18), "not the datagram's");
	cr_expect(eq(u16, get16(out + 26), get16(b.p + 26)));
	cr_assert(eq(int, edit(38, 0, "++", 2), 0));
	cr_expect(eq(u16, get16(out + 24), 20), "the datagram's end");
	cr_assert(eq(int, edit(36, 4, "+", 1), 0));
	cr_expect(eq(u16, get16(out + 24), 17), "across the end");
	s.bytes.p = out, s.bytes.len = s.bytes.true_len = out_len;
	cr_expect(eq(int, mnfq_i_verify(&s), 0));
}

static void expect_coverage(size_t offset, size_t remove, size_t insert, unsigned int coverage)
{
	cr_assert(eq(int, edit(offset, remove, "insertions", insert), 0), "%s", s.why);
	cr_expect(eq(u16, get16(out + 24), coverage), "%zu at %zu", insert, offset);
	cr_expect(eq(u16, get16(out + 26),
		     build_sum(&b, out, out_len, coverage ? 20 + coverage : out_len)));
}

Test(payload, coverage_of_udp_lite)
{
	make(AF_INET, IPPROTO_UDPLITE, 20);
	put16(b.p + 24, 12);
	put16(b.p + 26, build_sum(&b, b.p, b.len, 32));
	cr_expect(eq(int, mnfq_i_verify(&s), 0));
	expect_coverage(30, 1, 1, 12);
	expect_coverage(33, 3, 3, 12);
	expect_coverage(31, 4, 4, 12);
	expect_coverage(28, 1, 5, 16);
	expect_coverage(32, 0, 5, 12);
	expect_coverage(31, 5, 5, 12);
	expect_coverage(30, 6, 5, 15);
	expect_coverage(40, 3, 5, 12);
	expect_coverage(20, 8, 8, 12);
	put16(b.p + 24, 28);
	put16(b.p + 26, build_sum(&b, b.p, b.len, b.len));
	expect_coverage(48, 0, 5, 33);
	expect_coverage(40, 8, 1, 21);
	put16(b.p + 24, 0);
	put16(b.p + 26, build_sum(&b, b.p, b.len, b.len));
	expect_coverage(48, 0, 5, 0);
	expect_coverage(28, 9, 1, 0);
}

Test(payload, an_unfinished_checksum_is_completed)
{
	static const uint8_t ttl[] = { 3 };

	for (size_t i = 0; i < BUILD_KINDS; i++) {
		if (build_kinds[i].protocol == IPPROTO_ICMP ||
		    build_kinds[i].protocol == IPPROTO_SCTP)
			continue;
		make(build_kinds[i].family, build_kinds[i].protocol, 33);
		build_partial(&b, true);
		s.not_ready = true;
		s.may_resize = true;
		cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
		cr_assert(eq(int, edit(b.len - 5, 2, "x", 1), 0), "%s", s.why);
		expect_edited(b.len - 5, 2, (const uint8_t *)"x", 1);
		cr_assert(eq(int, edit(b.len - 5, 1, "x", 1), 0));
		expect_edited(b.len - 5, 1, (const uint8_t *)"x", 1);
		cr_assert(eq(int, edit(b.family == AF_INET ? 8 : 7, 1, ttl, 1), 0));
		expect_edited(b.family == AF_INET ? 8 : 7, 1, ttl, 1);
		put16(b.p + b.transport + build_check(b.protocol), 0x1234);
		cr_expect(eq(int, edit(b.len - 5, 1, "x", 1), -EOPNOTSUPP),
			  "a sum within a tunnel is not ours");
	}
	make(AF_INET, IPPROTO_GRE, 33);
	b.p[9] = IPPROTO_GRE;
	s.not_ready = true;
	cr_expect(eq(int, edit(8, 1, ttl, 1), -EOPNOTSUPP));
}

/* A field of zero is a sum like others there: it does not say that there is none. */
Test(payload, an_unfinished_checksum_of_zero)
{
	make(AF_INET, IPPROTO_UDP, 33);
	build_partial(&b, true);
	put16(b.p + 12, get16(b.p + 12) + 0xffffu - get16(b.p + 26));
	put16(b.p + 10, build_header_sum(&b, b.p));
	put16(b.p + 26, 0);
	s.not_ready = true;
	cr_assert(eq(int, edit(40, 1, "x", 1), 0), "%s", s.why);
	expect_edited(40, 1, (const uint8_t *)"x", 1);
}

Test(payload, large_packets_that_are_split_later)
{
	make(AF_INET, IPPROTO_TCP, 5000);
	build_partial(&b, false);
	s.gso = s.not_ready = s.may_resize = true;
	cr_assert(eq(int, edit(4000, 3, "abc", 3), 0), "%s", s.why);
	expect_edited(4000, 3, (const uint8_t *)"abc", 3);
	cr_expect(eq(int, edit(4000, 3, "ab", 2), -EOPNOTSUPP));
	/* After the first edit there is a sum that can be updated: it would be as wrong as it was. */
	make(AF_INET, IPPROTO_TCP, 5000);
	s.gso = s.ours = true;
	put16(b.p + 36, get16(b.p + 36) ^ 1);
	cr_assert(eq(int, edit(4000, 3, "abc", 3), 0), "%s", s.why);
	s.bytes.p = out;
	cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG));
	make(AF_INET, IPPROTO_UDP, 5000);
	s.gso = true;
	cr_expect(eq(int, edit(4000, 3, "abc", 3), -EOPNOTSUPP));
	cr_expect(eq(int, edit(8, 1, "a", 1), -EOPNOTSUPP));
}

Test(payload, tcp_keeps_its_length)
{
	make(AF_INET6, IPPROTO_TCP, 50);
	cr_expect(eq(int, edit(70, 3, "ab", 2), -EOPNOTSUPP));
	cr_expect(eq(int, edit(70, 3, "abc", 3), 0));
	cr_expect(not(s.resized));
	s.may_resize = true;
	cr_expect(eq(int, edit(70, 3, "ab", 2), 0));
	cr_expect(s.resized);
}

Test(payload, first_fragments)
{
	make(AF_INET, IPPROTO_UDP, 40);
	put16(b.p + 6, 0x2000);
	put16(b.p + 10, build_header_sum(&b, b.p));
	put16(b.p + 24, 4000);
	cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
	cr_assert(eq(int, edit(33, 3, "abc", 3), 0), "%s", s.why);
	cr_expect(ne(u16, get16(out + 26), get16(b.p + 26)));
	cr_expect(eq(u16, get16(out + 24), 4000));
	/* The change of the sum is what the change of the bytes makes it. */
	expected = b;
	memcpy(expected.p + 33, "abc", 3);
	put16(expected.p + 26, 0);
	put16(b.p + 24, 48), put16(expected.p + 24, 48);
	cr_expect(eq(u16, (uint16_t)((get16(out + 26) + 0xffffu - get16(b.p + 26)) % 0xffff),
		     (uint16_t)((build_sum(&b, expected.p, b.len, b.len) + 0xffffu -
				 build_sum(&b, b.p, b.len, b.len)) %
				0xffff)));
	put16(b.p + 24, 4000);
	cr_expect(eq(int, edit(24, 4, "abcd", 4), 0), "length and checksum");
	cr_expect(memcmp(out, b.p, b.len) == 0, "are not for edits");
	cr_expect(eq(int, edit(8, 1, "a", 1), 0), "time to live");
	cr_expect(eq(int, edit(12, 1, "a", 1), -EOPNOTSUPP), "an address");
	cr_expect(eq(int, edit(33, 3, "ab", 2), -EOPNOTSUPP));
	s.not_ready = true;
	cr_expect(eq(int, edit(33, 3, "abc", 3), -EOPNOTSUPP));
	s.not_ready = false;
	put16(b.p + 26, 0);
	cr_expect(eq(int, edit(33, 3, "abc", 3), 0));
	cr_expect(eq(u16, get16(out + 26), 0));
	b.p[9] = IPPROTO_SCTP;
	cr_expect(eq(int, edit(33, 3, "abc", 3), -EOPNOTSUPP));
	cr_expect(eq(int, edit(8, 1, "a", 1), 0));
	b.p[9] = IPPROTO_GRE;
	cr_expect(eq(int, edit(33, 3, "abc", 3), -EPROTONOSUPPORT));
}

Test(payload, later_fragments)
{
	make(AF_INET, IPPROTO_UDP, 40);
	put16(b.p + 6, 0x2003);
	put16(b.p + 10, build_header_sum(&b, b.p));
	cr_assert(eq(int, edit(8, 1, "a", 1), 0), "%s", s.why);
	cr_expect(eq(u16, get16(out + 10), build_header_sum(&b, out)));
	cr_expect(memcmp(out + 20, b.p + 20, 48) == 0);
	cr_expect(eq(int, edit(12, 1, "a", 1), -EOPNOTSUPP));
	cr_expect(eq(int, edit(33, 3, "abc", 3), -EOPNOTSUPP));
	cr_expect(eq(int, edit(33, 3, "ab", 2), -EOPNOTSUPP));
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EOPNOTSUPP));
}

Test(payload, truncated_packets)
{
	static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP };

	for (size_t i = 0; i < 3; i++) {
		make(AF_INET, protocols[i], 100);
		s.bytes.len = b.len = 70;
		cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
		cr_expect(eq(int, edit(50, 3, "abc", 3), -EMSGSIZE));
		cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EMSGSIZE));
		s.may_cut = true;
		cr_assert(eq(int, edit(50, 3, "abc", 3), 0), "%s", s.why);
		expect_edited(50, 3, (const uint8_t *)"abc", 3);
		cr_expect(eq(int, edit(71, 0, "abc", 3), -EINVAL));
		cr_expect(eq(int, edit(50, 3, "a", 1),
			     protocols[i] == IPPROTO_TCP ? -EOPNOTSUPP : 0));
		s.bytes.len = 25;
		cr_expect(eq(int, edit(8, 1, "a", 1), -EMSGSIZE), "no transport header");
		s.bytes.len = 15;
		cr_expect(eq(int, edit(8, 1, "a", 1), -EMSGSIZE));
	}
	make(AF_INET, IPPROTO_UDPLITE, 100);
	put16(b.p + 24, 50);
	s.bytes.len = b.len = 60;
	s.may_cut = true;
	expect_coverage(30, 1, 1, 40);
	put16(b.p + 24, 30);
	expect_coverage(30, 1, 1, 30);
	s.gso = true;
	cr_expect(eq(int, edit(30, 1, "a", 1), -EOPNOTSUPP));
}

Test(payload, other_protocols)
{
	static const uint8_t none[] = { IPPROTO_GRE, IPPROTO_ESP, IPPROTO_IPIP, IPPROTO_NONE };

	for (size_t i = 0; i < 4; i++) {
		make(AF_INET, IPPROTO_UDP, 20);
		b.p[9] = none[i];
		put16(b.p + 10, build_header_sum(&b, b.p));
		cr_expect(eq(int, edit(30, 3, "abc", 3), -EPROTONOSUPPORT));
		cr_expect(eq(int, edit(30, 3, "ab", 2), -EPROTONOSUPPORT));
		cr_assert(eq(int, edit(12, 3, "abc", 3), 0));
		cr_expect(eq(u16, get16(out + 10), build_header_sum(&b, out)));
		cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
	}
	b.p[9] = 253;
	cr_expect(eq(int, edit(12, 3, "abc", 3), -EPROTONOSUPPORT));
	cr_expect(eq(int, edit(8, 1, "a", 1), 0));
	s.bytes.ethertype = 0x0806;
	cr_expect(eq(int, edit(8, 1, "a", 1), -EPROTONOSUPPORT));
}
