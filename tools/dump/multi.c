/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: set-up, and the loop of the main thread, which waits for nothing that a
 * peer controls. Clients and the tracking of namespaces are the broker's, see broker.h.
 */
#include "dump/multi.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "broker/ipc.h"
#include "common/log.h"
#include "common/program.h"
#include "common/sys.h"
#include "common/text.h"
#include "common/unix-socket.h"
#include "dump/broker-start.h"
#include "dump/lifecycle.h"
#include "dump/multi-broker.h"
#include "dump/notify.h"
#include "dump/report.h"
#include "dump/systemd.h"
#include "dump/turns.h"
#include "sandbox/sandbox.h"

#define EVENTS_MAX    1024
#define LISTENERS_MAX 16

/* ---- the loop --------------------------------------------------------------------------- */

/* -1: wait without limit; 0: nothing is served, and nothing can come any more. */
static int get_idle_timeout(const struct dump_multi *multi)
{
	const struct dump *dump = multi->dump;
	bool more_may_come = multi->ipc >= 0 &&
			     (dump->opts->listen || dump->opts->all_netns || dump->fd_count > 0);
	int64_t left = multi->ipc >= 0 ? multi->linger_until - clock_ms() : 0;

	if (multi->count > 0 || more_may_come)
		return -1;
	return left > 0 ? (int)left : 0;
}

/* @at 0: never. */
static int min_timeout(int timeout, int64_t at)
{
	int64_t left = at - clock_ms();

	if (at == 0)
		return timeout;
	left = left > 0 ? left : 0;
	return timeout < 0 || left < timeout ? (int)left : timeout;
}

/* The service manager hears WATCHDOG=1 when the broker answers, so that both are seen to work. */
static void ping_broker(struct dump_multi *multi)
{
	const struct ipc_msg ping = { .type = IPC_PING };
	const int64_t now = clock_ms();

	if (multi->watchdog_ms == 0 || now < multi->watchdog_at)
		return;
	multi->watchdog_at = now + multi->watchdog_ms;
	if (multi->ipc >= 0)
		(void)ipc_send(multi->ipc, &ping, -1);
}

static int wait_for_events(struct dump_multi *multi, struct epoll_event *events, bool idle)
{
	int timeout = get_idle_timeout(multi);

	ping_broker(multi);
	timeout = min_timeout(timeout, multi->watchdog_at);
	timeout = min_timeout(timeout, multi->retry_at);
	timeout = min_timeout(timeout, multi->report_by);
	return epoll_wait(multi->epoll, events, EVENTS_MAX, idle ? timeout : 0);
}

/* Packets first: what follows may free entries that are among the events. */
static void handle_events(struct dump_multi *multi, const struct epoll_event *events, int n)
{
	bool broker = false, woken = false;
	uint64_t count;

	turns_run(multi, events, n);
	for (int i = 0; i < n; i++) {
		broker |= events[i].data.ptr == multi;
		woken |= events[i].data.ptr == NULL;
	}
	if (woken)
		(void)!read(multi->dump->wake, &count, sizeof(count));
	if (broker)
		multi_broker_read(multi);
	lifecycle_run(multi);
	turns_report(multi);
	multi_broker_throttle(multi);
}

/* It waits, and flushes the output, only when a pass has found nothing. */
static int run_loop(struct dump_multi *multi)
{
	struct epoll_event events[EVENTS_MAX];
	bool idle = false;
	int n;

	while (!atomic_load(&multi->dump->stopping) && get_idle_timeout(multi) != 0) {
		n = wait_for_events(multi, events, idle);
		if (n < 0 && errno != EINTR)
			return fail(DUMP_NAME, "epoll_wait failed: %s", strerror(errno));
		idle = n <= 0;
		handle_events(multi, events, n);
		if (idle)
			packets_flush(&multi->dump->packets);
	}
	return multi->status;
}

/* ---- set-up ----------------------------------------------------------------------------- */

