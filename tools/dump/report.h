/* SPDX-License-Identifier: MIT */
/* mnfq dump: its lines on stderr about queues, settings and counters. */
#ifndef MNFQ_TOOLS_DUMP_REPORT_H
#define MNFQ_TOOLS_DUMP_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "dump/handle.h"

/** The beginning of the line "listening on": the queues. */
void report_queues(FILE *out, const struct dump_options *opts);

/** Its end: the settings, as the kernel has them if there is a @handle. @each: it is one of several. */
void report_settings(FILE *out, const struct dump *dump, const struct dump_handle *handle,
		     bool each);

/** One line of counters, together with the lines that were dropped of stdout. */
void report_counters(const struct dump *dump, const struct counters *counters);

/** Add the final counters of a handle to the totals; report them with @reason unless that is NULL. */
void report_closed(struct dump_handle *handle, const char *reason);

/** The totals, and a line of advice for each kind of loss. */
void report_summary(const struct dump *dump);

#endif
