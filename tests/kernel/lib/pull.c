/* SPDX-License-Identifier: MIT */
/* Packets that are taken one by one, or decided later by their ids; and queues unbound meanwhile by others. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel-fixture.h"

#define UDP_HEADERS 28 /* of IPv4 and UDP */

/* ---- pulled ---- */

static void open_pulled(void)
{
	fixture_open(4);
	fixture_bind(NULL, NULL);
}

static unsigned int take(void)
{
	int n = mnfq_socket_receive(fixture.sock, DEADLINE_MS);

	cr_assert(n > 0, "%d: %s", n, mnfq_socket_get_error(fixture.sock));
	return (unsigned int)n;
}

/* Takes @count packets in their order, and accepts them; some only after others. */
static void pull(uint32_t first, unsigned int count)
{
	struct mnfq_packet *packet, *kept = NULL;
	uint32_t seq = first;

	while (seq < first + count) {
		take();
		while ((packet = mnfq_socket_next_packet(fixture.sock))) {
			cr_assert(seq_of(packet) == seq, "%u, not %u", seq_of(packet), seq);
			if (seq++ % 7 == 3 && !kept) {
				kept = packet;
				continue;
			}
			cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == 0);
			if (kept && seq % 7 == 0) {
				cr_assert(mnfq_packet_decide(kept, MNFQ_ACCEPT) == 0);
				kept = NULL;
			}
		}
		if (kept)
			cr_assert(mnfq_packet_decide(kept, MNFQ_ACCEPT) == 0);
		kept = NULL;
	}
	cr_assert(mnfq_socket_flush(fixture.sock) == 0);
}

Test(pull, each_packet_in_its_order)
{
	struct tally tally;

	open_pulled();
	udp_send_many(&fixture.udp, 0, 500);
	pull(0, 500);
	tally_init(&tally, 500);
	cr_assert(udp_drain_until(&fixture.udp, &tally, 500));
	cr_assert(tally.repeated == 0 && tally.strange == 0);
	tally_free(&tally);
	expect_counts(.packets = 500, .accepted = 500);
	fixture_close();
}

static void change(struct mnfq_packet *packet)
{
	const uint32_t seq = seq_of(packet), other = htonl(seq + 1000);

	if (seq % 2)
		cr_assert(mnfq_packet_set_mark(packet, 7) == 0);
	else
		cr_assert(mnfq_packet_edit(packet, UDP_HEADERS, 4, &other, 4) == 0);
}

/* All of them are changed before the first one is decided. */
Test(pull, marks_and_payloads)
{
	struct mnfq_packet *packets[10];
	struct datagram datagram;

	open_pulled();
	netns_rule(fixture.ns, 4, "-A INPUT -p udp -m mark --mark 7");
	udp_send_many(&fixture.udp, 0, 10);
	netns_wait_waiting(fixture.ns, 1, 10);
	cr_assert(take() == 10);
	for (unsigned int i = 0; i < 10; i++) {
		packets[i] = mnfq_socket_next_packet(fixture.sock);
		change(packets[i]);
	}
	for (unsigned int i = 0; i < 10; i++)
		cr_assert(mnfq_packet_decide(packets[i], MNFQ_ACCEPT) == 0);
	cr_assert(mnfq_socket_flush(fixture.sock) == 0);
	for (uint32_t i = 0; i < 10; i++) {
		cr_assert(udp_await(&fixture.udp, &datagram));
		cr_assert(datagram.seq == (i % 2 ? i : i + 1000));
	}
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1) == 5);
	expect_counts(.accepted = 10, .marked = 5, .rewritten = 5);
	fixture_close();
}

static unsigned int called;

static enum mnfq_verdict drop(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	called++;
	return MNFQ_DROP;
}

/* Of one queue the packets are pulled, the other has a callback, and ends in between. */
Test(pull, two_queues_of_which_one_ends)
{
	struct mnfq_packet *packet;
	struct mnfq_queue *other;
	struct udp udp;

	open_pulled();
	netns_rule(fixture.ns, 4,
		   "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 2 --queue-bypass",
		   PORT + 1);
	udp_open(&udp, fixture.ns, fixture.ns, "127.0.0.1", PORT + 1);
	cr_assert(mnfq_queue_bind(&other, fixture.sock, 2, NULL, drop, NULL) == 0);
	for (uint32_t i = 0; i < 6; i++) {
		udp_send(&udp, i);
		udp_send(&fixture.udp, i);
	}
	netns_wait_waiting(fixture.ns, 1, 6);
	cr_assert(take() == 12);
	for (uint32_t i = 0; i < 3; i++) {
		packet = mnfq_socket_next_packet(fixture.sock);
		cr_assert(seq_of(packet) == i && called == i + 1);
		cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == 0);
	}
	packet = mnfq_socket_next_packet(fixture.sock); /* gets the default verdict */
	mnfq_queue_unbind(other);
	cr_assert(mnfq_socket_next_packet(fixture.sock) == NULL);
	pull(4, 2);
	cr_assert(called == 4);
	fixture_expect(0, 3);
	fixture_expect(4, 2);
	cr_assert(fixture_socket_stats().dropped == 7);
	udp_close(&udp);
	fixture_close();
}

