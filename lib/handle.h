/* SPDX-License-Identifier: MIT */
/* The messages of a datagram, and the verdicts for the packets in hand. */
#ifndef MNFQ_HANDLE_H
#define MNFQ_HANDLE_H

#include "refs.h"

struct mnfq_queue *mnfq_i_handle_find(struct mnfq_socket *sock, uint16_t num, bool backlogged);
void mnfq_i_handle_error(struct mnfq_socket *sock, const uint8_t *msg, size_t len,
			 bool backlogged);
struct mnfq_packet *mnfq_i_handle_packet(struct mnfq_socket *sock, struct mnfq_packet *packet,
					 const uint8_t *msg, size_t len, bool backlogged);
int mnfq_i_handle_verdict(struct mnfq_packet *packet, uint32_t verdict);
void mnfq_i_handle_return(struct mnfq_packet *packet, uint32_t verdict);
void mnfq_i_handle_default(struct mnfq_packet *packet);

#endif
