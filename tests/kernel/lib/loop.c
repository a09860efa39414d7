/* SPDX-License-Identifier: MIT */
/* Dispatching, running, stopping, feeding: how the library fits into loops of every kind. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "kernel-fixture.h"

QueueTest(loop, dispatch_ends_in_time)
{
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 1) == 0);
	fixture_bind(NULL, count_packet);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 20) == 0);
	cr_assert(mnfq_socket_dispatch(NULL, 0) == -EINVAL);
}

static enum mnfq_verdict stop_at_ten(struct mnfq_packet *packet, void *data)
{
	(void)data;
	(void)packet;
	if (++fixture.seen == 10)
		mnfq_socket_stop(fixture.sock);
	return MNFQ_ACCEPT;
}

QueueTest(loop, stopped_by_a_callback)
{
	fixture_bind(NULL, stop_at_ten);
	udp_send_many(&fixture.udp, 0, 10);
	cr_assert(mnfq_socket_run(fixture.sock) == 0);
	cr_assert(fixture.seen == 10);
	fixture_expect(0, 10);
}

static void *run_thread(void *arg)
{
	return (void *)(intptr_t)mnfq_socket_run(arg);
}

/* Stopped while it waits and while it works, before and after it began. */
QueueTest(loop, stopped_by_another_thread)
{
	pthread_t thread;
	void *result;

	fixture_bind(NULL, count_packet);
	for (uint32_t i = 0; i < 200; i++) {
		cr_assert(pthread_create(&thread, NULL, run_thread, fixture.sock) == 0);
		if (i % 2) {
			udp_send(&fixture.udp, i);
			fixture_expect(i, 1);
		}
		mnfq_socket_stop(fixture.sock);
		pthread_join(thread, &result);
		cr_assert(result == NULL);
	}
	cr_assert(fixture.seen == 100);
}

static struct mnfq_socket *stopped_by_signal;

static void on_signal(int signal)
{
	(void)signal;
	mnfq_socket_stop(stopped_by_signal);
}

static void ignore_signal(int signal)
{
	(void)signal;
}

/* Capabilities belong to a thread; the kernel answers one without any, too. */
static void *stop_without_capabilities(void *arg)
{
	static char failed[] = "cannot drop capabilities";
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (syscall(SYS_capset, &head, none) < 0)
		return failed;
	mnfq_socket_stop(arg);
	return NULL;
}

static void *stop(void *arg)
{
	mnfq_socket_stop(arg);
	return NULL;
}

/*
 * Whether it is about to wait or waits already. A wait in the receive ends by itself after a second:
 * if that is what it takes, each time, the test ends too late.
 */
static void expect_stops(unsigned int count, void *(*stopping)(void *))
{
	pthread_t thread;
	void *result;

	for (unsigned int i = 0; i < count; i++) {
		cr_assert(pthread_create(&thread, NULL, stopping, fixture.sock) == 0);
		cr_assert(mnfq_socket_run(fixture.sock) == 0);
		pthread_join(thread, &result);
		cr_assert(!result, "%s", (const char *)result);
	}
}

Test(loop, stopped_by_a_thread_without_capabilities, .timeout = 30)
{
	fixture_open(4);
	fixture_bind(NULL, count_packet);
	expect_stops(100, stop_without_capabilities);
	cr_assert(fixture_socket_stats().forged == 0);
	cr_assert(fixture_socket_stats().malformed == 0);
	fixture_close();
}

