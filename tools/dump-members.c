/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: how each of them joins and leaves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common.h"
#include "dump-many.h"
#include "systemd.h"

/*
 * The kernel answers a request before its sendmsg returns, so that only an answer that somebody
 * stole takes longer; whoever does that must not keep the others waiting.
 */
#define ANSWER_MS 50

#define STORED_PREFIX "mnfq-" /* of a name: mnfq-INODE-LABEL */

struct member *new_member(struct many *many, uint32_t id)
{
	struct member *member = calloc(1, sizeof(*member));

	if (member)
		member->id = id ? id : ++many->last_id;
	return member;
}

struct member *find_member(const struct many *many, uint32_t id)
{
	struct member *member = many->members;

	while (member && member->id != id)
		member = member->next;
	return member;
}

static const struct member *find_inode(const struct many *many, uint64_t inode)
{
	const struct member *member = many->members;

	while (member && member->inode != inode)
		member = member->next;
	return member;
}

/* How many this user has handed over. */
static unsigned int count_of(const struct many *many, uint32_t uid)
{
	unsigned int count = 0;

	for (const struct member *each = many->members; each; each = each->next)
		count += each->handed_over && each->uid == uid;
	return count;
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
static void store(const struct many *many, const struct member *member, bool keep)
{
	char name[256], state[512];

	snprintf(state, sizeof(state), "%s=1\nFDPOLL=0\nFDNAME=%s\n",
		 keep ? "FDSTORE" : "FDSTOREREMOVE", name_stored(name, member));
	systemd_notify(many->manager, state, keep ? mnfq_socket_get_fd(member->source.sock) : -1);
}

/*
 * The porter tells when it is over. Ahead of the answer: once the peer has that, its namespace may be
 * gone, and the porter must have looked before.
 */
static void watch(const struct many *many, const struct member *member)
{
	struct link_message message = { .type = LINK_WATCH,
					.id = member->id,
					.flags = (member->named ? LINK_SEEN : 0) |
						 (member->hidden ? LINK_HIDDEN : 0),
					.inode = member->inode };

	if (many->link >= 0 && !member->leaves && member->inode)
		(void)link_send(many->link, &message, -1);
}

static int open_member(struct many *many, struct member *member, const struct place *place,
		       char *error, size_t error_size)
{
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = error,
					       .error_size = error_size,
					       .receive_buffer = many->dump->opts->receive_buffer,
					       .timeout_ms = is_private(place) ? 0 : ANSWER_MS,
					       .ring = many->ring };
	int err = open_source(&member->source, many->dump, place, &options);

	member->named = is_name(place);
	if (err < 0)
		return err;
	/* Without the right to know, binding will fail, and say which right. */
	err = mnfq_socket_get_netns_inode(member->source.sock, &member->inode);
	if (err < 0 && err != -EPERM) {
		snprintf(error, error_size, "cannot tell which namespace it is: %s",
			 strerror(-err));
		return err;
	}
	if (err == 0 && find_inode(many, member->inode)) {
		snprintf(error, error_size, "namespace %s is served already",
			 member->source.netns);
		return -EEXIST;
	}
	if (member->handed_over && count_of(many, member->uid) >= many->dump->opts->max_per_uid) {
		snprintf(error, error_size,
			 "user %u has %u namespaces here already: see "
			 "--max-per-uid",
			 member->uid, many->dump->opts->max_per_uid);
		return -EDQUOT;
	}
	return 0;
}

static int serve_member(struct many *many, struct member *member, char *error, size_t error_size)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = member };
	const struct dump_options *opts = many->dump->opts;
	int err = bind_source(&member->source, opts->first, count_queues(opts),
			      member->handed_over ? ANSWER_MS : 0);

	if (err < 0) {
		explain_source(error, error_size, &member->source, err);
		return err;
	}
	if (epoll_ctl(many->epoll, EPOLL_CTL_ADD, mnfq_socket_get_fd(member->source.sock),
		      &event) == 0)
		return 0;
	err = -errno;
	snprintf(error, error_size, "cannot watch one more socket: %s", strerror(errno));
	return err;
}

int add_member(struct many *many, struct member *member, const struct place *place, char *error,
	       size_t error_size)
{
	int err;

	error[0] = '\0';
	err = open_member(many, member, place, error, error_size);
	if (err == 0)
		err = serve_member(many, member, error, error_size);
	if (err < 0) {
		if (!*error)
			snprintf(error, error_size, "%s", strerror(-err));
		if (!member->source.sock && place->kind == PLACE_FD)
			close(place->fd); /* which nobody adopted */
		close_source(&member->source, NULL, false);
		free(member);
		return err;
	}
	member->next = many->members;
	if (member->next)
		member->next->prev = member;
	many->members = member;
	many->count++;
	if (many->listening || !many->dump->alone) /* or the line that says so is all */
		log_joined(many, member);
	if (is_worth_storing(member)) {
		store(many, member, true);
		member->stored = true;
	}
	watch(many, member);
	return 0;
}

void remove_member(struct many *many, struct member *member, const char *why)
{
	/* Closing is not enough: whoever has a copy of the descriptor keeps it in the loop. */
	(void)epoll_ctl(many->epoll, EPOLL_CTL_DEL, mnfq_socket_get_fd(member->source.sock),
			NULL);
	if (why && member->stored)
		store(many, member, false);
	member->source.unlogged = why && !may_log_leaving(many, member);
	close_source(&member->source, why, !why && many->dump->opts->keep && member->stored);
	if (member->prev)
		member->prev->next = member->next;
	else
		many->members = member->next;
	if (member->next)
		member->next->prev = member->prev;
	many->count--;
	free(member);
}
