/* SPDX-License-Identifier: MIT */
/* max_delay_us: no verdict waits for what the program does next. Its effect is what each test waits for. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel-fixture.h"

#define DELAY 1000

static struct mnfq_socket *open_socket(uint32_t max_delay_us, struct mnfq_ring *ring)
{
	struct mnfq_socket *sock;

	cr_assert(mnfq_socket_open_netns(
			  &sock, fixture.ns->name,
			  SOCKET_OPTIONS(.max_delay_us = max_delay_us, .ring = ring)) == 0);
	return sock;
}

static void open_delayed(uint32_t max_delay_us, struct mnfq_ring *ring)
{
	fixture_open(4);
	mnfq_socket_close(fixture.sock);
	fixture.sock = open_socket(max_delay_us, ring);
}

static void take(void)
{
	cr_assert(mnfq_socket_receive(fixture.sock, DEADLINE_MS) > 0);
}

static struct mnfq_packet *next(void)
{
	struct mnfq_packet *packet = mnfq_socket_next_packet(fixture.sock);

	cr_assert(packet);
	return packet;
}

/* It blocks until the packet before is there. */
static enum mnfq_verdict await_previous(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (seq_of(packet) > 0)
		fixture_expect(seq_of(packet) - 1, 1);
	return MNFQ_ACCEPT;
}

Test(delay, a_callback_that_blocks)
{
	open_delayed(DELAY, NULL);
	fixture_bind(NULL, await_previous);
	udp_send_many(&fixture.udp, 0, 5);
	fixture_serve(5);
	fixture_expect(4, 1);
	expect_counts(.accepted = 5);
	fixture_close();
}

static enum mnfq_verdict await_itself(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == 0);
	fixture_expect(seq_of(packet), 1);
	return MNFQ_DROP;
}

Test(delay, a_packet_in_hand)
{
	open_delayed(DELAY, NULL);
	fixture_bind(NULL, await_itself);
	udp_send_many(&fixture.udp, 0, 3);
	fixture_serve(3);
	expect_counts(.accepted = 3);
	fixture_close();
}

static enum mnfq_verdict decide_itself(struct mnfq_packet *packet, void *data)
{
	struct fixture *to = data;
	struct netns_queue queue;

	cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == 0);
	if (to->seen++ == 0) {
		cr_assert(netns_get_queue(to->ns, 1, &queue) && queue.waiting == 2);
		fixture_expect_nothing();
		cr_assert(mnfq_socket_flush(to->sock) == 0);
		fixture_expect(0, 1);
	}
	return MNFQ_DROP;
}

/* The library's threads in this process. Others have Criterion, which may still be starting them. */
static unsigned int count_threads(void)
{
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");
	char path[300], name[32];
	FILE *file;

	cr_assert(dir);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue; /* . and .., or it has ended */
		count += fgets(name, sizeof(name), file) && strcmp(name, "mnfq-delay\n") == 0;
		fclose(file);
	}
	closedir(dir);
	return count;
}

/* Without a delay there is no thread, and so nobody to send what was decided but the callback itself. */
Test(delay, no_thread_without_it)
{
	open_delayed(0, NULL);
	fixture_bind(NULL, decide_itself);
	udp_send_many(&fixture.udp, 0, 2);
	netns_wait_waiting(fixture.ns, 1, 2);
	fixture_serve(2);
	cr_assert(count_threads() == 0);
	fixture_expect(1, 1);
	fixture_close();
}

Test(delay, the_thread_goes_with_the_ring)
{
	open_delayed(DELAY, NULL);
	fixture_bind(NULL, count_packet);
	cr_assert(count_threads() == 0, "before the first round");
	fixture_pass(0, 1);
	cr_assert(count_threads() == 1);
	cr_assert(mnfq_socket_set_ring(fixture.sock, NULL) == 0);
	cr_assert(count_threads() == 0);
	fixture_pass(1, 1);
	fixture_close();
	cr_assert(count_threads() == 0);
}

Test(delay, between_calls_of_one_who_pulls)
{
	struct mnfq_packet *packet;

	open_delayed(DELAY, NULL);
	fixture_bind(NULL, NULL);
	udp_send_many(&fixture.udp, 0, 3);
	netns_wait_waiting(fixture.ns, 1, 3);
	take();
	cr_assert(mnfq_packet_decide(next(), MNFQ_ACCEPT) == 0);
	fixture_expect(0, 1);
	packet = next();
	cr_assert(mnfq_packet_decide(next(), MNFQ_ACCEPT) == 0);
	fixture_expect(2, 1);
	cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == 0);
	fixture_expect(1, 1);
	cr_assert(mnfq_socket_flush(fixture.sock) == 0);
	expect_counts(.accepted = 3);
	fixture_close();
}

