/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: libnetfilter_queue, as most programs use it: recv, nfq_handle_packet, a verdict a
 * packet; with batch verdicts made by hand, as a few do; and with verdicts that come later.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/late.h"

#define LNQ_BATCH 64
#define SIZE      (65536 + 4096)

struct lnq {
	struct bench_worker *worker;
	struct nfq_handle *handle;
	struct nfq_q_handle *queue;
	char *buffer;
	unsigned int count; /* packets with the same verdict that wait for a batch */
	uint32_t verdict, id;
	uint32_t late[BENCH_KEPT];
	size_t late_count;
	struct bench_handoff handoff;
};

/* How such a program decides. Its functions return 0, or negative. */
struct lnq_way {
	nfq_callback *callback;
	int (*start)(struct lnq *lnq);  /* before the first packet; or NULL */
	int (*finish)(struct lnq *lnq); /* decides what is left; or NULL */
};

/* What the callback is handed. */
static uint32_t get_packet(struct nfq_data *data, unsigned char **payload, size_t *len)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
	int got = nfq_get_payload(data, payload);

	*len = got > 0 ? (size_t)got : 0;
	return header ? ntohl(header->packet_id) : 0;
}

static int lnq_decide(struct nfq_q_handle *queue, struct nfgenmsg *msg, struct nfq_data *data,
		      void *arg)
{
	struct lnq *lnq = arg;
	unsigned char *payload;
	size_t len;
	uint32_t id = get_packet(data, &payload, &len);

	(void)msg;
	switch (bench_worker_decide(lnq->worker, payload, len)) {
	case BENCH_DROP:
		return nfq_set_verdict(queue, id, NF_DROP, 0, NULL);
	case BENCH_SET_MARK:
		return nfq_set_verdict2(queue, id, NF_ACCEPT, BENCH_MARK, 0, NULL);
	default:
		return nfq_set_verdict(queue, id, NF_ACCEPT, 0, NULL);
	}
}

static int flush(struct lnq *lnq)
{
	unsigned int count = lnq->count;

	lnq->count = 0;
	return count ? nfq_set_verdict_batch(lnq->queue, lnq->id, lnq->verdict) : 0;
}

static int decide_batch(struct nfq_q_handle *queue, struct nfgenmsg *msg, struct nfq_data *data,
			void *arg)
{
	struct lnq *lnq = arg;
	unsigned char *payload;
	size_t len;
	uint32_t id = get_packet(data, &payload, &len);
	enum bench_decision decision = bench_worker_decide(lnq->worker, payload, len);
	uint32_t verdict = decision == BENCH_DROP ? NF_DROP : NF_ACCEPT;

	(void)msg;
	if (lnq->count > 0 && (decision == BENCH_SET_MARK || verdict != lnq->verdict))
		flush(lnq);
	if (decision == BENCH_SET_MARK)
		return nfq_set_verdict2(queue, id, verdict, BENCH_MARK, 0, NULL);
	lnq->verdict = verdict;
	lnq->id = id;
	return ++lnq->count < LNQ_BATCH ? 0 : flush(lnq);
}

/* ---- later -------------------------------------------------------------------------------- */

static int lnq_accept(void *data, const uint32_t *ids, size_t count)
{
	struct lnq *lnq = data;

	for (size_t i = 0; i < count; i++)
		if (nfq_set_verdict(lnq->queue, ids[i], NF_ACCEPT, 0, NULL) < 0)
			return -1;
	return 0;
}

static int lnq_accept_late(struct lnq *lnq)
{
	size_t count = lnq->late_count;

	lnq->late_count = 0;
	return lnq_accept(lnq, lnq->late, count);
}

/* Looks at the packet, and returns its id. */
static uint32_t lnq_look(struct lnq *lnq, struct nfq_data *data)
{
	unsigned char *payload;
	size_t len;
	uint32_t id = get_packet(data, &payload, &len);

	bench_worker_decide(lnq->worker, payload, len);
	return id;
}

static int lnq_keep(struct nfq_q_handle *queue, struct nfgenmsg *msg, struct nfq_data *data,
		    void *arg)
{
	struct lnq *lnq = arg;

	(void)queue;
	(void)msg;
	lnq->late[lnq->late_count++] = lnq_look(lnq, data);
	return lnq->late_count < BENCH_KEPT ? 0 : lnq_accept_late(lnq);
}

