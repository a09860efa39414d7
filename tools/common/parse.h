/* SPDX-License-Identifier: MIT */
/* Parsing of arguments, and how they are printed. */
#ifndef MNFQ_TOOLS_PARSE_H
#define MNFQ_TOOLS_PARSE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mnfq/mnfq.h>

/**
 * Parse a whole number, decimal or hexadecimal with 0x, that is all of @text.
 * Returns 0, -EINVAL if it is no number, or -ERANGE if it is not from @min to @max.
 */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/** Parse "NUM" or "FIRST:LAST", queue numbers. Returns as parse_number(). */
int parse_queues(const char *text, uint16_t *first, uint16_t *last);

/**
 * Parse accept, drop, repeat, stop, queue:NUM, in upper or lower case, as iptables(8) has it.
 * Returns as parse_number().
 */
int parse_verdict(const char *text, enum mnfq_verdict *verdict);

/** A verdict as parse_verdict() reads it, in lower case. Returns @out. */
#define VERDICT_SIZE 16
const char *format_verdict(char out[VERDICT_SIZE], enum mnfq_verdict verdict);

/** Parse none, meta, packet, packet:BYTES; @range is 0 without BYTES. As parse_verdict(). */
int parse_copy(const char *text, enum mnfq_copy *mode, uint32_t *range);

/**
 * Parse a packet's priority: a number of 32 bits, or MAJOR:MINOR in hexadecimal as tc(8) has it,
 * of which one may be missing. Returns as parse_number().
 */
int parse_priority(const char *text, uint32_t *priority);

/** A priority as parse_priority() reads it; MAJOR:MINOR if it has a major part. Returns @out. */
#define PRIORITY_SIZE 12
const char *format_priority(char out[PRIORITY_SIZE], uint32_t priority);

/**
 * Parse "N" or "N/MASK", 32 bits each; without a mask it is all bits. Returns as parse_number(), or
 * -EDOM if there are bits outside of the mask, or none in it.
 */
int parse_masked(const char *text, uint32_t *value, uint32_t *mask);

/** A mark as parse_masked() reads it, in hexadecimal; the mask unless it is all bits. Returns @out. */
#define MASKED_SIZE 24
const char *format_masked(char out[MASKED_SIZE], uint32_t value, uint32_t mask);

/**
 * Parse seconds with at most three decimals, such as 2 or 0.5, into milliseconds from @min to @max. Returns as
 * parse_number().
 */
int parse_seconds(const char *text, uint32_t min, uint32_t max, uint32_t *ms);

/** Parse the mode of a file, octal from 0 to 777. Returns as parse_number(). */
int parse_mode(const char *text, mode_t *mode);

#endif
