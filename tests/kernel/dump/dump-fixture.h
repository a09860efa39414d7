/* SPDX-License-Identifier: MIT */
/* What most tests of mnfq dump need: a namespace in which UDP goes through queue 1, and the tool that serves it. */
#ifndef TEST_DUMP_FIXTURE_H
#define TEST_DUMP_FIXTURE_H

#include "tool.h"
#include "wait.h"

/* Those of the test: each test is a process. */
extern struct netns *ns;
extern struct udp udp; /* to port 9 */
extern struct tool tool;

/* Opens @ns, where UDP to port 9 goes through queue 1 on OUTPUT. */
void dump_open(void);

/* Starts "mnfq dump -q 1 -n NS" with these arguments besides, and waits until it listens. */
void dump_start(const char *arguments);

/* The same, with what dump_open() does first. */
void dump_open_and_start(const char *arguments);

/* Has the tool find @count packets in the queue at once, from number 0 on. */
void dump_send_at_once(uint32_t count);

/* Exactly the datagrams 0 to @count - 1 arrive, as queued_ns_expect() has it. */
void dump_expect(uint32_t count);

/* Ends it with a signal. */
void dump_end(int signal);

#endif
