// SPDX-License-Identifier: MIT
/* forget.c: what a child process does with the sockets of its parent, and that the kernel hears nothing of it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backlog.h"
#include "support/fixture.h"

static struct mnfq_packet *held[3];
static unsigned int held_count;

/* The queue stays bound in the kernel. */
TestSuite(forget, .init = setup);

static enum mnfq_verdict hold(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_retain(&held[held_count++], packet), 0));
	return MNFQ_DEFER;
}

static void hold_three(void)
{
	rebind_seven(hold, MNFQ_ACCEPT);
	pass_packets(3);
}

/* Forgets the socket, and frees the packets. Nothing has come of it in the kernel. */
static void forget(void)
{
	const unsigned int sends = fake.sends, wakes = fake.wakes;

	sock = mnfq_socket_forget(sock);
	cr_expect(eq(ptr, sock, NULL));
	for (unsigned int i = 0; i < held_count; i++)
		held[i] = mnfq_packet_free(held[i]);
	cr_expect(eq(u32, fake.sends, sends));
	cr_expect(eq(u32, fake.wakes, wakes));
	cr_assert(fake_queue(7) != NULL, "it is the parent's");
}

Test(forget, nothing_is_sent)
{
	const int fd = mnfq_socket_get_fd(sock);

	hold_three();
	forget();
	cr_expect(eq(u32, fake_queued(7), 3));
	cr_expect(eq(int, fcntl(fd, F_GETFD), -1), "its copy of the descriptor is closed");
}

/* As of a queue that was unbound. */
Test(forget, packets_stay_readable)
{
	size_t len;

	hold_three();
	mnfq_packet_set_data(held[1], &len);
	sock = mnfq_socket_forget(sock);
	cr_expect(eq(u32, mnfq_packet_get_id(held[1]), 2));
	(void)mnfq_packet_get_payload(held[1], &len);
	cr_expect(eq(sz, len, 60));
	cr_expect(eq(ptr, mnfq_packet_get_data(held[1]), &len));
	cr_expect(eq(ptr, mnfq_packet_get_queue(held[1]), NULL));
	cr_expect(eq(int, mnfq_packet_set_mark(held[1], 1), -EALREADY));
	cr_expect(eq(int, mnfq_packet_decide(held[1], MNFQ_DROP), -ENODEV));
	for (unsigned int i = 0; i < 3; i++)
		held[i] = mnfq_packet_free(held[i]);
	cr_expect(eq(u32, fake_queued(7), 3));
}

static enum mnfq_verdict stop(struct mnfq_packet *packet, void *data)
{
	mnfq_socket_stop(sock);
	return accept_all(packet, data);
}

/* What was received and not handled yet. */
Test(forget, a_backlog_is_freed)
{
	rebind_seven(stop, MNFQ_ACCEPT);
	enqueue_packets(3);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	cr_assert(ne(ptr, sock->backlog, NULL));
	forget();
	cr_expect(eq(u32, fake_queued(7), 2));
}

Test(forget, several_queues_and_a_shared_ring)
{
	struct mnfq_socket_options options = MNFQ_INIT(options);
	struct mnfq_socket *other;

	cr_assert(eq(int, mnfq_ring_new(&options.ring, 8), 0));
	cr_assert(eq(int, mnfq_socket_open(&other, &options), 0));
	cr_assert(eq(int, mnfq_queue_bind(NULL, other, 8, NULL, accept_all, NULL), 0));
	cr_assert(eq(int, mnfq_queue_bind(NULL, other, FAKE_PLAIN, NULL, accept_all, NULL), 0));
	cr_expect(eq(ptr, mnfq_socket_forget(other), NULL));
	cr_expect(eq(ptr, mnfq_ring_free(options.ring), NULL));
	cr_assert(fake_queue(8) != NULL);
	forget();
	cr_expect(eq(ptr, mnfq_socket_forget(NULL), NULL));
}

static void *hold_the_lock(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&sock->lock);
	return NULL;
}

/* Whoever has it is not there in the child. */
Test(forget, the_lock_may_be_held_for_ever, .timeout = 20)
{
	pthread_t thread;

	hold_three();
	cr_assert(eq(int, pthread_create(&thread, NULL, hold_the_lock, NULL), 0));
	pthread_join(thread, NULL);
	forget();
}

/* ---- another thread of the parent was in a callback, and is not there in the child ---- */

static struct mnfq_packet *original;
static sem_t in_callback;
static bool decides;

static enum mnfq_verdict stay(struct mnfq_packet *packet, void *data)
{
	(void)hold(packet, data);
	if (decides)
		cr_assert(eq(int, mnfq_packet_decide(held[0], MNFQ_ACCEPT), 0));
	original = packet;
	sem_post(&in_callback);
	while (true)
		pause();
	return MNFQ_DROP;
}

static void *dispatch(void *arg)
{
	(void)arg;
	mnfq_socket_dispatch(sock, 0);
	return NULL;
}

