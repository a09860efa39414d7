/* SPDX-License-Identifier: MIT */
/* The messages between mnfq dump and its broker: sending, and receiving what is not trusted. */
#include "broker/ipc.h"

#include <errno.h>
#include <mnfq/handover.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/pass-fd.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

/* It is sent as it is, so padding would disclose memory. */
_Static_assert(sizeof(struct ipc_msg) == 40 + MNFQ_LABEL_SIZE + IPC_TEXT_SIZE,
	       "struct ipc_msg has padding");

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
	return pass_fd(ipc, message, sizeof(*message), fd, MSG_DONTWAIT);
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
	int flags = MSG_DONTWAIT;
	const ssize_t len = take_fd(ipc, message, sizeof(*message), fd, &flags);

	if (len < 0 && is_transient((int)-len))
		return 0;
	if (len < 0)
		return len == -EPIPE ? -ECONNRESET : (int)len;
	if (len == (ssize_t)sizeof(*message) && !(flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    is_sane(message, *fd))
		return 1;
	/* The kernel had to drop the only descriptor that came. */
	if (len == (ssize_t)sizeof(*message) && flags & MSG_CTRUNC && *fd < 0 &&
	    is_sane(message, 0))
		return -EMFILE;
	/* An empty message reads like the end, and no honest sender sends one. */
	return len == 0 ? -ECONNRESET : -EBADMSG;
}
