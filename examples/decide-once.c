/* SPDX-License-Identifier: MIT */
/*
 * See only the first packets of each flow. The packet that decides the flow gets a mark, a later rule
 * saves the mark to the connection, and the rest bypasses the queue:
 *
 *   iptables -t mangle -A FORWARD -m connmark --mark 0x1/0x1 -j RETURN
 *   iptables -t mangle -A FORWARD -p tcp -j NFQUEUE --queue-num 5
 *   iptables -t mangle -A POSTROUTING -m mark --mark 0x1/0x1 \
 *       -j CONNMARK --save-mark --nfmask 0x1 --ctmask 0x1
 *
 * For packets to this machine use PREROUTING and INPUT instead of FORWARD and POSTROUTING, for packets
 * from it OUTPUT and POSTROUTING. The kernel need not send connection tracking data.
 */
#include "example.h"

#include <stdbool.h>

#define MARK  0x1u  /* our bit; other programs may use the rest */
#define SLOTS 65536 /* flows in memory; one that is evicted is seen again */

struct end {
	uint8_t address[16];
	uint16_t port;
};

struct flow {
	struct end ends[2]; /* the lower one first, so that both directions are the same */
	uint8_t protocol;
	uint8_t packets; /* so far; not part of the key */
};

struct flows {
	struct flow slots[SLOTS];
	unsigned int first; /* packets to see of each flow */
	unsigned int seen;
};

/* Later fragments have no ports, and other protocols no addresses: those packets share a flow. */
static void get_flow(const struct mnfq_packet *packet, struct flow *flow)
{
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);
	struct end end;

	(void)mnfq_packet_get_tuple(packet, &tuple);
	memset(flow, 0, sizeof(*flow));
	memcpy(flow->ends[0].address, tuple.src, sizeof(tuple.src));
	memcpy(flow->ends[1].address, tuple.dst, sizeof(tuple.dst));
	flow->ends[0].port = tuple.sport;
	flow->ends[1].port = tuple.dport;
	flow->protocol = tuple.protocol;
	if (memcmp(&flow->ends[0], &flow->ends[1], sizeof(end)) > 0) {
		end = flow->ends[0];
		flow->ends[0] = flow->ends[1];
		flow->ends[1] = end;
	}
}

/* Whether this packet completes the number to see of its flow. */
static bool is_enough(struct flows *flows, const struct flow *flow)
{
	const size_t key = offsetof(struct flow, packets);
	const uint8_t *bytes = (const uint8_t *)flow;
	struct flow *slot;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < key; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	slot = &flows->slots[(hash ^ hash >> 16) % SLOTS];
	if (memcmp(slot, flow, key) != 0)
		*slot = *flow;
	if (slot->packets < flows->first)
		slot->packets++;
	return slot->packets >= flows->first;
}

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct flows *flows = data;
	struct flow flow;

	/*
	 * Inspect the packet here. Return MNFQ_DROP if it is unwanted, or not whole:
	 * mnfq_packet_is_whole().
	 */
	flows->seen++;
	get_flow(packet, &flow);
	if (is_enough(flows, &flow))
		mnfq_packet_set_mark(packet, mnfq_packet_get_mark(packet) | MARK);
	return MNFQ_ACCEPT;
}

int main(int argc, char **argv)
{
	static struct flows flows;
	struct mnfq_socket *sock;

	if (argc == 3)
		flows.first = (unsigned int)strtoul(argv[2], NULL, 10);
	if (flows.first < 1 || flows.first > UINT8_MAX) {
		fprintf(stderr, "usage: decide-once QUEUE PACKETS (of each flow, 1 to 255)\n");
		return 2;
	}
	sock = example_listen(example_queue(argv[1]), MNFQ_ACCEPT, decide, &flows);
	example_run(sock);
	printf("%u packets seen\n", flows.seen);
	mnfq_socket_close(sock);
	return 0;
}
