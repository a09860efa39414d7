// SPDX-License-Identifier: MIT
/*
 * Edits packets from the standard input. A case is EtherType (2 bytes), packet length, offset, bytes
 * removed and inserted (4 bytes each), the packet, the bytes to insert; an answer a result and a
 * length (4 bytes each) and the edited packet. Numbers are big-endian.
 */
#include "edit/edit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define MAX 65536u

static bool read_number(uint32_t *number)
{
	if (fread(number, sizeof(*number), 1, stdin) != 1)
		return false;
	*number = ntohl(*number);
	return true;
}

static void write_number(uint32_t number)
{
	number = htonl(number);
	fwrite(&number, sizeof(number), 1, stdout);
}

static bool one_case(void)
{
	static uint8_t packet[MAX], data[MAX], out[2 * MAX];
	uint32_t len, offset, remove, insert;
	struct mnfq_i_subject s = { .may_resize = true };
	struct mnfq_i_edit edit;
	uint8_t ethertype[2];
	size_t out_len = 0;
	int err;

	if (fread(ethertype, sizeof(ethertype), 1, stdin) != 1 || !read_number(&len) ||
	    !read_number(&offset) || !read_number(&remove) || !read_number(&insert) ||
	    len > MAX || insert > MAX || fread(packet, 1, len, stdin) != len ||
	    fread(data, 1, insert, stdin) != insert)
		return false;
	s.bytes = (struct mnfq_i_raw){ packet, len, len, mnfq_i_get16(ethertype) };
	edit = (struct mnfq_i_edit){ offset, remove, data, insert };
	err = mnfq_i_verify(&s);
	if (err == 0 || err == -ENODATA)
		err = mnfq_i_edit(&s, &edit, out, &out_len);
	write_number((uint32_t)err);
	write_number((uint32_t)(err == 0 ? out_len : 0));
	fwrite(out, 1, err == 0 ? out_len : 0, stdout);
	return true;
}

int main(void)
{
	while (one_case())
		;
	return ferror(stdin) || fflush(stdout) != 0;
}
