/* SPDX-License-Identifier: MIT */
/*
 * A thousand namespaces in one process and one thread, which share a ring: all are served, none
 * costs much, no thread is woken for nothing, a noisy one starves no other, and nothing stays behind.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel-fixture.h"

TestSuite(scale, .timeout = 500);

#define QUIET_PORT (PORT + 1) /* no rule queues what goes there */
#define QUEUE      4711 /* an unusual one: others may follow all namespaces of the machine */

/* ---- where namespaces are made ------------------------------------------------------------ */

/*
 * A process in a user namespace of its own, which may have so many network namespaces and no more:
 * so it can tell when earlier ones are gone. It hands them over and keeps none but the last.
 */
static bool write_file(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static bool write_file(const char *path, const char *format, ...)
{
	FILE *file = fopen(path, "we");
	va_list args;
	bool ok;

	if (!file)
		return false;
	va_start(args, format);
	ok = vfprintf(file, format, args) > 0;
	va_end(args);
	return fclose(file) == 0 && ok;
}

static bool enter_user_namespace(unsigned int limit)
{
	return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", "0 0 1") &&
	       write_file("/proc/self/gid_map", "0 0 1") &&
	       write_file("/proc/sys/user/max_net_namespaces", "%u", limit);
}

static bool set_lo_up(void)
{
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &req) == 0;

	close(fd);
	return ok;
}

static bool set_rule(void)
{
	int status = -1;
	char port[8], queue[8];
	pid_t pid;

	snprintf(port, sizeof(port), "%d", PORT);
	snprintf(queue, sizeof(queue), "%d", QUEUE);
	pid = fork();
	if (pid == 0) {
		execlp("iptables-legacy", "iptables-legacy", "-w", "-t", "mangle", "-A", "INPUT",
		       "-p", "udp", "--dport", port, "-j", "NFQUEUE", "--queue-num", queue, NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* A socket that sends to itself. */
static int open_loop(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool hand_over(int stream, int fd)
{
	bool ok = fd >= 0 && send_descriptor(stream, fd) == 0;

	close(fd);
	return ok;
}

static bool make_one(int stream)
{
	return unshare(CLONE_NEWNET) == 0 && set_lo_up() && set_rule() &&
	       hand_over(stream, open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) &&
	       hand_over(stream, open_loop());
}

/* As many again, which are kept: only if all others are gone. Returns how many there could be. */
static unsigned int fill_up(unsigned int count)
{
	unsigned int made;

	for (made = 0; made < count; made++) {
		int64_t since = 0;

		while (unshare(CLONE_NEWNET) < 0)
			if (errno != ENOSPC || !wait_again(&since))
				return made;
		if (open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) < 0)
			return made;
	}
	return made;
}

/* Exits with 0 if all that were made are gone once its stream has ended. */
static int make_all(int stream, void *arg)
{
	unsigned int wanted = *(unsigned int *)arg;
	char byte;

	/* The one that it is in counts, too. */
	if (!enter_user_namespace(wanted + 1))
		return 2;
	for (unsigned int i = 0; i < wanted; i++)
		if (!make_one(stream))
			return 3;
	if (unshare(CLONE_NEWNET) < 0)
		return 4;
	if (read(stream, &byte, 1) != 1)
		return 0;
	return fill_up(wanted) == wanted ? 0 : 5;
}

/* ---- what is served ----------------------------------------------------------------------- */

struct place {
	int ns;
	struct udp udp;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	unsigned int seen;
};

static struct place *places;
static unsigned int count;
static struct mnfq_ring *ring;
static int epoll_fd;
static struct child maker;

static int wait_for_descriptor(void)
{
	int fd;

	cr_assert(wait_readable(maker.fd), "no namespace is made");
	fd = receive_descriptor(maker.fd);
	cr_assert(fd >= 0, "no namespace is made: %s; exit status %d", strerror(-fd),
		  child_finish(&maker));
	return fd;
}

static void make_places(unsigned int wanted)
{
	struct netns *ns = netns_new(); /* or there is nothing to test here */

	/* Loads the modules, which a process of another user namespace may not. */
	netns_rule(ns, 4, "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE", PORT);
	netns_free(ns);
	count = wanted;
	places = calloc(count, sizeof(*places));
	maker = child_start(make_all, &count);
	for (unsigned int i = 0; i < count; i++) {
		places[i].ns = wait_for_descriptor();
		places[i].udp.tx = places[i].udp.rx = wait_for_descriptor();
	}
}

static enum mnfq_verdict see(struct mnfq_packet *packet, void *data)
{
	struct place *place = data;

	(void)packet;
	place->seen++;
	return MNFQ_ACCEPT;
}

static void attach(struct place *place, uint32_t max_len)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = place };
	char errmsg[256] = "";

	cr_assert(mnfq_socket_open_netns_fd(&place->sock, place->ns,
					    SOCKET_OPTIONS(.ring = ring, .error = errmsg,
							   .error_size = sizeof(errmsg))) == 0,
		  "%s", errmsg);
	expect_ok(place->sock, mnfq_queue_bind(&place->queue, place->sock, QUEUE,
					       QUEUE_OPTIONS(.max_len = max_len), see, place));
	cr_assert(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, mnfq_socket_get_fd(place->sock), &event) ==
		  0);
}

