/* SPDX-License-Identifier: MIT */
/* Unix sockets by path: listening without replacing files of others, connecting. */
#ifndef MNFQ_TOOLS_UNIX_SOCKET_H
#define MNFQ_TOOLS_UNIX_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** A listening socket and the file that it made. */
struct unix_listener {
	int fd;           /* -1: none; non-blocking, close-on-exec, SOCK_STREAM */
	const char *path; /* NULL: it came from elsewhere, and is not removed */
	dev_t dev;        /* the file, so that no other is removed */
	ino_t ino;
};

/**
 * Listen at @path, which must stay where it is. The file has @mode from the first moment on,
 * whatever the umask is; that is changed for a moment, so call it while there is one thread.
 * A socket there that no program listens on is left over from a process that was killed, and is
 * replaced; a file that is not a socket is -EEXIST, and a socket in use -EADDRINUSE. The socket
 * listens before it appears at @path; ss(8) shows its first name, which is @path.XXXXXXXX.
 *
 * @error  where the message of a failure is written
 * Returns 0 or a negative errno; @listener is then as after unix_unlisten().
 */
int unix_listen(struct unix_listener *listener, const char *path, mode_t mode, char *error,
		size_t error_size);

/** Close it, and remove its file if that is still the one that was made. */
void unix_unlisten(struct unix_listener *listener);

/** Is a descriptor a Unix socket that listens? */
bool unix_is_listener(int fd);

/**
 * Connect to @path. Never waits: a listener whose queue is full is -EAGAIN.
 *
 * @error  where the message of a failure is written
 * Returns a descriptor of SOCK_STREAM, close-on-exec, or a negative errno: -ENOENT and
 * -ECONNREFUSED if no program listens there (yet, or any more), -ENOTSOCK for another file.
 */
int unix_connect(const char *path, char *error, size_t error_size);

#endif
