/* SPDX-License-Identifier: MIT */
/* What is changed with a verdict. No I/O. */
#ifndef MNFQ_PACKET_SET_H
#define MNFQ_PACKET_SET_H

#include "packet.h"

int mnfq_i_refuse(struct mnfq_packet *packet, int err, const char *errmsg);
struct mnfq_queue_options mnfq_i_packet_settings(const struct mnfq_packet *packet);
int mnfq_i_packet_resizable(struct mnfq_packet *packet, size_t len);
int mnfq_i_packet_replace(struct mnfq_packet *packet, const void *data, size_t len);
void mnfq_i_packet_restore(struct mnfq_packet *packet);

#endif
