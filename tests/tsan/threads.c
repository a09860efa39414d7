/* SPDX-License-Identifier: MIT */
/*
 * Threads that use one socket as the header allows it, on real queues in a namespace of its own, for a build with
 * -Db_sanitize=thread: what races is reported by that. Criterion does not run under it.
 */
#include <mnfq/mnfq.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PORT    7000
#define PACKETS 4000
#define WINDOW  200 /* packets that are on their way at most */
#define WORKERS 4

static struct mnfq_socket *sock;
static struct mnfq_queue *queue;
static atomic_uint sent, finished; /* packets; those are decided */
static atomic_bool over;

static void fail(const char *what, int err)
{
	fprintf(stderr, "%s: %s (%s)\n", what, strerror(err < 0 ? -err : err),
		mnfq_socket_get_error(sock));
	_exit(1);
}

static void check(int result, const char *what)
{
	if (result < 0)
		fail(what, result);
}

/* ---- the namespace and its traffic ---- */

static void furnish(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		puts("SKIPPED: no namespace without root");
		exit(77);
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	check(ioctl(fd, SIOCSIFFLAGS, &lo), "lo");
	close(fd);
	if (system("iptables -t mangle -A INPUT -p udp --dport 7000 -j NFQUEUE --queue-num 1 "
		   "--queue-bypass && "
		   "iptables -t mangle -A INPUT -p udp --dport 7001 -j NFQUEUE --queue-num 2 "
		   "--queue-bypass") != 0)
		fail("iptables", EIO);
}

/* No more at a time than the queue and the receiver have room for. */
static void *send_packets(void *arg)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint32_t i;

	(void)arg;
	for (i = 0; i < PACKETS; i++) {
		while ((int)(i - atomic_load(&finished)) > WINDOW && !atomic_load(&over))
			sched_yield();
		to.sin_port = htons(PORT + (i % 16 == 0));
		if (sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			fail("sendto", errno);
		atomic_fetch_add(&sent, 1);
		if (i % 16 == 0) /* to queue 2, which may not be there */
			atomic_fetch_add(&finished, 1);
	}
	close(fd);
	return NULL;
}

/* ---- what is decided later, by whoever comes first ---- */

struct entry {
	uint32_t id;
	struct mnfq_packet *copy;
};

static pthread_mutex_t entries_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[PACKETS];
static unsigned int n_entries;
static struct entry previous; /* in whose callback we may still be */

static void hand_over(void)
{
	if (previous.id == 0)
		return;
	pthread_mutex_lock(&entries_lock);
	entries[n_entries++] = previous;
	pthread_mutex_unlock(&entries_lock);
	previous.id = 0;
}

static unsigned int take(struct entry *taken, unsigned int max)
{
	unsigned int n = 0;

	pthread_mutex_lock(&entries_lock);
	while (n < max && n_entries > 0)
		taken[n++] = entries[--n_entries];
	pthread_mutex_unlock(&entries_lock);
	return n;
}

static void decide_copy(struct mnfq_packet *copy, unsigned int i)
{
	if (i % 3 == 0)
		check(mnfq_packet_set_mark(copy, 1), "set_mark");
	if (i % 3 > 0)
		check(mnfq_packet_decide(copy, MNFQ_ACCEPT), "decide");
	mnfq_packet_free(copy);
}

static void decide_entries(const struct entry *taken, unsigned int n)
{
	uint32_t ids[64];
	unsigned int i, count = 0;

	for (i = 0; i < n; i++) {
		if (taken[i].copy)
			decide_copy(taken[i].copy, i);
		else
			ids[count++] = taken[i].id;
	}
	if (count > 0 && mnfq_queue_decide(queue, ids, count, MNFQ_ACCEPT) != (int)count)
		fail("queue_decide", EIO);
	atomic_fetch_add(&finished, n);
}

static void *work(void *arg)
{
	const unsigned int max = arg ? 64 : 2;
	struct entry taken[64];
	unsigned int n;

	while ((n = take(taken, max)) > 0 || !atomic_load(&over)) {
		decide_entries(taken, n);
		sched_yield();
	}
	return NULL;
}

/* ---- callbacks ---- */

static enum mnfq_verdict accept_it(struct mnfq_packet *packet, void *data)
{
	(void)packet, (void)data;
	return MNFQ_ACCEPT;
}

static _Atomic(struct mnfq_queue *) second; /* NULL: unbound, or being unbound */

static void bind_second(void)
{
	struct mnfq_queue *bound;
	int err;

	if (atomic_load(&second))
		return;
	err = mnfq_queue_bind(&bound, sock, 2, NULL, accept_it, NULL);
	if (err == 0)
		atomic_store(&second, bound);
	else if (err != -EEXIST) /* the other thread has not got round to it */
		fail("bind", err);
}

