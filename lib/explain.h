/* SPDX-License-Identifier: MIT */
/* Why something failed, as a message. */
#ifndef MNFQ_EXPLAIN_H
#define MNFQ_EXPLAIN_H

#include "refs.h"

int mnfq_i_explain_bind(struct mnfq_socket *sock, uint16_t num, uint32_t flags, int err);

#endif
