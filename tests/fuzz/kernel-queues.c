/* SPDX-License-Identifier: MIT */
/* kernel-queues.c with any bytes as the kernel's list of queues. */
#include <errno.h>
#include <mnfq/mnfq.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
	if (!condition)
		abort();
}

/* How many lines have an end. */
static int count_lines(const uint8_t *data, size_t size)
{
	int lines = 0;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	/* A sanitizer sees where it ends. */
	struct mnfq_kernel_queue *queues = calloc(ROOM, sizeof(*queues));
	int count;

	if (fd < 0)
		fd = memfd_create("queues", MFD_CLOEXEC);
	if (!queues)
		return 0;
	expect(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	queues[0].size = sizeof(*queues);
	count = mnfq_kernel_queues_read(fd, queues, ROOM);
	expect(count >= 0 ? count <= count_lines(data, size) : count == -EBADMSG);
	expect(mnfq_kernel_queues_read(fd, NULL, 0) == count);
	for (int i = 0; i < count && i < ROOM; i++)
		expect(queues[i].size == sizeof(*queues) && queues[i].copy_mode <= 3);
	free(queues);
	return 0;
}
