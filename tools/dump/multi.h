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
enum netns_state {
	NETNS_PENDING,  /* nobody: its hand-over has not begun */
	NETNS_JOINING,  /* a thread, which opens it and binds its queues */
	NETNS_SERVED,   /* the main thread, with all others that are quick */
	NETNS_THREADED, /* a thread of its own serves it */
	NETNS_CLOSING,  /* nobody, and soon a thread that closes it */
};

/** One of many. */
struct netns_entry {
	struct dump_handle handle; /* of the thread that has it */
	struct dump_multi *multi;
	struct netns_entry *prev, *next;
	struct netns_entry *next_queued;
	enum netns_state state; /* written by the main thread, with the lock */
	uint32_t id;            /* by which the broker knows it */
	uint64_t inode;         /* of the namespace; 0 if nobody knows; with the lock */
	uint32_t uid, pid;
	struct peer_user *user; /* who handed it over, or NULL */
	bool handed_over;       /* by somebody of this uid and pid */
	bool named;             /* as ip(8) lists it, or by a process */
	bool hidden;            /* the command line says where it is: nobody has to see it */
	bool stored;            /* the service manager keeps it while we are away */
	bool withdrawable; /* with its peer, or the broker tells; nobody has to be asked for it */
	bool counted;      /* among those of its user */

	int64_t since;   /* when it began to join */
	int64_t debt_ns; /* time that it took above its share */
	unsigned int slow_turns;

	void (*work)(struct netns_entry *entry); /* of its thread */
	atomic_bool stop_requested;              /* told to the thread that serves it */
	int error;                               /* of its thread; 0: none */
	char why[MNFQ_ERRMSG_SIZE + 256];
	bool cancelled;    /* since it began to join */
	bool discarded;    /* without having been opened */
	bool reported;     /* @why is to be told at its end */
	bool leave_queues; /* bound, at its end */
};

/** Members in line, the first one first. */
struct entry_queue {
	struct netns_entry *first, **end;
};

struct dump_multi {
	struct dump *dump;
	struct mnfq_ring *ring;
	struct netns_entry *entries; /* changed by the main thread, with the lock */
	size_t count;
	uint32_t last_id;
	int epoll;
	int ipc;           /* to the broker; -1: none, or none any more */
	bool ipc_paused;   /* too much of what it sent has not been closed yet */
	int manager;       /* the service manager, which keeps sockets for us; -1: none */
	uint64_t refusals; /* as the broker counts them */
	struct peer_users users;
	uint64_t unlogged;                /* lines on users who are none of these */
	bool listening;                   /* and the line that says so was printed */
	int64_t linger_until;             /* without any: a name may be back soon */
	int64_t watchdog_ms, watchdog_at; /* when the manager wants to hear of us; 0: never */
	int status;

	struct entry_queue pending, closing;    /* for a thread */
	unsigned int joining_threads, threaded; /* threads */
	unsigned int closing_threads;
	unsigned int discards;  /* of those that close, or wait for it: never served */
	int64_t retry_at;       /* when a user may begin again; 0: nobody waits for that */
	unsigned int requested; /* for the last time, threads for counters: as dump->wanted */
	int64_t report_by; /* when they are printed without those who have not told; 0: unwanted */

	pthread_mutex_t lock;
	pthread_cond_t changed;  /* a state, or the list of members */
	struct entry_queue done; /* whose thread has ended; with the lock */
};

/* ---- multi.c ------------------------------------------------------------------------ */

/** The only one there is cannot be served. */
void multi_fail(struct dump_multi *multi, const char *why);

/** It could be bound, and is served; or it could not, because of its error. */
void reply_joined(struct netns_entry *entry);
void reply_refused(struct netns_entry *entry);

/* ---- netns.c: opened, bound, listed, closed --------------------------------------- */

/** A member to be, or NULL. */
struct netns_entry *entry_new(struct dump_multi *multi, uint32_t id);

void entry_enlist(struct netns_entry *entry);
void entry_free(struct netns_entry *entry);
struct netns_entry *entry_find(const struct dump_multi *multi, uint32_t id);

