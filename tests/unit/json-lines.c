/* SPDX-License-Identifier: MIT */
/*
 * For json-lines.py: of each line of hexadecimal digits on standard input a packet with that security context and
 * that label, as a line of JSON and one of text.
 */
#include <stdio.h>
#include <stdlib.h>

#include "packet.h"
#include "print/print.h"
#include "support/message.h"

int main(void)
{
	static struct mnfq_packet packet;
	static struct message msg;
	struct printer json = { .options = { .json = true } },
		       text = { .options = { .json = false } };
	char digits[1024], bytes[512];

	while (fgets(digits, sizeof(digits), stdin)) {
		struct line line;
		size_t len = 0;

		while (sscanf(digits + 2 * len, "%2hhx", (unsigned char *)&bytes[len]) == 1)
			len++;
		bytes[len] = '\0';
		message_begin(&msg, 1);
		message_hdr(&msg, 1, 0x0800, NF_INET_LOCAL_OUT);
		message_attr(&msg, MNFQ_I_NFQA_SECCTX, bytes, len);
		if (mnfq_i_packet_parse(&packet, msg.bytes, msg.len) < 0)
			return EXIT_FAILURE;
		line = line_of(&packet);
		line.label = bytes;
		line.show_netns = true;
		line.verdict = "accept";
		if (print_line(stdout, &json, &line) < 0 || print_line(stdout, &text, &line) < 0)
			return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
