/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with any number of namespaces: what there is of each. The main thread owns the list and serves all
 * that are quick; what a hostile peer or a busy namespace can delay is done by a thread for one entry.
 */
#ifndef MNFQ_TOOLS_DUMP_ENTRIES_H
#define MNFQ_TOOLS_DUMP_ENTRIES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/policy.h"
#include "dump/handle.h"

/** Which thread owns the handle. */
enum netns_state {
	NETNS_PENDING,  /* none: waits for its turn to join */
	NETNS_JOINING,  /* one that opens it and binds its queues */
	NETNS_SERVED,   /* the main thread */
	NETNS_THREADED, /* one that serves it alone, since it is slow */
	NETNS_CLOSING,  /* one that closes it, or none yet */
};

struct netns_entry {
	struct dump_handle handle;
	struct dump_multi *multi;
	struct netns_entry *prev, *next;
	struct netns_entry *next_queued;
	enum netns_state state; /* written by the main thread, with the lock */
	uint64_t id;            /* in messages to and from the broker */
	uint64_t inode;         /* of the namespace; 0: unknown; with the lock */
	uint32_t uid, pid;      /* of the peer that handed it over */
	struct peer_user *user; /* likewise, or NULL */
	bool handed_over;
	bool named;        /* by name or process id, so it was seen to exist */
	bool hidden;       /* by path: it may be one that cannot be seen */
	bool stored;       /* the service manager keeps a copy of the socket */
	bool withdrawable; /* the broker says when it ends; it need not watch the namespace */
	bool counted;      /* in user->namespaces */

	int64_t since;   /* it began to join */
	int64_t debt_ns; /* time used beyond its share */
	unsigned int slow_turns;

	atomic_bool stop_requested; /* for the thread that serves it */
	int error;                  /* of its thread: 0 or a negative errno */
	char reason[MNFQ_ERRMSG_SIZE + 256];
	bool leaving;       /* once its thread has ended; with the lock */
	bool discarded;     /* closed without having been opened */
	bool report_reason; /* when it is closed */
	bool leave_queues;  /* bound, when it is closed */
};

/** A FIFO of entries. */
struct entry_queue {
	struct netns_entry *first, **end;
};

struct dump_multi {
	struct dump *dump;
	struct mnfq_ring *ring;
	struct netns_entry *entries; /* changed by the main thread, with the lock */
	size_t count;
	uint64_t last_id;
	int epoll;
	int ipc;                  /* to the broker; -1: none, or not any more */
	bool ipc_paused;          /* until more of what it sent is closed */
	int manager;              /* the service manager; -1: none */
	uint64_t refusals;        /* by the brokers, as they report */
	uint64_t refusals_before; /* by the brokers before this one */
	struct peer_users users;
	uint64_t unlogged;                /* lines suppressed about users without a record */
	bool listening;                   /* and reported so */
	int64_t linger_until;             /* a name that went may be re-created by then */
	int64_t watchdog_ms, watchdog_at; /* period, 0: none; next IPC_PING */
	int status;

	struct entry_queue pending, closing; /* wait for a thread */
	unsigned int joining_threads, serving_threads, closing_threads;
	unsigned int discards; /* entries that close without having been opened */
	int64_t retry_at;      /* when a user may join again; 0: none waits */
	unsigned int asked;    /* the last report request passed on to threads */
	int64_t report_by;     /* deadline for their counters; 0: no report is due */

	pthread_mutex_t lock;
	pthread_cond_t changed;  /* a state, or the list */
	struct entry_queue done; /* their threads have ended; with the lock */
};

void multi_init(struct dump_multi *multi, struct dump *dump);

/** Returns NULL without memory. @id 0: one of ours. */
struct netns_entry *entry_new(struct dump_multi *multi, uint64_t id);
void entry_enlist(struct netns_entry *entry);
void entry_free(struct netns_entry *entry);
struct netns_entry *entry_find(const struct dump_multi *multi, uint64_t id);

void entry_set_state(struct netns_entry *entry, enum netns_state state);

/** From now on another entry of the same namespace waits for its end. */
void entry_set_leaving(struct netns_entry *entry);

void entry_queue_add(struct entry_queue *queue, struct netns_entry *entry);

/** @at: the pointer in the queue that leads to the entry. */
struct netns_entry *entry_queue_take(struct entry_queue *queue, struct netns_entry **at);

/**
 * Reserve the namespace @inode for an entry: each is served over one socket. Waits for another entry that is
 * joining or closing, since its peer may have gone and come back. For threads. Returns 0, -EEXIST, or
 * -ECANCELED when all are stopped.
 */
int entry_claim_netns(struct netns_entry *entry, uint64_t inode);

#endif