static int lnq_start_thread(struct lnq *lnq)
{
	return bench_handoff_start(&lnq->handoff, lnq->worker->goal, lnq_accept, lnq);
}

static int lnq_hand_over(struct nfq_q_handle *queue, struct nfgenmsg *msg, struct nfq_data *data,
			 void *arg)
{
	struct lnq *lnq = arg;

	(void)queue;
	(void)msg;
	bench_handoff_put(&lnq->handoff, lnq_look(lnq, data));
	return 0;
}

static int lnq_finish_thread(struct lnq *lnq)
{
	return bench_handoff_finish(&lnq->handoff);
}

/* ---- the loop ----------------------------------------------------------------------------- */

/* Something is there, or a signal came. What waits for a batch leaves before we sleep. */
static ssize_t lnq_receive(struct lnq *lnq)
{
	int fd = nfq_fd(lnq->handle);
	ssize_t len;

	if (lnq->count > 0) {
		len = recv(fd, lnq->buffer, SIZE, MSG_DONTWAIT);
		if (len >= 0 || errno != EAGAIN)
			return len;
		flush(lnq);
	}
	return recv(fd, lnq->buffer, SIZE, 0);
}

static int loop(struct lnq *lnq)
{
	ssize_t len;

	while (!bench_worker_done(lnq->worker)) {
		len = lnq_receive(lnq);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 || nfq_handle_packet(lnq->handle, lnq->buffer, (int)len) < 0)
			return bench_worker_fail(lnq->worker, "receiving or deciding failed");
	}
	return 0;
}

static int open_queue(struct lnq *lnq, nfq_callback *callback)
{
	struct bench_worker *worker = lnq->worker;
	int size = (int)(worker->receive_buffer / 2);

	lnq->buffer = malloc(SIZE);
	lnq->handle = nfq_open();
	if (!lnq->buffer || !lnq->handle)
		return -1;
	lnq->queue = nfq_create_queue(lnq->handle, worker->queue, callback, lnq);
	if (!lnq->queue || nfq_set_queue_maxlen(lnq->queue, worker->max_len) < 0 ||
	    nfq_set_mode(lnq->queue, NFQNL_COPY_PACKET, 0xffff) < 0)
		return -1;
	if (worker->gso && nfq_set_queue_flags(lnq->queue, NFQA_CFG_F_GSO, NFQA_CFG_F_GSO) < 0)
		return -1;
	return setsockopt(nfq_fd(lnq->handle), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static int lnq_run(struct bench_worker *worker, const struct lnq_way *way)
{
	struct lnq lnq = { .worker = worker };
	int err = 0;

	if (open_queue(&lnq, way->callback) < 0 || (way->start && way->start(&lnq) < 0)) {
		err = bench_worker_fail(worker, "cannot bind");
	} else {
		bench_worker_begin(worker);
		err = loop(&lnq);
		if (way->finish && way->finish(&lnq) < 0 && err == 0)
			err = bench_worker_fail(worker, "deciding failed");
		bench_worker_end(worker);
	}
	if (lnq.queue)
		nfq_destroy_queue(lnq.queue);
	if (lnq.handle)
		nfq_close(lnq.handle);
	free(lnq.buffer);
	return err;
}

int bench_run_lnq(struct bench_worker *worker)
{
	static const struct lnq_way way = { .callback = lnq_decide };

	return lnq_run(worker, &way);
}

int bench_run_lnq_batch(struct bench_worker *worker)
{
	static const struct lnq_way way = { .callback = decide_batch, .finish = flush };

	return lnq_run(worker, &way);
}

int bench_run_lnq_ids(struct bench_worker *worker)
{
	static const struct lnq_way way = { .callback = lnq_keep, .finish = lnq_accept_late };

	return lnq_run(worker, &way);
}

int bench_run_lnq_thread(struct bench_worker *worker)
{
	static const struct lnq_way way = { .callback = lnq_hand_over,
					    .start = lnq_start_thread,
					    .finish = lnq_finish_thread };

	return lnq_run(worker, &way);
}
