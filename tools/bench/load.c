/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: packets at a steady rate, as they come in daily life: what one costs, and for how long
 * it is delayed. Sender and decider have a processor each. What is accepted is discarded behind the
 * queue, but a few samples, which arrive: when they do says when their verdict had its effect.
 */
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define LOAD_TRIES   10   /* of a measurement in which the sender was disturbed */
#define LOAD_SLOWER  50   /* it may take longer than planned by one part in so many */
#define LOAD_TIME_MS 500  /* no more packets than for so long, */
#define LOAD_LEAST   1000 /* or these */

struct load {
	struct bench_paced paced;
	int samples; /* the socket at which they arrive */
	struct bench_worker_group group;
	bool queued, counting;
};

static int load_set_rules(struct bench_net *net, const struct load *load)
{
	if (bench_net_clear(net) < 0)
		return -1;
	if (load->queued && bench_net_rule(net, "FORWARD -p udp -j NFQUEUE --queue-num 0") < 0)
		return -1;
	return bench_net_rule(net, "POSTROUTING -p udp --dport %u -j DROP", BENCH_PORT);
}

/* All that was sent was decided or dropped by the kernel, and all that was accepted went on. */
static int load_check(struct bench_net *net, const struct load *load, uint64_t arrived,
		      struct bench_result *result)
{
	struct bench_queue queue = { 0 };
	uint64_t discarded, decided = load->paced.count;

	if (load->queued) {
		if (bench_net_queue(net, 0, &queue) < 0)
			return -1;
		decided = load->group.workers[0].packets;
	}
	if (bench_net_count(net, "POSTROUTING", 1, &discarded) < 0)
		return -1;
	if (queue.waiting > 0 ||
	    decided + queue.dropped + queue.user_dropped != load->paced.count ||
	    discarded + arrived != decided)
		return bench_fail(
			net,
			"packets were lost or doubled: of %llu, %llu were decided, %u "
			"found the queue full, %u the receive buffer, %u wait; %llu were "
			"discarded and %llu arrived",
			(unsigned long long)load->paced.count, (unsigned long long)decided,
			queue.dropped, queue.user_dropped, queue.waiting,
			(unsigned long long)discarded, (unsigned long long)arrived);
	result->value[BENCH_LOST] =
		100.0 * (queue.dropped + queue.user_dropped) / (double)load->paced.count;
	return 0;
}

/* Returns 0, or -1 without figures; they may be of another rate. */
static int load_run(struct bench_net *net, struct load *load, struct bench_result *result)
{
	if (bench_send_paced(net, &load->paced) < 0)
		return -1;
	if (load->queued && (bench_group_settle(net, &load->group) < 0 ||
			     bench_group_wait(net, &load->group) < 0))
		return -1;
	if (load_check(net, load, bench_read_samples(load->samples, result), result) < 0)
		return -1;
	if (load->queued)
		bench_group_add_up(&load->group, result);
	return 0;
}

static int load_run_queued(struct bench_net *net, struct load *load,
			   const struct bench_candidate *candidate, struct bench_result *result)
{
	load->queued = candidate->run != NULL;
	if (load_set_rules(net, load) < 0)
		return -1;
	if (!load->queued)
		return load_run(net, load, result);
	if (bench_group_init(net, &load->group, candidate) < 0)
		return -1;
	load->group.workers[0].counting = load->counting;
	if (bench_group_start(net, &load->group) == 0) {
		bench_group_go(&load->group);
		(void)load_run(net, load, result);
	}
	return bench_group_end(net, &load->group);
}

static bool is_kept(const struct bench_paced *paced)
{
	const int64_t planned =
		paced->rate ? (int64_t)(paced->count * 1000000000 / paced->rate) : INT64_MAX / 2;

	return paced->took_ns <= planned + planned / LOAD_SLOWER;
}

static int load_try(struct bench_net *net, struct load *load,
		    const struct bench_candidate *candidate, struct bench_result *result)
{
	int tries = 0;

	do {
		if (load_run_queued(net, load, candidate, result) < 0)
			return -1;
		if (is_kept(&load->paced))
			return 0;
	} while (++tries < LOAD_TRIES);
	return bench_fail(net,
			  "the sender did not keep %llu packets/s, but %.0f: the machine is too "
			  "slow for this rate, or busy",
			  (unsigned long long)load->paced.rate,
			  (double)load->paced.count * 1e9 / (double)load->paced.took_ns);
}

/* The same once more: packets come at the same rate as when the time was taken. */
static int load_count_calls(struct bench_net *net, struct load *load,
			    const struct bench_candidate *candidate, struct bench_result *result)
{
	struct bench_result counted;

	load->counting = true;
	if (load_try(net, load, candidate, &counted) < 0)
		return -1;
	result->value[BENCH_SYSCALLS] = bench_group_count_calls(&load->group);
	return 0;
}

/* As many as there are in half a second, since a low rate takes its time. */
static uint64_t count_packets(const struct bench_options *opts)
{
	uint64_t count = opts->rate * LOAD_TIME_MS / 1000;

	if (count < LOAD_LEAST)
		count = LOAD_LEAST;
	return opts->rate == 0 || count > opts->packets ? opts->packets : count;
}

int bench_measure_load(struct bench_net *net, const struct bench_options *opts,
		       const struct bench_candidate *candidate, struct bench_result *result)
{
	struct load load = {
		.paced = { .size = opts->size, .count = count_packets(opts), .rate = opts->rate }
	};
	int first, last, err = -1;

	bench_find_cpus(&first, &last);
	if (first == last)
		return bench_fail(net, "sender and decider need a processor each");
	bench_pin(true);
	load.samples = bench_sample_socket(net);
	load.paced.fd = bench_net_socket(net, net->sender, SOCK_DGRAM, BENCH_PORT, false);
	load.paced.sample_fd =
		bench_net_socket(net, net->sender, SOCK_DGRAM, BENCH_SAMPLE_PORT, false);
	if (load.samples >= 0 && load.paced.fd >= 0 && load.paced.sample_fd >= 0)
		err = load_try(net, &load, candidate, result);
	if (err == 0 && load.queued)
		err = load_count_calls(net, &load, candidate, result);
	if (load.samples >= 0)
		close(load.samples);
	if (load.paced.fd >= 0)
		close(load.paced.fd);
	if (load.paced.sample_fd >= 0)
		close(load.paced.sample_fd);
	return err;
}