Test(delay, gathered_verdicts_without_a_flush)
{
	open_delayed(DELAY, NULL);
	fixture_bind(NULL, retain_packet);
	udp_send_many(&fixture.udp, 0, 3);
	fixture_serve(3);
	cr_assert(mnfq_socket_cork(fixture.sock) == 0);
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert(mnfq_packet_decide(fixture.retained[i], MNFQ_ACCEPT) == 0);
		fixture_expect(i, 1);
		mnfq_packet_free(fixture.retained[i]);
	}
	cr_assert(mnfq_socket_flush(fixture.sock) == 0);
	expect_counts(.accepted = 3);
	fixture_close();
}

static enum mnfq_verdict await_stolen(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(seq_of(packet) == 1);
	fixture_expect(0, 1);
	return MNFQ_ACCEPT;
}

/* Another reader took a packet: the default verdict for that waits for no callback either. */
Test(delay, the_default_verdict_for_a_gap)
{
	uint8_t stolen[4096];

	open_delayed(DELAY, NULL);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), await_stolen);
	udp_send(&fixture.udp, 0);
	cr_assert(wait_readable(mnfq_socket_get_fd(fixture.sock)));
	cr_assert(recv(mnfq_socket_get_fd(fixture.sock), stolen, sizeof(stolen), 0) > 0);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	fixture_expect(1, 1);
	expect_counts(.accepted = 1, .lost = 1);
	fixture_close();
}

static unsigned int await_rounds(struct mnfq_socket *sock)
{
	int n = mnfq_socket_dispatch(sock, DEADLINE_MS);

	cr_assert(n > 0, "%s", mnfq_socket_get_error(sock));
	return (unsigned int)n;
}

/* Sockets that take turns with a ring: one of them in no hurry, one without a bound. */
Test(delay, sockets_that_share_a_ring)
{
	struct mnfq_socket *others[2];
	struct mnfq_ring *ring;

	cr_assert(mnfq_ring_new(&ring, 0) == 0);
	open_delayed(1000000, ring);
	others[0] = open_socket(DELAY, ring);
	others[1] = open_socket(0, ring);
	mnfq_ring_free(ring);
	for (unsigned int turn = 0; turn < 3; turn++) {
		struct mnfq_socket *sock = turn == 0 ? fixture.sock : others[turn - 1];
		unsigned int n = 0;

		cr_assert(mnfq_queue_bind(&fixture.queue, sock, 1, NULL,
					  turn < 2 ? await_previous : count_packet,
					  &fixture) == 0);
		udp_send_many(&fixture.udp, 0, 3);
		netns_wait_waiting(fixture.ns, 1, 3);
		while (n < 3)
			n += await_rounds(sock);
		fixture_expect(turn < 2 ? 2 : 0, turn < 2 ? 1 : 3);
		for (unsigned int i = 0; i < 2; i++)
			cr_assert(mnfq_socket_dispatch(others[i], 0) == 0);
		fixture.queue = mnfq_queue_unbind(fixture.queue);
	}
	mnfq_socket_close(others[0]);
	mnfq_socket_close(others[1]);
	fixture.unaccounted = "of three sockets only one is there";
	fixture_close();
}

static void expect_exit(pid_t pid)
{
	int status = -1;

	cr_assert(wait_until(waitpid(pid, &status, WNOHANG) == pid), "the child hangs");
	cr_assert(status == 0, "the child ended with 0x%x", (unsigned int)status);
}

/* A child has no such thread: whatever it does with what it inherited, it does not wait for it. */
Test(delay, a_child_closes)
{
	pid_t pid;

	open_delayed(DELAY, NULL);
	fixture_bind(NULL, await_previous);
	udp_send_many(&fixture.udp, 0, 2);
	fixture_serve(2);
	fixture_expect(1, 1);
	pid = fork();
	if (pid == 0) {
		netns_forget();
		close(mnfq_socket_get_fd(fixture.sock));
		mnfq_socket_close(fixture.sock);
		_exit(0);
	}
	expect_exit(pid);
	udp_send_many(&fixture.udp, 0, 2);
	fixture_serve(2);
	fixture_expect(1, 1);
	fixture_close();
}

/* In the middle of a round, while the thread may have any lock. */
Test(delay, a_child_of_a_round_forgets)
{
	struct mnfq_packet *packet;
	pid_t pids[20];

	open_delayed(100, NULL);
	fixture_bind(NULL, NULL);
	udp_send_many(&fixture.udp, 0, 20);
	netns_wait_waiting(fixture.ns, 1, 20);
	take();
	for (uint32_t i = 0; i < 20; i++) {
		packet = next();
		cr_assert(mnfq_packet_decide(packet, MNFQ_ACCEPT) == 0);
		pids[i] = fork();
		if (pids[i] == 0) {
			netns_forget();
			mnfq_socket_forget(fixture.sock);
			_exit(0);
		}
		fixture_expect(i, 1);
	}
	for (unsigned int i = 0; i < 20; i++)
		expect_exit(pids[i]);
	cr_assert(mnfq_socket_flush(fixture.sock) == 0);
	fixture_close();
}
