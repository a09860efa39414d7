// SPDX-License-Identifier: MIT
/* The last failure, as a message for people. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Keeps a message and returns @err. */
int mnfq_i_fail(struct mnfq_i_errmsg *error, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return err;
}

/* The caller's buffer gets the message, as far as it fits. Returns @err. */
int mnfq_i_errmsg_return(char *to, size_t size, const struct mnfq_i_errmsg *error, int err)
{
	size_t len;

	if (!to || size == 0)
		return err;
	len = strnlen(error->text, size - 1);
	memcpy(to, error->text, len);
	to[len] = '\0';
	return err;
}
