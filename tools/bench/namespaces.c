/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: many namespaces in one thread, with one ring. In each there is only `lo`, of which
 * what comes in is queued: a socket sends to itself. A process of its own serves them, so that the
 * memory that it needs is not ours.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mnfq/mnfq.h>

#include "bench/bench.h"

#define QUEUE              4711             /* others may follow all namespaces of the machine */
#define ECHO_PORT          (BENCH_PORT + 1) /* what goes to BENCH_PORT is discarded behind the queue */
#define NAMESPACES_HEADERS 28               /* IPv4 and UDP */
#define NAMESPACES_WINDOW  1000             /* packets of the noisy one that wait, */
#define BATCH_MAX          1024             /* besides those that are decided and not sent yet */
#define IDLE_NS            2000000000ll
#define DURATION_NS        1000000000ll
#define LOST_MS            10000 /* nothing came for so long: lost */
#define NAMESPACES_EVENTS  64

/* ---- the namespaces, which all measurements share ----------------------------------------- */

static struct {
	unsigned int count;
	int *ns, *udp;
} made;

/* A socket that sends to itself, and to BENCH_PORT. */
static int open_socket(struct bench_net *net)
{
	struct sockaddr_in self = { .sin_family = AF_INET,
				    .sin_port = htons(ECHO_PORT),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&self, sizeof(self)) == 0 &&
	    connect(fd, (struct sockaddr *)&self, sizeof(self)) == 0)
		return fd;
	bench_fail(net, "cannot open a socket: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int make_one(struct bench_net *net, unsigned int i)
{
	made.ns[i] = bench_net_make(net);
	if (made.ns[i] < 0 ||
	    bench_net_run(net, made.ns[i],
			  "ip link set lo up && "
			  "%s -w -t mangle -A INPUT -p udp -j NFQUEUE --queue-num %d && "
			  "%s -w -A INPUT -p udp --dport %d -j DROP",
			  net->iptables, QUEUE, net->iptables, BENCH_PORT) < 0)
		return -1;
	made.udp[i] = open_socket(net);
	return made.udp[i] < 0 ? -1 : 0;
}

/* A namespace, a socket to send with and one for its packets make three descriptors. */
static int namespaces_raise_limit(struct bench_net *net, unsigned int count)
{
	struct rlimit limit;
	rlim_t need = 3 * (rlim_t)count + 64;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return 0;
	limit.rlim_cur = need;
	limit.rlim_max = limit.rlim_max > need ? limit.rlim_max : need;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	return bench_fail(net, "%u namespaces need %llu descriptors: raise the limit (ulimit -n)",
			  count, (unsigned long long)need);
}

static int make_all(struct bench_net *net, unsigned int count)
{
	if (namespaces_raise_limit(net, count) < 0)
		return -1;
	if (!made.ns)
		made.ns = calloc(count, sizeof(*made.ns));
	if (!made.udp)
		made.udp = calloc(count, sizeof(*made.udp));
	if (!made.ns || !made.udp)
		return bench_fail(net, "out of memory");
	for (; made.count < count; made.count++) {
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		if (make_one(net, made.count) < 0)
			return -1;
	}
	return 0;
}

/* ---- the process that serves -------------------------------------------------------------- */

struct netns_entry {
	struct netns_run *run;
	struct mnfq_socket *sock;
	_Atomic uint64_t packets;
};

struct netns_run {
	struct bench_net *net; /* for its error */
	struct netns_entry *entries;
	unsigned int count;
	uint64_t each; /* packets for a namespace */
	size_t size;   /* of their payload */
	uint32_t batch;
	struct mnfq_ring *ring;
	int epoll_fd;
	uint64_t handled;
	_Atomic uint64_t sent;
	bool noisy;
	atomic_bool over;
	double rate;
	struct bench_result result;
};

static enum mnfq_verdict namespaces_decide(struct mnfq_packet *packet, void *data)
{
	struct netns_entry *entry = data;

	(void)packet;
	entry->run->handled++;
	atomic_fetch_add_explicit(&entry->packets, 1, memory_order_relaxed);
	return MNFQ_ACCEPT;
}

static int namespaces_attach(struct netns_run *run, unsigned int i)
{
	struct netns_entry *entry = &run->entries[i];
	struct mnfq_socket_options options = { .size = sizeof(options),
					       .error = run->net->error,
					       .error_size = sizeof(run->net->error),
					       .receive_buffer =
						       (uint32_t)run->each * 4096 + (64u << 20),
					       .ring = run->ring };
	struct mnfq_queue_options settings = { .size = sizeof(settings),
					       .max_len = (uint32_t)run->each +
							  NAMESPACES_WINDOW + BATCH_MAX };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = entry };
	struct mnfq_queue *queue;

	entry->run = run;
	if (mnfq_socket_open_netns_fd(&entry->sock, made.ns[i], &options) < 0)
		return -1;
	if (mnfq_queue_bind(&queue, entry->sock, QUEUE, &settings, namespaces_decide, entry) < 0)
		return bench_fail(run->net, "%s", mnfq_socket_get_error(entry->sock));
	if (epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, mnfq_socket_get_fd(entry->sock), &event) < 0)
		return bench_fail(run->net, "cannot wait for a socket: %s", strerror(errno));
	return 0;
}

