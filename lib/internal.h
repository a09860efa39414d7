/* SPDX-License-Identifier: MIT */
/* What the files of the library share. The walk of a packet is told in receive.c. */
#ifndef MNFQ_INTERNAL_H
#define MNFQ_INTERNAL_H

#include <mnfq/mnfq.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire.h"

/* The last failure as a sentence. */
struct mnfq_i_sentence {
	char text[MNFQ_SENTENCE_SIZE];
};

/* ---- verdict.c: decisions to messages, no I/O ---- */

/* What goes out with a verdict. */
#define MNFQ_I_CHANGE_MARK       0x01u
#define MNFQ_I_CHANGE_PAYLOAD    0x02u
#define MNFQ_I_CHANGE_PRIORITY   0x04u
#define MNFQ_I_CHANGE_VLAN       0x08u
#define MNFQ_I_CHANGE_L2HDR      0x10u
#define MNFQ_I_CHANGE_CT_MARK    0x20u
#define MNFQ_I_CHANGE_CT_LABELS  0x40u
#define MNFQ_I_CHANGE_SEQ_ADJUST 0x80u /* have the kernel adjust TCP sequence numbers */

struct mnfq_i_changes {
	uint32_t set; /* MNFQ_I_CHANGE_*: which of the others mean something */
	uint32_t mark, priority, ct_mark, ct_mark_mask;
	uint16_t vlan_tci, vlan_protocol, l2hdr_len;
	uint8_t ct_labels[MNFQ_CT_LABELS_SIZE], ct_labels_mask[MNFQ_CT_LABELS_SIZE];
	uint8_t l2hdr[MNFQ_I_L2HDR_MAX];
};

struct mnfq_i_decision {
	uint32_t tag; /* of the queue, see wire.h */
	uint32_t id;
	uint32_t verdict;
	bool by_default;                      /* nobody else decided */
	const struct mnfq_i_changes *changes; /* NULL: none */
	const void *payload;                  /* if that is one of the changes */
	size_t payload_len;
};

static inline bool mnfq_i_changes(const struct mnfq_i_decision *decision, uint32_t what)
{
	return decision->changes && (decision->changes->set & what);
}

/* Messages that wait for the end of the batch. */
struct mnfq_i_outbox {
	uint8_t *bytes;
	size_t len;
};

/*
 * Equal plain verdicts on packets of one queue that are not in the outbox yet. What is between them
 * is decided already: by another thread, during the callback that retained it.
 */
struct mnfq_i_run {
	uint32_t verdict;
	uint32_t first, last;
	uint32_t count, by_default;
};

bool mnfq_i_verdict_valid(uint32_t verdict);
size_t mnfq_i_verdict_head(uint8_t *head, const struct mnfq_i_decision *decision);
size_t mnfq_i_verdict_batch(uint8_t *head, uint32_t tag, uint32_t verdict, uint32_t last);
#define MNFQ_I_ALL_SIZE (3 * sizeof(struct mnfq_i_verdict_msg))
size_t mnfq_i_verdict_all(uint8_t *bytes, uint32_t tag, uint32_t verdict);
void mnfq_i_verdict_replace(struct nlmsghdr *nlh, uint32_t verdict, struct mnfq_stats *stats);
size_t mnfq_i_decision_room(const struct mnfq_i_decision *decision);
void mnfq_i_outbox_put(struct mnfq_i_outbox *outbox, struct mnfq_i_run *run,
		       const struct mnfq_i_decision *decision, bool may_batch,
		       struct mnfq_stats *stats);
void mnfq_i_outbox_close_run(struct mnfq_i_outbox *outbox, struct mnfq_i_run *run, uint32_t tag,
			     struct mnfq_stats *stats);
void mnfq_i_count(struct mnfq_stats *stats, const struct mnfq_i_decision *decision);
void mnfq_i_count_verdicts(struct mnfq_stats *stats, uint32_t verdict, uint64_t n);
void mnfq_i_count_run(struct mnfq_stats *stats, const struct mnfq_i_run *run);
uint64_t mnfq_i_count_decisions(const struct mnfq_stats *stats);

/* ---- packet.c: messages to packets, no I/O ---- */

struct mnfq_packet {
	struct mnfq_queue *queue;
	const uint8_t *msg; /* begins with struct nlmsghdr */
	uint32_t msg_len;
	uint32_t id;
	uint32_t present; /* a bit for each attribute type that is there */
	uint32_t offset[MNFQ_I_ATTRS];
	const uint8_t *payload;
	size_t payload_len;

	struct mnfq_i_changes changes;
	/*
	 * Where a new payload is kept: our own if retained, or else two times MNFQ_I_ROOM of the
	 * ring, so that an edit goes from one to the other.
	 */
	uint8_t *room;
	uint32_t allowed;  /* MNFQ_ALLOW_* */
	const char *error; /* the last refusal of a setter */

