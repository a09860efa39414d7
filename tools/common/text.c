/* SPDX-License-Identifier: MIT */
/* Text for messages: made safe for a terminal, quoted, in the plural. */
#include "common/text.h"

#include <stdio.h>
#include <string.h>

/* Also with a backslash before each character of @special. */
static const char *escape(char *out, size_t size, const char *bytes, size_t len,
			  const char *special)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];
		char piece[5] = { '\\', (char)c };
		size_t more = 2;

		if (!c || !strchr(special, c))
			more = (size_t)snprintf(piece, sizeof(piece),
						c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
		if (used + more >= size)
			break;
		memcpy(out + used, piece, more);
		used += more;
	}
	out[used] = '\0';
	return out;
}

const char *clean_bytes(char *out, size_t size, const char *bytes, size_t len)
{
	return escape(out, size, bytes, len, "");
}

const char *clean_text(char *out, size_t size, const char *text)
{
	return clean_bytes(out, size, text, strlen(text));
}

const char *quote_text(char *out, size_t size, const char *text)
{
	out[0] = '"';
	escape(out + 1, size - 2, text, strlen(text), "\"\\");
	strcat(out, "\"");
	return out;
}

bool is_word(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] <= ' ' || bytes[i] > '~' || strchr("\"\\", bytes[i]))
			return false;
	return len > 0;
}

const char *quote_word(char *out, size_t size, const char *text)
{
	if (!is_word(text, strlen(text)))
		return quote_text(out, size, text);
	snprintf(out, size, "%s", text);
	return out;
}

const char *plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}
