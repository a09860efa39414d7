// SPDX-License-Identifier: MIT
/*
 * Memory for one batch: the slots that recvmmsg fills, the scratch space for a new payload, the outbox. It
 * is reserved at once and mapped by the kernel page by page as it is touched, so that traffic of
 * small packets never costs the memory of large ones. Nothing in it outlives a round, so that
 * sockets which take turns can share it.
 */
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "guard.h"
#include "packet.h"
#include "wire.h"

/*
 * A few cache lines more than whole pages: slots at multiples of the page size would all start in
 * the same few sets of the cache and push each other out.
 */
#define SLOT_STRIDE (MNFQ_I_SLOT_SIZE + 5 * 64)

#define DEFAULT_SLOTS 64
#define SLOTS_MAX     1024

/* Aims the headers that recvmmsg takes at the slots. */
static void aim(struct mnfq_ring *ring)
{
	unsigned int i;

	for (i = 0; i < ring->slots; i++) {
		ring->iovecs[i].iov_base = ring->memory + (size_t)i * SLOT_STRIDE;
		ring->iovecs[i].iov_len = MNFQ_I_SLOT_SIZE;
		ring->messages[i].msg_hdr.msg_iov = &ring->iovecs[i];
		ring->messages[i].msg_hdr.msg_iovlen = 1;
		ring->messages[i].msg_hdr.msg_name = &ring->senders[i];
		ring->messages[i].msg_hdr.msg_namelen = sizeof(ring->senders[i]);
	}
}

int mnfq_ring_new(struct mnfq_ring **ret, unsigned int batch)
{
	unsigned int slots = batch ? batch : DEFAULT_SLOTS;
	struct mnfq_ring *ring;

	if (!ret || slots > SLOTS_MAX)
		return -EINVAL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	atomic_init(&ring->refs, 1);
	atomic_init(&ring->busy, false);
	ring->slots = slots;
	ring->messages = calloc(slots, sizeof(*ring->messages));
	ring->iovecs = calloc(slots, sizeof(*ring->iovecs));
	ring->senders = calloc(slots, sizeof(*ring->senders));
	ring->memory_size = (size_t)slots * SLOT_STRIDE + MNFQ_I_OUTBOX_MAX +
			    2 * MNFQ_I_SCRATCH_SIZE + slots * sizeof(struct mnfq_packet);
	ring->memory = mmap(NULL, ring->memory_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ring->memory == MAP_FAILED)
		ring->memory = NULL;
	if (!ring->messages || !ring->iovecs || !ring->senders || !ring->memory)
		goto out_of_memory;

	/* A huge page would be touched whole by the first small packet. */
	(void)madvise(ring->memory, ring->memory_size, MADV_NOHUGEPAGE);
	ring->outbox.bytes = ring->memory + (size_t)slots * SLOT_STRIDE;
	ring->scratch = ring->outbox.bytes + MNFQ_I_OUTBOX_MAX;
	ring->packets = (struct mnfq_packet *)(ring->scratch + 2 * MNFQ_I_SCRATCH_SIZE);
	aim(ring);
	*ret = ring;
	return 0;

out_of_memory:
	mnfq_ring_free(ring);
	return -ENOMEM;
}

/* The last of those who have it, the user or a socket, frees it. */
struct mnfq_ring *mnfq_ring_free(struct mnfq_ring *ring)
{
	if (!ring || atomic_fetch_sub(&ring->refs, 1) != 1)
		return NULL;
	mnfq_i_guard_stop(ring->guard);
	if (ring->memory)
		munmap(ring->memory, ring->memory_size);
	free(ring->messages);
	free(ring->iovecs);
	free(ring->senders);
	free(ring);
	return NULL;
}

/*
 * How many packets come next where it cannot be known what one costs, after @done of @batch @took so
 * long: so many that it takes half of @limit to all of it. A batch that was not full says nothing of
 * a larger one.
 */
unsigned int mnfq_i_next_batch(unsigned int batch, unsigned int done, unsigned int max,
			       int64_t took, int64_t limit)
{
	if (took > limit)
		return done > 1 ? done / 2 : 1;
	if (done < batch || took >= limit - took)
		return batch;
	return batch < max / 2 ? 2 * batch : max;
}

/* One message, which costs less than a batch of one. */
static int fill_one(struct mnfq_ring *ring, int fd, bool wait)
{
	socklen_t len = sizeof(ring->senders[0]);
	ssize_t n = recvfrom(fd, ring->iovecs[0].iov_base, MNFQ_I_SLOT_SIZE,
			     wait ? 0 : MSG_DONTWAIT, (struct sockaddr *)&ring->senders[0], &len);

	if (n < 0)
		return -errno;
	ring->filled = (size_t)n;
	ring->messages[0].msg_len = (unsigned int)n;
	if (len < sizeof(ring->senders[0]))
		ring->senders[0].nl_pid = ~0u;
	return 1;
}

/*
 * Receives what is there, @max messages at most; if @wait, waits for the first one. Returns how many
 * or a negative errno.
 */
int mnfq_i_ring_fill(struct mnfq_ring *ring, int fd, unsigned int max, bool wait)
{
	int i, n;

	ring->filled = 0;
	if (max == 1)
		return fill_one(ring, fd, wait);
	n = recvmmsg(fd, ring->messages, max, wait ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++) {
		ring->filled += ring->messages[i].msg_len;
		/* The kernel writes the length that it used over the one that it may use. */
		if (ring->messages[i].msg_hdr.msg_namelen < sizeof(ring->senders[i]))
			ring->senders[i].nl_pid = ~0u;
		ring->messages[i].msg_hdr.msg_namelen = sizeof(ring->senders[i]);
	}
	return n;
}
