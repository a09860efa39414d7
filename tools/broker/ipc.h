/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with many namespaces is two processes: one serves packets, the other, the porter,
 * meets strangers and looks for namespaces. This is what they tell each other over a socketpair
 * of SOCK_SEQPACKET, one message a datagram. Neither waits for the other.
 */
#ifndef MNFQ_TOOLS_LINK_H
#define MNFQ_TOOLS_LINK_H

#include <stdint.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

enum link_type {
	/*
	 * From the porter, or a receiver of it: serve this socket, the descriptor that comes along. @id is the porter's
	 * choice, with LINK_PORTER set; @inode of its namespace if the porter found that by
	 * itself, else 0; @uid, @pid, @flags and @label of who handed it over.
	 */
	LINK_ATTACH = 1,
	/*
	 * From the porter: serve @id no more, its peer withdrew it or its namespace is gone. Also
	 * for ids of LINK_WATCH. The id ends; no LINK_FORGET has to follow.
	 */
	LINK_DETACH,
	/* From the server: what became of LINK_ATTACH @id. An @error, with @text, ends the id. */
	LINK_ANSWER,
	/*
	 * From the server: say LINK_DETACH when the namespace @inode has neither process nor name
	 * any more. Comes ahead of a LINK_ANSWER of 0 where the peer does not stay, so that the
	 * porter has looked before the peer goes; also for sockets that the server opened by
	 * itself, whose @id lacks LINK_PORTER. One with LINK_HIDDEN is not gone before it was seen.
	 */
	LINK_WATCH,
	/* From the server: it closed @id by itself, forget it. */
	LINK_FORGET,
	/* From the server: how many hand-overs were refused? From the porter: @id were. */
	LINK_COUNT,
	/*
	 * From the porter: @text is worth a line on stderr. It may hold what strangers wrote. An @error
	 * ends the porter.
	 */
	LINK_NOTE,
	/*
	 * From the porter's keeper: there is a new porter, which knows nothing of the one before. What
	 * comes with a peer that stays is over; all others are to be watched with LINK_WATCH.
	 */
	LINK_RESTART,
	/* From the server: are you there? The same from the porter: it is. */
	LINK_PING,
};

#define LINK_PORTER 0x80000000u
/* Of @flags of LINK_WATCH: we have seen that it exists; it may be one that nobody can see. */
#define LINK_SEEN      0x80000000u
#define LINK_HIDDEN    0x40000000u
#define LINK_TEXT_SIZE MNFQ_ERRMSG_SIZE

struct link_message {
	uint32_t type; /* enum link_type */
	uint32_t id;
	int32_t error;               /* 0 or a negative errno */
	uint32_t uid;                /* of the peer, as the kernel says */
	uint32_t pid;                /* likewise */
	uint32_t flags;              /* MNFQ_HANDOVER_* */
	uint64_t inode;              /* of the namespace */
	char label[MNFQ_LABEL_SIZE]; /* terminated */
	char text[LINK_TEXT_SIZE];   /* terminated */
};

/**
 * Make the two ends of a link: close-on-exec, non-blocking.
 * Returns 0 or a negative errno.
 */
int link_new(int ends[2]);

/**
 * Send a message, with a copy of the descriptor @fd unless that is -1. Never waits.
 * Returns 0, -EAGAIN if the other side does not read, -EPIPE if it is gone, or another negative
 * errno.
 */
int link_send(int link, const struct link_message *message, int fd);

/**
 * Receive a message. Never waits. The other side is not trusted: what has the wrong length, an
 * unknown type, text without an end, or descriptors that do not belong to it, is refused.
 *
 * @fd  the descriptor of LINK_ATTACH, which is then the caller's (close-on-exec), else -1
 * Returns 1, 0 if there is none, -ECONNRESET when the other side is gone, -EMFILE for a
 * LINK_ATTACH for whose descriptor there was no room, or -EBADMSG for one that was refused: nothing
 * is left of it.
 */
int link_receive(int link, struct link_message *message, int *fd);

#endif
