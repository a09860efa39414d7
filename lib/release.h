/* SPDX-License-Identifier: MIT */
/* What is to be released: undecided packets that are to get the default verdict. */
#ifndef MNFQ_RELEASE_H
#define MNFQ_RELEASE_H

#include "refs.h"

void mnfq_i_release_later(struct mnfq_queue *queue, uint32_t first, uint32_t last);
uint32_t mnfq_i_release_cost(const struct mnfq_queue *queue, uint32_t first, uint32_t last);
bool mnfq_i_release_step(const struct mnfq_queue *queue, uint32_t budget, bool in_round,
			 uint32_t *last);
void mnfq_i_release_advance(struct mnfq_queue *queue, uint32_t last);
int64_t mnfq_i_release_left(struct mnfq_socket *sock);

#endif
