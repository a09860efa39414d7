/* SPDX-License-Identifier: MIT */
/* Fields, as text or as JSON (RFC 8259): printable ASCII alone, whatever others chose as a name. */
#include "print/writer.h"

#include <inttypes.h>
#include <string.h>

#include "common/parse.h"
#include "common/text.h"
#include "print/compose.h"

/* Whether a value is to follow. */
static bool begin_field(struct writer *w, const char *key, const char *before)
{
	if (w->json && key) {
		fputs_unlocked(w->separated ? ",\"" : "\"", w->out);
		fputs_unlocked(key, w->out);
		fputs_unlocked("\":", w->out);
		w->separated = true;
	} else if (!w->json && before) {
		if (w->section) {
			before += strspn(before, ", ");
			fputs_unlocked(w->section, w->out);
			w->section = NULL;
		}
		fputs_unlocked(before, w->out);
	}
	return w->json ? key : before;
}

void begin_line(struct writer *w)
{
	w->separated = false;
	if (w->json)
		putc_unlocked('{', w->out);
}

void begin_section(struct writer *w, const char *mark)
{
	w->section = mark;
}

void end_line(struct writer *w)
{
	fputs_unlocked(w->json ? "}\n" : "\n", w->out);
}

void begin_object(struct writer *w, const char *key)
{
	if (begin_field(w, key, NULL)) {
		putc_unlocked('{', w->out);
		w->separated = false;
	}
}

void end_object(struct writer *w)
{
	if (w->json) {
		putc_unlocked('}', w->out);
		w->separated = true;
	}
}

void put_number(struct writer *w, const char *key, const char *before, uint64_t number)
{
	char digits[DIGITS_MAX];

	if (begin_field(w, key, before))
		fwrite_unlocked(digits, 1, format_digits(digits, number), w->out);
}

void put_mark(struct writer *w, const char *key, const char *before, uint32_t mark)
{
	if (begin_field(w, key, before))
		fprintf(w->out, w->json ? "%" PRIu32 : "0x%" PRIx32, mark);
}

void put_priority(struct writer *w, const char *key, const char *before, uint32_t priority)
{
	char text[PRIORITY_SIZE];

	if (w->json)
		put_number(w, key, before, priority);
	else
		put_text(w, key, before, format_priority(text, priority));
}

void put_flag(struct writer *w, const char *key, const char *word, bool value)
{
	if (begin_field(w, key, value ? word : NULL) && w->json)
		fputs_unlocked(value ? "true" : "false", w->out);
}

void put_word(struct writer *w, const char *word)
{
	(void)begin_field(w, NULL, word);
}

static void put_byte(struct writer *w, uint8_t byte)
{
	fprintf(w->out, w->json ? "\\\\x%02x" : "\\x%02x", byte);
}

/* Its number and its length in bytes, which is 0 if this is not UTF-8 (RFC 3629). */
static size_t decode_utf8(uint32_t *number, const uint8_t *bytes, size_t len)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const uint8_t first = bytes[0];
	const size_t more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;

	if (more >= len || (first >= 0x80 && first < 0xc0) || first >= 0xf8)
		return 0;
	*number = more ? first & 0x3fu >> more : first;
	for (size_t i = 1; i <= more; i++) {
		if (bytes[i] >> 6 != 2)
			return 0;
		*number = *number << 6 | (bytes[i] & 0x3fu);
	}
	if (*number < least[more] || *number > 0x10ffff ||
	    (*number >= 0xd800 && *number < 0xe000))
		return 0;
	return more + 1;
}

static void put_json_character(FILE *out, uint32_t number)
{
	if (number >= 0x10000)
		fprintf(out, "\\u%04X\\u%04X", 0xd7c0 + (number >> 10),
			0xdc00 + (number & 0x3ff));
	else
		fprintf(out, "\\u%04X", number);
}

static void put_characters(struct writer *w, const char *text, size_t len, bool quote)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t size;

	if (quote)
		putc_unlocked('"', w->out);
	for (size_t i = 0; i < len; i += size) {
		uint32_t number = bytes[i];

		size = 1;
		if (number >= 0x20 && number < 0x7f) {
			if (quote && (number == '"' || number == '\\'))
				putc_unlocked('\\', w->out);
			putc_unlocked((int)number, w->out);
			continue;
		}
		size = w->json ? decode_utf8(&number, bytes + i, len - i) : 0;
		if (size)
			put_json_character(w->out, number);
		else
			put_byte(w, bytes[i]), size = 1;
	}
	if (quote)
		putc_unlocked('"', w->out);
}

void put_text(struct writer *w, const char *key, const char *before, const char *text)
{
	if (begin_field(w, key, before))
		put_characters(w, text, strlen(text), w->json);
}

void put_name(struct writer *w, const char *key, const char *before, const char *bytes,
	      size_t len)
{
	if (begin_field(w, key, before))
		put_characters(w, bytes, len, w->json || !is_word(bytes, len));
}

void put_quoted(struct writer *w, const char *key, const char *before, const char *text)
{
	if (begin_field(w, key, before))
		put_characters(w, text, strlen(text), true);
}

void put_hex(struct writer *w, const char *key, const char *before, const uint8_t *bytes,
	     size_t len, char separator)
{
	static const char digits[] = "0123456789abcdef";

	if (!begin_field(w, key, before))
		return;
	if (w->json)
		putc_unlocked('"', w->out);
	for (size_t i = 0; i < len; i++) {
		if (separator && i > 0)
			putc_unlocked(separator, w->out);
		putc_unlocked(digits[bytes[i] >> 4], w->out);
		putc_unlocked(digits[bytes[i] & 15], w->out);
	}
	if (w->json)
		putc_unlocked('"', w->out);
}

void put_base64(struct writer *w, const char *key, const uint8_t *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (!begin_field(w, key, NULL))
		return;
	putc_unlocked('"', w->out);
	for (size_t i = 0; i < len; i += 3) {
		const size_t rest = len - i;
		const uint32_t bits = (uint32_t)bytes[i] << 16 |
				      (rest > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				      (rest > 2 ? bytes[i + 2] : 0);

		putc_unlocked(digits[bits >> 18], w->out);
		putc_unlocked(digits[bits >> 12 & 63], w->out);
		putc_unlocked(rest > 1 ? digits[bits >> 6 & 63] : '=', w->out);
		putc_unlocked(rest > 2 ? digits[bits & 63] : '=', w->out);
	}
	putc_unlocked('"', w->out);
}

void put_seconds(struct writer *w, const char *key, uint64_t usec)
{
	if (begin_field(w, key, NULL))
		fprintf(w->out, "%" PRIu64 ".%06u", usec / 1000000,
			(unsigned int)(usec % 1000000));
}

void put_color(struct writer *w, const char *code)
{
	if (w->json || !w->color)
		return;
	fputs_unlocked("\033[", w->out);
	fputs_unlocked(code, w->out);
	putc_unlocked('m', w->out);
}
