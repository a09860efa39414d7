/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with many namespaces is two processes: one serves packets, the other, the broker,
 * meets strangers and looks for namespaces. This is what they tell each other over a socketpair
 * of SOCK_SEQPACKET, one message a datagram. Neither waits for the other.
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
	 * itself, else 0; @uid, @pid, @flags and @label of who handed it over.
	 */
	IPC_ATTACH = 1,
	/*
	 * From the broker: serve @id no more, its peer withdrew it or its namespace is gone. Also
	 * for ids of IPC_WATCH. The id ends; no IPC_FORGET has to follow.
	 */
	IPC_DETACH,
	/* From the server: what became of IPC_ATTACH @id. An @error, with @text, ends the id. */
	IPC_ANSWER,
	/*
	 * From the server: say IPC_DETACH when the namespace @inode has neither process nor name
	 * any more. Comes ahead of a IPC_ANSWER of 0 where the peer does not stay, so that the
	 * broker has looked before the peer goes; also for sockets that the server opened by
	 * itself, whose @id lacks IPC_BROKER_ID. One with IPC_HIDDEN is not gone before it was seen.
	 */
	IPC_WATCH,
	/* From the server: it closed @id by itself, forget it. */
	IPC_FORGET,
	/* From the server: how many hand-overs were refused? From the broker: @id were. */
	IPC_COUNT,
	/*
	 * From the broker: @text is worth a line on stderr. It may hold what strangers wrote. An @error
	 * ends the broker.
	 */
	IPC_NOTE,
	/*
	 * From the broker's keeper: there is a new broker, which knows nothing of the one before. What
	 * comes with a peer that stays is over; all others are to be watched with IPC_WATCH.
	 */
	IPC_RESTART,
	/* From the server: are you there? The same from the broker: it is. */
	IPC_PING,
};

#define IPC_BROKER_ID 0x80000000u
/* Of @flags of IPC_WATCH: we have seen that it exists; it may be one that nobody can see. */
#define IPC_SEEN      0x80000000u
#define IPC_HIDDEN    0x40000000u
#define IPC_TEXT_SIZE MNFQ_ERRMSG_SIZE

struct ipc_msg {
	uint32_t type; /* enum ipc_type */
	uint32_t id;
	int32_t error;               /* 0 or a negative errno */
	uint32_t uid;                /* of the peer, as the kernel says */
	uint32_t pid;                /* likewise */
	uint32_t flags;              /* MNFQ_HANDOVER_* */
	uint64_t inode;              /* of the namespace */
	char label[MNFQ_LABEL_SIZE]; /* terminated */
	char text[IPC_TEXT_SIZE];    /* terminated */
};

/**
 * Make the two ends of a link: close-on-exec, non-blocking.
 * Returns 0 or a negative errno.
 */
int ipc_new(int ends[2]);

/**
 * Send a message, with a copy of the descriptor @fd unless that is -1. Never waits.
 * Returns 0, -EAGAIN if the other side does not read, -EPIPE if it is gone, or another negative
 * errno.
 */
int ipc_send(int link, const struct ipc_msg *message, int fd);

/**
 * Receive a message. Never waits. The other side is not trusted: what has the wrong length, an
 * unknown type, text without an end, or descriptors that do not belong to it, is refused.
 *
 * @fd  the descriptor of IPC_ATTACH, which is then the caller's (close-on-exec), else -1
 * Returns 1, 0 if there is none or it cannot be received now, -ECONNRESET when the other side is
 * gone, -EMFILE for an IPC_ATTACH for whose descriptor there was no room, or -EBADMSG for one that
 * was refused: nothing is left of it.
 */
int ipc_receive(int link, struct ipc_msg *message, int *fd);

#endif
