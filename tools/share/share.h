/* SPDX-License-Identifier: MIT */
/* mnfq share: what the command line says, and what its files share. */
#ifndef MNFQ_TOOLS_SHARE_H
#define MNFQ_TOOLS_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#define SHARE_NAME     "mnfq share"
#define SHARE_UIDS_MAX 64

struct share_options {
	const char *listen; /* one of the two; NULL: the other */
	const char *connect;
	const char *label; /* NULL: none */
	mode_t mode;
	uint32_t uids[SHARE_UIDS_MAX]; /* who may fetch a socket; none: whoever can connect */
	unsigned int uid_count;
	bool keep;
	uint32_t timeout_ms; /* 0: none */
	bool no_sandbox;
};

/** Give sockets to whoever connects, until SIGINT or SIGTERM. Returns the exit status. */
int share_listen(const struct share_options *opts);

/** Offer a socket to who listens, until it was taken. Returns the exit status. */
int share_connect(const struct share_options *opts);

/**
 * Open a netlink socket of this namespace and send it; never waits.
 *
 * @flags  MNFQ_HANDOVER_KEEP or 0
 * @error  where the sentence of a failure is written
 * Returns 0 or a negative errno.
 */
int share_send(const struct share_options *opts, int stream, uint32_t flags, char *error,
	       size_t error_size);

/** Give up what is not needed any more. Returns 0 or the exit status. */
int share_enter_sandbox(const struct share_options *opts);

/** Have the signal @also (0: none), SIGINT and SIGTERM come over a descriptor, or -errno. */
int share_catch_signals(int also);

#endif
