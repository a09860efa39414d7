/* SPDX-License-Identifier: MIT */
/* Decisions that were sent and may have been refused, because not all answers have been read. */
#ifndef MNFQ_UNANSWERED_H
#define MNFQ_UNANSWERED_H

#include "refs.h"

void mnfq_i_unanswered_put(struct mnfq_queue *queue, uint32_t verdict);
void mnfq_i_unanswered_sent(struct mnfq_queue *queue);
void mnfq_i_unanswered_late(struct mnfq_queue *queue, uint32_t verdict);
bool mnfq_i_unanswered_varied(const struct mnfq_queue *queue, uint32_t verdict);
void mnfq_i_unanswered_passed(struct mnfq_socket *sock, size_t messages, size_t bytes);
bool mnfq_i_unanswered_unsure(const struct mnfq_socket *sock);
bool mnfq_i_unanswered_lost(struct mnfq_socket *sock);
bool mnfq_i_unanswered_differ(const struct mnfq_queue *queue, uint32_t verdict);

#endif
