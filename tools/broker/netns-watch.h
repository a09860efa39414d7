/* SPDX-License-Identifier: MIT */
/*
 * Namespaces that the broker watches for the server. One that was never seen, because its processes may not
 * be looked at, is not gone.
 */
#ifndef MNFQ_TOOLS_BROKER_NETNS_WATCH_H
#define MNFQ_TOOLS_BROKER_NETNS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/netns-scan.h"
#include "broker/outbox.h"

/** A namespace of IPC_ANSWER, or of an id for which that is going to come. */
struct netns_watch {
	uint64_t inode;    /* 0: IPC_ANSWER did not come yet */
	uint64_t expected; /* then: where its client was seen */
	uint64_t id;
	bool seen;   /* it existed once */
	bool hidden; /* it may be impossible to see, though it exists */
	bool missed; /* the last scan did not find it */
};

/** All zeros at first. */
struct netns_watches {
	struct netns_watch *list;
	size_t count, room;
};

/** Returns NULL if there is none. */
struct netns_watch *netns_watches_find(const struct netns_watches *watches, uint64_t id);

/** The one of an id, a new one if there was none; valid until another one is added or removed. NULL: no memory. */
struct netns_watch *netns_watches_add(struct netns_watches *watches, uint64_t id,
				      struct outbox *outbox);
void netns_watches_remove(struct netns_watches *watches, struct netns_watch *watch);

/** Is a namespace watched? */
bool netns_watches_have(const struct netns_watches *watches, uint64_t inode);

/** After a scan: report those that are gone. Returns whether to scan again soon, to be sure. */
bool netns_watches_check(struct netns_watches *watches, const struct netns_scan *scan,
			 struct outbox *outbox);

/**
 * Is a namespace gone, that is missing in two scans? @missed is whether it was missing in the last one;
 * @again is set if it takes another scan to be sure.
 */
bool netns_is_gone(const struct netns_scan *scan, uint64_t inode, bool *missed, bool *again);

#endif
