/* SPDX-License-Identifier: MIT */
/* kernel-queues.c: the kernel's list of queues, as it is, as newer kernels may have it, and cut anywhere. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <mnfq/mnfq.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM 8

static struct mnfq_kernel_queue queues[ROOM];

static int file_of(const char *text, size_t len)
{
	int fd = memfd_create("queues", MFD_CLOEXEC);

	cr_assert(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	return fd;
}

/* What is found in @text. */
static int read_text(const char *text)
{
	int count, fd = file_of(text, strlen(text));

	memset(queues, 0, sizeof(queues));
	queues[0].size = sizeof(queues[0]);
	count = mnfq_kernel_queues_read(fd, queues, ROOM);
	cr_assert(eq(int, (int)lseek(fd, 0, SEEK_CUR), (int)strlen(text)), "it has moved");
	close(fd);
	return count;
}

static void expect_queue(const struct mnfq_kernel_queue *queue,
			 const struct mnfq_kernel_queue *expected)
{
	cr_expect(eq(sz, queue->size, sizeof(*queue)));
	cr_expect(eq(u16, queue->num, expected->num));
	cr_expect(eq(int, queue->copy_mode, expected->copy_mode));
	cr_expect(eq(u32, queue->copy_range, expected->copy_range));
	cr_expect(eq(u32, queue->portid, expected->portid));
	cr_expect(eq(u32, queue->waiting, expected->waiting));
	cr_expect(eq(u32, queue->queue_dropped, expected->queue_dropped));
	cr_expect(eq(u32, queue->user_dropped, expected->user_dropped));
	cr_expect(eq(u32, queue->last_id, expected->last_id));
}

Test(kernel_queues, as_the_kernel_writes_them)
{
	cr_assert(eq(int,
		     read_text("    5   4711    12 2 65531     7     8      345  1\n"
			       "65535 4294967295 4294967295 1     0 4294967295 4294967295 "
			       "4294967295  1\n"
			       "    0      1     0 0     0     0     0        0  1\n"),
		     3));
	expect_queue(&queues[0], &(struct mnfq_kernel_queue){ .num = 5,
							      .portid = 4711,
							      .waiting = 12,
							      .copy_mode = MNFQ_COPY_PACKET,
							      .copy_range = 65531,
							      .queue_dropped = 7,
							      .user_dropped = 8,
							      .last_id = 345 });
	expect_queue(&queues[1], &(struct mnfq_kernel_queue){ .num = 65535,
							      .portid = UINT32_MAX,
							      .waiting = UINT32_MAX,
							      .copy_mode = MNFQ_COPY_META,
							      .queue_dropped = UINT32_MAX,
							      .user_dropped = UINT32_MAX,
							      .last_id = UINT32_MAX });
	expect_queue(&queues[2],
		     &(struct mnfq_kernel_queue){ .portid = 1, .copy_mode = MNFQ_COPY_NONE });
}

Test(kernel_queues, none)
{
	cr_expect(eq(int, read_text(""), 0));
	cr_expect(eq(int, read_text("\n\n"), 0));
}

Test(kernel_queues, columns_and_modes_of_newer_kernels)
{
	cr_assert(eq(int, read_text("5 4711 12 2 65531 7 8 345 1 1024 new -5\n5 1 1 3 1 1 1 1\n"),
		     2));
	cr_expect(eq(u32, queues[0].last_id, 345));
	cr_expect(eq(int, queues[1].copy_mode, MNFQ_COPY_DEFAULT));
}

Test(kernel_queues, malformed_lines_are_left_out)
{
	static const char *const lines[] = {
		"5 1 1 2 1 1 1",              /* too few columns */
		"65536 1 1 2 1 1 1 1 1",      /* no number of a queue */
		"5 4294967296 1 2 1 1 1 1 1", /* more than 32 bits */
		"5 1 1 2 1 1 1 18446744073709551617 1",
		"5 -1 1 2 1 1 1 1 1",
		"5 +1 1 2 1 1 1 1 1",
		"5 0x1 1 2 1 1 1 1 1",
		"5 1 1 2 1 1 1 1x",
		"queue portid waiting mode range dropped user id one",
		"5,1,1,2,1,1,1,1,1",
	};
	char text[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		snprintf(text, sizeof(text), "1 1 1 2 1 1 1 1 1\n%s\n3 1 1 2 1 1 1 1 1\n",
			 lines[i]);
		cr_expect(eq(int, read_text(text), 2), "%s", lines[i]);
		cr_expect(eq(u16, queues[1].num, 3), "%s", lines[i]);
	}
	cr_expect(eq(int, read_text("5 1 1 2 1 1 1 1 1"), 0), "no end of line");
}

/* A line that ends with the file may have lost digits of its last number. */
Test(kernel_queues, cut_anywhere)
{
	static const char text[] = "    5   4711    12 2 65531     7     8      345  1\n"
				   "    6   4711    12 2 65531     7     8      345  1\n";
	const int line = (int)sizeof(text) / 2;
	char cut[sizeof(text)];

	for (int len = 0; len < (int)sizeof(text); len++) {
		snprintf(cut, sizeof(cut), "%.*s", len, text);
		cr_expect(eq(int, read_text(cut), len / line), "%d", len);
	}
}

