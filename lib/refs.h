/* SPDX-License-Identifier: MIT */
/* What sockets and queues consist of; who finds them, and who holds them. */
#ifndef MNFQ_REFS_H
#define MNFQ_REFS_H

#include "error.h"
#include "guard.h"
#include "held.h"
#include "ring.h"
#include "verdict.h"
#include <mnfq/mnfq.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mnfq_i_backlog;

/* What there is of a queue number. */
struct mnfq_i_slot {
	struct mnfq_i_slot *next; /* of those with the same hash */
	uint16_t num;
	struct mnfq_queue *queue;            /* NULL: not bound here */
	struct mnfq_i_backlog *first, **end; /* its part of the backlog */
};

/* A cache of interface names and MTUs: those of equal index modulo SETS compete for WAYS places. */
#define MNFQ_I_IFNAME_SETS 16u
#define MNFQ_I_IFNAME_WAYS 4u

struct mnfq_i_ifname {
	uint32_t index;
	uint32_t mtu; /* 0: not read so far */
	int64_t until_ms;
	char name[16];
};

struct mnfq_queue {
	struct mnfq_queue *next, **link; /* what points here */
	struct mnfq_socket *sock;
	struct mnfq_i_slot *slot;
	atomic_uint refs; /* the user's, and one for each retained packet */
	uint16_t num;
	uint32_t tag;
	atomic_bool closing;  /* unbind once the callback returned */
	bool unlinked;        /* and counted in the socket */
	bool synced;          /* next_id is known */
	int failure;          /* to be reported by the next dispatch; 0: none */
	int reported;         /* was reported, and has lasted since */
	unsigned int in_hand; /* packets that the caller has, without a verdict in the outbox; */
	uint32_t in_hand_id;  /* the lowest id of them */
	uint32_t decided_id;  /* the highest one of which a verdict got there */
	uint64_t bind_round;  /* the round in which it was bound */
	uint32_t next_id;
	mnfq_callback callback;
	void *data;
	struct mnfq_queue_options options; /* normalised: the settings in force */
	struct mnfq_i_run run;
	struct mnfq_stats
		outgoing; /* decisions in the outbox, to be counted once they are sent */
	struct mnfq_stats stats;

	/* The rest is guarded by the socket's lock; held may be read without. */
	bool bound;
	atomic_uint held;
	struct mnfq_i_held_list held_list;
	struct mnfq_stats late; /* decided outside of a round */
	/* The verdict of all that was ever sent, or as below: */
	atomic_uint history;

	/*
	 * What is still undecided in the kernel without being held gets the default verdict, up
	 * to `release` as soon as nothing older is held, then up to `release_next`. It got there
	 * because ids were lost while older packets were held, or because verdicts were, or because
	 * they are more than one step of a release has. The steps up to `release` have come to
	 * `release_from`.
	 */
	atomic_bool has_release; /* may be read without the lock, after `held` */
	bool has_release_next;
	uint32_t release_from, release, release_next;
	/* After a failure: not before this time (0: at once), then after a longer pause. */
	_Atomic int64_t retry_at;
	atomic_uint retry_ms;
	/* The rest is for the receiver alone. The highest release in the outbox: */
	uint32_t put;
	bool has_put;
	/* The verdict of all that is in the outbox; of all that was sent, up to sent_round; or one of: */
#define MNFQ_I_VERDICT_NONE  UINT32_MAX
#define MNFQ_I_VERDICT_MIXED (UINT32_MAX - 1)
	uint32_t putting, sent;
	uint64_t sent_round;
	uint32_t late_seen; /* of the socket's `late`, by the last decision */
	bool guarded;       /* a release below the first run that needs it is in the outbox */
};

/* The request that waits for its acknowledgement; seq is 0 if none does. */
struct mnfq_i_pending {
	uint32_t seq;
	bool answered;
	int error;
};

/* Looking for packets again and again before sleeping: dispatch.c. Times in nanoseconds. */
struct mnfq_i_spin {
	int64_t max;        /* as the user asked for; 0: never */
	int64_t limit;      /* for the time being */
	int64_t idle_since; /* when there was nothing for the first time; 0: there was something */
};