/* All copies of the descriptor share the flag. */
Test(loop, stopped_with_a_descriptor_that_does_not_block, .timeout = 30)
{
	int fd;

	fixture_open(4);
	fixture_bind(NULL, count_packet);
	fd = mnfq_socket_get_fd(fixture.sock);
	cr_assert(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
	expect_stops(100, stop);
	fixture_pass(0, 1);
	fixture_close();
}

/* A copy of the descriptor in another process that reads all that it can: stops among it. */
static int steal_all(int stream, void *arg)
{
	const int fd = mnfq_socket_get_fd(fixture.sock);
	char data[256];

	(void)arg;
	if (write(stream, "", 1) != 1)
		return 1;
	while (recv(stream, data, 1, MSG_DONTWAIT) < 0)
		(void)!recv(fd, data, sizeof(data), MSG_DONTWAIT);
	return 0;
}

QueueTest(loop, stopped_though_the_message_is_stolen)
{
	struct child child = child_start(steal_all, NULL);
	char byte;

	cr_assert(read(child.fd, &byte, 1) == 1);
	expect_stops(5, stop);
	cr_assert(write(child.fd, "", 1) == 1);
	cr_assert(child_finish(&child) == 0);
}

/* Again and again, so that it does not matter when the first one comes. */
static void every_with(int usec, void (*handler)(int), int flags)
{
	struct itimerval timer = { .it_interval.tv_usec = usec, .it_value.tv_usec = usec };
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	cr_assert(sigaction(SIGALRM, &action, NULL) == 0);
	cr_assert(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void every(int usec, void (*handler)(int))
{
	every_with(usec, handler, 0);
}

static void no_more_signals(void)
{
	struct itimerval none = { 0 };

	cr_assert(setitimer(ITIMER_REAL, &none, NULL) == 0);
}

QueueTest(loop, stopped_by_a_signal_handler)
{
	fixture_bind(NULL, count_packet);
	stopped_by_signal = fixture.sock;
	every(5000, on_signal);
	cr_assert(mnfq_socket_run(fixture.sock) == 0);
	cr_assert(mnfq_socket_run(fixture.sock) == 0);
	no_more_signals();
}

QueueTest(loop, a_signal_ends_a_dispatch_that_waits)
{
	every(5000, ignore_signal);
	cr_assert(mnfq_socket_dispatch(fixture.sock, -1) == -EINTR);
	no_more_signals();
}

/* As it ends poll(), whatever the flags of the handler. */
QueueTest(loop, a_handler_that_restarts_calls_ends_it_too)
{
	every_with(5000, ignore_signal, SA_RESTART);
	for (unsigned int i = 0; i < 20; i++)
		cr_assert(mnfq_socket_dispatch(fixture.sock, -1) == -EINTR);
	no_more_signals();
}

static enum mnfq_verdict stop_at_the_last(struct mnfq_packet *packet, void *data)
{
	if (seq_of(packet) == 9999)
		mnfq_socket_stop(fixture.sock);
	return count_packet(packet, data);
}

static int send_ten_thousand(int stream, void *arg)
{
	char byte;

	(void)arg;
	for (uint32_t i = 0; i < 10000; i++) {
		udp_send(&fixture.udp, i);
		if (i % 500 == 499 && read(stream, &byte, 1) != 1)
			return 1;
	}
	return 0;
}

/* The sender goes on when its last 500 have arrived, so that no buffer overflows. */
static void *receive_ten_thousand(void *arg)
{
	void **args = arg;
	struct tally *tally = args[0];
	struct child *child = args[1];

	for (uint32_t i = 500; i <= 10000; i += 500) {
		if (!udp_drain_until(&fixture.udp, tally, i) || write(child->fd, "", 1) != 1)
			break;
	}
	return NULL;
}

QueueTest(loop, a_thousand_signals_a_second)
{
	struct child child;
	struct tally tally;
	void *args[] = { &tally, &child };
	pthread_t receiver;
	sigset_t set;

	fixture_bind(NULL, stop_at_the_last);
	tally_init(&tally, 10000);
	child = child_start(send_ten_thousand, &fixture);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	cr_assert(pthread_create(&receiver, NULL, receive_ten_thousand, args) == 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	every(1000, ignore_signal);
	cr_assert(mnfq_socket_run(fixture.sock) == 0);
	no_more_signals();
	pthread_join(receiver, NULL);
	cr_assert(child_finish(&child) == 0);
	cr_assert(fixture.seen == 10000 && tally.count == 10000 && tally.repeated == 0);
	expect_counts(.lost = 0);
	tally_free(&tally);
}

/* A loop that trusts the descriptor alone must not sleep over what came during the bind. */
QueueTest(loop, epoll_wakes_for_everything)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct mnfq_queue *other;
	int epoll, served = 0;

	fixture_bind(NULL, count_packet);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	cr_assert(epoll >= 0);
	cr_assert(epoll_ctl(epoll, EPOLL_CTL_ADD, mnfq_socket_get_fd(fixture.sock), &event) == 0);
	cr_assert(epoll_wait(epoll, &event, 1, 0) == 0);
	udp_send_many(&fixture.udp, 0, 5);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 2, NULL, count_packet, &fixture));
	while (served < 5) {
		int n;

		cr_assert(epoll_wait(epoll, &event, 1, DEADLINE_MS) == 1, "%d of 5", served);
		n = mnfq_socket_dispatch(fixture.sock, 0);
		cr_assert(n >= 0);
		served += n;
	}
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	cr_assert(epoll_wait(epoll, &event, 1, 0) == 0, "readable with nothing to do");
	close(epoll);
}

/* ---- datagrams that the caller received ---- */

static int feed_next(uint32_t portid)
{
	static uint8_t data[70000];
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = data + 1, .iov_len = sizeof(data) - 1 };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t len;

	cr_assert(wait_readable(mnfq_socket_get_fd(fixture.sock)));
	len = recvmsg(mnfq_socket_get_fd(fixture.sock), &msg, MSG_DONTWAIT);
	cr_assert(len > 0);
	from.nl_pid = portid;
	return mnfq_socket_feed(fixture.sock, data + 1, (size_t)len, (struct sockaddr *)&from,
				msg.msg_namelen);
}

QueueTest(loop, fed_packets_take_the_same_path)
{
	fixture_bind(NULL, count_packet);
	udp_send(&fixture.udp, 1);
	udp_send_sized(&fixture.udp, 2, 60000);
	cr_assert(feed_next(0) == 1);
	fixture_expect(1, 1);
	cr_assert(feed_next(0) == 1);
	fixture_expect(2, 1);
	expect_counts(.seen = 2, .accepted = 2);
}
