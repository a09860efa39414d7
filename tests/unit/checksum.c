/* SPDX-License-Identifier: MIT */
/* checksum.c: against sums made bit by bit and byte by byte, at all alignments. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "edit/edit.h"

static uint32_t seed = 1;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

static void fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(roll(8) == 0 ? 0xff * roll(2) : roll(256));
}

/* RFC 1071 by the letter: 16-bit words in the order of the wire. */
static uint32_t naive_sum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t naive_crc(const uint8_t *bytes, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

Test(checksum, sums_of_all_lengths_and_alignments)
{
	static uint8_t bytes[400];

	fill(bytes, sizeof(bytes));
	for (size_t start = 0; start < 32; start++)
		for (size_t len = 0; len <= sizeof(bytes) - start; len++)
			cr_assert(eq(u16, ntohs((uint16_t)mnfq_i_sum(bytes + start, len)),
				     (uint16_t)naive_sum(bytes + start, len)),
				  "%zu bytes from %zu", len, start);
}

Test(checksum, sums_of_random_bytes)
{
	static uint8_t bytes[65536 + 16];

	for (int round = 0; round < 2000; round++) {
		size_t start = roll(16), len = roll(round % 20 ? 2000 : 65536);

		fill(bytes + start, round % 20 ? len : 100);
		cr_assert(eq(u16, ntohs((uint16_t)mnfq_i_sum(bytes + start, len)),
			     (uint16_t)naive_sum(bytes + start, len)));
	}
}

/* Every carry there can be. */
Test(checksum, sums_of_ones)
{
	static uint8_t bytes[65536];

	cr_expect(eq(u32, mnfq_i_sum(bytes, sizeof(bytes)), 0));
	memset(bytes, 0xff, sizeof(bytes));
	cr_expect(eq(u32, mnfq_i_sum(bytes, sizeof(bytes)), 0xffff));
	cr_expect(eq(u16, ntohs((uint16_t)mnfq_i_sum(bytes, 65535)), 0xff00));
	bytes[65535] = 0xfe;
	cr_expect(eq(u16, ntohs((uint16_t)mnfq_i_sum(bytes, 65536)), 0xfffe));
	cr_expect(eq(u32, mnfq_i_sum(NULL, 0), 0));
}

/* RFC 1071, section 3. */
Test(checksum, the_example_of_the_rfc)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	cr_expect(eq(u16, ntohs((uint16_t)mnfq_i_sum(bytes, sizeof(bytes))), 0xddf2));
}

/* RFC 1624, section 4: with the other equation this one becomes 0xffff. */
Test(checksum, an_update_as_in_the_rfc)
{
	cr_expect(eq(u16, ntohs(mnfq_i_sum_update(htons(0xdd2f), htons(0x5555), htons(0x3285))),
		     0x0000));
}

Test(checksum, updates_are_what_a_new_sum_is)
{
	uint8_t bytes[64];

	for (int round = 0; round < 100000; round++) {
		size_t len = 2 + 2 * roll(31), at = 2 * roll((uint32_t)len / 2);
		size_t n = 2 + 2 * roll((uint32_t)(len - at) / 2);
		uint32_t before, after;
		uint16_t check, updated;

		fill(bytes, len);
		bytes[0] |= 1; /* a pseudo header is never zero either */
		check = (uint16_t)~mnfq_i_sum(bytes, len);
		if (at == 0 && n > len - 2)
			n = len - 2;
		at = at ? at : 2;
		n = n > len - at ? len - at : n;
		before = mnfq_i_sum(bytes + at, n);
		fill(bytes + at, n);
		after = mnfq_i_sum(bytes + at, n);
		updated = mnfq_i_sum_update(check, before, after);
		cr_assert(eq(u16, updated, (uint16_t)~mnfq_i_sum(bytes, len)), "round %d", round);
	}
}

/* RFC 3720, appendix B.4. */
Test(checksum, crc32c_of_known_data)
{
	uint8_t bytes[32] = { 0 };

	cr_expect(eq(u32, ~mnfq_i_crc32c(~0u, bytes, 32), 0x8a9136aa));
	memset(bytes, 0xff, 32);
	cr_expect(eq(u32, ~mnfq_i_crc32c(~0u, bytes, 32), 0x62a8ab43));
	for (size_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	cr_expect(eq(u32, ~mnfq_i_crc32c(~0u, bytes, 32), 0x46dd794e));
	cr_expect(eq(u32, ~mnfq_i_crc32c(~0u, "123456789", 9), 0xe3069283));
}

Test(checksum, crc32c_of_all_lengths_and_alignments)
{
	static uint8_t bytes[300];
	size_t half;

	fill(bytes, sizeof(bytes));
	for (size_t start = 0; start < 9; start++) {
		for (size_t len = 0; len <= sizeof(bytes) - start; len++) {
			uint32_t whole = naive_crc(bytes + start, len);

			cr_assert(eq(u32, ~mnfq_i_crc32c(~0u, bytes + start, len), whole));
			half = roll((uint32_t)len + 1);
			cr_assert(eq(u32,
				     ~mnfq_i_crc32c(mnfq_i_crc32c(~0u, bytes + start, half),
						    bytes + start + half, len - half),
				     whole));
		}
	}
}
