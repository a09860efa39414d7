/* SPDX-License-Identifier: MIT */
/*
 * Who may hand sockets over, how many, how often, and how much is logged of it: decided here and nowhere
 * else (SECURITY.md has the table of cases). Users are distinguished by the uid that the kernel reports.
 * What cannot be decided is refused.
 */
#ifndef MNFQ_TOOLS_BROKER_POLICY_H
#define MNFQ_TOOLS_BROKER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_LOG_BURST    20   /* lines on one user at once */
#define PEER_LOG_MS       6000 /* then one each so many milliseconds */
#define PEER_PAUSE_MIN_MS 100 /* after a hand-over that stalled; twice that after the next, … */
#define PEER_PAUSE_MAX_MS 10000
#define PEER_USERS_MAX    4096
#define PEER_WAITING_MAX  64 /* hand-overs of one user that have not begun */
#define PEER_STUCK_MAX    2  /* receivers that one user has made hang */
#define PEER_RESERVED     8 /* receivers that only root and the user who runs the program can have */

struct peer_rules {
	const uint32_t *allowed_uids;
	unsigned int allowed_count;  /* 0: all users who can connect */
	unsigned int max_namespaces; /* of one user */
};

/** What one user has here, and has done. All times are clock_ms(). */
struct peer_user {
	uint32_t uid;
	unsigned int namespaces; /* that are served: the caller counts */
	unsigned int waiting;    /* hand-overs that have not begun: the caller counts */
	unsigned int stuck;    /* receivers that hang on what the user sent: the caller counts */
	bool busy;             /* a hand-over is under way: one at a time */
	bool closing;          /* one of the namespaces is being left: the caller's */
	unsigned int pause_ms; /* the last one; 0: none, or a hand-over went well since */
	int64_t paused_until;
	unsigned int log_lines; /* that may be logged at once */
	int64_t log_since;      /* from when on the next one is earned */
	uint64_t unlogged;      /* lines left out since the last one */
};

struct peer_users {
	struct peer_user **users;
	size_t count, room;
};

/** May this user hand sockets over? Returns 0, or -EACCES with @why. */
int peer_check_uid(const struct peer_rules *rules, uint32_t uid, const char **why);

/** One more namespace of this user? Returns 0, or -EDQUOT with @why. */
int peer_check_quota(const struct peer_rules *rules, const struct peer_user *user, char *why,
		     size_t why_size);

/** May one more hand-over of this user wait? Returns 0, or -EBUSY with @why. */
int peer_check_waiting(const struct peer_user *user, const char **why);

/** May a receiver work for this user, of whom @free are left? Returns 0, or -EBUSY with @why. */
int peer_check_stuck(const struct peer_user *user, unsigned int free, const char **why);

/**
 * The record of a user, a new one if there was none. It stays where it is while the user has
 * something here. NULL: no memory, or too many users; then the answer is no.
 */
struct peer_user *peer_find_user(struct peer_users *users, uint32_t uid, int64_t now);

/**
 * May a hand-over of this user begin now? If so it has begun. Otherwise *@retry_at is when to ask again; 0:
 * when the one under way has ended.
 */
bool peer_begin(struct peer_user *user, int64_t now, int64_t *retry_at);

/** It has ended. @stalled: it took longer than an honest one does, so the next one has to wait. */
void peer_end(struct peer_user *user, int64_t now, bool stalled);

/** May a line on this user be logged? If so *@left_out is how many were not, since the last one. */
bool peer_may_log(struct peer_user *user, int64_t now, uint64_t *left_out);

void peer_users_free(struct peer_users *users);

#endif
