/* SPDX-License-Identifier: MIT */
/* What layers.c, checksum.c and payload.c share: bytes to be edited, no messages and no I/O. */
#ifndef MNFQ_EDIT_H
#define MNFQ_EDIT_H

#include <mnfq/mnfq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t mnfq_i_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void mnfq_i_put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* ---- checksum.c ---- */

/*
 * Ones' complement sums (RFC 1071) of 16-bit words as they lie in memory, so that their bytes are
 * in the order of the wire on any machine. Sums of parts of even length may be added up.
 */
uint32_t mnfq_i_sum(const void *bytes, size_t len);
uint16_t mnfq_i_sum_update(uint16_t check, uint32_t before, uint32_t after);

static inline uint16_t mnfq_i_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* CRC32c (RFC 9260, appendix A) goes on from @crc, which is ~0 at first and inverted at last. */
uint32_t mnfq_i_crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
