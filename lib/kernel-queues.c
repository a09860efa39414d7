// SPDX-License-Identifier: MIT
/* The kernel's list of queues, the file /proc/net/netfilter/nfnetlink_queue: the only parser of it. */
#include "kernel-queues.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

/* The kernel hands out a page at a time. */
#define READ_SIZE 4096
/* A namespace has at most 2^16 queues; those that come and go while it is read can be listed twice. */
#define LINES_MAX (1u << 17)

/* Reads a column: a decimal number of at most @max. */
static bool take_number(const char **text, uint32_t max, uint32_t *number)
{
	const char *at = *text + strspn(*text, " \t");
	uint64_t value = 0;

	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		value = value * 10 + (uint64_t)(*at - '0');
		if (value > max)
			return false;
	}
	if (*at && *at != ' ' && *at != '\t')
		return false;
	*text = at;
	*number = (uint32_t)value;
	return true;
}

static enum mnfq_copy get_copy_mode(uint32_t kernel)
{
	/* The kernel's 0 is "none", ours is the default. */
	static const enum mnfq_copy modes[] = { MNFQ_COPY_NONE, MNFQ_COPY_META,
						MNFQ_COPY_PACKET };

	return kernel < sizeof(modes) / sizeof(modes[0]) ? modes[kernel] : MNFQ_COPY_DEFAULT;
}

/* Newer kernels may add columns at the end. */
static bool parse(const char *line, struct mnfq_kernel_queue *queue)
{
	uint32_t num, mode;

	memset(queue, 0, sizeof(*queue));
	queue->size = sizeof(*queue);
	if (!take_number(&line, UINT16_MAX, &num) ||
	    !take_number(&line, UINT32_MAX, &queue->portid) ||
	    !take_number(&line, UINT32_MAX, &queue->waiting) ||
	    !take_number(&line, UINT32_MAX, &mode) ||
	    !take_number(&line, UINT32_MAX, &queue->copy_range) ||
	    !take_number(&line, UINT32_MAX, &queue->queue_dropped) ||
	    !take_number(&line, UINT32_MAX, &queue->user_dropped) ||
	    !take_number(&line, UINT32_MAX, &queue->last_id))
		return false;
	queue->num = (uint16_t)num;
	queue->copy_mode = get_copy_mode(mode);
	return true;
}

/*
 * Calls @look for each queue in the file. A read may end in the middle of a line; what the file itself ends
 * with, without an end of line, was cut, and so may be its last number. Returns 0 or a negative errno.
 */
int mnfq_i_kernel_queues_each(int fd,
			      void (*look)(const struct mnfq_kernel_queue *queue, void *data),
			      void *data)
{
	char buffer[READ_SIZE], *line, *end;
	struct mnfq_kernel_queue queue;
	unsigned int lines = 0;
	size_t have = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buffer + have, sizeof(buffer) - have, at)) > 0) {
		at += n;
		have += (size_t)n;
		for (line = buffer; (end = memchr(line, '\n', have)); line = end + 1) {
			have -= (size_t)(end + 1 - line);
			*end = '\0';
			if (++lines > LINES_MAX)
				return -EBADMSG;
			if (parse(line, &queue))
				look(&queue, data);
		}
		if (have == sizeof(buffer))
			return -EBADMSG;
		memmove(buffer, line, have);
	}
	return n < 0 ? -errno : 0;
}

/* The caller's array: elements of a size of his. */
struct array {
	uint8_t *at;
	size_t size, room;
	int count;
};

static void add_row(const struct mnfq_kernel_queue *queue, void *data)
{
	struct array *array = data;

	if ((size_t)array->count++ >= array->room)
		return;
	memcpy(array->at, &array->size, sizeof(array->size));
	mnfq_i_options_return(array->at, queue, sizeof(*queue));
	array->at += array->size;
}

int mnfq_kernel_queues_read(int fd, struct mnfq_kernel_queue *queues, size_t count)
{
	struct array array = { .at = (uint8_t *)queues, .room = count };
	int err;

	if (count > 0) {
		if (!mnfq_i_options_sized(queues))
			return -EINVAL;
		array.size = queues[0].size;
	}
	err = mnfq_i_kernel_queues_each(fd, add_row, &array);
	return err < 0 ? err : array.count;
}
