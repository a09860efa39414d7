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

#define MANY_EVENTS   1024
#define COUNT_MS      500 /* the broker may be in a bad way */
#define LISTENERS_MAX 16
#define LINGER_MS     2000 /* so long a name may be gone when it is made anew */
#define DISCARDS_MAX  64

/* ---- what the broker says --------------------------------------------------------------- */

static void answer(const struct many *many, uint64_t id, int err, const char *text)
{
	struct ipc_msg message = { .type = IPC_ANSWER, .id = id, .error = err };

	snprintf(message.text, sizeof(message.text), "%.*s", IPC_TEXT_SIZE - 1, text);
	(void)ipc_send(many->link, &message, -1);
}

/* By the broker itself, not handed over by somebody. */
static bool is_found(const struct ipc_msg *message)
{
	return message->inode != 0;
}

/* Whether the broker was asked to look for namespaces. */
static bool finds(const struct dump_options *opts)
{
	return opts->all_netns || has_name(opts);
}

void fail_alone(struct many *many, const char *why)
{
	many->status = fail(DUMP_NAME, "%s", why);
	stop_workers(many->dump);
}

static void refuse(struct many *many, const struct ipc_msg *message, int err, const char *why)
{
	answer(many, message->id, err, why);
	if (is_found(message) && err == -EEXIST) /* we know that by ourselves */
		return;
	if (many->dump->alone)
		fail_alone(many, why);
	else
		log_refused(many, message, why);
}

static struct ipc_msg get_origin(const struct member *member)
{
	return (struct ipc_msg){ .type = IPC_ATTACH,
				 .id = member->id,
				 .uid = member->uid,
				 .pid = member->pid,
				 .inode = !member->handed_over };
}

void member_refused(struct member *member)
{
	const struct ipc_msg message = get_origin(member);

	refuse(member->many, &message, member->error, member->why);
}

/* Takes the descriptor. */
static void many_attach(struct many *many, const struct ipc_msg *message, int fd)
{
	/* What the broker finds it has opened itself, without our rights. */
	const struct place place = { .kind = PLACE_FD,
				     .fd = fd,
				     .lend = is_found(message) || many->dump->opts->lend_rights };
	struct member *member = new_member(many, message->id);

	if (!member) {
		close(fd);
		refuse(many, message, -ENOMEM, "out of memory");
		return;
	}
	member->handed_over = !is_found(message);
	member->leaves = is_found(message) || (message->flags & MNFQ_HANDOVER_KEEP);
	member->uid = message->uid;
	member->pid = message->pid;
	memcpy(member->source.label, message->label, sizeof(member->source.label));
	join_member(member, &place);
}

/* What is served already goes on being served. */
static void lose_broker(struct many *many, const char *why)
{
	if (!atomic_load(&many->dump->ending))
		many->status = fail(DUMP_NAME, "%s", why);
	close(many->link);
	many->link = -1;
}

/*
 * Ids come from another process, which may be in the hands of a stranger: an unknown one is that of
 * a member that left meanwhile.
 */
static void handle_message(struct many *many, const struct ipc_msg *message, int fd)
{
	struct member *member = find_member(many, message->id);

	switch (message->type) {
	case IPC_ATTACH:
		if (!member && (!is_found(message) || finds(many->dump->opts)))
			many_attach(many, message, fd);
		else
			drop_socket(many, fd);
		break;
	case IPC_DETACH:
		if (member)
			remove_member(member, "gone");
		if (has_name(many->dump->opts))
			many->lingers_until = clock_ms() + LINGER_MS;
		break;
	case IPC_NOTE:
		if (message->error)
			lose_broker(many, message->text);
		else
			tell("%s", message->text);
		break;
	case IPC_COUNT:
		many->refusals = message->count;
		break;
	case IPC_PING:
		watchdog_answered(many);
		break;
	case IPC_RESTART:
		tell("the process that takes sockets and watches namespaces has failed: another one "
		     "takes its place");
		restart_members(many);
		break;
	default:
		break;
	}
}

/* At most some messages, so that packets have their turn. */
static void hear_broker(struct many *many)
{
	struct ipc_msg message;
	int fd, n = 1, budget = 4;

	while (many->link >= 0 && n != 0 && budget-- > 0) {
		n = ipc_receive(many->link, &message, &fd);
		if (n == -ECONNRESET)
			lose_broker(many,
				    "the process that takes sockets and watches namespaces has "
				    "ended: none is added or left any more; start again");
		else if (n > 0)
			handle_message(many, &message, fd);
		else if (n == -EMFILE)
			refuse(many, &message, n,
			       "no descriptor is left: raise the limit of open files (ulimit -n)");
	}
}

