/* SPDX-License-Identifier: MIT */
/*
 * The broker's keeper: the process between the server and the broker. It starts the broker, replaces it
 * when it hangs or dies, and stops listening at the end.
 */
#ifndef MNFQ_TOOLS_BROKER_KEEPER_H
#define MNFQ_TOOLS_BROKER_KEEPER_H

#include <stddef.h>
#include <sys/types.h>

#include "broker/options.h"

/**
 * Start the broker, and a keeper that replaces it when it hangs. Both end when the server closes its end of
 * the IPC socket, or with their parent. The file of @own is removed then, and nothing listens there any more.
 *
 * @pid    of the keeper, for waitpid()
 * @error  where the message of a failure is written
 * Returns our end of the IPC socket (close-on-exec, non-blocking), or a negative errno.
 */
int broker_start(const struct broker_options *options, pid_t *pid, char *error,
		 size_t error_size);

#endif