/* A zero within a line ends it. */
Test(kernel_queues, zeros)
{
	static const char text[] =
		"1 1 1 2 1 1 1\0 1 1\n2 1 1 2 1 1 1 1\0\xff\n3 1 1 2 1 1 1 1 1\n";
	int fd = file_of(text, sizeof(text) - 1);

	queues[0].size = sizeof(queues[0]);
	cr_assert(eq(int, mnfq_kernel_queues_read(fd, queues, ROOM), 2));
	cr_expect(eq(u16, queues[0].num, 2));
	cr_expect(eq(u16, queues[1].num, 3));
	close(fd);
}

/* So many that lines straddle the reads, and of a caller who has room for few, or none. */
Test(kernel_queues, more_than_there_is_room_for)
{
	const size_t size = 65536 * 80;
	char *text = malloc(size);
	size_t len = 0;
	int fd;

	for (unsigned int i = 0; i < 65536; i++)
		len += (size_t)snprintf(text + len, size - len,
					"%5u %6u %5u %1u %5u %5u %5u %8u %2d\n", i, 1000000 + i,
					1, 2, 3, 4, 5, 70000 - i, 1);
	fd = file_of(text, len);
	memset(queues, 0, sizeof(queues));
	queues[0].size = sizeof(queues[0]);
	queues[7].num = 4711;
	cr_expect(eq(int, mnfq_kernel_queues_read(fd, queues, ROOM - 1), 65536));
	cr_expect(eq(u16, queues[6].num, 6));
	cr_expect(eq(u16, queues[7].num, 4711), "no room");
	cr_expect(eq(int, mnfq_kernel_queues_read(fd, NULL, 0), 65536));
	free(text);
	text = calloc(65536, sizeof(queues[0]));
	((struct mnfq_kernel_queue *)text)[0].size = sizeof(queues[0]);
	cr_expect(eq(int, mnfq_kernel_queues_read(fd, (struct mnfq_kernel_queue *)text, 65536),
		     65536));
	for (unsigned int i = 0; i < 65536; i++) {
		const struct mnfq_kernel_queue *queue = (struct mnfq_kernel_queue *)text + i;

		cr_assert(queue->num == i && queue->portid == 1000000 + i &&
				  queue->last_id == 70000 - i,
			  "%u: %u", i, queue->num);
	}
	free(text);
	close(fd);
}

/* Elements of another version's size, each of which has it. */
Test(kernel_queues, elements_of_any_size)
{
	const size_t sizes[] = { sizeof(size_t), 2 * sizeof(size_t), sizeof(queues[0]), 512 };
	int fd = file_of("5 1 1 2 1 1 1 1 1\n6 1 1 2 1 1 1 1 1\n", 36);
	unsigned char array[3 * 512] __attribute__((aligned(sizeof(size_t))));
	struct mnfq_kernel_queue queue;
	size_t size;

	for (size_t i = 0; i < 4; i++) {
		memset(array, 0xee, sizeof(array));
		memcpy(array, &sizes[i], sizeof(size_t));
		cr_assert(eq(int, mnfq_kernel_queues_read(fd, (void *)array, 2), 2));
		memcpy(&size, array + sizes[i], sizeof(size));
		cr_expect(eq(sz, size, sizes[i]));
		cr_expect(array[2 * sizes[i]] == 0xee, "beyond the array");
		if (sizes[i] < sizeof(queue))
			continue;
		memcpy(&queue, array + sizes[i], sizeof(queue));
		cr_expect(eq(u16, queue.num, 6));
		for (size_t j = sizeof(queue); j < sizes[i]; j++)
			cr_assert(array[j] == 0, "what is newer than we are is zero");
	}
	close(fd);
}

Test(kernel_queues, what_is_not_that_file)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), ends[2];
	char *text = malloc(200000);

	cr_expect(eq(int, mnfq_kernel_queues_read(fd, NULL, 0), -EBADMSG), "no end of line");
	close(fd);
	memset(text, '\n', 200000);
	fd = file_of(text, 200000);
	cr_expect(eq(int, mnfq_kernel_queues_read(fd, NULL, 0), -EBADMSG), "nothing but ends");
	close(fd);
	free(text);
	cr_assert(pipe(ends) == 0);
	cr_expect(eq(int, mnfq_kernel_queues_read(ends[0], NULL, 0), -ESPIPE));
	cr_expect(eq(int, mnfq_kernel_queues_read(-1, NULL, 0), -EBADF));
	cr_expect(eq(int, mnfq_kernel_queues_read(ends[0], NULL, 1), -EINVAL));
	memset(queues, 0, sizeof(queues));
	cr_expect(eq(int, mnfq_kernel_queues_read(ends[0], queues, 1), -EINVAL));
}
