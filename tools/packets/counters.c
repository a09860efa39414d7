/* SPDX-License-Identifier: MIT */
/* The counters of the library, of the kernel, and of what is done with packets. */
#include "packets/counters.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *words;
	const char *one; /* if they name things: a single one */
	size_t offset;
	bool always;
} printed[] = {
	{ "packets", "packet", offsetof(struct counters, stats.packets), true },
	{ "bytes", "byte", offsetof(struct counters, stats.bytes), true },
#define COUNTER(name) #name, NULL, offsetof(struct counters, stats.name)
	{ "matched", NULL, offsetof(struct counters, packets.matched), false },
	{ COUNTER(accepted), true },
	{ COUNTER(dropped), true },
	{ COUNTER(repeated), false },
	{ COUNTER(stopped), false },
	{ COUNTER(requeued), false },
	{ COUNTER(marked), false },
	{ COUNTER(defaulted), false },
	{ "queue full", NULL, offsetof(struct counters, queue_full), false },
	{ "buffer full", NULL, offsetof(struct counters, stats.overruns), false },
	{ COUNTER(lost), false },
	{ COUNTER(truncated), false },
	{ COUNTER(refused), false },
	{ COUNTER(unsent), false },
	{ COUNTER(forged), false },
	{ COUNTER(malformed), false },
	{ COUNTER(unclaimed), false },
#undef COUNTER
	{ "untracked", NULL, offsetof(struct counters, packets.untracked), false },
	{ "cut", NULL, offsetof(struct counters, packets.cut), false },
	{ "queues uncounted", "queue uncounted", offsetof(struct counters, uncounted), false },
	{ "not written", NULL, offsetof(struct counters, unwritten), false },
	{ "lines dropped", "line dropped", offsetof(struct counters, lines_dropped), false },
};

void counters_read_kernel(struct counters *counters, struct mnfq_socket *sock, size_t queue_count)
{
	struct mnfq_kernel_stats kernel = MNFQ_INIT(kernel);
	int err = mnfq_socket_get_kernel_stats(sock, &kernel);

	counters->queue_full = err ? 0 : kernel.queue_dropped;
	counters->queue_full_unknown = err || kernel.queues < queue_count;
}

void counters_read_library(struct counters *counters, struct mnfq_socket *sock)
{
	counters->stats.size = sizeof(counters->stats);
	mnfq_socket_get_stats(sock, &counters->stats);
}

/* All are numbers of 64 bits, from the first of the library's on. */
void counters_add(struct counters *sum, const struct counters *more)
{
	const size_t first = offsetof(struct counters, stats.packets);
	uint64_t *to = &sum->stats.packets;
	const uint64_t *from = &more->stats.packets;

	for (size_t i = 0; i < (sizeof(*sum) - first) / sizeof(*to); i++)
		to[i] = to[i] == MNFQ_UNKNOWN || from[i] == MNFQ_UNKNOWN ? MNFQ_UNKNOWN
									 : to[i] + from[i];
}

uint64_t counters_kernel_drops(const struct counters *counters)
{
	const uint64_t overruns = counters->stats.overruns;

	return counters->queue_full + (overruns == MNFQ_UNKNOWN ? 0 : overruns);
}

void counters_print(FILE *out, const struct counters *counters)
{
	const char *separator = "";
	uint64_t value;

	for (size_t i = 0; i < sizeof(printed) / sizeof(printed[0]); i++) {
		memcpy(&value, (const char *)counters + printed[i].offset, sizeof(value));
		if (!value && !printed[i].always &&
		    !(counters->filtered &&
		      printed[i].offset == offsetof(struct counters, packets.matched)))
			continue;
		if (value == MNFQ_UNKNOWN)
			fprintf(out, "%s%s unknown", separator, printed[i].words);
		else
			fprintf(out, "%s%llu %s", separator, (unsigned long long)value,
				value == 1 && printed[i].one ? printed[i].one : printed[i].words);
		separator = ", ";
	}
	if (counters->queue_full_unknown)
		fprintf(out, ", %squeue full unknown", counters->queue_full ? "more " : "");
}
