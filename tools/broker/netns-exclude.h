/* SPDX-License-Identifier: MIT */
/* Namespaces that are not wanted: those of mnfq dump --exclude. */
#ifndef MNFQ_TOOLS_BROKER_NETNS_EXCLUDE_H
#define MNFQ_TOOLS_BROKER_NETNS_EXCLUDE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/netns-scan.h"
#include "broker/outbox.h"

struct netns_exclude;

/**
 * @texts  names, paths, process ids, "self"; they stay the caller's
 * Returns 0 or a negative errno. It lives as long as the process.
 */
int netns_exclude_new(struct netns_exclude **ret, const struct netns_scan *scan,
		      struct outbox *outbox, const char *const *texts, unsigned int count);

/** After a scan: names and paths may lead elsewhere now. */
void netns_exclude_update(struct netns_exclude *exclude, const struct netns_scan *scan);

bool netns_exclude_has(const struct netns_exclude *exclude, uint64_t inode);

#endif
