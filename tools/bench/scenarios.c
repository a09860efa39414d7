/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: the scenarios. Each measurement sets up its rules, has the candidate bind, sends,
 * and compares what was sent with what the candidate, the queue and the rules behind it have
 * counted: figures of a run that lost packets would be worth nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define PINGS_MAX     5000
#define COUNTED_MAX   4000        /* packets of which the system calls are counted */
#define STREAM_BYTES  (64 * 1024) /* for each of --packets */
#define STREAM_TIME   2.0         /* seconds */
#define PACKET_MEMORY 4096        /* of a receive buffer, for a packet and what describes it */

/* ---- what must have happened -------------------------------------------------------------- */

/* Nothing waits any more, nothing was lost, and we have seen each packet once. */
static int check_queue(struct bench_net *net, const struct bench_worker *worker)
{
	struct bench_queue queue;

	if (bench_net_queue(net, worker->queue, &queue) < 0)
		return -1;
	if (queue.waiting == 0 && queue.dropped == 0 && queue.user_dropped == 0 &&
	    queue.ids == worker->packets && worker->unexpected == 0)
		return 0;
	return bench_fail(net,
			  "packets were lost or doubled: %u queued, %llu decided (%llu of them "
			  "unexpected), %u waiting, %u dropped because the queue was full, %u "
			  "because the receive buffer was",
			  queue.ids, (unsigned long long)worker->packets,
			  (unsigned long long)worker->unexpected, queue.waiting, queue.dropped,
			  queue.user_dropped);
}

/* What must have come by before the queue, and behind it: first what is marked, then the rest. */
static int check_rules(struct bench_net *net, const struct bench_worker_group *group,
		       uint64_t packets)
{
	uint64_t marked, rest, matched, before = 0, want_marked = 0, want_dropped = 0;

	if (group->workers[0].mixed) {
		want_dropped = packets / 10 + (packets % 10 > 3);
		want_marked = packets / 10 + (packets % 10 > 7);
	}
	for (unsigned int i = 0; i < group->count; i++, before += matched)
		if (bench_net_count(net, "FORWARD", i + 1, &matched) < 0)
			return -1;
	if (bench_net_count(net, "POSTROUTING", 1, &marked) < 0 ||
	    bench_net_count(net, "POSTROUTING", 2, &rest) < 0)
		return -1;
	if (before == packets && marked == want_marked &&
	    rest == packets - want_marked - want_dropped)
		return 0;
	return bench_fail(
		net,
		"packets were lost or doubled: of %llu, %llu came to the queue, %llu went "
		"on with a mark and %llu without",
		(unsigned long long)packets, (unsigned long long)before,
		(unsigned long long)marked, (unsigned long long)rest);
}

static int check_queues(struct bench_net *net, const struct bench_worker_group *group)
{
	for (unsigned int i = 0; i < group->count; i++)
		if (check_queue(net, &group->workers[i]) < 0)
			return -1;
	return 0;
}

/* ---- packets through a queue -------------------------------------------------------------- */

static int set_discarding_rules(struct bench_net *net, unsigned int queues)
{
	if (bench_net_clear(net) < 0)
		return -1;
	for (unsigned int i = 0; i < queues; i++)
		if (bench_net_rule(net, "FORWARD -p udp --dport %u -j NFQUEUE --queue-num %u",
				   BENCH_PORT + i, i) < 0)
			return -1;
	if (bench_net_rule(net, "POSTROUTING -m mark --mark %u -j DROP", BENCH_MARK) < 0)
		return -1;
	return bench_net_rule(net, "POSTROUTING -p udp -j DROP");
}

static int run_send_to(struct bench_net *net, const struct bench_options *opts,
		       const struct bench_worker *worker, bool paced)
{
	uint16_t port = (uint16_t)(BENCH_PORT + worker->queue);
	int err, fd = bench_net_socket(net, net->sender, SOCK_DGRAM, port, false);

	if (fd < 0)
		return -1;
	err = bench_send(net, fd, opts->size, worker->goal, paced ? &worker->handled : NULL);
	close(fd);
	return err;
}

/* Waits until all that was sent is in the queue. */
static int await_queued(struct bench_net *net, const struct bench_worker *worker)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t deadline = bench_now(CLOCK_MONOTONIC) + 5000000000ll;
	struct bench_queue queue;

	for (;;) {
		if (bench_net_queue(net, worker->queue, &queue) < 0)
			return -1;
		if (queue.waiting == worker->goal)
			return 0;
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		if (queue.dropped || queue.user_dropped || queue.waiting > worker->goal ||
		    bench_now(CLOCK_MONOTONIC) > deadline)
			return bench_fail(
				net,
				"of %llu packets %u were queued, %u dropped because the "
				"queue was full, %u because the receive buffer was",
				(unsigned long long)worker->goal, queue.waiting, queue.dropped,
				queue.user_dropped);
		nanosleep(&pause, NULL);
	}
}

