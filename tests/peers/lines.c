/* SPDX-License-Identifier: MIT */
/*
 * For lines.py: the packets of a capture (pcap, Ethernet, of this machine's byte order) as lines of mnfq dump.
 * Usage: lines FILE [LETTER…]   letters as of options of mnfq dump: vtxXA
 */
#include <stdio.h>
#include <string.h>

#include "packet.h"
#include "print/print.h"
#include "support/message.h"

struct record {
	uint32_t seconds, usec, len, length;
};

static void set_options(struct print_options *options, const char *letters)
{
	for (; *letters; letters++) {
		options->verbose |= *letters == 'v';
		options->times += *letters == 't';
		options->hex += *letters == 'x';
		options->hex_ascii += *letters == 'X';
		options->ascii += *letters == 'A';
	}
}

/* As the hook of a bridge has it: without the header, which is an attribute. */
static bool print_frame(struct printer *printer, const struct record *record,
			const uint8_t *frame)
{
	static struct message msg;
	struct mnfq_packet packet = { 0 }; /* of no queue */
	struct line line;

	message_begin(&msg, 1);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = NFPROTO_BRIDGE;
	message_hdr(&msg, 1, (uint16_t)(frame[12] << 8 | frame[13]), NF_INET_LOCAL_IN);
	message_attr32(&msg, NFQA_CAP_LEN, record->length - 14);
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, frame, 14);
	message_attr(&msg, NFQA_PAYLOAD, frame + 14, record->len - 14);
	if (mnfq_i_packet_parse(&packet, msg.bytes, msg.len) < 0)
		return false;
	line = line_of(&packet);
	line.time = (int64_t)record->seconds * 1000000 + record->usec;
	line.kernel_time = true;
	line.verdict = "accept";
	return print_line(stdout, printer, &line) == 0;
}

int main(int argc, char **argv)
{
	static uint8_t frame[1 << 16];
	struct printer printer = { .options = { .json = false } };
	FILE *file = argc > 1 ? fopen(argv[1], "re") : NULL;
	struct record record;
	bool ok = file && fseek(file, 24, SEEK_SET) == 0;

	if (argc > 2)
		set_options(&printer.options, argv[2]);
	while (ok && fread(&record, sizeof(record), 1, file) == 1)
		ok = record.len >= 14 && record.len <= sizeof(frame) &&
		     fread(frame, 1, record.len, file) == record.len &&
		     print_frame(&printer, &record, frame);
	return !ok || fclose(file) != 0 || fflush(stdout) != 0;
}
