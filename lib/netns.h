/* SPDX-License-Identifier: MIT */
/* Reaching another namespace, in a thread that goes there. */
#ifndef MNFQ_NETNS_H
#define MNFQ_NETNS_H

#include "error.h"

int mnfq_i_netns_open(const char *netns, struct mnfq_i_errmsg *error);
int mnfq_i_netns_call(int netns_fd, int (*function)(void *arg), void *arg);
int mnfq_i_netns_call_at(int sock_fd, int (*function)(void *arg), void *arg);
int mnfq_i_explain_socket(struct mnfq_i_errmsg *error, int err);
int mnfq_i_explain_open(struct mnfq_i_errmsg *error, const char *netns, int err);

#endif
