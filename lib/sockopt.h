/* SPDX-License-Identifier: MIT */
/* Options of netlink sockets: those that are set, and those that are read. */
#ifndef MNFQ_SOCKOPT_H
#define MNFQ_SOCKOPT_H

#include <mnfq/mnfq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int mnfq_i_get_int(int fd, int level, int name);
int mnfq_i_is_connected(int fd);
size_t mnfq_i_get_send_max(int fd);
void mnfq_i_request_timestamps(int fd);
void mnfq_i_set_options(int fd, uint32_t buffer);
void mnfq_i_begin_overruns(struct mnfq_socket *sock);
void mnfq_i_count_overruns(struct mnfq_socket *sock);
void mnfq_i_note_buffer(struct mnfq_socket *sock);

#endif
