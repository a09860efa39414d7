/* SPDX-License-Identifier: MIT */
/* mnfq share: what both directions need: sending a socket, signals, the sandbox. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/program.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"
#include "share/share.h"

int share_send(const struct share_options *opts, int stream, uint32_t flags, char *error,
	       size_t error_size)
{
	struct mnfq_handover_options handover = { .size = sizeof(handover),
						  .flags = flags,
						  .label = opts->label,
						  .error = error,
						  .error_size = error_size };
	int err, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0) {
		err = -errno;
		snprintf(error, error_size, "cannot open a netlink socket: %s", strerror(-err));
		return err;
	}
	err = mnfq_handover_send(stream, fd, 0, &handover);
	close(fd); /* a copy would keep its queues alive after the receiver has gone */
	return err;
}

/* CAP_NET_ADMIN has to be kept: receivers check that the opener of the socket has it. */
int share_enter_sandbox(const struct share_options *opts)
{
	char error[256];

	if (opts->no_sandbox || sandbox_enter(SANDBOX_SHARER, SANDBOX_CAP(CAP_NET_ADMIN), false,
					      opts->listen, error, sizeof(error)) == 0)
		return 0;
	return fail(SHARE_NAME, "%s; see --no-sandbox", error);
}

int share_catch_signals(int also)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (!is_ignored(SIGHUP)) /* a blocked signal reaches signalfd even if it is ignored */
		sigaddset(&set, SIGHUP);
	if (also)
		sigaddset(&set, also);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
