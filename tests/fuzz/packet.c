// SPDX-License-Identifier: MIT
/* Any bytes as a packet message: parsed, and everything asked of it that can be asked. */
#include <stdlib.h>

#include "internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct mnfq_packet *packet)
{
	volatile uint8_t sink = 0;
	const uint8_t *bytes;
	uint32_t number;
	int64_t usec;
	size_t len, i;

	sink ^= (uint8_t)(mnfq_packet_get_family(packet) ^ mnfq_packet_get_hook(packet));
	sink ^= (uint8_t)*mnfq_packet_get_hook_name(packet);
	sink ^= (uint8_t)(mnfq_packet_get_hw_protocol(packet) ^ mnfq_packet_get_mark(packet));
	sink ^= (uint8_t)(mnfq_packet_get_indev(packet) ^ mnfq_packet_get_outdev(packet));
	sink ^= (uint8_t)(mnfq_packet_get_physindev(packet) ^ mnfq_packet_get_physoutdev(packet));
	sink ^= (uint8_t)mnfq_packet_get_skb_info(packet);
	(void)mnfq_packet_get_uid(packet, &number);
	(void)mnfq_packet_get_gid(packet, &number);
	(void)mnfq_packet_get_timestamp(packet, &usec);
	(void)mnfq_packet_get_length(packet, &len);
	bytes = mnfq_packet_get_hwaddr(packet, &len);
	for (i = 0; i < len; i++)
		sink ^= bytes[i];
	bytes = mnfq_packet_get_payload(packet, &len);
	for (i = 0; i < len; i++)
		sink ^= bytes[i];
	(void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mnfq_packet packet;
	uint8_t *copy;
	int err;

	if (size < NLMSG_HDRLEN)
		return 0;
	copy = malloc(size); /* aligned, and a sanitizer sees where it ends */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	err = mnfq_i_packet_parse(&packet, copy, size);
	if (err == 0)
		ask(&packet);
	free(copy);
	return 0;
}
