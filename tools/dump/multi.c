/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces, as they come and go: its main thread, which serves packets,
 * keeps the books, and waits for nothing that a stranger controls. All others that there are to deal with
 * are the broker's business, see broker.h.
 */
#include <errno.h>
#include <linux/capability.h>
#include <mnfq/handover.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/program.h"
#include "common/sys.h"
#include "common/text.h"
#include "common/unix-socket.h"
#include "dump/multi.h"
#include "dump/systemd.h"
#include "sandbox/sandbox.h"

#define EVENTS_MAX    1024
#define COUNT_MS      500 /* the broker may be in a bad way */
#define LISTENERS_MAX 16
#define LINGER_MS     2000 /* so long a name may be gone when it is made anew */
#define DISCARDS_MAX  64

/* ---- what the broker says --------------------------------------------------------------- */

static void reply(const struct dump_multi *multi, uint32_t id, int err, const char *text)
{
	struct ipc_msg message = { .type = IPC_ANSWER, .id = id, .error = err };

	snprintf(message.text, sizeof(message.text), "%.*s", IPC_TEXT_SIZE - 1, text);
	(void)ipc_send(multi->ipc, &message, -1);
}

/* By the broker itself, not handed over by somebody. */
static bool is_found_by_broker(const struct ipc_msg *message)
{
	return message->inode != 0;
}

/* Whether the broker was asked to look for namespaces. */
static bool searches(const struct dump_options *opts)
{
	return opts->all_netns || options_have_name(opts);
}

void multi_fail(struct dump_multi *multi, const char *why)
{
	multi->status = fail(DUMP_NAME, "%s", why);
	dump_stop(multi->dump);
}

static void refuse(struct dump_multi *multi, const struct ipc_msg *message, int err,
		   const char *why)
{
	reply(multi, message->id, err, why);
	if (is_found_by_broker(message) && err == -EEXIST) /* we know that by ourselves */
		return;
	if (multi->dump->single_netns)
		multi_fail(multi, why);
	else
		log_refused(multi, message, why);
}

static struct ipc_msg get_origin(const struct netns_entry *entry)
{
	return (struct ipc_msg){ .type = IPC_ATTACH,
				 .id = entry->id,
				 .uid = entry->uid,
				 .pid = entry->pid,
				 .inode = !entry->handed_over };
}

void reply_joined(struct netns_entry *entry)
{
	reply(entry->multi, entry->id, 0, "");
}

void reply_refused(struct netns_entry *entry)
{
	const struct ipc_msg message = get_origin(entry);

	refuse(entry->multi, &message, entry->error, entry->why);
}

/* Takes the descriptor. */
static void attach(struct dump_multi *multi, const struct ipc_msg *message, int fd)
{
	/* What the broker finds it has opened itself, without our rights. */
	const struct socket_spec spec = { .kind = SPEC_FD,
					  .fd = fd,
					  .lend = is_found_by_broker(message) ||
						  multi->dump->opts->lend_rights };
	struct netns_entry *entry = entry_new(multi, message->id);

	if (!entry) {
		close(fd);
		refuse(multi, message, -ENOMEM, "out of memory");
		return;
	}
	entry->handed_over = !is_found_by_broker(message);
	entry->withdrawable =
		is_found_by_broker(message) || (message->flags & MNFQ_HANDOVER_KEEP);
	entry->uid = message->uid;
	entry->pid = message->pid;
	memcpy(entry->handle.label, message->label, sizeof(entry->handle.label));
	lifecycle_join(entry, &spec);
}

/* What is served already goes on being served. */
static void broker_lost(struct dump_multi *multi, const char *why)
{
	if (!atomic_load(&multi->dump->ending))
		multi->status = fail(DUMP_NAME, "%s", why);
	close(multi->ipc);
	multi->ipc = -1;
}

/*
 * Ids come from another process, which may be in the hands of a stranger: an unknown one is that of
 * a member that left meanwhile.
 */