/* Gathering packets: coalesce.c. Times in nanoseconds. */
struct mnfq_i_coalesce {
	int64_t max;                 /* as the user asked for; 0: never */
	int64_t counted_at;          /* when the last batch was decided */
	int64_t pause;               /* before the next one */
	bool paused;                 /* that was made */
	unsigned int skip, skip_max; /* batches without one still, and of how many */

	/* Whether pauses save anything: what packets cost over a few batches with and without. */
	bool off;      /* they do not, or it is being found out */
	bool compares; /* the way that is not the usual one is being tried */
	unsigned int keep,
		keep_max; /* so many times the usual way is not compared again; of these */
	unsigned int batches, packets; /* so far */
	int64_t cpu_at; /* the thread's processor time when they began; 0: not begun */
	int64_t cost;   /* of the usual way */

	unsigned int looks; /* pauses until what follows is read again */
	pthread_t thread;   /* of which this is the timer slack */
	int64_t slack;
	int64_t buffer; /* bytes */
};

/* Where the walk through the messages of a round is: walk.c. */
struct mnfq_i_walk {
	const uint8_t *data; /* what is left of a datagram */
	size_t len;
	bool backlogged;              /* which comes from the backlog */
	unsigned int backlog;         /* so many entries of it belong to the round still */
	struct mnfq_i_backlog *taken; /* those that were handled, and may be in view */
	bool pulled;                  /* the caller takes packets one by one, and keeps them */
	unsigned int packets;         /* of the ring's that are in use */
	bool keeps; /* none of them is used again: the caller may not know that it is decided */
	int handled;
};

/* What a thread is doing with a socket that no other may do meanwhile. */
enum mnfq_i_use {
	MNFQ_I_UNUSED,
	MNFQ_I_CHANGED, /* its queues or its ring, which does not take long */
	MNFQ_I_DISPATCHED,
};

struct mnfq_socket {
	atomic_uint refs; /* the user's, and one for each queue */
	int fd;
	int wake_fd; /* written by stop; opened by the first call that waits */
	atomic_int wake;
	atomic_bool stop;
	atomic_bool receiving; /* dispatch waits in the receive, or is about to */
	bool can_block;   /* it may do so: no other process is known to have the descriptor, */
	bool has_timeout; /* and a wait there ends by itself */
	atomic_uintptr_t dispatcher; /* the thread in a round, 0 if none is */
	bool closing;                /* close once the callback returned */
	atomic_bool deferred_unbind; /* something is closing */
	bool stale;                  /* packets of a queue that is gone may still arrive */
	bool ask_opener;             /* requests go only if who opened the socket may send them */
	uint32_t portid, seq, tag, timeout_ms;
	uint32_t drops;    /* of the kernel's socket, as it counts: when we looked last */
	uint64_t overruns; /* since it is ours, or MNFQ_UNKNOWN */
	bool overran;      /* since answers were found to be complete: some may be lost */
	int buffer;        /* bytes of the receive buffer */
	uint64_t passed;   /* that what was read since it was empty took up there at most */
	int queues_fd;     /* the kernel's file about its queues; -1: not opened yet */
	struct mnfq_i_spin spin;
	struct mnfq_i_coalesce coalesce;
	uint64_t round_bytes; /* of the messages of the last round */
	bool single_packet;   /* the last packet came alone */
	int64_t deadline;     /* of the requests of the call that is under way */
	size_t send_max;      /* bytes the kernel takes in one send */
	int64_t round_ns;     /* how long a round should take at most; 0: no limit */
	int64_t round_begin;  /* if there is a limit */
	unsigned int round_batch, round_messages; /* that it could have, and had */
	atomic_uint
		batch; /* packets that the next round may have, as far as the ring has slots */
	uint32_t release_budget; /* ids that this round may still release */
	uint64_t round;
	bool stops; /* a stop ends the round: one of dispatch, not of feed */
	bool open;  /* the round goes on between calls: of pull, or corked */
	bool in_callback;
	unsigned int flushed; /* packets of a pulled round that a flush ended: to be counted */
	bool pulls;           /* a queue has been bound without a callback */
	struct mnfq_i_walk walk;
	int64_t sent_at; /* when decisions of the round last left, in ms; 0: its first callback is to come */
	struct mnfq_ring *ring;     /* perhaps shared with other sockets of the thread */
	struct mnfq_i_guard *guard; /* that of the ring, if this socket has one */
	int64_t max_delay;          /* of a verdict in the outbox, in nanoseconds; 0: no guard */
	struct mnfq_queue *queues;
	struct mnfq_i_slot **slots; /* by the last bits of their number */
	size_t slots_size, slots_count;
	struct mnfq_i_pending pending;
	struct mnfq_i_backlog *backlog, **backlog_end;
	struct mnfq_queue *ending; /* what is read of this queue is thrown away: */
	uint32_t *ids;             /* the ids of so many packets go here, the rest is counted */
	unsigned int ids_count, ids_max;
	unsigned int ring_at, ring_count; /* messages in the ring that are to be handled still */
	struct mnfq_queue *ended;         /* in this round: the ring may hold packets of theirs */
	/*
	 * All that was sent before the round `answered` is answered, and the answers have been read; of
	 * what was sent by itself, `late` decisions so far, the first `late_answered`.
	 */
	uint64_t answered;
	atomic_uint late;
	uint32_t late_before, late_answered; /* as the ring was filled; .. */
	bool emptied;                        /* by that the receive buffer was */
	atomic_int failure;                  /* to be reported by the next dispatch */
	bool queue_failed;                   /* and so is that of a queue */
	struct mnfq_stats stats;
	struct mnfq_i_ifname ifnames[MNFQ_I_IFNAME_SETS][MNFQ_I_IFNAME_WAYS];
	struct mnfq_i_errmsg error;
	pthread_mutex_t lock; /* recursive: a late verdict may fill the outbox */
	atomic_int use;       /* enum mnfq_i_use, by one thread at a time */
};

