/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: messages to the log, the broker and the service manager. Lines are
 * limited per user, so that users who hand sockets over can neither fill the log nor keep others out of it.
 */
#include "dump/notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/program.h"
#include "common/sys.h"
#include "common/text.h"
#include "dump/systemd.h"

/* ---- the log ---------------------------------------------------------------------------- */

static void log_suppressed(const char *subject, uint64_t count)
{
	if (count > 0)
		log_line("%llu %s about %s suppressed", (unsigned long long)count,
			 plural(count, "line", "lines"), subject);
}

static void log_suppressed_user(uint32_t uid, uint64_t count)
{
	char subject[32];

	snprintf(subject, sizeof(subject), "user %u", uid);
	log_suppressed(subject, count);
}

/* Without a record of the user, since there are too many, there is no line. */
static bool may_log_user(struct dump_multi *multi, uint32_t uid)
{
	const int64_t now = clock_ms();
	struct peer_user *user = peer_find_user(&multi->users, uid, now);
	uint64_t suppressed;

	if (!user || !peer_may_log(user, now, &suppressed)) {
		multi->unlogged += !user;
		return false;
	}
	log_suppressed_user(uid, suppressed);
	return true;
}

bool notify_may_log(const struct netns_entry *entry)
{
	return !entry->handed_over || may_log_user(entry->multi, entry->uid);
}

void notify_suppressed(struct dump_multi *multi)
{
	for (size_t i = 0; i < multi->users.count; i++)
		log_suppressed_user(multi->users.users[i]->uid, multi->users.users[i]->unlogged);
	log_suppressed("other users", multi->unlogged);
	peer_users_free(&multi->users);
}

static void log_served(const struct netns_entry *entry)
{
	char name[HANDLE_NAME_SIZE];

	handle_format_name(name, &entry->handle);
	if (!entry->handed_over)
		log_line("serving namespace %s", name);
	else if (may_log_user(entry->multi, entry->uid))
		log_line("serving namespace %s, handed over by uid %u, pid %u", name, entry->uid,
			 entry->pid);
}

void notify_single_failed(struct dump_multi *multi, const char *reason)
{
	multi->status = fail(DUMP_NAME, "%s", reason);
	dump_stop(multi->dump);
}

/* ---- the broker ------------------------------------------------------------------------- */

static void refuse_attach(const struct dump_multi *multi, uint64_t id, int err, const char *text)
{
	struct ipc_msg message = { .type = IPC_ANSWER, .id = id, .error = err };

	snprintf(message.text, sizeof(message.text), "%.*s", IPC_TEXT_SIZE - 1, text);
	(void)ipc_send(multi->ipc, &message, -1);
}

/* The inode is that of a namespace that the broker found by itself. */
void notify_refuse(struct dump_multi *multi, const struct ipc_msg *attach, int err,
		   const char *reason)
{
	refuse_attach(multi, attach->id, err, reason);
	if (attach->inode && err == -EEXIST) /* nothing new */
		return;
	if (multi->dump->single_netns)
		notify_single_failed(multi, reason);
	else if (attach->inode)
		log_line("%s", reason);
	else if (may_log_user(multi, attach->uid))
		log_line("refused a socket from uid %u, pid %u: %s", attach->uid, attach->pid,
			 reason);
}

void notify_refused(const struct netns_entry *entry)
{
	const struct ipc_msg attach = { .type = IPC_ATTACH,
					.id = entry->id,
					.uid = entry->uid,
					.pid = entry->pid,
					.inode = !entry->handed_over };

	notify_refuse(entry->multi, &attach, entry->error, entry->reason);
}

/* The broker replies to its client, and watches the namespace unless the entry can be withdrawn. */
static void report_served(const struct netns_entry *entry, uint32_t flags)
{
	const bool found = entry->id & IPC_BROKER_ID && !entry->handed_over;
	const bool withdrawn = entry->handed_over && entry->withdrawable; /* with its client */
	const struct ipc_msg message = { .type = IPC_ANSWER,
					 .id = entry->id,
					 .flags = flags | (entry->named ? IPC_SEEN : 0) |
						  (entry->hidden ? IPC_HIDDEN : 0) |
						  (found ? IPC_FOUND : 0),
					 .inode = withdrawn ? 0 : entry->inode };

	if (entry->multi->ipc >= 0)
		(void)ipc_send(entry->multi->ipc, &message, -1);
}

void notify_restarted(const struct netns_entry *entry)
{
	report_served(entry, IPC_AGAIN);
}

void notify_forget(const struct netns_entry *entry)
{
	const struct ipc_msg message = { .type = IPC_FORGET, .id = entry->id };

	if (entry->multi->ipc >= 0)
		(void)ipc_send(entry->multi->ipc, &message, -1);
}

/* ---- the service manager ---------------------------------------------------------------- */

#define STORED_PREFIX "mnfq-" /* of mnfq-INODE-LABEL */

static void set_stored(const struct netns_entry *entry, const char *action, int fd)
{
	char name[256], state[512];
	int len = snprintf(name, sizeof(name), STORED_PREFIX "%llu-%s",
			   (unsigned long long)entry->inode, entry->handle.label);

	for (int i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			name[i] = '_';
	snprintf(state, sizeof(state), "%s=1\nFDPOLL=0\nFDNAME=%s\n", action, name);
	systemd_notify(entry->multi->manager, state, fd);
}

void notify_unstore(const struct netns_entry *entry)
{
	set_stored(entry, "FDSTOREREMOVE", -1);
}

void notify_parse_stored_name(struct netns_entry *entry, const char *name)
{
	const char *label = strncmp(name, STORED_PREFIX, strlen(STORED_PREFIX)) == 0
				    ? strchr(name + strlen(STORED_PREFIX), '-')
				    : NULL;

	if (label)
		snprintf(entry->handle.label, sizeof(entry->handle.label), "%s", label + 1);
}

/*
 * Stored is what cannot be opened or found again. Not where the peer stays connected: it could not withdraw the
 * stored copy, and would be refused as served already when it comes again.
 */
void notify_served(struct netns_entry *entry)
{
	struct dump_multi *multi = entry->multi;

	if (multi->listening || !multi->dump->single_netns) /* else "listening on" says it */
		log_served(entry);
	if (entry->handed_over && !entry->withdrawable) {
		set_stored(entry, "FDSTORE", mnfq_socket_get_fd(entry->handle.sock));
		entry->stored = true;
	}
	report_served(entry, 0);
}
