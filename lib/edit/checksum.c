// SPDX-License-Identifier: MIT
/*
 * The sums of the Internet: the ones' complement sum (RFC 1071) and its incremental update (RFC
 * 1624), and CRC32c (RFC 9260, appendix A), eight bytes at a time. Nothing here does I/O.
 */
#include <endian.h>

#include "edit.h"

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* Adds with the carry coming back in from below, which is what makes the sum ones' complement. */
static inline uint64_t add(uint64_t sum, uint64_t value)
{
	sum += value;
	return sum + (sum < value);
}

/* Fewer than 8 bytes. An odd last one is the first half of a word. */
static uint64_t sum_rest(const uint8_t *p, size_t len)
{
	uint8_t word[8] = { 0 };

	if (len > 0)
		memcpy(word, p, len);
	return load64(word);
}

uint32_t mnfq_i_sum(const void *bytes, size_t len)
{
	/* Four sums, so that an addition need not wait for the one before. */
	uint64_t a = 0, b = 0, c = 0, d = 0;
	const uint8_t *p = bytes;

	for (; len >= 32; p += 32, len -= 32) {
		a = add(a, load64(p));
		b = add(b, load64(p + 8));
		c = add(c, load64(p + 16));
		d = add(d, load64(p + 24));
	}
	for (; len >= 8; p += 8, len -= 8)
		a = add(a, load64(p));
	b = add(b, sum_rest(p, len));
	return mnfq_i_sum_fold(add(add(a, b), add(c, d)));
}

/*
 * The checksum of data of which a part that added @before to the sum now adds @after: RFC 1624,
 * equation 3. It is as right or as wrong as it was.
 */
uint16_t mnfq_i_sum_update(uint16_t check, uint32_t before, uint32_t after)
{
	uint32_t gone = 0xffffu - mnfq_i_sum_fold(before);

	return (uint16_t)~mnfq_i_sum_fold((uint64_t)(uint16_t)~check + gone + after);
}

/*
 * What each byte contributes at each of eight distances. The table is linear: an entry is the sum
 * (exclusive or) of those of its bits, given as arguments, so that the compiler makes the rest.
 */
#define BIT(i, n, value) (((i) >> (n)&1) * (value))
#define C1(i, a, b, c, d, e, f, g, h)                                                            \
	(BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ BIT(i, 4, e) ^              \
	 BIT(i, 5, f) ^ BIT(i, 6, g) ^ BIT(i, 7, h))
#define C4(i, ...)                                                                               \
	C1(i, __VA_ARGS__), C1((i) + 1, __VA_ARGS__), C1((i) + 2, __VA_ARGS__),                  \
		C1((i) + 3, __VA_ARGS__)
#define C16(i, ...)                                                                              \
	C4(i, __VA_ARGS__), C4((i) + 4, __VA_ARGS__), C4((i) + 8, __VA_ARGS__),                  \
		C4((i) + 12, __VA_ARGS__)
#define C64(i, ...)                                                                              \
	C16(i, __VA_ARGS__), C16((i) + 16, __VA_ARGS__), C16((i) + 32, __VA_ARGS__),             \
		C16((i) + 48, __VA_ARGS__)
#define C256(...)                                                                                \
	{                                                                                        \
		C64(0u, __VA_ARGS__), C64(64u, __VA_ARGS__), C64(128u, __VA_ARGS__),             \
			C64(192u, __VA_ARGS__)                                                   \
	}

static const uint32_t checksum_crc[8][256] = {
	C256(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc,
	     0x82f63b78),
	C256(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604,
	     0xfbc3faf9),
	C256(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9,
	     0x8b277743),
	C256(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7,
	     0x52a0c93f),
	C256(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae,
	     0x6ea2d55c),
	C256(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb,
	     0x1c08b7d6),
	C256(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a,
	     0xf56e0ef4),
	C256(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32,
	     0x34019664),
};

uint32_t mnfq_i_crc32c(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v = le64toh(load64(p)) ^ sum;

		sum = checksum_crc[7][v & 255] ^ checksum_crc[6][v >> 8 & 255] ^
		      checksum_crc[5][v >> 16 & 255] ^ checksum_crc[4][v >> 24 & 255] ^
		      checksum_crc[3][v >> 32 & 255] ^ checksum_crc[2][v >> 40 & 255] ^
		      checksum_crc[1][v >> 48 & 255] ^ checksum_crc[0][v >> 56];
	}
	for (; len > 0; p++, len--)
		sum = sum >> 8 ^ checksum_crc[0][(sum ^ *p) & 255];
	return sum;
}
