/* SPDX-License-Identifier: MIT */
/* mnfq-bench: libmnfq as most programs use it, a callback a packet; and what the others have in common. */
#include <errno.h>
#include <string.h>

#include "bench/impl-mnfq.h"
#include "common/text.h"

#define BUSY_POLL_US 200 /* longer than the pauses between round trips */

enum bench_decision bench_mnfq_look(struct bench_mnfq *program, struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	return bench_worker_decide(program->worker, payload, len);
}

enum mnfq_verdict bench_mnfq_decide(struct mnfq_packet *packet, void *data)
{
	switch (bench_mnfq_look(data, packet)) {
	case BENCH_DROP:
		return MNFQ_DROP;
	case BENCH_SET_MARK:
		mnfq_packet_set_mark(packet, BENCH_MARK);
		return MNFQ_ACCEPT;
	default:
		return MNFQ_ACCEPT;
	}
}

int bench_mnfq_dispatch(struct bench_mnfq *program)
{
	return mnfq_socket_dispatch(program->sock, -1);
}

static int bench_mnfq_open(struct bench_mnfq *program, mnfq_callback callback)
{
	struct bench_worker *worker = program->worker;
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = worker->error,
					       .error_size = sizeof(worker->error),
					       .batch = worker->batch,
					       .receive_buffer = worker->receive_buffer,
					       .busy_poll_us = worker->spin ? BUSY_POLL_US : 0,
					       .coalesce_us = worker->coalesce_us };
	struct mnfq_queue_options settings = { .size = sizeof(settings),
					       .max_len = worker->max_len,
					       .flags = worker->gso ? 0 : MNFQ_QUEUE_NO_GSO };
	int err = mnfq_socket_open(&program->sock, &options);

	if (err < 0)
		return err;
	err = mnfq_queue_bind(&program->queue, program->sock, worker->queue, &settings, callback,
			      program);
	if (err < 0)
		snprintf(worker->error, sizeof(worker->error), "%s",
			 mnfq_socket_get_error(program->sock));
	return err;
}

/* What the library counted must be what happened. */
static int bench_mnfq_check(const struct bench_mnfq *program)
{
	struct bench_worker *worker = program->worker;
	struct mnfq_stats stats = MNFQ_INIT(stats);

	mnfq_socket_get_stats(program->sock, &stats);
	if (stats.packets == worker->packets && !stats.lost && !stats.refused && !stats.unsent &&
	    !stats.defaulted && !stats.held)
		return 0;
	snprintf(worker->error, sizeof(worker->error),
		 "%llu %s, %llu lost, %llu refused, %llu unsent, %llu by default, %llu undecided",
		 (unsigned long long)stats.packets, plural(stats.packets, "packet", "packets"),
		 (unsigned long long)stats.lost, (unsigned long long)stats.refused,
		 (unsigned long long)stats.unsent, (unsigned long long)stats.defaulted,
		 (unsigned long long)stats.held);
	return -1;
}

static bool has_failed(int err)
{
	return err < 0 && err != -EINTR;
}

/* All packets, from the first to the last verdict. */
static int bench_mnfq_work(struct bench_mnfq *program, const struct bench_mnfq_way *way)
{
	int err = 0, end = 0;

	while (!bench_worker_done(program->worker) && !has_failed(err))
		err = way->round(program);
	if (way->finish)
		end = way->finish(program);
	if (!has_failed(err))
		err = end;
	if (!has_failed(err))
		return bench_mnfq_check(program);
	snprintf(program->worker->error, sizeof(program->worker->error), "%s: %s", strerror(-err),
		 mnfq_socket_get_error(program->sock));
	return err;
}

int bench_mnfq_run(struct bench_worker *worker, const struct bench_mnfq_way *way)
{
	struct bench_mnfq program = { .worker = worker };
	int err = bench_mnfq_open(&program, way->callback);

	if (err == 0 && way->start && way->start(&program) < 0)
		err = bench_worker_fail(worker, "cannot start");
	if (err == 0) {
		bench_worker_begin(worker);
		err = bench_mnfq_work(&program, way);
		bench_worker_end(worker);
	}
	mnfq_socket_close(program.sock);
	return err;
}

int bench_run_mnfq(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = bench_mnfq_decide,
						   .round = bench_mnfq_dispatch };

	return bench_mnfq_run(worker, &way);
}
