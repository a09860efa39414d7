/* SPDX-License-Identifier: MIT */
/* Lines for people, on stderr. */
#ifndef MNFQ_TOOLS_LOG_H
#define MNFQ_TOOLS_LOG_H

#include <stdbool.h>
#include <stdio.h>

/**
 * From now on lines are kept, and once log_start() was called written by a thread of their own, so that
 * nobody waits for a reader who does not read: see output.h. Returns 0 or a negative errno, as log_start().
 */
int log_open(void);
int log_start(void);

/** Write what there is, while somebody reads it. From then on lines are written at once again. */
void log_close(void);

/** Print lines to the stream between these two: to stderr itself unless log_open() was called. */
FILE *log_begin(void);
void log_end(void);

/** A line, clean for a terminal. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
