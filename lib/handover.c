// SPDX-License-Identifier: MIT
/*
 * Handing netlink sockets over Unix sockets. The peer may be hostile: whatever
 * descriptors come are counted and closed, and nothing is known of the one that is left but what
 * the kernel says. What is in the messages: handover-msg.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "fd-check.h"
#include "handover-msg.h"
#include "options.h"
#include "sockopt.h"
#include "wire.h"

/* One call of a public function. */
struct transfer {
	int stream, timeout_ms;
	int64_t deadline;
	struct mnfq_handover_options options;
	struct mnfq_i_errmsg error;
};

static int check_stream(int stream, struct mnfq_i_errmsg *error)
{
	int domain = mnfq_i_get_int(stream, SOL_SOCKET, SO_DOMAIN);
	int type = mnfq_i_get_int(stream, SOL_SOCKET, SO_TYPE);

	if (domain < 0)
		return mnfq_i_fail(error, domain, "descriptor %d is not a Unix socket: %s",
				   stream, strerror(-domain));
	if (domain != AF_UNIX || (type != SOCK_STREAM && type != SOCK_SEQPACKET))
		return mnfq_i_fail(error, -EINVAL,
				   "descriptor %d is not a Unix socket of SOCK_STREAM or "
				   "SOCK_SEQPACKET",
				   stream);
	return 0;
}

static int handover_begin(struct transfer *t, int stream, int timeout_ms, uint32_t known_flags,
			  const struct mnfq_handover_options *options)
{
	int err;

	*t = (struct transfer){ .stream = stream, .timeout_ms = timeout_ms };
	if (timeout_ms > 0)
		t->deadline = mnfq_i_now_ms() + timeout_ms;
	err = mnfq_i_options_copy(&t->options, sizeof(t->options), options);
	if (err < 0 && mnfq_i_options_unsized(options)) { /* these are in all versions */
		t->options.error = options->error;
		t->options.error_size = options->error_size;
	}
	if (err == 0 && t->options.flags & ~known_flags)
		err = -EINVAL;
	if (err < 0)
		return mnfq_i_fail(&t->error, err,
				   "hand-over options: set .size to sizeof(struct "
				   "mnfq_handover_options), flags that fit the call, and zero "
				   "the rest");
	return check_stream(stream, &t->error);
}

static int end(const struct transfer *t, int err)
{
	if (err >= 0)
		return err;
	return mnfq_i_errmsg_return(t->options.error, t->options.error_size, &t->error, err);
}

/* Nothing can be done right now: 0 as soon as that may have changed, or why we do not wait. */
static int await(struct transfer *t, short events)
{
	struct pollfd pfd = { .fd = t->stream, .events = events };
	int64_t left = mnfq_i_time_left(t->timeout_ms, t->deadline);
	int n;

	if (t->timeout_ms == 0)
		return mnfq_i_fail(&t->error, -EAGAIN, "the other side is not that far yet");
	n = left == 0 ? 0 : poll(&pfd, 1, (int)left);
	if (n < 0)
		return mnfq_i_fail(&t->error, -errno, "waiting for the other side failed: %s",
				   strerror(errno));
	if (n == 0)
		return mnfq_i_fail(&t->error, -ETIMEDOUT, "the other side did nothing for %d ms",
				   t->timeout_ms);
	return 0;
}

/* 0 from kernels before 5.14, which have none. */
static int get_cookie(int fd, uint64_t *cookie)
{
	socklen_t len = sizeof(*cookie);

	*cookie = 0;
	if (getsockopt(fd, SOL_SOCKET, MNFQ_I_SO_NETNS_COOKIE, cookie, &len) == 0 ||
	    errno == ENOPROTOOPT)
		return 0;
	return -errno;
}

/* ---- sending ---- */

