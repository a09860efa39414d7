/* SPDX-License-Identifier: MIT */
/* mnfq-bench in miniature, for tests of it. */
#ifndef TEST_BENCH_FIXTURE_H
#define TEST_BENCH_FIXTURE_H

#include <jansson.h>
#include <stdbool.h>

#include "tool.h"

#define SMALL "--rounds 1 --packets 500 --namespaces 20"

/* Whether it was built to compare with libnetfilter_queue; if not it says so first. */
bool compares(void);
void expect_note(struct tool *tool);

/* Reads what it says on the way; returns how many lines that were. */
unsigned int read_progress(struct tool *tool);

/* Runs scenarios, with more options perhaps; returns their report. */
json_t *measure(const char *arguments);

#endif
