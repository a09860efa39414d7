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

#include "scene.h"

Test(loop, dispatch_ends_in_time)
{
	struct scene scene;

	scene_open(&scene, 4);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(mnfq_socket_dispatch(scene.sock, 1) == 0);
	scene_bind(&scene, NULL, scene_count);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(mnfq_socket_dispatch(scene.sock, 20) == 0);
	cr_assert(mnfq_socket_dispatch(NULL, 0) == -EINVAL);
	scene_close(&scene);
}

Test(loop, a_stop_is_consumed_once)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	mnfq_socket_stop(scene.sock);
	mnfq_socket_stop(scene.sock);
	cr_assert(mnfq_socket_dispatch(scene.sock, -1) == -ECANCELED);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	mnfq_socket_stop(scene.sock);
	cr_assert(mnfq_socket_run(scene.sock) == 0);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	scene_expect(&scene, 1);
	scene_close(&scene);
}

static enum mnfq_verdict stop_at_ten(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	(void)packet;
	if (++scene->seen == 10)
		mnfq_socket_stop(scene->sock);
	return MNFQ_ACCEPT;
}

Test(loop, stopped_by_a_callback)
{
	struct scene scene;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, stop_at_ten);
	udp_send_many(&scene.udp, 0, 10);
	cr_assert(mnfq_socket_run(scene.sock) == 0);
	cr_assert(scene.seen == 10);
	for (i = 0; i < 10; i++)
		scene_expect(&scene, i);
	scene_close(&scene);
}

static void *run_thread(void *arg)
{
	return (void *)(intptr_t)mnfq_socket_run(arg);
}

/* Stopped while it waits and while it works, before and after it began. */
Test(loop, stopped_by_another_thread)
{
	struct scene scene;
	pthread_t thread;
	void *result;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	for (i = 0; i < 200; i++) {
		cr_assert(pthread_create(&thread, NULL, run_thread, scene.sock) == 0);
		if (i % 2) {
			udp_send(&scene.udp, i);
			scene_expect(&scene, i);
		}
		mnfq_socket_stop(scene.sock);
		pthread_join(thread, &result);
		cr_assert(result == NULL);
	}
	cr_assert(scene.seen == 100);
	scene_close(&scene);
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

/* The rights of a thread are its own; the kernel answers it all the same. */
static void *stop_without_rights(void *arg)
{
	static char failed[] = "cannot give up rights";
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (syscall(SYS_capset, &head, none) < 0)
		return failed;
	mnfq_socket_stop(arg);
	return NULL;
}

/*
 * Whether it is about to wait or waits already. A wait in the receive ends by itself after a second:
 * if that is what it takes, each time, the test ends too late.
 */
static void expect_stops(struct scene *scene, void *(*stop)(void *))
{
	pthread_t thread;
	void *result;
	int i;

	for (i = 0; i < 100; i++) {
		cr_assert(pthread_create(&thread, NULL, stop, scene->sock) == 0);
		cr_assert(mnfq_socket_run(scene->sock) == 0);
		pthread_join(thread, &result);
		cr_assert(!result, "%s", (const char *)result);
	}
}

Test(loop, stopped_by_a_thread_without_rights, .timeout = 30)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	expect_stops(&scene, stop_without_rights);
	cr_assert(scene_socket_stats(&scene).forged == 0);
	cr_assert(scene_socket_stats(&scene).malformed == 0);
	scene_close(&scene);
}

static void *stop_it(void *arg)
{
	mnfq_socket_stop(arg);
	return NULL;
}

