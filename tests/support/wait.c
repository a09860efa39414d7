/* SPDX-License-Identifier: MIT */
/* Waiting for a condition with a deadline, and a check for leaked descriptors. */
#include "wait.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool wait_again(int64_t *since)
{
	int64_t now = now_ms();

	if (*since == 0)
		*since = now;
	if (now - *since > DEADLINE_MS)
		return false;
	poll(NULL, 0, 1); /* leave the processor to those we wait for */
	return true;
}

bool wait_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, DEADLINE_MS) == 1;
}

char *descriptors(void)
{
	char path[64], target[256], *list = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&list, &size);

	for (int fd = 0; fd < 1024; fd++) {
		ssize_t len;

		if (fcntl(fd, F_GETFD) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target));
		fprintf(out, "%d %.*s\n", fd, len > 0 ? (int)len : 0, target);
	}
	fclose(out);
	return list;
}

void check_descriptors(char *before)
{
	char *after = descriptors();

	cr_assert(strcmp(before, after) == 0, "open before:\n%sopen after:\n%s", before, after);
	free(before);
	free(after);
}
