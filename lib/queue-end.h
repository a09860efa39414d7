/* SPDX-License-Identifier: MIT */
/* What ends a queue. */
#ifndef MNFQ_QUEUE_END_H
#define MNFQ_QUEUE_END_H

#include "refs.h"

void mnfq_i_queue_end(struct mnfq_queue *queue, bool wait);

#endif
