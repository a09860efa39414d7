/* SPDX-License-Identifier: MIT */
/* What the kernel says about queues at a moment, and what has moved since another. */
#include "stat/reading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- taking ----------------------------------------------------------------------------- */

/* Queues may be bound meanwhile: once more then. Returns their number or a negative errno. */
static int read_queues(int fd, struct mnfq_kernel_queue **queues)
{
	int count = mnfq_kernel_queues_read(fd, NULL, 0), room;
	void *grown;

	*queues = NULL;
	do {
		room = count + 1;
		grown = count < 0 ? NULL : reallocarray(*queues, (size_t)room, sizeof(**queues));
		if (!grown)
			return count < 0 ? count : -ENOMEM;
		*queues = grown;
		(*queues)[0].size = sizeof(**queues);
		count = mnfq_kernel_queues_read(fd, *queues, (size_t)room);
	} while (count > room);
	return count;
}

static int add_row(struct reading *reading, const struct place *place,
		   const struct mnfq_kernel_queue *queue)
{
	struct row *row;

	if (reading->count == reading->room) {
		const size_t room = reading->room ? 2 * reading->room : 16;

		row = reallocarray(reading->rows, room, sizeof(*row));
		if (!row)
			return -ENOMEM;
		reading->rows = row;
		reading->room = room;
	}
	row = &reading->rows[reading->count++];
	*row = (struct row){ .netns_inode = place->inode, .queue = *queue };
	snprintf(row->netns, sizeof(row->netns), "%s", place->name);
	return 0;
}

/* Rows of one namespace, in want of their owner's socket. */
struct wanting {
	struct row *rows;
	size_t count;
};

static void set_socket(const struct netlink_socket *sock, void *data)
{
	const struct wanting *wanting = data;

	for (size_t i = 0; i < wanting->count; i++) {
		if (wanting->rows[i].queue.portid == sock->portid) {
			wanting->rows[i].inode = sock->inode;
			wanting->rows[i].socket_drops = sock->drops;
		}
	}
}

static void find_sockets(struct reading *reading, const struct place *place, size_t before)
{
	struct wanting wanting = { reading->rows + before, reading->count - before };
	int fd = wanting.count && place->netlink >= 0 ? dup(place->netlink) : -1;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (file) {
		owners_each_socket(file, set_socket, &wanting);
		fclose(file);
	} else if (fd >= 0) {
		close(fd);
	}
}

int reading_add(struct reading *reading, const struct place *place, uint16_t first, uint16_t last)
{
	const size_t before = reading->count;
	struct mnfq_kernel_queue *queues;
	int err = 0, count;

	if (place->queues < 0)
		return 0;
	count = read_queues(place->queues, &queues);
	for (int i = 0; i < count && err == 0; i++)
		if (queues[i].num >= first && queues[i].num <= last)
			err = add_row(reading, place, &queues[i]);
	free(queues);
	if (count < 0)
		return count;
	find_sockets(reading, place, before);
	return err;
}

void reading_fail(struct reading *reading, const char *error)
{
	if (reading->failures++ == 0)
		snprintf(reading->error, sizeof(reading->error), "%s", error);
}

static int by_place(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = strcmp(x->netns, y->netns);

	if (order == 0)
		order = (x->netns_inode > y->netns_inode) - (x->netns_inode < y->netns_inode);
	return order ? order : x->queue.num - y->queue.num;
}

/* A list that changes while it is read may have a queue twice. */
static void sort(struct reading *reading)
{
	size_t count = 0;

	if (reading->count > 0)
		qsort(reading->rows, reading->count, sizeof(reading->rows[0]), by_place);
	for (size_t i = 0; i < reading->count; i++)
		if (count == 0 || by_place(&reading->rows[i], &reading->rows[count - 1]) != 0)
			reading->rows[count++] = reading->rows[i];
	reading->count = count;
}

int reading_complete(struct reading *reading, struct owners *owners)
{
	uint64_t *inodes = calloc(reading->count + 1, sizeof(*inodes));
	const struct owner *owner;
	int err;

	if (!inodes)
		return -ENOMEM;
	sort(reading);
	for (size_t i = 0; i < reading->count; i++)
		inodes[i] = reading->rows[i].inode;
	err = owners_find(owners, inodes, reading->count);
	free(inodes);
	for (size_t i = 0; i < reading->count; i++) {
		owner = owners_get(owners, reading->rows[i].inode);
		if (owner) {
			reading->rows[i].pid = owner->pid;
			memcpy(reading->rows[i].command, owner->command, sizeof(owner->command));
		}
	}
	return err;
}

void reading_free(struct reading *reading)
{
	free(reading->rows);
	*reading = (struct reading){ 0 };
}

/* ---- comparing -------------------------------------------------------------------------- */

/* Did it go back? A queue that was unbound and bound again by the same socket begins at 0. */
static bool is_back(uint32_t now, uint32_t before)
{
	return now - before > INT32_MAX;
}

/*
 * The kernel does not tell the length of a queue (max_len). But if it dropped packets because the queue was full,
 * while none came in and none got a verdict, what waits is just that many.
 */
static uint32_t get_limit(const struct row *row, const struct row *before)
{
	const struct mnfq_kernel_queue *now = &row->queue, *then = &before->queue;

	if (now->queue_dropped != then->queue_dropped && now->last_id == then->last_id &&
	    now->waiting == then->waiting)
		return now->waiting;
	return now->waiting > before->limit ? 0 : before->limit;
}

static void compare(struct row *row, const struct row *before)
{
	const struct mnfq_kernel_queue *now = &row->queue, *then = &before->queue;

	if (now->portid != then->portid || is_back(now->last_id, then->last_id) ||
	    is_back(now->queue_dropped, then->queue_dropped) ||
	    is_back(now->user_dropped, then->user_dropped))
		return;
	row->compared = true;
	row->before = *then;
	row->limit = get_limit(row, before);
}

void reading_compare(struct reading *reading, const struct reading *before)
{
	const struct row *found;

	reading->elapsed_ms = (uint32_t)(reading->at_ms - before->at_ms);
	for (size_t i = 0; i < reading->count && before->count > 0; i++) {
		found = bsearch(&reading->rows[i], before->rows, before->count, sizeof(*found),
				by_place);
		if (found)
			compare(&reading->rows[i], found);
	}
}

double reading_rate(const struct reading *reading, uint32_t now, uint32_t before)
{
	return reading->elapsed_ms ? (uint32_t)(now - before) * 1000.0 / reading->elapsed_ms : 0;
}
