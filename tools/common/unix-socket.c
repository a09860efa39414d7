/* SPDX-License-Identifier: MIT */
/* Unix sockets by path: listening without stepping on anybody's file, connecting. */
#include "common/unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* One who has bound its socket and not said listen() yet is not dead. */
#define GRACE_MS    10
#define GRACE_TRIES 10

static int unix_tell(char *error, size_t error_size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static int unix_tell(char *error, size_t error_size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, error_size, format, args);
	va_end(args);
	return err;
}

static int get_address(struct sockaddr_un *addr, const char *path, char *error, size_t error_size)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path) /* would be a name that the kernel makes up */
		return unix_tell(error, error_size, -EINVAL,
				 "the path of a socket cannot be empty");
	if (strlen(path) >= sizeof(addr->sun_path))
		return unix_tell(error, error_size, -ENAMETOOLONG,
				 "%s: the path of a socket can have %zu bytes, and this has %zu: "
				 "choose a shorter one, or change to its directory",
				 path, sizeof(addr->sun_path) - 1, strlen(path));
	strcpy(addr->sun_path, path);
	return 0;
}

/* ---- connecting ---- */

static int try_connect(const struct sockaddr_un *addr)
{
	int err, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int explain_connect(const char *path, int err, char *error, size_t error_size)
{
	if (err == -ECONNREFUSED && !is_socket(path)) /* this is what the kernel says of files */
		err = -ENOTSOCK;
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return unix_tell(error, error_size, err, "%s: nobody listens there", path);
	case -ENOTSOCK:
		return unix_tell(error, error_size, err, "%s: this is not a socket", path);
	case -EPROTOTYPE:
		return unix_tell(error, error_size, err,
				 "%s: this is a Unix socket, but not a stream", path);
	case -EACCES:
		return unix_tell(error, error_size, err,
				 "%s: this user may not connect: the mode of the socket, or of a "
				 "directory, forbids it",
				 path);
	case -EAGAIN:
		return unix_tell(error, error_size, err,
				 "%s: too many others wait there to be accepted", path);
	default:
		return unix_tell(error, error_size, err, "%s: cannot connect: %s", path,
				 strerror(-err));
	}
}

int unix_connect(const char *path, char *error, size_t error_size)
{
	struct sockaddr_un addr;
	int fd, err = get_address(&addr, path, error, error_size);

	if (err < 0)
		return err;
	fd = try_connect(&addr);
	if (fd < 0)
		return explain_connect(path, fd, error, error_size);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

/* ---- listening ---- */

/* Whether the socket at the address has nobody who listens: 0 if so, else a negative errno. */
static int check_stale(const struct sockaddr_un *addr)
{
	int fd = -ECONNREFUSED;

	for (int i = 0; i < GRACE_TRIES && fd == -ECONNREFUSED; i++) {
		if (i > 0)
			poll(NULL, 0, GRACE_MS);
		fd = try_connect(addr);
	}
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE)
		return -EADDRINUSE;
	return fd == -ECONNREFUSED || fd == -ENOENT ? 0 : fd;
}

/* Removes what somebody who was killed has left, and nothing else. */
static int remove_stale(const struct sockaddr_un *addr, char *error, size_t error_size)
{
	const char *path = addr->sun_path;
	struct stat before, after;
	int err;

	if (lstat(path, &before) < 0)
		return errno == ENOENT ? 0
				       : unix_tell(error, error_size, -errno, "%s: %s", path,
						   strerror(errno));
	if (!S_ISSOCK(before.st_mode))
		return unix_tell(error, error_size, -EEXIST,
				 "%s: there is a file that is not a socket: remove it, or choose "
				 "another path",
				 path);
	err = check_stale(addr);
	if (err == -EADDRINUSE)
		return unix_tell(
			error, error_size, err,
			"%s: another program listens there: end it, or choose another path",
			path);
	if (err < 0)
		return unix_tell(
			error, error_size, err,
			"%s: there is a socket, and whether it is in use cannot be told: %s",
			path, strerror(-err));
	if (lstat(path, &after) < 0 || after.st_dev != before.st_dev ||
	    after.st_ino != before.st_ino)
		return 0; /* somebody else was quicker: binding will tell */
	if (unlink(path) < 0 && errno != ENOENT)
		return unix_tell(error, error_size, -errno,
				 "%s: a socket that nobody uses cannot be removed: %s", path,
				 strerror(errno));
	return 0;
}

/* The file gets the mode of the socket that is bound, less the umask. */
static int bind_with_mode(int fd, const struct sockaddr_un *addr, mode_t mode)
{
	mode_t mask;
	int err;

	if (fchmod(fd, mode) < 0)
		return -errno;
	mask = umask(0);
	err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	umask(mask);
	return err;
}

static int bind_path(int fd, const struct sockaddr_un *addr, mode_t mode, char *error,
		     size_t error_size)
{
	int err = bind_with_mode(fd, addr, mode);

	if (err == -EADDRINUSE) {
		err = remove_stale(addr, error, error_size);
		if (err < 0)
			return err;
		err = bind_with_mode(fd, addr, mode);
	}
	if (err == -ENOENT)
		return unix_tell(error, error_size, err, "%s: there is no such directory",
				 addr->sun_path);
	return err < 0 ? unix_tell(error, error_size, err, "%s: cannot listen there: %s",
				   addr->sun_path, strerror(-err))
		       : 0;
}

static int listen_at(struct unix_listener *listener, const char *path, char *error,
		     size_t error_size)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return unix_tell(error, error_size, -errno, "%s: the socket is gone at once: %s",
				 path, strerror(errno));
	listener->path = path;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return listen(listener->fd, SOMAXCONN) < 0
		       ? unix_tell(error, error_size, -errno, "%s: cannot listen there: %s", path,
				   strerror(errno))
		       : 0;
}

int unix_listen(struct unix_listener *listener, const char *path, mode_t mode, char *error,
		size_t error_size)
{
	struct sockaddr_un addr;
	int err = get_address(&addr, path, error, error_size);

	*listener = (struct unix_listener){ .fd = -1 };
	if (err < 0)
		return err;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return unix_tell(error, error_size, -errno, "cannot make a Unix socket: %s",
				 strerror(errno));
	err = bind_path(listener->fd, &addr, mode, error, error_size);
	if (err == 0)
		err = listen_at(listener, path, error, error_size);
	if (err < 0)
		unix_unlisten(listener);
	return err;
}

void unix_unlisten(struct unix_listener *listener)
{
	struct stat st;

	if (listener->path && lstat(listener->path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		(void)unlink(listener->path);
	if (listener->fd >= 0)
		close(listener->fd);
	*listener = (struct unix_listener){ .fd = -1 };
}

bool unix_is_listener(int fd)
{
	int domain = 0, accepts = 0;
	socklen_t len = sizeof(int);

	(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	len = sizeof(int);
	(void)getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len);
	return domain == AF_UNIX && accepts;
}
