/* SPDX-License-Identifier: MIT */
/* repair.c and what verifies: packets put together badly, and those that are to be judged. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "edit/edit.h"
#include "support/build.h"

static struct build b, expected;
static struct mnfq_i_subject s;
static uint8_t out[65536];
static size_t out_len;

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

static void expect_bytes(const char *what)
{
	size_t i;

	cr_assert(eq(sz, out_len, expected.len), "%s", what);
	for (i = 0; i < out_len && out[i] == expected.p[i]; i++)
		;
	cr_assert(eq(sz, i, out_len), "%s: byte %zu of protocol %u is %02x, not %02x", what, i,
		  expected.protocol, out[i], expected.p[i]);
}

static void repaired(const char *what)
{
	expected = b;
	build_end(&expected);
	cr_assert(eq(int, mnfq_i_repair(&s, out, &out_len), 0), "%s: %s", what, s.why);
	expect_bytes(what);
}

Test(repair, repairs)
{
	for (size_t i = 0; i < BUILD_KINDS; i++) {
		make(build_kinds[i].family, build_kinds[i].protocol, 33);
		b.p[b.len - 1] ^= 1;
		repaired("damaged");
		put16(b.p + (b.family == AF_INET ? 2 : 4), 3);
		put16(b.p + b.transport + build_check(b.protocol), 0x1234);
		if (b.protocol == IPPROTO_UDP)
			put16(b.p + b.transport + 4, 7);
		if (b.family == AF_INET)
			put16(b.p + 10, 0x4711);
		repaired("lengths");
		if (build_kinds[i].protocol == IPPROTO_ICMP ||
		    build_kinds[i].protocol == IPPROTO_SCTP)
			continue;
		make(build_kinds[i].family, build_kinds[i].protocol, 33);
		build_partial(&b, true);
		s.not_ready = true;
		repaired("unfinished");
	}
	make(AF_INET, IPPROTO_UDP, 33);
	put16(b.p + 26, 0);
	cr_assert(eq(int, mnfq_i_repair(&s, out, &out_len), 0));
	cr_expect(eq(u16, get16(out + 26), 0), "no checksum");
	make(AF_INET6, IPPROTO_UDP, 33);
	put16(b.p + 46, 0);
	repaired("none over IPv6, where there has to be one");
	make(AF_INET, IPPROTO_UDPLITE, 33);
	put16(b.p + 24, 42);
	cr_assert(eq(int, mnfq_i_repair(&s, out, &out_len), 0));
	cr_expect(eq(u16, get16(out + 24), 0), "an impossible coverage");
	cr_expect(eq(u16, get16(out + 26), build_sum(&b, out, out_len, out_len)));
	make(AF_INET, IPPROTO_UDP, 33);
	b.p[9] = IPPROTO_GRE;
	put16(b.p + 10, 1);
	cr_assert(eq(int, mnfq_i_repair(&s, out, &out_len), 0));
	cr_expect(eq(u16, get16(out + 10), build_header_sum(&b, out)));
}

Test(repair, refused_repairs)
{
	make(AF_INET, IPPROTO_UDP, 33);
	s.gso = true;
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EOPNOTSUPP));
	make(AF_INET, IPPROTO_UDP, 33);
	s.not_ready = true;
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EOPNOTSUPP), "in a tunnel");
	make(AF_INET, IPPROTO_UDP, 33);
	put16(b.p + 6, 0x2000);
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EOPNOTSUPP));
	make(AF_INET, IPPROTO_UDP, 33);
	s.bytes.len = s.bytes.true_len = 27;
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EBADMSG));
	s.bytes.len = s.bytes.true_len = 19;
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EBADMSG));
	s.bytes.ethertype = 0x0806;
	cr_expect(eq(int, mnfq_i_repair(&s, out, &out_len), -EPROTONOSUPPORT));
}

Test(repair, verified)
{
	for (size_t i = 0; i < BUILD_KINDS; i++) {
		make(build_kinds[i].family, build_kinds[i].protocol, 21);
		cr_expect(eq(int, mnfq_i_verify(&s), 0), "%zu", i);
		for (size_t j = b.transport + 4; j < b.len; j++) {
			b.p[j] ^= 4;
			if (b.protocol != IPPROTO_TCP || j != b.transport + 12)
				cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG), "%zu %zu", i, j);
			b.p[j] ^= 4;
		}
	}
	make(AF_INET, IPPROTO_UDP, 21);
	b.p[8]++;
	cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG), "the IPv4 header");
	b.p[2]++;
	cr_expect(eq(int, mnfq_i_verify(&s), -EBADMSG), "malformed");
	make(AF_INET, IPPROTO_TCP, 21);
	s.gso = true;
	cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
	s.ours = true;
	cr_expect(eq(int, mnfq_i_verify(&s), 0));
	s.bytes.ethertype = 0x0806;
	cr_expect(eq(int, mnfq_i_verify(&s), -ENODATA));
}
