/* SPDX-License-Identifier: MIT */
/*
 * A kernel of our own behind the system calls that the library makes: it owns queues, hands out
 * packets, takes verdicts as net/netfilter/nfnetlink_queue.c does, and loses what it is told to
 * lose. Numbers of queues count once for all sockets, as if they were in one namespace.
 */
#ifndef MNFQ_TEST_FAKE_KERNEL_H
#define MNFQ_TEST_FAKE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_UNDECIDED 0xffffffffu
#define FAKE_IDS       200000
#define FAKE_PLAIN     1000 /* queues from this number on can be bound, but have nothing */

struct fake_decision {
	uint32_t verdict; /* FAKE_UNDECIDED while it is queued */
	bool queued;
	bool has_mark;
	uint32_t mark;
	bool has_priority;
	uint32_t priority;
	/* Of what came with it; SIZE_MAX without such a thing. */
	size_t payload_len, vlan_len, l2hdr_len, ct_len;
};

struct fake_queue {
	bool bound;
	uint16_t num;
	int fd;           /* of the socket that owns it */
	int error;        /* answered to each verdict for it instead of obeying */
	uint32_t base;    /* ids count from base + 1; decisions[] begins there */
	uint32_t next_id; /* the id that the next packet gets */
	uint32_t copy_range, max_len, flags;
	uint8_t copy_mode;
	struct fake_decision decisions[FAKE_IDS];
};

struct fake_kernel {
	struct fake_queue queues[2];
	unsigned int sends, sends_refused, batch_verdicts, single_verdicts, receives;
	int thread_error;      /* instead of a new thread */
	int socket_error;      /* instead of a new socket */
	uint32_t portid_taken; /* another process gives the next socket this port id before us */
	int bind_error;        /* answered to a BIND instead of obeying */
	int verdict_error;     /* answered to each verdict instead of obeying */
	int send_error, send_errors;  /* so many sends fail with that errno, */
	int send_errors_after;        /* after so many that do not */
	int send_buffer;              /* SO_SNDBUF; 0: 1 MiB */
	bool no_right;                /* a send is answered -EPERM, by its first message alone */
	unsigned int send_swallowed;  /* so many sends of verdicts have no effect */
	unsigned int lose_answers;    /* answers for which the receive buffer has no room */
	int receive_error;            /* of the next recvmmsg */
	unsigned int keep_answers;    /* but these do, before it begins */
	uint32_t unsupported_flags;   /* of a queue: NFQA_CFG_F_* */
	bool ctnetlink;               /* nf_conntrack_netlink is there */
	unsigned int config_ms;       /* that a request for a queue takes */
	int64_t verdict_ns;           /* that each packet takes on its way, within its verdict */
	unsigned int packets_on_bind; /* queued before the acknowledgement of a BIND */
	uint32_t drops;               /* of the socket: messages that did not fit */
	bool loses_if_unread; /* answers only while something is unread, as if the buffer were full */
	bool no_meminfo;      /* as before Linux 4.12 */
	unsigned int buffer;     /* the last receive buffer asked for */
	unsigned int interfaces; /* there are eth1 up to so many */
	int name_error;          /* answered to a question for a name instead */
	unsigned int name_calls; /* questions for a name */
	unsigned int mtu_calls;  /* questions for the MTU, which is 1000 more than the index */
	int64_t clock_ms;        /* goes on only while a call waits */
	int64_t clock_ns, clock_step; /* beyond that; a step whenever the exact clock is read */
	int poll_timeout;             /* of the last poll */
	unsigned int wakes;   /* messages that are nothing, for which there is an answer */
	unsigned int batches; /* calls of recvmmsg */
	bool no_timeout;      /* of a socket: cannot be set */
	unsigned int waits;   /* receives that had to wait; what happens during one: */
	void (*on_wait)(void);
	bool interrupt;            /* a signal ends the next one in which nothing comes */
	unsigned int fills, polls; /* calls that receive, and of poll; what happens during one: */
	void (*on_fill)(void);
	void (*on_filled)(void); /* after a batch was received */
	void (*on_poll)(void);
	int64_t cpu_ns;      /* processor time of the thread */
	int slack, policy;   /* of the thread: for its timers, in ns; SCHED_* */
	int receive_buffer;  /* SO_RCVBUF; 0: 1 MiB */
	int64_t slept_ns;    /* as the last call of nanosleep asked for */
	unsigned int sleeps; /* calls of nanosleep; what happens during one: */
	void (*on_sleep)(void);
	void (*on_probe)(void);       /* during a command that only asks for the capability */
	unsigned int membarriers;     /* waits for a grace period */
	unsigned int allocations;     /* so far */
	unsigned int fail_allocation; /* counts down; the allocation that reaches 0 fails */
};

extern struct fake_kernel fake;

void fake_reset(void);
struct fake_queue *fake_queue(uint16_t num);
/* Has the ids of a queue go on behind @base, as if that many packets had passed. */
void fake_set_base(uint16_t num, uint32_t base);
/* What became of packet @id. */
struct fake_decision *fake_decision(struct fake_queue *queue, uint32_t id);

/* Queues a packet; if not @sent its message is lost on the way, or taken by another process. */
uint32_t fake_packet(uint16_t num, size_t len, bool sent);
/* As a full receive buffer: an id is used, but nothing is queued. */
void fake_overrun(uint16_t num);
/* A datagram of @pid's, for the socket that was opened or sent last, or got a packet last. */
void fake_datagram(const void *data, size_t len, uint32_t pid);
/* Another process takes the first datagram. */
void fake_steal(void);
unsigned int fake_queued(uint16_t num);
size_t fake_unread(void);

#endif