static void handle_message(struct dump_multi *multi, const struct ipc_msg *message, int fd)
{
	struct netns_entry *entry = entry_find(multi, message->id);

	switch (message->type) {
	case IPC_ATTACH:
		if (!entry && (!is_found_by_broker(message) || searches(multi->dump->opts)))
			attach(multi, message, fd);
		else
			lifecycle_discard(multi, fd);
		break;
	case IPC_DETACH:
		if (entry)
			lifecycle_remove(entry, "gone");
		if (options_have_name(multi->dump->opts))
			multi->linger_until = clock_ms() + LINGER_MS;
		break;
	case IPC_NOTE:
		if (message->error)
			broker_lost(multi, message->text);
		else
			log_line("%s", message->text);
		break;
	case IPC_COUNT:
		multi->refusals = message->id;
		break;
	case IPC_PING:
		watchdog_answered(multi);
		break;
	case IPC_RESTART:
		log_line(
			"the process that takes sockets and watches namespaces has failed: another one "
			"takes its place");
		lifecycle_restart(multi);
		break;
	default:
		break;
	}
}

/* At most some messages, so that packets have their turn. */
static void read_broker(struct dump_multi *multi)
{
	struct ipc_msg message;
	int fd, n = 1, budget = 4;

	while (multi->ipc >= 0 && n != 0 && budget-- > 0) {
		n = ipc_receive(multi->ipc, &message, &fd);
		if (n == -ECONNRESET)
			broker_lost(multi,
				    "the process that takes sockets and watches namespaces has "
				    "ended: none is added or left any more; start again");
		else if (n > 0)
			handle_message(multi, &message, fd);
		else if (n == -EMFILE)
			refuse(multi, &message, n,
			       "no descriptor is left: raise the limit of open files (ulimit -n)");
	}
}

/* Not while many descriptors that it sent are still to be closed, so that they do not pile up. */
static void throttle_broker(struct dump_multi *multi)
{
	const bool pause = multi->discards >= DISCARDS_MAX;
	struct epoll_event event = { .events = pause ? 0 : EPOLLIN, .data.ptr = multi };

	if (multi->ipc >= 0 && pause != multi->ipc_paused &&
	    epoll_ctl(multi->epoll, EPOLL_CTL_MOD, multi->ipc, &event) == 0)
		multi->ipc_paused = pause;
}

/*
 * What the broker still says, until it has said @wanted or is gone; not for long, as it may be in
 * the hands of somebody who never ends. Returns whether @message is what was wanted.
 */
static bool read_until(const struct dump_multi *multi, uint32_t wanted, struct ipc_msg *message)
{
	const int64_t end = clock_ms() + COUNT_MS;
	struct pollfd ready = { .fd = multi->ipc, .events = POLLIN };
	int64_t left;
	int fd, n = 0;

	while (n != -ECONNRESET && (left = end - clock_ms()) > 0 &&
	       poll(&ready, 1, (int)left) == 1) {
		n = ipc_receive(multi->ipc, message, &fd); /* closing it may take long */
		if (n > 0 && message->type == wanted)
			return true;
	}
	return false;
}

/* How many hand-overs the broker refused, so that nothing is lost silently. */
static void request_refusal_count(struct dump_multi *multi)
{
	const struct ipc_msg question = { .type = IPC_COUNT };
	struct ipc_msg reply;

	if (multi->ipc < 0 || ipc_send(multi->ipc, &question, -1) < 0)
		return;
	if (read_until(multi, IPC_COUNT, &reply))
		multi->refusals = reply.id;
}

/* Until it has tidied up: with us it would be killed. */
static void shut_down_broker(struct dump_multi *multi)
{
	struct ipc_msg cancelled;

	if (multi->ipc < 0)
		return;
	shutdown(multi->ipc, SHUT_WR);
	(void)read_until(multi, 0, &cancelled);
	close(multi->ipc);
}

