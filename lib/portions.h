/* SPDX-License-Identifier: MIT */
/* The default verdict for what waits in a queue, until a deadline. */
#ifndef MNFQ_PORTIONS_H
#define MNFQ_PORTIONS_H

#include "refs.h"

#define MNFQ_I_PORTION_MAX 64

struct mnfq_i_portions {
	struct mnfq_queue *queue;
	uint32_t from;     /* all up to this id is decided */
	bool gaps;         /* unknown packets may wait */
	unsigned int size; /* how many packets the next one has */
};

bool mnfq_i_portions_next(struct mnfq_i_portions *portions, uint32_t to);
bool mnfq_i_portions_up_to(struct mnfq_i_portions *portions, uint32_t to);

#endif
