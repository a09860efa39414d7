/* SPDX-License-Identifier: MIT */
/* A broker, with the test as its server on the one side and as its peers on the other. */
#ifndef TEST_DOORWAY_H
#define TEST_DOORWAY_H

#include <mnfq/mnfq.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "broker/broker.h"
#include "broker/ipc.h"
#include "child.h"
#include "netns.h"
#include "wait.h"

struct doorway {
	struct sockaddr_un address;
	int listener, file, link;
	pid_t keeper, broker;
	unsigned int notes;       /* so many were passed over */
	char note[IPC_TEXT_SIZE]; /* the last one */
	unsigned int descriptors; /* open before */
};

/* Starts a broker with one listener, in the sandbox, and waits until it listens. */
void doorway_open(struct doorway *door, struct broker_options options);

/* The server goes, so the broker ends, and no descriptor stays open. */
void doorway_close(struct doorway *door);

/* A stream to the broker, which has not said anything. */
int doorway_connect(const struct doorway *door);

/* The same by another user; takes root. */
int doorway_connect_as(const struct doorway *door, uid_t uid);

/* Sends a good socket. */
void doorway_offer_on(int stream, uint32_t flags, const char *label);

/* A stream on which that was done. */
int doorway_offer(const struct doorway *door, uint32_t flags, const char *label);

/* What the broker answers: the error, and its sentence if there is room for it. */
int doorway_answer(int stream, char *sentence, size_t size);

/* The stream ends: nothing else comes. Closes it. */
void doorway_expect_end(int stream);

/* The next message but notes, with a descriptor or -1. */
struct ipc_msg doorway_receive_any(struct doorway *door, int *fd);

/* The same; @fd may be NULL where none comes. */
struct ipc_msg doorway_receive(struct doorway *door, int *fd);

/* The same; it has to be an ATTACH of a netfilter socket, which is closed. Returns its id. */
uint32_t doorway_attach(struct doorway *door);

/* DETACH of @id has to be next. */
void doorway_expect_detach(struct doorway *door, uint32_t id);

void doorway_send(const struct doorway *door, enum ipc_type type, uint32_t id, uint64_t inode);
void doorway_tell(const struct doorway *door, uint32_t id, int error, const char *text);

/* How many hand-overs were refused. There must be no other message but notes. */
unsigned int doorway_refused(struct doorway *door);

/* Another broker has taken the place of the one that there was. */
void doorway_expect_restart(struct doorway *door);

/* How many descriptors the broker has open. */
unsigned int doorway_descriptors(const struct doorway *door);

/* Fails the test unless @fd is a netlink socket of netfilter. */
void check_netfilter(int fd);

#endif
