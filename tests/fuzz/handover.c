/* SPDX-License-Identifier: MIT */
/* handover-msg.c with any bytes, as a hostile peer may send them: as an offer, and as an answer. */
#include <stdlib.h>
#include <string.h>

#include "handover-msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
	if (!condition)
		abort();
}

/* Control characters of ASCII are never printed. */
static void expect_harmless(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	expect(len < size);
	for (size_t i = 0; i < len; i++)
		expect((uint8_t)text[i] >= 0x20 && text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mnfq_i_errmsg error = { "" };
	struct mnfq_i_handover_msg message;
	uint8_t *copy = malloc(size ? size : 1); /* a sanitizer sees where it ends */
	int err;

	if (!copy)
		return 0;
	if (size > 0)
		memcpy(copy, data, size);
	err = mnfq_i_handover_msg_read_offer(&message, copy, size, &error);
	expect(err <= 0 && (err == 0) == !error.text[0]);
	if (err == 0) {
		expect(size == MNFQ_I_HANDOVER_MSG_SIZE && mnfq_i_handover_msg_is(copy, size));
		expect_harmless(message.label, sizeof(message.label));
	}
	expect_harmless(error.text, sizeof(error.text));
	expect(err < 0 || !mnfq_i_handover_msg_is_answer(copy, size));
	err = mnfq_i_handover_msg_read_answer(copy, size, &error);
	expect(err <= 0 && err >= -4095);
	expect(err == 0 || error.text[0]);
	expect_harmless(error.text, sizeof(error.text));
	free(copy);
	return 0;
}
