/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: how each of them is opened, bound, listed and closed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/sys.h"
#include "dump/multi.h"
#include "dump/systemd.h"

/*
 * The kernel answers a request before its sendmsg returns, so that only an answer that somebody
 * stole takes longer; whoever does that must not keep a thread.
 */
#define ANSWER_MS  50
#define PRIVATE_MS 500 /* where nobody steals: for the kernel's work, which the namespace sets */
#define ROUND_US   500
#define BIND_MS    500  /* all queues of a socket that others have, too */
#define CLOSE_MS   500  /* besides a moment for each queue */
#define CLAIM_MS   1000 /* for another one of the same namespace to be gone */

#define STORED_PREFIX "mnfq-" /* of a name: mnfq-INODE-LABEL */

struct member *new_member(struct many *many, uint64_t id)
{
	struct member *member = calloc(1, sizeof(*member));

	if (!member)
		return NULL;
	member->many = many;
	member->id = id ? id : ++many->last_id;
	member->source.place.fd = -1;
	atomic_init(&member->ends, false);
	return member;
}

struct member *find_member(const struct many *many, uint64_t id)
{
	struct member *member = many->members;

	while (member && member->id != id)
		member = member->next;
	return member;
}

/* Another one of this namespace. With the lock held. */
static const struct member *find_other(const struct member *member, uint64_t inode)
{
	const struct member *other = member->many->members;

	while (other && (other == member || other->inode != inode))
		other = other->next;
	return other;
}

/* By this name the service manager keeps its socket, for take_label() of who comes after us. */
static const char *name_stored(char name[256], const struct member *member)
{
	int len = snprintf(name, 256, STORED_PREFIX "%llu-%s", (unsigned long long)member->inode,
			   member->source.label);

	for (int i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~' || name[i] == ':')
			name[i] = '_';
	return name;
}

void take_label(struct member *member, const char *name)
{
	const char *label = strncmp(name, STORED_PREFIX, strlen(STORED_PREFIX)) == 0
				    ? strchr(name + strlen(STORED_PREFIX), '-')
				    : NULL;

	if (label)
		snprintf(member->source.label, sizeof(member->source.label), "%s", label + 1);
}

/*
 * What is worth keeping: what cannot be opened or found again. Not where the peer stays: it could not
 * withdraw what the manager has, and would be told that its namespace is served already when it comes
 * again.
 */
static bool is_worth_storing(const struct member *member)
{
	return member->handed_over && !member->leaves;
}

/* The service manager keeps it for us while we are away, or not any more. */
void store_member(const struct member *member, bool keep)
{
	char name[256], state[512];

	snprintf(state, sizeof(state), "%s=1\nFDPOLL=0\nFDNAME=%s\n",
		 keep ? "FDSTORE" : "FDSTOREREMOVE", name_stored(name, member));
	systemd_notify(member->many->manager, state,
		       keep ? mnfq_socket_get_fd(member->source.sock) : -1);
}

/* It is served. The broker answers its client, and watches its namespace unless it leaves anyway. */
static void answer_served(const struct member *member, uint32_t flags)
{
	const struct ipc_msg message = { .type = IPC_ANSWER,
					 .id = member->id,
					 .flags = flags | (member->named ? IPC_SEEN : 0) |
						  (member->hidden ? IPC_HIDDEN : 0),
					 .inode = member->leaves ? 0 : member->inode };

	if (member->many->link >= 0)
		(void)ipc_send(member->many->link, &message, -1);
}

/* ---- what a thread does ----------------------------------------------------------------- */

/*
 * There is one socket a namespace. Another one that joins or leaves is waited for: it may have gone when its
 * peer comes again.
 */
static int claim(struct member *member, uint64_t inode)
{
	struct many *many = member->many;
	const struct member *other;
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLAIM_MS / 1000;
	pthread_mutex_lock(&many->lock);
	while ((other = find_other(member, inode)) && other->state != MEMBER_SERVED &&
	       other->state != MEMBER_SLOW && err == 0)
		err = -pthread_cond_timedwait(&many->changed, &many->lock, &until);
	if (!other)
		member->inode = inode;
	pthread_mutex_unlock(&many->lock);
	if (atomic_load(&many->dump->ending)) /* which may be why the other one is gone */
		return -ECANCELED;
	if (!other)
		return 0;
	snprintf(member->why, sizeof(member->why), "namespace %s is served already",
		 member->source.netns);
	return -EEXIST;
}

static int open_member(struct member *member, struct mnfq_ring *ring)
{
	struct many *many = member->many;
	const struct place *place = &member->source.place;
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = member->why,
					       .error_size = sizeof(member->why),
					       .receive_buffer = many->dump->opts->receive_buffer,
					       .timeout_ms =
						       is_private(place) ? PRIVATE_MS : ANSWER_MS,
					       .ring = ring,
					       .batch = ring ? 0 : 1,
					       .round_us = ROUND_US };
	uint64_t inode;
	int err = open_source(&member->source, many->dump, place, &options);

	if (err < 0)
		return err;
	/* Without the right to know, binding will fail, and say which right. */
	err = mnfq_socket_get_netns_inode(member->source.sock, &inode);
	if (err == -EPERM)
		return 0;
	if (err == 0)
		return claim(member, inode);
	snprintf(member->why, sizeof(member->why), "cannot tell which namespace it is: %s",
		 strerror(-err));
	return err;
}

