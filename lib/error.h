/* SPDX-License-Identifier: MIT */
/* The last failure, as a message for people. */
#ifndef MNFQ_ERROR_H
#define MNFQ_ERROR_H

#include <mnfq/mnfq.h>
#include <stddef.h>

struct mnfq_i_errmsg {
	char text[MNFQ_ERRMSG_SIZE];
};

/* Keeps a message and returns @err. */
int mnfq_i_fail(struct mnfq_i_errmsg *error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The caller's buffer gets the message, as far as it fits. Returns @err. */
int mnfq_i_errmsg_return(char *to, size_t size, const struct mnfq_i_errmsg *error, int err);

#endif