	bool kept; /* a callback's packet of which a copy was made */

	/* Of the copy; the links are guarded by the socket's lock: packet-retain.c */
	bool retained;
	atomic_bool decided;
	struct mnfq_packet *twin; /* copy and original, while the callback runs */
	struct mnfq_packet *prev, *next;
};

/* The contents of an attribute. */
struct mnfq_i_bytes {
	const uint8_t *data;
	uint32_t len;
};

/* Also a packet that is cut may tell its id. */
static inline bool mnfq_i_packet_has_id(const struct mnfq_packet *packet)
{
	return packet->present >> NFQA_PACKET_HDR & 1;
}

int mnfq_i_packet_parse(struct mnfq_packet *packet, const uint8_t *msg, size_t len);
int mnfq_i_attr_next(const uint8_t *bytes, uint32_t len, uint32_t *at, struct nlattr *attr);
int mnfq_i_attr_find(struct mnfq_i_bytes nest, unsigned int type, uint32_t min_len,
		     struct mnfq_i_bytes *found);
int mnfq_i_packet_find(const struct mnfq_packet *packet, unsigned int type,
		       struct mnfq_i_bytes *found);
uint16_t mnfq_i_packet_queue_num(const struct mnfq_packet *packet);
struct mnfq_i_decision mnfq_i_packet_decision(const struct mnfq_packet *packet, uint32_t tag,
					      uint32_t verdict);

/* ---- packet-set.c: what is changed with a verdict, no I/O ---- */

int mnfq_i_refuse(struct mnfq_packet *packet, int err, const char *sentence);
struct mnfq_queue_options mnfq_i_packet_settings(const struct mnfq_packet *packet);
int mnfq_i_packet_resizable(struct mnfq_packet *packet, size_t len);
int mnfq_i_packet_replace(struct mnfq_packet *packet, const void *data, size_t len);
void mnfq_i_packet_restore(struct mnfq_packet *packet);

/* ---- packet-ct.c: what a packet tells of its connection, no I/O ---- */

bool mnfq_i_packet_seq_adjustable(const struct mnfq_packet *packet);
bool mnfq_i_packet_adjusts_unasked(const struct mnfq_packet *packet, size_t len);

/* ---- ring.c: memory for a batch of messages ---- */

/* For the largest payload. */
#define MNFQ_I_ROOM 65536u

struct mnfq_ring {
	atomic_uint refs; /* the user's, and one for each socket */
	atomic_bool busy; /* a socket is in a round: what is in here is that socket's */
	unsigned int slots;
	uint8_t *memory;
	size_t memory_size;
	uint8_t *room; /* for the new payload of the packet in the callback */
	struct mnfq_i_outbox outbox;
	struct mmsghdr *messages;
	struct iovec *iovecs;
	struct sockaddr_nl *senders;
};

int mnfq_i_ring_fill(struct mnfq_ring *ring, int fd, unsigned int max);
unsigned int mnfq_i_next_batch(unsigned int batch, unsigned int done, unsigned int max,
			       int64_t took, int64_t limit);

/* ---- sockets and queues ---- */

/* A message that arrived while an acknowledgement was awaited: a packet, or a refused verdict. */
struct mnfq_i_stash {
	struct mnfq_i_stash *next;
	size_t len;
	uint8_t data[]; /* begins with struct nlmsghdr */
};

/* A cache of interface names and MTUs: those of equal index modulo SETS compete for WAYS places. */
#define MNFQ_I_IFNAME_SETS 16u
#define MNFQ_I_IFNAME_WAYS 4u

struct mnfq_i_ifname {
	uint32_t index;
	uint32_t mtu; /* 0: nobody asked so far */
	int64_t until_ms;
	char name[16];
};

struct mnfq_queue {
	struct mnfq_queue *next;
	struct mnfq_socket *sock;
	atomic_uint refs; /* the user's, and one for each retained packet */
	uint16_t num;
	uint32_t tag;
	bool closing;  /* unbind once the callback returned */
	bool unlinked; /* and counted in the socket */
	bool synced;   /* next_id is known */
	int failure;   /* to be reported by the next dispatch; 0: none */
	int reported;  /* was reported, and has lasted since */
	bool calling;  /* the packet of calling_id has no verdict in the outbox yet */
	uint32_t calling_id;
	uint64_t born; /* the round in which it was bound */
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
	struct mnfq_packet *oldest, *newest; /* the held packets, by id */
	struct mnfq_stats late;              /* decided outside of a round */

