/* SPDX-License-Identifier: MIT */
/*
 * Pulling packets, without a callback: drops every third. Packets
 * can be decided in any order until the next mnfq_socket_receive(), which sends the verdicts.
 */
#include "example.h"

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = example_on_signal };
	struct mnfq_packet *packet;
	struct mnfq_socket *sock;
	unsigned int count = 0;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: pull QUEUE\n");
		return 2;
	}
	sock = example_listen(example_queue(argv[1]), MNFQ_DROP, NULL, NULL);
	example_running = sock;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while ((err = mnfq_socket_receive(sock, -1)) >= 0 || err == -EINTR)
		while ((packet = mnfq_socket_next_packet(sock)))
			mnfq_packet_decide(packet, ++count % 3 ? MNFQ_ACCEPT : MNFQ_DROP);
	if (err != -ECANCELED)
		example_fail(err, mnfq_socket_get_error(sock));
	printf("%u packets\n", count);
	mnfq_socket_close(sock);
	return 0;
}
