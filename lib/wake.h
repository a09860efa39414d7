/* SPDX-License-Identifier: MIT */
/* Waiting in the receive, and ending a wait. */
#ifndef MNFQ_WAKE_H
#define MNFQ_WAKE_H

#include "refs.h"

#define MNFQ_I_WAIT_MS 1000 /* a wait in the receive lasts no longer */

bool mnfq_i_wait_prepare(struct mnfq_socket *sock);
int mnfq_i_wait_fill(struct mnfq_socket *sock, unsigned int max);
void mnfq_i_wake_dispatch(struct mnfq_socket *sock);

#endif
