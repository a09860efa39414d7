/* SPDX-License-Identifier: MIT */
/*
 * Who owns a queue, as far as /proc shows it: /proc/net/netlink has the inode of the socket with a portid, and a
 * process that has this socket open is its owner. The library does the same for one queue in a message; here a
 * single walk through /proc serves all queues, and what it found is remembered.
 */
#ifndef MNFQ_TOOLS_STAT_OWNERS_H
#define MNFQ_TOOLS_STAT_OWNERS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct owner {
	uint64_t inode;   /* of the socket */
	int pid;          /* 0: none is visible */
	int fd;           /* its descriptor there */
	char command[32]; /* as the process calls itself: any bytes */
};

struct owners {
	struct owner *list; /* ascending by inode */
	size_t count;
};

/** Of netfilter, in a file like /proc/net/netlink. */
struct netlink_socket {
	uint32_t portid;
	uint32_t drops; /* messages that it lost */
	uint64_t inode;
};

/** Call @look for each. */
void owners_each_socket(FILE *netlink,
			void (*look)(const struct netlink_socket *sock, void *data), void *data);

/**
 * Find the owners of these sockets; zeros are ignored. Walks through /proc only if there is a new one, or one has
 * another owner than before. Returns 0 or -ENOMEM.
 */
int owners_find(struct owners *owners, const uint64_t *inodes, size_t count);

/** Of a socket that was looked for; NULL if there is none. */
const struct owner *owners_get(const struct owners *owners, uint64_t inode);

void owners_free(struct owners *owners);

#endif
