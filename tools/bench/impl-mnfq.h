/* SPDX-License-Identifier: MIT */
/* mnfq-bench: what the programs that use libmnfq share. */
#ifndef MNFQ_TOOLS_BENCH_IMPL_MNFQ_H
#define MNFQ_TOOLS_BENCH_IMPL_MNFQ_H

#include <mnfq/mnfq.h>

#include "bench/bench.h"

struct bench_mnfq {
	struct bench_worker *worker;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
};

/** How such a program decides. Its functions return 0 or more, or a negative errno. */
struct bench_mnfq_way {
	mnfq_callback callback;                    /* its data is the program */
	int (*start)(struct bench_mnfq *program);  /* before the first packet; or NULL */
	int (*round)(struct bench_mnfq *program);  /* waits for packets */
	int (*finish)(struct bench_mnfq *program); /* decides what is left; or NULL */
};

/** One system call to receive a batch, callbacks, one to decide. */
int bench_mnfq_dispatch(struct bench_mnfq *program);

/** The look at a packet that all candidates have. */
enum bench_decision bench_mnfq_look(struct bench_mnfq *program, struct mnfq_packet *packet);

/** The callback that decides. */
enum mnfq_verdict bench_mnfq_decide(struct mnfq_packet *packet, void *data);

/** From bind to close. 0 or negative, with the worker's error. */
int bench_mnfq_run(struct bench_worker *worker, const struct bench_mnfq_way *way);

#endif