/* One turn: a batch for each that has something, or some of them. Returns how run, or -1. */
static int turn(struct netns_run *run, int timeout_ms)
{
	struct epoll_event events[NAMESPACES_EVENTS];
	int n = epoll_wait(run->epoll_fd, events, NAMESPACES_EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		struct netns_entry *entry = events[i].data.ptr;

		if (mnfq_socket_dispatch(entry->sock, 0) < 0)
			return bench_fail(run->net, "%s", mnfq_socket_get_error(entry->sock));
	}
	return n;
}

/* Until all that was sent was decided. */
static int namespaces_serve(struct netns_run *run)
{
	int n;

	while (run->handled < run->sent) {
		n = turn(run, LOST_MS);
		if (n < 0)
			return -1;
		if (n == 0)
			return bench_fail(run->net, "packets were lost: %llu sent, %llu decided",
					  (unsigned long long)run->sent,
					  (unsigned long long)run->handled);
	}
	return 0;
}

static int namespaces_send_to(struct netns_run *run, unsigned int i, uint16_t port)
{
	static const uint8_t data[65536];
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (sendto(made.udp[i], data, run->size, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return bench_fail(run->net, "sending failed: %s", strerror(errno));
	run->sent++;
	return 0;
}

static int send_many(struct netns_run *run, unsigned int i, uint64_t count)
{
	while (count-- > 0)
		if (namespaces_send_to(run, i, BENCH_PORT) < 0)
			return -1;
	return 0;
}

/* Memory of our own in KiB, page by page. */
static double namespaces_get_memory(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Anonymous: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return (double)kib;
}

static double us_each(int64_t since, unsigned int count)
{
	return (double)(bench_now(CLOCK_PROCESS_CPUTIME_ID) - since) / 1000 / count;
}

/* The first namespace pays for what all share: a whole batch went through the ring. */
static int namespaces_begin(struct netns_run *run)
{
	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	run->entries = calloc(run->count, sizeof(*run->entries));
	if (run->epoll_fd < 0 || !run->entries || mnfq_ring_new(&run->ring, run->batch) < 0)
		return bench_fail(run->net, "out of memory");
	return namespaces_attach(run, 0) < 0 || send_many(run, 0, run->batch) < 0
		       ? -1
		       : namespaces_serve(run);
}

static int measure_attach(struct netns_run *run)
{
	int64_t since = bench_now(CLOCK_PROCESS_CPUTIME_ID);

	for (unsigned int i = 1; i < run->count; i++)
		if (namespaces_attach(run, i) < 0)
			return -1;
	if (run->count > 1)
		run->result.value[BENCH_ATTACH] = us_each(since, run->count - 1);
	return 0;
}

/* How often the thread goes to sleep more than the once that it should. */
static int measure_idle(struct netns_run *run)
{
	int64_t end = bench_now(CLOCK_MONOTONIC) + IDLE_NS, left;
	struct rusage before, after;

	getrusage(RUSAGE_THREAD, &before);
	while ((left = end - bench_now(CLOCK_MONOTONIC)) > 0)
		if (turn(run, (int)(left / 1000000) + 1) < 0)
			return -1;
	getrusage(RUSAGE_THREAD, &after);
	run->result.value[BENCH_WAKEUPS] = (double)(after.ru_nvcsw - before.ru_nvcsw - 1);
	return 0;
}

static int namespaces_measure_drain(struct netns_run *run)
{
	uint64_t before = run->handled;
	int64_t since;

	for (unsigned int i = 0; i < run->count; i++)
		if (send_many(run, i, run->each) < 0)
			return -1;
	since = bench_now(CLOCK_THREAD_CPUTIME_ID);
	if (namespaces_serve(run) < 0)
		return -1;
	run->result.value[BENCH_CPU] = (double)(bench_now(CLOCK_THREAD_CPUTIME_ID) - since) /
				       1000 / (double)(run->handled - before);
	return 0;
}

/* ---- a quiet one beside a noisy one ------------------------------------------------------- */

/* Whether a packet that was sent to itself has arrived. */
static bool has_arrived(unsigned int i)
{
	char data[64];

	return recv(made.udp[i], data, sizeof(data), MSG_DONTWAIT) >= 0;
}

/*
 * In namespace 1 each packet is sent when the one before has arrived; meanwhile namespace 0 never
 * runs out of them, if it is noisy. One thread does both, lest they wait for each other.
 */
static void *make_traffic(void *arg)
{
	struct netns_run *run = arg;
	int64_t begin_ns = bench_now(CLOCK_MONOTONIC), now = begin_ns, last = begin_ns;
	uint64_t arrived = 0, noise = run->entries[0].packets;
	bool on_its_way = false;
	int err = 0;

	while (!run->over && err == 0 && now - begin_ns < DURATION_NS &&
	       now - last < LOST_MS * 1000000ll) {
		now = bench_now(CLOCK_MONOTONIC);
		if (on_its_way && has_arrived(1)) {
			on_its_way = false;
			arrived++;
			last = now;
		}
		if (!on_its_way) {
			err = namespaces_send_to(run, 1, ECHO_PORT);
			on_its_way = true;
		} else if (run->noisy && noise < run->entries[0].packets + NAMESPACES_WINDOW) {
			err = namespaces_send_to(run, 0, BENCH_PORT);
			noise++;
		} else {
			sched_yield();
		}
	}
	run->rate = (double)arrived * 1e9 / (double)(now - begin_ns + 1);
	run->over = true;
	return NULL;
}

/* The first processor is for traffic, the last for us. */
static int measure_quiet(struct netns_run *run, bool noisy, enum bench_metric metric)
{
	int first, last, err = 0;
	pthread_t thread;

	bench_find_cpus(&first, &last);
	run->over = false;
	run->noisy = noisy;
	bench_set_affinity(first, first);
	if (pthread_create(&thread, NULL, make_traffic, run) != 0)
		return bench_fail(run->net, "cannot start a thread");
	bench_set_affinity(last, last);
	while (!run->over && err >= 0)
		err = turn(run, 100);
	run->over = true;
	pthread_join(thread, NULL);
	run->result.value[metric] = run->rate;
	if (err < 0 || run->net->error[0] || namespaces_serve(run) < 0)
		return -1;
	while (has_arrived(1))
		;
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

/* What the library counted must be what happened. */
static int namespaces_check(struct netns_run *run)
{
	struct mnfq_stats stats = MNFQ_INIT(stats), sum = { 0 };

	for (unsigned int i = 0; i < run->count; i++) {
		mnfq_socket_get_stats(run->entries[i].sock, &stats);
		sum.packets += stats.packets;
		sum.lost += stats.lost + stats.defaulted + stats.unsent + stats.refused;
		if (stats.packets != run->entries[i].packets || stats.packets < run->each)
			return bench_fail(run->net, "namespace %u: packets were lost or doubled",
					  i);
	}
	if (sum.packets == run->sent && sum.lost == 0)
		return 0;
	return bench_fail(run->net, "packets were lost or doubled: %llu sent, %llu decided",
			  (unsigned long long)run->sent, (unsigned long long)sum.packets);
}

static void measure_detach(struct netns_run *run)
{
	int64_t since = bench_now(CLOCK_PROCESS_CPUTIME_ID);

	for (unsigned int i = 0; i < run->count; i++)
		mnfq_socket_close(run->entries[i].sock);
	if (run->count > 1)
		run->result.value[BENCH_DETACH] = us_each(since, run->count);
	mnfq_ring_free(run->ring);
}

static int measure(struct netns_run *run)
{
	double memory;
	int first, last;

	bench_find_cpus(&first, &last);
	bench_set_affinity(last, last);
	if (namespaces_begin(run) < 0)
		return -1;
	memory = namespaces_get_memory();
	if (measure_attach(run) < 0 || (run->count > 1 && measure_idle(run) < 0) ||
	    namespaces_measure_drain(run) < 0)
		return -1;
	if (run->count > 1) {
		run->result.value[BENCH_EACH] =
			(namespaces_get_memory() - memory) / (run->count - 1);
		if (measure_quiet(run, false, BENCH_ALONE) < 0 ||
		    measure_quiet(run, true, BENCH_BESIDE) < 0)
			return -1;
	}
	if (namespaces_check(run) < 0)
		return -1;
	measure_detach(run);
	return 0;
}

/* ---- in ours ------------------------------------------------------------------------------ */

struct bench_outcome {
	struct bench_result result;
	char error[sizeof(((struct bench_net *)0)->error)];
};

static void namespaces_child_main(struct netns_run *run, int out, pid_t parent)
{
	struct bench_outcome outcome = { 0 };

	bench_bind_to_parent(parent);
	if (measure(run) < 0)
		memcpy(outcome.error, run->net->error, sizeof(outcome.error));
	outcome.result = run->result;
	_exit(write(out, &outcome, sizeof(outcome)) == sizeof(outcome) ? EXIT_SUCCESS
								       : EXIT_FAILURE);
}

/* Waits for what it writes; it may be interrupted instead. */
static int await_outcome(struct bench_net *net, int in, struct bench_outcome *outcome)
{
	struct pollfd readable = { .fd = in, .events = POLLIN };

	while (!bench_interrupted && poll(&readable, 1, 100) <= 0)
		;
	if (bench_interrupted)
		return bench_fail(net, "interrupted");
	if (read(in, outcome, sizeof(*outcome)) != sizeof(*outcome))
		return bench_fail(net, "the process died");
	return outcome->error[0] ? bench_fail(net, "%s", outcome->error) : 0;
}

static int namespaces_run(struct bench_net *net, struct netns_run *run)
{
	struct bench_outcome outcome;
	pid_t parent = getpid(), pid;
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return bench_fail(net, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		namespaces_child_main(run, ends[1], parent);
	close(ends[1]);
	err = pid < 0 ? bench_fail(net, "cannot start a process: %s", strerror(errno))
		      : await_outcome(net, ends[0], &outcome);
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL); /* it has written all its results */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (err == 0)
		run->result = outcome.result;
	return err;
}

int bench_measure_namespaces(struct bench_net *net, const struct bench_options *opts,
			     const struct bench_candidate *candidate, struct bench_result *result)
{
	struct netns_run run = { .net = net,
				 .size = opts->size - NAMESPACES_HEADERS,
				 .batch = opts->batch ? (uint32_t)opts->batch : 64,
				 .result = *result };
	unsigned int count = (unsigned int)opts->namespaces;
	uint64_t each = opts->packets > count ? opts->packets / count : 1;

	bench_pin(false);
	if (make_all(net, count) < 0)
		return -1;
	run.count = candidate->once ? 1 : count;
	run.each = candidate->once ? each * count : each;
	if (namespaces_run(net, &run) < 0)
		return -1;
	*result = run.result;
	return 0;
}
