/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets by path. A new socket listens under a temporary name first and is renamed then, so that
 * whatever is at the path listens, or is left over from a process that was killed.
 */
#include "common/unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

#define PLACE_TRIES 8 /* while others come and go there */

static int set_error(char *error, size_t error_size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static int set_error(char *error, size_t error_size, int err, const char *format, ...)
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
		return set_error(error, error_size, -EINVAL,
				 "the path of a socket cannot be empty");
	if (strlen(path) >= sizeof(addr->sun_path))
		return set_error(error, error_size, -ENAMETOOLONG,
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
	if (err == -ECONNREFUSED && !is_socket(path)) /* the kernel reports the same for files */
		err = -ENOTSOCK;
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return set_error(error, error_size, err, "%s: no program listens there", path);
	case -ENOTSOCK:
		return set_error(error, error_size, err, "%s: this is not a socket", path);
	case -EPROTOTYPE:
		return set_error(error, error_size, err,
				 "%s: this is a Unix socket, but not a stream", path);
	case -EACCES:
		return set_error(error, error_size, err,
				 "%s: this user may not connect: the mode of the socket, or of a "
				 "directory, forbids it",
				 path);
	case -EAGAIN:
		return set_error(error, error_size, err,
				 "%s: too many connections wait there to be accepted", path);
	default:
		return set_error(error, error_size, err, "%s: cannot connect: %s", path,
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

/* 0 for a socket that no program listens on, or nothing at all; else -EEXIST, -EADDRINUSE or another errno. */
static int check_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = try_connect(addr);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE)
		return -EADDRINUSE;
	return fd == -ECONNREFUSED || fd == -ENOENT ? 0 : fd;
}

static int explain_in_use(const char *path, int err, char *error, size_t error_size)
{
	switch (err) {
	case -EEXIST:
		return set_error(error, error_size, err,
				 "%s: there is a file that is not a socket: remove it, or choose "
				 "another path",
				 path);
	case -EADDRINUSE:
		return set_error(
			error, error_size, err,
			"%s: another program listens there: end it, or choose another path",
			path);
	default:
		return set_error(error, error_size, err,
				 "%s: cannot find out whether the socket there is in use: %s",
				 path, strerror(-err));
	}
}

static int exchange(const char *a, const char *b)
{
	return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

/*
 * Takes the place of a stale socket, which gets the temporary name. If another program has replaced that
 * one since, its socket gets the place back.
 */
static int replace_stale(const struct sockaddr_un *temporary, const struct sockaddr_un *addr,
			 char *error, size_t error_size)
{
	const char *path = addr->sun_path;
	int err = exchange(temporary->sun_path, path);

	if (err == -ENOENT)
		return -EAGAIN;
	if (err < 0)
		return set_error(error, error_size, err,
				 "%s: a socket that no program uses cannot be replaced: %s: "
				 "remove it",
				 path, strerror(-err));
	err = check_stale(temporary);
	if (err == 0)
		return 0;
	(void)exchange(temporary->sun_path, path);
	return explain_in_use(path, err, error, error_size);
}

/* Gives a socket that listens its name. The temporary one is the caller's to remove, whatever it is of then. */
static int place(const struct sockaddr_un *temporary, const struct sockaddr_un *addr, char *error,
		 size_t error_size)
{
	const char *path = addr->sun_path;
	int err = -EAGAIN;

	for (int i = 0; i < PLACE_TRIES && err == -EAGAIN; i++) {
		if (link(temporary->sun_path, path) == 0)
			return 0;
		if (errno != EEXIST)
			return set_error(error, error_size, -errno, "%s: cannot listen there: %s",
					 path, strerror(errno));
		err = check_stale(addr);
		if (err < 0)
			return explain_in_use(path, err, error, error_size);
		err = replace_stale(temporary, addr, error, error_size);
	}
	return err == -EAGAIN ? explain_in_use(path, -EADDRINUSE, error, error_size) : err;
}

/*
 * Makes up a name in the same directory. Where that would be too long for an address, it goes by a
 * descriptor of the directory.
 */
static int get_temporary(struct sockaddr_un *addr, const char *path, int *directory)
{
	const char *slash = strrchr(path, '/');
	char parent[sizeof(addr->sun_path)] = ".";
	uint32_t number;

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	if (snprintf(addr->sun_path, sizeof(addr->sun_path), "%s.%08x", path, number) <
	    (int)sizeof(addr->sun_path))
		return 0;
	if (slash)
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path + 1), path);
	*directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%08x", *directory,
		 number);
	return *directory < 0 ? -errno : 0;
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

static int explain_bind(const char *path, int err, char *error, size_t error_size)
{
	switch (err) {
	case -ENOENT:
		return set_error(error, error_size, err, "%s: there is no such directory", path);
	case -EACCES:
		return set_error(error, error_size, err,
				 "%s: this user may not make files in that directory", path);
	default:
		return set_error(error, error_size, err, "%s: cannot listen there: %s", path,
				 strerror(-err));
	}
}

/* Listens under the temporary name. */
static int listen_at(struct unix_listener *listener, const struct sockaddr_un *temporary)
{
	struct stat st;

	if (lstat(temporary->sun_path, &st) < 0 || listen(listener->fd, SOMAXCONN) < 0)
		return -errno;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return 0;
}

static int bind_and_place(struct unix_listener *listener, const struct sockaddr_un *temporary,
			  const char *path, mode_t mode, char *error, size_t error_size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int err = bind_with_mode(listener->fd, temporary, mode);

	strcpy(addr.sun_path, path);
	if (err < 0)
		return explain_bind(path, err, error, error_size);
	err = listen_at(listener, temporary);
	if (err < 0)
		err = explain_bind(path, err, error, error_size);
	else
		err = place(temporary, &addr, error, error_size);
	(void)unlink(temporary->sun_path);
	return err;
}

int unix_listen(struct unix_listener *listener, const char *path, mode_t mode, char *error,
		size_t error_size)
{
	struct sockaddr_un temporary;
	int directory = -1, err = get_address(&temporary, path, error, error_size);

	*listener = (struct unix_listener){ .fd = -1 };
	if (err < 0)
		return err;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return set_error(error, error_size, -errno, "cannot make a Unix socket: %s",
				 strerror(errno));
	err = get_temporary(&temporary, path, &directory);
	if (err < 0)
		err = explain_bind(path, err, error, error_size);
	else
		err = bind_and_place(listener, &temporary, path, mode, error, error_size);
	if (directory >= 0)
		close(directory);
	if (err == 0)
		listener->path = path;
	else
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
