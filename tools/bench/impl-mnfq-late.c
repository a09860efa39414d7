/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: programs that use libmnfq and decide later than in the callback, or receive by
 * themselves. They accept everything. Each has a process of its own.
 */
#include <errno.h>
#include <string.h>

#include "bench/impl-mnfq.h"
#include "bench/late.h"

#define LATE_BATCH_MAX 1024

static struct {
	struct mnfq_packet *packets[LATE_BATCH_MAX];
	size_t count;
	uint32_t ids[BENCH_KEPT + LATE_BATCH_MAX];
	size_t id_count;
	struct bench_handoff handoff;
	struct bench_slots slots;
} late;

/* ---- retained, and decided after the dispatch --------------------------------------------- */

static enum mnfq_verdict late_retain(struct mnfq_packet *packet, void *data)
{
	bench_mnfq_look(data, packet);
	if (late.count == LATE_BATCH_MAX ||
	    mnfq_packet_retain(&late.packets[late.count], packet) < 0)
		return MNFQ_DROP; /* which is seen afterwards */
	late.count++;
	return MNFQ_DEFER;
}

static int late_decide_retained(void)
{
	int err = 0;

	for (size_t i = 0; i < late.count; i++) {
		if (err >= 0)
			err = mnfq_packet_decide(late.packets[i], MNFQ_ACCEPT);
		mnfq_packet_free(late.packets[i]);
	}
	late.count = 0;
	return err;
}

static int late_retain_round(struct bench_mnfq *program)
{
	int n = bench_mnfq_dispatch(program), err = late_decide_retained();

	return err < 0 ? err : n;
}

int bench_run_mnfq_retain(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = late_retain,
						   .round = late_retain_round };

	return bench_mnfq_run(worker, &way);
}

/* The same with one system call for all of them. */
static int late_cork_round(struct bench_mnfq *program)
{
	int n = bench_mnfq_dispatch(program), err = mnfq_socket_cork(program->sock);

	if (err == 0)
		err = late_decide_retained();
	if (err >= 0)
		err = mnfq_socket_flush(program->sock);
	return err < 0 ? err : n;
}

int bench_run_mnfq_cork(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = late_retain,
						   .round = late_cork_round };

	return bench_mnfq_run(worker, &way);
}

/* ---- by id -------------------------------------------------------------------------------- */

/* The queue knows all of these packets. */
static int late_accept(void *queue, const uint32_t *ids, size_t count)
{
	int n = mnfq_queue_decide(queue, ids, count, MNFQ_ACCEPT);

	return n < 0 || (size_t)n == count ? n : -ENOENT;
}

static enum mnfq_verdict late_keep(struct mnfq_packet *packet, void *data)
{
	bench_mnfq_look(data, packet);
	late.ids[late.id_count++] = mnfq_packet_get_id(packet);
	return MNFQ_DEFER;
}

static int late_decide_kept(struct bench_mnfq *program, size_t least)
{
	size_t done = 0;
	int err = 0;

	while (err >= 0 && done + least <= late.id_count && done < late.id_count) {
		size_t n = late.id_count - done < BENCH_KEPT ? late.id_count - done : BENCH_KEPT;

		err = late_accept(program->queue, late.ids + done, n);
		done += n;
	}
	late.id_count -= done;
	memmove(late.ids, late.ids + done, late.id_count * sizeof(late.ids[0]));
	return err;
}

static int late_keep_round(struct bench_mnfq *program)
{
	int n = bench_mnfq_dispatch(program), err = late_decide_kept(program, BENCH_KEPT);

	return err < 0 ? err : n;
}

static int late_finish_kept(struct bench_mnfq *program)
{
	return late_decide_kept(program, 1);
}

int bench_run_mnfq_ids(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = late_keep,
						   .round = late_keep_round,
						   .finish = late_finish_kept };

	return bench_mnfq_run(worker, &way);
}

static int late_start_thread(struct bench_mnfq *program)
{
	return bench_handoff_start(&late.handoff, program->worker->goal, late_accept,
				   program->queue);
}

/*
 * In the callback the packet is not one that waits yet, and the other thread may be quick: it gets the
 * ids after the dispatch.
 */
static int late_hand_over_round(struct bench_mnfq *program)
{
	int n = bench_mnfq_dispatch(program);

	for (size_t i = 0; i < late.id_count; i++)
		bench_handoff_put(&late.handoff, late.ids[i]);
	late.id_count = 0;
	return n;
}

static int late_finish_thread(struct bench_mnfq *program)
{
	(void)program;
	return bench_handoff_finish(&late.handoff);
}

int bench_run_mnfq_thread(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = late_keep,
						   .start = late_start_thread,
						   .round = late_hand_over_round,
						   .finish = late_finish_thread };

	return bench_mnfq_run(worker, &way);
}

/* ---- pulled ------------------------------------------------------------------------------- */

static int late_pull_round(struct bench_mnfq *program)
{
	int n = mnfq_socket_receive(program->sock, -1), err = 0;
	struct mnfq_packet *packet;

	while (n > 0 && err == 0 && (packet = mnfq_socket_next_packet(program->sock)))
		err = mnfq_packet_decide(packet, bench_mnfq_decide(packet, program));
	return err < 0 ? err : n;
}

static int late_flush(struct bench_mnfq *program)
{
	return mnfq_socket_flush(program->sock);
}

int bench_run_mnfq_pull(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .round = late_pull_round,
						   .finish = late_flush };

	return bench_mnfq_run(worker, &way);
}

/* ---- received by the program, and fed ----------------------------------------------------- */

static int late_start_slots(struct bench_mnfq *program)
{
	(void)program;
	return bench_slots_init(&late.slots, true);
}

static int late_receive(struct bench_mnfq *program)
{
	int n = recvmmsg(mnfq_socket_get_fd(program->sock), late.slots.messages, BENCH_SLOTS,
			 MSG_WAITFORONE, NULL);

	return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

static int late_feed(struct bench_mnfq *program, int count)
{
	int err = 0;

	for (int i = 0; i < count && err >= 0; i++) {
		const struct mmsghdr *message = &late.slots.messages[i];

		err = mnfq_socket_feed(program->sock, late.slots.iovecs[i].iov_base,
				       message->msg_len, message->msg_hdr.msg_name,
				       message->msg_hdr.msg_namelen);
	}
	return err;
}

static int late_feed_round(struct bench_mnfq *program)
{
	int n = late_receive(program);

	return n < 0 ? n : late_feed(program, n);
}

int bench_run_mnfq_feed(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = bench_mnfq_decide,
						   .start = late_start_slots,
						   .round = late_feed_round };

	return bench_mnfq_run(worker, &way);
}

/* The same with one system call for all of them. */
static int late_feed_all_round(struct bench_mnfq *program)
{
	int n = late_receive(program), err;

	if (n <= 0)
		return n;
	err = mnfq_socket_cork(program->sock);
	if (err == 0)
		err = late_feed(program, n);
	return err < 0 ? err : mnfq_socket_flush(program->sock);
}

int bench_run_mnfq_feed_all(struct bench_worker *worker)
{
	static const struct bench_mnfq_way way = { .callback = bench_mnfq_decide,
						   .start = late_start_slots,
						   .round = late_feed_all_round };

	return bench_mnfq_run(worker, &way);
}
