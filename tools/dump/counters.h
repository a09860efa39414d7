/* SPDX-License-Identifier: MIT */
/* mnfq dump: what became of the packets, as the library and the kernel count it. */
#ifndef MNFQ_TOOLS_DUMP_COUNTERS_H
#define MNFQ_TOOLS_DUMP_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <mnfq/mnfq.h>

struct counters {
	struct mnfq_stats stats;
	uint64_t untracked;          /* packets without a connection that --ct-mark could mark */
	uint64_t queue_full;         /* packets that the kernel dropped, as far as it tells */
	uint64_t queue_full_unknown; /* sockets of which it does not, or not of all queues */
	uint64_t lines_dropped;      /* on stdout, since it blocked; of all together */
};

/** The kernel's, which are gone once the queues are unbound; @queue_count should be there. */
void counters_read_kernel(struct counters *counters, struct mnfq_socket *sock,
			  size_t queue_count);

/** The library's, which are complete only after that. */
void counters_read_library(struct counters *counters, struct mnfq_socket *sock);

void counters_add(struct counters *sum, const struct counters *more);

/** All that are not 0, without the end of the line. */
void counters_print(FILE *out, const struct counters *counters);

#endif