/* The flag belongs to all who have the descriptor. */
Test(loop, stopped_with_a_descriptor_that_does_not_block, .timeout = 30)
{
	struct scene scene;
	int fd;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	fd = mnfq_socket_get_fd(scene.sock);
	cr_assert(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
	expect_stops(&scene, stop_it);
	udp_send(&scene.udp, 1);
	scene_serve(&scene, 1);
	scene_expect(&scene, 1);
	scene_close(&scene);
}

/* A copy of the descriptor in another process that reads all that it can: stops among it. */
static int steal_all(int stream, void *arg)
{
	struct scene *scene = arg;
	char data[256];

	if (write(stream, "", 1) != 1)
		return 1;
	while (recv(stream, data, 1, MSG_DONTWAIT) < 0)
		(void)!recv(mnfq_socket_get_fd(scene->sock), data, sizeof(data), MSG_DONTWAIT);
	return 0;
}

Test(loop, stopped_though_the_message_is_stolen)
{
	struct scene scene;
	struct child child;
	pthread_t thread;
	char byte;
	int i;

	scene_open(&scene, 4);
	child = child_start(steal_all, &scene);
	cr_assert(read(child.fd, &byte, 1) == 1);
	for (i = 0; i < 5; i++) {
		cr_assert(pthread_create(&thread, NULL, stop_it, scene.sock) == 0);
		cr_assert(mnfq_socket_run(scene.sock) == 0);
		pthread_join(thread, NULL);
	}
	cr_assert(write(child.fd, "", 1) == 1);
	cr_assert(child_finish(&child) == 0);
	scene_close(&scene);
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

Test(loop, stopped_by_a_signal_handler)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	stopped_by_signal = scene.sock;
	every(5000, on_signal);
	cr_assert(mnfq_socket_run(scene.sock) == 0);
	cr_assert(mnfq_socket_run(scene.sock) == 0);
	no_more_signals();
	scene_close(&scene);
}

Test(loop, a_signal_ends_a_dispatch_that_waits)
{
	struct scene scene;

	scene_open(&scene, 4);
	every(5000, ignore_signal);
	cr_assert(mnfq_socket_dispatch(scene.sock, -1) == -EINTR);
	no_more_signals();
	scene_close(&scene);
}

/* As it ends poll(), whatever the handler asks for. */
Test(loop, a_handler_that_restarts_calls_ends_it_too)
{
	struct scene scene;
	int i;

	scene_open(&scene, 4);
	every_with(5000, ignore_signal, SA_RESTART);
	for (i = 0; i < 20; i++)
		cr_assert(mnfq_socket_dispatch(scene.sock, -1) == -EINTR);
	no_more_signals();
	scene_close(&scene);
}

static enum mnfq_verdict stop_at_the_last(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	if (scene_seq(packet) == 9999)
		mnfq_socket_stop(scene->sock);
	return scene_count(packet, data);
}

static int send_ten_thousand(int stream, void *arg)
{
	struct scene *scene = arg;
	char byte;
	uint32_t i;

	for (i = 0; i < 10000; i++) {
		udp_send(&scene->udp, i);
		if (i % 500 == 499 && read(stream, &byte, 1) != 1)
			return 1;
	}
	return 0;
}

/* The sender goes on when its last 500 have arrived, so that no buffer overflows. */
static void *receive_ten_thousand(void *arg)
{
	void **args = arg;
	struct scene *scene = args[0];
	struct tally *tally = args[1];
	struct child *child = args[2];
	uint32_t i;

	for (i = 500; i <= 10000; i += 500) {
		if (!udp_drain_until(&scene->udp, tally, i) || write(child->fd, "", 1) != 1)
			break;
	}
	return NULL;
}

Test(loop, a_thousand_signals_a_second)
{
	struct scene scene;
	struct child child;
	struct tally tally;
	void *args[] = { &scene, &tally, &child };
	pthread_t receiver;
	sigset_t set;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, stop_at_the_last);
	tally_init(&tally, 10000);
	child = child_start(send_ten_thousand, &scene);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	cr_assert(pthread_create(&receiver, NULL, receive_ten_thousand, args) == 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	every(1000, ignore_signal);
	cr_assert(mnfq_socket_run(scene.sock) == 0);
	no_more_signals();
	pthread_join(receiver, NULL);
	cr_assert(child_finish(&child) == 0);
	cr_assert(scene.seen == 10000 && tally.count == 10000 && tally.repeated == 0);
	cr_assert(scene_stats(&scene).lost == 0 && scene_stats(&scene).refused == 0);
	tally_free(&tally);
	scene_close(&scene);
}

static enum mnfq_verdict dispatch_within(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	cr_assert(mnfq_socket_dispatch(scene->sock, 0) == -EBUSY);
	cr_assert(mnfq_socket_dispatch(scene->sock, -1) == -EBUSY);
	cr_assert(mnfq_socket_run(scene->sock) == -EBUSY);
	cr_assert(mnfq_socket_feed(scene->sock, "", 1, (struct sockaddr *)&kernel,
				   sizeof(kernel)) == -EBUSY);
	return scene_count(packet, data);
}

Test(loop, no_dispatch_within_a_callback)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, dispatch_within);
	udp_send_many(&scene.udp, 0, 2);
	scene_serve(&scene, 2);
	scene_expect(&scene, 0);
	scene_expect(&scene, 1);
	scene_close(&scene);
}

