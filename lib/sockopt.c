// SPDX-License-Identifier: MIT
/* Options of netlink sockets: those that are set, and those that are read. */
#include "sockopt.h"

#include <errno.h>
#include <linux/sock_diag.h>

#include "error.h"
#include "refs.h"
#include "wire.h"

#define DEFAULT_BUFFER (64u << 20)

int mnfq_i_get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

/*
 * The kernel delivers nothing to a socket that is connected to another peer than itself. Returns 1, 0, or
 * a negative errno if it is unknown.
 */
int mnfq_i_is_connected(int fd)
{
	struct sockaddr_nl peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return -errno;
	return peer.nl_pid != 0 || peer.nl_groups != 0;
}

/*
 * The kernel doubles what is asked for. Beyond net.core.rmem_max only CAP_NET_ADMIN in the
 * initial user namespace helps; without it we take what we can get.
 */
static int set_buffer(int fd, uint32_t bytes)
{
	int half = (int)(bytes / 2);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)) < 0 ? -errno : 0;
}

/* An overrun must not stop the socket until it is drained; the gap in the ids shows the loss. */
void mnfq_i_set_options(int fd, uint32_t buffer)
{
	int one = 1, out = MNFQ_I_OUTBOX_MAX;

	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	if (buffer > 0 || mnfq_i_get_int(fd, SOL_SOCKET, SO_RCVBUF) < (int)DEFAULT_BUFFER)
		(void)set_buffer(fd, buffer ? buffer : DEFAULT_BUFFER);
	if (mnfq_i_get_int(fd, SOL_SOCKET, SO_SNDBUF) < 2 * (int)MNFQ_I_OUTBOX_MAX &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &out, sizeof(out)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out));
}

/*
 * The kernel stamps packets while any socket asks for it, and a netlink socket counts as well: what it
 * receives itself comes without time all the same.
 */
void mnfq_i_request_timestamps(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
}

/* Bytes that the kernel takes in one send: it keeps some of the send buffer for itself. */
size_t mnfq_i_get_send_max(int fd)
{
	int size = mnfq_i_get_int(fd, SOL_SOCKET, SO_SNDBUF) - 64;

	return size < 0 ? 0 : size < (int)MNFQ_I_OUTBOX_MAX ? (size_t)size : MNFQ_I_OUTBOX_MAX;
}

int mnfq_socket_set_receive_buffer(struct mnfq_socket *sock, uint32_t bytes)
{
	int err;

	if (!sock)
		return -EINVAL;
	if (bytes > INT32_MAX)
		return mnfq_i_fail(&sock->error, -EINVAL, "receive buffer is above 2 GiB");
	sock->coalesce.looks = 0;
	err = set_buffer(sock->fd, bytes ? bytes : DEFAULT_BUFFER);
	mnfq_i_note_buffer(sock);
	return err < 0 ? mnfq_i_fail(&sock->error, err, "cannot set the receive buffer: %s",
				     strerror(-err))
		       : 0;
}

int64_t mnfq_socket_get_receive_buffer(const struct mnfq_socket *sock)
{
	return sock ? mnfq_i_get_int(sock->fd, SOL_SOCKET, SO_RCVBUF) : -EINVAL;
}

/* Messages that did not fit into the receive buffer, as the kernel counts them: from its own beginning. */
static int get_drops(int fd, uint32_t *drops)
{
	uint32_t info[SK_MEMINFO_DROPS + 1];
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, MNFQ_I_SO_MEMINFO, info, &len) < 0 || len < sizeof(info))
		return -ENODATA;
	*drops = info[SK_MEMINFO_DROPS];
	return 0;
}

/* What was dropped before the socket was ours does not count. */
void mnfq_i_begin_overruns(struct mnfq_socket *sock)
{
	sock->overruns = get_drops(sock->fd, &sock->drops) < 0 ? MNFQ_UNKNOWN : 0;
}

/* The kernel counts in 32 bits, which wrap around. */
void mnfq_i_count_overruns(struct mnfq_socket *sock)
{
	const uint32_t before = sock->drops;

	if (sock->overruns != MNFQ_UNKNOWN && get_drops(sock->fd, &sock->drops) == 0)
		sock->overruns += (uint32_t)(sock->drops - before);
	else
		sock->overruns = MNFQ_UNKNOWN;
	sock->overran = sock->overran || sock->drops != before || sock->overruns == MNFQ_UNKNOWN;
}

/* Looks how large the receive buffer is. If that is not known it may be full at any time. */
void mnfq_i_note_buffer(struct mnfq_socket *sock)
{
	int size = mnfq_i_get_int(sock->fd, SOL_SOCKET, SO_RCVBUF);

	sock->buffer = size > 0 ? size : 0;
}
