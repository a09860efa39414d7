// SPDX-License-Identifier: MIT
/* ring.c: memory for receiving that the sockets of a thread share. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "support/fixture.h"

static struct mnfq_ring *ring;
static struct mnfq_socket *other; /* shares the ring; queue 8 */
static struct mnfq_queue *eight;
static enum mnfq_verdict (*inside)(struct mnfq_packet *packet);

/* What queue 7 does is said by the test. */
static enum mnfq_verdict call_inside(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	return inside(packet);
}

static int open_with(struct mnfq_socket **to, struct mnfq_ring *with)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .ring = with };

	return mnfq_socket_open(to, &options);
}

static void set_up(void)
{
	fake_reset();
	seen = 0;
	cr_assert(eq(int, mnfq_ring_new(&ring, 4), 0));
	cr_assert(eq(int, open_with(&sock, ring), 0));
	cr_assert(eq(int, open_with(&other, ring), 0));
	bind_seven(call_inside, MNFQ_DROP);
	cr_assert(eq(int, mnfq_queue_bind(&eight, other, 8, NULL, accept_all, NULL), 0));
}

/* Whatever the test closed already is NULL. */
static void tear_down(void)
{
	other = mnfq_socket_close(other);
	ring = mnfq_ring_free(ring);
	teardown();
}

TestSuite(ring, .init = set_up, .fini = tear_down);

static enum mnfq_verdict accept_it(struct mnfq_packet *packet)
{
	(void)packet;
	return MNFQ_ACCEPT;
}

static void send_to_both(unsigned int n)
{
	while (n-- > 0) {
		fake_packet(7, 60, true);
		fake_packet(8, 60, true);
	}
}

Test(ring, sockets_take_turns_with_it)
{
	inside = accept_it;
	send_to_both(6);
	for (unsigned int turn = 0; turn < 2; turn++) {
		cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), turn ? 2 : 4),
			  "the batch is the ring's");
		cr_expect(eq(int, mnfq_socket_dispatch(other, 0), turn ? 2 : 4));
	}
	cr_expect(eq(uint, seen, 12));
	cr_expect(eq(uint, fake_queued(7) + fake_queued(8), 0));
	expect_verdict(6, MNFQ_ACCEPT);
	cr_expect(eq(u32, fake_queue(8)->decisions[6].verdict, MNFQ_ACCEPT));
	cr_expect(eq(u64, stats().packets, 6), "each counts its own");
	cr_expect(eq(u64, stats().unclaimed, 0));
}

Test(ring, a_thousand_sockets_take_no_ring_each)
{
	struct mnfq_socket *one, *shares;
	unsigned int before = fake.allocations, alone;

	cr_assert(eq(int, open_with(&one, NULL), 0));
	alone = fake.allocations - before;
	before = fake.allocations;
	cr_assert(eq(int, open_with(&shares, ring), 0));
	cr_expect(eq(uint, fake.allocations - before, 1), "%u alone", alone);
	cr_expect(eq(ptr, shares->ring, sock->ring));
	cr_expect(ne(ptr, one->ring, sock->ring));
	cr_expect(lt(sz, sizeof(struct mnfq_socket) + sizeof(struct mnfq_queue), 4096));
	mnfq_socket_close(one);
	mnfq_socket_close(shares);
}

Test(ring, no_descriptor_for_waking_before_a_wait)
{
	inside = accept_it;
	send_to_both(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, sock->wake_fd, -1));
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 1), 0));
	cr_expect(ge(int, sock->wake_fd, 0));
}

Test(ring, wrong_arguments)
{
	struct mnfq_ring *untouched = NULL;
	char errmsg[200] = "";
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .ring = ring,
					       .batch = 64,
					       .error = errmsg,
					       .error_size = sizeof(errmsg) };
	struct mnfq_socket *none = NULL;

	cr_expect(eq(int, mnfq_ring_new(NULL, 1), -EINVAL));
	cr_expect(eq(int, mnfq_ring_new(&untouched, 1025), -EINVAL));
	cr_expect(eq(ptr, untouched, NULL));
	cr_expect(eq(ptr, mnfq_ring_free(NULL), NULL));
	cr_expect(eq(int, mnfq_socket_open(&none, &options), -EINVAL));
	cr_expect(eq(ptr, none, NULL));
	cr_expect(strstr(errmsg, "leave .batch 0") != NULL, "%s", errmsg);
	cr_expect(eq(int, (int)ring->refs, 3), "nothing keeps it that is not there");
}

