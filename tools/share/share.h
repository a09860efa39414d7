/* SPDX-License-Identifier: MIT */
/* mnfq share: its options, and what both directions need. */
#ifndef MNFQ_TOOLS_SHARE_H
#define MNFQ_TOOLS_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "common/options.h"
#define SHARE_NAME        "mnfq share"
#define SHARE_TIMEOUT_MAX 2000000u /* seconds; milliseconds fit in an int */

struct share_options {
	const char *listen, *connect; /* paths: one of them is not NULL */
	const char *label;            /* or NULL */
	mode_t mode;
	struct uid_list allowed; /* none: every user who can connect */
	bool keep;
	uint32_t timeout; /* seconds; 0: none */
	bool no_sandbox;
};

/** Give a socket to each client, until a signal. Returns the exit status. */
int share_listen(const struct share_options *opts);

/** Offer a socket to the program that listens, until it is taken. Returns the exit status. */
int share_connect(const struct share_options *opts);

/**
 * Open a netlink socket in this namespace and send it, without waiting. @flags: MNFQ_HANDOVER_KEEP or 0.
 * Returns 0 or a negative errno with the message in @error.
 */
int share_send(const struct share_options *opts, int stream, uint32_t flags, char *error,
	       size_t error_size);

/** Drop privileges. Returns 0 or the exit status. */
int share_enter_sandbox(const struct share_options *opts);

/** A signalfd for SIGINT, SIGTERM, SIGHUP and @also (0: none), or a negative errno. */
int share_catch_signals(int also);

#endif
