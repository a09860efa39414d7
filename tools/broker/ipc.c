/* SPDX-License-Identifier: MIT */
/* The messages between mnfq dump and its broker: sending, and receiving what is not trusted. */
#include "broker/ipc.h"

#include <errno.h>
#include <mnfq/handover.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/sys.h"
#include "sandbox/sandbox.h"

/* It is sent as it is, so padding would disclose memory. */
_Static_assert(sizeof(struct ipc_msg) == 40 + MNFQ_LABEL_SIZE + IPC_TEXT_SIZE,
	       "struct ipc_msg has padding");

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int ipc_new(int ends[2])
{
	const int type = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

	if (socketpair(AF_UNIX, type, 0, ends) < 0)
		return -errno;
	sandbox_name_socket(ends[0]);
	sandbox_name_socket(ends[1]);
	return 0;
}

int ipc_send(int ipc, const struct ipc_msg *message, int fd)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(ipc, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The descriptor that came, or -1. There is room for no more than one. */
static int take_descriptor(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	int fd;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static bool is_terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_sane(const struct ipc_msg *message, int fd)
{
	return message->type >= IPC_ATTACH && message->type <= IPC_PING &&
	       (message->type == IPC_ATTACH) == (fd >= 0) && message->error <= 0 &&
	       (message->type != IPC_ATTACH || message->id & IPC_BROKER_ID) &&
	       is_terminated(message->label, sizeof(message->label)) &&
	       is_terminated(message->text, sizeof(message->text));
}

int ipc_receive(int ipc, struct ipc_msg *message, int *fd)
{
	union control control;
	struct iovec iov = { .iov_base = message, .iov_len = sizeof(*message) };
	/* CMSG_SPACE() would have room for a second descriptor; the kernel drops what has none. */
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t len = recvmsg(ipc, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (len < 0 && is_transient(errno))
		return 0;
	if (len < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	*fd = take_descriptor(&msg);
	if (len == (ssize_t)sizeof(*message) && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    is_sane(message, *fd))
		return 1;
	/* The kernel had to drop the only descriptor that came. */
	if (len == (ssize_t)sizeof(*message) && msg.msg_flags & MSG_CTRUNC && *fd < 0 &&
	    is_sane(message, 0))
		return -EMFILE;
	/* An empty message reads like the end, and no honest sender sends one. */
	return len == 0 ? -ECONNRESET : -EBADMSG;
}
