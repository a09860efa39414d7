/* SPDX-License-Identifier: MIT */
/* Messages over Unix sockets with which a descriptor may go along. */
#include "common/pass-fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int pass_fd(int to, const void *bytes, size_t len, int fd, int flags)
{
	union control control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof(fd)) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	return sendmsg(to, &msg, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

ssize_t take_fd(int from, void *bytes, size_t size, int *fd, int *flags)
{
	union control control;
	struct iovec iov = { .iov_base = bytes, .iov_len = size };
	/* CMSG_SPACE() would have room for a second descriptor. */
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_LEN(sizeof(int)) };
	const ssize_t len = recvmsg(from, &msg, *flags | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

	*fd = -1;
	if (len < 0)
		return -errno;
	*flags = msg.msg_flags;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	return len;
}
