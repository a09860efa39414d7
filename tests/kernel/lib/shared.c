/* SPDX-License-Identifier: MIT */
/* Another process holds the descriptor too: reads from it, sets its flags, unbinds, closes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel-fixture.h"

static void steal(int fd)
{
	uint8_t data[4096];

	cr_assert(wait_readable(fd) && recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0);
}

/* What never reached us is a gap, and is decided by default. */
static void stolen(enum mnfq_verdict default_verdict)
{
	int copy;

	fixture_open(4);
	fixture_bind(QUEUE_OPTIONS(.default_verdict = default_verdict), count_packet);
	copy = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	udp_send_many(&fixture.udp, 2, 2);
	steal(copy);
	steal(copy);
	udp_send(&fixture.udp, 4);
	fixture_serve(1);
	fixture_expect(1, 1);
	if (default_verdict == MNFQ_ACCEPT) {
		fixture_expect(2, 2);
	}
	fixture_expect(4, 1);
	fixture_expect_nothing();
	expect_counts(.seen = 2, .lost = 2);
	close(copy);
	fixture_close();
}

Test(shared, stolen_packets_are_counted_and_dropped)
{
	stolen(MNFQ_DROP);
}

Test(shared, stolen_packets_are_counted_and_accepted)
{
	stolen(MNFQ_ACCEPT);
}

/* A held packet is no gap: the default for what was stolen must spare it. */
QueueTest(shared, the_default_for_stolen_ones_spares_held_ones)
{
	struct netns_queue kernel;
	int copy;

	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), retain_packet);
	copy = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	udp_send(&fixture.udp, 2);
	steal(copy);
	udp_send(&fixture.udp, 3);
	fixture_serve(1);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
	cr_assert(fixture.retained_count == 2 && kernel.waiting >= 2);
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_DROP) == 0);
	cr_assert(mnfq_packet_decide(fixture.retained[1], MNFQ_DROP) == 0);
	mnfq_packet_free(fixture.retained[0]);
	mnfq_packet_free(fixture.retained[1]);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 0), "the stolen one is stuck");
	fixture_expect(2, 1);
	fixture_expect_nothing();
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	expect_counts(.lost = 1);
	close(copy);
}

struct thief {
	int fd, stop;
	unsigned int loot;
};

/* Takes what it can, and switches the blocking mode all the time. */
static void *thief_thread(void *arg)
{
	struct thief *thief = arg;
	uint8_t data[4096];
	int flags = 0;

	while (!__atomic_load_n(&thief->stop, __ATOMIC_SEQ_CST)) {
		fcntl(thief->fd, F_SETFL, flags ^= O_NONBLOCK);
		thief->loot += recv(thief->fd, data, sizeof(data), MSG_DONTWAIT) > 0;
	}
	return NULL;
}

static pthread_t thief_start(struct thief *thief)
{
	pthread_t thread;

	*thief = (struct thief){ .fd = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC,
					     0) };
	cr_assert(pthread_create(&thread, NULL, thief_thread, thief) == 0);
	return thread;
}

static void thief_stop(struct thief *thief, pthread_t thread)
{
	__atomic_store_n(&thief->stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	close(thief->fd);
}

Test(shared, a_reader_beside_us_never_makes_us_block)
{
	const int64_t begin = now_ms();
	struct tally tally;
	struct thief thief;
	pthread_t thread;

	fixture_open(4);
	/* There is room for all, should the thief get them: a full queue sends nothing more. */
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT, .max_len = 4096),
		     count_packet);
	tally_init(&tally, 3001);
	thread = thief_start(&thief);
	for (uint32_t i = 0; i < 3000; i++) {
		udp_send(&fixture.udp, i);
		cr_assert(mnfq_socket_dispatch(fixture.sock, i % 8 == 0) >= 0);
		udp_drain(&fixture.udp, &tally);
	}
	thief_stop(&thief, thread);
	udp_send(&fixture.udp, 3000);
	while (tally.hits[3000] == 0) {
		cr_assert(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS) > 0);
		udp_drain(&fixture.udp, &tally);
	}
	cr_assert(tally.count == 3001 && tally.repeated == 0 && tally.strange == 0);
	cr_assert_eq(fixture.seen + fixture_stats().lost, 3001);
	cr_assert(thief.loot >= fixture_stats().lost);
	cr_assert(now_ms() - begin < 3 * DEADLINE_MS);
	tally_free(&tally);
	fixture_close();
}

/* The thief may get the acknowledgement: then another attempt succeeds, or the time is over. */
QueueTest(shared, requests_end_in_time_with_a_reader_beside_us)
{
	struct thief thief;
	pthread_t thread;
	int err;

	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name,
					       SOCKET_OPTIONS(.timeout_ms = 50)));
	thread = thief_start(&thief);
	for (unsigned int i = 0; i < 50; i++) {
		const int64_t begin = now_ms();

		err = mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, count_packet,
				      &fixture);
		cr_assert(err == 0 || err == -ETIMEDOUT, "%s", strerror(-err));
		if (err == 0)
			mnfq_queue_unbind(fixture.queue);
		cr_assert(now_ms() - begin < DEADLINE_MS);
	}
	thief_stop(&thief, thread);
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 1);
}

QueueTest(shared, a_copy_that_is_closed_changes_nothing)
{
	struct netns_queue kernel;
	int copy;

	fixture_bind(NULL, count_packet);
	copy = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);
	close(copy);
	fixture_pass(1, 1);
	cr_assert(netns_get_queue(fixture.ns, 1, &kernel));
}

