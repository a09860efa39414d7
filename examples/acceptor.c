/* SPDX-License-Identifier: MIT */
/* The smallest program: accepts all packets of a queue. */
#include "example.h"

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	(void)packet;
	(void)data;
	return MNFQ_ACCEPT;
}

int main(int argc, char **argv)
{
	struct mnfq_socket *sock;
	unsigned int num;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: acceptor QUEUE\n");
		return 2;
	}
	num = example_queue(argv[1]);
	err = mnfq_socket_open(&sock, NULL);
	if (err < 0)
		example_fail(err, "");
	err = mnfq_queue_bind(NULL, sock, num, NULL, decide, NULL);
	if (err == 0)
		err = mnfq_socket_run(sock);
	if (err < 0)
		fprintf(stderr, "%s\n", mnfq_socket_get_error(sock));
	mnfq_socket_close(sock);
	return err < 0;
}
