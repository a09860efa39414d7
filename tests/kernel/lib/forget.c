// SPDX-License-Identifier: MIT
/* A child after fork() lets go of its parent's socket, and the parent does not notice. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-fixture.h"

/* Lets go of all: 0, or what went wrong. The child stays until it is told to end. */
static int let_go(int fd, void *arg)
{
	struct fixture *of = arg;
	char byte;

	if (mnfq_socket_forget(of->sock))
		return 1;
	for (unsigned int i = 0; i < of->retained_count; i++) {
		if (seq_of(of->retained[i]) != i)
			return 2;
		if (mnfq_packet_decide(of->retained[i], MNFQ_DROP) != -ENODEV)
			return 3;
		mnfq_packet_free(of->retained[i]);
	}
	if (write(fd, "", 1) != 1)
		return 4;
	return read(fd, &byte, 1) == 0 ? 0 : 5;
}

FamilyTest(forget, the_parent_goes_on)
{
	struct child child;

	fixture_open(family);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_DROP), retain_packet);
	udp_send_many(&fixture.udp, 0, 5);
	fixture_serve(5);
	udp_send_many(&fixture.udp, 5, 2);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 7));
	child = child_start(let_go, &fixture);
	child_await(&child);

	fixture_serve(2);
	for (unsigned int i = 0; i < 7; i++) {
		expect_ok(fixture.sock, mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT));
		mnfq_packet_free(fixture.retained[i]);
	}
	fixture_expect(0, 7);
	cr_expect_eq(child_finish(&child), 0);
	fixture.retained_count = 0;
	udp_send(&fixture.udp, 7);
	fixture_serve(1);
	expect_ok(fixture.sock, mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT));
	mnfq_packet_free(fixture.retained[0]);
	fixture_expect(7, 1);
	expect_counts(.packets = 8, .accepted = 8, .deferred = 8, .held = 0, .defaulted = 0);
	fixture_close();
}

/* Else the queue would live as long as the child. */
QueueTest(forget, the_child_has_no_copy_of_the_descriptor)
{
	struct netns_queue queue;
	struct child child;

	fixture_bind(NULL, count_packet);
	child = child_start(let_go, &fixture);
	child_await(&child);
	close(mnfq_socket_detach(fixture.sock));
	fixture.sock = NULL;
	cr_expect(!netns_get_queue(fixture.ns, 1, &queue));
	cr_expect_eq(child_finish(&child), 0);
}

/* ---- in a callback ---- */

static bool is_child;

static enum mnfq_verdict fork_and_forget(struct mnfq_packet *packet, void *data)
{
	pid_t *child = data;

	(void)packet;
	*child = fork();
	if (*child != 0)
		return MNFQ_ACCEPT;
	is_child = true;
	return mnfq_socket_forget(fixture.sock) ? MNFQ_STOP : MNFQ_DROP;
}

QueueTest(forget, in_a_callback)
{
	struct child child = { .fd = -1 };
	int handled;

	expect_ok(fixture.sock, mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL,
						fork_and_forget, &child.pid));
	udp_send(&fixture.udp, 1);
	handled = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
	if (is_child)
		_exit(handled == -ECANCELED ? 0 : 1);
	cr_assert_eq(handled, 1);
	cr_expect_eq(child_finish(&child), 0);
	fixture_expect(1, 1);
	fixture_expect_nothing();
}

/* ---- at any moment ---- */

static atomic_bool over;
static atomic_uint decided;

/* Every packet is held for a moment, so that the lock is taken, and lists change. */
static enum mnfq_verdict hold_and_decide(struct mnfq_packet *packet, void *data)
{
	struct mnfq_packet *held;

	(void)data;
	if (mnfq_packet_retain(&held, packet) < 0)
		return MNFQ_DROP;
	if (mnfq_packet_get_id(packet) % 2)
		mnfq_packet_decide(held, MNFQ_DROP);
	mnfq_packet_free(held);
	atomic_fetch_add(&decided, 1);
	return MNFQ_DROP;
}

static void *serve(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		if (mnfq_socket_dispatch(fixture.sock, 10) < 0)
			break;
	return NULL;
}

static int just_let_go(int fd, void *arg)
{
	struct fixture *of = arg;

	(void)fd;
	return mnfq_socket_forget(of->sock) ? 1 : 0;
}

QueueTest(forget, while_another_thread_is_in_a_round)
{
	const unsigned int forks = 100;
	unsigned int sent = 0;
	pthread_t thread;
	struct child child;

	fixture_bind(QUEUE_OPTIONS(.max_len = 65536), hold_and_decide);
	cr_assert(pthread_create(&thread, NULL, serve, NULL) == 0);
	for (unsigned int i = 0; i < forks; i++) {
		udp_send_many(&fixture.udp, sent, 200);
		sent += 200;
		child = child_start(just_let_go, &fixture);
		cr_expect_eq(child_finish(&child), 0, "fork %u", i);
	}
	cr_expect(wait_until(atomic_load(&decided) == sent));
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	expect_counts(.packets = sent, .dropped = sent);
}
