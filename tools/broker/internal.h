/* SPDX-License-Identifier: MIT */
/* What the files of the broker share: its loop, its peers, and the namespaces that it watches. */
#ifndef MNFQ_TOOLS_BROKER_PARTS_H
#define MNFQ_TOOLS_BROKER_PARTS_H

#include "broker/broker.h"
#include "broker/ipc.h"
#include "broker/netns-scan.h"
#include "broker/policy.h"
#include "broker/receiver.h"

struct broker;

/* A descriptor in the loop: @ready is called when something is to be done about it. */
struct source {
	void (*ready)(struct broker *broker, struct source *source, uint32_t events);
	int fd;
};

/* Peers in the order in which they got there; the list is part of the ring. */
struct peer;
struct ring {
	struct ring *next, *previous;
};

struct peers {
	struct ring silent;  /* connected, and said nothing yet */
	struct ring queued;  /* said something, which a receiver has to receive */
	struct ring working; /* a receiver is at it */
	struct ring waiting; /* handed a socket over, and were not answered yet */
	struct ring kept;    /* taken; their end of file withdraws the socket */
	struct ring closing; /* left, with something unread, which a receiver has to close */
	unsigned int silent_count, queued_count, waiting_count, closing_count;
	bool deaf;           /* nobody is accepted for now */
	int64_t deaf_until;  /* no descriptors were left; 0: they are */
	int64_t close_until; /* when those who are closing are closed; 0: there are none */
};

/* With those that do not end. */
#define RECEIVERS_MAX 12

/* A child that receives and closes what strangers send; see receiver.h. */
struct receiver {
	struct source source; /* its control link; -1: it has nothing more to say */
	pid_t pid;            /* 0: there is none */
	bool working, stuck;
	uint32_t uid;
	uint64_t ids[RECEIVER_JOBS_MAX];
	unsigned int count, done;
	int64_t since; /* when it began with the next, or said that it waits for the server */
	int64_t began;
};

#define RECEIVERS_SPARE 2

struct receivers {
	struct receiver all[RECEIVERS_MAX];
	int spare[RECEIVERS_SPARE]; /* descriptors that are closed to start one; 0: none */
	struct source signals;      /* of their end */
	struct peer_users users;
	bool told_lost;
};

/* A namespace of IPC_ANSWER, or of an id for which that is going to come. */
struct watch {
	uint64_t inode; /* 0: it did not come yet */
	uint64_t expected;
	uint64_t id;
	bool seen;   /* it existed once */
	bool hidden; /* nobody may see it, though it exists */
	bool missed; /* the last look did not find it */
};

/* A namespace that was found, and offered to the server. */
struct found {
	uint64_t inode;
	uint64_t id;
	bool refused; /* not to be offered again before it is gone */
	bool lost;    /* the process that led there had ended: another one may */
	bool missed;
};

/* A namespace that is not wanted: what a name or a path leads to now. */
struct excluded {
	const char *text; /* NULL: that of a process, which stays the same */
	uint64_t inode;   /* 0: there is none */
};

struct netns_track {
	struct netns_scan *scan;
	struct excluded *excluded; /* as many as there are in the options */
	struct source names;       /* changes under /run/netns */
	int home;                  /* our own namespace, to get back */
	struct watch *watches;
	size_t watch_count, watch_room;
	struct found *found; /* ascending by inode */
	size_t found_count, found_room;
	int64_t due, looked;    /* the next and the last look, in ms; due 0: none */
	int64_t took;           /* by the last look */
	unsigned int hurry;     /* looks that are still to follow a change of names closely */
	bool entered;           /* at least one that was found */
	unsigned int forbidden; /* by the last look: we may not enter them */
};

/* Messages that there was no room for in the link. */
struct unsent;
struct queue {
	struct unsent *first, **last;
};

struct broker {
	const struct broker_options *options;
	int epoll;
	struct source link;
	struct source channel; /* to the keeper */
	struct source *listeners;
	struct queue attach;       /* those with a descriptor */
	struct queue plain;        /* those without, which may overtake */
	unsigned int unsent_count; /* in both */
	int64_t crowded_until;     /* no descriptor can be sent before; 0: one can */
	struct peers peers;
	struct receivers receivers;
	struct netns_track track;
	uint64_t first_id, last_id;
	uint32_t refused;
	bool over;
	int status; /* then */
};