union one_descriptor {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

/* One message, at once or not at all. @fd goes along unless it is negative. */
static int send_msg(int stream, const struct mnfq_i_handover_msg *message, int fd)
{
	union one_descriptor control = { .room = { 0 } };
	struct iovec iov = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof(fd)) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	sent = sendmsg(stream, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0) /* the same for both types: it has gone, with what we sent unread or not */
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)sent == sizeof(*message) ? 0 : -EMSGSIZE;
}

static int explain_send(struct transfer *t, int err)
{
	switch (err) {
	case -EPIPE:
		return mnfq_i_fail(&t->error, err, "the other side has gone");
	case -ETOOMANYREFS:
		return mnfq_i_fail(&t->error, err,
				   "too many sockets of this user are on their way: raise the "
				   "limit of open files (ulimit -n)");
	default:
		return mnfq_i_fail(&t->error, err, "the socket cannot be sent: %s",
				   strerror(-err));
	}
}

static int offer(struct transfer *t, int fd)
{
	const char *label = t->options.label ? t->options.label : "";
	struct mnfq_i_handover_msg message;
	uint64_t cookie;
	int err = mnfq_i_label_check(label, &t->error);

	if (err == 0)
		err = mnfq_i_check_fd(fd, &t->error);
	if (err < 0)
		return err;
	err = get_cookie(fd, &cookie);
	if (err < 0)
		return explain_send(t, err);
	mnfq_i_handover_msg_offer(&message, t->options.flags, cookie, label);
	while ((err = send_msg(t->stream, &message, fd)) == -EAGAIN)
		if ((err = await(t, POLLOUT)) < 0)
			return err;
	return err < 0 ? explain_send(t, err) : 0;
}

int mnfq_handover_send(int stream, int fd, int timeout_ms,
		       const struct mnfq_handover_options *options)
{
	struct transfer t;
	int err = handover_begin(&t, stream, timeout_ms, MNFQ_HANDOVER_KEEP, options);

	return end(&t, err < 0 ? err : offer(&t, fd));
}

int mnfq_handover_answer(int stream, const struct mnfq_handover *info, int err,
			 const char *errmsg)
{
	struct mnfq_handover known;
	struct mnfq_i_handover_msg message;
	struct mnfq_i_errmsg unused;
	int wrong = mnfq_i_options_copy(&known, sizeof(known), info);

	if (wrong == 0 && (err > 0 || err < -MNFQ_I_ERRNO_MAX))
		wrong = -EINVAL;
	if (wrong == 0)
		wrong = check_stream(stream, &unused);
	if (wrong < 0 || known.flags & MNFQ_HANDOVER_PLAIN)
		return wrong;
	mnfq_i_handover_msg_answer(&message, err, err < 0 && errmsg ? errmsg : "");
	return send_msg(stream, &message, -1);
}

/* ---- receiving ---- */

/* Whatever the receiver has asked the kernel for, there is room for it. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(struct ucred)) + /* SO_PASSCRED */
		  CMSG_SPACE(256) +                  /* SO_PASSSEC */
		  CMSG_SPACE(sizeof(int)) +          /* SO_PASSPIDFD */
		  CMSG_SPACE(sizeof(int))];          /* the socket, and often a surplus one */
};

/* What one recvmsg() brought. */
struct received_msg {
	uint8_t bytes[MNFQ_I_HANDOVER_MSG_SIZE + 1]; /* so that a longer message shows */
	size_t len;
	bool cut; /* the control data were */
	unsigned int count;
	int fd; /* the first of the descriptors; the others are closed */
};

static void unpack_rights(struct received_msg *received, const struct cmsghdr *cmsg)
{
	size_t i, n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (received->count++ == 0)
			received->fd = fd;
		else
			close(fd);
	}
}

