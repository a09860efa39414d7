/* SPDX-License-Identifier: MIT */
/*
 * The broker's receivers (receiver.h): how many there are, for which users, and what they report. One that
 * takes too long is given up, and its user has to wait, longer each time.
 */
#ifndef MNFQ_TOOLS_BROKER_RECEIVERS_H
#define MNFQ_TOOLS_BROKER_RECEIVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/ipc.h"
#include "broker/loop.h"
#include "broker/options.h"
#include "broker/outbox.h"
#include "broker/policy.h"
#include "broker/receiver.h"

struct receivers;
struct receiver;

enum receive_outcome {
	RECEIVE_ANSWERED, /* see @error, @flags and @text; of an error the client has been informed */
	RECEIVE_STUCK, /* what was sent cannot be closed; the server may have the socket by now */
	RECEIVE_NOT_BEGUN, /* another one before it got stuck */
};

/** What became of a job. */
struct receive_result {
	uint64_t id;
	enum receive_outcome outcome;
	int error;
	uint32_t flags; /* MNFQ_HANDOVER_* */
	char text[IPC_TEXT_SIZE];
};

/** Returns 0 or a negative errno. They live as long as the process. */
int receivers_new(struct receivers **ret, struct loop *loop, struct outbox *outbox,
		  struct peer_users *users, const struct broker_options *options);

/** Reserve descriptors for the next receiver. Returns false if there are none. */
bool receivers_reserve(struct receivers *receivers);

/** Can one more work, and can the server take what it will send? */
bool receivers_ready(struct receivers *receivers);

/** When one can be started again, after there was no memory for it; 0: now. */
int64_t receivers_get_retry(const struct receivers *receivers);

/**
 * May a receiver work for this user? Returns 0, and receivers_start() has to follow; -EAGAIN if not now
 * (but at *@retry_at, unless that is 0); or -EBUSY with @why.
 */
int receivers_may_start(struct receivers *receivers, uint32_t uid, int64_t now, int64_t *retry_at,
			const char **why);

/**
 * Start one. The streams stay the caller's, too. For each job there will be a result. Returns 0 or -EAGAIN:
 * nothing was started.
 */
int receivers_start(struct receivers *receivers, uint32_t uid, const struct receiver_job *jobs,
		    unsigned int count);

/** The next result, in the order in which they came. Returns false if there is none. */
bool receivers_take_result(struct receivers *receivers, struct receive_result *result);

/**
 * Start one that just keeps the streams open, so that the broker can close its copies without being the last
 * process to do so. receivers_release() lets it end, and so close them. Returns NULL: not now.
 */
struct receiver *receivers_hold(struct receivers *receivers, const struct receiver_job *jobs,
				unsigned int count);
void receivers_release(struct receivers *receivers, struct receiver *receiver);

/** Give up those that hang. Returns when to call again; 0: never. */
int64_t receivers_run_timers(struct receivers *receivers, int64_t now);

#endif
