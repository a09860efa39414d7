/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: which of them join and leave now, which wait for that, and what
 * follows once their threads have ended. All of this is the main thread's, and nothing here waits.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/multi.h"

#define JOINERS_MAX 16
#define CLOSERS_MAX 16
#define STALL_MS    50  /* besides a moment for each queue */
#define END_MS      800 /* for all to be closed, and a moment for each queue */

/* ---- leaving ---------------------------------------------------------------------------- */

static void set_reason(struct member *member, const char *why)
{
	if (why && !member->tells)
		snprintf(member->why, sizeof(member->why), "%s", why);
	member->tells |= why != NULL;
}

/* When there is a thread for it. */
static void close_later(struct member *member)
{
	struct many *many = member->many;

	if (!member->counted)
		member->user = NULL; /* its record may go */
	member->discarded = !member->source.sock;
	many->discards += member->discarded;
	if (member->stored && member->tells)
		store_member(member, false);
	member->leave_queues = !member->tells && many->dump->opts->keep && member->stored;
	set_state(member, MEMBER_CLOSING);
	queue_add(&many->closing, member);
}

static void stop_waiting(struct member *member)
{
	struct member_queue *waiting = &member->many->waiting;
	struct member **link = &waiting->first;

	while (*link != member)
		link = &(*link)->next_queued;
	queue_take(waiting, link);
	if (member->user)
		member->user->waiting--;
	close_later(member);
}

void remove_member(struct member *member, const char *why)
{
	switch (member->state) {
	case MEMBER_WAITING:
		stop_waiting(member);
		break;
	case MEMBER_JOINING: /* to be seen when it has joined */
		member->unwanted = true;
		break;
	case MEMBER_SERVED:
		set_reason(member, why);
		unserve_member(member);
		close_later(member);
		break;
	case MEMBER_SLOW: /* to be closed when its thread has let go of it */
		set_reason(member, why);
		atomic_store(&member->ends, true);
		mnfq_socket_stop(member->source.sock);
		break;
	default:
		break;
	}
}

static void finish_close(struct member *member)
{
	struct many *many = member->many;

	if (member->counted) {
		member->user->namespaces--;
		member->user->closing = false;
	}
	if (member->discarded)
		many->discards--;
	else
		count_source(&member->source,
			     member->tells && may_log_leaving(many, member) ? member->why : NULL);
	free_member(member);
}

/* One that closes at a time of each user, so that nobody takes all threads. */
static void begin_close(struct member **link)
{
	struct member *member = *link;
	struct many *many = member->many;

	queue_take(&many->closing, link);
	if (member->counted)
		member->user->closing = true;
	many->closers++;
	if ((!member->source.sock || mnfq_socket_set_ring(member->source.sock, NULL) == 0) &&
	    threads_start(member, close_member) == 0)
		return;
	many->closers--;
	close_member(member);
	finish_close(member);
}

/* ---- whose turn it is ------------------------------------------------------------------- */

void drop_socket(struct many *many, int fd)
{
	struct member *member = new_member(many, 0);

	if (!member) {
		close(fd);
		return;
	}
	member->source.place = (struct place){ .kind = PLACE_FD, .fd = fd };
	enlist_member(member);
	close_later(member);
}

static void refuse_member(struct member *member, int err)
{
	member->error = err;
	member_refused(member);
	close_later(member);
}

void join_member(struct member *member, const struct place *place)
{
	struct many *many = member->many;
	const struct dump_options *opts = many->dump->opts;
	const struct peer_rules rules = { .allowed_uids = opts->allowed_uids,
					  .allowed_count = opts->allowed_count };
	const char *why = "too many users hand sockets over: try again";
	int err = 0;

	member->source.place = *place;
	enlist_member(member);
	if (member->handed_over) {
		err = peer_check_uid(&rules, member->uid, &why);
		if (err == 0)
			member->user = peer_find_user(&many->users, member->uid, clock_ms());
		if (err == 0 && !member->user)
			err = -EBUSY;
		if (err == 0)
			err = peer_check_waiting(member->user, &why);
	}
	if (err < 0) {
		snprintf(member->why, sizeof(member->why), "%s", why);
		refuse_member(member, err);
		return;
	}
	if (member->user)
		member->user->waiting++;
	queue_add(&many->waiting, member);
}

