/* SPDX-License-Identifier: MIT */
/*
 * Decides the packets of another network namespace without entering it: with a netlink socket that
 * another process opened there and hands over, as `pass-socket send PATH` does.
 */
#include "unix.h"

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	char device[16] = "-";
	size_t len = 0;

	(void)data;
	mnfq_packet_get_length(packet, &len);
	mnfq_packet_get_ifname(packet, mnfq_packet_get_indev(packet), device);
	printf("packet %u from %s, %zu bytes\n", mnfq_packet_get_id(packet), device, len);
	return MNFQ_ACCEPT;
}

/* Receives a socket, binds the queue on it, and reports the result to the sender. */
static struct mnfq_socket *take(int stream, unsigned int num)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options from = { .size = sizeof(from),
					      .error = error,
					      .error_size = sizeof(error) };
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = error,
					       .error_size = sizeof(error) };
	struct mnfq_handover info = MNFQ_INIT(info);
	struct mnfq_socket *sock;
	const char *why = error;
	int fd, err;

	err = mnfq_handover_receive(&fd, stream, -1, &info, &from);
	if (err < 0)
		example_fail(err, error); /* the sender got the reply */
	err = mnfq_socket_adopt(&sock, fd, &options);
	if (err == 0) {
		err = mnfq_queue_bind(NULL, sock, num, NULL, decide, NULL);
		why = mnfq_socket_get_error(sock);
	}
	mnfq_handover_answer(stream, &info, err, why);
	if (err < 0)
		example_fail(err, why);
	return sock;
}

int main(int argc, char **argv)
{
	struct mnfq_socket *sock;
	char name[64] = "another namespace";
	unsigned int num;
	int stream;

	if (argc != 3) {
		fprintf(stderr, "usage: received-socket PATH QUEUE\n");
		return 2;
	}
	setlinebuf(stdout);
	num = example_queue(argv[2]);
	stream = example_accept(argv[1]);
	sock = take(stream, num);
	close(stream);
	mnfq_socket_get_netns_name(sock, name, sizeof(name));
	printf("deciding the packets of %s\n", name);
	example_run(sock);
	mnfq_socket_close(sock);
	return 0;
}
