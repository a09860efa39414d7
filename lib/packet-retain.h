/* SPDX-License-Identifier: MIT */
/* Packets that are decided later. */
#ifndef MNFQ_PACKET_RETAIN_H
#define MNFQ_PACKET_RETAIN_H

#include "refs.h"

bool mnfq_i_retain_settle(struct mnfq_packet *packet, bool deferred);
void mnfq_i_retain_abandon(struct mnfq_queue *queue, uint32_t verdict);
unsigned int mnfq_i_retain_take(struct mnfq_queue *queue, uint32_t *ids, unsigned int max);

#endif
