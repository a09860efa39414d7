/* SPDX-License-Identifier: MIT */
/*
 * What goes along with a socket that is handed over, and comes back as an answer: 512 bytes in the
 * byte order of the machine, on which both ends are. No I/O; fuzzed.
 */
#ifndef MNFQ_HANDOVER_MSG_H
#define MNFQ_HANDOVER_MSG_H

#include "error.h"

#include <mnfq/handover.h>
#include <stdbool.h>

#define MNFQ_I_HANDOVER_MSG_SIZE    512u
#define MNFQ_I_HANDOVER_MSG_VERSION 1u
#define MNFQ_I_ERRNO_MAX            4095

enum mnfq_i_handover_msg_type {
	MNFQ_I_HANDOVER_MSG_SOCKET = 1, /* comes with the descriptor */
	MNFQ_I_HANDOVER_MSG_ANSWER = 2,
};

struct mnfq_i_handover_msg {
	char magic[4];
	uint16_t version, type;
	uint32_t flags; /* of a socket: MNFQ_HANDOVER_KEEP */
	int32_t error;  /* of an answer: 0 or a negative errno */
	uint64_t netns_cookie;
	char label[MNFQ_LABEL_SIZE];
	char text[MNFQ_ERRMSG_SIZE]; /* of an answer: the message for its error */
	uint8_t reserved[40];
};

int mnfq_i_label_check(const char *label, struct mnfq_i_errmsg *error);
void mnfq_i_handover_msg_offer(struct mnfq_i_handover_msg *message, uint32_t flags,
			       uint64_t cookie, const char *label);
void mnfq_i_handover_msg_answer(struct mnfq_i_handover_msg *message, int err, const char *text);
bool mnfq_i_handover_msg_is(const void *bytes, size_t len);
bool mnfq_i_handover_msg_is_answer(const void *bytes, size_t len);
int mnfq_i_handover_msg_read_offer(struct mnfq_i_handover_msg *message, const void *bytes,
				   size_t len, struct mnfq_i_errmsg *error);
int mnfq_i_handover_msg_read_answer(const void *bytes, size_t len, struct mnfq_i_errmsg *error);

#endif
