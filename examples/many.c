/* SPDX-License-Identifier: MIT */
/*
 * Many namespaces, one thread: a socket in each, all with the same ring and epoll descriptor. Each
 * namespace gets one batch per turn, so that a busy one does not starve the others.
 */
#include "example.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct netns {
	const char *name;
	struct mnfq_socket *sock;
	unsigned int packets;
};

static enum mnfq_verdict count(struct mnfq_packet *packet, void *data)
{
	struct netns *netns = data;

	(void)packet;
	netns->packets++;
	return MNFQ_ACCEPT;
}

static void watch(int epoll_fd, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		example_fail(-errno, "");
}

static void add(struct netns *netns, unsigned int num, struct mnfq_ring *ring, int epoll_fd)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_socket_options options = {
		.size = sizeof(options), .error = error, .error_size = sizeof(error), .ring = ring
	};
	int err;

	err = mnfq_socket_open_netns(&netns->sock, netns->name, &options);
	if (err < 0)
		example_fail(err, error);
	err = mnfq_queue_bind(NULL, netns->sock, num, NULL, count, netns);
	if (err < 0)
		example_fail(err, mnfq_socket_get_error(netns->sock));
	watch(epoll_fd, mnfq_socket_get_fd(netns->sock), netns);
}

/* Runs until a signal arrives. */
static void loop(int epoll_fd)
{
	struct epoll_event event;
	struct netns *netns;
	int err;

	while (epoll_wait(epoll_fd, &event, 1, -1) == 1 && event.data.ptr) {
		netns = event.data.ptr;
		err = mnfq_socket_dispatch(netns->sock, 0);
		if (err < 0)
			fprintf(stderr, "%s: %s\n", netns->name,
				mnfq_socket_get_error(netns->sock));
	}
}

static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct netns *entries;
	struct mnfq_ring *ring;
	int epoll_fd, signal_fd, i;

	if (argc < 3) {
		fprintf(stderr, "usage: many QUEUE NETNS...\n");
		return 2;
	}
	entries = calloc((size_t)argc, sizeof(*entries));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = open_signals();
	if (!entries || mnfq_ring_new(&ring, 0) < 0)
		example_fail(-ENOMEM, "");
	watch(epoll_fd, signal_fd, NULL);
	for (i = 2; i < argc; i++) {
		entries[i].name = argv[i];
		add(&entries[i], example_queue(argv[1]), ring, epoll_fd);
	}
	mnfq_ring_free(ring); /* the sockets hold references */
	loop(epoll_fd);
	for (i = 2; i < argc; i++) {
		printf("%s: %u packets\n", argv[i], entries[i].packets);
		mnfq_socket_close(entries[i].sock);
	}
	free(entries);
	close(epoll_fd);
	close(signal_fd);
	return 0;
}
