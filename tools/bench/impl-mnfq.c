/* SPDX-License-Identifier: MIT */
/* mnfq-bench: libmnfq as its users call it, a callback a packet. */
#include <errno.h>
#include <string.h>

#include <mnfq/mnfq.h>

#include "bench/bench.h"
#include "common/text.h"

#define BUSY_POLL_US 200 /* longer than the pauses between round trips */

static enum mnfq_verdict bench_mnfq_decide(struct mnfq_packet *packet, void *data)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	switch (bench_worker_decide(data, payload, len)) {
	case BENCH_DROP:
		return MNFQ_DROP;
	case BENCH_SET_MARK:
		mnfq_packet_set_mark(packet, BENCH_MARK);
		return MNFQ_ACCEPT;
	default:
		return MNFQ_ACCEPT;
	}
}

static int bench_mnfq_bind_queue(struct bench_worker *worker, struct mnfq_socket *sock)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .max_len = worker->max_len,
					      .flags = worker->gso ? 0 : MNFQ_QUEUE_NO_GSO };
	struct mnfq_queue *queue;
	int err =
		mnfq_queue_bind(&queue, sock, worker->queue, &options, bench_mnfq_decide, worker);

	if (err < 0)
		snprintf(worker->error, sizeof(worker->error), "%s", mnfq_socket_get_error(sock));
	return err;
}

/* What the library counted must be what happened. */
static int bench_mnfq_check(struct bench_worker *worker, struct mnfq_socket *sock)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);

	mnfq_socket_get_stats(sock, &stats);
	if (stats.packets == worker->packets && !stats.lost && !stats.refused && !stats.unsent &&
	    !stats.defaulted)
		return 0;
	snprintf(worker->error, sizeof(worker->error),
		 "%llu %s, %llu lost, %llu refused, %llu unsent",
		 (unsigned long long)stats.packets, plural(stats.packets, "packet", "packets"),
		 (unsigned long long)stats.lost, (unsigned long long)stats.refused,
		 (unsigned long long)stats.unsent);
	return -1;
}

int bench_run_mnfq(struct bench_worker *worker)
{
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = worker->error,
					       .error_size = sizeof(worker->error),
					       .batch = worker->batch,
					       .receive_buffer = worker->receive_buffer,
					       .busy_poll_us = worker->spin ? BUSY_POLL_US : 0,
					       .coalesce_us = worker->coalesce_us };
	struct mnfq_socket *sock;
	int err = mnfq_socket_open(&sock, &options);

	if (err < 0)
		return err;
	err = bench_mnfq_bind_queue(worker, sock);
	if (err == 0) {
		bench_worker_begin(worker);
		while (!bench_worker_done(worker) && (err >= 0 || err == -EINTR))
			err = mnfq_socket_dispatch(sock, -1);
		if (err < 0 && err != -EINTR)
			snprintf(worker->error, sizeof(worker->error), "%s",
				 mnfq_socket_get_error(sock));
		else
			err = bench_mnfq_check(worker, sock);
		bench_worker_end(worker);
	}
	mnfq_socket_close(sock);
	return err;
}
