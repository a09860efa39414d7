/* SPDX-License-Identifier: MIT */
/* Rounds of what is received. */
#ifndef MNFQ_RECEIVE_H
#define MNFQ_RECEIVE_H

#include "refs.h"

int mnfq_i_receive(struct mnfq_socket *sock, bool pulled);
int mnfq_i_receive_wait(struct mnfq_socket *sock, bool pulled);
int mnfq_i_receive_none(struct mnfq_socket *sock);
int mnfq_i_receive_close(struct mnfq_socket *sock);
int mnfq_i_receive_end(struct mnfq_socket *sock);
int mnfq_i_take_failure(struct mnfq_socket *sock);

#endif
