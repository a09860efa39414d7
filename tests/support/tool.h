/* SPDX-License-Identifier: MIT */
/* The tool mnfq as a child of a test, with its output read line by line, and packets for it. */
#ifndef TEST_TOOL_H
#define TEST_TOOL_H

#include <stdio.h>
#include <sys/types.h>

#include "account.h"
#include "netns.h"
#include "traffic.h"

struct tool {
	pid_t pid;
	FILE *out;
	FILE *err;
	char line[4096]; /* the last one read, without its end; "" after the last one */

	/* As those of struct fixture: for the accounting at its end. */
	int elsewhere;
	const char *unaccounted;
};

/*
 * Runs "mnfq ARGUMENTS", of which a shell makes words. The binary is named by the variable
 * MNFQ_TOOL; without it the test is skipped. It dies with the test.
 * @ns  where it runs, NULL: here
 * @fd  a descriptor that it inherits as number 7; -1: none
 */
void tool_start(struct tool *tool, struct netns *ns, int fd, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same for a shell command that ends in: exec "$MNFQ_TOOL" ARGUMENTS. */
void tool_start_shell(struct tool *tool, struct netns *ns, int fd, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The next line of its output; waits for it. */
const char *tool_out(struct tool *tool);
const char *tool_err(struct tool *tool);

/* Waits until it has bound its queues; @line is then the one that says so. */
void tool_listening(struct tool *tool);

/* Waits for its end: the exit status, or minus the signal that ended it. */
int tool_finish(struct tool *tool);

/* What a summary says; @bytes: 0 for datagrams of udp_send(), whose packets have 60. */
struct summary {
	unsigned int packets, bytes, accepted, dropped, repeated, marked, queue_full, untracked;
	bool queue_full_unknown;
};

/* Fails the test unless the line is exactly the summary with these numbers: .packets = 2, … */
#define expect_summary(line, ...) check_summary(line, &(struct summary){ __VA_ARGS__ })
void check_summary(const char *line, const struct summary *summary);

/* Waits for its end, which must be a success with this summary as the next and last line on stderr. */
#define tool_expect_end(tool, ...) tool_check_end(tool, &(struct summary){ __VA_ARGS__ })
void tool_check_end(struct tool *tool, const struct summary *summary);

/* The next line on stderr that begins like this; others are of no interest. */
void tool_await_err(struct tool *tool, const char *begin);

/* Ends it with SIGTERM, which must be a success with this summary as the last line on stderr. */
#define tool_stop(tool, ...) tool_check_stop(tool, &(struct summary){ __VA_ARGS__ })
void tool_check_stop(struct tool *tool, const struct summary *summary);

/*
 * The accounting: all that the rules of this test's queued_ns_open() have handed to queues is in the summary, or in
 * the rest. tool_expect_end() and tool_stop() see to it.
 */
void tool_account(const char *summary, const struct account *rest);

/* The number in front of @word in a summary; 0 if it is not there. */
uint64_t tool_counted(const char *summary, const char *word);

/* Whether one of its threads waits for a reader of its output. */
bool tool_is_stalled(const struct tool *tool);

/* Stops it, so that packets wait in the queue while they are sent. */
void tool_freeze(const struct tool *tool);

void expect_contains(const char *text, const char *part);

/* A namespace in which UDP to port 9 goes through queue 1 before it arrives. */
struct netns *queued_ns_open(struct udp *udp);

/* Exactly the datagrams 0 to @count - 1 arrive, before one that is sent now and meets no queue. */
void queued_ns_expect(struct netns *ns, const struct udp *udp, uint32_t count);

#endif
