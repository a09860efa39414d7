/* SPDX-License-Identifier: MIT */
/*
 * Many namespaces, one thread: a socket in each, and for all of them one ring and one epoll. Each
 * turn gives a namespace one batch, so that a noisy one does not starve the others.
 */
#include "example.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct place {
	const char *name;
	struct mnfq_socket *sock;
	unsigned int packets;
};

static enum mnfq_verdict count(struct mnfq_packet *packet, void *data)
{
	struct place *place = data;

	(void)packet;
	place->packets++;
	return MNFQ_ACCEPT;
}

static void watch(int epoll_fd, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		example_fail(-errno, "");
}

static void enter(struct place *place, unsigned int num, struct mnfq_ring *ring, int epoll_fd)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_socket_options options = {
		.size = sizeof(options), .error = error, .error_size = sizeof(error), .ring = ring
	};
	int err;

	err = mnfq_socket_open_netns(&place->sock, place->name, &options);
	if (err < 0)
		example_fail(err, error);
	err = mnfq_queue_bind(NULL, place->sock, num, NULL, count, place);
	if (err < 0)
		example_fail(err, mnfq_socket_get_error(place->sock));
	watch(epoll_fd, mnfq_socket_get_fd(place->sock), place);
}

/* Until there is a signal. */
static void loop(int epoll_fd)
{
	struct epoll_event event;
	struct place *place;
	int err;

	while (epoll_wait(epoll_fd, &event, 1, -1) == 1 && event.data.ptr) {
		place = event.data.ptr;
		err = mnfq_socket_dispatch(place->sock, 0);
		if (err < 0)
			fprintf(stderr, "%s: %s\n", place->name,
				mnfq_socket_get_error(place->sock));
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
	struct place *places;
	struct mnfq_ring *ring;
	int epoll_fd, signal_fd, i;

	if (argc < 3) {
		fprintf(stderr, "usage: many QUEUE NETNS...\n");
		return 2;
	}
	places = calloc((size_t)argc, sizeof(*places));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = open_signals();
	if (!places || mnfq_ring_new(&ring, 0) < 0)
		example_fail(-ENOMEM, "");
	watch(epoll_fd, signal_fd, NULL);
	for (i = 2; i < argc; i++) {
		places[i].name = argv[i];
		enter(&places[i], example_queue(argv[1]), ring, epoll_fd);
	}
	mnfq_ring_free(ring); /* the sockets keep it */
	loop(epoll_fd);
	for (i = 2; i < argc; i++) {
		printf("%s: %u packets\n", argv[i], places[i].packets);
		mnfq_socket_close(places[i].sock);
	}
	free(places);
	close(epoll_fd);
	close(signal_fd);
	return 0;
}
