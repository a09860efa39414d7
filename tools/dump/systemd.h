/* SPDX-License-Identifier: MIT */
/*
 * What a service manager passes and keeps: socket activation, readiness, the descriptor store. See
 * sd_listen_fds(3), sd_notify(3); the protocol is a few variables and datagrams, so no library.
 */
#ifndef MNFQ_TOOLS_SYSTEMD_H
#define MNFQ_TOOLS_SYSTEMD_H

#include <stddef.h>
#include <stdint.h>

/** A descriptor that was passed, and its name, which may be "". */
struct systemd_fd {
	int fd;
	char name[256];
};

/**
 * The descriptors that were passed to this very process, now close-on-exec; the variables that tell
 * of them are gone from the environment. Returns how many (*fds is to be freed), or a negative errno
 * with a sentence in @error.
 */
int systemd_take_fds(struct systemd_fd **fds, char *error, size_t error_size);

/** A socket to the service manager, or -1 where there is none. */
int systemd_open(void);

/** How often it wants to hear WATCHDOG=1, in milliseconds: twice as often as it insists on; 0: never. */
int64_t systemd_watchdog_ms(void);

/** Tell it @state, lines of KEY=VALUE, with a descriptor unless @fd is -1. In vain without one. */
void systemd_notify(int manager, const char *state, int fd);

#endif