static enum mnfq_verdict close_within(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	cr_assert(mnfq_socket_close(scene->sock) == NULL);
	return scene_count(packet, data);
}

/* The packet in the callback still gets its verdict; nobody sees those behind it. */
Test(loop, closed_within_a_callback)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, close_within);
	udp_send_many(&scene.udp, 0, 3);
	cr_assert(mnfq_socket_dispatch(scene.sock, DEADLINE_MS) == -ECANCELED);
	scene.sock = NULL;
	cr_assert(scene.seen == 1);
	scene_expect(&scene, 0);
	scene_expect_nothing(&scene);
	scene_close(&scene);
}

/* A loop that trusts the descriptor alone must not sleep over what came during the bind. */
Test(loop, epoll_wakes_for_everything)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct mnfq_queue *other;
	struct scene scene;
	int epoll, served = 0;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	cr_assert(epoll >= 0);
	cr_assert(epoll_ctl(epoll, EPOLL_CTL_ADD, mnfq_socket_get_fd(scene.sock), &event) == 0);
	cr_assert(epoll_wait(epoll, &event, 1, 0) == 0);
	udp_send_many(&scene.udp, 0, 5);
	scene_ok(scene.sock, mnfq_queue_bind(&other, scene.sock, 2, NULL, scene_count, &scene));
	while (served < 5) {
		int n;

		cr_assert(epoll_wait(epoll, &event, 1, DEADLINE_MS) == 1, "%d of 5", served);
		n = mnfq_socket_dispatch(scene.sock, 0);
		cr_assert(n >= 0);
		served += n;
	}
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(epoll_wait(epoll, &event, 1, 0) == 0, "readable with nothing to do");
	close(epoll);
	scene_close(&scene);
}

/* ---- datagrams that the caller received ---- */

static int feed_next(struct scene *scene, uint32_t portid)
{
	static uint8_t data[70000];
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = data + 1, .iov_len = sizeof(data) - 1 };
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1
	};
	ssize_t len;

	cr_assert(wait_readable(mnfq_socket_get_fd(scene->sock)));
	len = recvmsg(mnfq_socket_get_fd(scene->sock), &msg, MSG_DONTWAIT);
	cr_assert(len > 0);
	from.nl_pid = portid;
	return mnfq_socket_feed(scene->sock, data + 1, (size_t)len, (struct sockaddr *)&from,
				msg.msg_namelen);
}

Test(loop, fed_packets_take_the_same_path)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 1);
	udp_send_sized(&scene.udp, 2, 60000);
	cr_assert(feed_next(&scene, 0) == 1);
	scene_expect(&scene, 1);
	cr_assert(feed_next(&scene, 0) == 1);
	scene_expect(&scene, 2);
	cr_assert(scene.seen == 2 && scene_stats(&scene).accepted == 2);
	scene_close(&scene);
}

Test(loop, fed_with_another_sender_it_is_forged)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	udp_send(&scene.udp, 1);
	cr_assert(feed_next(&scene, 4711) == 0);
	cr_assert(scene.seen == 0 && scene_socket_stats(&scene).forged == 1);
	scene_expect_nothing(&scene);
	udp_send(&scene.udp, 2);
	cr_assert(feed_next(&scene, 0) == 1);
	scene_expect(&scene, 2);
	cr_assert(scene_stats(&scene).lost == 1, "the packet that was called forged");
	scene_close(&scene);
}

Test(loop, fed_garbage_is_counted)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sockaddr *from = (struct sockaddr *)&kernel;
	uint8_t garbage[64];
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	memset(garbage, 0xff, sizeof(garbage));
	cr_assert(mnfq_socket_feed(scene.sock, garbage, sizeof(garbage), from, sizeof(kernel)) ==
		  0);
	cr_assert(mnfq_socket_feed(scene.sock, garbage, 3, from, sizeof(kernel)) == 0);
	cr_assert(scene_socket_stats(&scene).malformed == 2);
	cr_assert(mnfq_socket_feed(scene.sock, garbage, sizeof(garbage), NULL, 0) == 0);
	cr_assert(mnfq_socket_feed(scene.sock, garbage, sizeof(garbage), from, 3) == 0);
	cr_assert(scene_socket_stats(&scene).forged == 2);
	cr_assert(mnfq_socket_feed(scene.sock, NULL, 1, from, sizeof(kernel)) == -EINVAL);
	cr_assert(mnfq_socket_feed(NULL, garbage, 1, from, sizeof(kernel)) == -EINVAL);
	cr_assert(scene.seen == 0);
	scene_close(&scene);
}
