/* SPDX-License-Identifier: MIT */
/* * The service manager: socket activation, readiness, the descriptor store, the watchdog. See
 * sd_listen_fds(3), sd_notify(3); the protocol is a few variables and datagrams, so no library.
 */
#ifndef MNFQ_TOOLS_SYSTEMD_H
#define MNFQ_TOOLS_SYSTEMD_H

#include <stddef.h>
#include <stdint.h>

/** A passed descriptor and its name, which may be "". */
struct systemd_fd {
	int fd;
	char name[256];
};

/** * The descriptors that were passed to this process, now close-on-exec; their variables are removed from the
 * environment. Returns their number (free *fds), or a negative errno with the message in @error.
 */
int systemd_take_fds(struct systemd_fd **fds, char *error, size_t error_size);

/** A socket to the service manager, or -1 where there is none. */
int systemd_open(void);

/** The period of WATCHDOG=1 in milliseconds, half of the timeout; 0: none. */
int64_t systemd_watchdog_ms(void);

/** Send @state, lines of KEY=VALUE, with a descriptor unless @fd is -1. @manager may be -1. */
void systemd_notify(int manager, const char *state, int fd);

#endif
