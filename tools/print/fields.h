/* SPDX-License-Identifier: MIT */
/* What is told of a packet, whether as text or as JSON. */
#ifndef MNFQ_TOOLS_FIELDS_H
#define MNFQ_TOOLS_FIELDS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

struct device {
	const char *word; /* in a line of text */
	const char *key;  /* of a JSON object */
	uint32_t (*get)(const struct mnfq_packet *packet);
};

#define DEVICES 4
extern const struct device devices[DEVICES];

/** The name of a packet's interface, raw; false if it has none. One that is gone is "if7". */
bool get_device(char name[IF_NAMESIZE], const struct mnfq_packet *packet,
		const struct device *device);

/**
 * When the packet was received, in microseconds since 1970, and whether the kernel says so. If not,
 * it is the time of this call.
 */
bool get_time(int64_t *usec, const struct mnfq_packet *packet);

/** What is to be said of its checksums: good, bad, not-ready; NULL where nothing can be told. */
const char *get_checksum(const struct mnfq_packet *packet);

struct vlan {
	unsigned int id;
	unsigned int priority;
	bool dei; /* may be dropped first */
	uint16_t protocol;
};

/** The VLAN tag beside its bytes; false if there is none. */
bool get_vlan(struct vlan *vlan, const struct mnfq_packet *packet);

/**
 * Its security context, without the zero that may end it; NULL if there is none. Any bytes.
 */
const char *get_secctx(const struct mnfq_packet *packet, size_t *len);

#endif
