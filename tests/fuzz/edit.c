/* SPDX-License-Identifier: MIT */
/*
 * payload.c and repair.c with any bytes: EtherType (2), flags (1), offset (2), bytes removed (2) and
 * inserted (1), those, and the packet. What was right stays right, what was damaged stays damaged.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "edit/edit.h"

#define HEAD 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
	if (!condition)
		abort();
}

/* The edited packet in place of the one in @before. */
static int verify_result(const struct mnfq_i_subject *before, const uint8_t *out, size_t len)
{
	struct mnfq_i_subject after = { .bytes = { out, len, len, before->bytes.ethertype },
					.gso = before->gso,
					.ours = true };
	struct mnfq_i_layers l;

	expect(mnfq_i_layers_find(&l, &after.bytes) == 0);
	return mnfq_i_verify(&after);
}

static void try_edit(struct mnfq_i_subject *s, const struct mnfq_i_edit *edit)
{
	uint8_t *out = malloc(s->bytes.len + edit->insert + 1);
	int before = mnfq_i_verify(s), after;
	struct mnfq_i_layers l;
	size_t len = 0;

	if (!out)
		return;
	if (mnfq_i_edit(s, edit, out, &len) == 0) {
		expect(mnfq_i_layers_find(&l, &s->bytes) == 0);
		expect(l.cut || len == s->bytes.len - edit->remove + edit->insert);
		after = verify_result(s, out, len);
		expect(before != 0 || after == 0);
		/* All zeros with the wrong one of both zeros is damaged by name only. */
		if (before == -EBADMSG && !s->gso && !s->not_ready && !l.cut &&
		    l.at.protocol != IPPROTO_ICMP)
			expect(after == -EBADMSG);
	} else {
		expect(s->why != NULL);
	}
	free(out);
}

static void try_repair(struct mnfq_i_subject *s)
{
	uint8_t *out = malloc(s->bytes.len + 1);
	size_t len = 0;
	int after;

	if (!out)
		return;
	if (mnfq_i_repair(s, out, &len) == 0) {
		after = verify_result(s, out, len);
		expect(len == s->bytes.len && (after == 0 || after == -ENODATA));
	} else {
		expect(s->why != NULL);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mnfq_i_subject s = { 0 };
	struct mnfq_i_edit edit;
	uint8_t *copy;

	if (size < HEAD || size - HEAD < data[7])
		return 0;
	edit = (struct mnfq_i_edit){ .offset = mnfq_i_get16(data + 3),
				     .remove = mnfq_i_get16(data + 5),
				     .data = data + HEAD,
				     .insert = data[7] };
	s.bytes.len = s.bytes.true_len = size - HEAD - edit.insert;
	s.bytes.ethertype = mnfq_i_get16(data);
	copy = malloc(s.bytes.len + 1);
	if (!copy)
		return 0;
	memcpy(copy, data + HEAD + edit.insert, s.bytes.len);
	s.bytes.p = copy;
	s.not_ready = data[2] & 1;
	s.gso = data[2] & 2;
	s.may_resize = data[2] & 4;
	s.may_cut = data[2] & 8;
	s.bytes.true_len += data[2] & 16 ? 100 : 0;
	try_edit(&s, &edit);
	try_repair(&s);
	free(copy);
	return 0;
}
