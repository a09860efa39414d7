/* SPDX-License-Identifier: MIT */
/* Memory for a batch of messages and for their verdicts. */
#ifndef MNFQ_RING_H
#define MNFQ_RING_H

#include "verdict.h"
#include <mnfq/mnfq.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* For the largest payload. */
#define MNFQ_I_SCRATCH_SIZE 65536u

struct mnfq_ring {
	atomic_uint refs; /* the user's, and one for each socket */
	atomic_bool busy; /* a socket is in a round: what is in here is that socket's */
	unsigned int slots;
	uint8_t *memory;
	size_t memory_size;
	struct mnfq_packet *packets; /* views, as many as slots */
	uint8_t *scratch;            /* for the new payload of one of them: */
	struct mnfq_packet *scratch_user;
	struct mnfq_i_outbox outbox;
	struct mmsghdr *messages;
	struct iovec *iovecs;
	struct sockaddr_nl *senders;
	size_t filled;              /* bytes of all messages that were received last */
	struct mnfq_i_guard *guard; /* of sockets that have one; NULL: not started */
};

int mnfq_i_ring_fill(struct mnfq_ring *ring, int fd, unsigned int max, bool wait);
unsigned int mnfq_i_next_batch(unsigned int batch, unsigned int done, unsigned int max,
			       int64_t took, int64_t limit);

#endif
