/* SPDX-License-Identifier: MIT */
/*
 * Handing netlink sockets over from one process to another. The contract on top of mnfq.h holds
 * here, too.
 *
 * A netlink socket goes from who is in a namespace to who is not, over a connected Unix socket of
 * SOCK_STREAM or SOCK_SEQPACKET. The one who has it sends a message of 512 bytes with the
 * descriptor (SCM_RIGHTS); the other checks it and answers with a message of 512 bytes: 0, or an
 * errno and an error message. Who connected to whom does not matter. Both sides have to be on one
 * machine, and need no right.
 *
 * The receiver trusts nobody: what counts is what the kernel says of the descriptor and of the
 * peer. After a failure other than -EAGAIN, -EINTR and -ETIMEDOUT close the stream, since the
 * rest of a bad message may be in there.
 *
 * The queue that is bound on a socket lives until the last copy of its descriptor is closed, and
 * whoever keeps a copy can receive its packets and decide them: close yours.
 *
 * These functions are about no object, so their error messages go to the options. Any thread may
 * call them. They never raise SIGPIPE, and the O_NONBLOCK flag of the stream is neither needed
 * nor touched.
 */
#ifndef MNFQ_HANDOVER_H
#define MNFQ_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MNFQ_LABEL_SIZE 64 /**< of a label, with its terminating zero */

#define MNFQ_HANDOVER_KEEP  0x1u /**< the sender stays connected while the socket is to be used */
#define MNFQ_HANDOVER_PLAIN 0x2u /**< from a program that does not speak this protocol */

/** What is known of a socket that was received. */
struct mnfq_handover {
	size_t size;    /**< sizeof(struct mnfq_handover), set by the caller */
	uint32_t flags; /**< MNFQ_HANDOVER_* */

	/** Chosen by the sender, so anything: UTF-8 without control characters. "": none. */
	char label[MNFQ_LABEL_SIZE];

	/** Of the socket's namespace, as the kernel says (SO_NETNS_COOKIE); 0 before Linux 5.14. */
	uint64_t netns_cookie;

	/** The peer's, as the kernel says: of the time when it connected or began to listen. */
	uint32_t pid, uid, gid;
};

/** Options of handing over. */
struct mnfq_handover_options {
	size_t size; /**< sizeof(struct mnfq_handover_options) */

	/**
	 * To mnfq_handover_send(): MNFQ_HANDOVER_KEEP tells the receiver that our end of the
	 * stream being closed means that the socket is withdrawn.
	 * To mnfq_handover_receive(): MNFQ_HANDOVER_PLAIN allows a descriptor with any other
	 * message of 1 to 512 bytes, as python's socket.send_fds() sends it. Nobody is answered
	 * then.
	 */
	uint32_t flags;

	const char
		*label; /**< to mnfq_handover_send(): as struct mnfq_handover has it; or NULL */

	char *error;       /**< where the error message is written, or NULL. Terminated. */
	size_t error_size; /**< bytes at @p error */
};

/**
 * Send a socket; does not wait for the answer.
 *
 * @param stream      the connected Unix socket
 * @param fd          the netlink socket. It stays the caller's
 * @param timeout_ms  how long to wait until it can be sent: 0 not at all, negative without end
 * @param options     NULL for the defaults
 * @return 0, or
 *   -EAGAIN, -ETIMEDOUT  the other side does not read
 *   -EINTR        a signal arrived while waiting
 *   -EPIPE        the other side has gone; mnfq_handover_wait() may know why
 *   -ENOTCONN     the stream is not connected
 *   -EMSGSIZE     the label is too long
 *   -EINVAL       wrong options, label or stream
 *   -ETOOMANYREFS  the user has more descriptors on their way than it may have open files
 *   -ENOMEM, -ENOBUFS
 *   -EBADF, -ENOTSOCK, -EAFNOSUPPORT, -EPROTONOSUPPORT, -EISCONN, -EBADFD  the socket could not
 *                                                                          be
 *                 used: see mnfq_socket_adopt()
 */
int mnfq_handover_send(int stream, int fd, int timeout_ms,
		       const struct mnfq_handover_options *options);

/**
 * Wait for the answer to what was sent. timeout_ms and options are those of mnfq_handover_send().
 *
 * @return 0 if the socket was taken, or
 *   -EAGAIN, -ETIMEDOUT  there is no answer yet
 *   -EINTR       a signal arrived while waiting
 *   -ECONNRESET  the other side has gone without an answer
 *   -EBADMSG     what came is no answer
 *   -EINVAL, -EBADF, -ENOTSOCK, -ENOTCONN  wrong arguments
 *   -ENOMEM
 *   any other    what the receiver says: an error of mnfq_handover_receive(), or one of its own;
 *                -EBUSY instead of -EAGAIN and -EINTR, -ETIME instead of -ETIMEDOUT. Its message
 *                is in the options, without control characters
 */
int mnfq_handover_wait(int stream, int timeout_ms, const struct mnfq_handover_options *options);

/**
 * Receive a socket that is fit for mnfq_socket_adopt(). Answer with mnfq_handover_answer() as
 * soon as it is adopted and bound, or is not going to be.
 *
 * @param fd          the descriptor, close-on-exec, which is the caller's
 * @param stream      the connected Unix socket
 * @param timeout_ms  as for mnfq_handover_send()
 * @param info        what is known of it
 * @param options     NULL for the defaults
 * @return 0, or
 *   -EAGAIN, -ETIMEDOUT  nothing came
 *   -EINTR       a signal arrived while waiting
 *   -ECONNRESET  the other side has gone without sending anything
 *   -EBADMSG     no descriptor or several, a message that is malformed or not the only one,
 *                or comes from a program that does not speak this protocol
 *   -EPROTONOSUPPORT  another version of the protocol, or a netlink socket of another protocol
 *   -ESTALE      it is of another namespace than the message says
 *   -EMFILE      no descriptor is left
 *   -ENOMEM
 *   -EBADF, -ENOTSOCK, -EAFNOSUPPORT, -EISCONN, -EBADFD  as mnfq_socket_adopt(); -ENOTSOCK and
 *                -EBADF also if the stream is none
 *   -ENOTCONN, -EINVAL  wrong stream, options or arguments
 *   any other    the other side says why it hands nothing over, as for mnfq_handover_wait()
 * What is refused was answered, if it came with a message of this protocol, and all descriptors
 * that came with it are closed.
 */
int mnfq_handover_receive(int *fd, int stream, int timeout_ms, struct mnfq_handover *info,
			  const struct mnfq_handover_options *options);

/**
 * Tell the sender what became of its socket. Never waits. Whoever would have to send one can also
 * say with this why it does not.
 *
 * @param info    as received: a plain socket is not answered. NULL: nothing was received
 * @param err     0: taken. A negative errno: not taken, and why
 * @param errmsg  why, in words, of which MNFQ_ERRMSG_SIZE - 1 bytes are sent; or NULL
 * @return 0, or
 *   -EAGAIN     the other side does not read
 *   -EPIPE      the other side has gone
 *   -EINVAL, -EBADF, -ENOTSOCK, -ENOTCONN  wrong arguments
 *   -ENOMEM, -ENOBUFS
 */
int mnfq_handover_answer(int stream, const struct mnfq_handover *info, int err,
			 const char *errmsg);

#ifdef __cplusplus
}
#endif

#endif