/* ---- serving ---------------------------------------------------------------------------- */

/*
 * How long to wait for something to serve, in milliseconds: -1 without end, 0 where nothing is served
 * and nothing can come any more.
 */
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

static int min_timeout(int wait, int64_t at)
{
	int64_t left = at - clock_ms();

	if (at == 0)
		return wait;
	left = left > 0 ? left : 0;
	return wait < 0 || left < wait ? (int)left : wait;
}

/* Besides packets: all that a pass leaves to be done. Members may go, which were among the events. */
static void run_timers(struct dump_multi *multi, bool woken, bool broker)
{
	uint64_t count;

	if (woken)
		(void)!read(multi->dump->wake, &count, sizeof(count));
	if (broker)
		read_broker(multi);
	lifecycle_finish_threads(multi);
	lifecycle_start_threads(multi);
	turns_report(multi);
	throttle_broker(multi);
}

static int run_loop(struct dump_multi *multi)
{
	struct epoll_event events[EVENTS_MAX];
	bool broker, woken, idle = false;
	int n, wait;

	while (!atomic_load(&multi->dump->ending) && (wait = get_idle_timeout(multi)) != 0) {
		wait = watchdog_ask(
			multi, min_timeout(min_timeout(wait, multi->retry_at), multi->report_by));
		n = epoll_wait(multi->epoll, events, EVENTS_MAX, idle ? wait : 0);
		if (n < 0 && errno != EINTR)
			return fail(DUMP_NAME, "cannot wait: %s", strerror(errno));
		idle = n <= 0;
		broker = woken = false;
		for (int i = 0; i < n; i++) {
			broker |= events[i].data.ptr == multi;
			woken |= events[i].data.ptr == NULL;
		}
		turns_run(multi, events, n);
		run_timers(multi, woken, broker);
		if (idle)
			output_flush(multi->dump->out);
	}
	return multi->status;
}

/* ---- set-up ----------------------------------------------------------------------------- */

