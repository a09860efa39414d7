/* SPDX-License-Identifier: MIT */
/* mnfq-bench: who is measured, and in which scenarios. */
#include "bench/bench.h"

#define IN(scenario) (1u << BENCH_##scenario)
#define PACKETS      (IN(DRAIN) | IN(FLOOD) | IN(MIXED))

/*
 * In the order of the reports. libnetfilter_queue has GSO off unless it is asked for, and so have
 * the programs that use it.
 */
const struct bench_candidate bench_candidates[] = {
	{ .name = "unqueued", .in = IN(LOAD) | IN(LATENCY) | IN(TCP) },
	{ .name = "mnfq",
	  .in = PACKETS | IN(LOAD) | IN(LATE) | IN(LATENCY) | IN(TCP) | IN(THREADS) |
		IN(NAMESPACES),
	  .run = bench_run_mnfq,
	  .gso = true,
	  .peer = "lnq" },
	{ .name = "mnfq-2", .in = IN(THREADS), .run = bench_run_mnfq, .gso = true, .threads = 2 },
	{ .name = "mnfq-one", .in = IN(NAMESPACES), .once = true }, /* the same packets in one */
	{ .name = "mnfq-nogso", .in = IN(TCP), .run = bench_run_mnfq },
	{ .name = "mnfq-once", .in = IN(TCP), .run = bench_run_mnfq, .once = true },
	{ .name = "mnfq-50us",
	  .in = IN(DRAIN) | IN(LOAD),
	  .run = bench_run_mnfq,
	  .gso = true,
	  .coalesce_us = 50 },
	{ .name = "mnfq-200us",
	  .in = IN(DRAIN) | IN(LOAD) | IN(LATENCY),
	  .run = bench_run_mnfq,
	  .gso = true,
	  .coalesce_us = 200 },
	{ .name = "mnfq-busy",
	  .in = IN(DRAIN) | IN(LOAD) | IN(LATENCY),
	  .run = bench_run_mnfq,
	  .gso = true,
	  .spin = true },
	{ .name = "mnfq-retain",
	  .in = IN(LATE),
	  .run = bench_run_mnfq_retain,
	  .gso = true,
	  .peer = "lnq-ids" },
	{ .name = "mnfq-feed",
	  .in = IN(LATE),
	  .run = bench_run_mnfq_feed,
	  .gso = true,
	  .peer = "lnq" },
	{ .name = "raw",
	  .in = PACKETS | IN(LOAD) | IN(LATENCY) | IN(TCP),
	  .run = bench_run_raw,
	  .gso = true },
	{ .name = "raw-2", .in = IN(THREADS), .run = bench_run_raw, .gso = true, .threads = 2 },
	{ .name = "raw-spin",
	  .in = IN(LATENCY),
	  .run = bench_run_raw,
	  .gso = true,
	  .spin = true },
#if HAVE_LNQ
	{ .name = "lnq",
	  .in = PACKETS | IN(LOAD) | IN(LATE) | IN(LATENCY) | IN(TCP) | IN(THREADS),
	  .run = bench_run_lnq },
	{ .name = "lnq-batch", .in = PACKETS | IN(LOAD), .run = bench_run_lnq_batch },
	{ .name = "lnq-ids", .in = IN(LATE), .run = bench_run_lnq_ids },
	{ .name = "lnq-thread", .in = IN(LATE), .run = bench_run_lnq_thread },
	{ .name = "lnq-gso", .in = IN(TCP), .run = bench_run_lnq, .gso = true },
#endif
	{ .name = NULL },
};
