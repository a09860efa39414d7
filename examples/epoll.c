/* SPDX-License-Identifier: MIT */
/* A program with its own event loop, in which packets are one kind of event. */
#include "example.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	size_t len = 0;

	(void)data;
	mnfq_packet_get_length(packet, &len);
	printf("packet %u, %zu bytes\n", mnfq_packet_get_id(packet), len);
	return MNFQ_ACCEPT;
}

static int watch(int epoll_fd, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Runs until a signal arrives. */
static int loop(int epoll_fd, int signal_fd, struct mnfq_socket *sock)
{
	struct epoll_event event;
	int err;

	for (;;) {
		if (epoll_wait(epoll_fd, &event, 1, -1) < 0)
			return -errno;
		if (event.data.fd == signal_fd)
			return 0;
		err = mnfq_socket_dispatch(sock, 0); /* readable: no need to wait */
		if (err < 0)
			return err;
	}
}

int main(int argc, char **argv)
{
	int epoll_fd, signal_fd, err;
	struct mnfq_socket *sock;
	sigset_t signals;

	if (argc != 2) {
		fprintf(stderr, "usage: epoll QUEUE\n");
		return 2;
	}
	setlinebuf(stdout);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	sock = example_listen(example_queue(argv[1]), MNFQ_DROP, decide, NULL);

	if (watch(epoll_fd, signal_fd) < 0 || watch(epoll_fd, mnfq_socket_get_fd(sock)) < 0)
		example_fail(-errno, "");
	err = loop(epoll_fd, signal_fd, sock);
	if (err < 0)
		example_fail(err, mnfq_socket_get_error(sock));

	mnfq_socket_close(sock);
	close(epoll_fd);
	close(signal_fd);
	return 0;
}
