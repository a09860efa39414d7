/* SPDX-License-Identifier: MIT */
/*
 * Passes a netlink socket out of a network namespace:
 *
 *	pass-socket receive PATH COMMAND [ARGUMENT…]    outside: COMMAND gets it as descriptor 3
 *	pass-socket send PATH                           inside, as with `ip netns exec NAME …`
 */
#include "unix.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <unistd.h>

static char error[MNFQ_ERRMSG_SIZE];
static const struct mnfq_handover_options options = { .size = sizeof(options),
						      .error = error,
						      .error_size = sizeof(error) };

static int send_socket(const char *path)
{
	int fd, stream, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0)
		example_fail(-errno, "");
	stream = example_connect(path);
	err = mnfq_handover_send(stream, fd, -1, &options);
	if (err == 0)
		err = mnfq_handover_wait(stream, -1, &options);
	if (err < 0)
		example_fail(err, error);
	return 0; /* our copy is closed at exit, the receiver's remains */
}

static int receive_socket(const char *path, char **command)
{
	struct mnfq_handover info = MNFQ_INIT(info);
	int fd, stream, err;

	stream = example_accept(path);
	err = mnfq_handover_receive(&fd, stream, -1, &info, &options);
	if (err < 0)
		example_fail(err, error);
	mnfq_handover_answer(stream, &info, 0, NULL);
	/* The received descriptor is close-on-exec; dup2() of 3 to 3 would not clear that. */
	if (fd == 3 ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, 3) < 0)
		example_fail(-errno, "");
	execvp(command[0], command);
	example_fail(-errno, "");
	return 1;
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
