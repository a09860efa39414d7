/* SPDX-License-Identifier: MIT */
/* Prints the connection of each packet; libnetfilter_conntrack parses its data. */
#include "example.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

/* Takes the family from the addresses: the family of the packet may be that of a bridge. */
static int parse(struct nf_conntrack *ct, const struct mnfq_packet *packet)
{
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);
	size_t len;
	const uint8_t *attributes = mnfq_packet_get_ct(packet, &len);

	if (!attributes || mnfq_packet_get_ct_tuple(packet, MNFQ_CT_ORIGINAL, &tuple) < 0)
		return -1;
	return nfct_payload_parse(attributes, len, tuple.family, ct);
}

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	const char *state = mnfq_packet_get_ct_state_name(packet);
	struct nf_conntrack *ct = nfct_new();
	char text[1024] = "no connection";

	(void)data;
	if (ct && parse(ct, packet) == 0)
		nfct_snprintf(text, sizeof(text), ct, NFCT_T_UNKNOWN, NFCT_O_DEFAULT,
			      NFCT_OF_SHOW_LAYER3 | NFCT_OF_ID);
	if (ct)
		nfct_destroy(ct);
	printf("packet %u, %s: %s\n", mnfq_packet_get_id(packet), state ? state : "untracked",
	       text);
	fflush(stdout);
	return MNFQ_ACCEPT;
}

int main(int argc, char **argv)
{
	struct mnfq_socket *sock;

	if (argc != 2) {
		fprintf(stderr, "usage: conntrack QUEUE\n");
		return 2;
	}
	sock = example_listen_with(example_queue(argv[1]), MNFQ_QUEUE_CONNTRACK, MNFQ_ACCEPT,
				   decide, NULL);
	example_run(sock);
	mnfq_socket_close(sock);
	return 0;
}
