/* SPDX-License-Identifier: MIT */
/* A netlink socket of another network namespace. */
#include "broker/netns-enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int netns_enter_open_home(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_enter_open_socket(int netns, int home)
{
	int fd;

	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		fd = -errno;
	/* If the process stayed, it would keep the namespace alive, and see it alive. */
	if (setns(home, CLONE_NEWNET) < 0)
		_exit(EXIT_FAILURE);
	return fd;
}