/* What it had in hand goes with the ring. */
static void expect_untouched(bool decided)
{
	struct mnfq_ring *ring = sock->ring;
	struct mnfq_packet before;
	pthread_t thread;

	decides = decided;
	sem_init(&in_callback, 0, 0);
	rebind_seven(stay, MNFQ_ACCEPT);
	enqueue_packets(1);
	cr_assert(eq(int, pthread_create(&thread, NULL, dispatch, NULL), 0));
	sem_wait(&in_callback);
	memcpy(&before, original, sizeof(before));
	atomic_fetch_add(&ring->refs, 1); /* so that it can be looked at */
	forget();
	cr_expect(memcmp(&before, original, sizeof(before)) == 0);
	cr_expect(eq(u32, atomic_load(&ring->refs), 1));
	mnfq_ring_free(ring);
	cr_expect(eq(u32, fake_queued(7), 1));
}

Test(forget, a_callback_of_another_thread_that_retained_its_packet)
{
	expect_untouched(false);
}

/* Its verdict is in the outbox. */
Test(forget, a_callback_of_another_thread_that_decided_its_packet)
{
	expect_untouched(true);
}

/* ---- in a round that is open between calls ---- */

Test(forget, pulled_packets)
{
	struct mnfq_ring *ring = sock->ring;
	struct mnfq_packet *packet;

	atomic_fetch_add(&ring->refs, 1);
	rebind_seven(NULL, MNFQ_ACCEPT);
	enqueue_packets(3);
	cr_assert(eq(int, mnfq_socket_receive(sock, 0), 3));
	packet = mnfq_socket_next_packet(sock);
	cr_assert(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), 0));
	packet = mnfq_socket_next_packet(sock);
	cr_assert(eq(int, mnfq_packet_retain(&held[held_count++], packet), 0));
	forget();
	cr_expect(eq(u32, fake_queued(7), 3));
	cr_expect(eq(u32, atomic_load(&ring->refs), 1), "the socket is gone at once");
	mnfq_ring_free(ring);
}

static enum mnfq_verdict defer(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	return MNFQ_DEFER;
}

Test(forget, packets_held_by_their_ids)
{
	rebind_seven(defer, MNFQ_ACCEPT);
	pass_packets(60);
	forget();
	cr_expect(eq(u32, fake_queued(7), 60));
}

/* ---- in a callback ---- */

/* That of another socket of the thread, which goes on: it has a packet in the ring that both share. */
static struct mnfq_socket *neighbour;

static enum mnfq_verdict forget_neighbour(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_retain(&held[0], packet), 0));
	neighbour = mnfq_socket_forget(neighbour);
	held[0] = mnfq_packet_free(held[0]);
	return MNFQ_ACCEPT;
}

Test(forget, in_a_callback_of_another_socket)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .ring = sock->ring };

	cr_assert(eq(int, mnfq_socket_open(&neighbour, &options), 0));
	rebind_seven(forget_neighbour, MNFQ_DROP);
	pass_packets(1);
	expect_verdict(1, MNFQ_ACCEPT);
	sock = mnfq_socket_close(sock);
}

static void *hold_the_outbox(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&sock->guard->outbox);
	return NULL;
}

static enum mnfq_verdict forget_guarded(struct mnfq_packet *packet, void *data)
{
	pthread_t thread;

	(void)packet, (void)data;
	cr_assert(eq(int, pthread_create(&thread, NULL, hold_the_outbox, NULL), 0));
	pthread_join(thread, NULL);
	(void)mnfq_socket_forget(sock);
	return MNFQ_ACCEPT;
}

/* The guard was sending when the callback forked. */
Test(forget, the_outbox_may_be_held_for_ever, .timeout = 20)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .max_delay_us = 100000 };

	mnfq_socket_close(sock);
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
	cr_assert(eq(int, mnfq_queue_bind(NULL, sock, 7, NULL, forget_guarded, NULL), 0));
	enqueue_packets(2);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	cr_expect(eq(u32, fake_queued(7), 2));
}

static enum mnfq_verdict forget_within(struct mnfq_packet *packet, void *data)
{
	int ends[2], fd = eventfd(0, EFD_CLOEXEC);
	char byte;

	(void)data;
	if (mnfq_packet_get_id(packet) == 1)
		return MNFQ_ACCEPT;
	sock->wake_fd = fd;
	atomic_store(&sock->wake, fd);
	cr_assert(eq(int, mnfq_packet_retain(&held[0], packet), 0));
	cr_expect(eq(ptr, mnfq_socket_forget(sock), NULL));
	cr_expect(eq(u32, mnfq_packet_get_id(packet), 2));
	held[0] = mnfq_packet_free(held[0]);
	/* It is there still, its descriptors are another's by now. */
	cr_assert(eq(int, pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0));
	cr_assert(eq(int, dup2(ends[1], fd), fd));
	mnfq_socket_stop(sock);
	cr_expect(lt(long, read(ends[0], &byte, 1), 0));
	return MNFQ_ACCEPT;
}

/* The verdict of the first packet is in the outbox. */
Test(forget, in_a_callback_it_waits_for_its_end)
{
	unsigned int sends;

	rebind_seven(forget_within, MNFQ_ACCEPT);
	enqueue_packets(3);
	sends = fake.sends;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	cr_expect(eq(u32, fake.sends, sends));
	cr_expect(eq(u32, fake_queued(7), 3));
}