/* Not while many descriptors that it sent are still to be closed, so that they do not pile up. */
static void pause_broker(struct many *many)
{
	const bool pause = many->discards >= DISCARDS_MAX;
	struct epoll_event event = { .events = pause ? 0 : EPOLLIN, .data.ptr = many };

	if (many->link >= 0 && pause != many->link_paused &&
	    epoll_ctl(many->epoll, EPOLL_CTL_MOD, many->link, &event) == 0)
		many->link_paused = pause;
}

/*
 * What the broker still says, until it has said @wanted or is gone; not for long, as it may be in
 * the hands of somebody who never ends. Returns whether @message is what was wanted.
 */
static bool hear_last(const struct many *many, uint32_t wanted, struct ipc_msg *message)
{
	const int64_t end = clock_ms() + COUNT_MS;
	struct pollfd ready = { .fd = many->link, .events = POLLIN };
	int64_t left;
	int fd, n = 0;

	while (n != -ECONNRESET && (left = end - clock_ms()) > 0 &&
	       poll(&ready, 1, (int)left) == 1) {
		n = ipc_receive(many->link, message, &fd); /* closing it may take long */
		if (n > 0 && message->type == wanted)
			return true;
	}
	return false;
}

/* How many hand-overs the broker refused, so that nothing is lost silently. */
static void ask_count(struct many *many)
{
	const struct ipc_msg question = { .type = IPC_COUNT };
	struct ipc_msg answer;

	if (many->link < 0 || ipc_send(many->link, &question, -1) < 0)
		return;
	if (hear_last(many, IPC_COUNT, &answer))
		many->refusals = answer.count;
}

/* Until it has tidied up: with us it would be killed. */
static void end_broker(struct many *many)
{
	struct ipc_msg unwanted;

	if (many->link < 0)
		return;
	shutdown(many->link, SHUT_WR);
	(void)hear_last(many, 0, &unwanted);
	close(many->link);
}

/* ---- serving ---------------------------------------------------------------------------- */

/*
 * How long to wait for something to serve, in milliseconds: -1 without end, 0 where nothing is served
 * and nothing can come any more.
 */
static int patience(const struct many *many)
{
	const struct dump *dump = many->dump;
	bool more_may_come = many->link >= 0 &&
			     (dump->opts->listen || dump->opts->all_netns || dump->fd_count > 0);
	int64_t left = many->link >= 0 ? many->lingers_until - clock_ms() : 0;

	if (many->count > 0 || more_may_come)
		return -1;
	return left > 0 ? (int)left : 0;
}

static int earlier(int wait, int64_t at)
{
	int64_t left = at - clock_ms();

	if (at == 0)
		return wait;
	left = left > 0 ? left : 0;
	return wait < 0 || left < wait ? (int)left : wait;
}

/* Besides packets: all that a pass leaves to be done. Members may go, which were among the events. */
static void tend(struct many *many, bool woken, bool broker)
{
	uint64_t count;

	if (woken)
		(void)!read(many->dump->wake, &count, sizeof(count));
	if (broker)
		hear_broker(many);
	take_members(many);
	tend_members(many);
	report_members(many);
	pause_broker(many);
}

static int many_serve(struct many *many)
{
	struct epoll_event events[MANY_EVENTS];
	bool broker, woken, idle = false;
	int n, wait;

	while (!atomic_load(&many->dump->ending) && (wait = patience(many)) != 0) {
		wait = watchdog_ask(many,
				    earlier(earlier(wait, many->retry_at), many->report_by));
		n = epoll_wait(many->epoll, events, MANY_EVENTS, idle ? wait : 0);
		if (n < 0 && errno != EINTR)
			return fail(DUMP_NAME, "cannot wait: %s", strerror(errno));
		idle = n <= 0;
		broker = woken = false;
		for (int i = 0; i < n; i++) {
			broker |= events[i].data.ptr == many;
			woken |= events[i].data.ptr == NULL;
		}
		take_turns(many, events, n);
		tend(many, woken, broker);
		if (idle)
			output_flush(many->dump->out);
	}
	return many->status;
}

/* ---- set-up ----------------------------------------------------------------------------- */

