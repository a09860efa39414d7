/* SPDX-License-Identifier: MIT */
/* Packets that are decided later. */
#ifndef MNFQ_PACKET_RETAIN_H
#define MNFQ_PACKET_RETAIN_H

#include "refs.h"

int mnfq_i_retain_id(struct mnfq_queue *queue, uint32_t id);
void mnfq_i_retain_decided(struct mnfq_queue *queue, struct mnfq_i_held *entry);
int mnfq_i_retain_decide(struct mnfq_packet *packet, uint32_t verdict);
bool mnfq_i_retain_settle(struct mnfq_packet *packet, bool deferred);
void mnfq_i_retain_abandon(struct mnfq_queue *queue, uint32_t verdict);
unsigned int mnfq_i_retain_take(struct mnfq_queue *queue, uint32_t *ids, unsigned int max);

#endif
