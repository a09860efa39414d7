/* SPDX-License-Identifier: MIT */
/* mnfq stat: its options. */
#ifndef MNFQ_TOOLS_STAT_H
#define MNFQ_TOOLS_STAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/color.h"

#define STAT_NAME      "mnfq stat"
#define STAT_NETNS_MAX 256

struct stat_options {
	bool has_queues;
	uint16_t first, last; /* without has_queues: all */
	const char *netns[STAT_NETNS_MAX];
	unsigned int netns_count; /* 0 without all_netns: our own namespace */
	bool all_netns;
	bool json, prometheus;
	uint32_t watch_ms; /* 0: once */
	enum color_when color;
};

#endif
