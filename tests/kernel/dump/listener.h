/* SPDX-License-Identifier: MIT */
/* The tool as one that listens, and what hands sockets over to it. */
#ifndef TEST_LISTENER_H
#define TEST_LISTENER_H

#include <mnfq/handover.h>
#include <sys/un.h>

#include "child.h"
#include "dump-fixture.h"

/* Where it listens, in a directory of the test that all users may enter. */
extern struct sockaddr_un listener_address;
#define LISTENER_PATH (listener_address.sun_path)

/* Makes the directory, and the path in it. */
void listener_make_path(void);

/* Starts "mnfq dump -q 1 --listen PATH" with these arguments besides, and waits until it listens. */
void listener_start(const char *arguments);

/* A stream to it, or a negative errno. */
int listener_connect(void);

/* A stream on which a socket was sent; @fd stays open. */
int listener_offer(int fd);

/* Waits for the answer, closes the stream, and returns the error; @errmsg: NULL or 256 bytes. */
int listener_answer(int stream, char *errmsg);

/* Removes the directory, in which nothing may be left; or just the socket, by a broker that was killed. */
void listener_remove(void);
void listener_remove_stale(void);

/* Ends the tool with SIGTERM, which must be a success with a line on stderr that begins like this. */
void listener_stop(const char *begin);

/* The keeper of its broker. */
pid_t listener_keeper(void);

/* A copy of a socket of this type that the tool has made, and that @holder has. */
int listener_copy_socket(pid_t holder, int type);

/* Ends the broker and its keeper. Returns a copy of their end of the IPC socket: the test is the broker now. */
int listener_replace_broker(void);

/* The same as listener_stop("0 packets"), without a broker that would remove the path. */
void listener_stop_without_broker(void);

#endif
