/* SPDX-License-Identifier: MIT */
/* A socket with queue 7 bound on it, on a kernel of our own. */
#ifndef MNFQ_TEST_FIXTURE_H
#define MNFQ_TEST_FIXTURE_H

#include "fake-kernel.h"
#include "message.h"
#include "packet.h"
#include "refs.h"
#include "ring.h"

extern struct mnfq_socket *sock;
extern struct mnfq_queue *queue;
extern struct message msg;

/* What accept_all() has seen. */
extern unsigned int seen;
extern uint32_t last_id;

enum mnfq_verdict accept_all(struct mnfq_packet *packet, void *data);

/* Binds queue 7. */
void bind_seven(mnfq_callback callback, enum mnfq_verdict fallback);

/* Replaces queue 7 by another one. */
void rebind_seven(mnfq_callback callback, enum mnfq_verdict fallback);

/* For TestSuite: a socket, queue 7 with accept_all(); closing it leaves nothing bound. */
void setup(void);
void teardown(void);

/*
 * Fails the test within a .fini: Criterion 2.4 ignores assertions that fail there, but not how the process
 * ends.
 */
void teardown_fail(const char *expected);

struct mnfq_stats stats(void);
struct mnfq_stats queue_stats(struct mnfq_queue *of);

/* What became of packet @id of queue 7, and of those from @first to @last. */
void expect_verdict(uint32_t id, uint32_t verdict);
void expect_each_verdict(uint32_t first, uint32_t last, uint32_t verdict);

/* Packets of 60 bytes for queue 7; and all of them handled by the next round. */
void enqueue_packets(unsigned int count);
void pass_packets(unsigned int count);

/* Feeds what is in `msg`, as if from the kernel. */
int feed(void);

#endif
