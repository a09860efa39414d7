/* SPDX-License-Identifier: MIT */
/*
 * Lines for a descriptor that may block, such as stdout with a slow reader. A thread of its own writes them, so
 * that the threads that print do not wait. O_NONBLOCK is no alternative: it belongs to the open file description,
 * which other processes share.
 */
#ifndef MNFQ_TOOLS_OUTPUT_H
#define MNFQ_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** What to do with a line that does not fit, because the descriptor blocks. */
enum output_blocked {
	OUTPUT_DROP, /* drop and count it */
	OUTPUT_WAIT, /* wait */
	OUTPUT_EXIT, /* drop it and fail with EAGAIN */
};

/** What is written next, and where. */
struct output_piece {
	int fd;
	const char *bytes;
	size_t len;
	bool added; /* it is not of what was buffered, but goes in front of that */
};

struct output_options {
	int fd;
	size_t size; /* of each of two buffers, in bytes */
	enum output_blocked when_blocked;
	bool log_dropped; /* print a line with their number, before the next one and at the end */

	/**
	 * For records other than lines, or NULL. Called by the thread that writes, with what is to be written: the first
	 * of it that goes to one descriptor, or what is to be added in front. Returns 0 or the errno that ends it all.
	 */
	int (*next)(void *data, const char *bytes, size_t len, struct output_piece *piece);
	/** How many packets are in there; begins where a piece could. */
	uint64_t (*count)(const char *bytes, size_t len);
	/** How many bytes of that are whole records; with @next. */
	size_t (*whole)(const char *bytes, size_t len);
	void *data;
};

struct output;

/** Returns NULL without memory. Until output_start() lines are buffered. */
struct output *output_new(const struct output_options *options);

/** Start the thread that writes, with all signals blocked. Returns 0 or a negative errno. */
int output_start(struct output *output);

/**
 * Print lines that belong together to the stream between these two; other threads wait meanwhile. @err: a negative
 * errno if they are incomplete; nothing more is written then.
 */
FILE *output_begin(struct output *output);
void output_end(struct output *output, int err);

/**
 * Append a record that is not a line. Returns whether it fits; @wait: it is waited for that, as with OUTPUT_WAIT.
 */
bool output_put(struct output *output, const void *bytes, size_t len, bool wait);

/** Have the buffered lines written now. Does not wait. */
void output_flush(struct output *output);

/**
 * Call @failed once writing has failed for good, in any thread; it must not print to this output. NULL: it is not called
 * any more after this returns.
 */
void output_on_error(struct output *output, void (*failed)(void *data, int error), void *data);

/** From now on wait only as long as the reader makes progress. Safe in signal handlers. */
void output_give_up(struct output *output);

/** Write all that is buffered, however long it takes, unless there is an error or output_give_up(). */
void output_finish(struct output *output);

/** Why writing has failed for good: 0 or an errno. */
int output_error(struct output *output);

/** How many lines were dropped. */
uint64_t output_dropped(struct output *output);

/** After output_finish(), or without output_start(). NULL is allowed. */
void output_free(struct output *output);

#endif
