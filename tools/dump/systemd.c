/* SPDX-License-Identifier: MIT */
/* The service manager: socket activation, readiness, the descriptor store, the watchdog. */
#include "dump/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/parse.h"
#include "common/pass-fd.h"
#include "sandbox/sandbox.h"

#define FIRST 3

/* The number in a variable; 0 if it is unset or malformed. */
static uint64_t get_variable(const char *name, uint64_t max)
{
	const char *text = getenv(name);
	uint64_t value = 0;

	if (!text || parse_number(text, 1, max, &value) < 0)
		return 0;
	return value;
}

/* Names are separated by colons, in the order of the descriptors. */
static void take_name(char *name, size_t size, const char **names)
{
	size_t len = strcspn(*names, ":");

	snprintf(name, size, "%.*s", (int)(len < size ? len : size - 1), *names);
	*names += len;
	if (**names == ':')
		(*names)++;
}

static int take(struct systemd_fd *fds, int count, char *error, size_t error_size)
{
	const char *names = getenv("LISTEN_FDNAMES");

	names = names ? names : "";
	for (int i = 0; i < count; i++) {
		fds[i].fd = FIRST + i;
		take_name(fds[i].name, sizeof(fds[i].name), &names);
		if (fcntl(fds[i].fd, F_SETFD, FD_CLOEXEC) < 0) {
			snprintf(
				error, error_size,
				"LISTEN_FDS=%d, but descriptor %d is not open: unset it, or pass "
				"them all",
				count, fds[i].fd);
			return -EBADF;
		}
	}
	return count;
}

int systemd_take_fds(struct systemd_fd **fds, char *error, size_t error_size)
{
	int count = (int)get_variable("LISTEN_FDS", 65536), n;

	if (count == 0 || get_variable("LISTEN_PID", INT32_MAX) != (uint64_t)getpid())
		return 0;
	*fds = calloc((size_t)count, sizeof(**fds));
	if (!*fds) {
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	n = take(*fds, count, error, error_size);
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return n;
}

int systemd_open(void)
{
	/* A manager that does not read must not block us. */
	const struct timeval timeout = { .tv_usec = 50000 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int manager;

	if (len < 2 || len >= sizeof(addr.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager < 0)
		return -1;
	sandbox_name_socket(manager);
	(void)setsockopt(manager, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(manager, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0) {
		close(manager);
		return -1;
	}
	return manager;
}

int64_t systemd_watchdog_ms(void)
{
	const uint64_t us = get_variable("WATCHDOG_USEC", INT64_MAX / 2);

	/* Without WATCHDOG_PID any process may answer. */
	if (getenv("WATCHDOG_PID") &&
	    get_variable("WATCHDOG_PID", INT32_MAX) != (uint64_t)getpid())
		return 0;
	return us == 0 ? 0 : us < 2000 ? 1 : (int64_t)(us / 2000);
}

void systemd_notify(int manager, const char *state, int fd)
{
	if (manager >= 0)
		(void)pass_fd(manager, state, strlen(state), fd, 0);
}
