/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: what is logged of each of them. Users who hand sockets over cannot
 * fill the log, nor keep lines on others out of it: how many lines there are is limited for each user.
 */
#include "common/log.h"
#include "common/sys.h"
#include "common/text.h"
#include "dump/multi.h"

static void log_left_out(const char *whom, uint64_t count)
{
	if (count > 0)
		tell("%llu %s on %s %s left out", (unsigned long long)count,
		     plural(count, "line", "lines"), whom, plural(count, "was", "were"));
}

static void log_left_out_of(uint32_t uid, uint64_t count)
{
	char whom[32];

	snprintf(whom, sizeof(whom), "user %u", uid);
	log_left_out(whom, count);
}

/* Whether there may be a line on this user now. Nobody knows users of whom there are too many. */
static bool may_log_user(struct many *many, uint32_t uid)
{
	const int64_t now = clock_ms();
	struct peer_user *user = peer_find_user(&many->users, uid, now);
	uint64_t left_out;

	if (!user || !peer_may_log(user, now, &left_out)) {
		many->unlogged += !user;
		return false;
	}
	log_left_out_of(uid, left_out);
	return true;
}

void log_joined(struct many *many, const struct member *member)
{
	char name[SOURCE_NAME_SIZE];

	name_source(name, &member->source);
	if (!member->handed_over)
		tell("serving namespace %s", name);
	else if (may_log_user(many, member->uid))
		tell("serving namespace %s, handed over by uid %u, pid %u", name, member->uid,
		     member->pid);
}

bool may_log_leaving(struct many *many, const struct member *member)
{
	return !member->handed_over || may_log_user(many, member->uid);
}

void log_refused(struct many *many, const struct ipc_msg *message, const char *why)
{
	if (message->inode) /* the broker has found it */
		tell("%s", why);
	else if (may_log_user(many, message->uid))
		tell("refused a socket of uid %u, pid %u: %s", message->uid, message->pid, why);
}

void log_what_was_left_out(struct many *many)
{
	for (size_t i = 0; i < many->users.count; i++)
		log_left_out_of(many->users.users[i]->uid, many->users.users[i]->unlogged);
	log_left_out("other users", many->unlogged);
	peer_users_free(&many->users);
}
