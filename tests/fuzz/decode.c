/* SPDX-License-Identifier: MIT */
/*
 * print/ with any bytes: one chooses options, two of the EtherType, then a packet; once all of it, once cut from a
 * larger one.
 */
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "print/decode.h"
#include "print/print.h"
#include "support/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct print_options options;

/* What is printed is printable, whatever is in the packet, and no line of a packet looks like one of ours. */
static void check_lines(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' ? i + 1 < len && !strchr(" \t", text[i + 1])
				    : (text[i] < 0x20 || text[i] > 0x7e) && text[i] != '\t')
			abort();
		if (text[i] == '\n' && options.json && i + 1 < len)
			abort();
	}
	if (text[len - 1] != '\n')
		abort();
}

static void try_line(const struct mnfq_packet *packet)
{
	struct printer printer = { .options = options };
	struct line line = line_of(packet);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	line.verdict = "accept";
	if (print_line(out, &printer, &line) < 0 || fclose(out) == EOF)
		abort();
	check_lines(text, len);
	free(text);
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
	options.json = false;
	try_line(&packet);
	options.json = true;
	try_line(&packet);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > MNFQ_COPY_RANGE_MAX)
		return 0;
	options =
		(struct print_options){ .verbose = data[0] & 1,
					.times = data[0] >> 1 & 3,
					.hex = data[0] >> 3 & 1,
					.hex_ascii = data[0] >> 4 & 1,
					.ascii = data[0] >> 5 & 1,
					.payload = data[0] >> 6 & 1 ? PRINT_BASE64 : PRINT_HEX };
	try_packet((uint16_t)(data[1] << 8 | data[2]), data + 3, size - 3, size - 3);
	try_packet((uint16_t)(data[1] << 8 | data[2]), data + 3, size - 3, 0x10000);
	return 0;
}