static void look(void)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	check(mnfq_socket_get_stats(sock, &stats), "get_stats");
	check(mnfq_queue_get_stats(queue, &stats), "get_stats");
}

static enum mnfq_verdict finish(enum mnfq_verdict verdict)
{
	atomic_fetch_add(&finished, 1);
	return verdict;
}

static enum mnfq_verdict put_off(struct mnfq_packet *packet, bool copied)
{
	previous.id = mnfq_packet_get_id(packet);
	previous.copy = NULL;
	if (copied)
		check(mnfq_packet_retain(&previous.copy, packet), "retain");
	return MNFQ_DEFER;
}

/* Longer than the guard waits. */
static void block(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	const uint32_t id = mnfq_packet_get_id(packet);

	(void)data;
	hand_over();
	if (id % 100 == 0)
		block();
	if (id % 50 == 1)
		bind_second();
	if (id % 37 == 0)
		mnfq_socket_stop(sock);
	switch (id % 8) {
	case 0:
	case 1:
		return put_off(packet, false);
	case 2:
		return put_off(packet, true);
	case 3:
		check(mnfq_packet_decide(packet, MNFQ_ACCEPT), "decide in hand");
		if (id % 16 == 3)
			check(mnfq_socket_flush(sock), "flush");
		return finish(MNFQ_DROP);
	case 4:
		look();
		return finish(MNFQ_DROP);
	default:
		return finish(MNFQ_ACCEPT);
	}
}

/* ---- the receiver, and who disturbs it ---- */

static void gather(void)
{
	struct entry taken[8];
	unsigned int n = take(taken, 8);

	check(mnfq_socket_cork(sock), "cork");
	decide_entries(taken, n);
	check(mnfq_socket_flush(sock), "flush");
}

static void take_one_by_one(void)
{
	int n = mnfq_socket_receive(sock, 10);

	if (n < 0 && n != -ECANCELED && n != -EINTR)
		fail("receive", n);
	while (mnfq_socket_next_packet(sock))
		;
	hand_over();
	check(mnfq_socket_flush(sock), "flush");
}

static bool is_done(void)
{
	return atomic_load(&finished) >= PACKETS;
}

static void *receive(void *arg)
{
	unsigned int turn;
	int n;

	for (turn = 0; !is_done(); turn++) {
		if (turn % 4 == 0)
			gather();
		if (turn % 16 == 5)
			check(mnfq_socket_set_ring(sock, NULL), "set_ring");
		if (turn % 3 == 0) {
			take_one_by_one();
			continue;
		}
		n = turn % 3 == 1 ? mnfq_socket_run(sock) : mnfq_socket_dispatch(sock, 10);
		if (n < 0 && n != -ECANCELED && n != -EINTR)
			fail("dispatch", n);
		hand_over();
	}
	return arg;
}

static void *disturb(void *arg)
{
	pthread_t *receiver = arg;
	struct mnfq_queue *bound;
	unsigned int turn;

	for (turn = 0; !atomic_load(&over); turn++) {
		if (turn % 4 == 0)
			pthread_kill(*receiver, SIGUSR1);
		else if (turn % 4 < 3)
			mnfq_socket_stop(sock);
		else if ((bound = atomic_exchange(&second, NULL)))
			mnfq_queue_unbind(bound);
		nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
	}
	return NULL;
}

static void handle_signal(int signal)
{
	(void)signal;
	mnfq_socket_stop(sock);
}

static void expect_all_decided(void)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	check(mnfq_socket_get_stats(sock, &stats), "get_stats");
	printf("%llu packets, %llu deferred, %llu accepted, %llu dropped\n",
	       (unsigned long long)stats.packets, (unsigned long long)stats.deferred,
	       (unsigned long long)stats.accepted, (unsigned long long)stats.dropped);
	if (stats.held > 0 || stats.unsent > 0 || stats.lost > 0)
		fail("packets are held, unsent or lost", EIO);
}

int main(void)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .max_delay_us = 200 };
	struct sigaction action = { .sa_handler = handle_signal, .sa_flags = SA_RESTART };
	pthread_t receiver, sender, disturber, workers[WORKERS];
	size_t i;

	furnish();
	check(mnfq_socket_open(&sock, &options), "open");
	check(mnfq_queue_bind(&queue, sock, 1, NULL, decide, NULL), "bind");
	sigaction(SIGUSR1, &action, NULL);
	pthread_create(&receiver, NULL, receive, NULL);
	pthread_create(&sender, NULL, send_packets, NULL);
	pthread_create(&disturber, NULL, disturb, &receiver);
	for (i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, work, i % 2 ? &workers : NULL);
	pthread_join(receiver, NULL);
	atomic_store(&over, true);
	pthread_join(disturber, NULL);
	pthread_join(sender, NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	expect_all_decided();
	mnfq_socket_close(sock);
	return 0;
}
