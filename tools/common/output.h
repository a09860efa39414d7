/* SPDX-License-Identifier: MIT */
/*
 * Lines for a descriptor that may block, such as stdout whose reader has stopped reading. A thread of its own
 * writes them, so that the threads that print never wait for the reader. O_NONBLOCK would not do: it
 * belongs to the open file, which others share.
 */
#ifndef MNFQ_TOOLS_OUTPUT_H
#define MNFQ_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** What becomes of a line for which there is no room, because the descriptor blocks. */
enum output_blocked {
	OUTPUT_DROP, /* it is dropped, and counted */
	OUTPUT_WAIT, /* who prints waits */
	OUTPUT_EXIT, /* it is dropped, which is an error: EAGAIN */
};

struct output_options {
	int fd;
	size_t size; /* lines are kept in two buffers of so many bytes */
	enum output_blocked when_blocked;
	bool log_dropped; /* say how many were left out, as a line before the next one, and at the end */
};

struct output;

/** Returns NULL without memory. Until output_start() lines are kept, and nothing waits. */
struct output *output_new(const struct output_options *options);

/** Start its thread, which receives no signal. Returns 0 or a negative errno. */
int output_start(struct output *output);

/**
 * Print a line, or several that belong together, to the stream between these two; others wait meanwhile.
 * @err of output_end(): a negative errno, what was printed is incomplete: nothing more is written.
 */
FILE *output_begin(struct output *output);
void output_end(struct output *output, int err);

/** Write what there is: nothing more comes at once. Does not wait for it. */
void output_flush(struct output *output);

/**
 * Have @failed called once nothing more can be written: by any thread, which must not print then. NULL: it
 * is not called any more when this returns.
 */
void output_on_error(struct output *output, void (*failed)(void *data), void *data);

/** From now on wait for the reader only while it reads. Safe in signal handlers. */
void output_give_up(struct output *output);

/** Write all that there is, without end unless there is an error or output_give_up(). */
void output_finish(struct output *output);

/** Why nothing more is written: 0 or an errno. */
int output_error(struct output *output);

/** How many lines were not written, and will not be. */
uint64_t output_dropped(struct output *output);

/** After output_finish(), or if it was never started. Also for NULL. */
void output_free(struct output *output);

#endif
