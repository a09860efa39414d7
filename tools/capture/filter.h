/* SPDX-License-Identifier: MIT */
/* Filters in the language of tcpdump, pcap-filter(7). */
#ifndef MNFQ_TOOLS_CAPTURE_FILTER_H
#define MNFQ_TOOLS_CAPTURE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

struct filter;

enum filter_result {
	FILTER_NO,
	FILTER_YES,
	FILTER_CUT, /* it cannot be told, because a byte that it looks at was not copied */
};

/** Whether this program has filters: without libpcap filter_new() fails with a sentence. */
extern const bool filter_supported;

/**
 * Compile a filter. Names of hosts, networks and ports are looked up, so this is done before the sandbox is entered.
 * NULL with the message in @error on failure, which says where in the text if libpcap tells or it can be found out.
 */
#define FILTER_ERROR_SIZE 512
struct filter *filter_new(const char *text, char error[FILTER_ERROR_SIZE]);

/** For any thread. */
enum filter_result filter_run(const struct filter *filter, const struct mnfq_packet *packet);

/**
 * How many bytes of a packet, from the network header on, it may look at: at @least for IP headers without
 * options, at @most with them, SIZE_MAX: that depends on the packet.
 */
void filter_needs(const struct filter *filter, size_t *least, size_t *most);

/** Which packets it cannot be applied to, and why; NULL: it can be to all. */
const char *filter_limits(const struct filter *filter);

/** NULL is allowed. */
void filter_free(struct filter *filter);

#endif
