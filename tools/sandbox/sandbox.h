/* SPDX-License-Identifier: MIT */
/*
 * Giving up, once everything is set up, what is not needed any more: an attacker who takes the program
 * over through a packet or a client then has little of it.
 */
#ifndef MNFQ_TOOLS_SANDBOX_H
#define MNFQ_TOOLS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bits of capabilities: SANDBOX_CAP(CAP_NET_ADMIN). */
#define SANDBOX_CAP(cap) (UINT64_C(1) << (cap))

/**
 * What is still to be done, and so which system calls and files are left. A new one is a row in
 * seccomp.c and a case in landlock.c.
 */
enum sandbox_role {
	SANDBOX_SERVE, /* receive packets, send verdicts, print; bind netlink sockets; look names up */
	SANDBOX_BROKER,   /* accept clients, list /proc, start receivers */
	SANDBOX_NETNS,    /* the same, enter network namespaces and open netlink sockets there */
	SANDBOX_RECEIVER, /* receive what clients send, and pass it on; nothing else */
	SANDBOX_KEEPER, /* start brokers and receivers, end them, remove the path of the listener */
	SANDBOX_READER, /* read and write what is open; nothing else */
	SANDBOX_FILES,  /* make files in the directory of one's own path, and pass them */
	SANDBOX_SHARER, /* accept, open netlink sockets here, pass them, remove one's own path */
};

/**
 * Keep only the capabilities @keep of those that we have; none is inherited, and none comes back
 * by running a program (bounding set, no_new_privs). Leave no core dump, which would have
 * packets in it. Where libseccomp was there at build time, allow only the system calls that
 * @role needs: anything else fails with EPERM. Where the kernel has Landlock, allow only the
 * files that it needs: others cannot be opened, listed, made or removed (EACCES).
 *
 * To be called while there is one thread: others would keep what they have.
 *
 * @threads     there will be more threads, which inherit all this
 * @own         a path that is to be removed in the end, or beside which files are made, or NULL; for roles that do
 * @error       where the message of a failure is written
 * Returns 0 or a negative errno; after a failure some of it may be done.
 */
int sandbox_enter(enum sandbox_role role, uint64_t keep, bool threads, const char *own,
		  char *error, size_t error_size);

/**
 * A Unix socket without a name could be bound, which makes a file. Give it one of those that the kernel
 * makes up, so that it cannot get another.
 */
void sandbox_name_socket(int fd);

/** Do we have all of these capabilities? */
bool sandbox_has(uint64_t caps);

/**
 * Does our uid own the user namespace of this netlink socket's network namespace, so that the
 * kernel asks for no capability over it? False where the kernel does not say.
 */
bool sandbox_owns(int netlink_fd);

/**
 * Whether system calls are limited: built with libseccomp, and without a sanitizer, whose own
 * system calls are not in our lists.
 */
extern const bool sandbox_has_seccomp;

/** For sandbox_enter(), in seccomp.c and landlock.c. Return 0 or a negative errno. */
int sandbox_filter(enum sandbox_role role, bool threads);
int sandbox_limit_files(enum sandbox_role role, const char *own);

/**
 * A sanitizer's runtime maps, reads and asks what it likes, and writes reports to files. There
 * only capabilities are given up.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                       \
	__has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

#endif
