/* SPDX-License-Identifier: MIT */
/* The walk through the messages of a round. */
#ifndef MNFQ_WALK_H
#define MNFQ_WALK_H

#include "refs.h"

void mnfq_i_walk_begin(struct mnfq_socket *sock, bool pulled);
void mnfq_i_walk_ring(struct mnfq_socket *sock, int count);
struct mnfq_packet *mnfq_i_walk_call(struct mnfq_socket *sock);
void mnfq_i_walk_all(struct mnfq_socket *sock);
void mnfq_i_walk_unbind(struct mnfq_socket *sock);
void mnfq_i_walk_end(struct mnfq_socket *sock);

#endif
