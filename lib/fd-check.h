/* SPDX-License-Identifier: MIT */
/* Is a descriptor from elsewhere fit? */
#ifndef MNFQ_FD_CHECK_H
#define MNFQ_FD_CHECK_H

#include "error.h"

int mnfq_i_check_fd(int fd, struct mnfq_i_errmsg *error);
int mnfq_i_check_filter(int fd, struct mnfq_i_errmsg *error);

#endif
