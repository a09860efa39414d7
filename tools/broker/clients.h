/* SPDX-License-Identifier: MIT */
/*
 * The clients of the broker, which hand sockets over. The broker waits for none of them. One that sends
 * nothing costs a descriptor for a second; what one sends is received by a receiver, and so is closed what
 * was not received.
 */
#ifndef MNFQ_TOOLS_BROKER_CLIENTS_H
#define MNFQ_TOOLS_BROKER_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/ipc.h"
#include "broker/loop.h"
#include "broker/netns-track.h"
#include "broker/options.h"
#include "broker/outbox.h"
#include "broker/policy.h"
#include "broker/receivers.h"

struct clients;

/** What they work with. */
struct clients_setup {
	struct loop *loop;
	struct outbox *outbox;
	struct netns_track *track;
	struct receivers *receivers;
	struct peer_users *users;
	const struct broker_options *options;
	const int *listeners; /* non-blocking, as many as there are in the options */
};

/** Accept clients. Returns 0 or a negative errno. They live as long as the process. */
int clients_new(struct clients **ret, const struct clients_setup *setup);

/** IPC_ANSWER and IPC_FORGET. Return whether the id is one of a client. */
bool clients_answer(struct clients *clients, const struct ipc_msg *answer);
bool clients_forget(struct clients *clients, uint64_t id);

/** How many were refused. */
uint32_t clients_count_refused(const struct clients *clients);

/**
 * Go on with what receivers report, start receivers, end clients whose time is over, pause accepting or go
 * on with it. To be called after receivers_run_timers(). Returns when to call again; 0: never.
 */
int64_t clients_run_timers(struct clients *clients, int64_t now);

#endif
