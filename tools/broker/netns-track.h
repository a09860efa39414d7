/* SPDX-License-Identifier: MIT */
/*
 * Namespaces of which the broker keeps track: it reports which of those that are served are gone, and, if
 * all are wanted, offers sockets of new ones. One is gone when it has neither process nor name.
 */
#ifndef MNFQ_TOOLS_BROKER_NETNS_TRACK_H
#define MNFQ_TOOLS_BROKER_NETNS_TRACK_H

#include <stdint.h>

#include "broker/ipc.h"
#include "broker/loop.h"
#include "broker/options.h"
#include "broker/outbox.h"

struct netns_track;

/** Returns 0 or a negative errno. It lives as long as the process. */
int netns_track_new(struct netns_track **ret, struct loop *loop, struct outbox *outbox,
		    const struct broker_options *options);

/** The namespace of a process, or 0 if it cannot be seen. */
uint64_t netns_track_of_process(const struct netns_track *track, uint32_t pid);

/** The client of @id, which was seen in the namespace @seen (or 0), has left before IPC_ANSWER came. */
void netns_track_expect(struct netns_track *track, uint64_t id, uint64_t seen);

/**
 * The answer for a namespace that the broker before this one found: it is served under @answer's id, as if
 * this one had found it.
 */
void netns_track_take_over(struct netns_track *track, const struct ipc_msg *answer);

/** Watch the namespace of IPC_ANSWER, and look at it before this returns. @seen as above. */
void netns_track_watch(struct netns_track *track, const struct ipc_msg *answer, uint64_t seen);

/** IPC_ANSWER for what was expected or found here; IPC_FORGET. Other ids are ignored. */
void netns_track_answer(struct netns_track *track, const struct ipc_msg *answer);
void netns_track_forget(struct netns_track *track, uint64_t id);

/** How many sockets were refused, without a client that was informed. */
uint32_t netns_track_count_refused(const struct netns_track *track);

/** Scan if it is time to. Returns when to call again; 0: never. */
int64_t netns_track_run_timers(struct netns_track *track, int64_t now);

#endif
