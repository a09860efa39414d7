/* SPDX-License-Identifier: MIT */
/* Beginning and ending rounds. */
#ifndef MNFQ_ROUND_H
#define MNFQ_ROUND_H

#include "refs.h"

int mnfq_i_round_check(struct mnfq_socket *sock);
int mnfq_i_round_take(struct mnfq_socket *sock);
void mnfq_i_round_begin(struct mnfq_socket *sock, bool stops, bool pulled);
int mnfq_i_round_end(struct mnfq_socket *sock, bool *more);
bool mnfq_i_round_resume(struct mnfq_socket *sock);
void mnfq_i_round_pause(struct mnfq_socket *sock);
int mnfq_i_round_enter(struct mnfq_socket *sock);
void mnfq_i_round_leave(struct mnfq_socket *sock);
void mnfq_i_round_close(struct mnfq_socket *sock);

#endif
