/* SPDX-License-Identifier: MIT */
/* mnfq-bench: what programs share that receive by themselves, or decide later than in the callback. */
#ifndef MNFQ_TOOLS_BENCH_LATE_H
#define MNFQ_TOOLS_BENCH_LATE_H

#include <linux/netlink.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define BENCH_SLOTS 64
#define BENCH_KEPT  100 /* ids that are kept until all of them are decided */

/** Room for what one recvmmsg() receives. */
struct bench_slots {
	struct mmsghdr messages[BENCH_SLOTS];
	struct iovec iovecs[BENCH_SLOTS];
	struct sockaddr_nl from[BENCH_SLOTS];
	uint8_t *memory;
};

/** 0 or -1. */
int bench_slots_init(struct bench_slots *slots, bool with_senders);
void bench_slots_free(struct bench_slots *slots);

/** Decide packets: 0, or negative. */
typedef int (*bench_decide_ids)(void *data, const uint32_t *ids, size_t count);

/** Packets on their way to a thread that decides them. */
struct bench_handoff {
	bench_decide_ids decide;
	void *data;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t more;
	uint32_t *ids;
	size_t put;
	bool over;
	int err;
};

/** Start the thread, for @count packets at most. 0 or -1. */
int bench_handoff_start(struct bench_handoff *handoff, size_t count, bench_decide_ids decide,
			void *data);
void bench_handoff_put(struct bench_handoff *handoff, uint32_t id);
/** Wait until it has decided all of them: 0, or what its function has returned. */
int bench_handoff_finish(struct bench_handoff *handoff);

#endif
