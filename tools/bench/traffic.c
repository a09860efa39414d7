/* SPDX-License-Identifier: MIT */
/* mnfq-bench: what goes from the sender to the receiver. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define BURST           32
#define TRAFFIC_WINDOW  512 /* packets under way at most: they must not overrun a queue */
#define WARM_UP         20
#define CHUNK           (256 * 1024)
#define TRAFFIC_HEADERS 28 /* IPv4 and UDP */
#define SAMPLES_MAX     8192

static int send_burst(struct bench_net *net, int fd, uint8_t *data, size_t len, unsigned int n)
{
	struct iovec iov = { data, len };
	struct mmsghdr messages[BURST];
	unsigned int i, done = 0;
	int sent;

	memset(messages, 0, sizeof(messages));
	for (i = 0; i < n; i++) {
		messages[i].msg_hdr.msg_iov = &iov;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (done < n) {
		sent = sendmmsg(fd, messages + done, n - done, 0);
		if (sent < 0 && errno != EINTR)
			return bench_fail(net, "sending failed: %s", strerror(errno));
		done += sent > 0 ? (unsigned int)sent : 0;
	}
	return 0;
}

/* Waits until no more than a window is under way. */
static int await_window(struct bench_net *net, uint64_t sent, const _Atomic uint64_t *pace)
{
	int64_t deadline = 0;

	while (sent + BURST > atomic_load_explicit(pace, memory_order_relaxed) + TRAFFIC_WINDOW) {
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		if (!deadline)
			deadline = bench_now(CLOCK_MONOTONIC) + 10000000000ll;
		else if (bench_now(CLOCK_MONOTONIC) > deadline)
			return bench_fail(net, "packets were lost: %llu sent, %llu decided",
					  (unsigned long long)sent, (unsigned long long)*pace);
		sched_yield();
	}
	return 0;
}

int bench_send(struct bench_net *net, int fd, size_t size, uint64_t count,
	       const _Atomic uint64_t *pace)
{
	uint8_t data[65536] = { 0 };
	uint64_t sent = 0;
	unsigned int n;

	while (sent < count) {
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		if (pace && await_window(net, sent, pace) < 0)
			return -1;
		n = count - sent < BURST ? (unsigned int)(count - sent) : BURST;
		if (send_burst(net, fd, data, size - TRAFFIC_HEADERS, n) < 0)
			return -1;
		sent += n;
	}
	return 0;
}

/* ---- at a steady rate --------------------------------------------------------------------- */

/* Returns whether it was sent; a sample says when. */
static bool send_one(const struct bench_paced *paced, uint64_t i, uint8_t *data)
{
	const bool sample = i % BENCH_SAMPLE == BENCH_SAMPLE - 1;
	int64_t now;
	ssize_t sent;

	if (sample) {
		now = bench_now(CLOCK_REALTIME);
		memcpy(data, &now, sizeof(now));
	}
	do
		sent = send(sample ? paced->sample_fd : paced->fd, data,
			    paced->size - TRAFFIC_HEADERS, 0);
	while (sent < 0 && errno == EINTR && !bench_interrupted);
	return sent >= 0;
}

/* Each packet has its time. One that is late follows at once, so that the rate stays. */
int bench_send_paced(struct bench_net *net, struct bench_paced *paced)
{
	uint8_t data[65536] = { 0 };
	int64_t begin = bench_now(CLOCK_MONOTONIC);

	for (uint64_t i = 0; i < paced->count; i++) {
		int64_t due = paced->rate ? begin + (int64_t)(i * 1000000000 / paced->rate) : 0;

		while (bench_now(CLOCK_MONOTONIC) < due && !bench_interrupted)
			;
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		if (!send_one(paced, i, data))
			return bench_fail(net, "sending failed: %s", strerror(errno));
	}
	paced->took_ns = bench_now(CLOCK_MONOTONIC) - begin;
	return 0;
}

/* ---- samples that arrive ------------------------------------------------------------------ */

int bench_sample_socket(struct bench_net *net)
{
	int fd = bench_net_socket(net, net->receiver, SOCK_DGRAM, BENCH_SAMPLE_PORT, true);
	int on = 1, size = 32 << 20;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0)
		return fd;
	bench_fail(net, "the kernel has no timestamps: %s", strerror(errno));
	close(fd);
	return -1;
}

