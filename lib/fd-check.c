// SPDX-License-Identifier: MIT
/* A descriptor that comes from somewhere else: is it a netlink socket that can be used? */
#include "fd-check.h"

#include <errno.h>
#include <fcntl.h>

#include "error.h"
#include "sockopt.h"
#include "wire.h"

/* What cannot be checked is not fit. */
static int fail_check(struct mnfq_i_errmsg *error, int fd, int err)
{
	return mnfq_i_fail(error, err, "descriptor %d cannot be checked: %s", fd, strerror(-err));
}

/* The kernel returns the length of an attached filter, and refuses to show eBPF filters. */
int mnfq_i_check_filter(int fd, struct mnfq_i_errmsg *error)
{
	socklen_t len = 0;
	int err = getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) < 0 ? -errno : 0;

	if (err == 0 && len == 0)
		return 0;
	if (err < 0 && err != -EACCES)
		return fail_check(error, fd, err);
	return mnfq_i_fail(error, -EBADFD,
			   "descriptor %d has a socket filter attached, which can make packets "
			   "vanish: detach it first",
			   fd);
}

int mnfq_i_check_fd(int fd, struct mnfq_i_errmsg *error)
{
	int flags = fcntl(fd, F_GETFL), domain, protocol, connected;

	if (flags < 0)
		return mnfq_i_fail(error, -EBADF, "descriptor %d is not open", fd);
	if (flags & O_PATH)
		return mnfq_i_fail(error, -EBADF,
				   "descriptor %d was opened with O_PATH: nothing can be read",
				   fd);
	domain = mnfq_i_get_int(fd, SOL_SOCKET, SO_DOMAIN);
	if (domain < 0)
		return mnfq_i_fail(error, domain,
				   "descriptor %d is not a socket: pass a socket of "
				   "NETLINK_NETFILTER",
				   fd);
	if (domain != AF_NETLINK)
		return mnfq_i_fail(error, -EAFNOSUPPORT,
				   "descriptor %d is a socket of family %d, not of AF_NETLINK",
				   fd, domain);
	protocol = mnfq_i_get_int(fd, SOL_SOCKET, SO_PROTOCOL);
	if (protocol != NETLINK_NETFILTER)
		return mnfq_i_fail(error, -EPROTONOSUPPORT,
				   "descriptor %d is a netlink socket of protocol %d, not of "
				   "NETLINK_NETFILTER",
				   fd, protocol);
	connected = mnfq_i_is_connected(fd);
	if (connected < 0)
		return fail_check(error, fd, connected);
	if (connected)
		return mnfq_i_fail(error, -EISCONN,
				   "descriptor %d is connected to a peer, so the kernel delivers "
				   "nothing to it: pass one that is not",
				   fd);
	return mnfq_i_check_filter(fd, error);
}
