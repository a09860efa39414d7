/* SPDX-License-Identifier: MIT */
/* print/ with any bytes: two of the EtherType, then a packet; once all of it, once cut from a larger one. */
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "print/decode.h"
#include "print/print.h"
#include "support/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line is printable, whatever is in the packet. */
static void try_line(int (*print)(FILE *, const struct line *), const struct mnfq_packet *packet)
{
	const struct line line = { .packet = packet, .verdict = "accept" };
	char text[2048];
	FILE *out = fmemopen(text, sizeof(text), "w");
	size_t len;

	if (!out)
		return;
	if (print(out, &line) < 0 || fflush(out) == EOF)
		abort();
	len = (size_t)ftell(out);
	fclose(out);
	for (size_t i = 0; i < len; i++)
		if ((text[i] < 0x20 || text[i] > 0x7e) != (i == len - 1))
			abort();
}

static void try_packet(uint16_t ethertype, const uint8_t *bytes, size_t len, size_t length)
{
	static struct message msg;
	struct mnfq_packet packet = { 0 }; /* of no queue */
	struct decoded decoded;
	uint8_t *copy;

	message_begin(&msg, 1);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = NFPROTO_BRIDGE;
	message_hdr(&msg, 1, ethertype, NF_INET_LOCAL_IN);
	message_attr32(&msg, NFQA_CAP_LEN, (uint32_t)length);
	message_attr(&msg, NFQA_PAYLOAD, bytes, len);
	copy = malloc(msg.len); /* so that a sanitizer sees reading further */
	if (!copy)
		return;
	memcpy(copy, msg.bytes, msg.len);
	if (mnfq_i_packet_parse(&packet, copy, msg.len) < 0)
		abort();
	decode_packet(&decoded, &packet);
	if (!decoded.protocol[0] || strlen(decoded.protocol) >= sizeof(decoded.protocol))
		abort();
	if (decoded.has_ports && !decoded.family)
		abort();
	try_line(print_text, &packet);
	try_line(print_json, &packet);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > MNFQ_COPY_RANGE_MAX)
		return 0;
	try_packet((uint16_t)(data[0] << 8 | data[1]), data + 2, size - 2, size - 2);
	try_packet((uint16_t)(data[0] << 8 | data[1]), data + 2, size - 2, 0x10000);
	return 0;
}
