/* SPDX-License-Identifier: MIT */
/*
 * Handing netlink sockets over between processes. The contract at the top of mnfq.h applies here,
 * too.
 *
 * A process inside a network namespace sends a netlink socket to a process outside, over a
 * connected Unix socket of type SOCK_STREAM or SOCK_SEQPACKET. The request is a message of 512
 * bytes with the descriptor (SCM_RIGHTS). The receiver checks it and replies with a message of
 * 512 bytes: 0, or an errno and an error message. Either side may have connected to the other.
 * Both must be on the same machine; neither needs a capability.
 *
 * The receiver does not trust the sender: only what the kernel reports about the descriptor and
 * the peer counts. After a failure other than -EAGAIN, -EINTR and -ETIMEDOUT close the stream,
 * which may still contain the rest of a bad message.
 *
 * A queue bound on a socket lives until the last copy of its descriptor is closed, and any
 * process with a copy can receive its packets and decide them: close copies that you do not need.
 *
 * These functions have no object, so their error messages go to the options. Any thread may call
 * them. They never raise SIGPIPE; the O_NONBLOCK flag of the stream is neither needed nor
 * changed.
 */
#ifndef MNFQ_HANDOVER_H
#define MNFQ_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MNFQ_LABEL_SIZE 64 /**< bytes of a label, including the terminating NUL */

#define MNFQ_HANDOVER_KEEP  0x1u /**< the sender stays connected while the socket may be used */
#define MNFQ_HANDOVER_PLAIN 0x2u /**< the sender does not use this protocol */

/** Describes a received socket. */
struct mnfq_handover {
	size_t size;    /**< sizeof(struct mnfq_handover), set by the caller */
	uint32_t flags; /**< MNFQ_HANDOVER_* */

	/** Chosen by the sender, not trustworthy: UTF-8 without control characters. "": none. */
	char label[MNFQ_LABEL_SIZE];

	/** The cookie of the socket's namespace (SO_NETNS_COOKIE); 0 before Linux 5.14. */
	uint64_t netns_cookie;

	/** The peer's credentials from the kernel, as of connect() or listen(). */
	uint32_t pid, uid, gid;
};

/** Options of the functions below. */
struct mnfq_handover_options {
	size_t size; /**< sizeof(struct mnfq_handover_options) */

	/**
	 * For mnfq_handover_send(): MNFQ_HANDOVER_KEEP means that closing our end of the stream
	 * withdraws the socket.
	 * For mnfq_handover_receive(): MNFQ_HANDOVER_PLAIN also accepts a descriptor with any
	 * other message of 1 to 512 bytes, as Python's socket.send_fds() sends it. Such a sender
	 * gets no reply.
	 */
	uint32_t flags;

	/** For mnfq_handover_send(): the label of struct mnfq_handover, or NULL. */
	const char *label;

	char *error;       /**< where the error message is written, NUL-terminated; or NULL */
	size_t error_size; /**< bytes at @p error */
};

/**
 * Send a socket, without waiting for the reply.
 *
 * @param stream      the connected Unix socket
 * @param fd          the netlink socket; the caller keeps it
 * @param timeout_ms  how long to wait until it can be sent: 0: do not wait, negative: no limit
 * @param options     NULL for the defaults
 * @return 0, or
 *   -EAGAIN, -ETIMEDOUT  the peer does not read
 *   -EINTR        a signal arrived while waiting
 *   -EPIPE        the peer closed the connection; mnfq_handover_wait() may return the reason
 *   -ENOTCONN     the stream is not connected
 *   -EMSGSIZE     the label is too long
 *   -EINVAL       invalid options, label or stream
 *   -ETOOMANYREFS  the user has more descriptors in flight than its limit of open files
 *   -ENOMEM, -ENOBUFS
 *   -EBADF, -ENOTSOCK, -EAFNOSUPPORT, -EPROTONOSUPPORT, -EISCONN, -EBADFD  the socket is not
 *                 usable: see mnfq_socket_adopt()
 */
int mnfq_handover_send(int stream, int fd, int timeout_ms,
		       const struct mnfq_handover_options *options);

/**
 * Wait for the reply to mnfq_handover_send(), with the same timeout_ms and options.
 *
 * @return 0 if the peer accepted the socket, or
 *   -EAGAIN, -ETIMEDOUT  there is no reply yet
 *   -EINTR       a signal arrived while waiting
 *   -ECONNRESET  the peer closed the connection without replying
 *   -EBADMSG     the message received is not a reply
 *   -EINVAL, -EBADF, -ENOTSOCK, -ENOTCONN  invalid arguments
 *   -ENOMEM
 *   any other    sent by the receiver: an error of mnfq_handover_receive(), or one of its own;
 *                -EBUSY instead of -EAGAIN and -EINTR, -ETIME instead of -ETIMEDOUT. Its message
 *                is in the options, without control characters
 */
int mnfq_handover_wait(int stream, int timeout_ms, const struct mnfq_handover_options *options);

/**
 * Receive a socket that is suitable for mnfq_socket_adopt(). Reply with mnfq_handover_answer()
 * once it is adopted and bound, or that has failed.
 *
 * @param fd          the descriptor, close-on-exec, which belongs to the caller
 * @param stream      the connected Unix socket
 * @param timeout_ms  as for mnfq_handover_send()
 * @param info        describes the socket
 * @param options     NULL for the defaults
 * @return 0, or
 *   -EAGAIN, -ETIMEDOUT  no message arrived
 *   -EINTR       a signal arrived while waiting
 *   -ECONNRESET  the peer closed the connection without sending anything
 *   -EBADMSG     no descriptor or several; a message that is malformed, is not the only one, or
 *                does not follow this protocol
 *   -EPROTONOSUPPORT  another version of the protocol, or a netlink socket of another protocol
 *   -ESTALE      the socket is of another namespace than the message claims
 *   -EMFILE      no descriptor is left
 *   -ENOMEM
 *   -EBADF, -ENOTSOCK, -EAFNOSUPPORT, -EISCONN, -EBADFD  as mnfq_socket_adopt(); -ENOTSOCK and
 *                -EBADF also for the stream itself
 *   -ENOTCONN, -EINVAL  invalid stream, options or arguments
 *   any other    sent by the peer: why it does not hand a socket over, as for
 *   mnfq_handover_wait()
 * A refused message was already replied to, if it follows this protocol, and all descriptors that
 * came with it are closed.
 */
int mnfq_handover_receive(int *fd, int stream, int timeout_ms, struct mnfq_handover *info,
			  const struct mnfq_handover_options *options);

/**
 * Reply to the sender of a socket. Never waits. A process that is expected to send a socket can
 * use this, too, to report why it does not.
 *
 * @param info    as received: a plain sender gets no reply. NULL: nothing was received
 * @param err     0: accepted. A negative errno: refused, with this reason
 * @param errmsg  the reason as text, of which at most MNFQ_ERRMSG_SIZE - 1 bytes are sent; or
 *                NULL
 * @return 0, or
 *   -EAGAIN     the peer does not read
 *   -EPIPE      the peer closed the connection
 *   -EINVAL, -EBADF, -ENOTSOCK, -ENOTCONN  invalid arguments
 *   -ENOMEM, -ENOBUFS
 */
int mnfq_handover_answer(int stream, const struct mnfq_handover *info, int err,
			 const char *errmsg);

#ifdef __cplusplus
}
#endif

#endif