/* How long one was on its way, in ns: from its send() until the kernel received it. Or -1. */
static int64_t read_sample(int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
	int64_t sent;
	struct iovec iov = { &sent, sizeof(sent) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	struct timespec at;

	if (recvmsg(fd, &msg, MSG_DONTWAIT) < 0)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_TIMESTAMPNS)
		return 0;
	memcpy(&at, CMSG_DATA(cmsg), sizeof(at));
	sent = at.tv_sec * 1000000000ll + at.tv_nsec - sent;
	return sent > 0 ? sent : 0;
}

static int traffic_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t bench_read_samples(int fd, struct bench_result *result)
{
	static int64_t times[SAMPLES_MAX];
	uint64_t count = 0;
	int64_t time;

	while ((time = read_sample(fd)) >= 0)
		if (count < SAMPLES_MAX)
			times[count++] = time;
	qsort(times, count, sizeof(times[0]), traffic_compare);
	if (count > 0) {
		result->value[BENCH_P50] = (double)times[count / 2] / 1000;
		result->value[BENCH_P99] = (double)times[count * 99 / 100] / 1000;
	}
	return count;
}

/* ---- the receiver's process --------------------------------------------------------------- */

/* Forks @function, which never returns; it ends with us. */
static pid_t start(struct bench_net *net, void (*function)(int fd, int out), int fd, int out)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return bench_fail(net, "cannot start a process: %s", strerror(errno));
	if (pid == 0) {
		bench_bind_to_parent(parent);
		function(fd, out);
		_exit(EXIT_SUCCESS);
	}
	return pid;
}

