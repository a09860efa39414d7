// SPDX-License-Identifier: MIT
/*
 * Any bytes as a packet message: parsed, everything asked of it that can be asked, and changed where
 * that depends on what it says.
 */
#include <stdlib.h>

#include "packet-ct.h"
#include "packet.h"
#include "refs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t read_all(const void *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum ^= ((const uint8_t *)bytes)[i];
	return sum;
}

/* What newer kernels tell. */
static void ask_more(const struct mnfq_packet *packet)
{
	volatile uint8_t sink = 0;
	const void *bytes;
	uint16_t tci, protocol;
	size_t len;

	sink ^= (uint8_t)mnfq_packet_get_priority(packet);
	sink ^= (uint8_t)mnfq_packet_get_cgroup_classid(packet);
	if (mnfq_packet_get_vlan(packet, &tci, &protocol) == 0)
		sink ^= (uint8_t)(tci ^ protocol);
	bytes = mnfq_packet_get_secctx(packet, &len);
	sink ^= read_all(bytes, len);
	bytes = mnfq_packet_get_l2hdr(packet, &len);
	sink ^= read_all(bytes, len);
	(void)sink;
}

/* Also what was found is looked at: whatever was not written is seen by a sanitizer. */
static void ask_connection(const struct mnfq_packet *packet)
{
	volatile uint8_t sink = mnfq_i_packet_seq_adjustable(packet);
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);
	const uint8_t *bytes;
	const char *name;
	uint32_t number;
	size_t len;

	name = mnfq_packet_get_ct_state_name(packet);
	sink ^= name ? (uint8_t)*name : 0;
	name = mnfq_packet_get_ct_direction_name(packet);
	sink ^= name ? (uint8_t)*name : 0;
	bytes = mnfq_packet_get_ct(packet, &len);
	sink ^= read_all(bytes, len);
	bytes = mnfq_packet_get_ct_labels(packet, &len);
	sink ^= read_all(bytes, len);
	sink ^= (uint8_t)mnfq_packet_get_ct_zone(packet);
	sink ^= (uint8_t)mnfq_packet_get_ct_mark(packet);
	(void)mnfq_packet_get_ct_info(packet, &number);
	sink ^= (uint8_t)mnfq_packet_get_ct_id(packet);
	sink ^= (uint8_t)mnfq_packet_get_ct_status(packet);
	if (mnfq_packet_get_tuple(packet, &tuple) == 0)
		sink ^= read_all(&tuple, sizeof(tuple));
	if (mnfq_packet_get_ct_tuple(packet, MNFQ_CT_ORIGINAL, &tuple) == 0)
		sink ^= read_all(&tuple, sizeof(tuple));
	if (mnfq_packet_get_ct_tuple(packet, MNFQ_CT_REPLY, &tuple) == 0)
		sink ^= read_all(&tuple, sizeof(tuple));
	(void)sink;
}

/* A link-layer header is copied by its length: the setter must not believe it. */
static void set(struct mnfq_packet *packet)
{
	uint8_t head[2 * MNFQ_I_HEAD_MAX] __attribute__((aligned(4)));
	struct mnfq_i_decision decision;
	const uint8_t *l2hdr;
	size_t len;

	l2hdr = mnfq_packet_get_l2hdr(packet, &len);
	if (l2hdr)
		(void)mnfq_packet_set_l2hdr(packet, l2hdr, len);
	(void)mnfq_packet_set_ct_mark(packet, 1, 2);
	(void)mnfq_packet_set_vlan(packet, 1, 0x8100);
	decision = mnfq_i_packet_decision(packet, 1, MNFQ_ACCEPT);
	if (mnfq_i_verdict_head(head, &decision) > MNFQ_I_HEAD_MAX)
		abort();
}

static void ask(const struct mnfq_packet *packet)
{
	struct mnfq_packet_info info = MNFQ_INIT(info);
	volatile uint8_t sink = 0;
	const uint8_t *bytes;
	uint32_t number;
	size_t len;

	if (mnfq_packet_get_info(packet, &info) == 0)
		sink ^= read_all(&info, sizeof(info)) ^ read_all(info.payload, info.payload_len);
	sink ^= (uint8_t)(mnfq_packet_get_family(packet) ^ mnfq_packet_get_hook(packet));
	sink ^= (uint8_t)*mnfq_packet_get_hook_name(packet);
	sink ^= (uint8_t)(mnfq_packet_get_hw_protocol(packet) ^ mnfq_packet_get_mark(packet));
	sink ^= (uint8_t)(mnfq_packet_get_indev(packet) ^ mnfq_packet_get_outdev(packet));
	sink ^= (uint8_t)(mnfq_packet_get_physindev(packet) ^ mnfq_packet_get_physoutdev(packet));
	sink ^= (uint8_t)mnfq_packet_get_skb_info(packet);
	(void)mnfq_packet_get_uid(packet, &number);
	(void)mnfq_packet_get_gid(packet, &number);
	sink ^= (uint8_t)mnfq_packet_get_timestamp(packet);
	(void)mnfq_packet_get_length(packet, &len);
	bytes = mnfq_packet_get_hwaddr(packet, &len);
	sink ^= read_all(bytes, len);
	bytes = mnfq_packet_get_payload(packet, &len);
	sink ^= read_all(bytes, len);
	(void)sink;
	ask_more(packet);
	ask_connection(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mnfq_queue queue = { .num = 7 };
	struct mnfq_packet packet = { .queue = &queue };
	uint8_t *copy;
	int err;

	if (size < NLMSG_HDRLEN)
		return 0;
	copy = malloc(size); /* aligned, and a sanitizer sees where it ends */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	err = mnfq_i_packet_parse(&packet, copy, size);
	if (err == 0) {
		ask(&packet);
		set(&packet);
	}
	free(copy);
	return 0;
}
