/* SPDX-License-Identifier: MIT */
/* The messages of a datagram. */
#ifndef MNFQ_HANDLE_H
#define MNFQ_HANDLE_H

#include "refs.h"

struct mnfq_queue *mnfq_i_handle_find(struct mnfq_socket *sock, uint16_t num, bool backlogged);
int mnfq_i_handle_datagram(struct mnfq_socket *sock, const uint8_t *data, size_t len,
			   bool backlogged);

#endif
