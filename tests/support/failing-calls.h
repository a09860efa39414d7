/* SPDX-License-Identifier: MIT */
/*
 * System calls that fail in a running mnfq. An object that is preloaded into it stands in for the C library's
 * functions and obeys a plan, which is in a file that the test has mapped as well. So the test decides at any
 * time which call of which process fails, and sees which calls were made.
 */
#ifndef TEST_FAILING_CALLS_H
#define TEST_FAILING_CALLS_H

#include <stdatomic.h>

/* Where the file of the plan is; the object does nothing without it. */
#define FAILING_PLAN "MNFQ_FAILING_PLAN"

/* The processes of mnfq dump --listen, by the names that they give themselves. */
enum failing_process { SERVER, KEEPER, BROKER, RECEIVER, PROCESSES };

/* What is called by libseccomp counts, and what the C library calls within does not. */
#define FAILING_CALLS(X)                                                                         \
	X(accept4)                                                                               \
	X(bind)                                                                                  \
	X(epoll_create1)                                                                         \
	X(epoll_ctl)                                                                             \
	X(fcntl)                                                                                 \
	X(fork)                                                                                  \
	X(fstat)                                                                                 \
	X(fstatat)                                                                               \
	X(getpeername)                                                                           \
	X(getsockname)                                                                           \
	X(getsockopt)                                                                            \
	X(ioctl)                                                                                 \
	X(open)                                                                                  \
	X(openat)                                                                                \
	X(prctl)                                                                                 \
	X(pthread_create)                                                                        \
	X(recvmsg)                                                                               \
	X(sendmsg)                                                                               \
	X(setns)                                                                                 \
	X(setsockopt)                                                                            \
	X(shutdown)                                                                              \
	X(signalfd)                                                                              \
	X(socket)                                                                                \
	X(socketpair)                                                                            \
	X(stat)                                                                                  \
	X(syscall)

#define FAILING_ID(name) CALL_##name,
enum failing_call { FAILING_CALLS(FAILING_ID) CALLS };
#undef FAILING_ID

/* In place of an errno: the call does not return while the plan is armed. */
#define FAILING_HANGS (-1)

struct failing_plan {
	/* Written while it is not armed. */
	enum failing_process process;
	enum failing_call call;
	int error;
	unsigned int first, last; /* so many-th calls since it was armed fail */

	atomic_bool armed;
	atomic_uint seen;                     /* such calls since then */
	atomic_ullong made[PROCESSES][CALLS]; /* calls, whether they failed or not */
	atomic_uint
		landlocked[PROCESSES]; /* so many times they have limited their access to files */
};

#endif
