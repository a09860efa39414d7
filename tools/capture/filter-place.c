/* SPDX-License-Identifier: MIT */
/*
 * Where in a filter an error is. libpcap says that there is a syntax error, not where: it is at the first word with
 * which the text is not the beginning of a filter any more. Whether it is one, some endings show.
 */
#include "capture/filter-place.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

#define WORD_SIZE 64
#define TEXT_MAX  4096u /* longer ones are not searched */

static const char *const endings[] = { "",
				       " tcp",
				       " 80",
				       " 10.0.0.1",
				       " = 1",
				       "] = 1",
				       " 1] = 1",
				       " host 10.0.0.1",
				       " 10.0.0.0/8",
				       " 1:2:3:4:5:6",
				       " 10.0.0.0 mask 255.0.0.0",
				       " 1:2] = 1",
				       " 255.255.255.0" };

/* Can the first @len bytes be continued to a filter? */
static bool can_continue(const char *text, size_t len, filter_parses parses)
{
	char attempt[2 * TEXT_MAX + 64];
	size_t open = 0;

	for (size_t i = 0; i < len; i++) {
		open += text[i] == '(';
		open -= text[i] == ')' && open > 0;
	}
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		int n = snprintf(attempt, sizeof(attempt), "%.*s%s", (int)len, text, endings[i]);

		memset(attempt + n, ')', open);
		attempt[(size_t)n + open] = '\0';
		if (parses(attempt))
			return true;
	}
	return false;
}

static bool is_parenthesis(char c)
{
	return c == '(' || c == ')';
}

/* The end of the word that begins at @at; parentheses are words. */
static size_t word_end(const char *text, size_t at)
{
	if (is_parenthesis(text[at]))
		return at + 1;
	while (text[at] && !isspace((unsigned char)text[at]) && !is_parenthesis(text[at]))
		at++;
	return at;
}

static size_t next_word(const char *text, size_t at)
{
	while (isspace((unsigned char)text[at]))
		at++;
	return at;
}

/* Where the first word begins that is wrong; at the end if it is that something is missing. */
static size_t find_wrong_word(const char *text, filter_parses parses)
{
	uint16_t starts[TEXT_MAX]; /* a word has a character or more */
	size_t count = 0, low = 0, high, middle;

	for (size_t at = next_word(text, 0); text[at]; at = next_word(text, word_end(text, at)))
		starts[count++] = (uint16_t)at;
	/* Words below @low are right together; with the one at @high they are not. */
	for (high = count; low < high;) {
		middle = (low + high) / 2;
		if (can_continue(text, word_end(text, starts[middle]), parses))
			low = middle + 1;
		else
			high = middle;
	}
	return low < count ? starts[low] : strlen(text);
}

/* The word in quotes that a message ends with, in the text. */
static const char *find_named(const char *text, const char *errmsg)
{
	const char *from = strpbrk(errmsg, "'\""), *to = from ? strchr(from + 1, *from) : NULL;
	char word[WORD_SIZE];

	if (!to || to == from + 1 || (size_t)(to - from) > sizeof(word))
		return NULL;
	memcpy(word, from + 1, (size_t)(to - from) - 1);
	word[to - from - 1] = '\0';
	return strstr(text, word);
}

void filter_explain(char *out, size_t size, const char *text, const char *errmsg,
		    filter_parses parses)
{
	char clean[WORD_SIZE], message[256], word[WORD_SIZE] = "";
	const char *at = NULL, *syntax = strstr(errmsg, "syntax error");

	if (syntax && strlen(text) < TEXT_MAX)
		at = text + find_wrong_word(text, parses);
	else if (!syntax)
		at = find_named(text, errmsg);
	clean_text(message, sizeof(message), syntax ? syntax : errmsg);
	if (at && *at) {
		snprintf(word, sizeof(word), "%.*s", (int)word_end(at, 0), at);
		snprintf(out, size, "%s at character %zu: %s", message, (size_t)(at - text) + 1,
			 quote_text(clean, sizeof(clean), word));
	} else if (at) {
		snprintf(out, size, "%s: it ends too early", message);
	} else {
		snprintf(out, size, "%s", message);
	}
}
