/* SPDX-License-Identifier: MIT */
/* The process and its surroundings: descriptors, limits, signals, the clock. */
#include "common/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void close_from_to(unsigned int first, unsigned int last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* Before Linux 5.9. Higher ones are improbable. */
	for (; first <= last && first < 65536; first++)
		close((int)first);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void close_all_but(int *fds, unsigned int count)
{
	unsigned int i, first = 3;

	qsort(fds, count, sizeof(fds[0]), by_value);
	for (i = 0; i < count; i++) {
		close_from_to(first, (unsigned int)fds[i] - 1);
		first = (unsigned int)fds[i] + 1;
	}
	close_from_to(first, ~0u);
}

void die_with_parent(pid_t parent, int signal)
{
	prctl(PR_SET_PDEATHSIG, signal);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
}

void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max; /* more takes CAP_SYS_RESOURCE */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool is_transient(int err)
{
	return err == EAGAIN || err == EINTR || err == ENOMEM || err == ENOBUFS ||
	       err == EMFILE || err == ENFILE;
}