/* Our close ends the queue, although the kernel would keep it until the last copy is closed. */
QueueTest(shared, our_close_unbinds_although_a_copy_lives)
{
	struct netns_queue kernel;
	int copy;

	fixture_bind(NULL, count_packet);
	copy = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);
	fixture.sock = mnfq_socket_close(fixture.sock);
	cr_assert(!netns_get_queue(fixture.ns, 1, &kernel));
	close(copy);
}

/* The other one takes the queue over and unbinds it. */
static int unbind_ours(int stream, void *arg)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;

	(void)arg;
	(void)stream;
	if (mnfq_socket_adopt(&sock, dup(mnfq_socket_get_fd(fixture.sock)), NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, &fixture) < 0)
		return 1;
	mnfq_socket_close(sock);
	return 0;
}

QueueTest(shared, unbound_by_another_user_is_reported)
{
	struct child child;
	int err;

	fixture_bind(NULL, retain_packet);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	child = child_start(unbind_ours, &fixture);
	cr_assert(child_finish(&child) == 0);
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_ACCEPT) == 0);
	err = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
	cr_assert(err == -ENODEV, "%s", strerror(-err));
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "queue 1"));
	expect_counts(.refused = 1);
	cr_assert(mnfq_queue_configure(fixture.queue, NULL) == -ENODEV);
	mnfq_packet_free(fixture.retained[0]);
	mnfq_queue_unbind(fixture.queue);
	fixture_bind(NULL, count_packet);
	fixture_pass(2, 1);
}

/* ---- what can be set on a socket, by a process with a copy of it ---- */

static int bind_copy(const struct mnfq_queue_options *options, mnfq_callback callback)
{
	fixture_open(4);
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name,
					       SOCKET_OPTIONS(.timeout_ms = 50)));
	fixture_bind(options, callback);
	return fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);
}

static void one_more(uint32_t seq)
{
	fixture_pass(seq, 1);
}

/* The kernel then drops what it would deliver, answers too; we neither hang nor mistake anything. */
Test(shared, connected_by_another_user_and_back)
{
	struct sockaddr_nl peer = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int copy = bind_copy(NULL, count_packet);

	one_more(1);
	cr_assert(connect(copy, (struct sockaddr *)&peer, sizeof(peer)) == 0);
	udp_send_many(&fixture.udp, 2, 2);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(mnfq_queue_configure(fixture.queue, NULL) == -ETIMEDOUT);
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "connected it to a peer"), "%s",
		  mnfq_socket_get_error(fixture.sock));
	cr_assert(connect(copy, &none, sizeof(none)) == 0);
	one_more(4);
	expect_counts(.lost = 2, .seen = 2);
	close(copy);
	fixture_close();
}

/* None of these keeps us from serving, or makes us wait. */
Test(shared, options_set_by_another_user)
{
	static const struct {
		int level, name, value[4];
		socklen_t size;
	} options[] = {
		{ SOL_SOCKET, SO_RCVLOWAT, { 1 << 20 }, 4 },
		{ SOL_SOCKET, SO_RCVTIMEO, { 0, 0, 1, 0 }, 16 },
		{ SOL_SOCKET, SO_SNDTIMEO, { 0, 0, 1, 0 }, 16 },
		{ SOL_SOCKET, SO_PASSCRED, { 1 }, 4 },
		{ SOL_SOCKET, SO_TIMESTAMP, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_PKTINFO, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_BROADCAST_ERROR, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_NO_ENOBUFS, { 0 }, 4 },
		{ SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_CAP_ACK, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_EXT_ACK, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_GET_STRICT_CHK, { 1 }, 4 },
		{ SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, { 1 }, 4 },
	};
	int copy = bind_copy(NULL, count_packet);

	for (uint32_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		cr_assert(setsockopt(copy, options[i].level, options[i].name, options[i].value,
				     options[i].size) == 0,
			  "option %u: %s", i, strerror(errno));
		one_more(i);
		expect_ok(fixture.sock, mnfq_queue_configure(fixture.queue, NULL));
	}
	cr_assert(fixture_stats().lost == 0 && fixture_socket_stats().truncated == 0);
	close(copy);
	fixture_close();
}

static enum mnfq_verdict rewrite_all(struct mnfq_packet *packet, void *data)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	(void)data;
	fixture.seen++;
	cr_assert(mnfq_packet_set_payload(packet, payload, len) == 0);
	return MNFQ_DROP;
}

/* A verdict that does not fit any more is reported, and the default one, which does, takes its place. */
Test(shared, a_send_buffer_shrunk_by_another_user)
{
	struct datagram datagram = { 0 };
	int tiny = 1, err;
	int copy = bind_copy(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT), rewrite_all);

	cr_assert(setsockopt(copy, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny)) == 0);
	udp_send_sized(&fixture.udp, 1, 20000);
	err = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
	if (err == 1)
		err = mnfq_socket_dispatch(fixture.sock, 0);
	cr_assert_eq(err, -EMSGSIZE);
	cr_assert(fixture_socket_stats().unsent == 1);
	cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "default verdict"));
	cr_assert(udp_await(&fixture.udp, &datagram) && datagram.seq == 1 && datagram.intact);
	udp_send(&fixture.udp, 2);
	fixture_serve(1);
	cr_assert(fixture.seen == 2);
	fixture_expect_nothing();
	close(copy);
	fixture_close();
}