Test(ring, from_one_packet_to_1024)
{
	struct mnfq_ring *some;

	for (unsigned int batch = 0; batch <= 1024; batch += batch ? batch : 1) {
		cr_assert(eq(int, mnfq_ring_new(&some, batch), 0));
		cr_expect(eq(uint, some->slots, batch ? batch : 64));
		mnfq_ring_free(some);
	}
}

static void expect_in_use(int err)
{
	cr_expect(eq(int, err, -EBUSY));
	cr_expect(strstr(mnfq_socket_get_error(other), "ring is in use") != NULL, "%s",
		  mnfq_socket_get_error(other));
}

static enum mnfq_verdict use_other(struct mnfq_packet *packet)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	unsigned int polls = fake.polls;

	(void)packet;
	expect_in_use(mnfq_socket_dispatch(other, 0));
	expect_in_use(mnfq_socket_dispatch(other, 1000));
	expect_in_use(mnfq_socket_run(other));
	cr_expect(eq(uint, fake.polls, polls), "no time is lost in waiting first");
	expect_in_use(
		mnfq_socket_feed(other, "?", 1, (struct sockaddr *)&kernel, sizeof(kernel)));
	return MNFQ_DROP;
}

Test(ring, is_used_by_one_socket_at_a_time)
{
	inside = use_other;
	other->single_packet = true; /* as after a packet that came alone */
	enqueue_packets(2);
	fake_packet(8, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(uint, seen, 2), "the other socket's callback was not called");
	expect_each_verdict(1, 2, MNFQ_DROP);
	cr_expect(eq(uint, fake_queued(8), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(other, 0), 1), "and nothing is lost");
	cr_expect(eq(u64, stats().malformed, 0));
}

/* A pending report is not used up by a call that is refused. */
static enum mnfq_verdict stop_other(struct mnfq_packet *packet)
{
	mnfq_socket_stop(other);
	return use_other(packet);
}

Test(ring, a_refused_call_does_not_take_the_stop)
{
	inside = stop_other;
	pass_packets(1);
	cr_expect(eq(int, mnfq_socket_dispatch(other, 0), -ECANCELED));
}

Test(ring, is_free_after_whatever_ended_a_round)
{
	inside = accept_it;
	/* Nothing there; a receive that fails; a send that fails; a datagram of another process. */
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 0));
	fake_packet(7, 60, true);
	fake.send_error = EPERM;
	fake.send_errors = 1;
	(void)mnfq_socket_dispatch(sock, 0);
	fake_datagram("??", 2, 4711);
	(void)mnfq_socket_dispatch(sock, 0);
	msg.len = 0;
	(void)feed();
	send_to_both(1);
	cr_expect(eq(int, mnfq_socket_dispatch(other, 0), 1));
}

static void *dispatch_other(void *arg)
{
	(void)arg;
	expect_in_use(mnfq_socket_dispatch(other, 0));
	return NULL;
}

static enum mnfq_verdict use_in_thread(struct mnfq_packet *packet)
{
	pthread_t thread;

	(void)packet;
	cr_assert(eq(int, pthread_create(&thread, NULL, dispatch_other, NULL), 0));
	pthread_join(thread, NULL);
	return MNFQ_ACCEPT;
}

Test(ring, use_by_another_thread_is_reported)
{
	inside = use_in_thread;
	send_to_both(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(uint, fake_queued(8), 1));
}

