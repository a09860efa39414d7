/* SPDX-License-Identifier: MIT */
/* Rounds: a batch received, called back and decided. */
#ifndef MNFQ_RECEIVE_H
#define MNFQ_RECEIVE_H

#include "refs.h"
#include "ring.h"

int mnfq_i_round(struct mnfq_socket *sock);
int mnfq_i_take_failure(struct mnfq_socket *sock);

/* How many packets the next round may have. */
static inline unsigned int mnfq_i_batch(const struct mnfq_socket *sock)
{
	return sock->batch < sock->ring->slots ? sock->batch : sock->ring->slots;
}

#endif
