/* SPDX-License-Identifier: MIT */
/* The counters of the library, of the kernel, and of what is done with packets. */
#ifndef MNFQ_TOOLS_PACKETS_COUNTERS_H
#define MNFQ_TOOLS_PACKETS_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <mnfq/mnfq.h>

#include "packets/packets.h"

struct counters {
	struct mnfq_stats stats;
	struct packet_counts packets;
	uint64_t queue_full;         /* packets dropped by the kernel, as far as known */
	uint64_t queue_full_unknown; /* sockets for which it is unknown, of some queue */
	uint64_t uncounted;          /* queues closed without counting what waited there */
	uint64_t lines_dropped;      /* of stdout, since it blocked */
	uint64_t unwritten;          /* packets that are missing in the capture */
	uint64_t filtered; /* not 0: there is a filter, and how many match is of interest */
};

/** The kernel's, while the queues are bound; there should be @queue_count of them. */
void counters_read_kernel(struct counters *counters, struct mnfq_socket *sock,
			  size_t queue_count);

/** The library's, which are final once the queues are unbound. */
void counters_read_library(struct counters *counters, struct mnfq_socket *sock);

/** Packets that the kernel has dropped, as far as known. */
uint64_t counters_kernel_drops(const struct counters *counters);

void counters_add(struct counters *sum, const struct counters *more);

/** Print those that are not 0, without a newline. */
void counters_print(FILE *out, const struct counters *counters);

#endif
