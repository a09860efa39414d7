/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: what its two files share. */
#ifndef MNFQ_TOOLS_DUMP_MANY_H
#define MNFQ_TOOLS_DUMP_MANY_H

#include <stdbool.h>
#include <stdint.h>

#include "dump.h"
#include "link.h"
#include "peer-policy.h"

/** One of many. */
struct member {
	struct source source;
	struct member *prev, *next;
	uint32_t id;    /* by which the porter knows it */
	uint64_t inode; /* of the namespace; 0 if nobody knows */
	uint32_t uid, pid;
	bool handed_over; /* by somebody of this uid and pid */
	bool named;       /* as ip(8) lists it, or by a process */
	bool hidden;      /* the command line says where it is: nobody has to see it */
	bool stored;      /* the service manager keeps it while we are away */
	bool leaves;      /* with its peer, or the porter tells; nobody has to be asked for it */
};

struct many {
	struct dump *dump;
	struct mnfq_ring *ring;
	struct member *members;
	size_t count;
	uint32_t last_id;
	int epoll;
	int link;          /* to the porter; -1: none, or none any more */
	int manager;       /* the service manager, which keeps sockets for us; -1: none */
	uint64_t refusals; /* as the porter counts them */
	struct peer_users users;
	uint64_t unlogged;     /* lines on users who are none of these */
	bool listening;        /* and the line that says so was printed */
	int64_t lingers_until; /* without any: a name may be back soon */
	int status;
};

/** A member to be, or NULL. */
struct member *new_member(struct many *many, uint32_t id);

/**
 * Open the socket of a place and serve it. Returns 0 or a negative errno with a sentence in @error;
 * the member is freed then, and a descriptor that was passed is closed.
 */
int add_member(struct many *many, struct member *member, const struct place *place, char *error,
	       size_t error_size);

/** Serve it no more, for the reason @why unless that is NULL. */
void remove_member(struct many *many, struct member *member, const char *why);

/** The label of a socket that the service manager kept for us under @name. */
void take_label(struct member *member, const char *name);

struct member *find_member(const struct many *many, uint32_t id);

/* ---- dump-log.c ------------------------------------------------------------------------- */

/** That it joined, or what became of LINK_ATTACH, unless there were too many lines on the user. */
void log_joined(struct many *many, const struct member *member);
void log_refused(struct many *many, const struct link_message *message, const char *why);

/** Whether that it leaves may be logged. */
bool may_log_leaving(struct many *many, const struct member *member);

/** At the end: how many lines were left out, and no more on users. */
void log_what_was_left_out(struct many *many);

#endif