static void unpack(struct received_msg *received, struct msghdr *msg)
{
	struct cmsghdr *cmsg;
	int pidfd;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET)
			continue;
		if (cmsg->cmsg_type == SCM_RIGHTS)
			unpack_rights(received, cmsg);
		if (cmsg->cmsg_type == MNFQ_I_SCM_PIDFD &&
		    cmsg->cmsg_len >= CMSG_LEN(sizeof(pidfd))) {
			memcpy(&pidfd, CMSG_DATA(cmsg), sizeof(pidfd));
			if (pidfd >= 0)
				close(pidfd);
		}
	}
}

/* Without waiting. The descriptor within is the caller's. */
static int receive_once(int stream, struct received_msg *received)
{
	union control control;
	struct iovec iov = { .iov_base = received->bytes, .iov_len = sizeof(received->bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t len = recvmsg(stream, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (len < 0)
		return -errno;
	received->len = (size_t)len;
	received->cut = msg.msg_flags & MSG_CTRUNC;
	received->count = 0;
	received->fd = -1;
	unpack(received, &msg);
	return 0;
}

static int explain_receive(struct transfer *t, int err)
{
	if (err == -ECONNRESET)
		return mnfq_i_fail(&t->error, err, "the other side has gone without a word");
	if (err == -EINVAL) /* this is how a stream says it */
		err = -ENOTCONN;
	return mnfq_i_fail(&t->error, err, "nothing can be received: %s", strerror(-err));
}

static int receive_msg(struct transfer *t, struct received_msg *received)
{
	int err;

	while ((err = receive_once(t->stream, received)) == -EAGAIN)
		if ((err = await(t, POLLIN)) < 0)
			return err;
	if (err == 0 && received->len == 0 && received->count == 0)
		err = -ECONNRESET;
	return err < 0 ? explain_receive(t, err) : 0;
}

/* The kernel cuts what there is no room for, and what would exceed the limit of open files. */
static int explain_cut(struct transfer *t, const struct received_msg *received)
{
	int probe = received->count == 0 ? fcntl(t->stream, F_DUPFD_CLOEXEC, 0) : 0;

	if (probe < 0)
		return mnfq_i_fail(&t->error, -errno,
				   "the receiver has no descriptor left: raise its limit of open "
				   "files (ulimit -n)");
	if (probe > 0)
		close(probe);
	return mnfq_i_fail(&t->error, -EBADMSG,
			   "the control data were cut: send one descriptor and nothing else");
}

/* Nothing that was said about it is believed: the kernel is asked. @claim is 0 if nothing was. */
static int check_contents(struct transfer *t, const struct received_msg *received, uint64_t claim,
			  uint64_t *cookie)
{
	int err;

	if (received->cut)
		return explain_cut(t, received);
	if (received->count != 1)
		return mnfq_i_fail(&t->error, -EBADMSG,
				   "%u descriptors came: exactly one is wanted", received->count);
	err = mnfq_i_check_fd(received->fd, &t->error);
	if (err < 0)
		return err;
	err = get_cookie(received->fd, cookie);
	if (err < 0)
		return mnfq_i_fail(
			&t->error, err,
			"the kernel does not report the socket's network namespace: %s",
			strerror(-err));
	if (claim && *cookie && claim != *cookie)
		return mnfq_i_fail(&t->error, -ESTALE,
				   "the socket is of another network namespace than the sender "
				   "says");
	return 0;
}

static int get_peer(struct transfer *t, struct mnfq_handover *info)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(t->stream, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return mnfq_i_fail(&t->error, -errno, "the kernel does not report the peer: %s",
				   strerror(errno));
	info->pid = (uint32_t)peer.pid;
	info->uid = peer.uid;
	info->gid = peer.gid;
	return 0;
}

/* Instead of a socket, why there is none. */
static bool handover_is_refusal(const struct received_msg *received)
{
	return received->count == 0 &&
	       mnfq_i_handover_msg_is_answer(received->bytes, received->len);
}

static int read_refusal(struct transfer *t, const struct received_msg *received)
{
	int err = mnfq_i_handover_msg_read_answer(received->bytes, received->len, &t->error);

	if (err < 0)
		return err;
	return mnfq_i_fail(&t->error, -EBADMSG, "an answer came, and nothing had been sent");
}

static int validate_offer(struct transfer *t, const struct received_msg *received,
			  struct mnfq_handover *info)
{
	struct mnfq_i_handover_msg message = { .flags = MNFQ_HANDOVER_PLAIN };
	bool plain = t->options.flags & MNFQ_HANDOVER_PLAIN &&
		     received->len <= MNFQ_I_HANDOVER_MSG_SIZE &&
		     !mnfq_i_handover_msg_is(received->bytes, received->len);
	int err = 0;

	if (handover_is_refusal(received))
		return read_refusal(t, received);
	if (!plain)
		err = mnfq_i_handover_msg_read_offer(&message, received->bytes, received->len,
						     &t->error);
	if (err == 0)
		err = check_contents(t, received, message.netns_cookie, &info->netns_cookie);
	if (err == 0)
		err = get_peer(t, info);
	info->flags = message.flags;
	memcpy(info->label, message.label, sizeof(info->label));
	return err;
}

/* Who speaks our language hears why. */
static void refuse(struct transfer *t, const struct received_msg *received, int err)
{
	struct mnfq_i_handover_msg message;

	if (received->fd >= 0)
		close(received->fd);
	if (!mnfq_i_handover_msg_is(received->bytes, received->len) ||
	    handover_is_refusal(received))
		return;
	mnfq_i_handover_msg_answer(&message, err, t->error.text);
	(void)send_msg(t->stream, &message, -1);
}

int mnfq_handover_receive(int *fd, int stream, int timeout_ms, struct mnfq_handover *info,
			  const struct mnfq_handover_options *options)
{
	struct mnfq_handover known = { .size = sizeof(known) };
	struct received_msg received;
	struct transfer t;
	int err = handover_begin(&t, stream, timeout_ms, MNFQ_HANDOVER_PLAIN, options);

	if (err == 0 && (!fd || !mnfq_i_options_sized(info)))
		err = mnfq_i_fail(&t.error, -EINVAL,
				  "no place for the descriptor, or for what is known of it: set "
				  ".size to sizeof(struct mnfq_handover)");
	if (err == 0)
		err = receive_msg(&t, &received);
	if (err < 0)
		return end(&t, err);
	err = validate_offer(&t, &received, &known);
	if (err < 0) {
		refuse(&t, &received, err);
		return end(&t, err);
	}
	*fd = received.fd;
	mnfq_i_options_return(info, &known, sizeof(known));
	return 0;
}

/*
 * Descriptors that come with an answer find no room, so the kernel closes them. A peer that refuses
 * before it has read what we sent resets the connection, and sockets of SOCK_SEQPACKET report that
 * before they give what came earlier.
 */
static ssize_t receive_answer(int stream, void *bytes, size_t size)
{
	ssize_t len = recv(stream, bytes, size, MSG_DONTWAIT);

	if (len < 0 && errno == ECONNRESET)
		len = recv(stream, bytes, size, MSG_DONTWAIT);
	return len < 0 ? -errno : len;
}

int mnfq_handover_wait(int stream, int timeout_ms, const struct mnfq_handover_options *options)
{
	uint8_t bytes[MNFQ_I_HANDOVER_MSG_SIZE + 1];
	struct transfer t;
	ssize_t len = 0;
	int err = handover_begin(&t, stream, timeout_ms, MNFQ_HANDOVER_KEEP, options);

	while (err == 0 && (len = receive_answer(stream, bytes, sizeof(bytes))) < 0)
		err = len == -EAGAIN ? await(&t, POLLIN) : explain_receive(&t, (int)len);
	if (err == 0 && len == 0)
		err = explain_receive(&t, -ECONNRESET);
	if (err == 0)
		err = mnfq_i_handover_msg_read_answer(bytes, (size_t)len, &t.error);
	return end(&t, err);
}
