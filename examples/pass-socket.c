/* SPDX-License-Identifier: MIT */
/*
 * Two halves that bring a netlink socket out of a network namespace. Neither needs the library:
 *
 *	pass-socket receive PATH COMMAND [ARGUMENT…]    outside: COMMAND has it as descriptor 3
 *	pass-socket send PATH                           inside, as with `ip netns exec NAME …`
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"

static int fail(const char *what, int err)
{
	fprintf(stderr, "pass-socket: %s: %s\n", what, strerror(-err));
	return 1;
}

static int send_socket(const char *path)
{
	int fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		return fail("cannot open a netlink socket", -errno);
	err = handover_send(path, fd);
	close(fd); /* the copy on the other side stays */
	return err < 0 ? fail(path, err) : 0;
}

static int receive_socket(const char *path, char **command)
{
	int fd = handover_receive(path);

	if (fd < 0)
		return fail(path, fd);
	/* It was received close-on-exec, and dup2() of 3 to 3 would leave it so. */
	if (fd == 3 ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, 3) < 0)
		return fail("descriptor 3", -errno);
	execvp(command[0], command);
	return fail(command[0], -errno);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "send") == 0)
		return send_socket(argv[2]);
	if (argc >= 4 && strcmp(argv[1], "receive") == 0)
		return receive_socket(argv[2], argv + 3);
	fprintf(stderr, "usage: pass-socket send PATH\n"
			"       pass-socket receive PATH COMMAND [ARGUMENT…]\n");
	return 2;
}
