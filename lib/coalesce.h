/* SPDX-License-Identifier: MIT */
/* Waiting after a batch, so that the next one is larger. */
#ifndef MNFQ_COALESCE_H
#define MNFQ_COALESCE_H

#include "refs.h"

void mnfq_i_coalesce_count(struct mnfq_socket *sock, unsigned int packets, unsigned int batch);
int mnfq_i_coalesce_pause(struct mnfq_socket *sock, int64_t left_ms);

#endif
