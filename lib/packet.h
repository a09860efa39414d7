/* SPDX-License-Identifier: MIT */
/* Messages to packets: a view, nothing is copied. No I/O. */
#ifndef MNFQ_PACKET_H
#define MNFQ_PACKET_H

#include "held.h"
#include "verdict.h"
#include "wire.h"
#include <mnfq/mnfq.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mnfq_i_memory;

struct mnfq_packet {
	struct mnfq_queue *queue;
	struct mnfq_i_memory *memory; /* of a packet without a queue: memory.h; else NULL */
	const uint8_t *msg;           /* begins with struct nlmsghdr */
	uint32_t msg_len;
	uint32_t id;
	uint32_t present; /* a bit for each attribute type that is there */
	uint32_t offset[MNFQ_I_ATTRS];
	const uint8_t *payload;
	size_t payload_len;

	struct mnfq_i_changes changes;
	/*
	 * Where a new payload is kept: allocated for this packet (`allocates`), or else two times
	 * MNFQ_I_SCRATCH_SIZE of the ring, so that an edit goes from one to the other.
	 */
	uint8_t *scratch;
	bool allocates;
	uint32_t allowed;  /* MNFQ_ALLOW_* */
	const char *error; /* the last refusal of a setter */

	void *data; /* the user's; guarded by the socket's lock while there are copy and original */

	bool in_hand; /* of a callback, or pulled, and without a verdict */
	bool copied;  /* the same, of which a copy was made */

	/* Of the copy; guarded by the socket's lock: packet-retain.c */
	bool retained;
	atomic_bool decided;
	struct mnfq_packet *counterpart; /* copy and original, while that is in hand */
	struct mnfq_i_held held;
};

/* The contents of an attribute. */
struct mnfq_i_bytes {
	const uint8_t *data;
	uint32_t len;
};

/* Also a packet that is cut may have its id. */
static inline bool mnfq_i_packet_has_id(const struct mnfq_packet *packet)
{
	return packet->present >> NFQA_PACKET_HDR & 1;
}

int mnfq_i_packet_parse(struct mnfq_packet *packet, const uint8_t *msg, size_t len);
int mnfq_i_attr_find(struct mnfq_i_bytes nest, unsigned int type, uint32_t min_len,
		     struct mnfq_i_bytes *found);
int mnfq_i_packet_find(const struct mnfq_packet *packet, unsigned int type,
		       struct mnfq_i_bytes *found);
const uint8_t *mnfq_i_packet_bytes(const struct mnfq_packet *packet, unsigned int type,
				   size_t *len);
struct mnfq_i_decision mnfq_i_packet_decision(const struct mnfq_packet *packet, uint32_t tag,
					      uint32_t verdict);

#endif
