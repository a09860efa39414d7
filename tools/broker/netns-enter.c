/* SPDX-License-Identifier: MIT */
/* What belongs to another network namespace. */
#include "broker/netns-enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int netns_enter_open_home(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* If the process stayed, it would keep the namespace alive, and see it alive. */
static void go_home(int home)
{
	if (setns(home, CLONE_NEWNET) < 0)
		_exit(EXIT_FAILURE);
}

int netns_enter_open_socket(int netns, int home)
{
	int fd;

	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		fd = -errno;
	go_home(home);
	return fd;
}

int netns_enter_open_file(int netns, int home, const char *name)
{
	char path[64];
	int fd;

	if (setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/thread-self/net/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	go_home(home);
	return fd;
}
