/* SPDX-License-Identifier: MIT */
/* What the kernel answers to verdicts; failures that last. */
#ifndef MNFQ_REFUSED_H
#define MNFQ_REFUSED_H

#include "refs.h"
#include "wire.h"

void mnfq_i_answered(struct mnfq_socket *sock, struct mnfq_queue *queue,
		     const struct nlmsghdr *request, int err);
void mnfq_i_answers_lost(struct mnfq_socket *sock);
void mnfq_i_queue_fail(struct mnfq_queue *queue, int err);
void mnfq_i_queue_doubt(struct mnfq_queue *queue);

static inline bool mnfq_i_has_failed(const struct mnfq_socket *sock)
{
	return sock->failure || sock->queue_failed;
}

#endif
