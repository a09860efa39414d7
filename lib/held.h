/* SPDX-License-Identifier: MIT */
/* The packets of a queue that are decided later: by id, and oldest first. No I/O. */
#ifndef MNFQ_HELD_H
#define MNFQ_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnfq_packet;

struct mnfq_i_held {
	uint32_t id;
	struct mnfq_packet *packet; /* a copy; NULL: only the id is held */
	bool taken;                 /* its verdict is about to be sent */
	struct mnfq_i_held *prev, *next;
	struct mnfq_i_held *same; /* the next of those with the same hash, or that is free */
};

struct mnfq_i_held_chunk;

struct mnfq_i_held_list {
	struct mnfq_i_held *oldest, *newest;
	struct mnfq_i_held **table; /* by the last bits of the id */
	size_t table_size, count;
	struct mnfq_i_held *unused; /* entries without a packet */
	struct mnfq_i_held_chunk *chunks;
};

bool mnfq_i_held_insert(struct mnfq_i_held_list *list, struct mnfq_i_held *entry);
bool mnfq_i_held_add(struct mnfq_i_held_list *list, uint32_t id);
struct mnfq_i_held *mnfq_i_held_find(const struct mnfq_i_held_list *list, uint32_t id);
void mnfq_i_held_remove(struct mnfq_i_held_list *list, struct mnfq_i_held *entry);
void mnfq_i_held_free(struct mnfq_i_held_list *list);

#endif
