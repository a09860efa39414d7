/* SPDX-License-Identifier: MIT */
/* The kernel's list of queues, the file /proc/net/netfilter/nfnetlink_queue. */
#ifndef MNFQ_KERNEL_QUEUES_H
#define MNFQ_KERNEL_QUEUES_H

#include <mnfq/mnfq.h>

int mnfq_i_kernel_queues_each(int fd,
			      void (*look)(const struct mnfq_kernel_queue *queue, void *data),
			      void *data);

#endif
