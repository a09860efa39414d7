/* SPDX-License-Identifier: MIT */
/* A packet as a line of text, or as a JSON object on a line. */
#ifndef MNFQ_TOOLS_PRINT_H
#define MNFQ_TOOLS_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include <mnfq/mnfq.h>

struct line {
	const struct mnfq_packet *packet;
	const char *netns;   /* name of the packet's namespace; NULL: unknown */
	const char *label;   /* chosen by the peer that handed its socket over, or NULL */
	bool show_netns;     /* in text, too: there are several */
	const char *verdict; /* in words */
};

/**
 * Write a line to @out, buffered as @out is.
 * Return 0 or a negative errno; what could not be written shows in ferror(@out).
 */
int print_text(FILE *out, const struct line *line);
int print_json(FILE *out, const struct line *line);

#endif
