/* SPDX-License-Identifier: MIT */
/* What a hostile process sends: over Unix sockets, and to the port of a netlink socket. */
#ifndef TEST_HOSTILE_H
#define TEST_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

#include "netns.h"

/* One message with any bytes, and @count times (253 at most) the descriptor @fd. */
void hostile_send(int stream, const void *bytes, size_t len, int fd, size_t count);

/* A TCP socket of @ns whose close() waits for a minute, since its peer, @reader, does not read. */
int hostile_linger(struct netns *ns, int *reader);

/*
 * Over a netlink socket of the same namespace, what only the kernel sends: packet @id of queue 1, without
 * anything but its header; and the answer @error to the configuration request @seq.
 */
void hostile_forge_packet(int netlink, uint32_t portid, uint32_t id);
void hostile_forge_answer(int netlink, uint32_t portid, uint32_t seq, int error);

#endif
