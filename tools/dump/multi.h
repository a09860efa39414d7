/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: what its files share. The main thread keeps the books and serves
 * all namespaces that are quick; what a stranger can make slow is done by a thread for one member.
 */
#ifndef MNFQ_TOOLS_DUMP_MANY_H
#define MNFQ_TOOLS_DUMP_MANY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "broker/ipc.h"
#include "broker/policy.h"
#include "dump/dump.h"

/** Who has its socket. */
enum member_state {
	MEMBER_WAITING, /* nobody: its hand-over has not begun */
	MEMBER_JOINING, /* a thread, which opens it and binds its queues */
	MEMBER_SERVED,  /* the main thread, with all others that are quick */
	MEMBER_SLOW,    /* a thread of its own serves it */
	MEMBER_CLOSING, /* nobody, and soon a thread that closes it */
};

/** One of many. */
struct member {
	struct source source; /* of the thread that has it */
	struct many *many;
	struct member *prev, *next;
	struct member *next_queued;
	enum member_state state; /* written by the main thread, with the lock */
	uint64_t id;             /* by which the broker knows it */
	uint64_t inode;          /* of the namespace; 0 if nobody knows; with the lock */
	uint32_t uid, pid;
	struct peer_user *user; /* who handed it over, or NULL */
	bool handed_over;       /* by somebody of this uid and pid */
	bool named;             /* as ip(8) lists it, or by a process */
	bool hidden;            /* the command line says where it is: nobody has to see it */
	bool stored;            /* the service manager keeps it while we are away */
	bool leaves;  /* with its peer, or the broker tells; nobody has to be asked for it */
	bool counted; /* among those of its user */

	int64_t since;   /* when it began to join */
	int64_t owes_ns; /* time that it took above its share */
	unsigned int slow_turns;

	void (*work)(struct member *member); /* of its thread */
	atomic_bool ends;                    /* told to the thread that serves it */
	int error;                           /* of its thread; 0: none */
	char why[MNFQ_ERRMSG_SIZE + 256];
	bool unwanted;     /* since it began to join */
	bool discarded;    /* without having been opened */
	bool tells;        /* @why is to be told at its end */
	bool leave_queues; /* bound, at its end */
};

/** Members in line, the first one first. */
struct member_queue {
	struct member *first, **end;
};

struct many {
	struct dump *dump;
	struct mnfq_ring *ring;
	struct member *members; /* changed by the main thread, with the lock */
	size_t count;
	uint64_t last_id;
	int epoll;
	int link;          /* to the broker; -1: none, or none any more */
	bool link_paused;  /* too much of what it sent has not been closed yet */
	int manager;       /* the service manager, which keeps sockets for us; -1: none */
	uint64_t refusals; /* as the broker counts them */
	struct peer_users users;
	uint64_t unlogged;                /* lines on users who are none of these */
	bool listening;                   /* and the line that says so was printed */
	int64_t lingers_until;            /* without any: a name may be back soon */
	int64_t watchdog_ms, watchdog_at; /* when the manager wants to hear of us; 0: never */
	int status;

	struct member_queue waiting, closing; /* for a thread */
	unsigned int joining, slow;           /* threads */
	unsigned int closers;
	unsigned int discards; /* of those that close, or wait for it: never served */
	int64_t retry_at;      /* when a user may begin again; 0: nobody waits for that */
	unsigned int asked;    /* for the last time, threads for counters: as dump->wanted */
	int64_t report_by; /* when they are printed without those who have not told; 0: unwanted */

	pthread_mutex_t lock;
	pthread_cond_t changed;   /* a state, or the list of members */
	struct member_queue done; /* whose thread has ended; with the lock */
};

/* ---- multi.c ------------------------------------------------------------------------ */

/** The only one there is cannot be served. */
void fail_alone(struct many *many, const char *why);

/** It could not be bound, because of its error. */
void member_refused(struct member *member);

/* ---- netns.c: opened, bound, listed, closed --------------------------------------- */

/** A member to be, or NULL. */
struct member *new_member(struct many *many, uint64_t id);

void enlist_member(struct member *member);
void free_member(struct member *member);
struct member *find_member(const struct many *many, uint64_t id);

/**
 * What takes long, for a thread. Open it and bind its queues: its error says how that went, and what failed is
 * closed. Close it, also one that was never opened, whose descriptor is a stranger's.
 */
void open_and_bind(struct member *member);
void close_member(struct member *member);

/** It is served: tell who wants to know. */
void welcome_member(struct member *member);

/** The service manager keeps it for us while we are away, or not any more. */
void store_member(const struct member *member, bool keep);

/** There is a new broker: what only the one before could end is over, and all others are to be watched. */
void restart_members(struct many *many);

/**
 * We serve, so the service manager hears of it if the broker answers. Returns @wait, or less, if there
 * is something to do for that earlier.
 */
int watchdog_ask(struct many *many, int wait);
void watchdog_answered(const struct many *many);

/** The label of a socket that the service manager kept for us under @name. */
void take_label(struct member *member, const char *name);

/**
 * Open the socket of a place and serve it, here and now. Returns 0 or a negative errno with a sentence in
 * @error; the member is freed then, and a descriptor that was passed is closed.
 */
int add_member(struct member *member, const struct place *place, char *error, size_t error_size);

/* ---- lifecycle.c: when each of them joins and leaves -------------------------------- */

/** Let it join when it is its turn: welcome_member() or member_refused() follows. */
void join_member(struct member *member, const struct place *place);

/** Close a stranger's descriptor, without waiting for that. */
void drop_socket(struct many *many, int fd);

/** Serve it no more, for the reason @why unless that is NULL; also while it joins. */
void remove_member(struct member *member, const char *why);

/** Start threads for those whose turn it is. */
void tend_members(struct many *many);

/** Go on with those whose threads have ended. */
void take_members(struct many *many);

/** At the end: all of them, several at a time, but not without end. */
void close_members(struct many *many);

/* ---- turns.c: serving -------------------------------------------------------------- */

/** The main thread serves it from now on. Returns 0 or a negative errno, with its sentence as why. */
int serve_member(struct member *member);

/** Nobody serves it any more, if the main thread did. */
void unserve_member(struct member *member);

/** A turn for each of those that have something, as far as they owe no time. */
void take_turns(struct many *many, const struct epoll_event *events, int count);

/** It cannot be served any more: part with it. */
void fail_member(struct member *member, int err);

/** Print the counters if they are wanted, and known; of those who do not tell, the last ones. */
void report_members(struct many *many);

/* ---- threads.c --------------------------------------------------------------------- */

void threads_init(struct many *many);

/** Have a thread do something for a member, which is taken by threads_take() when it has. 0 or errno. */
int threads_start(struct member *member, void (*work)(struct member *member));
struct member *threads_take(struct many *many);

void set_state(struct member *member, enum member_state state);

void queue_init(struct member_queue *queue);
void queue_add(struct member_queue *queue, struct member *member);
struct member *queue_take(struct member_queue *queue, struct member **link);

/* ---- log-users.c ------------------------------------------------------------------------- */

/** That it joined, or what became of IPC_ATTACH, unless there were too many lines on the user. */
void log_joined(struct many *many, const struct member *member);
void log_refused(struct many *many, const struct ipc_msg *message, const char *why);

/** Whether that it leaves may be logged. */
bool may_log_leaving(struct many *many, const struct member *member);

/** At the end: how many lines were left out, and no more on users. */
void log_what_was_left_out(struct many *many);

#endif