/* Everything is queued before anything is decided. */
static int fill(struct bench_net *net, const struct bench_options *opts,
		struct bench_worker_group *group)
{
	for (unsigned int i = 0; i < group->count; i++)
		if (run_send_to(net, opts, &group->workers[i], false) < 0 ||
		    await_queued(net, &group->workers[i]) < 0)
			return -1;
	bench_group_go(group);
	return 0;
}

static int flow(struct bench_net *net, const struct bench_options *opts,
		struct bench_worker_group *group)
{
	bench_group_go(group);
	return run_send_to(net, opts, &group->workers[0], true);
}

static int work_off(struct bench_net *net, const struct bench_options *opts,
		    struct bench_worker_group *group, bool continuous,
		    struct bench_result *result)
{
	if (set_discarding_rules(net, group->count) < 0)
		return -1;
	if (bench_group_start(net, group) == 0 &&
	    (continuous ? flow : fill)(net, opts, group) == 0 &&
	    bench_group_wait(net, group) == 0 && check_queues(net, group) == 0 &&
	    check_rules(net, group, opts->packets) == 0)
		bench_group_add_up(group, result);
	return bench_group_end(net, group);
}

/* What is measured with packets that get no reply. */
enum kind { DRAIN, MIXED, FLOOD };

static int measure_once(struct bench_net *net, const struct bench_options *opts,
			const struct bench_candidate *candidate, struct bench_result *result,
			enum kind kind, bool counting)
{
	struct bench_worker_group group;
	uint64_t share;

	if (bench_group_init(net, &group, candidate) < 0)
		return -1;
	share = opts->packets / group.count;
	for (unsigned int i = 0; i < group.count; i++) {
		struct bench_worker *worker = &group.workers[i];

		worker->counting = counting;
		worker->batch = (uint32_t)opts->batch;
		worker->mixed = kind == MIXED;
		worker->goal = i == 0 ? opts->packets - share * (group.count - 1) : share;
		worker->max_len = (uint32_t)worker->goal + 1024;
		worker->receive_buffer = worker->max_len * PACKET_MEMORY + (64u << 20);
	}
	if (work_off(net, opts, &group, kind == FLOOD, result) < 0)
		return -1;
	if (counting)
		result->value[BENCH_SYSCALLS] = bench_group_count_calls(&group);
	return 0;
}

/* System calls are counted in a run of their own: that takes time. */
static int measure_packets(struct bench_net *net, const struct bench_options *opts,
			   const struct bench_candidate *candidate, struct bench_result *result,
			   enum kind kind)
{
	struct bench_options fewer = *opts;
	struct bench_result counted;

	bench_pin(true);
	if (measure_once(net, opts, candidate, result, kind, false) < 0)
		return -1;
	fewer.packets = opts->packets < COUNTED_MAX ? opts->packets : COUNTED_MAX;
	if (measure_once(net, &fewer, candidate, &counted, kind, true) < 0)
		return -1;
	result->value[BENCH_SYSCALLS] = counted.value[BENCH_SYSCALLS];
	return 0;
}

static int run_measure_drain(struct bench_net *net, const struct bench_options *opts,
			     const struct bench_candidate *candidate, struct bench_result *result)
{
	return measure_packets(net, opts, candidate, result, DRAIN);
}

static int measure_mixed(struct bench_net *net, const struct bench_options *opts,
			 const struct bench_candidate *candidate, struct bench_result *result)
{
	return measure_packets(net, opts, candidate, result, MIXED);
}

static int measure_flood(struct bench_net *net, const struct bench_options *opts,
			 const struct bench_candidate *candidate, struct bench_result *result)
{
	return measure_packets(net, opts, candidate, result, FLOOD);
}

/* ---- with a receiver ---------------------------------------------------------------------- */

static int send_pings(struct bench_net *net, const struct bench_options *opts,
		      struct bench_result *result)
{
	return bench_ping(net, opts->packets < PINGS_MAX ? opts->packets : PINGS_MAX, result);
}

static int send_stream(struct bench_net *net, const struct bench_options *opts,
		       struct bench_result *result)
{
	return bench_stream(net, opts->packets * STREAM_BYTES, STREAM_TIME, result);
}

/* The last packets of a connection: no more come, and those that came are decided. */
static int settle(struct bench_net *net, const struct bench_worker_group *group)
{
	return bench_net_clear(net) < 0 ? -1 : bench_group_settle(net, group);
}

/* The mark of a packet becomes that of its connection, and lets the rest of it past the queue. */
static int set_passing_rules(struct bench_net *net)
{
	if (bench_net_rule(net, "FORWARD -m connmark --mark %u -j ACCEPT", BENCH_MARK) < 0)
		return -1;
	return bench_net_rule(net, "POSTROUTING -m mark --mark %u -j CONNMARK --save-mark",
			      BENCH_MARK);
}