/* Sanitizers and valgrind see what is used too late or never freed. */
Test(ring, freed_before_its_sockets)
{
	struct mnfq_ring *before = ring;

	ring = mnfq_ring_free(ring);
	cr_expect(eq(int, (int)before->refs, 2));
	inside = accept_it;
	send_to_both(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	other = mnfq_socket_close(other);
	cr_expect(eq(int, (int)before->refs, 1));
	pass_packets(1);
}

Test(ring, freed_after_its_sockets)
{
	other = mnfq_socket_close(other);
	mnfq_socket_close(sock);
	cr_expect(eq(int, (int)ring->refs, 1));
	cr_assert(eq(int, open_with(&sock, ring), 0), "it can serve others");
}

static enum mnfq_verdict free_ring(struct mnfq_packet *packet)
{
	ring = mnfq_ring_free(ring);
	cr_expect(eq(int, mnfq_packet_set_payload(packet, "new", 3), 0));
	return MNFQ_ACCEPT;
}

Test(ring, freed_in_a_callback)
{
	inside = free_ring;
	pass_packets(1);
	cr_expect(eq(sz, fake_queue(7)->decisions[1].payload_len, 3));
}

static enum mnfq_verdict close_other(struct mnfq_packet *packet)
{
	mnfq_packet_set_mark(packet, 5);
	cr_expect(eq(int, mnfq_packet_set_payload(packet, "new", 3), 0));
	other = mnfq_socket_close(other);
	return MNFQ_ACCEPT;
}

Test(ring, another_socket_closed_in_a_callback)
{
	inside = close_other;
	send_to_both(2);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 2));
	cr_expect(eq(ptr, fake_queue(8), NULL));
	expect_verdict(2, MNFQ_ACCEPT);
	cr_expect(eq(sz, fake_queue(7)->decisions[2].payload_len, 3));
	cr_expect(eq(u32, fake_queue(7)->decisions[1].mark, 5));
	cr_expect(eq(int, (int)ring->refs, 2));
}

static enum mnfq_verdict close_all(struct mnfq_packet *packet)
{
	(void)packet;
	ring = mnfq_ring_free(ring);
	sock = mnfq_socket_close(sock);
	return MNFQ_ACCEPT;
}

Test(ring, closed_with_its_last_socket_in_a_callback)
{
	other = mnfq_socket_close(other);
	inside = close_all;
	fake_packet(7, 60, true);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), -ECANCELED));
	cr_expect(eq(ptr, fake_queue(7), NULL));
}

static struct mnfq_packet *kept;

static enum mnfq_verdict keep(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_retain(&kept, packet), 0));
	return MNFQ_DEFER;
}

static enum mnfq_verdict decide_kept(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	cr_expect(eq(int, mnfq_packet_set_payload(kept, "kept", 4), 0));
	cr_expect(eq(int, mnfq_packet_decide(kept, MNFQ_ACCEPT), 0));
	return MNFQ_DROP;
}

/* Its verdict does not get among those of the socket whose turn it is. */
Test(ring, a_retained_packet_is_decided_in_another_sockets_callback)
{
	inside = keep;
	eight = mnfq_queue_unbind(eight);
	cr_assert(eq(int, mnfq_queue_bind(&eight, other, 8, NULL, decide_kept, NULL), 0));
	send_to_both(1);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	cr_expect(eq(int, mnfq_socket_dispatch(other, 0), 1));
	expect_verdict(1, MNFQ_ACCEPT);
	cr_expect(eq(sz, fake_queue(7)->decisions[1].payload_len, 4));
	cr_expect(eq(u32, fake_queue(8)->decisions[1].verdict, MNFQ_DROP));
	kept = mnfq_packet_free(kept);
}

Test(ring, running_out_of_memory_is_reported_and_survived)
{
	struct mnfq_ring *some = NULL;
	struct mnfq_socket *one = NULL;

	for (unsigned int nth = 1; nth <= 5; nth++) {
		fake.fail_allocation = nth;
		cr_expect(eq(int, mnfq_ring_new(&some, 8), -ENOMEM), "allocation %u", nth);
		cr_expect(eq(ptr, some, NULL));
	}
	fake.fail_allocation = 0;
	cr_assert(eq(int, mnfq_ring_new(&some, 8), 0));
	fake.fail_allocation = 1;
	cr_expect(eq(int, open_with(&one, some), -ENOMEM));
	fake.fail_allocation = 0;
	cr_expect(eq(int, (int)some->refs, 1), "a socket that failed does not keep it");
	cr_assert(eq(int, open_with(&one, some), 0));
	mnfq_ring_free(some);
	mnfq_socket_close(one);
}

