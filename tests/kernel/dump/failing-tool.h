/* SPDX-License-Identifier: MIT */
/* mnfq dump with system calls that fail when a test wants them to. */
#ifndef TEST_FAILING_TOOL_H
#define TEST_FAILING_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "failing-calls.h"
#include "tool.h"

/* Why they fail: none of these has to do with what was asked. */
#define REASONS 4
extern const int reasons[REASONS];

extern struct failing_plan *plan;

/* Where the tool is to listen, in a directory of the test. */
extern struct sockaddr_un address;

/* Makes the plan and the directory. Skips the test where MNFQ_FAILING does not name what is preloaded. */
void make_plan(void);
void remove_plan(void);

/* Starts "mnfq dump OPTIONS" with the plan. */
void launch(struct tool *tool, const char *options);

/* From now on the calls of these numbers fail, 1 being the next one; or none do any more. */
void arm(enum failing_process process, enum failing_call call, int error, unsigned int first,
	 unsigned int last);
void disarm(void);

/* What is armed, or was. */
const char *describe(void);

/* Hands @fd over. Returns the stream, or a negative errno. */
int offer(int fd, uint32_t flags, const char *label);

/* The tool's broker; 0: there is none. */
pid_t find_broker(const struct tool *tool);

/* Whether the tool has ended, and was not waited for. */
bool has_ended(const struct tool *tool);

#endif