/* Through a queue that takes what @rule says, or through none if there is no candidate. */
static int
pass(struct bench_net *net, const struct bench_options *opts,
     const struct bench_candidate *candidate, struct bench_result *result, const char *rule,
     int (*send)(struct bench_net *, const struct bench_options *, struct bench_result *))
{
	struct bench_worker_group group;

	if (bench_net_clear(net) < 0)
		return -1;
	if (!candidate->run)
		return send(net, opts, result);
	if ((candidate->once && set_passing_rules(net) < 0) ||
	    bench_net_rule(net, "FORWARD %s -j NFQUEUE --queue-num 0", rule) < 0 ||
	    bench_group_init(net, &group, candidate) < 0)
		return -1;
	if (bench_group_start(net, &group) == 0) {
		bench_group_go(&group);
		if (send(net, opts, result) == 0 && settle(net, &group) == 0 &&
		    bench_group_wait(net, &group) == 0 && check_queues(net, &group) == 0)
			bench_group_add_up(&group, result);
	}
	return bench_group_end(net, &group);
}

static int measure_latency(struct bench_net *net, const struct bench_options *opts,
			   const struct bench_candidate *candidate, struct bench_result *result)
{
	bench_pin(true);
	return pass(net, opts, candidate, result, "-i left -p udp", send_pings);
}

static int measure_tcp(struct bench_net *net, const struct bench_options *opts,
		       const struct bench_candidate *candidate, struct bench_result *result)
{
	bench_pin(false);
	return pass(net, opts, candidate, result, "-p tcp", send_stream);
}

/* ---- the table ---------------------------------------------------------------------------- */

static const enum bench_metric packet_columns[] = {
	BENCH_RATE, BENCH_USER,   BENCH_SYSTEM,  BENCH_SYSCALLS,
	BENCH_HEAP, BENCH_MEMORY, BENCH_METRICS,
};
static const enum bench_metric load_columns[] = { BENCH_RATE, BENCH_P50,      BENCH_P99,
						  BENCH_LOST, BENCH_SYSCALLS, BENCH_METRICS };
static const enum bench_metric latency_columns[] = { BENCH_P99, BENCH_CPU, BENCH_MEMORY,
						     BENCH_METRICS };
static const enum bench_metric tcp_columns[] = { BENCH_RATE, BENCH_CPU, BENCH_MEMORY,
						 BENCH_METRICS };
static const enum bench_metric thread_columns[] = { BENCH_CPU, BENCH_SYSCALLS, BENCH_METRICS };
static const enum bench_metric namespace_columns[] = {
	BENCH_EACH,  BENCH_ATTACH, BENCH_DETACH,  BENCH_WAKEUPS,
	BENCH_ALONE, BENCH_BESIDE, BENCH_METRICS,
};

const struct bench_scenario bench_scenarios[BENCH_SCENARIOS] = {
	[BENCH_DRAIN] = { .name = "drain",
			  .summary = "a full queue is emptied",
			  .measure = run_measure_drain,
			  .sized = true,
			  .metric = BENCH_CPU,
			  .inverse = true,
			  .against = { "lnq", "raw" },
			  .shown = packet_columns },
	[BENCH_FLOOD] = { .name = "flood",
			  .summary = "packets keep coming",
			  .measure = measure_flood,
			  .sized = true,
			  .metric = BENCH_CPU,
			  .inverse = true,
			  .against = { "lnq", "raw" },
			  .shown = packet_columns },
	[BENCH_LOAD] = { .name = "load",
			 .summary = "packets come at a steady rate",
			 .measure = bench_measure_load,
			 .sized = true,
			 .paced = true,
			 .added = true,
			 .metric = BENCH_CPU,
			 .inverse = true,
			 .against = { "lnq", "raw" },
			 .shown = load_columns },
	[BENCH_LATE] = { .name = "late",
			 .summary = "as drain, decided in the callback or later",
			 .measure = run_measure_drain,
			 .sized = true,
			 .metric = BENCH_CPU,
			 .inverse = true,
			 .against = { "lnq", "mnfq", BENCH_PEER },
			 .shown = packet_columns },
	[BENCH_MIXED] = { .name = "mixed",
			  .summary = "as drain, with one in ten dropped and one in ten marked",
			  .measure = measure_mixed,
			  .sized = true,
			  .metric = BENCH_CPU,
			  .inverse = true,
			  .against = { "lnq", "raw" },
			  .shown = packet_columns },
	[BENCH_LATENCY] = { .name = "latency",
			    .summary = "round trips, one at a time",
			    .measure = measure_latency,
			    .metric = BENCH_P50,
			    .added = true,
			    .against = { "lnq", "raw" },
			    .shown = latency_columns },
	[BENCH_TCP] = { .name = "tcp",
			.summary = "a stream, both directions queued",
			.measure = measure_tcp,
			.metric = BENCH_GBIT,
			.against = { "lnq", "unqueued" },
			.shown = tcp_columns },
	[BENCH_THREADS] = { .name = "threads",
			    .summary = "two full queues on two threads, against one",
			    .measure = run_measure_drain,
			    .sized = true,
			    .metric = BENCH_RATE,
			    .against = { "lnq", "mnfq" },
			    .shown = thread_columns },
	[BENCH_NAMESPACES] = { .name = "namespaces",
			       .summary = "many namespaces in one thread, against one",
			       .measure = bench_measure_namespaces,
			       .sized = true,
			       .metric = BENCH_CPU,
			       .inverse = true,
			       .against = { "mnfq-one" },
			       .shown = namespace_columns },
};