static void attach_all(uint32_t max_len)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	cr_assert(mnfq_ring_new(&ring, 0) == 0);
	for (unsigned int i = 0; i < count; i++)
		attach(&places[i], max_len);
	ring = mnfq_ring_free(ring);
}

/* One turn: each of those that have something gets one batch. Returns packets, 0 if none come. */
static unsigned int turn(int timeout_ms)
{
	struct epoll_event *events = calloc(count, sizeof(*events));
	int n = epoll_wait(epoll_fd, events, (int)count, timeout_ms), err;
	unsigned int handled = 0;

	cr_assert(n >= 0);
	for (int i = 0; i < n; i++) {
		struct place *place = events[i].data.ptr;

		err = mnfq_socket_dispatch(place->sock, 0);
		cr_assert(err >= 0, "%s", mnfq_socket_get_error(place->sock));
		handled += (unsigned int)err;
	}
	free(events);
	return handled;
}

static void serve(unsigned int packets)
{
	unsigned int handled = 0, more;

	while (handled < packets) {
		more = turn(DEADLINE_MS);
		cr_assert(more > 0, "%u of %u packets came", handled, packets);
		handled += more;
	}
	cr_expect_eq(handled, packets);
}

static void close_all(void)
{
	for (unsigned int i = 0; i < count; i++) {
		mnfq_socket_close(places[i].sock);
		close(places[i].udp.tx);
		close(places[i].ns);
	}
	close(epoll_fd);
	free(places);
	places = NULL;
}

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	cr_assert(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The limit of the user namespace says so: as many can be made again. */
static void expect_gone(void)
{
	child_tell(&maker);
	(void)wait_readable(maker.fd); /* it waits for a while, too */
	cr_expect_eq(child_finish(&maker), 0, "unknown namespaces live on");
}

/* ---- what it costs ------------------------------------------------------------------------ */

/*
 * Memory of our own in KiB, page by page: what /proc/self/statm tells is some 100 KiB off on
 * machines with many processors.
 */
static long get_memory(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	char line[128];
	long kib = -1;

	cr_assert(file);
	while (kib < 0 && fgets(line, sizeof(line), file))
		(void)sscanf(line, "Anonymous: %ld", &kib);
	fclose(file);
	cr_assert(kib > 0);
	return kib;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS false /* a sanitizer has more of it than we */
#else
#define MEMORY_IS_OURS true
#endif

/*
 * What a namespace may cost. A socket and its queue have about 3.5 KiB; the rest is slack for a
 * heap that rounds up, for the ring's few pages that small packets touch, for the stack of the
 * thread that went there, and for what is still to come.
 */
#define KIB_EACH 16

/* ---- idle --------------------------------------------------------------------------------- */

struct sleeper {
	_Atomic int tid;
	_Atomic unsigned int turns;
	unsigned int packets; /* to be served before it ends */
};

static void *sleep_and_serve(void *arg)
{
	struct sleeper *sleeper = arg;
	unsigned int handled = 0;

	sleeper->tid = (int)syscall(SYS_gettid);
	while (handled < sleeper->packets) {
		handled += turn(-1);
		sleeper->turns++;
	}
	return NULL;
}

struct switches {
	char state;
	long voluntary, forced;
};

static struct switches get_switches(int tid)
{
	struct switches switches = { 0 };
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		(void)sscanf(line, "State: %c", &switches.state);
		(void)sscanf(line, "voluntary_ctxt_switches: %ld", &switches.voluntary);
		(void)sscanf(line, "nonvoluntary_ctxt_switches: %ld", &switches.forced);
	}
	cr_assert(file);
	fclose(file);
	return switches;
}

/* Datagrams in each namespace which are not for us. */
static void send_unqueued(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(QUIET_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (unsigned int i = 0; i < count; i++)
		/* No receiver is there, which the next attempt reports. */
		(void)sendto(places[i].udp.tx, "?", 1, 0, (struct sockaddr *)&to, sizeof(to));
}

/*
 * While nothing is queued the thread sleeps: for a second of other traffic, neither the kernel's
 * count of its going to sleep changes nor ours of its turns. Then a packet wakes it.
 */
static void expect_idle(void)
{
	static struct sleeper sleeper = { .packets = 1 };
	struct switches before, after;
	pthread_t thread;
	int64_t begin;

	cr_assert_eq(turn(0), 0);
	cr_assert(pthread_create(&thread, NULL, sleep_and_serve, &sleeper) == 0);
	cr_assert(wait_until(sleeper.tid != 0 && get_switches(sleeper.tid).state == 'S'));
	before = get_switches(sleeper.tid);
	for (begin = now_ms(); now_ms() - begin < 1000;)
		send_unqueued();
	after = get_switches(sleeper.tid);
	cr_expect(after.voluntary == before.voluntary && after.forced == before.forced,
		  "woken %ld and %ld times", after.voluntary - before.voluntary,
		  after.forced - before.forced);
	cr_expect_eq(sleeper.turns, 0);
	udp_send(&places[count / 2].udp, 4711);
	pthread_join(thread, NULL);
	cr_expect_eq(sleeper.turns, 1);
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* One to each, which arrives there. */
static void expect_all_served(void)
{
	struct datagram datagram;

	for (unsigned int i = 0; i < count; i++)
		udp_send(&places[i].udp, i);
	serve(count);
	for (unsigned int i = 0; i < count; i++) {
		cr_expect_eq(places[i].seen, 1, "namespace %u: %u packets", i, places[i].seen);
		cr_expect(udp_await(&places[i].udp, &datagram) && datagram.seq == i &&
				  datagram.intact,
			  "namespace %u", i);
	}
}

/* Machines with little memory say how many they can bear: the kernel needs 200 KiB for each. */
static unsigned int get_count(void)
{
	const char *text = getenv("MNFQ_TEST_NAMESPACES");

	return text ? (unsigned int)atoi(text) : 1000;
}

/* Its file, its UDP socket and ours. */
#define FDS_EACH 3

/* The usual hard limit is enough; a lower one is not ours to raise unless we have CAP_SYS_RESOURCE. */
static void allow_descriptors(rlim_t needed)
{
	struct rlimit limit;

	cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max = limit.rlim_max < needed ? needed : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		skip_or_fail("the hard limit of open files is too low (ulimit -Hn)");
}

Test(scale, a_thousand_namespaces_in_one_thread)
{
	unsigned int before;
	long memory;

	allow_descriptors(FDS_EACH * get_count() + 64);
	before = count_descriptors();
	make_places(get_count());
	memory = get_memory();
	attach_all(0);
	expect_all_served();
	memory = get_memory() - memory;
	if (MEMORY_IS_OURS)
		cr_expect(memory <= (long)count * KIB_EACH, "%ld KiB for %u namespaces", memory,
			  count);
	expect_idle();
	close_all();
	/* But for the stream to the maker, and the pipe to the process that tidies up. */
	cr_expect_eq(count_descriptors(), before + 2);
	expect_gone();
}

/* ---- fairness ----------------------------------------------------------------------------- */

#define QUIET 9
#define NOISE 1100
#define BATCH 64

static void make_noise(void)
{
	make_places(1 + QUIET);
	attach_all(2 * NOISE);
	udp_send_many(&places[0].udp, 0, NOISE);
	for (unsigned int i = 1; i <= QUIET; i++)
		udp_send(&places[i].udp, i);
	for (unsigned int i = 0; i <= QUIET; i++) {
		struct pollfd fd = { .fd = mnfq_socket_get_fd(places[i].sock), .events = POLLIN };

		cr_assert(poll(&fd, 1, DEADLINE_MS) == 1);
	}
}

static void expect_quiet_served(void)
{
	for (unsigned int i = 1; i <= QUIET; i++)
		cr_expect_eq(places[i].seen, 1, "quiet namespace %u was not served", i);
	cr_expect(places[0].seen <= BATCH, "the noisy one got %u packets", places[0].seen);
	serve(NOISE - places[0].seen);
	cr_expect_eq(places[0].seen, NOISE);
	close_all();
	expect_gone();
}

Test(scale, a_noisy_namespace_gets_a_batch_a_turn)
{
	make_noise();
	turn(0);
	expect_quiet_served();
}

/* The same where the kernel is asked for one at a time: it puts the noisy one behind the others. */
Test(scale, a_noisy_namespace_goes_to_the_end_of_the_line)
{
	struct epoll_event event;

	make_noise();
	for (int i = 0; i < 1 + QUIET; i++) {
		cr_assert_eq(epoll_wait(epoll_fd, &event, 1, 0), 1);
		(void)mnfq_socket_dispatch(((struct place *)event.data.ptr)->sock, 0);
	}
	expect_quiet_served();
}

/* A socket keeps a namespace alive that has no process and no name, and serves it; closing ends it. */
Test(scale, one_that_is_closed_is_freed_while_others_go_on)
{
	struct epoll_event unused = { 0 };

	make_places(2);
	attach_all(0);
	udp_send(&places[0].udp, 1);
	close(places[0].ns);
	serve(1);
	cr_expect_eq(places[0].seen, 1);
	cr_assert(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, mnfq_socket_get_fd(places[0].sock),
			    &unused) == 0);
	places[0].sock = mnfq_socket_close(places[0].sock);
	udp_send(&places[1].udp, 1);
	serve(1);
	cr_expect_eq(places[1].seen, 1);
	places[0].ns = -1;
	close_all();
	expect_gone();
}
