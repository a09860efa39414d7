/* SPDX-License-Identifier: MIT */
/* Blocks of pcapng, in our byte order. Each function returns the length of the block that it wrote. No I/O. */
#ifndef MNFQ_TOOLS_CAPTURE_PCAPNG_WRITE_H
#define MNFQ_TOOLS_CAPTURE_PCAPNG_WRITE_H

#include "capture/record.h"

/** Room that is enough for any block. */
#define PCAPNG_BLOCK_MAX (128u << 10)

size_t pcapng_write_section(uint8_t *out);
size_t pcapng_write_interface(uint8_t *out, const struct record_interface *interface,
			      uint32_t snap);

/** A packet of interface @id, of which @snap bytes are written at most. */
size_t pcapng_write_packet(uint8_t *out, uint32_t id, const struct record *record, uint32_t snap);

/** Counts of an interface; microseconds since 1970. */
struct pcapng_counts {
	int64_t start, end;
	uint64_t received; /* packets that came */
	uint64_t matched;  /* of those, by the filter */
	uint64_t written;  /* of those */
	uint64_t dropped;  /* by the kernel before they came, of the whole namespace */
	uint64_t missing;  /* those that did not fit into our buffer */
};

size_t pcapng_write_statistics(uint8_t *out, uint32_t id, const struct pcapng_counts *counts);

#endif
