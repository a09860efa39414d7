/* SPDX-License-Identifier: MIT */
/* A reading as a table for people. */
#ifndef MNFQ_TOOLS_STAT_TABLE_H
#define MNFQ_TOOLS_STAT_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "stat/reading.h"

struct table_options {
	bool color;
	bool rates; /* more columns */
	unsigned int
		width; /* columns of the screen, 0: no limit; what does not fit is left out */
	unsigned int lines; /* of the screen, 0: no limit */
	const char *end;    /* of each line */
};

/** How to read what a copy mode and its range are, as --copy of mnfq dump has it. Returns @out. */
#define COPY_SIZE 24
const char *format_copy(char out[COPY_SIZE], const struct mnfq_kernel_queue *queue);

void table_print(FILE *out, const struct reading *reading, const struct table_options *options);

#endif
