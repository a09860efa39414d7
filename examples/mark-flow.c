/* SPDX-License-Identifier: MIT */
/*
 * Decide a whole connection: if a packet contains a text, its connection gets a mark, which a rule
 * matches for later packets: iptables -A INPUT -m connmark --mark 0x1/0x1 -j DROP
 * Packets that were not received whole, or whose connection cannot be marked, are dropped.
 */
#include "example.h"

#define MARK 0x1u /* our bit; other programs may use the rest */

struct flows {
	const char *text;
	unsigned int marked;
};

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct flows *flows = data;
	const uint8_t *payload;
	size_t len;

	if (!mnfq_packet_is_whole(packet))
		return MNFQ_DROP;
	payload = mnfq_packet_get_payload(packet, &len);
	if (!memmem(payload, len, flows->text, strlen(flows->text)))
		return MNFQ_ACCEPT;
	if (mnfq_packet_set_ct_mark(packet, MARK, MARK) < 0) {
		fprintf(stderr, "packet %u: %s\n", mnfq_packet_get_id(packet),
			mnfq_packet_get_error(packet));
		return MNFQ_DROP;
	}
	flows->marked++;
	return MNFQ_ACCEPT;
}

int main(int argc, char **argv)
{
	struct flows flows = { 0 };
	struct mnfq_socket *sock;

	if (argc != 3 || !*argv[2]) {
		fprintf(stderr, "usage: mark-flow QUEUE TEXT\n");
		return 2;
	}
	flows.text = argv[2];
	sock = example_listen_with(example_queue(argv[1]), MNFQ_QUEUE_CONNTRACK, MNFQ_DROP,
				   decide, &flows);
	example_run(sock);
	printf("%u packets marked their connections\n", flows.marked);
	mnfq_socket_close(sock);
	return 0;
}
