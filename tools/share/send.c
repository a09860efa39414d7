/* SPDX-License-Identifier: MIT */
/* mnfq share: what its two directions share: a socket is opened and sent, rights are given up. */
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
	close(fd); /* or its queue would outlive the program that serves it */
	return err;
}

/* Opening sockets and passing them takes no capability, and binding queues is the others' affair. */
int share_enter_sandbox(const struct share_options *opts)
{
	char error[256];

	if (opts->no_sandbox || sandbox_enter(SANDBOX_SHARER, SANDBOX_CAP(CAP_NET_ADMIN), false,
					      opts->listen, error, sizeof(error)) == 0)
		return 0;
	return fail(SHARE_NAME, "%s; --no-sandbox does without", error);
}

int share_catch_signals(int also)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (!is_ignored(SIGHUP)) /* blocked, it would come all the same */
		sigaddset(&set, SIGHUP);
	if (also)
		sigaddset(&set, also);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
