/* SPDX-License-Identifier: MIT */
/* Packets that did not come from a kernel. No I/O. */
#ifndef MNFQ_MEMORY_H
#define MNFQ_MEMORY_H

#include "packet.h"
#include <pthread.h>

/* What such a packet and its copy share, and what stays of them: how they were decided. */
struct mnfq_i_memory {
	struct mnfq_queue_options settings; /* of the queue that there is not */
	pthread_mutex_t lock;
	/* All of these with the lock: */
	struct mnfq_packet *original, *copy; /* NULL: not made, or freed */
	bool decided;
	uint32_t verdict;
	struct mnfq_i_changes changes;
	uint8_t *payload; /* of the changes; allocated */
	size_t payload_len;

	size_t interface_count;
	struct mnfq_i_interface {
		uint32_t index, mtu;
		char name[16];
	} interfaces[];
};

void mnfq_i_memory_hold(struct mnfq_packet *copy, struct mnfq_packet *packet);
int mnfq_i_memory_decide(struct mnfq_packet *packet, uint32_t verdict);
struct mnfq_packet *mnfq_i_memory_free(struct mnfq_packet *packet);
void mnfq_i_memory_set_data(struct mnfq_packet *packet, void *data);
int mnfq_i_memory_interface(const struct mnfq_packet *packet, uint32_t ifindex, char *name,
			    uint32_t *mtu);

#endif
