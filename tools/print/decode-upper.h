/* SPDX-License-Identifier: MIT */
/* What is on top of IP. */
#ifndef MNFQ_TOOLS_PRINT_DECODE_UPPER_H
#define MNFQ_TOOLS_PRINT_DECODE_UPPER_H

#include "print/span.h"

/** The header of protocol @number, and those of AH in front of it. Not of later fragments: without @first. */
void decode_upper(struct decoded *decoded, uint8_t number, struct span bytes, bool first);

/** Writes the name of protocol @number; without one, its number in the format @unknown. */
void name_protocol(struct decoded *decoded, const struct word *names, unsigned int number,
		   const char *unknown);

#endif
