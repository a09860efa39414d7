/* SPDX-License-Identifier: MIT */
/* What the kernel says about queues at a moment, of one or several namespaces, and what has moved since another. */
#ifndef MNFQ_TOOLS_STAT_READING_H
#define MNFQ_TOOLS_STAT_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#include "stat/owners.h"
#include "stat/place.h"

struct row {
	char netns[PLACE_NAME_SIZE]; /* any bytes */
	uint64_t netns_inode;
	struct mnfq_kernel_queue queue;

	uint64_t inode;        /* of the owner's socket; 0: not known */
	uint32_t socket_drops; /* messages that it lost, of all its queues */
	int pid;               /* of the owner; 0: not visible */
	char command[sizeof(((struct owner *)NULL)->command)];

	/* By reading_compare(). */
	bool compared; /* the same queue of the same owner was there before: */
	struct mnfq_kernel_queue before;
	uint32_t limit; /* how many packets can wait; 0: not known */
};

struct reading {
	struct row *
		rows; /* ascending by the name of the namespace and the number of the queue, each once */
	size_t count, room;
	int64_t at_ms;         /* by the monotonic clock */
	uint64_t time_us;      /* since 1970 */
	uint32_t elapsed_ms;   /* since the reading that it was compared with; 0: with none */
	unsigned int failures; /* namespaces that could not be read */
	char error[PLACE_ERROR_SIZE]; /* why the first one could not */
};

/** Add the queues from @first to @last of a namespace. Returns 0 or a negative errno. */
int reading_add(struct reading *reading, const struct place *place, uint16_t first,
		uint16_t last);

/** One more that could not be read. */
void reading_fail(struct reading *reading, const char *error);

/** Once all are there: find the owners, and sort. Returns 0 or -ENOMEM. */
int reading_complete(struct reading *reading, struct owners *owners);

/** What has moved since @before; both are complete. */
void reading_compare(struct reading *reading, const struct reading *before);

/** A counter's growth in a second. Right across its wrap at 2^32. */
double reading_rate(const struct reading *reading, uint32_t now, uint32_t before);

void reading_free(struct reading *reading);

#endif