Test(pull, unbinding_and_closing_with_packets_in_hand)
{
	for (unsigned int closes = 0; closes < 2; closes++) {
		fixture_open(4);
		fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), NULL);
		udp_send_many(&fixture.udp, 0, 4);
		netns_wait_waiting(fixture.ns, 1, 4);
		take();
		(void)mnfq_socket_next_packet(fixture.sock);
		(void)mnfq_socket_next_packet(fixture.sock);
		if (closes)
			fixture.sock = mnfq_socket_close(fixture.sock);
		else
			fixture.queue = mnfq_queue_unbind(fixture.queue);
		fixture_expect(0, 4);
		fixture_close();
	}
}

/* ---- decided by others ---- */

#define PACKETS 4000
#define MANY    100 /* ids in a call */

struct list {
	uint32_t ids[PACKETS];
	struct mnfq_packet *copies[PACKETS];
	unsigned int count;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list accepted, dropped, copied;
	bool all;
	unsigned int failures;
} later = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

static bool is_accepted(uint32_t seq)
{
	return seq % 3 != 1;
}

/* The one before, which waits since its callback has returned. */
static struct {
	bool is;
	uint32_t seq, id;
	struct mnfq_packet *copy;
} previous;

static void hand_over(void)
{
	struct list *list = previous.seq % 22 == 0      ? &later.copied
			    : is_accepted(previous.seq) ? &later.accepted
							: &later.dropped;

	if (!previous.is)
		return;
	pthread_mutex_lock(&later.lock);
	list->copies[list->count] = previous.copy;
	list->ids[list->count++] = previous.id;
	pthread_cond_signal(&later.more);
	pthread_mutex_unlock(&later.lock);
	previous.is = false;
}

static enum mnfq_verdict put_off(struct mnfq_packet *packet, void *data)
{
	(void)data;
	hand_over();
	previous.is = true;
	previous.seq = seq_of(packet);
	previous.id = mnfq_packet_get_id(packet);
	previous.copy = NULL;
	if (previous.seq % 11 == 0 && mnfq_packet_retain(&previous.copy, packet) < 0)
		abort();
	return MNFQ_DEFER;
}

/* Copies the last entries of a list; with the lock held. */
static unsigned int take_list(struct list *from, struct list *to, unsigned int max)
{
	unsigned int n = from->count < max ? from->count : max;

	from->count -= n;
	memcpy(to->ids, from->ids + from->count, n * sizeof(*to->ids));
	memcpy(to->copies, from->copies + from->count, n * sizeof(struct mnfq_packet *));
	return to->count = n;
}

/* Some that are there. Returns whether there may be more. */
static bool take_some(struct list *taken, enum mnfq_verdict *verdict, bool *copies,
		      unsigned int max)
{
	bool more;

	pthread_mutex_lock(&later.lock);
	while (!later.all && later.accepted.count + later.dropped.count + later.copied.count == 0)
		pthread_cond_wait(&later.more, &later.lock);
	*verdict = MNFQ_ACCEPT;
	*copies = take_list(&later.copied, taken, max) > 0;
	if (!*copies && take_list(&later.accepted, taken, max) == 0) {
		take_list(&later.dropped, taken, max);
		*verdict = MNFQ_DROP;
	}
	more = taken->count > 0 || !later.all;
	pthread_mutex_unlock(&later.lock);
	return more;
}

static void *decide_them(void *arg)
{
	struct list *taken = malloc(sizeof(*taken));
	unsigned int max = arg ? MANY : 3, failures = 0;
	enum mnfq_verdict verdict;
	bool copies;

	while (take_some(taken, &verdict, &copies, max)) {
		if (!copies)
			failures += mnfq_queue_decide(fixture.queue, taken->ids, taken->count,
						      verdict) != (int)taken->count;
		for (unsigned int i = 0; i < taken->count; i++) {
			if (copies)
				failures +=
					mnfq_packet_decide(taken->copies[i],
							   is_accepted(seq_of(taken->copies[i]))
								   ? MNFQ_ACCEPT
								   : MNFQ_DROP) != 0;
			mnfq_packet_free(taken->copies[i]);
		}
		failures +=
			mnfq_queue_decide(fixture.queue, taken->ids, taken->count, verdict) != 0;
	}
	free(taken);
	pthread_mutex_lock(&later.lock);
	later.failures += failures;
	pthread_mutex_unlock(&later.lock);
	return NULL;
}

