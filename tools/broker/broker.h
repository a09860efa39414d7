/* SPDX-License-Identifier: MIT */
/*
 * The broker of mnfq dump: a process that accepts clients, which hand sockets over, and that looks for
 * namespaces. What it does may stall or fail without a packet being late. It sends what it found to its
 * server over an IPC socket (ipc.h). Its parent is its keeper, which replaces it when it hangs; what
 * clients send is received by its children, the receivers, which may hang.
 */
#ifndef MNFQ_TOOLS_BROKER_BROKER_H
#define MNFQ_TOOLS_BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/options.h"

/** What the keeper gives to the broker that it starts. */
struct broker_setup {
	const struct broker_options *options;
	const int *listeners;    /* non-blocking */
	int ipc;                 /* to the server */
	int channel;             /* to the keeper, which sends IPC_PING, and gets it back */
	unsigned int generation; /* how many brokers there were before */
	uint64_t keep;           /* capabilities */
};

/** Be the broker. The exit status is an enum broker_status. */
_Noreturn void broker_main(const struct broker_setup *setup);

/** Does it enter namespaces? */
bool broker_enters_netns(const struct broker_options *options);

#endif
