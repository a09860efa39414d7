/* SPDX-License-Identifier: MIT */
/* Text for messages: made safe for a terminal, quoted, in the plural. */
#ifndef MNFQ_TOOLS_TEXT_H
#define MNFQ_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** * Copy untrusted text so that it is safe on a terminal: anything but printable ASCII becomes \xNN.
 * Truncated to @size bytes, always terminated. Returns @out.
 */
const char *clean_text(char *out, size_t size, const char *text);

/**
 * The same in double quotes, with a backslash before each quote and backslash, so that nothing in there
 * looks like what is around it. A cut one has its closing quote, too; @size is 3 at least.
 */
const char *quote_text(char *out, size_t size, const char *text);

/** As it is if it is a word of plain characters, which cannot be taken for several; otherwise as quote_text(). */
const char *quote_word(char *out, size_t size, const char *text);

/** As clean_text(), for @len bytes, zeros among them. */
const char *clean_bytes(char *out, size_t size, const char *bytes, size_t len);

/** Is that a word as quote_word() has it? */
bool is_word(const char *bytes, size_t len);

/** @one if @count is 1, else @many: "packet", "packets". */
const char *plural(uint64_t count, const char *one, const char *many);

#endif
