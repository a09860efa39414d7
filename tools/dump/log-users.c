/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: what is logged of each of them. Users who hand sockets over cannot
 * fill the log, nor keep lines on others out of it: how many lines there are is limited for each user.
 */
#include "common/log.h"
#include "common/sys.h"
#include "common/text.h"
#include "dump/multi.h"

static void log_suppressed_lines(const char *subject, uint64_t count)
{
	if (count > 0)
		log_line("%llu %s on %s %s left out", (unsigned long long)count,
			 plural(count, "line", "lines"), subject, plural(count, "was", "were"));
}

static void log_suppressed_user(uint32_t uid, uint64_t count)
{
	char subject[32];

	snprintf(subject, sizeof(subject), "user %u", uid);
	log_suppressed_lines(subject, count);
}

/* Whether there may be a line on this user now. Nobody knows users of whom there are too many. */
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

void log_joined(struct dump_multi *multi, const struct netns_entry *entry)
{
	char name[HANDLE_NAME_SIZE];

	handle_format_name(name, &entry->handle);
	if (!entry->handed_over)
		log_line("serving namespace %s", name);
	else if (may_log_user(multi, entry->uid))
		log_line("serving namespace %s, handed over by uid %u, pid %u", name, entry->uid,
			 entry->pid);
}

bool may_log_leaving(struct dump_multi *multi, const struct netns_entry *entry)
{
	return !entry->handed_over || may_log_user(multi, entry->uid);
}

void log_refused(struct dump_multi *multi, const struct ipc_msg *message, const char *why)
{
	if (message->inode) /* the broker has found it */
		log_line("%s", why);
	else if (may_log_user(multi, message->uid))
		log_line("refused a socket of uid %u, pid %u: %s", message->uid, message->pid,
			 why);
}

void log_suppressed(struct dump_multi *multi)
{
	for (size_t i = 0; i < multi->users.count; i++)
		log_suppressed_user(multi->users.users[i]->uid, multi->users.users[i]->unlogged);
	log_suppressed_lines("other users", multi->unlogged);
	peer_users_free(&multi->users);
}
