/* SPDX-License-Identifier: MIT */
/* Blocks of pcapng, in both byte orders: any bytes. No I/O. */
#ifndef MNFQ_TOOLS_CAPTURE_PCAPNG_READ_H
#define MNFQ_TOOLS_CAPTURE_PCAPNG_READ_H

#include "capture/record.h"

/** Of a section; begins as zeros. */
struct pcapng {
	bool swapped; /* its byte order is not ours */
	bool begun;
	struct pcapng_interface *interfaces;
	size_t count;
	uint64_t packets; /* so far: the ids of those without one */
	const char *error;
};

/** Is this the byte-order magic of a section? Then numbers of it are read from now on. */
bool pcapng_begin_section(struct pcapng *pcapng, uint32_t magic);

/** A number of the section, in our byte order. */
uint32_t pcapng_order(const struct pcapng *pcapng, uint32_t number);

/**
 * A block of the section without its type and lengths. Returns 1 if it is a packet, which is in *@record and
 * points into @body, 0 if not, -EPROTONOSUPPORT if it is one of a link type that is not supported, or -EBADMSG, -ENOMEM
 * with .error.
 */
int pcapng_read_block(struct pcapng *pcapng, uint32_t type, const uint8_t *body, size_t len,
		      struct record *record);

void pcapng_end(struct pcapng *pcapng);

/** For bytes of a packet of any capture: what is not known yet. */
void record_begin(struct record *record);

#endif
