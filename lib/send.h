/* SPDX-License-Identifier: MIT */
/* What goes to the kernel; ids that got lost. */
#ifndef MNFQ_SEND_H
#define MNFQ_SEND_H

#include "refs.h"
#include <sys/uio.h>

int mnfq_i_send_once(struct mnfq_socket *sock, struct iovec *iov, size_t count);
int mnfq_i_send_request(struct mnfq_socket *sock, struct iovec *iov, bool ask_opener);
int mnfq_i_flush(struct mnfq_socket *sock);
int mnfq_i_report_unsent(struct mnfq_socket *sock, int err);
int mnfq_i_fail_unsent(struct mnfq_socket *sock, int err);
int mnfq_i_decide(struct mnfq_queue *queue, const struct mnfq_i_decision *decision);
void mnfq_i_reserve(struct mnfq_queue *queue, const struct mnfq_i_decision *decision);
int mnfq_i_decide_now(struct mnfq_queue *queue, const struct mnfq_i_decision *decision);
int mnfq_i_decided_now(struct mnfq_queue *queue, uint8_t *bytes, size_t len, uint32_t verdict);
void mnfq_i_gap(struct mnfq_queue *queue, uint32_t first, uint32_t last);
int mnfq_i_release(struct mnfq_queue *queue, uint32_t *budget);
void mnfq_i_release_pending(struct mnfq_queue *queue);
void mnfq_i_release_past(struct mnfq_queue *queue);
int mnfq_i_release_now(struct mnfq_queue *queue, uint32_t last, bool patient);
int mnfq_i_drop_up_to(struct mnfq_queue *queue, uint32_t last);
int mnfq_i_release_all(struct mnfq_queue *queue);

#endif
