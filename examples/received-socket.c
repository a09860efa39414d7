/* SPDX-License-Identifier: MIT */
/*
 * Decide the packets of another network namespace without ever being in it: all that is needed is
 * a netlink socket that somebody opened there and passes in, as `pass-socket send PATH` does.
 */
#include <unistd.h>

#include "example.h"
#include "handover.h"

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct mnfq_socket *sock = data;
	char device[16] = "-";
	size_t len = 0;

	mnfq_packet_get_length(packet, &len);
	mnfq_socket_get_ifname(sock, mnfq_packet_get_indev(packet), device);
	printf("packet %u from %s, %zu bytes\n", mnfq_packet_get_id(packet), device, len);
	return MNFQ_ACCEPT;
}

static struct mnfq_socket *adopt(int fd)
{
	char error[256] = "";
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = error,
					       .error_size = sizeof(error) };
	struct mnfq_socket *sock;
	int err;

	err = mnfq_socket_adopt(&sock, fd, &options);
	if (err < 0) {
		close(fd); /* still ours */
		example_fail(err, error);
	}
	return sock;
}

int main(int argc, char **argv)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	char name[64] = "another namespace";
	unsigned int num;
	int fd, err;

	if (argc != 3) {
		fprintf(stderr, "usage: received-socket PATH QUEUE\n");
		return 2;
	}
	setlinebuf(stdout);
	num = example_queue(argv[2]);
	fd = handover_receive(argv[1]);
	if (fd < 0)
		example_fail(fd, "");

	sock = adopt(fd);
	err = mnfq_queue_bind(&queue, sock, num, NULL, decide, sock);
	if (err < 0)
		example_fail(err, mnfq_socket_get_error(sock));
	mnfq_socket_get_netns_name(sock, name, sizeof(name));
	printf("deciding the packets of %s\n", name);
	example_run(sock);
	mnfq_socket_close(sock);
	return 0;
}
