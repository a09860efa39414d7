/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: the messages of the broker, see broker/ipc.h. */
#include "dump/multi-broker.h"

#include <errno.h>
#include <mnfq/handover.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/ipc.h"
#include "common/log.h"
#include "common/program.h"
#include "common/sys.h"
#include "dump/lifecycle.h"
#include "dump/notify.h"
#include "dump/systemd.h"

#define REPLY_MS     500  /* for the last messages: the broker may hang */
#define LINGER_MS    2000 /* for a name to be re-created */
#define DISCARDS_MAX 64
#define MESSAGES_MAX 4  /* in a pass */
#define RESERVED_FDS 32 /* for the checks of hand-overs; a quarter if the limit is low */

static const char too_many_files[] = "too many open files: raise the limit (ulimit -n)";

/*
 * Is it one of the last descriptors below the limit? The checks of a socket need descriptors, too, and those of
 * several may run at once. Numbers are given out lowest first, so all below are in use.
 */
static bool is_reserved(int fd)
{
	struct rlimit limit;
	rlim_t reserved = RESERVED_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return true;
	if (reserved > limit.rlim_cur / 4)
		reserved = limit.rlim_cur / 4;
	return (rlim_t)fd >= limit.rlim_cur - reserved;
}

/* Takes @fd over. */
static void attach_socket(struct dump_multi *multi, const struct ipc_msg *message, int fd)
{
	const bool found = message->inode != 0; /* by the broker, not handed over */
	/* What the broker finds it opens without our rights. */
	const struct socket_spec spec = { .kind = SPEC_FD,
					  .fd = fd,
					  .lend = found || multi->dump->opts->lend_rights };
	const struct dump_options *opts = multi->dump->opts;
	struct netns_entry *entry;

	if (entry_find(multi, message->id) ||
	    (found && !opts->all_netns && !options_have_name(opts))) {
		lifecycle_discard(multi, fd);
		return;
	}
	if (is_reserved(fd)) {
		notify_refuse(multi, message, -EMFILE, too_many_files);
		lifecycle_discard(multi, fd);
		return;
	}
	entry = entry_new(multi, message->id);
	if (!entry) {
		close(fd);
		notify_refuse(multi, message, -ENOMEM, "out of memory");
		return;
	}
	entry->handed_over = !found;
	entry->withdrawable = found || (message->flags & MNFQ_HANDOVER_KEEP);
	entry->uid = message->uid;
	entry->pid = message->pid;
	memcpy(entry->handle.label, message->label, sizeof(entry->handle.label));
	lifecycle_join(entry, &spec);
}

/* Namespaces that are served go on being served. */
static void lose_broker(struct dump_multi *multi, const char *reason)
{
	if (!atomic_load(&multi->dump->stopping))
		multi->status = fail(DUMP_NAME, "%s", reason);
	close(multi->ipc);
	multi->ipc = -1;
}

/* The broker may be compromised. An unknown id is that of an entry that was left meanwhile. */
static void handle_message(struct dump_multi *multi, const struct ipc_msg *message, int fd)
{
	struct netns_entry *entry;

	switch (message->type) {
	case IPC_ATTACH:
		attach_socket(multi, message, fd);
		break;
	case IPC_DETACH:
		entry = entry_find(multi, message->id);
		if (entry)
			lifecycle_remove(entry, "gone");
		if (options_have_name(multi->dump->opts))
			multi->linger_until = clock_ms() + LINGER_MS;
		break;
	case IPC_NOTE:
		if (message->error)
			lose_broker(multi, message->text);
		else
			log_line("%s", message->text);
		break;
	case IPC_COUNT:
		multi->refusals = multi->refusals_before + message->count;
		break;
	case IPC_PING:
		systemd_notify(multi->manager, "WATCHDOG=1\n", -1);
		break;
	case IPC_RESTART:
		log_line("the broker has failed and is being replaced");
		multi->refusals_before = multi->refusals;
		lifecycle_restart(multi);
		break;
	default:
		break;
	}
}

void multi_broker_read(struct dump_multi *multi)
{
	struct ipc_msg message;
	int fd, n = 1, budget = MESSAGES_MAX;

	while (multi->ipc >= 0 && n != 0 && budget-- > 0) {
		n = ipc_receive(multi->ipc, &message, &fd);
		if (n == -ECONNRESET)
			lose_broker(multi,
				    "the broker has ended: namespaces are neither added nor left "
				    "any more; restart mnfq dump");
		else if (n > 0)
			handle_message(multi, &message, fd);
		else if (n == -EMFILE)
			notify_refuse(multi, &message, n, too_many_files);
		if (n < 0 && fd >= 0)
			lifecycle_discard(multi, fd);
	}
}

void multi_broker_throttle(struct dump_multi *multi)
{
	const bool pause = multi->discards >= DISCARDS_MAX;
	struct epoll_event event = { .events = pause ? 0 : EPOLLIN, .data.ptr = multi };

	if (multi->ipc >= 0 && pause != multi->ipc_paused &&
	    epoll_ctl(multi->epoll, EPOLL_CTL_MOD, multi->ipc, &event) == 0)
		multi->ipc_paused = pause;
}

/*
 * Discard messages until one of @type, or the end. Returns whether @message is that one. Descriptors stay open,
 * since closing them may block.
 */
static bool read_until(const struct dump_multi *multi, uint32_t type, struct ipc_msg *message)
{
	const int64_t end = clock_ms() + REPLY_MS;
	struct pollfd ready = { .fd = multi->ipc, .events = POLLIN };
	int64_t left;
	int fd, n = 0;

	while (n != -ECONNRESET && (left = end - clock_ms()) > 0 &&
	       poll(&ready, 1, (int)left) == 1) {
		n = ipc_receive(multi->ipc, message, &fd);
		if (n > 0 && message->type == type)
			return true;
	}
	return false;
}

void multi_broker_count_refusals(struct dump_multi *multi)
{
	const struct ipc_msg question = { .type = IPC_COUNT };
	struct ipc_msg answer;

	if (multi->ipc < 0 || ipc_send(multi->ipc, &question, -1) < 0)
		return;
	if (read_until(multi, IPC_COUNT, &answer))
		multi->refusals = multi->refusals_before + answer.count;
}

/* If we ended first it would be killed. */
void multi_broker_close(struct dump_multi *multi)
{
	struct ipc_msg message;

	if (multi->ipc < 0)
		return;
	shutdown(multi->ipc, SHUT_WR);
	(void)read_until(multi, 0, &message);
	close(multi->ipc);
}
