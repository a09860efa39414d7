/* SPDX-License-Identifier: MIT */
/*
 * Replaces a text in the data of packets and keeps the packets valid. In TCP both texts must have the
 * same length, see libmnfq(3); a text split between two packets is not found. Packets that were not
 * received whole or cannot be edited are dropped, so that the text does not get through.
 */
#include "example.h"

struct texts {
	const char *from, *to;
};

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	const struct texts *texts = data;
	struct mnfq_layers at = MNFQ_INIT(at);
	const uint8_t *bytes, *hit;
	size_t offset = 0;

	if (!mnfq_packet_is_whole(packet))
		return MNFQ_DROP;
	while (mnfq_packet_get_layers(packet, &at) == 0) {
		bytes = mnfq_packet_get_payload(packet, NULL);
		offset = offset > at.data ? offset : at.data;
		hit = memmem(bytes + offset, at.end - offset, texts->from, strlen(texts->from));
		if (!hit)
			return MNFQ_ACCEPT;
		offset = (size_t)(hit - bytes);
		if (mnfq_packet_edit(packet, offset, strlen(texts->from), texts->to,
				     strlen(texts->to)) < 0) {
			fprintf(stderr, "packet %u: %s\n", mnfq_packet_get_id(packet),
				mnfq_packet_get_error(packet));
			break;
		}
		offset += strlen(texts->to);
	}
	return MNFQ_DROP;
}

int main(int argc, char **argv)
{
	struct texts texts;
	struct mnfq_socket *sock;

	if (argc != 4 || !*argv[2]) {
		fprintf(stderr, "usage: replace QUEUE FROM TO\n");
		return 2;
	}
	texts = (struct texts){ argv[2], argv[3] };
	sock = example_listen(example_queue(argv[1]), MNFQ_DROP, decide, &texts);
	example_run(sock);
	mnfq_socket_close(sock);
	return 0;
}
