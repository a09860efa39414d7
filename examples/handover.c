/* SPDX-License-Identifier: MIT */
/* A descriptor goes from one process to another over a Unix socket. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "handover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The room for the control message of one descriptor, aligned as it must be. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* A Unix socket, and the address of @path. */
static int unix_socket(struct sockaddr_un *addr, const char *path)
{
	int fd;

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	strcpy(addr->sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int handover_send(const char *path, int fd)
{
	union control control = { .room = { 0 } };
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct sockaddr_un addr;
	int stream, err = 0;

	control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS,
					   .cmsg_len = CMSG_LEN(sizeof(fd)) };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));

	stream = unix_socket(&addr, path);
	if (stream < 0)
		return stream;
	if (connect(stream, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    sendmsg(stream, &msg, MSG_NOSIGNAL) < 0)
		err = -errno;
	close(stream);
	return err;
}

/* There is room for one descriptor: the kernel closes what else somebody sends. */
static int take(int stream)
{
	union control control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(stream, &msg, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (msg.msg_controllen < CMSG_LEN(sizeof(fd)) ||
	    control.header.cmsg_level != SOL_SOCKET || control.header.cmsg_type != SCM_RIGHTS)
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	if (msg.msg_flags & MSG_CTRUNC) {
		close(fd);
		return -EBADMSG;
	}
	return fd;
}

int handover_receive(const char *path)
{
	struct sockaddr_un addr;
	int listener, stream, fd;

	listener = unix_socket(&addr, path);
	if (listener < 0)
		return listener;
	fchmod(listener, 0600); /* before it has a name */
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		fd = -errno;
		close(listener);
		return fd;
	}
	fd = -EIO;
	if (listen(listener, 1) == 0) {
		fprintf(stderr, "waiting for a socket at %s\n", path);
		stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (stream >= 0) {
			fd = take(stream);
			close(stream);
		}
	}
	close(listener);
	unlink(path);
	return fd;
}
