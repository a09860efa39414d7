/* SPDX-License-Identifier: MIT */
/* The kernel's own counters of queues. */
#ifndef MNFQ_KERNEL_STATS_H
#define MNFQ_KERNEL_STATS_H

#include "refs.h"

int mnfq_i_queues_look(const struct mnfq_socket *sock, uint16_t num,
		       struct mnfq_kernel_stats *stats);

#endif