static void finish(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void set_timeout(int fd)
{
	struct timeval timeout = { .tv_sec = 5 };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

/* ---- round trips -------------------------------------------------------------------------- */

/*
 * Receives without sleeping. Both ends share a processor, which would fall asleep while the packet
 * is with the decider: that it has to be woken up again is not what a queue costs.
 */
static ssize_t spin(int fd, void *data, size_t size, struct sockaddr_storage *from)
{
	socklen_t from_len = sizeof(*from);
	int64_t deadline = bench_now(CLOCK_MONOTONIC) + 5000000000ll;
	ssize_t len;

	do {
		len = recvfrom(fd, data, size, MSG_DONTWAIT, (struct sockaddr *)from, &from_len);
		if (len >= 0 || errno != EAGAIN)
			return len;
		sched_yield();
	} while (!bench_interrupted && bench_now(CLOCK_MONOTONIC) < deadline);
	return -1;
}

static void echo(int fd, int out)
{
	struct sockaddr_storage from;
	uint8_t data[64];
	ssize_t len;

	(void)out;
	for (;;) {
		len = spin(fd, data, sizeof(data), &from);
		if (len >= 0)
			(void)!sendto(fd, data, (size_t)len, 0, (struct sockaddr *)&from,
				      sizeof(struct sockaddr_in));
	}
}

static int ping_all(struct bench_net *net, int fd, uint64_t count, int64_t *times)
{
	uint64_t data[4] = { 0 }, answer[8];
	struct sockaddr_storage from;
	int64_t start_time;
	ssize_t len;

	for (uint64_t i = 0; i < count; i++) {
		data[0] = i;
		start_time = bench_now(CLOCK_MONOTONIC);
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		len = send(fd, data, sizeof(data), 0);
		if (len == sizeof(data))
			len = spin(fd, answer, sizeof(answer), &from);
		if (len != sizeof(data) || answer[0] != i)
			return bench_fail(net, "echo request %llu was lost or doubled",
					  (unsigned long long)i);
		times[i] = bench_now(CLOCK_MONOTONIC) - start_time;
	}
	return 0;
}

int bench_ping(struct bench_net *net, uint64_t count, struct bench_result *result)
{
	int64_t *times = calloc(count + WARM_UP, sizeof(*times)), *first;
	int server = bench_net_socket(net, net->receiver, SOCK_DGRAM, BENCH_PORT, true);
	int client = bench_net_socket(net, net->sender, SOCK_DGRAM, BENCH_PORT, false);
	int err = server < 0 || client < 0 || !times ? -1 : 0;
	pid_t pid = err < 0 ? -1 : start(net, echo, server, -1);

	if (pid > 0) {
		err = ping_all(net, client, count + WARM_UP, times);
		finish(pid);
	}
	if (pid > 0 && err == 0) {
		first = times + WARM_UP;
		qsort(first, count, sizeof(*times), traffic_compare);
		result->value[BENCH_P50] = (double)first[count / 2] / 1000;
		result->value[BENCH_P99] = (double)first[count * 99 / 100] / 1000;
	}
	if (server >= 0)
		close(server);
	if (client >= 0)
		close(client);
	free(times);
	return pid > 0 ? err : -1;
}

/* ---- a stream ----------------------------------------------------------------------------- */

struct received {
	uint64_t bytes;
	int64_t ns;
};

/* Reads one connection to its end, and returns how much that was and how long it took. */
static void sink(int fd, int out)
{
	struct received received = { 0 };
	char *data = malloc(CHUNK);
	int from;
	ssize_t len;

	set_timeout(fd);
	from = accept(fd, NULL, NULL);
	set_timeout(from);
	received.ns = -bench_now(CLOCK_MONOTONIC);
	while (data && (len = recv(from, data, CHUNK, 0)) > 0)
		received.bytes += (uint64_t)len;
	received.ns += bench_now(CLOCK_MONOTONIC);
	(void)!write(out, &received, sizeof(received));
}

/* Returns how many bytes went out. */
static uint64_t pour(int fd, uint64_t bytes, double seconds)
{
	int64_t end = bench_now(CLOCK_MONOTONIC) + (int64_t)(seconds * 1e9);
	char *data = calloc(1, CHUNK);
	uint64_t sent = 0;
	ssize_t len;

	while (data && sent < bytes && !bench_interrupted && bench_now(CLOCK_MONOTONIC) < end) {
		len = send(fd, data, bytes - sent < CHUNK ? bytes - sent : CHUNK, MSG_NOSIGNAL);
		if (len < 0 && errno != EINTR)
			break;
		sent += len > 0 ? (uint64_t)len : 0;
	}
	free(data);
	return sent;
}

static int compare_ends(struct bench_net *net, uint64_t sent, const struct received *received,
			struct bench_result *result)
{
	if (bench_interrupted)
		return bench_fail(net, "interrupted");
	if (sent == 0 || received->bytes != sent || received->ns <= 0)
		return bench_fail(net, "%llu bytes sent, %llu received", (unsigned long long)sent,
				  (unsigned long long)received->bytes);
	result->value[BENCH_GBIT] = (double)sent * 8 / (double)received->ns;
	return 0;
}

/* The sender's side of it; @listener is the receiver's. */
static int stream_to(struct bench_net *net, int listener, uint64_t bytes, double seconds,
		     struct bench_result *result)
{
	struct received received = { 0 };
	uint64_t sent = 0;
	int ends[2], fd;
	pid_t pid;

	if (pipe(ends) < 0)
		return bench_fail(net, "cannot make a pipe: %s", strerror(errno));
	pid = start(net, sink, listener, ends[1]);
	close(ends[1]);
	fd = pid > 0 ? bench_net_socket(net, net->sender, SOCK_STREAM, BENCH_PORT, false) : -1;
	if (fd >= 0) {
		set_timeout(fd);
		sent = pour(fd, bytes, seconds);
		close(fd);
		while (read(ends[0], &received, sizeof(received)) < 0 && errno == EINTR &&
		       !bench_interrupted)
			;
	}
	if (pid > 0)
		finish(pid);
	close(ends[0]);
	return fd >= 0 ? compare_ends(net, sent, &received, result) : -1;
}

int bench_stream(struct bench_net *net, uint64_t bytes, double seconds,
		 struct bench_result *result)
{
	int listener = bench_net_socket(net, net->receiver, SOCK_STREAM, BENCH_PORT, true);
	int err;

	if (listener < 0)
		return -1;
	err = listen(listener, 1) < 0 ? bench_fail(net, "cannot listen: %s", strerror(errno))
				      : stream_to(net, listener, bytes, seconds, result);
	close(listener);
	return err;
}