/**
 * What takes long, for a thread. Open it and bind its queues: its error says how that went, and what failed is
 * closed. Close it, also one that was never opened, whose descriptor is a stranger's.
 */
void entry_open_and_bind(struct netns_entry *entry);
void entry_close(struct netns_entry *entry);

/** It is served: tell who wants to know. */
void report_joined(struct netns_entry *entry);

/** The service manager keeps it for us while we are away, or not any more. */
void store_socket(const struct netns_entry *entry, bool keep);

/** There is a new broker: what only the one before could end is over, and all others are to be watched. */
void lifecycle_restart(struct dump_multi *multi);

/**
 * We serve, so the service manager hears of it if the broker answers. Returns @wait, or less, if there
 * is something to do for that earlier.
 */
int watchdog_ask(struct dump_multi *multi, int wait);
void watchdog_answered(const struct dump_multi *multi);

/** The label of a socket that the service manager kept for us under @name. */
void set_stored_label(struct netns_entry *entry, const char *name);

/**
 * Open the socket of a place and serve it, here and now. Returns 0 or a negative errno with a sentence in
 * @error; the member is freed then, and a descriptor that was passed is closed.
 */
int lifecycle_add_now(struct netns_entry *entry, const struct socket_spec *spec, char *error,
		      size_t error_size);

/* ---- lifecycle.c: when each of them joins and leaves -------------------------------- */

/** Let it join when it is its turn: reply_joined() or reply_refused() follows. */
void lifecycle_join(struct netns_entry *entry, const struct socket_spec *spec);

/** Close a stranger's descriptor, without waiting for that. */
void lifecycle_discard(struct dump_multi *multi, int fd);

/** Serve it no more, for the reason @why unless that is NULL; also while it joins. */
void lifecycle_remove(struct netns_entry *entry, const char *why);

/** Start threads for those whose turn it is. */
void lifecycle_start_threads(struct dump_multi *multi);

/** Go on with those whose threads have ended. */
void lifecycle_finish_threads(struct dump_multi *multi);

/** At the end: all of them, several at a time, but not without end. */
void lifecycle_close_all(struct dump_multi *multi);

/* ---- turns.c: serving -------------------------------------------------------------- */

/** The main thread serves it from now on. Returns 0 or a negative errno, with its sentence as why. */
int lifecycle_serve(struct netns_entry *entry);

/** Nobody serves it any more, if the main thread did. */
void stop_serving(struct netns_entry *entry);

/** A turn for each of those that have something, as far as they owe no time. */
void turns_run(struct dump_multi *multi, const struct epoll_event *events, int count);

/** It cannot be served any more: part with it. */
void lifecycle_fail(struct netns_entry *entry, int err);

/** Print the counters if they are wanted, and known; of those who do not tell, the last ones. */
void turns_report(struct dump_multi *multi);

/* ---- threads.c --------------------------------------------------------------------- */

void multi_init(struct dump_multi *multi);

/** Have a thread do something for a member, which is taken by entry_take_done() when it has. 0 or errno. */
int entry_start_thread(struct netns_entry *entry, void (*work)(struct netns_entry *entry));
struct netns_entry *entry_take_done(struct dump_multi *multi);

void entry_set_state(struct netns_entry *entry, enum netns_state state);

void entry_queue_init(struct entry_queue *queue);
void entry_queue_add(struct entry_queue *queue, struct netns_entry *entry);
struct netns_entry *entry_queue_take(struct entry_queue *queue, struct netns_entry **ipc);

/* ---- log-users.c ------------------------------------------------------------------------- */

/** That it joined, or what became of IPC_ATTACH, unless there were too many lines on the user. */
void log_joined(struct dump_multi *multi, const struct netns_entry *entry);
void log_refused(struct dump_multi *multi, const struct ipc_msg *message, const char *why);

/** Whether that it leaves may be logged. */
bool may_log_leaving(struct dump_multi *multi, const struct netns_entry *entry);

/** At the end: how many lines were left out, and no more on users. */
void log_suppressed(struct dump_multi *multi);

#endif
