/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: how many system calls a process makes. The kernel's tracepoint counts, whatever library
 * makes them, and delays none of them: so packets can come at the rate at which the time is taken.
 * While it is in use system calls take a longer path in the kernel: only in runs without a clock.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/bench.h"

#ifndef FSOPEN_CLOEXEC /* linux/mount.h, which does not go with sys/mount.h */
#define FSOPEN_CLOEXEC      1
#define FSMOUNT_CLOEXEC     1
#define FSCONFIG_CMD_CREATE 6
#endif

/* Tracefs, mounted where nobody sees it: where it should be it may be missing. Or -1. */
static int mount_tracefs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC), mount = -1;

	if (fs < 0)
		return -1;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return mount;
}

/* The number of the tracepoint, or 0. */
static uint64_t find_tracepoint(void)
{
	char text[24] = "";
	int fd = -1, dir = mount_tracefs();

	if (dir >= 0) {
		fd = openat(dir, "events/raw_syscalls/sys_enter/id", O_RDONLY | O_CLOEXEC);
		close(dir);
	}
	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return strtoull(text, NULL, 10);
}

int bench_calls_open(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT,
					.size = sizeof(attr),
					.config = find_tracepoint(),
					.disabled = 1,
					.inherit = 1 };

	return attr.config == 0 ? -1
				: (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1,
					       PERF_FLAG_FD_CLOEXEC);
}

void bench_calls_begin(int fd)
{
	if (fd >= 0)
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
}

int64_t bench_calls_end(int fd)
{
	uint64_t calls = 0;
	ssize_t len;

	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_DISABLE, 0) < 0)
		return -1;
	len = read(fd, &calls, sizeof(calls));
	close(fd);
	/* The last one is the one that ended it. */
	return len == sizeof(calls) && calls > 0 ? (int64_t)calls - 1 : -1;
}
