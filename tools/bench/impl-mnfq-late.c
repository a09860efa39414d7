/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: programs that use libmnfq and decide later than in the callback, or receive by
 * themselves. They accept everything. Each has a process of its own.
 */
#include <errno.h>

#include "bench/impl-mnfq.h"
#include "bench/late.h"

#define LATE_BATCH_MAX 1024

static struct {
	struct mnfq_packet *packets[LATE_BATCH_MAX];
	size_t count;
	struct bench_slots slots;
} late;

/* ---- retained, and decided one by one after the dispatch ---------------------------------- */

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
