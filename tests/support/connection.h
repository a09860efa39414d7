/* SPDX-License-Identifier: MIT */
/* A packet message with connection tracking data, and what is to be seen of it. */
#ifndef MNFQ_TEST_CONNECTION_H
#define MNFQ_TEST_CONNECTION_H

#include "message.h"
#include "packet-ct.h"
#include "packet.h"
#include "refs.h"

extern struct message msg;
extern struct mnfq_packet packet;

/* Begins a message that has a header. */
void begin(void);

/* Parses the message in a copy that ends where the allocation ends. */
int parse(void);

struct side {
	const char *src, *dst; /* 4 or 16 bytes */
	uint16_t sport, dport;
};

/* A tuple of TCP or UDP. */
void put_tuple(struct nlmsghdr *nlh, uint16_t type, uint8_t protocol, bool ipv6,
	       const struct side *side);

extern const uint8_t labels[MNFQ_CT_LABELS_SIZE];

/* A TCP connection with NAT and a helper; NFQA_CT is the last of the message, and begins there. */
#define CT (MNFQ_I_HDRLEN + 12 + 8)
void put_connection(void);

/* Nothing is known of the connection; of its tuples this error. */
void expect_all(int tuples);

#endif
