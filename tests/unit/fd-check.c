// SPDX-License-Identifier: MIT
/*
 * Whether a descriptor is fit is asked of the kernel, call by call. Each of these calls fails in turn, for
 * each reason that has nothing to do with the question: what is not fit is refused all the same, nothing
 * leaks, and the next try works.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handover-msg.h"
#include "wire.h"

TestSuite(fail_closed, .timeout = 60);

/* ---- calls that fail ---- */

static unsigned int fail_at, calls; /* the one with this number; 0: none */
static int fail_with;

static bool fails(void)
{
	if (fail_at == 0 || ++calls != fail_at)
		return false;
	errno = fail_with;
	return true;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int __real_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int __real_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __real_bind(int fd, const struct sockaddr *addr, socklen_t len);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
		      socklen_t to_len);
ssize_t __real_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
		      socklen_t to_len);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
int __wrap_fcntl64(int fd, int command, ...);
int __real_fcntl64(int fd, int command, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_fstat64(int fd, struct stat *st);
int __real_fstat64(int fd, struct stat *st);
void *__wrap_calloc(size_t n, size_t size);
void *__real_calloc(size_t n, size_t size);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return fails() ? -1 : __real_getsockopt(fd, level, name, value, len);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return fails() ? -1 : __real_setsockopt(fd, level, name, value, len);
}

int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails() ? -1 : __real_getsockname(fd, addr, len);
}

int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails() ? -1 : __real_getpeername(fd, addr, len);
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return fails() ? -1 : __real_bind(fd, addr, len);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return fails() ? -1 : __real_recvmsg(fd, msg, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return fails() ? -1 : __real_sendmsg(fd, msg, flags);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
		      socklen_t to_len)
{
	return fails() ? -1 : __real_sendto(fd, data, len, flags, to, to_len);
}

int __wrap_fcntl64(int fd, int command, ...)
{
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	return fails() ? -1 : __real_fcntl64(fd, command, arg);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return fails() ? -1 : __real_ioctl(fd, request, arg);
}

int __wrap_fstat64(int fd, struct stat *st)
{
	return fails() ? -1 : __real_fstat64(fd, st);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

/* ---- what is offered ---- */

enum kind { FIT, FILTERED, CONNECTED, OTHER_PROTOCOL, OTHER_FAMILY, A_FILE, PATH_ONLY, KINDS };

static int make(enum kind kind)
{
	struct sock_filter all = { BPF_RET | BPF_K, 0, 0, 1 };
	struct sock_fprog filter = { 1, &all };
	struct sockaddr_nl peer = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	int fd;

	if (kind == A_FILE || kind == PATH_ONLY)
		return open("/dev/null", O_CLOEXEC | (kind == A_FILE ? O_RDWR : O_PATH));
	if (kind == OTHER_FAMILY)
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
		    kind == OTHER_PROTOCOL ? NETLINK_USERSOCK : NETLINK_NETFILTER);
	cr_assert(fd >= 0);
	if (kind == FILTERED)
		cr_assert(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ==
			  0);
	if (kind == CONNECTED && connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0)
		cr_skip("only root may connect such a socket");
	return fd;
}

static unsigned int count_descriptors(void)
{
	unsigned int count = 0;
	DIR *dir = opendir("/proc/self/fd");

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static const int reasons[] = { EMFILE, ENFILE, ENOMEM, EINTR };

/* For each reason, until the call that is to fail is not reached any more. */
static void each_failure(void (*try)(enum kind kind, bool failing), enum kind kind)
{
	unsigned int before, last;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		last = 0;
		do {
			before = count_descriptors();
			fail_with = reasons[i];
			calls = 0;
			fail_at = ++last;
			try(kind, true);
			cr_assert_eq(count_descriptors(), before, "kind %d, call %u, %s", kind,
				     last, strerror(reasons[i]));
			try(kind, false);
		} while (calls >= last); /* the one that worked counts none */
		cr_assert(last > 1, "calls are not seen");
	}
}

/* ---- adoption ---- */

static void try_adopt(enum kind kind, bool failing)
{
	const unsigned int at = fail_at;
	struct mnfq_socket *sock = NULL;
	uint64_t inode = 0;
	int fd, err, known = -1;

	fail_at = 0;
	fd = make(kind);
	fail_at = failing ? at : 0;
	err = mnfq_socket_adopt(&sock, fd, NULL);
	if (err == 0)
		known = mnfq_socket_get_netns_inode(sock, &inode);
	fail_at = 0;
	cr_assert(kind == FIT || err < 0, "kind %d, call %u, %s", kind, at, strerror(fail_with));
	cr_assert(failing || kind != FIT || err == 0);
	cr_assert(known < 0 || inode != 0);
	if (err == 0)
		mnfq_socket_close(sock);
	else
		cr_assert(close(fd) == 0, "it is still the caller's");
}

Test(fail_closed, nothing_unfit_is_adopted)
{
	for (enum kind kind = FIT; kind < KINDS; kind++)
		each_failure(try_adopt, kind);
}

/* ---- hand-over ---- */

static void send_offer(int stream, int fd, uint64_t cookie)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct mnfq_i_handover_msg message;
	struct iovec iov = { .iov_base = &message, .iov_len = sizeof(message) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	mnfq_i_handover_msg_offer(&message, 0, cookie, "");
	cr_assert(sendmsg(stream, &msg, 0) == (ssize_t)sizeof(message));
}

/* The cookie that the sender claims; 0: none. */
static uint64_t claim;

static void try_receive(enum kind kind, bool failing)
{
	const unsigned int at = fail_at;
	struct mnfq_handover info = MNFQ_INIT(info);
	int ends[2], fd, err, got = -1;

	fail_at = 0;
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	fd = make(kind);
	send_offer(ends[0], fd, claim);
	fail_at = failing ? at : 0;
	err = mnfq_handover_receive(&got, ends[1], 0, &info, NULL);
	fail_at = 0;
	cr_assert((kind == FIT && !claim) || err < 0, "kind %d, call %u, %s", kind, at,
		  strerror(fail_with));
	cr_assert(failing || kind != FIT || claim || err == 0);
	cr_assert(err < 0 || (info.uid == getuid() && info.pid == (uint32_t)getpid()));
	if (err == 0)
		close(got);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

Test(fail_closed, nothing_unfit_is_received)
{
	for (enum kind kind = FIT; kind < KINDS; kind++)
		each_failure(try_receive, kind);
}

Test(fail_closed, no_lie_about_the_namespace_is_believed)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int fd = make(FIT);

	if (getsockopt(fd, SOL_SOCKET, MNFQ_I_SO_NETNS_COOKIE, &cookie, &len) < 0)
		cr_skip("this kernel has no cookies of namespaces");
	close(fd);
	claim = cookie + 1;
	each_failure(try_receive, FIT);
}
