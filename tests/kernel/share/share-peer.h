/* SPDX-License-Identifier: MIT */
/* The other side of mnfq share, in a test. */
#ifndef TEST_SHARE_PEER_H
#define TEST_SHARE_PEER_H

#include <mnfq/handover.h>

#include "kernel-fixture.h"
#include "tool.h"

/* A directory of the test, and the path in it at which both sides meet. */
extern char directory[], path[64];
void share_setup(void);
void share_teardown(void);

extern struct tool tool;

/* It fails with this exit status and one line on stderr, which says @part. */
void expect_failure(int status, const char *part);

/* Connects to the path. The one returns a negative errno on failure, the other fails the test. */
int try_call(void);
int call(void);

/* Listens there in place of the program that did; waits for the next client. */
int open_listener(void);
int await_caller(int listener);

/* What comes over @stream: a descriptor and what is known of it, or a negative errno and why. */
extern struct mnfq_handover info;
extern char errmsg[256];
int receive_socket(int stream);

/* Receives one, and closes it; or binds queue 1 of the fixture on it. Answers. */
void take_and_leave(int stream);
/* How: MNFQ_SOCKET_LEND, or 0. */
extern uint32_t adopt_flags;
void take_socket(int stream);

/* The other side closes the stream, and says nothing before. */
void expect_hang_up(int stream);

#endif