/* ---- a socket that moves to another ring ---- */

Test(ring, a_socket_moves_to_another)
{
	struct mnfq_ring *before = ring, *another;

	inside = accept_it;
	cr_assert(eq(int, mnfq_ring_new(&another, 2), 0));
	send_to_both(5);
	cr_assert(eq(int, mnfq_socket_set_ring(other, another), 0));
	cr_expect(eq(int, (int)another->refs, 2));
	cr_expect(eq(int, (int)before->refs, 2));
	mnfq_ring_free(another);
	cr_expect(eq(int, mnfq_socket_dispatch(other, 0), 2), "the batch is the new ring's");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 4));
	cr_assert(eq(int, mnfq_socket_set_ring(other, ring), 0), "and back");
	cr_expect(eq(int, (int)ring->refs, 3));
	cr_expect(eq(int, mnfq_socket_dispatch(other, 0), 3));
	cr_assert(eq(int, mnfq_socket_set_ring(other, ring), 0), "the one that it has");
	cr_expect(eq(int, (int)ring->refs, 3));
	cr_expect(eq(uint, fake_queued(8), 0));
}

Test(ring, a_socket_moves_to_one_of_its_own)
{
	cr_assert(eq(int, mnfq_socket_set_ring(other, NULL), 0));
	cr_expect(ne(ptr, other->ring, ring));
	cr_expect(eq(uint, other->ring->slots, 4), "as large as before");
	cr_expect(eq(int, (int)other->ring->refs, 1));
	cr_expect(eq(int, (int)ring->refs, 2));
}

static struct mnfq_ring *elsewhere;
static struct mnfq_socket *third; /* has the ring elsewhere */

static void expect_not_moved(struct mnfq_socket *which, struct mnfq_ring *to)
{
	struct mnfq_ring *before = which->ring;

	cr_expect(eq(int, mnfq_socket_set_ring(which, to), -EBUSY));
	cr_expect(strstr(mnfq_socket_get_error(which), "in a round") != NULL, "%s",
		  mnfq_socket_get_error(which));
	cr_expect(eq(ptr, which->ring, before));
}

static enum mnfq_verdict move(struct mnfq_packet *packet)
{
	(void)packet;
	expect_not_moved(sock, elsewhere);
	expect_not_moved(sock, NULL);
	expect_not_moved(other, elsewhere);
	expect_not_moved(third, ring);
	return MNFQ_ACCEPT;
}

Test(ring, no_socket_moves_during_a_round)
{
	inside = move;
	cr_assert(eq(int, mnfq_ring_new(&elsewhere, 4), 0));
	cr_assert(eq(int, open_with(&third, elsewhere), 0));
	pass_packets(1);
	expect_verdict(1, MNFQ_ACCEPT);
	cr_expect(eq(int, (int)ring->refs, 3));
	cr_expect(eq(int, (int)elsewhere->refs, 2));
	cr_expect(eq(int, mnfq_socket_set_ring(sock, elsewhere), 0), "afterwards it does");
	mnfq_ring_free(elsewhere);
	mnfq_socket_close(third);
}

Test(ring, a_move_that_fails_changes_nothing)
{
	struct mnfq_ring *before = other->ring;

	cr_expect(eq(int, mnfq_socket_set_ring(NULL, ring), -EINVAL));
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_socket_set_ring(other, NULL), -ENOMEM));
	fake.fail_allocation = 0;
	cr_expect(eq(ptr, other->ring, before));
	cr_expect(eq(int, (int)ring->refs, 3));
}

/* What is held, or in the backlog, is not in a ring. */
Test(ring, a_retained_packet_moves_along)
{
	inside = keep;
	pass_packets(1);
	cr_assert(eq(int, mnfq_socket_set_ring(sock, NULL), 0));
	ring = mnfq_ring_free(ring);
	cr_expect(eq(int, mnfq_packet_decide(kept, MNFQ_ACCEPT), 0));
	expect_verdict(1, MNFQ_ACCEPT);
	kept = mnfq_packet_free(kept);
}
