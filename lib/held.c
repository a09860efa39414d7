// SPDX-License-Identifier: MIT
/*
 * The packets of a queue that are decided later. Entries for ids come in chunks that are kept as long as the
 * queue, and the table only grows: where about as many packets are held as before nothing is allocated.
 */
#include "held.h"

#include <stdlib.h>

#include "wire.h"

#define HELD_CHUNK 64
#define TABLE_MIN  64

struct mnfq_i_held_chunk {
	struct mnfq_i_held_chunk *next;
	struct mnfq_i_held entries[HELD_CHUNK];
};

static struct mnfq_i_held **place(const struct mnfq_i_held_list *list, uint32_t id)
{
	return &list->table[id & (list->table_size - 1)];
}

/* Without memory for a larger table the lists of those with the same hash get longer. */
static void grow_table(struct mnfq_i_held_list *list)
{
	const size_t size = list->table_size ? 2 * list->table_size : TABLE_MIN;
	struct mnfq_i_held **table = calloc(size, sizeof(struct mnfq_i_held *)), *entry;
	struct mnfq_i_held **old = list->table;

	if (!table)
		return;
	list->table = table;
	list->table_size = size;
	free(old); /* not earlier: a child of fork() may find things as they are at any moment */
	for (entry = list->oldest; entry; entry = entry->next) {
		entry->same = *place(list, entry->id);
		*place(list, entry->id) = entry;
	}
}

/* By id: one that was handed to us late goes where it belongs. False: out of memory. */
bool mnfq_i_held_insert(struct mnfq_i_held_list *list, struct mnfq_i_held *entry)
{
	struct mnfq_i_held *prev = list->newest;

	if (list->count >= list->table_size)
		grow_table(list);
	if (!list->table)
		return false;
	while (prev && mnfq_i_after(prev->id, entry->id))
		prev = prev->prev;
	entry->prev = prev;
	entry->next = prev ? prev->next : list->oldest;
	*(entry->next ? &entry->next->prev : &list->newest) = entry;
	*(prev ? &prev->next : &list->oldest) = entry;
	entry->same = *place(list, entry->id);
	*place(list, entry->id) = entry;
	list->count++;
	return true;
}

/* Holds an id without a packet. False: out of memory. */
bool mnfq_i_held_add(struct mnfq_i_held_list *list, uint32_t id)
{
	struct mnfq_i_held_chunk *chunk;
	struct mnfq_i_held *entry;
	unsigned int i;

	if (!list->unused) {
		chunk = calloc(1, sizeof(*chunk));
		if (!chunk)
			return false;
		chunk->next = list->chunks;
		list->chunks = chunk;
		for (i = 0; i < HELD_CHUNK; i++) {
			chunk->entries[i].same = list->unused;
			list->unused = &chunk->entries[i];
		}
	}
	entry = list->unused;
	list->unused = entry->same;
	entry->id = id;
	if (mnfq_i_held_insert(list, entry))
		return true;
	entry->same = list->unused;
	list->unused = entry;
	return false;
}

struct mnfq_i_held *mnfq_i_held_find(const struct mnfq_i_held_list *list, uint32_t id)
{
	struct mnfq_i_held *entry = list->table ? *place(list, id) : NULL;

	while (entry && entry->id != id)
		entry = entry->same;
	return entry;
}

/* An entry without a packet may be used again from here on. */
void mnfq_i_held_remove(struct mnfq_i_held_list *list, struct mnfq_i_held *entry)
{
	struct mnfq_i_held **at = place(list, entry->id);

	while (*at != entry)
		at = &(*at)->same;
	*at = entry->same;
	*(entry->prev ? &entry->prev->next : &list->oldest) = entry->next;
	*(entry->next ? &entry->next->prev : &list->newest) = entry->prev;
	list->count--;
	if (!entry->packet) {
		entry->same = list->unused;
		list->unused = entry;
	}
}

/* Nothing is held any more. */
void mnfq_i_held_free(struct mnfq_i_held_list *list)
{
	struct mnfq_i_held_chunk *chunk;

	while ((chunk = list->chunks)) {
		list->chunks = chunk->next;
		free(chunk);
	}
	free(list->table);
}