/* The first one whose user may begin, and has begun with it. */
static struct member **next_to_join(struct many *many, int64_t now)
{
	struct member **link = &many->waiting.first;
	int64_t retry_at = 0;

	many->retry_at = 0;
	for (; *link; link = &(*link)->next_queued) {
		if (!(*link)->user || peer_begin((*link)->user, now, &retry_at))
			return link;
		if (retry_at && (!many->retry_at || retry_at < many->retry_at))
			many->retry_at = retry_at;
	}
	return NULL;
}

static void begin_join(struct member **link, int64_t now)
{
	struct member *member = *link;
	struct many *many = member->many;
	const struct peer_rules rules = { .max_namespaces = many->dump->opts->max_per_uid };
	int err = 0;

	queue_take(&many->waiting, link);
	member->since = now;
	if (member->user) {
		member->user->waiting--;
		err = peer_check_quota(&rules, member->user, member->why, sizeof(member->why));
	}
	if (err == 0) {
		set_state(member, MEMBER_JOINING);
		err = threads_start(member, open_and_bind);
		if (err < 0)
			snprintf(member->why, sizeof(member->why), "cannot start a thread: %s",
				 strerror(-err));
	}
	if (err == 0) {
		many->joining++;
		return;
	}
	if (member->user)
		peer_end(member->user, now, false);
	refuse_member(member, err);
}

static struct member **next_to_close(struct many *many)
{
	struct member **link = &many->closing.first;

	while (*link && (*link)->counted && (*link)->user->closing)
		link = &(*link)->next_queued;
	return *link ? link : NULL;
}

void tend_members(struct many *many)
{
	const int64_t now = clock_ms();
	struct member **link;

	while (many->closers < CLOSERS_MAX && (link = next_to_close(many)))
		begin_close(link);
	while (many->joining < JOINERS_MAX && (link = next_to_join(many, now)))
		begin_join(link, now);
}

/* ---- whose thread has ended ------------------------------------------------------------- */

/* An honest one takes a moment for each queue; somebody who steals answers, or has rules without end, more. */
static bool has_stalled(const struct member *member, int64_t now)
{
	return now - member->since >= STALL_MS + (int64_t)count_queues(member->many->dump->opts);
}

/* One that never was served. If it could not be opened or bound its thread has closed it. */
static void part(struct member *member)
{
	if (member->source.sock)
		close_later(member);
	else
		free_member(member);
}

static void finish_join(struct member *member)
{
	struct many *many = member->many;
	const int64_t now = clock_ms();

	many->joining--;
	if (member->user)
		peer_end(member->user, now, has_stalled(member, now));
	if (atomic_load(&many->dump->ending)) {
		part(member);
		return;
	}
	if (member->error == 0)
		member->error = serve_member(member);
	if (member->error < 0) {
		member_refused(member);
		part(member);
		return;
	}
	welcome_member(member);
	if (member->unwanted)
		remove_member(member, "gone");
}

void take_members(struct many *many)
{
	struct member *member;

	while ((member = threads_take(many))) {
		switch (member->state) {
		case MEMBER_JOINING:
			finish_join(member);
			break;
		case MEMBER_SLOW:
			many->slow--;
			if (member->error < 0)
				fail_member(member, member->error);
			close_later(member);
			break;
		default:
			many->closers--;
			finish_close(member);
		}
	}
}

/*
 * All of them, several at a time, but not for longer than END_MS: what a thread is stuck with in the kernel is
 * cleaned up by that once it lets go.
 */
void close_members(struct many *many)
{
	struct pollfd woken = { .fd = many->dump->wake, .events = POLLIN };
	int64_t left = END_MS + (int64_t)count_queues(many->dump->opts);
	const int64_t end = clock_ms() + left;
	uint64_t count;

	atomic_store(&many->dump->ending, true); /* for those that are about to join */
	for (struct member *each = many->members; each; each = each->next)
		remove_member(each, NULL);
	for (tend_members(many); many->members && left > 0; left = end - clock_ms()) {
		if (poll(&woken, 1, (int)left) > 0)
			(void)!read(many->dump->wake, &count, sizeof(count));
		take_members(many);
		tend_members(many);
	}
	many->dump->abandoned = many->members != NULL;
	for (struct member *each = many->members; each; each = each->next)
		many->dump->unclosed += each->state >= MEMBER_SERVED && !each->discarded;
}
