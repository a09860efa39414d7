/* SPDX-License-Identifier: MIT */
/* A broker, with the test as its server on the one side and as its clients on the other. */
#ifndef TEST_BROKER_HARNESS_H
#define TEST_BROKER_HARNESS_H

#include <mnfq/mnfq.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "broker/ipc.h"
#include "broker/keeper.h"
#include "child.h"
#include "netns.h"
#include "wait.h"

struct broker_harness {
	struct sockaddr_un address;
	int listener, file, ipc;
	pid_t keeper, broker;
	unsigned int notes;       /* so many were passed over */
	char note[IPC_TEXT_SIZE]; /* the last one */
	unsigned int descriptors; /* open before */
};

/* Starts a broker with one listener, in the sandbox, and waits until it listens. */
void harness_open(struct broker_harness *harness, struct broker_options options);

/* The server closes its end, so the broker ends, and no descriptor stays open. */
void harness_close(struct broker_harness *harness);

/* A stream to the broker, on which nothing was sent. */
int harness_connect(const struct broker_harness *harness);

/* The same by another user; takes root. */
int harness_connect_as(const struct broker_harness *harness, uid_t uid);

/* Sends a good socket. */
void harness_offer_on(int stream, uint32_t flags, const char *label);

/* A stream on which that was done. */
int harness_offer(const struct broker_harness *harness, uint32_t flags, const char *label);

/* What the broker replies: the error, and its message if there is room for it. */
int harness_await_reply(int stream, char *errmsg, size_t size);

/* The stream ends: nothing else comes. Closes it. */
void harness_expect_end(int stream);

/* The next message but notes, with a descriptor or -1. */
struct ipc_msg harness_receive_any(struct broker_harness *harness, int *fd);

/* The same; @fd may be NULL where none comes. */
struct ipc_msg harness_receive(struct broker_harness *harness, int *fd);

/* The same; it has to be an ATTACH of a netfilter socket, which is closed. Returns its id. */
uint64_t harness_attach(struct broker_harness *harness);

/* DETACH of @id has to be next. */
void harness_expect_detach(struct broker_harness *harness, uint64_t id);

void harness_forget(const struct broker_harness *harness, uint64_t id);
void harness_answer(const struct broker_harness *harness, uint64_t id, int error,
		    const char *text);

/* The socket is served, and its namespace is to be watched. */
void harness_watch(const struct broker_harness *harness, uint64_t id, uint64_t inode);

/* How many hand-overs were refused. There must be no other message but notes. */
unsigned int harness_refused(struct broker_harness *harness);

/* Another broker has taken the place of the one that there was. */
void harness_expect_restart(struct broker_harness *harness);

/* How many descriptors the broker has open. */
unsigned int harness_descriptors(const struct broker_harness *harness);

/* Fails the test unless @fd is a netlink socket of netfilter. */
void check_netfilter(int fd);

#endif
