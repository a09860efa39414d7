/* SPDX-License-Identifier: MIT */
/* Messages that arrived while an acknowledgement was awaited. */
#ifndef MNFQ_BACKLOG_H
#define MNFQ_BACKLOG_H

#include "refs.h"

struct mnfq_i_backlog {
	struct mnfq_i_backlog *next, **link; /* in the order of arrival; what points here */
	struct mnfq_i_backlog *next_of_queue;
	struct mnfq_i_slot *slot; /* of the queue that it is for; NULL: for none */
	bool is_packet;           /* or else it is a refused verdict, or for no queue */
	uint32_t id;
	size_t len;
	uint8_t data[]; /* begins with struct nlmsghdr */
};

int mnfq_i_backlog_append(struct mnfq_socket *sock, struct mnfq_i_backlog *entry);
int mnfq_i_backlog_put_back(struct mnfq_socket *sock, const uint8_t *data, size_t len);
int mnfq_i_backlog_add(struct mnfq_socket *sock, const uint8_t *data, size_t len);
struct mnfq_i_backlog *mnfq_i_backlog_pop(struct mnfq_socket *sock);
bool mnfq_i_backlog_find(const struct mnfq_socket *sock, uint16_t num, uint32_t *id);
unsigned int mnfq_i_backlog_count(const struct mnfq_socket *sock, uint16_t num, uint32_t last);
unsigned int mnfq_i_backlog_take(struct mnfq_socket *sock, uint16_t num, uint32_t *ids,
				 unsigned int max);
unsigned int mnfq_i_backlog_purge(struct mnfq_socket *sock, uint16_t num);

#endif