static int watch_fd(const struct dump_multi *multi, int fd, void *data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

	if (epoll_ctl(multi->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return fail(DUMP_NAME, "cannot watch a descriptor: %s", strerror(errno));
}

static int open_loop(struct dump_multi *multi)
{
	int err;

	/* A thousand namespaces take more than the 1024 that are usual. */
	raise_file_limit();
	multi->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (multi->epoll < 0)
		return fail(DUMP_NAME, "cannot make an epoll descriptor: %s", strerror(errno));
	err = mnfq_ring_new(&multi->ring, 0);
	if (err < 0)
		return fail(DUMP_NAME, "%s", strerror(-err));
	dump_catch_signals(multi->dump, multi->dump->out);
	multi->manager = systemd_open();
	multi->watchdog_ms = multi->manager >= 0 ? systemd_watchdog_ms() : 0;
	return watch_fd(multi, multi->dump->wake, NULL);
}

/* @stored: by the service manager, under this name; or NULL. */
static int open_spec(struct dump_multi *multi, const struct socket_spec *spec, const char *stored)
{
	struct netns_entry *entry = entry_new(multi, 0);
	char error[512];

	if (!entry)
		return fail(DUMP_NAME, "out of memory");
	entry->hidden = !stored;
	if (stored) {
		set_stored_label(entry, stored);
		entry->stored = true;
	}
	if (lifecycle_add_now(entry, spec, error, sizeof(error)) < 0)
		return fail(DUMP_NAME, "%s", error);
	return 0;
}

/*
 * Those that the command line names must be there. One that was kept may have become useless while
 * we were away, which is told, and no reason to refuse all others.
 */
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
	const mode_t mode = dump->opts->has_mode ? dump->opts->mode : 0600;
	int listeners[LISTENERS_MAX];
	unsigned int count = 0;
	char error[512] = "";

	for (size_t i = 0; i < dump->fd_count; i++) {
		if (!unix_is_listener(dump->fds[i].fd))
			continue;
		if (count == LISTENERS_MAX - 1)
			return fail(DUMP_NAME, "more than %d listening sockets were passed",
				    LISTENERS_MAX - 1);
		listeners[count++] = dump->fds[i].fd;
	}
	if (dump->opts->listen) {
		if (unix_listen(&own, dump->opts->listen, mode, error, sizeof(error)) < 0)
			return fail(DUMP_NAME, "%s", error);
		listeners[count++] =
			own.fd; /* closed like the others; the keeper removes its path */
	}
	multi->ipc = dump_start_broker(dump, listeners, count, dump->opts->listen ? &own : NULL);
	return multi->ipc < 0 ? EXIT_FAILURE : watch_fd(multi, multi->ipc, multi);
}

static void report_listening(const struct dump_multi *multi)
{
	const struct dump_options *opts = multi->dump->opts;
	const struct dump_handle *handle = multi->entries ? &multi->entries->handle : NULL;
	char path[4 * 108], name[HANDLE_NAME_SIZE];
	FILE *out = log_begin();

	report_queues(out, opts);
	if (multi->dump->single_netns)
		fprintf(out, " of namespace %s", handle_format_name(name, handle));
	else if (opts->all_netns)
		fprintf(out, " of all namespaces, %zu so far", multi->count);
	else
		fprintf(out, " of %zu %s", multi->count,
			plural(multi->count, "namespace", "namespaces"));
	if (opts->listen)
		fprintf(out, ", sockets are taken at %s",
			clean_text(path, sizeof(path), opts->listen));
	report_settings(out, multi->dump, handle, !multi->dump->single_netns);
	log_end();
}

static int check_rights(const struct dump *dump)
{
	if (!dump->opts->all_netns ||
	    sandbox_has(SANDBOX_CAP(CAP_SYS_ADMIN) | SANDBOX_CAP(CAP_NET_ADMIN)))
		return 0;
	return fail(DUMP_NAME, "--all-netns takes CAP_SYS_ADMIN, to enter namespaces, and "
			       "CAP_NET_ADMIN: run as root, or give mnfq these capabilities");
}

/* The next one of a name may be one over which we have the right by a capability only. */
static bool needs_net_admin(const struct dump_multi *multi)
{
	return !multi->dump->single_netns || options_have_name(multi->dump->opts) ||
	       !sandbox_owns(mnfq_socket_get_fd(multi->entries->handle.sock));
}

static int set_up(struct dump_multi *multi)
{
	int status = check_rights(multi->dump);

	if (!status)
		status = open_loop(multi);
	if (!status)
		status = open_listeners(multi);
	if (!status)
		status = open_specs(multi);
	if (!status)
		status = dump_enter_sandbox(multi->dump, needs_net_admin(multi));
	if (!status) {
		report_listening(multi);
		multi->listening = true;
		systemd_notify(multi->manager, "READY=1\n", -1);
	}
	return status;
}

/* What threads that have not ended use stays. */
static void close_multi(struct dump_multi *multi)
{
	lifecycle_close_all(multi);
	shut_down_broker(multi);
	if (multi->epoll >= 0)
		close(multi->epoll);
	if (multi->manager >= 0)
		close(multi->manager);
	log_suppressed(multi);
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
	multi->dump = dump;
	multi->epoll = multi->ipc = multi->manager = -1;
	multi_init(multi);
	status = set_up(multi);
	if (!status) {
		status = run_loop(multi);
		systemd_notify(multi->manager, "STOPPING=1\n", -1);
		request_refusal_count(multi);
		dump->served = true;
	}
	refusals = multi->refusals;
	close_multi(multi);
	dump_catch_signals(NULL, dump->out); /* handlers use what goes now */
	if (refusals)
		log_line("%llu %s refused", (unsigned long long)refusals,
			 plural(refusals, "socket was", "sockets were"));
	return status;
}