struct mnfq_i_slot *mnfq_i_slot_find(const struct mnfq_socket *sock, uint16_t num);
struct mnfq_i_slot *mnfq_i_slot_get(struct mnfq_socket *sock, uint16_t num);
void mnfq_i_queue_link(struct mnfq_queue *queue);
void mnfq_i_queue_unlink(struct mnfq_queue *queue);
struct mnfq_queue *mnfq_i_queue_find(const struct mnfq_socket *sock, uint16_t num);
void mnfq_i_queue_unref(struct mnfq_queue *queue);
void mnfq_i_socket_init_locks(struct mnfq_socket *sock);
struct mnfq_socket *mnfq_i_socket_unref(struct mnfq_socket *sock);
void mnfq_i_queue_count(const struct mnfq_queue *queue, struct mnfq_stats *sum);
void mnfq_i_queue_count_unread(struct mnfq_queue *queue, uint32_t verdict, uint64_t n);
int mnfq_i_use(struct mnfq_socket *sock, enum mnfq_i_use use);
void mnfq_i_unuse(struct mnfq_socket *sock);
bool mnfq_i_in_round(struct mnfq_socket *sock);

/* Has the round no message left, but for what is in hand? */
static inline bool mnfq_i_nothing_left(const struct mnfq_socket *sock)
{
	return sock->walk.len == 0 && sock->ring_at == sock->ring_count &&
	       (sock->walk.backlog == 0 || !sock->backlog);
}

/*
 * Is a round open between calls? Whichever thread uses the socket now goes on with it. An atomic store for each
 * packet would be dear.
 */
static inline bool mnfq_i_take_over(struct mnfq_socket *sock)
{
	const uintptr_t self = (uintptr_t)pthread_self();

	if (!sock->open || sock->in_callback)
		return false;
	if (atomic_load_explicit(&sock->dispatcher, memory_order_relaxed) != self)
		atomic_store(&sock->dispatcher, self);
	return true;
}

/*
 * In a public function that changes what is in the outbox, or what sending that changes: in a callback, or in a round
 * that is open between calls, the guard may be sending. Returns whether mnfq_i_leave() is to follow.
 */
static inline bool mnfq_i_enter(struct mnfq_socket *sock)
{
	if (!mnfq_i_in_round(sock) || !sock->guard) /* others must not look at the latter */
		return false;
	mnfq_i_guard_take(sock->guard);
	return true;
}

static inline void mnfq_i_leave(struct mnfq_socket *sock, bool entered)
{
	if (entered)
		mnfq_i_guard_give(sock->guard);
}

/* How many packets the next round may have. */
static inline unsigned int mnfq_i_batch(const struct mnfq_socket *sock)
{
	const unsigned int batch = atomic_load_explicit(&sock->batch, memory_order_relaxed);

	return batch < sock->ring->slots ? batch : sock->ring->slots;
}

#endif
