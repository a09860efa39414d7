/* SPDX-License-Identifier: MIT */
/* mnfq dump: what the command line says. */
#ifndef MNFQ_TOOLS_DUMP_H
#define MNFQ_TOOLS_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#define DUMP_NAME "mnfq dump"

struct dump_options {
	uint16_t first; /* the queues */
	uint16_t last;
	bool has_queues;
	const char *netns;
	int fd;         /* -1: none */
	uint64_t count; /* 0: no end */
	bool quiet;
	bool json;
	const char *verdict_text;
	enum mnfq_verdict verdict;
	bool has_mark;
	uint32_t mark;
	bool has_priority;
	uint32_t priority;
	bool has_ct_mark;
	uint32_t ct_mark;
	uint32_t ct_mark_mask;
	struct mnfq_queue_options queue;
};

/**
 * Take the command line apart, and check that it makes sense.
 * Returns whether there is something to run; otherwise *status is the exit status: help was asked
 * for, or something is wrong and was told.
 */
bool take_dump_options(struct dump_options *opts, int argc, char **argv, int *status);

#endif
