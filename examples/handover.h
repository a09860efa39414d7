/* SPDX-License-Identifier: MIT */
/* A descriptor goes from one process to another over a Unix socket. See unix(7), SCM_RIGHTS. */
#ifndef MNFQ_EXAMPLE_HANDOVER_H
#define MNFQ_EXAMPLE_HANDOVER_H

/* Connect to @path and hand over @fd. Returns 0 or a negative errno. */
int handover_send(const char *path, int fd);

/*
 * Wait at @path for somebody to connect and hand over one descriptor; says so on stderr. Returns
 * the descriptor or a negative errno. Only our own user, or root, gets past the socket's mode.
 */
int handover_receive(const char *path);

#endif
