/* SPDX-License-Identifier: MIT */
/*
 * Tests a callback without a kernel, root or rules: packets are made from memory, the callback is called, and what it
 * has decided and changed is looked at. Ends with 1 if anything is not as expected.
 */
#include "example.h"

#include <netinet/in.h>

/* What is tested: accepts UDP to port 53 with a mark, drops the rest and whatever cannot be read. */
static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	(void)data;
	if (mnfq_packet_get_layers(packet, &layers) < 0 || layers.protocol != IPPROTO_UDP ||
	    layers.data == layers.transport || payload[layers.transport + 2] != 0 ||
	    payload[layers.transport + 3] != 53)
		return MNFQ_DROP;
	mnfq_packet_set_mark(packet, mnfq_packet_get_mark(packet) | 0x10);
	return MNFQ_ACCEPT;
}

/* Numbers are in the byte order of this machine; the bytes are those of the network. */
static const uint8_t query[] = {
	0x45, 0,    0, 30, 0, 0,  0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, /* IPv4, UDP */
	0x30, 0x39, 0, 53, 0, 10, 0, 0,                                         /* to port 53 */
	'h',  'i',
};

static struct mnfq_packet *make(const uint8_t *bytes, size_t len)
{
	const struct mnfq_interface eth0 = { .name = "eth0", .index = 2, .mtu = 1500 };
	struct mnfq_memory_options options = MNFQ_INIT(options);
	struct mnfq_packet_info info = MNFQ_INIT(info);
	struct mnfq_packet *packet;
	int err;

	info.payload = bytes;
	info.payload_len = len;
	info.mark = 1;
	info.indev = eth0.index;
	options.interfaces = &eth0;
	options.interface_count = 1;
	err = mnfq_packet_from_memory(&packet, &info, &options); /* copies all of it */
	if (err < 0)
		example_fail(err, "");
	return packet;
}

/* Returns whether the callback decided and marked as it should: a @mark of 0 is none. */
static int check(const char *what, const uint8_t *bytes, size_t len, enum mnfq_verdict verdict,
		 uint32_t mark)
{
	struct mnfq_packet_changes changes = MNFQ_INIT(changes);
	struct mnfq_packet *packet = make(bytes, len);
	int good;

	mnfq_packet_decide(packet, decide(packet, NULL));
	mnfq_packet_get_changes(packet, &changes);
	good = (changes.flags & MNFQ_CHANGED_VERDICT) && changes.verdict == (uint32_t)verdict &&
	       changes.mark == mark;
	printf("%s: %s\n", good ? "ok" : "FAILED", what);
	mnfq_packet_free(packet);
	return good;
}

int main(void)
{
	uint8_t other[sizeof(query)];
	int good =
		check("a query is accepted and marked", query, sizeof(query), MNFQ_ACCEPT, 0x11);

	memcpy(other, query, sizeof(query));
	other[23] = 80;
	good &= check("another port is not", other, sizeof(other), MNFQ_DROP, 0);
	good &= check("nor is a packet that was cut", query, 24, MNFQ_DROP, 0);
	return !good;
}
