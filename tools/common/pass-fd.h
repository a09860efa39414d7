/* SPDX-License-Identifier: MIT */
/* Messages over Unix sockets with which a descriptor may go along. */
#ifndef MNFQ_TOOLS_PASS_FD_H
#define MNFQ_TOOLS_PASS_FD_H

#include <stddef.h>
#include <sys/types.h>

/** Send @len bytes and @fd, or no descriptor if that is -1. @flags: as of sendmsg(2). Returns 0 or a negative errno. */
int pass_fd(int to, const void *bytes, size_t len, int fd, int flags);

/**
 * Receive up to @size bytes, and a descriptor, which is close-on-exec, or -1 if none came: the kernel drops what is
 * beyond one. *@flags: as of recvmsg(2), and then what it has said. Returns the length or a negative errno.
 */
ssize_t take_fd(int from, void *bytes, size_t size, int *fd, int *flags);

#endif
