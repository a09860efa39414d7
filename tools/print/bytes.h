/* SPDX-License-Identifier: MIT */
/* The bytes of a packet below its line, as tcpdump's -x, -X and -A print them. */
#ifndef MNFQ_TOOLS_PRINT_BYTES_H
#define MNFQ_TOOLS_PRINT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** Bytes in two parts: a link-layer header, and what follows. */
struct bytes {
	const uint8_t *at[2];
	size_t len[2];
};

/** Lines of 16 bytes in hexadecimal, @ascii: and as characters. To a locked stream. */
void print_bytes_hex(FILE *out, const struct bytes *bytes, bool ascii);

/**
 * As characters. Each line is indented, so that none from a packet can be taken for one of ours; what is not
 * printable ASCII is a dot.
 */
void print_bytes_text(FILE *out, const struct bytes *bytes);

#endif
