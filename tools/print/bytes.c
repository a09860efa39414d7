/* SPDX-License-Identifier: MIT */
/* The bytes of a packet below its line, as tcpdump's -x, -X and -A print them. */
#include "print/bytes.h"

#define IN_LINE 16
#define COLUMNS 40 /* of IN_LINE bytes in hexadecimal */

static uint8_t get_byte(const struct bytes *bytes, size_t i)
{
	return i < bytes->len[0] ? bytes->at[0][i] : bytes->at[1][i - bytes->len[0]];
}

static size_t get_length(const struct bytes *bytes)
{
	return bytes->len[0] + bytes->len[1];
}

static int make_printable(uint8_t byte)
{
	return byte > ' ' && byte < 0x7f ? byte : '.';
}

static void print_line_hex(FILE *out, const struct bytes *bytes, size_t from, size_t to,
			   bool ascii)
{
	static const char digits[] = "0123456789abcdef";
	size_t columns = 0;

	fprintf(out, "\t0x%04zx: ", from);
	for (size_t i = from; i < to; i++) {
		const uint8_t byte = get_byte(bytes, i);

		if ((i - from) % 2 == 0)
			putc_unlocked(' ', out);
		putc_unlocked(digits[byte >> 4], out);
		putc_unlocked(digits[byte & 15], out);
		columns += (i - from) % 2 ? 2 : 3;
	}
	if (ascii) {
		fprintf(out, "%*s", (int)(COLUMNS + 2 - columns), "");
		for (size_t i = from; i < to; i++)
			putc_unlocked(make_printable(get_byte(bytes, i)), out);
	}
	putc_unlocked('\n', out);
}

void print_bytes_hex(FILE *out, const struct bytes *bytes, bool ascii)
{
	const size_t len = get_length(bytes);

	for (size_t i = 0; i < len; i += IN_LINE)
		print_line_hex(out, bytes, i, i + IN_LINE < len ? i + IN_LINE : len, ascii);
}

void print_bytes_text(FILE *out, const struct bytes *bytes)
{
	const size_t len = get_length(bytes);

	putc_unlocked('\t', out);
	for (size_t i = 0; i < len; i++) {
		const uint8_t byte = get_byte(bytes, i);

		if (byte == '\n')
			fputs_unlocked("\n\t", out);
		else if (byte == '\r' && i + 1 < len && get_byte(bytes, i + 1) == '\n')
			continue;
		else
			putc_unlocked(byte == '\t' || byte == ' ' ? byte : make_printable(byte),
				      out);
	}
	putc_unlocked('\n', out);
}
