/* SPDX-License-Identifier: MIT */
/* What the keeper of the broker gives to the broker that it starts. */
#ifndef MNFQ_TOOLS_BROKER_KEEPER_H
#define MNFQ_TOOLS_BROKER_KEEPER_H

#include "broker/broker.h"

/** Exit status of a broker that has told the server why it ends. Larger ones are failures. */
#define BROKER_GAVE_UP 1

/* @channel is between the two. From the keeper come IPC_PING, which the broker returns. */
struct broker_setup {
	const struct broker_options *options;
	const int *listeners; /* non-blocking */
	int link, channel;
	unsigned int generation; /* how many there were before */
	uint64_t keep;           /* capabilities */
};

/** Be the broker. */
_Noreturn void broker_main(const struct broker_setup *setup);

/** Whether it enters namespaces. */
bool broker_finds(const struct broker_options *options);

#endif
