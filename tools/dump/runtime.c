/* SPDX-License-Identifier: MIT */
/* mnfq dump: what all of a run shares: its output, its signals, its sandbox, and how it is stopped. */
#include "dump/runtime.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/program.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

/* ---- stopping, signals ------------------------------------------------------------------ */

/* For the signal handlers. */
static struct dump *volatile signal_dump;
static struct packets *volatile signal_packets;

static void dump_wake(struct dump *dump)
{
	const uint64_t one = 1;

	for (size_t i = 0; i < dump->socket_count; i++)
		mnfq_socket_stop(dump->sockets[i]);
	if (dump->wake >= 0)
		(void)!write(dump->wake, &one, sizeof(one));
}

void dump_stop(struct dump *dump)
{
	atomic_store(&dump->stopping, true);
	dump_wake(dump);
}

static void on_end_signal(int number)
{
	struct dump *dump = signal_dump;
	struct packets *packets = signal_packets;
	int saved = errno;

	(void)number;
	if (packets)
		packets_give_up(packets);
	if (dump)
		dump_stop(dump);
	errno = saved;
}

static void on_report_signal(int number)
{
	struct dump *dump = signal_dump;
	int saved = errno;

	(void)number;
	if (dump) {
		atomic_fetch_add(&dump->report_requests, 1);
		dump_wake(dump);
	}
	errno = saved;
}

static void on_stop(void *data)
{
	dump_stop(data);
}

void dump_catch_signals(struct dump *dump, struct packets *packets)
{
	struct sigaction end = { .sa_handler = on_end_signal };
	struct sigaction report = { .sa_handler = on_report_signal, .sa_flags = SA_RESTART };

	signal_dump = dump;
	signal_packets = packets;
	if (packets)
		packets_on_stop(packets, dump ? on_stop : NULL, dump);
	if (!dump)
		return;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	if (!is_ignored(SIGHUP))
		sigaction(SIGHUP, &end, NULL);
	sigaction(SIGUSR1, &report, NULL);
}

/* ---- sandbox ---------------------------------------------------------------------------- */

/* The threads are made after the sandbox was entered, so that they have no more rights. */
int dump_enter_sandbox(struct dump *dump, bool need_net_admin)
{
	const uint64_t keep = need_net_admin ? SANDBOX_CAP(CAP_NET_ADMIN) : 0;
	char error[256];
	int err;

	if (packets_open_capture(&dump->packets))
		return EXIT_FAILURE;
	tzset(); /* reads a file */
	if (!dump->opts->packets.no_sandbox &&
	    sandbox_enter(SANDBOX_SERVE, keep, true, NULL, error, sizeof(error)) < 0)
		return fail(DUMP_NAME, "%s; see --no-sandbox", error);
	err = packets_start(&dump->packets);
	return err ? fail(DUMP_NAME, "cannot start a thread: %s", strerror(-err)) : 0;
}
