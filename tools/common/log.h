/* SPDX-License-Identifier: MIT */
/* Messages on stderr. */
#ifndef MNFQ_TOOLS_LOG_H
#define MNFQ_TOOLS_LOG_H

#include <stdbool.h>
#include <stdio.h>

/**
 * Buffer lines from now on, and have a thread write them from log_start() on, so that no thread waits for a slow
 * reader: see output.h. Both return 0 or a negative errno.
 */
int log_open(void);
int log_start(void);

/** Write what is buffered, as long as it is read. From then on lines are written at once again. */
void log_close(void);

/** Print lines to the stream between these two: to stderr itself unless log_open() was called. */
FILE *log_begin(void);
void log_end(void);

/** Print a line, made safe for a terminal. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
