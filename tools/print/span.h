/* SPDX-License-Identifier: MIT */
/* Bytes that are being decoded: how many there are, and how many there were. */
#ifndef MNFQ_TOOLS_PRINT_SPAN_H
#define MNFQ_TOOLS_PRINT_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "print/decode.h"

/** Bytes from some header on. */
struct span {
	const uint8_t *at;
	size_t len;   /* that are there */
	size_t total; /* in the packet, of which the rest was not captured; @len at least */
};

struct word {
	unsigned int number;
	const char *text;
};

static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/** What follows the first @len bytes, which are there. */
static inline struct span skip(struct span bytes, size_t len)
{
	return (struct span){ bytes.at + len, bytes.len - len, bytes.total - len };
}

/** Notes that @header is cut short unless there are @need bytes. */
static inline bool has(struct decoded *decoded, struct span bytes, size_t need,
		       const char *header)
{
	if (bytes.len < need && !decoded->problem) {
		decoded->problem = "cut short";
		decoded->cut = header;
	}
	return bytes.len >= need;
}

/** The words end with a NULL. Returns NULL if there is none. */
static inline const char *find_word(const struct word *words, unsigned int number)
{
	for (; words->text; words++)
		if (words->number == number)
			return words->text;
	return NULL;
}

#endif