static int join(struct member *member, struct mnfq_ring *ring)
{
	const struct dump_options *opts = member->many->dump->opts;
	int err = open_member(member, ring);

	if (err == 0) {
		err = bind_source(&member->source, opts->first, count_queues(opts),
				  member->handed_over ? BIND_MS : 0);
		if (err < 0)
			explain_source(member->why, sizeof(member->why), &member->source, err);
	}
	if (err < 0 && !member->why[0])
		snprintf(member->why, sizeof(member->why), "%s", strerror(-err));
	return err;
}

void close_member(struct member *member)
{
	struct place *place = &member->source.place;

	if (!member->source.sock && place->kind == PLACE_FD && place->fd >= 0)
		close(place->fd);
	place->fd = -1;
	close_source(&member->source, CLOSE_MS + (int)count_queues(member->many->dump->opts),
		     member->leave_queues);
}

void open_and_bind(struct member *member)
{
	member->error = join(member, NULL);
	if (member->error < 0)
		close_member(member);
}

/* ---- in the list ------------------------------------------------------------------------ */

void enlist_member(struct member *member)
{
	struct many *many = member->many;

	pthread_mutex_lock(&many->lock);
	member->next = many->members;
	if (member->next)
		member->next->prev = member;
	many->members = member;
	many->count++;
	pthread_mutex_unlock(&many->lock);
}

void free_member(struct member *member)
{
	struct many *many = member->many;

	pthread_mutex_lock(&many->lock);
	if (member->prev)
		member->prev->next = member->next;
	else
		many->members = member->next;
	if (member->next)
		member->next->prev = member->prev;
	many->count--;
	pthread_cond_broadcast(&many->changed);
	pthread_mutex_unlock(&many->lock);
	free(member);
}

void welcome_member(struct member *member)
{
	struct many *many = member->many;

	member->named = is_name(&member->source.place);
	if (member->user) {
		member->user->namespaces++;
		member->counted = true;
	}
	if (many->listening || !many->dump->alone) /* or the line that says so is all */
		log_joined(many, member);
	if (is_worth_storing(member)) {
		store_member(member, true);
		member->stored = true;
	}
	answer_served(member, 0);
}

int add_member(struct member *member, const struct place *place, char *error, size_t error_size)
{
	int err;

	member->source.place = *place;
	enlist_member(member);
	err = join(member, member->many->ring);
	if (err == 0)
		err = serve_member(member);
	if (err == 0) {
		welcome_member(member);
		return 0;
	}
	snprintf(error, error_size, "%s", member->why);
	close_member(member);
	free_member(member);
	return err;
}

/* What the broker found by itself it will find again, and be told that it is served. */
void restart_members(struct many *many)
{
	struct member *member, *next;

	for (member = many->members; member; member = next) {
		next = member->next;
		if (member->handed_over && member->leaves) {
			remove_member(member, "the process that knew its peer has failed");
			continue;
		}
		member->leaves = false;
		if (member->state == MEMBER_SERVED || member->state == MEMBER_SLOW)
			answer_served(member, IPC_AGAIN);
	}
}

int watchdog_ask(struct many *many, int wait)
{
	const struct ipc_msg ping = { .type = IPC_PING };
	const int64_t now = clock_ms();

	if (many->watchdog_ms == 0)
		return wait;
	if (now >= many->watchdog_at) {
		many->watchdog_at = now + many->watchdog_ms;
		if (many->link >= 0)
			(void)ipc_send(many->link, &ping, -1);
	}
	return wait < 0 || wait > many->watchdog_at - now ? (int)(many->watchdog_at - now) : wait;
}

void watchdog_answered(const struct many *many)
{
	systemd_notify(many->manager, "WATCHDOG=1\n", -1);
}
