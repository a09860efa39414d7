/* SPDX-License-Identifier: MIT */
/*
 * A container without root: user and network namespace, made by a user who has no rights outside
 * and all of them inside.
 */
#ifndef TEST_CONTAINER_H
#define TEST_CONTAINER_H

#include <sys/types.h>

#include "child.h"
#include "netns.h"

struct container {
	struct child child; /* its root */
	struct netns ns;    /* from outside; it has no name under /run/netns */
	int socket;         /* opened inside; -1: none */
};

/*
 * Starts one that @uid makes, in which @function runs as root, with a stream as that of
 * child_start(). Its `lo` is up. Skips the test, or fails it, where users may not do that.
 */
void container_start(struct container *container, uid_t uid,
		     int (*function)(int stream, void *arg), void *arg);

/* The same with a process in it that does nothing but open a netlink socket, and pass it out. */
void container_start_idle(struct container *container, uid_t uid);

/* Closes what is ours of it, and waits for the exit status of its root. */
int container_finish(struct container *container);

/* In a child of the test: becomes this user, with no rights left, and no way to get any. */
int become(uid_t uid);

#endif