/* ---- broker.c: the loop and the link ---- */

/** The earlier of two times, of which 0 is never. */
int64_t earlier_of(int64_t a, int64_t b);

/** Watch a descriptor. Returns 0 or a negative errno. */
int broker_add(struct broker *broker, struct source *source, uint32_t events);
void broker_change(struct broker *broker, struct source *source, uint32_t events);

/**
 * Send a message, now or as soon as the server reads. Takes @fd over (closes it), also when it
 * fails. Returns 0 or a negative errno.
 */
int broker_send(struct broker *broker, const struct ipc_msg *message, int fd);

/** Send IPC_DETACH, or take the IPC_ATTACH back if it was not sent yet. */
void broker_detach(struct broker *broker, uint64_t id);
void broker_note(struct broker *broker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** The same for the reason why there is no broker any more. */
void broker_give_up(struct broker *broker, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** An id that was never used. */
uint64_t broker_new_id(struct broker *broker);

/* ---- clients.c ---- */

void peers_init(struct broker *broker);

/** Somebody connects to a listener. */
void peers_accept(struct broker *broker, struct source *listener, uint32_t events);

/** Messages of the server. Each returns whether @id is one of a peer. */
bool peers_answer(struct broker *broker, const struct ipc_msg *message);
bool peers_forget(struct broker *broker, uint64_t id);

/** A receiver's answer; that it hangs; that it did not come to it. */
void peers_received(struct broker *broker, const struct ipc_msg *answer);
void peers_lost(struct broker *broker, uint64_t id);
void peers_not_received(struct broker *broker, uint64_t id);

/** Part with those whose time is over, and listen or not. Returns when to call again; 0: never. */
int64_t peers_tend(struct broker *broker, int64_t now);

/* ---- receivers.c ---- */

int receivers_init(struct broker *broker);

/** Keep descriptors for the next one. Returns false if there are none. */
bool receivers_take_spare(struct broker *broker);

/** May there be one more, and is there room in the link for what it will have to say? */
bool receivers_ready(struct broker *broker);

/**
 * May a receiver work for this user? Returns 0, and receivers_start() has to follow; -EAGAIN if not now
 * (but at *@retry_at, unless that is 0); or -EBUSY if the user has made too many of them hang.
 */
int receivers_may(struct broker *broker, uint32_t uid, int64_t now, int64_t *retry_at);

/** Start one. The streams stay ours, too. Returns 0 or -EAGAIN. */
int receivers_start(struct broker *broker, uint32_t uid, const struct receiver_job *jobs,
		    unsigned int count);

/**
 * Start one that just has the streams, of which we can then close our copies without being the last one
 * to do so. NULL: not now. receivers_release() lets it end, and so close them.
 */
struct receiver *receivers_hold(struct broker *broker, const struct receiver_job *jobs,
				unsigned int count);
void receivers_release(struct broker *broker, struct receiver *receiver);

/** Give up those that hang. Returns when to call again; 0: never. */
int64_t receivers_tend(struct broker *broker, int64_t now);

/* ---- netns-track.c ---- */

int netns_track_init(struct broker *broker);

/** The namespace of a process, or 0 if it cannot be seen. */
uint64_t netns_track_of_process(const struct broker *broker, uint32_t pid);

/** The client of @id, which was seen in the namespace @seen (or 0), has left before IPC_ANSWER came. */
void netns_track_expect(struct broker *broker, uint64_t id, uint64_t seen);

/** Watch the namespace of IPC_ANSWER, and look at it before this returns. @seen as above. */
void netns_track_watch(struct broker *broker, const struct ipc_msg *message, uint64_t seen);

/** IPC_ANSWER for what was expected or found here; IPC_FORGET. Other ids are ignored. */
void netns_track_answer(struct broker *broker, const struct ipc_msg *message);
void netns_track_forget(struct broker *broker, uint64_t id);

/** Look for namespaces if it is time to. Returns when to call again; 0: never. */
int64_t netns_track_tend(struct broker *broker, int64_t now);

#endif
