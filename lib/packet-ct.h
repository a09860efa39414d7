/* SPDX-License-Identifier: MIT */
/* Connection tracking data of a packet. No I/O. */
#ifndef MNFQ_PACKET_CT_H
#define MNFQ_PACKET_CT_H

#include "packet.h"

bool mnfq_i_packet_seq_adjustable(const struct mnfq_packet *packet);
bool mnfq_i_packet_adjusts_unasked(const struct mnfq_packet *packet, size_t len);

#endif
