// SPDX-License-Identifier: MIT
/*
 * Waiting in the receive itself, which saves the system call that waits before it; and ending a wait,
 * wherever it is.
 *
 * A message ends a wait in the receive: the kernel answers every message that asks for an
 * acknowledgement, without any capability, before the send returns. The answer may get lost: because
 * memory is short, because the receive buffer is full, or because another process that has the
 * descriptor reads it. If the buffer is full there is no wait. In the other cases the wait ends by itself
 * after a while, and then dispatch waits in poll(), for an event descriptor too, which is private.
 */
#include "wake.h"

#include <errno.h>
#include <sys/time.h>
#include <unistd.h>

#include "ring.h"
#include "wire.h"

/*
 * May dispatch wait in the receive? With a timeout of the socket a signal always ends the wait, as it
 * ends poll(): without one the kernel restarts the receive if the handler has SA_RESTART. Others that
 * have the ring use it while this socket waits.
 */
bool mnfq_i_wait_prepare(struct mnfq_socket *sock)
{
	const struct timeval timeout = { .tv_sec = MNFQ_I_WAIT_MS / 1000 };

	if (!sock->can_block || atomic_load(&sock->ring->refs) > 1)
		return false;
	if (!sock->has_timeout)
		sock->can_block = sock->has_timeout =
			setsockopt(sock->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
				   sizeof(timeout)) == 0;
	return sock->can_block;
}

/*
 * Waits for messages, and receives them into the ring. Returns how many, or a negative errno: -EAGAIN
 * if none came for a while, if it was stopped, or another thread unbinds a queue. Those either see `receiving`,
 * or are seen here.
 */
int mnfq_i_wait_fill(struct mnfq_socket *sock, unsigned int max)
{
	int count = -EAGAIN;

	atomic_store(&sock->receiving, true);
	if (!atomic_load(&sock->stop) && !atomic_load(&sock->deferred_unbind))
		count = mnfq_i_ring_fill(sock->ring, sock->fd, max, true);
	atomic_store(&sock->receiving, false);
	return count;
}

/* A message without meaning, which the kernel answers even if the capability for anything else is missing. */
static void wake_receive(const struct mnfq_socket *sock)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct nlmsghdr message = { .nlmsg_len = sizeof(message),
					  .nlmsg_type = NLMSG_NOOP,
					  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };
	ssize_t sent;

	do
		sent = sendto(sock->fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL,
			      (const struct sockaddr *)&kernel, sizeof(kernel));
	while (sent < 0 && errno == EINTR);
}

/* Ends the wait that is under way. Safe in signal handlers. */
void mnfq_i_wake_dispatch(struct mnfq_socket *sock)
{
	const uint64_t one = 1;
	int fd = atomic_load(&sock->wake), saved = errno;

	if (fd >= 0)
		(void)!write(fd, &one, sizeof(one));
	if (atomic_load(&sock->receiving))
		wake_receive(sock);
	errno = saved;
}
