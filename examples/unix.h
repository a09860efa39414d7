/* SPDX-License-Identifier: MIT */
/* Common code of the examples that pass sockets: Unix sockets by path. See unix(7). */
#ifndef MNFQ_EXAMPLE_UNIX_H
#define MNFQ_EXAMPLE_UNIX_H

#include "example.h"

#include <mnfq/handover.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A Unix socket, and the address of @path. */
static inline int example_unix(struct sockaddr_un *addr, const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (fd < 0 || strlen(path) >= sizeof(addr->sun_path))
		example_fail(fd < 0 ? -errno : -ENAMETOOLONG, "");
	strcpy(addr->sun_path, path);
	return fd;
}

static inline int example_connect(const char *path)
{
	struct sockaddr_un addr;
	int fd = example_unix(&addr, path);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		example_fail(-errno, "");
	return fd;
}

/* Accepts one connection at @path. The mode of the socket admits only our own user and root. */
static inline int example_accept(const char *path)
{
	struct sockaddr_un addr;
	int stream, listener = example_unix(&addr, path);

	fchmod(listener, 0600); /* before it has a name */
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		example_fail(-errno, "");
	listen(listener, 1);
	fprintf(stderr, "waiting for a socket at %s\n", path);
	stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	unlink(path);
	if (stream < 0)
		example_fail(-errno, "");
	close(listener);
	return stream;
}

#endif
