/* SPDX-License-Identifier: MIT */
/* layers.c with any bytes: two of the EtherType, one of how much was cut off, then the packet. */
#include <stdlib.h>

#include "edit/edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mnfq_i_subject subject = { .bytes = { .len = size - 3 } };
	struct mnfq_i_layers l;
	uint8_t *copy;

	if (size < 3)
		return 0;
	copy = malloc(size - 3 ? size - 3 : 1); /* a sanitizer sees where it ends */
	if (!copy)
		return 0;
	memcpy(copy, data + 3, size - 3);
	subject.bytes.p = copy;
	subject.bytes.true_len = size - 3 + data[2] * 8u;
	subject.bytes.ethertype = mnfq_i_get16(data);
	if (mnfq_i_layers_find(&l, &subject.bytes) == 0) {
		expect(l.at.network < l.at.transport && l.at.transport <= l.at.data);
		expect(l.at.data <= l.covered && l.covered <= l.at.end);
		expect(l.at.end <= subject.bytes.len && l.whole <= subject.bytes.true_len);
		expect(!l.check || (l.at.transport < l.check && l.check < l.at.data));
		expect(l.at.fragment || (!l.at.more_fragments && l.at.fragment_offset == 0));
	}
	(void)mnfq_i_verify(&subject);
	free(copy);
	return 0;
}