/* Four threads, two of which decide up to a hundred at a time, while the receiver goes on. */
Test(pull, by_id_from_four_threads)
{
	const unsigned int accepted = (PACKETS + 2) / 3 + PACKETS / 3;
	struct tally tally;
	pthread_t threads[4];

	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.max_len = 2 * PACKETS), put_off);
	for (size_t i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, decide_them,
					 i % 2 ? &fixture : NULL) == 0);
	tally_init(&tally, PACKETS);
	for (uint32_t seq = 0; seq < PACKETS; seq += 200) {
		udp_send_many(&fixture.udp, seq, 200);
		fixture_serve(200);
	}
	hand_over();
	pthread_mutex_lock(&later.lock);
	later.all = true;
	pthread_cond_broadcast(&later.more);
	pthread_mutex_unlock(&later.lock);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert(later.failures == 0);
	cr_assert(udp_drain_until(&fixture.udp, &tally, accepted), "%llu of %u arrived",
		  (unsigned long long)tally.count, accepted);
	for (uint32_t seq = 0; seq < PACKETS; seq++)
		cr_assert(tally.hits[seq] == is_accepted(seq), "datagram %u", seq);
	tally_free(&tally);
	expect_counts(.deferred = PACKETS, .accepted = accepted, .dropped = PACKETS - accepted);
	fixture_close();
}

static void *decide_copies(void *arg)
{
	const unsigned int first = *(const unsigned int *)arg;

	for (unsigned int i = first; i < fixture.retained_count; i += 4) {
		int err = mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT);

		if (err != 0 && err != -ENODEV)
			abort();
		mnfq_packet_free(fixture.retained[i]);
	}
	return NULL;
}

/* Each packet is decided once, by its thread or by the end of the queue: all arrive. */
Test(pull, unbinding_while_threads_decide)
{
	unsigned int firsts[4] = { 0, 1, 2, 3 };
	struct tally tally;
	pthread_t threads[4];

	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), retain_packet);
	udp_send_many(&fixture.udp, 0, 1000);
	fixture_serve(1000);
	for (size_t i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, decide_copies, &firsts[i]) == 0);
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	tally_init(&tally, 1000);
	cr_assert(udp_drain_until(&fixture.udp, &tally, 1000));
	cr_assert(tally.repeated == 0);
	tally_free(&tally);
	cr_assert(fixture_socket_stats().accepted == 1000);
	fixture_close();
}

/* ---- unbound by others ---- */

static void *unbind(void *arg)
{
	(void)arg;
	mnfq_queue_unbind(fixture.queue);
	return NULL;
}

static enum mnfq_verdict have_it_unbound(struct mnfq_packet *packet, void *data)
{
	struct netns_queue queue;
	pthread_t thread;

	(void)data;
	cr_assert(seq_of(packet) == 0, "no callback after that");
	cr_assert(pthread_create(&thread, NULL, unbind, NULL) == 0);
	pthread_join(thread, NULL);
	cr_assert(netns_get_queue(fixture.ns, 1, &queue), "not while a callback runs");
	return MNFQ_ACCEPT;
}

QueueTest(pull, unbound_by_another_thread_during_a_callback)
{
	struct netns_queue queue;

	fixture_bind(NULL, have_it_unbound);
	udp_send_many(&fixture.udp, 0, 5);
	netns_wait_waiting(fixture.ns, 1, 5);
	fixture_serve(1);
	cr_assert(!netns_get_queue(fixture.ns, 1, &queue));
	fixture_expect(0, 1);
	fixture_expect_nothing();
	cr_assert(fixture_socket_stats().defaulted == 4);
}

static pid_t dispatcher;

static void *dispatch(void *arg)
{
	__atomic_store_n(&dispatcher, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	*(int *)arg = mnfq_socket_run(fixture.sock);
	return NULL;
}

static bool sleeps(void)
{
	const pid_t tid = __atomic_load_n(&dispatcher, __ATOMIC_SEQ_CST);

	return tid != 0 && process_state(tid) == 'S';
}

/* The thread may wait in the receive, or, since a round before has not begun with a wait, in poll(). */
QueueTest(pull, unbound_by_another_thread_during_a_wait)
{
	struct netns_queue queue;
	pthread_t thread;
	int result = -1;

	fixture_bind(NULL, count_packet);
	cr_assert(pthread_create(&thread, NULL, dispatch, &result) == 0);
	cr_assert(wait_until(sleeps()));
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	cr_assert(wait_until(!netns_get_queue(fixture.ns, 1, &queue)));
	mnfq_socket_stop(fixture.sock);
	pthread_join(thread, NULL);
	cr_assert(result == 0);
}
