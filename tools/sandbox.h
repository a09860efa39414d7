/* SPDX-License-Identifier: MIT */
/*
 * Giving up, once everything is set up, what is not needed any more: who takes the program over
 * through a packet or through a peer then has little of it.
 */
#ifndef MNFQ_TOOLS_SANDBOX_H
#define MNFQ_TOOLS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Bits of capabilities: SANDBOX_CAP(CAP_NET_ADMIN). */
#define SANDBOX_CAP(cap) (UINT64_C(1) << (cap))

/** What is still to be done, and so which system calls are left. Each has those before it, too. */
enum sandbox_role {
	SANDBOX_SERVE, /* receive packets, send verdicts, print; look names up in /proc and /run */
	SANDBOX_PORTER, /* accept strangers, pass descriptors, watch paths and remove one's own */
	SANDBOX_SHARER, /* open netlink sockets of one's own namespace, to hand them over */
	SANDBOX_FINDER, /* enter network namespaces (setns) and open netlink sockets there */
};

/**
 * Keep only the capabilities @keep of those that we have; none is inherited, and none comes back
 * by running a program (bounding set, no_new_privs). Leave no core dump, which would have
 * packets in it. Where libseccomp was there at build time, allow only the system calls that
 * @role needs: anything else fails with EPERM.
 *
 * To be called while there is one thread: others would keep what they have.
 *
 * @threads     there will be more threads, which inherit all this
 * @error       where the sentence of a failure goes
 * Returns 0 or a negative errno; after a failure some of it may be done.
 */
int sandbox_enter(enum sandbox_role role, uint64_t keep, bool threads, char *error,
		  size_t error_size);

/** Do we have all of these capabilities? */
bool sandbox_has(uint64_t caps);

/**
 * Does our uid own the user namespace of this netlink socket's network namespace, so that the
 * kernel asks for no capability over it? False where the kernel does not tell.
 */
bool sandbox_owns(int netlink_fd);

/**
 * Whether system calls are limited: built with libseccomp, and without a sanitizer, whose own
 * system calls nobody has listed.
 */
extern const bool sandbox_has_seccomp;

/** sandbox-filter.c, for sandbox_enter(): limit system calls. Returns 0 or a negative errno. */
int sandbox_filter(enum sandbox_role role, bool threads);

#endif
