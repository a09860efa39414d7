/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with namespaces that make its work slow, by what they hand over and by rules behind the queue:
 * others do not wait for them.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <mnfq/mnfq.h>

#include "container.h"
#include "listener.h"

TestSuite(dump_slow, .timeout = 300);

#define ATTACKER 12345
#define HONEST   23456

/*
 * A round trip of a quiet namespace takes a fraction of a millisecond on a machine with nothing else to do; each
 * of the attacks would make more than this of many of them.
 */
#define LATE_NS 20000000

static void start(const struct netns *quiet, unsigned int queues, const char *options)
{
	listener_make_path();
	tool_start(&tool, NULL, -1, "dump -q 1:%u --quiet --listen %s --mode 0666 -n %s %s",
		   queues, LISTENER_PATH, quiet->name, options);
	tool_await_err(&tool, "listening on queue");
}

static void stop(void)
{
	char last[sizeof(tool.line)] = "";

	kill(tool.pid, SIGTERM);
	while (tool_err(&tool)[0])
		if (strstr(tool.line, " accepted, "))
			strcpy(last, tool.line);
	cr_assert(last[0], "no summary");
	if (!tool.unaccounted)
		tool_account(last, &(struct account){ .elsewhere = tool.elsewhere });
	cr_assert_eq(tool_finish(&tool), 0);
	listener_remove();
}

/* ---- the quiet one ---------------------------------------------------------------------- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Sends through its queue, one at a time, a millisecond apart, and sees how long each takes. */
static struct quiet {
	struct udp udp;
	struct netns *ns;
	uint32_t sent;
	int64_t sum, max, late; /* ns; late: beyond LATE_NS each, together */
} quiet;

static void open_quiet(void)
{
	quiet.ns = queued_ns_open(&quiet.udp);
}

static void make_trip(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const int64_t begin = now_ns();
	struct datagram datagram;
	int64_t took;

	udp_send(&quiet.udp, quiet.sent);
	cr_assert(udp_await(&quiet.udp, &datagram));
	cr_assert_eq(datagram.seq, quiet.sent++);
	took = now_ns() - begin;
	quiet.sum += took;
	quiet.max = took > quiet.max ? took : quiet.max;
	quiet.late += took > LATE_NS ? took - LATE_NS : 0;
	nanosleep(&pause, NULL);
}

#define TRIPS 300

/* What all attackers have done of what they are to do. */
static atomic_uint *successes;

static void share_successes(void)
{
	successes = mmap(NULL, sizeof(*successes), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(successes != MAP_FAILED);
}

/* So many, and more until there are so many successes as well. */
static void measure_quiet(const char *what, unsigned int wanted)
{
	const int64_t since = now_ms();
	unsigned int trips = 0;

	quiet.sum = quiet.max = quiet.late = 0;
	while (trips++ < TRIPS || (wanted && atomic_load(successes) < wanted)) {
		make_trip();
		cr_assert(now_ms() - since < DEADLINE_MS, "%u of %u: %s",
			  wanted ? atomic_load(successes) : 0, wanted, what);
	}
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%s: average %.3f ms of %u, max %.3f, late %.3f", what,
			    (double)quiet.sum / trips / 1e6, trips, (double)quiet.max / 1e6,
			    (double)quiet.late / 1e6);
}

static void expect_quiet(void)
{
	cr_expect(quiet.late < 250000000, "round trips took %.1f ms too long, up to %.1f",
		  (double)quiet.late / 1e6, (double)quiet.max / 1e6);
}

/* ---- answers that are stolen ------------------------------------------------------------ */

#define THIEVES 2
#define QUEUES  64

static int hand_over(int fd, unsigned int flags, char *errmsg, size_t size)
{
	struct mnfq_handover_options options = {
		.size = sizeof(options), .flags = flags, .error = errmsg, .error_size = size
	};
	int stream = listener_connect();
	int err = stream < 0 ? stream : mnfq_handover_send(stream, fd, DEADLINE_MS, &options);

	return err < 0 ? err : stream;
}

