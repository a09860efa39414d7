/* SPDX-License-Identifier: MIT */
/* The tool mnfq as a child of a test, with its output read line by line. */
#ifndef TEST_TOOL_H
#define TEST_TOOL_H

#include <stdio.h>
#include <sys/types.h>

#include "netns.h"

struct tool {
	pid_t pid;
	FILE *out;
	FILE *err;
	char line[4096]; /* the last one read, without its end; "" after the last one */
};

/*
 * Runs "mnfq ARGUMENTS", of which a shell makes words. The binary is named by the variable
 * MNFQ_TOOL; without it the test is skipped. It dies with the test.
 * @ns  where it runs, NULL: here
 * @fd  a descriptor that it inherits as number 7; -1: none
 */
void tool_start(struct tool *tool, struct netns *ns, int fd, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The next line of its output; waits for it. */
const char *tool_out(struct tool *tool);
const char *tool_err(struct tool *tool);

/* Waits until it has bound its queues; @line is then the one that says so. */
void tool_listening(struct tool *tool);

/* Waits for its end: the exit status, or minus the signal that ended it. */
int tool_finish(struct tool *tool);

#endif
