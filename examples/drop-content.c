/* SPDX-License-Identifier: MIT */
/*
 * Drops packets that contain a text, and packets that were not received whole. A text that is split
 * between two packets is found in neither.
 */
#include "example.h"

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	const char *text = data;
	const uint8_t *payload;
	size_t len;

	if (!mnfq_packet_is_whole(packet))
		return MNFQ_DROP;
	payload = mnfq_packet_get_payload(packet, &len);
	return memmem(payload, len, text, strlen(text)) ? MNFQ_DROP : MNFQ_ACCEPT;
}

int main(int argc, char **argv)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);
	struct mnfq_socket *sock;

	if (argc != 3 || !*argv[2]) {
		fprintf(stderr, "usage: drop-content QUEUE TEXT\n");
		return 2;
	}
	sock = example_listen(example_queue(argv[1]), MNFQ_DROP, decide, argv[2]);
	example_run(sock);

	mnfq_socket_get_stats(sock, &stats);
	printf("%llu accepted, %llu dropped\n", (unsigned long long)stats.accepted,
	       (unsigned long long)stats.dropped);
	mnfq_socket_close(sock);
	return 0;
}
