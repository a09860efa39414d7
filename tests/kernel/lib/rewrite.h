/* SPDX-License-Identifier: MIT */
/* Two hosts, and an editor that replaces a text in what the left one sends. */
#ifndef TEST_REWRITE_H
#define TEST_REWRITE_H

#include "kernel-fixture.h"

struct rewrite {
	struct netns *left,
		*right; /* 10.0.1.1 and fd00:0:0:1::1; .2 and ::2; device eth0, MTU 1500 */
	struct mnfq_socket *sock; /* in @left: what its programs send goes to queue 1 */
	struct mnfq_queue *queue;
	char *descriptors;

	/* The editor replaces every @from by @to in the data behind the transport header. */
	const char *from, *to;
	unsigned int edits;   /* that were done */
	unsigned int refused; /* that were not */
	int error;            /* of the last one that was refused */
	char errmsg[256];
	unsigned int large; /* packets that the kernel had still to split */
};

/* Those of the test: each test is a process. */
extern struct rewrite rewrite;
extern struct udp udp;

void rewrite_open(const struct mnfq_queue_options *options);

/* The same, and @udp from left to right, PORT. */
void rewrite_open_udp(const struct mnfq_queue_options *options, const char *address);

/* Closes both. */
void rewrite_close(void);

/* Serves the queue until @fd is readable; fails the test when nothing happens for too long. */
void rewrite_serve_until(int fd);

/* Serves exactly @packets. */
void rewrite_serve(unsigned int packets);

/* Packets that @ns received and dropped because of their checksum, of all protocols, so far. */
uint64_t bad_checksums(struct netns *ns);

/*
 * 10 MB of text over TCP to @address, in which all of @from that no packet boundary cuts in two gets
 * replaced by @to, of the same length.
 */
void rewrite_tcp(const char *address);

/* A raw socket in @ns for @protocol, bound to nothing, connected to @address. */
int raw_open(struct netns *ns, const char *address, int protocol);

/* Waits for the next datagram on @fd, which must end with @text; returns its length. */
size_t expect_text(int fd, const char *text);

#endif
