/* SPDX-License-Identifier: MIT */
/* Requests to the kernel and their answers; what came in between. */
#ifndef MNFQ_REQUEST_H
#define MNFQ_REQUEST_H

#include "refs.h"

#define MNFQ_I_CMD_CTNETLINK 0xffu /* instead of a command: is nf_conntrack_netlink there? */
void mnfq_i_request_stop_queueing(struct mnfq_queue *queue);
unsigned int mnfq_i_request_gather(struct mnfq_queue *queue, uint32_t *ids, unsigned int max);

/* What a request sets. 0 and MNFQ_COPY_DEFAULT: stays as it is. MNFQ_MAX_LEN_ZERO: a length of 0. */
struct mnfq_i_settings {
	enum mnfq_copy copy_mode;
	uint32_t copy_range, max_len;
	uint32_t flags, mask; /* as the kernel counts them: NFQA_CFG_F_* */
};

int mnfq_i_request(struct mnfq_socket *sock, uint16_t num, uint8_t command,
		   const struct mnfq_i_settings *settings, bool *repeated);
void mnfq_i_request_read(struct mnfq_socket *sock);
int mnfq_i_request_probe(struct mnfq_socket *sock, uint16_t num, uint8_t command,
			 unsigned int ms);
void mnfq_i_request_start(struct mnfq_socket *sock);
int mnfq_i_request_send(struct mnfq_socket *sock, uint16_t num, uint8_t command,
			const struct mnfq_i_settings *settings);
void mnfq_i_request_self_wake(struct mnfq_socket *sock);
void mnfq_i_request_remind(struct mnfq_socket *sock);
bool mnfq_i_request_answer(struct mnfq_socket *sock, const uint8_t *msg, size_t len);
void mnfq_i_wake(struct mnfq_socket *sock);

#endif
