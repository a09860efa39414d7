/* SPDX-License-Identifier: MIT */
/* Rounds: a batch received, called back and decided. */
#ifndef MNFQ_RECEIVE_H
#define MNFQ_RECEIVE_H

#include "refs.h"

int mnfq_i_round(struct mnfq_socket *sock);
int mnfq_i_wait_round(struct mnfq_socket *sock);
int mnfq_i_take_failure(struct mnfq_socket *sock);

#endif