static bool is_answered(int stream)
{
	char byte;

	return recv(stream, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
}

/* Without a pause once there may be one, so that few are left for the tool. */
static void take_answers(int fd, int stream)
{
	const struct timespec pause = { .tv_nsec = 50000 };
	struct sockaddr_nl addr = { .nl_pid = 0 };
	socklen_t len = sizeof(addr);
	char answer[256];

	while (!is_answered(stream) && addr.nl_pid == 0 &&
	       getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
		nanosleep(&pause, NULL);
	while (!is_answered(stream))
		for (int i = 0; i < 100; i++)
			(void)recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
}

/* Again and again until its stream ends, in a new namespace whenever one has been served. */
static int steal_answers(int stream, void *arg)
{
	char byte, errmsg[MNFQ_ERRMSG_SIZE];
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = errmsg,
						 .error_size = sizeof(errmsg) };
	int err = 0;

	(void)arg;
	while (recv(stream, &byte, 1, MSG_DONTWAIT) < 0) {
		int fd, peer;

		if (err == 0 && unshare(CLONE_NEWNET) < 0)
			return 1;
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
		peer = hand_over(fd, 0, errmsg, sizeof(errmsg));
		if (peer < 0)
			return 2;
		take_answers(fd, peer);
		err = mnfq_handover_wait(peer, DEADLINE_MS, &options);
		if (err == -ETIME)
			atomic_fetch_add(successes, 1);
		close(peer);
		close(fd);
	}
	return 0;
}

/* Hands a socket over, and says how many milliseconds that took. */
static int hand_over_honestly(int stream, void *arg)
{
	char byte, errmsg[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = errmsg,
						 .error_size = sizeof(errmsg) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), peer, err;
	int64_t since = now_ms();

	(void)arg;
	peer = hand_over(fd, 0, errmsg, sizeof(errmsg));
	err = peer < 0 ? peer : mnfq_handover_wait(peer, DEADLINE_MS, &options);
	dprintf(stream, "%d %lld %s", err, (long long)(now_ms() - since), errmsg);
	return read(stream, &byte, 1) == 0 ? 0 : 2;
}

static void expect_honest_one_served(void)
{
	struct container honest;
	char text[512] = "";
	long long took = 0;
	int err = 1;

	container_start(&honest, HONEST, hand_over_honestly, NULL);
	cr_assert(wait_readable(honest.child.fd));
	cr_assert(read(honest.child.fd, text, sizeof(text) - 1) > 0);
	cr_assert(sscanf(text, "%d %lld", &err, &took) == 2 && err == 0, "%s", text);
	cr_expect(took <= 1000, "an honest hand-over took %lld ms", took);
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("an honest hand-over took %lld ms", took);
	cr_assert_eq(container_finish(&honest), 0);
}

Test(dump_slow, stolen_answers_delay_no_other_namespace)
{
	struct container thieves[THIEVES];

	share_successes();
	open_quiet();
	start(quiet.ns, QUEUES, "");
	measure_quiet("alone", 0);
	for (unsigned int i = 0; i < THIEVES; i++)
		container_start(&thieves[i], ATTACKER + i, steal_answers, NULL);
	measure_quiet("while answers are stolen", 5);
	expect_quiet();
	expect_honest_one_served();
	for (unsigned int i = 0; i < THIEVES; i++)
		child_tell(&thieves[i].child);
	for (unsigned int i = 0; i < THIEVES; i++)
		cr_assert_eq(container_finish(&thieves[i]), 0);
	stop();
}

/* ---- rules behind the queue ------------------------------------------------------------- */

#define RULES    60000
#define TOO_MANY 400000 /* for a packet to have more than its share on any machine */

/* In a table that packets which were accepted still visit. */
static void add_rules(struct netns *space, unsigned int count)
{
	netns_run(
		space,
		"(echo '*mangle'; i=0; while [ $i -lt %u ]; do i=$((i+1)); "
		"echo '-A POSTROUTING -s 10.9.9.9 -p udp --dport 1 -j DROP'; done; echo COMMIT) | "
		"iptables-legacy-restore --noflush",
		count);
}

static void expect_prompt_end(void)
{
	char last[sizeof(tool.line)] = "";
	int64_t since = now_ms(), took;

	kill(tool.pid, SIGINT);
	while (tool_err(&tool)[0])
		if (strstr(tool.line, " accepted, "))
			strcpy(last, tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
	took = now_ms() - since;
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("the end took %lld ms: %s", (long long)took, last);
	cr_expect(took < 2000, "the end took %lld ms", (long long)took);
	tool_account(last, &(struct account){ .sent = 0 });
	listener_remove();
}

Test(dump_slow, rules_behind_the_queue_delay_no_other_namespace)
{
	struct netns *slow = queued_ns_open(&udp);
	char options[64];

	add_rules(slow, RULES);
	open_quiet();
	snprintf(options, sizeof(options), "-n %s", slow->name);
	start(quiet.ns, 1, options);
	udp_send_many(&udp, 0, 1000);
	measure_quiet("beside 60,000 rules", 0);
	expect_quiet();
	udp_send_many(&udp, 1000, 500);
	expect_prompt_end();
}

/* Its thread decides all of them, and tells what it has counted while it goes on, and at the end. */
Test(dump_slow, who_is_slow_gets_a_thread_that_counts)
{
	struct netns *slow = queued_ns_open(&udp);
	char options[64];

	add_rules(slow, TOO_MANY);
	open_quiet();
	snprintf(options, sizeof(options), "-n %s", slow->name);
	start(quiet.ns, 1, options);
	cr_assert(wait_until(process_count(tool.pid, "task") == 2),
		  "besides one that logs"); /* others open */
	udp_send_many(&udp, 0, 200);
	cr_assert(wait_until(process_count(tool.pid, "task") == 3), "it is not slow enough");
	cr_assert(netns_wait_waiting(slow, 1, 0));
	kill(tool.pid, SIGUSR1);
	tool_await_err(&tool, "200 packets, ");
	expect_contains(tool.line, " 200 accepted, 0 dropped");
	udp_send_many(&udp, 200, 100);
	cr_assert(netns_wait_waiting(slow, 1, 0));
	tool_stop(&tool, .packets = 300, .accepted = 300);
	listener_remove();
}

/* ---- leaving ---------------------------------------------------------------------------- */

#define LEAVES 6

static void send_to_queues(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (int i = 0; i < 10; i++) {
		int way = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		to.sin_port = htons((uint16_t)(9 + i % 2));
		for (int j = 0; j < 100; j++) /* there is room for them in a send buffer */
			(void)sendto(way, "?", 1, MSG_DONTWAIT, (struct sockaddr *)&to,
				     sizeof(to));
		close(way);
	}
}

/* Joins, has packets wait, and leaves at once, so that they are decided on the way out; then it returns. */
static int leave_full_queues(int stream, void *arg)
{
	char byte, errmsg[MNFQ_ERRMSG_SIZE];
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = errmsg,
						 .error_size = sizeof(errmsg) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), peer, err;

	(void)arg;
	if (read(stream, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < LEAVES; i++) {
		peer = hand_over(fd, MNFQ_HANDOVER_KEEP, errmsg, sizeof(errmsg));
		if (peer < 0)
			return 2;
		err = mnfq_handover_wait(peer, DEADLINE_MS, &options);
		if (err == 0)
			send_to_queues();
		close(peer);
		if (err < 0) {
			fprintf(stderr, "hand-over %d: %s\n", i + 1, errmsg);
			return 4;
		}
		atomic_fetch_add(successes, 1);
	}
	return read(stream, &byte, 1) == 0 ? 0 : 3;
}

Test(dump_slow, full_queues_left_behind_delay_no_other_namespace)
{
	struct container attacker;

	share_successes();
	open_quiet();
	start(quiet.ns, 2, "");
	container_start(&attacker, ATTACKER, leave_full_queues, NULL);
	add_rules(&attacker.ns, RULES);
	netns_rule(&attacker.ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	netns_rule(&attacker.ns, 4, "-A OUTPUT -p udp --dport 10 -j NFQUEUE --queue-num 2");
	child_tell(&attacker.child);
	measure_quiet("while full queues are left", LEAVES);
	expect_quiet();
	cr_assert_eq(container_finish(&attacker), 0);
	tool.unaccounted = "what there was no time for was dropped by the kernel";
	stop();
}