static int watch_fd(const struct many *many, int fd, void *data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

	if (epoll_ctl(many->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return fail(DUMP_NAME, "cannot watch a descriptor: %s", strerror(errno));
}

static int open_loop(struct many *many)
{
	int err;

	/* A thousand namespaces take more than the 1024 that are usual. */
	raise_file_limit();
	many->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (many->epoll < 0)
		return fail(DUMP_NAME, "cannot make an epoll descriptor: %s", strerror(errno));
	err = mnfq_ring_new(&many->ring, 0);
	if (err < 0)
		return fail(DUMP_NAME, "%s", strerror(-err));
	catch_signals(many->dump, many->dump->out);
	many->manager = systemd_open();
	many->watchdog_ms = many->manager >= 0 ? systemd_watchdog_ms() : 0;
	return watch_fd(many, many->dump->wake, NULL);
}

/* @stored: by the service manager, under this name; or NULL. */
static int add_place(struct many *many, const struct place *place, const char *stored)
{
	struct member *member = new_member(many, 0);
	char error[512];

	if (!member)
		return fail(DUMP_NAME, "out of memory");
	member->hidden = !stored;
	if (stored) {
		take_label(member, stored);
		member->stored = true;
	}
	if (add_member(member, place, error, sizeof(error)) < 0)
		return fail(DUMP_NAME, "%s", error);
	return 0;
}

/*
 * Those that the command line names must be there. One that was kept may have become useless while
 * we were away, which is told, and no reason to refuse all others.
 */
static int add_places(struct many *many)
{
	const struct dump *dump = many->dump;
	struct place place = { .kind = PLACE_FD };
	int status = 0;

	for (size_t i = 0; i < dump->opts->place_count && !status; i++)
		status = add_place(many, &dump->opts->places[i], NULL);
	for (size_t i = 0; i < dump->fd_count; i++) {
		place.fd = dump->fds[i].fd;
		if (!unix_is_listener(place.fd))
			(void)add_place(many, &place, dump->fds[i].name);
	}
	return status;
}

static int open_listeners(struct many *many)
{
	struct unix_listener own = { .fd = -1 };
	const struct dump *dump = many->dump;
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
	many->link = start_broker(dump, listeners, count, dump->opts->listen ? &own : NULL);
	return many->link < 0 ? EXIT_FAILURE : watch_fd(many, many->link, many);
}

static void many_print_listening(const struct many *many)
{
	const struct dump_options *opts = many->dump->opts;
	const struct source *source = many->members ? &many->members->source : NULL;
	char path[4 * 108], name[SOURCE_NAME_SIZE];
	FILE *out = log_begin();

	print_queues(out, opts);
	if (many->dump->alone)
		fprintf(out, " of namespace %s", name_source(name, source));
	else if (opts->all_netns)
		fprintf(out, " of all namespaces, %zu so far", many->count);
	else
		fprintf(out, " of %zu %s", many->count,
			plural(many->count, "namespace", "namespaces"));
	if (opts->listen)
		fprintf(out, ", sockets are taken at %s",
			clean_text(path, sizeof(path), opts->listen));
	print_settings(out, many->dump, source, !many->dump->alone);
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
static bool needs_net_admin(const struct many *many)
{
	return !many->dump->alone || has_name(many->dump->opts) ||
	       !sandbox_owns(mnfq_socket_get_fd(many->members->source.sock));
}

static int set_up(struct many *many)
{
	int status = check_rights(many->dump);

	if (!status)
		status = open_loop(many);
	if (!status)
		status = open_listeners(many);
	if (!status)
		status = add_places(many);
	if (!status)
		status = sandbox_dump(many->dump, needs_net_admin(many));
	if (!status) {
		many_print_listening(many);
		many->listening = true;
		systemd_notify(many->manager, "READY=1\n", -1);
	}
	return status;
}

/* What threads that have not ended use stays. */
static void close_many(struct many *many)
{
	close_members(many);
	end_broker(many);
	if (many->epoll >= 0)
		close(many->epoll);
	if (many->manager >= 0)
		close(many->manager);
	log_what_was_left_out(many);
	many->ring = mnfq_ring_free(many->ring);
	if (!many->dump->abandoned)
		free(many);
}

int run_many(struct dump *dump)
{
	struct many *many = calloc(1, sizeof(*many));
	uint64_t refusals;
	int status;

	if (!many)
		return fail(DUMP_NAME, "out of memory");
	many->dump = dump;
	many->epoll = many->link = many->manager = -1;
	threads_init(many);
	status = set_up(many);
	if (!status) {
		status = many_serve(many);
		systemd_notify(many->manager, "STOPPING=1\n", -1);
		ask_count(many);
		dump->served = true;
	}
	refusals = many->refusals;
	close_many(many);
	catch_signals(NULL, dump->out); /* handlers use what goes now */
	if (refusals)
		tell("%llu %s refused", (unsigned long long)refusals,
		     plural(refusals, "socket was", "sockets were"));
	return status;
}
