/* SPDX-License-Identifier: MIT */
/* Who may hand sockets over, how many, how often, and how much is logged of it. */
#include "broker/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"

int peer_check_uid(const struct peer_rules *rules, uint32_t uid, const char **why)
{
	for (unsigned int i = 0; i < rules->allowed_count; i++)
		if (rules->allowed_uids[i] == uid)
			return 0;
	if (rules->allowed_count == 0)
		return 0;
	*why = "your user may not hand sockets over here: see mnfq dump --allow-uid";
	return -EACCES;
}

int peer_check_quota(const struct peer_rules *rules, const struct peer_user *user, char *why,
		     size_t why_size)
{
	if (user->namespaces < rules->max_namespaces)
		return 0;
	snprintf(why, why_size, "user %u has %u %s here already: see --max-per-uid", user->uid,
		 user->namespaces, plural(user->namespaces, "namespace", "namespaces"));
	return -EDQUOT;
}

int peer_check_waiting(const struct peer_user *user, const char **why)
{
	if (user->waiting < PEER_WAITING_MAX)
		return 0;
	*why = "so many of your user's sockets wait already: try again";
	return -EBUSY;
}

/* One user cannot take all receivers, and many users together cannot take those that are reserved. */
int peer_check_stuck(const struct peer_user *user, unsigned int free, const char **why)
{
	if (user->stuck >= PEER_STUCK_MAX) {
		*why = "too much that you sent cannot be closed: try again later";
		return -EBUSY;
	}
	if (free > PEER_RESERVED || user->uid == 0 || user->uid == getuid())
		return 0;
	*why = "too much that other users sent cannot be closed: try again later";
	return -EBUSY;
}

/* Is there nothing in its record that still makes a difference? */
static bool is_idle(const struct peer_user *user, int64_t now)
{
	return user->namespaces == 0 && user->waiting == 0 && user->stuck == 0 && !user->busy &&
	       now >= user->paused_until && user->unlogged == 0 &&
	       now - user->log_since >= PEER_LOG_BURST * PEER_LOG_MS;
}

static struct peer_user **find_idle(const struct peer_users *users, int64_t now)
{
	for (size_t i = 0; i < users->count; i++)
		if (is_idle(users->users[i], now))
			return &users->users[i];
	return NULL;
}

/* Where one more record goes. */
static struct peer_user **make_user_room(struct peer_users *users, int64_t now)
{
	size_t room = users->room ? 2 * users->room : 16;
	struct peer_user **idle, **larger;

	if (users->count < users->room)
		return &users->users[users->count++];
	idle = find_idle(users, now);
	if (idle) {
		free(*idle);
		return idle;
	}
	if (room > PEER_USERS_MAX)
		return NULL;
	larger = realloc(users->users, room * sizeof(struct peer_user *));
	if (!larger)
		return NULL;
	users->users = larger;
	users->room = room;
	return &users->users[users->count++];
}

struct peer_user *peer_find_user(struct peer_users *users, uint32_t uid, int64_t now)
{
	struct peer_user *user, **place;

	for (size_t i = 0; i < users->count; i++)
		if (users->users[i]->uid == uid)
			return users->users[i];
	user = calloc(1, sizeof(*user));
	place = user ? make_user_room(users, now) : NULL;
	if (!place) {
		free(user);
		return NULL;
	}
	*user = (struct peer_user){ .uid = uid, .log_lines = PEER_LOG_BURST, .log_since = now };
	return *place = user;
}

bool peer_begin(struct peer_user *user, int64_t now, int64_t *retry_at)
{
	*retry_at = user->busy ? 0 : user->paused_until;
	if (user->busy || now < user->paused_until)
		return false;
	return user->busy = true;
}

void peer_end(struct peer_user *user, int64_t now, bool stalled)
{
	user->busy = false;
	if (!stalled)
		user->pause_ms = 0;
	else if (user->pause_ms == 0)
		user->pause_ms = PEER_PAUSE_MIN_MS;
	else if (user->pause_ms < PEER_PAUSE_MAX_MS / 2)
		user->pause_ms *= 2;
	else
		user->pause_ms = PEER_PAUSE_MAX_MS;
	user->paused_until = now + user->pause_ms;
}

bool peer_may_log(struct peer_user *user, int64_t now, uint64_t *left_out)
{
	const int64_t earned = (now - user->log_since) / PEER_LOG_MS;

	if (earned >= PEER_LOG_BURST - (int64_t)user->log_lines) {
		user->log_lines = PEER_LOG_BURST;
		user->log_since = now;
	} else {
		user->log_lines += (unsigned int)earned;
		user->log_since += earned * PEER_LOG_MS;
	}
	if (user->log_lines == 0) {
		user->unlogged++;
		return false;
	}
	user->log_lines--;
	*left_out = user->unlogged;
	user->unlogged = 0;
	return true;
}

void peer_users_free(struct peer_users *users)
{
	for (size_t i = 0; i < users->count; i++)
		free(users->users[i]);
	free(users->users);
	*users = (struct peer_users){ .users = NULL };
}
