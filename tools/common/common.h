/* SPDX-License-Identifier: MIT */
/* What mnfq, its sub-commands and mnfq-bench share: parsing arguments, reporting failures. */
#ifndef MNFQ_TOOLS_COMMON_H
#define MNFQ_TOOLS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mnfq/mnfq.h>

#define EXIT_USAGE 2

/* The sub-commands; argv[0] is the name of the sub-command. Each returns an exit status. */
int run_dump(int argc, char **argv);
int run_share(int argc, char **argv);

/**
 * What main() of a program does: run @run with descriptors 0, 1 and 2 in place, and report if what it
 * printed could not be written. Returns the exit status.
 */
int run_program(const char *name, int (*run)(int argc, char **argv), int argc, char **argv);

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

/** Parse the mode of a file, octal from 0 to 777. Returns as parse_number(). */
int parse_mode(const char *text, mode_t *mode);

/**
 * Copy text that others chose so that it is safe on a terminal: whatever is not printable ASCII
 * becomes \xNN. Cut to what fits in @size bytes, always terminated. Returns @out.
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

/** The monotonic clock in milliseconds. */
int64_t clock_ms(void);

/** Was a signal ignored when we were started, as nohup(1) does with SIGHUP? */
bool is_ignored(int signal);

/** Close all descriptors but the standard ones and these, which are sorted. */
void close_all_but(int *fds, unsigned int count);

/** Have as many open files as we may. */
void raise_file_limit(void);

/** Write "mnfq COMMAND: …" as one line to stderr; returns EXIT_FAILURE. */
int fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** As fail(), names --help, and returns EXIT_USAGE. */
int fail_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * As fail_usage(), for what getopt_long() refused: called with its result, ':' or '?' (the option
 * string begins with ':').
 */
int fail_option(const char *command, int result, char **argv);

#endif