	/*
	 * What is still undecided in the kernel without being held gets the default verdict, up
	 * to `release` as soon as nothing older is held, then up to `release_next`. It got there
	 * because ids were lost while older packets were held, or because verdicts were.
	 */
	atomic_bool has_release; /* may be read without the lock, after `held` */
	bool has_release_next;
	uint32_t release, release_next;
	/* The highest one in the outbox: for the receiver alone. */
	uint32_t put;
	bool has_put;
	/* After a failure: not before this time (0: at once), then after a longer pause. */
	_Atomic int64_t retry_at;
	atomic_uint retry_ms;
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

struct mnfq_socket {
	atomic_uint refs; /* the user's, and one for each queue */
	int fd;
	int wake_fd; /* written by stop; opened when somebody waits for the first time */
	atomic_int wake;
	atomic_bool stop;
	atomic_uintptr_t dispatcher; /* the thread in a round, 0 if none is */
	bool closing;                /* close once the callback returned */
	bool reap;                   /* something is closing */
	bool stale;                  /* packets of a queue that is gone may still arrive */
	bool ask_opener;             /* requests go only if who opened the socket may send them */
	uint32_t portid, seq, tag, timeout_ms;
	uint32_t drops; /* of the kernel's socket, those that are counted */
	int queues_fd;  /* the kernel's file about its queues; -1: not opened yet */
	struct mnfq_i_spin spin;
	bool lonely;      /* the last packet came alone */
	int64_t deadline; /* of the requests of the call that is under way */
	size_t send_max;  /* bytes the kernel takes in one send */
	int64_t round_ns; /* how long a round should take at most; 0: no limit */
	uint32_t batch;   /* packets that the next round may have, as far as the ring has slots */
	uint64_t round;
	struct mnfq_ring *ring; /* perhaps shared with other sockets of the thread */
	struct mnfq_queue *queues;
	struct mnfq_queue *recent; /* found by the last look-up */
	struct mnfq_i_pending pending;
	struct mnfq_i_stash *stash, **stash_end;
	struct mnfq_queue *ending; /* what is read of this queue is thrown away: */
	uint32_t *ids;             /* the ids of so many packets go here, the rest is counted */
	unsigned int ids_count, ids_max;
	unsigned int ring_at, ring_count; /* messages in the ring that are to be handled still */
	struct mnfq_queue *ended;         /* in this round: the ring may hold packets of theirs */
	int failure;                      /* to be reported by the next dispatch */
	bool queue_failed;                /* and so is that of a queue */
	struct mnfq_stats stats;
	struct mnfq_i_ifname ifnames[MNFQ_I_IFNAME_SETS][MNFQ_I_IFNAME_WAYS];
	struct mnfq_i_sentence error;
	pthread_mutex_t lock; /* recursive: a late verdict may fill the outbox */
};

/* How many packets the next round may have. */
static inline unsigned int mnfq_i_batch(const struct mnfq_socket *sock)
{
	return sock->batch < sock->ring->slots ? sock->batch : sock->ring->slots;
}

/* socket.c */
bool mnfq_i_options_sized(const void *options);
int mnfq_i_options_copy(void *dst, size_t dst_size, const void *src);
void mnfq_i_options_return(void *dst, const void *src, size_t src_size);
struct mnfq_socket *mnfq_i_socket_unref(struct mnfq_socket *sock);
int64_t mnfq_i_now_ms(void);
int64_t mnfq_i_now_ns(void);
void mnfq_i_stats_add(struct mnfq_stats *sum, const struct mnfq_stats *stats);

/* fd-check.c */
bool mnfq_i_is_connected(int fd);
int mnfq_i_get_int(int fd, int level, int name);
size_t mnfq_i_get_send_max(int fd);
void mnfq_i_set_options(int fd, uint32_t buffer);
int mnfq_i_check_fd(int fd, struct mnfq_i_sentence *error);
int mnfq_i_check_filter(int fd, struct mnfq_i_sentence *error);

/* dispatch.c */
int64_t mnfq_i_time_left(int timeout_ms, int64_t deadline);
void mnfq_i_wake_dispatch(struct mnfq_socket *sock);
void mnfq_i_wake(struct mnfq_socket *sock);

/* queue.c */
struct mnfq_queue *mnfq_i_queue_find(struct mnfq_socket *sock, uint16_t num);
void mnfq_i_queue_count(struct mnfq_queue *queue, struct mnfq_stats *sum);
void mnfq_i_queue_unref(struct mnfq_queue *queue);

/* queue-end.c */
void mnfq_i_queue_end(struct mnfq_queue *queue, bool wait);
void mnfq_i_queue_count_unread(struct mnfq_queue *queue, uint32_t verdict, uint64_t n);

/* request.c */
void mnfq_i_request_stop_queueing(struct mnfq_queue *queue);
unsigned int mnfq_i_request_gather(struct mnfq_queue *queue, uint32_t *ids, unsigned int max);
#define MNFQ_I_CMD_CTNETLINK 0xffu /* instead of a command: is nf_conntrack_netlink there? */
int mnfq_i_request(struct mnfq_socket *sock, uint16_t num, uint8_t command,
		   const struct mnfq_queue_options *settings, bool *repeated);
int mnfq_i_request_probe(struct mnfq_socket *sock, uint16_t num, uint8_t command,
			 unsigned int ms);
void mnfq_i_request_start(struct mnfq_socket *sock);
int mnfq_i_request_send(struct mnfq_socket *sock, uint16_t num, uint8_t command,
			const struct mnfq_queue_options *settings);
void mnfq_i_request_poke(struct mnfq_socket *sock);
void mnfq_i_request_remind(struct mnfq_socket *sock);
bool mnfq_i_request_answer(struct mnfq_socket *sock, const uint8_t *msg, size_t len);
int mnfq_i_stash_add(struct mnfq_socket *sock, const uint8_t *data, size_t len);
bool mnfq_i_stash_find(struct mnfq_socket *sock, uint16_t num, uint32_t *id);
unsigned int mnfq_i_stash_purge(struct mnfq_socket *sock, uint16_t num);

/* receive.c */
int mnfq_i_round(struct mnfq_socket *sock);
int mnfq_i_take_failure(struct mnfq_socket *sock);

/* refused.c */
void mnfq_i_answered(struct mnfq_socket *sock, struct mnfq_queue *queue,
		     const struct nlmsghdr *request, int err);
void mnfq_i_queue_fail(struct mnfq_queue *queue, int err);
void mnfq_i_queue_doubt(struct mnfq_queue *queue);

static inline bool mnfq_i_has_failed(const struct mnfq_socket *sock)
{
	return sock->failure || sock->queue_failed;
}

/* send.c */
int mnfq_i_send(struct mnfq_socket *sock, struct iovec *iov, size_t count);
int mnfq_i_send_once(struct mnfq_socket *sock, struct iovec *iov, size_t count);
int mnfq_i_send_request(struct mnfq_socket *sock, struct iovec *iov, bool ask_opener);
int mnfq_i_flush(struct mnfq_socket *sock);
int mnfq_i_fail_unsent(struct mnfq_socket *sock, int err);
int mnfq_i_decide(struct mnfq_queue *queue, const struct mnfq_i_decision *decision);
void mnfq_i_reserve(struct mnfq_queue *queue, const struct mnfq_i_decision *decision);
int mnfq_i_decide_now(struct mnfq_socket *sock, const struct mnfq_i_decision *decision);
void mnfq_i_gap(struct mnfq_queue *queue, uint32_t last);
int mnfq_i_release(struct mnfq_queue *queue);
int64_t mnfq_i_release_left(struct mnfq_socket *sock);
void mnfq_i_release_pending(struct mnfq_queue *queue);
void mnfq_i_release_later(struct mnfq_queue *queue, uint32_t last);
void mnfq_i_release_past(struct mnfq_queue *queue);
int mnfq_i_release_now(struct mnfq_queue *queue, uint32_t last, bool patient);
int mnfq_i_release_all(struct mnfq_queue *queue);
bool mnfq_i_in_round(struct mnfq_socket *sock);

/* packet-retain.c */
bool mnfq_i_retain_settle(struct mnfq_packet *packet, bool deferred);
void mnfq_i_retain_abandon(struct mnfq_queue *queue, uint32_t verdict);
unsigned int mnfq_i_retain_take(struct mnfq_queue *queue, uint32_t *ids, unsigned int max);

/* kernel-stats.c */
uint64_t mnfq_i_get_drops(int fd);
void mnfq_i_count_overruns(struct mnfq_socket *sock);
int mnfq_i_queues_open(const struct mnfq_socket *sock);
int mnfq_i_queues_read(int fd, uint16_t num, struct mnfq_kernel_stats *stats);

/* netns.c */
int mnfq_i_netns_open(const char *netns, struct mnfq_i_sentence *error);
int mnfq_i_netns_call(int netns_fd, int (*function)(void *arg), void *arg);
int mnfq_i_netns_call_at(int sock_fd, int (*function)(void *arg), void *arg);
int mnfq_i_netns_of(int fd);

/* explain.c */
int mnfq_i_fail(struct mnfq_i_sentence *error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int mnfq_i_tell(char *to, size_t size, const struct mnfq_i_sentence *error, int err);
int mnfq_i_explain_bind(struct mnfq_socket *sock, uint16_t num, uint32_t flags, int err);
int mnfq_i_explain_socket(struct mnfq_i_sentence *error, int err);
int mnfq_i_explain_open(struct mnfq_i_sentence *error, const char *netns, int err);

#endif
