/* SPDX-License-Identifier: MIT */
/* What the keeper of the porter gives to the porter that it starts. */
#ifndef MNFQ_TOOLS_PORTER_KEEPER_H
#define MNFQ_TOOLS_PORTER_KEEPER_H

#include "broker/broker.h"

/** Exit status of a porter that has told the server why it ends. Larger ones are failures. */
#define PORTER_GAVE_UP 1

/* @channel is between the two. From the keeper come LINK_PING, which the porter returns. */
struct porter_birth {
	const struct porter_options *options;
	const int *listeners; /* non-blocking */
	int link, channel;
	unsigned int generation; /* how many there were before */
	uint64_t keep;           /* capabilities */
};

/** Be the porter. */
_Noreturn void porter_live(const struct porter_birth *birth);

/** Whether it enters namespaces. */
bool porter_finds(const struct porter_options *options);

#endif
