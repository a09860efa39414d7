/* SPDX-License-Identifier: MIT */
/* A packet as a line of text, followed by its bytes if wanted; or as a JSON object on a line. */
#ifndef MNFQ_TOOLS_PRINT_H
#define MNFQ_TOOLS_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <mnfq/mnfq.h>

#include "print/services.h"
#include "print/time.h"

enum print_payload { PRINT_NO_PAYLOAD, PRINT_HEX, PRINT_BASE64 };

struct print_options {
	bool json;
	enum print_payload payload; /* in JSON */

	/* In text: */
	bool verbose;
	bool color;
	enum time_style times;
	uint32_t hex, hex_ascii, ascii;  /* the bytes; 2: with the link-layer header */
	const struct services *services; /* NULL: ports are numbers */
};

/** What prints lines, one after the other; begins with its options, and zeros. */
struct printer {
	struct print_options options;
	struct time_reference reference;
};

struct line {
	const struct mnfq_packet *packet;
	uint16_t queue;
	bool no_queue, no_id, no_hook; /* captures of other programs do not have them */
	int64_t time;                  /* microseconds since 1970 */
	bool kernel_time;              /* else it is not when the packet was received */
	const char *netns;             /* name of the packet's namespace; NULL: unknown */
	const char *label;     /* chosen by the peer that handed its socket over, or NULL */
	bool show_netns;       /* in text, too: there are several */
	const char *verdict;   /* in words; NULL: it is not known */
	bool has_verdict_mark; /* as a capture has it; else see line_get_verdict_mark() */
	uint32_t verdict_mark;
};

/** The mark that a packet goes on with, of a capture or as it was decided. Returns whether it is set. */
bool line_get_verdict_mark(const struct line *line, uint32_t *mark);

/** The line of a packet of a queue: its number, and the kernel's time, or that of this call. */
struct line line_of(const struct mnfq_packet *packet);

/**
 * Write a line to @out, buffered as @out is.
 * Return 0 or a negative errno; what could not be written shows in ferror(@out).
 */
int print_line(FILE *out, struct printer *printer, const struct line *line);

#endif
