/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with many namespaces is several processes: the server serves packets, the broker accepts
 * clients and looks for namespaces. These are the messages between them, over a socketpair of
 * SOCK_SEQPACKET, one message a datagram. Neither process waits for the other.
 */
#ifndef MNFQ_TOOLS_BROKER_IPC_H
#define MNFQ_TOOLS_BROKER_IPC_H

#include <stdint.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

enum ipc_type {
	/*
	 * From the broker, or a receiver of it: serve this socket, the descriptor that comes along. @id is the broker's
	 * choice, with IPC_BROKER_ID set; @inode of its namespace if the broker found that by
	 * itself, else 0; @uid, @pid, @flags and @label of the client that handed it over.
	 */
	IPC_ATTACH = 1,
	/*
	 * From the broker: serve @id no more, its client withdrew it or its namespace is gone. The id
	 * ends; no IPC_FORGET has to follow.
	 */
	IPC_DETACH,
	/*
	 * From the server: what became of IPC_ATTACH @id. An @error, with @text, ends the id.
	 * Otherwise IPC_DETACH is to follow when the namespace @inode, unless that is 0, has neither
	 * process nor name any more. The server also sends it for sockets that it opened by itself,
	 * whose @id lacks IPC_BROKER_ID. A receiver reports the result of a job with it to the broker.
	 */
	IPC_ANSWER,
	/* From the server: it closed @id by itself, forget it. */
	IPC_FORGET,
	/* From the server: how many hand-overs were refused? From the broker: @count were. */
	IPC_COUNT,
	/*
	 * From the broker: @text is worth a line on stderr. Parts of it may come from a client. An
	 * @error ends the broker.
	 */
	IPC_NOTE,
	/*
	 * From the broker's keeper: there is a new broker, which knows nothing of the one before. What
	 * comes with a client that stays is over; for all others IPC_ANSWER has to come again.
	 */
	IPC_RESTART,
	/* From the server, or the keeper. The broker sends it back. */
	IPC_PING,
};

#define IPC_BROKER_ID (UINT64_C(1) << 63)
/* Of @flags of IPC_ANSWER: */
#define IPC_SEEN 0x80000000u /* the server has seen that the namespace exists */
#define IPC_HIDDEN                                                                               \
	0x40000000u /* the broker may be unable to see it: it is not gone before it was seen */
#define IPC_AGAIN 0x20000000u /* after IPC_RESTART */
#define IPC_FOUND 0x10000000u /* the broker, or one before it, found the namespace by itself */

#define IPC_TEXT_SIZE MNFQ_ERRMSG_SIZE

struct ipc_msg {
	uint32_t type; /* enum ipc_type */
	int32_t error; /* 0 or a negative errno */
	uint64_t id;
	uint32_t uid;                /* of the client, as the kernel reports it */
	uint32_t pid;                /* likewise */
	uint32_t flags;              /* MNFQ_HANDOVER_* or IPC_* */
	uint32_t count;              /* of IPC_COUNT */
	uint64_t inode;              /* of the namespace */
	char label[MNFQ_LABEL_SIZE]; /* terminated */
	char text[IPC_TEXT_SIZE];    /* terminated */
};

/**
 * Make the two ends of an IPC socket: close-on-exec, non-blocking.
 * Returns 0 or a negative errno.
 */
int ipc_new(int ends[2]);

/**
 * Send a message, with a copy of the descriptor @fd unless that is -1. Never waits.
 * Returns 0, -EAGAIN if the other side does not read, -EPIPE if it is gone, or another negative
 * errno.
 */
int ipc_send(int ipc, const struct ipc_msg *message, int fd);

/**
 * Receive a message. Never waits. The other side is not trusted: a message of the wrong length or of
 * an unknown type, with text without an end, or with the wrong descriptors, is refused.
 *
 * @fd  the descriptor that came with it, which is then the caller's (close-on-exec), else -1. Also with
 *      an error: closing it may block.
 * Returns 1, 0 if there is none or it cannot be received now, -ECONNRESET when the other side is gone, -EMFILE for an
 * IPC_ATTACH for whose descriptor there was no room, or -EBADMSG for one that was refused: nothing
 * is left of it.
 */
int ipc_receive(int ipc, struct ipc_msg *message, int *fd);

#endif
