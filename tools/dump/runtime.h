/* SPDX-License-Identifier: MIT */
/* mnfq dump: what all of a run shares: its output, its signals, its sandbox, and how it is stopped. */
#ifndef MNFQ_TOOLS_DUMP_RUNTIME_H
#define MNFQ_TOOLS_DUMP_RUNTIME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#include "dump/options.h"
#include "packets/counters.h"
#include "packets/packets.h"

struct systemd_fd;

struct dump {
	const struct dump_options *opts;
	struct systemd_fd *fds; /* passed by the service manager */
	size_t fd_count;
	bool multi;        /* any number of namespaces, or one that may be re-created */
	bool single_netns; /* with multi: only one at a time */
	bool served;       /* packets were served, so there is a summary */

	struct packets packets; /* what is done with them */

	int wake;                           /* eventfd: a signal, or the end of a thread */
	struct mnfq_socket *const *sockets; /* that dump_stop() interrupts */
	size_t socket_count;
	atomic_bool stopping;
	atomic_uint report_requests; /* one per SIGUSR1 */
	unsigned int reported;       /* the last request that was served */

	struct counters totals; /* of closed handles; main thread only */
	size_t unclosed;        /* handles that could not be closed in time */
	bool abandoned;         /* threads are left that still use all this */
};

/**
 * SIGINT, SIGTERM, SIGHUP and a failing output stop @dump; SIGUSR1 requests a report. The output of @packets is given
 * up on a signal. NULL: handle them no more.
 */
void dump_catch_signals(struct dump *dump, struct packets *packets);

/** All threads end after the batch they are working on. Safe in signal handlers and callbacks. */
void dump_stop(struct dump *dump);

/**
 * Create the capture, and drop privileges after set-up, then start the threads that write output. @need_net_admin: CAP_NET_ADMIN is
 * what gives us the right over the namespaces. Returns 0 or an exit status.
 */
int dump_enter_sandbox(struct dump *dump, bool need_net_admin);

#endif
