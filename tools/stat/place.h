/* SPDX-License-Identifier: MIT */
/* A network namespace, with the files of the kernel that list its queues and its netlink sockets. */
#ifndef MNFQ_TOOLS_STAT_PLACE_H
#define MNFQ_TOOLS_STAT_PLACE_H

#include <stddef.h>
#include <stdint.h>

#define PLACE_NAME_SIZE  256
#define PLACE_ERROR_SIZE 512

struct place {
	char name[PLACE_NAME_SIZE]; /* under /run/netns, or net:[INODE] */
	uint64_t inode;
	int queues;  /* -1: the kernel has no NFQUEUE here, so there are none */
	int netlink; /* -1: not to be read */
};

/*
 * Open that of this process, of a name, path or process id, or of a descriptor of a namespace. @home: see
 * broker/netns-enter.h. All return 0, or a negative errno with the message in @error.
 */
int place_open_own(struct place *place, char error[PLACE_ERROR_SIZE]);
int place_open_named(struct place *place, const char *text, int home,
		     char error[PLACE_ERROR_SIZE]);
int place_open_fd(struct place *place, int netns, int home, char error[PLACE_ERROR_SIZE]);

void place_close(struct place *place);

#endif
