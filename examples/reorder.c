/* SPDX-License-Identifier: MIT */
/* Deferred verdicts: keeps packets, and accepts each group of four, the last one first. */
#include "example.h"

#define GROUP 4

struct group {
	struct mnfq_packet *packets[GROUP];
	unsigned int count;
};

static void let_go(struct group *group)
{
	while (group->count > 0) {
		struct mnfq_packet *packet = group->packets[--group->count];

		mnfq_packet_decide(packet, MNFQ_ACCEPT);
		mnfq_packet_free(packet);
	}
}

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct group *group = data;

	if (mnfq_packet_retain(&group->packets[group->count], packet) < 0)
		return MNFQ_ACCEPT;
	if (++group->count == GROUP)
		let_go(group);
	return MNFQ_DEFER;
}

int main(int argc, char **argv)
{
	struct group group = { .count = 0 };
	struct mnfq_socket *sock;

	if (argc != 2) {
		fprintf(stderr, "usage: reorder QUEUE\n");
		return 2;
	}
	sock = example_listen(example_queue(argv[1]), MNFQ_ACCEPT, decide, &group);
	example_run(sock);
	let_go(&group);
	mnfq_socket_close(sock);
	return 0;
}