static int watch_fd(const struct dump_multi *multi, int fd, void *data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

	if (epoll_ctl(multi->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return fail(DUMP_NAME, "cannot add a descriptor to epoll: %s", strerror(errno));
}

static int open_loop(struct dump_multi *multi)
{
	int err;

	/* 1024 descriptors, the usual limit, are not enough for a thousand namespaces. */
	raise_file_limit();
	multi->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (multi->epoll < 0)
		return fail(DUMP_NAME, "cannot create an epoll descriptor: %s", strerror(errno));
	err = mnfq_ring_new(&multi->ring, 0);
	if (err < 0)
		return fail(DUMP_NAME, "%s", strerror(-err));
	dump_catch_signals(multi->dump, &multi->dump->packets);
	multi->manager = systemd_open();
	multi->watchdog_ms = multi->manager >= 0 ? systemd_watchdog_ms() : 0;
	return watch_fd(multi, multi->dump->wake, NULL);
}

/* @stored: its name if the service manager stored it, or NULL. */
static int open_spec(struct dump_multi *multi, const struct socket_spec *spec, const char *stored)
{
	struct netns_entry *entry = entry_new(multi, 0);
	char error[512];

	if (!entry)
		return fail(DUMP_NAME, "out of memory");
	entry->hidden = !stored;
	if (stored) {
		notify_parse_stored_name(entry, stored);
		entry->stored = true;
	}
	if (lifecycle_add(entry, spec, error, sizeof(error)) < 0)
		return fail(DUMP_NAME, "%s", error);
	return 0;
}

/* Those of the command line must work. A stored one may have become useless meanwhile: that is only reported. */
static int open_specs(struct dump_multi *multi)
{
	const struct dump *dump = multi->dump;
	struct socket_spec spec = { .kind = SPEC_FD };
	int status = 0;

	for (size_t i = 0; i < dump->opts->spec_count && !status; i++)
		status = open_spec(multi, &dump->opts->specs[i], NULL);
	for (size_t i = 0; i < dump->fd_count; i++) {
		spec.fd = dump->fds[i].fd;
		if (!unix_is_listener(spec.fd))
			(void)open_spec(multi, &spec, dump->fds[i].name);
	}
	return status;
}

static int open_listeners(struct dump_multi *multi)
{
	struct unix_listener own = { .fd = -1 };
	const struct dump *dump = multi->dump;
	const mode_t mode = dump->opts->mode == MODE_UNSET ? 0600 : dump->opts->mode;
	int listeners[LISTENERS_MAX];
	unsigned int count = 0;
	char error[512] = "";

	for (size_t i = 0; i < dump->fd_count; i++) {
		if (!unix_is_listener(dump->fds[i].fd))
			continue;
		if (count == LISTENERS_MAX - 1)
			return fail(DUMP_NAME, "at most %d listening sockets can be passed",
				    LISTENERS_MAX - 1);
		listeners[count++] = dump->fds[i].fd;
	}
	if (dump->opts->listen) {
		if (unix_listen(&own, dump->opts->listen, mode, error, sizeof(error)) < 0)
			return fail(DUMP_NAME, "%s", error);
		listeners[count++] = own.fd; /* the keeper removes its path */
	}
	multi->ipc = dump_start_broker(dump, listeners, count, dump->opts->listen ? &own : NULL);
	if (multi->ipc >= 0)
		return watch_fd(multi, multi->ipc, multi);
	own.fd = -1; /* closed with the others */
	unix_unlisten(&own);
	return EXIT_FAILURE;
}

static void print_multi_listening(const struct dump_multi *multi)
{
	const struct dump_options *opts = multi->dump->opts;
	const struct dump_handle *handle = multi->entries ? &multi->entries->handle : NULL;
	char path[4 * 108], name[HANDLE_NAME_SIZE];
	FILE *out = log_begin();

	report_queues(out, opts);
	if (multi->dump->single_netns)
		fprintf(out, " in namespace %s", handle_format_name(name, handle));
	else if (opts->all_netns)
		fprintf(out, " in all namespaces, %zu so far", multi->count);
	else
		fprintf(out, " in %zu %s", multi->count,
			plural(multi->count, "namespace", "namespaces"));
	if (opts->listen)
		fprintf(out, ", accepting sockets at %s",
			clean_text(path, sizeof(path), opts->listen));
	report_settings(out, multi->dump, handle, !multi->dump->single_netns);
	log_end();
}

static int check_rights(const struct dump *dump)
{
	if (!dump->opts->all_netns ||
	    sandbox_has(SANDBOX_CAP(CAP_SYS_ADMIN) | SANDBOX_CAP(CAP_NET_ADMIN)))
		return 0;
	return fail(DUMP_NAME, "--all-netns requires CAP_SYS_ADMIN, to enter namespaces, and "
			       "CAP_NET_ADMIN: run as root, or give mnfq these capabilities");
}

/* A name may be re-created by another user, over whose namespace only the capability gives us the right. */
static bool needs_net_admin(const struct dump_multi *multi)
{
	return !multi->dump->single_netns || options_have_name(multi->dump->opts) ||
	       !sandbox_owns(mnfq_socket_get_fd(multi->entries->handle.sock));
}

static int set_up(struct dump_multi *multi)
{
	if (check_rights(multi->dump) || open_loop(multi) || open_listeners(multi) ||
	    open_specs(multi) || dump_enter_sandbox(multi->dump, needs_net_admin(multi)))
		return EXIT_FAILURE;
	print_multi_listening(multi);
	multi->listening = true;
	systemd_notify(multi->manager, "READY=1\n", -1);
	return 0;
}

/* What abandoned threads use stays. */
static void close_multi(struct dump_multi *multi)
{
	lifecycle_close_all(multi);
	multi_broker_close(multi);
	if (multi->epoll >= 0)
		close(multi->epoll);
	if (multi->manager >= 0)
		close(multi->manager);
	notify_suppressed(multi);
	multi->ring = mnfq_ring_free(multi->ring);
	if (!multi->dump->abandoned)
		free(multi);
}

int dump_run_multi(struct dump *dump)
{
	struct dump_multi *multi = calloc(1, sizeof(*multi));
	uint64_t refusals;
	int status;

	if (!multi)
		return fail(DUMP_NAME, "out of memory");
	multi_init(multi, dump);
	status = set_up(multi);
	if (!status) {
		status = run_loop(multi);
		systemd_notify(multi->manager, "STOPPING=1\n", -1);
		multi_broker_count_refusals(multi);
		dump->served = true;
	}
	refusals = multi->refusals;
	close_multi(multi);
	dump_catch_signals(NULL, &dump->packets);
	if (refusals)
		log_line("%llu %s refused", (unsigned long long)refusals,
			 plural(refusals, "socket", "sockets"));
	return status;
}
