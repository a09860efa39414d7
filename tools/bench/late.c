/* SPDX-License-Identifier: MIT */
/* mnfq-bench: room for packets that a program receives itself; and a thread that decides them. */
#include <stdlib.h>
#include <sys/mman.h>

#include "bench/bench.h"
#include "bench/late.h"

#define SLOT (66000 + 304) /* not a multiple of the page size: it would alias in the cache */

int bench_slots_init(struct bench_slots *slots, bool with_senders)
{
	uint8_t *memory = mmap(NULL, (size_t)BENCH_SLOTS * SLOT, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -1;
	(void)madvise(memory, (size_t)BENCH_SLOTS * SLOT, MADV_NOHUGEPAGE);
	slots->memory = memory;
	for (size_t i = 0; i < BENCH_SLOTS; i++) {
		slots->iovecs[i] = (struct iovec){ memory + i * SLOT, SLOT };
		slots->messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &slots->iovecs[i], .msg_iovlen = 1 };
		if (!with_senders)
			continue;
		slots->messages[i].msg_hdr.msg_name = &slots->from[i];
		slots->messages[i].msg_hdr.msg_namelen = sizeof(slots->from[i]);
	}
	return 0;
}

void bench_slots_free(struct bench_slots *slots)
{
	if (slots->memory)
		munmap(slots->memory, (size_t)BENCH_SLOTS * SLOT);
	slots->memory = NULL;
}

/* Takes whatever is there. It is the first processor that has nothing else to do. */
static void *decide_for_others(void *arg)
{
	struct bench_handoff *handoff = arg;
	size_t taken = 0, count;
	int first, last;

	bench_find_cpus(&first, &last);
	bench_set_affinity(first, first);
	for (;;) {
		pthread_mutex_lock(&handoff->mutex);
		while (handoff->put == taken && !handoff->over)
			pthread_cond_wait(&handoff->more, &handoff->mutex);
		count = handoff->put - taken;
		pthread_mutex_unlock(&handoff->mutex);
		if (count == 0)
			return NULL;
		if (handoff->err >= 0)
			handoff->err =
				handoff->decide(handoff->data, handoff->ids + taken, count);
		taken += count;
	}
}

int bench_handoff_start(struct bench_handoff *handoff, size_t count, bench_decide_ids decide,
			void *data)
{
	*handoff = (struct bench_handoff){ .decide = decide,
					   .data = data,
					   .ids = calloc(count, sizeof(*handoff->ids)) };
	if (!handoff->ids)
		return -1;
	pthread_mutex_init(&handoff->mutex, NULL);
	pthread_cond_init(&handoff->more, NULL);
	return pthread_create(&handoff->thread, NULL, decide_for_others, handoff) == 0 ? 0 : -1;
}

void bench_handoff_put(struct bench_handoff *handoff, uint32_t id)
{
	pthread_mutex_lock(&handoff->mutex);
	handoff->ids[handoff->put++] = id;
	pthread_cond_signal(&handoff->more);
	pthread_mutex_unlock(&handoff->mutex);
}

int bench_handoff_finish(struct bench_handoff *handoff)
{
	pthread_mutex_lock(&handoff->mutex);
	handoff->over = true;
	pthread_cond_signal(&handoff->more);
	pthread_mutex_unlock(&handoff->mutex);
	pthread_join(handoff->thread, NULL);
	free(handoff->ids);
	return handoff->err;
}
