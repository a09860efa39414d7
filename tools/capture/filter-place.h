/* SPDX-License-Identifier: MIT */
/* Where in a filter an error is. */
#ifndef MNFQ_TOOLS_CAPTURE_FILTER_PLACE_H
#define MNFQ_TOOLS_CAPTURE_FILTER_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/** Is this text in the language, as far as its syntax is concerned? */
typedef bool (*filter_parses)(const char *text);

/**
 * The message of libpcap about a filter, with the place: the word that it names, or that after which the text cannot
 * be continued to a filter.
 */
void filter_explain(char *out, size_t size, const char *text, const char *errmsg,
		    filter_parses parses);

#endif
