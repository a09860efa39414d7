/* SPDX-License-Identifier: MIT */
/*
 * Fields, as text or as JSON: one call serves both. Each has the key of a JSON object, and what precedes its
 * value in a line of text; NULL: it is not written there.
 */
#ifndef MNFQ_TOOLS_PRINT_WRITER_H
#define MNFQ_TOOLS_PRINT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct writer {
	FILE *out; /* locked by flockfile() */
	bool json;
	bool color;          /* in text */
	bool separated;      /* JSON: the next field takes a comma */
	const char *section; /* in text: precedes the next field */
};

/** A line: an object in JSON. */
void begin_line(struct writer *writer);
void end_line(struct writer *writer);

/** In text: if anything follows, @mark precedes it, without the comma or the blank before. */
void begin_section(struct writer *writer, const char *mark);

/** An object within it, in JSON. */
void begin_object(struct writer *writer, const char *key);
void end_object(struct writer *writer);

/** Decimal. */
void put_number(struct writer *writer, const char *key, const char *before, uint64_t number);

/** In text: hexadecimal after 0x, or as format_priority() has it. */
void put_mark(struct writer *writer, const char *key, const char *before, uint32_t mark);
void put_priority(struct writer *writer, const char *key, const char *before, uint32_t priority);

/** Text has @word if it is true. */
void put_flag(struct writer *writer, const char *key, const char *word, bool value);

/** In text alone. */
void put_word(struct writer *writer, const char *word);

/** Trusted text. */
void put_text(struct writer *writer, const char *key, const char *before, const char *text);

/**
 * Untrusted bytes. In text they are in double quotes unless they are one plain word, see is_word(), with
 * a backslash before each quote and backslash, and \xNN for what is not printable ASCII. In JSON they are
 * escaped, and \xNN where they are not UTF-8.
 */
void put_name(struct writer *writer, const char *key, const char *before, const char *bytes,
	      size_t len);

/** The same, but always in quotes. */
void put_quoted(struct writer *writer, const char *key, const char *before, const char *text);

/** Hexadecimal digits, with @separator between the bytes if it is not 0. */
void put_hex(struct writer *writer, const char *key, const char *before, const uint8_t *bytes,
	     size_t len, char separator);

/** In JSON alone (RFC 4648, section 4). */
void put_base64(struct writer *writer, const char *key, const uint8_t *bytes, size_t len);

/** Microseconds, as seconds in JSON alone. */
void put_seconds(struct writer *writer, const char *key, uint64_t usec);

/** From here on, in text; a terminal's code, such as "2" for faint. "" ends it. */
void put_color(struct writer *writer, const char *code);

#endif
