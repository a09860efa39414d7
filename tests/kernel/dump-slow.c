/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with namespaces that make its work slow, by what they hand over and by rules behind the queue:
 * others do not wait for them.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netlink.h>
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

#include "child.h"
#include "container.h"
#include "tool.h"
#include "wait.h"

TestSuite(dump_slow, .timeout = 300);

#define ATTACKER 12345
#define HONEST   23456

/*
 * A round trip of a quiet namespace takes a fraction of a millisecond on a machine with nothing else to do; each
 * of the attacks would make more than this of many of them.
 */
#define LATE_NS 40000000

static char directory[64];
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void start(struct tool *tool, const struct netns *quiet, unsigned int queues,
		  const char *options)
{
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory) && chmod(directory, 0711) == 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	tool_start(tool, NULL, -1, "dump -q 1:%u --quiet --listen %s --mode 0666 -n %s %s",
		   queues, address.sun_path, quiet->name, options);
	tool_await_err(tool, "listening on queue");
}

static void stop(struct tool *tool)
{
	char last[sizeof(tool->line)] = "";

	kill(tool->pid, SIGTERM);
	while (tool_err(tool)[0])
		if (strstr(tool->line, " accepted, "))
			strcpy(last, tool->line);
	cr_assert(last[0], "no summary");
	if (!tool->unaccounted)
		tool_account(last, &(struct account){ .elsewhere = tool->elsewhere });
	cr_assert_eq(tool_finish(tool), 0);
	cr_assert(rmdir(directory) == 0);
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
	quiet.ns = road_open(&quiet.udp);
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

/* So many, and more until *@events are so many as well. */
static void measure_quiet(const char *what, const atomic_uint *events, unsigned int wanted)
{
	const int64_t since = now_ms();
	unsigned int trips = 0;

	quiet.sum = quiet.max = quiet.late = 0;
	while (trips++ < TRIPS || (events && atomic_load(events) < wanted)) {
		make_trip();
		cr_assert(now_ms() - since < DEADLINE_MS, "%u of %u: %s",
			  events ? atomic_load(events) : 0, wanted, what);
	}
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%s: average %.3f ms of %u, max %.3f, late %.3f", what,
			    (double)quiet.sum / trips / 1e6, trips, (double)quiet.max / 1e6,
			    (double)quiet.late / 1e6);
}

static void expect_quiet(void)
{
	cr_expect(quiet.late < 300000000, "round trips took %.1f ms too long, up to %.1f",
		  (double)quiet.late / 1e6, (double)quiet.max / 1e6);
}

/* ---- answers that are stolen ------------------------------------------------------------ */

#define THIEVES 2
#define QUEUES  64

/* Of all of them: no answer came. */
static atomic_uint *thefts;

static int hand_over(int fd, char *sentence, size_t size)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = size };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (connect(stream, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	err = mnfq_handover_send(stream, fd, DEADLINE_MS, &options);
	return err < 0 ? err : stream;
}

static bool is_answered(int stream)
{
	char byte;

	return recv(stream, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
}

/* Without a pause once there may be one, so that few are left for whoever asked. */
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

/* Again and again until told to end, in a new namespace whenever one has been served. */
static int steal_answers(int stream, void *arg)
{
	char byte, sentence[MNFQ_ERRMSG_SIZE];
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = sizeof(sentence) };
	int err = 0;

	(void)arg;
	while (recv(stream, &byte, 1, MSG_DONTWAIT) < 0) {
		int fd, peer;

		if (err == 0 && unshare(CLONE_NEWNET) < 0)
			return 1;
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
		peer = hand_over(fd, sentence, sizeof(sentence));
		if (peer < 0)
			return 2;
		take_answers(fd, peer);
		err = mnfq_handover_wait(peer, DEADLINE_MS, &options);
		if (err == -ETIME)
			atomic_fetch_add(thefts, 1);
		close(peer);
		close(fd);
	}
	return 0;
}

/* Hands a socket over, and says how many milliseconds that took. */
static int hand_over_honestly(int stream, void *arg)
{
	char byte, sentence[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = sizeof(sentence) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), peer, err;
	int64_t since = now_ms();

	(void)arg;
	peer = hand_over(fd, sentence, sizeof(sentence));
	err = peer < 0 ? peer : mnfq_handover_wait(peer, DEADLINE_MS, &options);
	dprintf(stream, "%d %lld %s", err, (long long)(now_ms() - since), sentence);
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

Test(dump_slow, whoever_steals_answers_delays_nobody)
{
	struct container thieves[THIEVES];
	struct tool tool;

	thefts = mmap(NULL, sizeof(*thefts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	cr_assert(thefts != MAP_FAILED);
	open_quiet();
	start(&tool, quiet.ns, QUEUES, "");
	measure_quiet("alone", NULL, 0);
	for (unsigned int i = 0; i < THIEVES; i++)
		container_start(&thieves[i], ATTACKER + i, steal_answers, NULL);
	measure_quiet("while answers are stolen", thefts, 5);
	expect_quiet();
	expect_honest_one_served();
	for (unsigned int i = 0; i < THIEVES; i++)
		child_tell(&thieves[i].child);
	for (unsigned int i = 0; i < THIEVES; i++)
		cr_assert_eq(container_finish(&thieves[i]), 0);
	stop(&tool);
}

/* ---- rules behind the queue ------------------------------------------------------------- */

#define RULES 60000

/* In a table that packets which were accepted still visit: some milliseconds for each. */
static void add_rules(struct netns *ns)
{
	netns_run(
		ns,
		"(echo '*mangle'; i=0; while [ $i -lt %d ]; do i=$((i+1)); "
		"echo '-A POSTROUTING -s 10.9.9.9 -p udp --dport 1 -j DROP'; done; echo COMMIT) | "
		"iptables-legacy-restore --noflush",
		RULES);
}

static void expect_prompt_end(struct tool *tool)
{
	char last[sizeof(tool->line)] = "";
	int64_t since = now_ms(), took;

	kill(tool->pid, SIGINT);
	while (tool_err(tool)[0])
		if (strstr(tool->line, " accepted, "))
			strcpy(last, tool->line);
	cr_assert_eq(tool_finish(tool), 0);
	took = now_ms() - since;
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("the end took %lld ms: %s", (long long)took, last);
	cr_expect(took < 2000, "the end took %lld ms", (long long)took);
	tool_account(last, &(struct account){ .sent = 0 });
	cr_assert(rmdir(directory) == 0);
}

Test(dump_slow, rules_behind_the_queue_delay_nobody_else)
{
	struct udp udp;
	struct netns *slow = road_open(&udp);
	char options[64];
	struct tool tool;

	add_rules(slow);
	open_quiet();
	snprintf(options, sizeof(options), "-n %s", slow->name);
	start(&tool, quiet.ns, 1, options);
	udp_send_many(&udp, 0, 1000);
	measure_quiet("beside 60,000 rules", NULL, 0);
	expect_quiet();
	udp_send_many(&udp, 1000, 500);
	expect_prompt_end(&tool);
}

/* ---- a take-over ------------------------------------------------------------------------ */

static enum mnfq_verdict unused(struct mnfq_packet *packet, void *data)
{
	(void)packet;
	(void)data;
	return MNFQ_DROP;
}

/* Binds the queue, lets packets wait there, and hands it over as it is. */
static int hand_over_full_queue(int stream, void *arg)
{
	char byte, sentence[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = sizeof(sentence) };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int fd, udp = -1, err;

	(void)arg;
	if (mnfq_socket_open(&sock, NULL) < 0 ||
	    mnfq_queue_bind(&queue, sock, 1, NULL, unused, NULL) < 0 ||
	    read(stream, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < 1000; i++) { /* as many as a send buffer has room for */
		if (i % 100 == 0)
			udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		(void)sendto(udp, "?", 1, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
	}
	fd = mnfq_socket_release(sock);
	err = fd < 0 ? fd : hand_over(fd, sentence, sizeof(sentence));
	if (err < 0 || write(stream, "", 1) != 1)
		return 2;
	err = mnfq_handover_wait(err, DEADLINE_MS, &options);
	return read(stream, &byte, 1) == 0 ? 0 : 3;
}

Test(dump_slow, an_expensive_take_over_delays_nobody)
{
	struct container attacker;
	struct tool tool;

	open_quiet();
	start(&tool, quiet.ns, 1, "");
	container_start(&attacker, ATTACKER, hand_over_full_queue, NULL);
	add_rules(&attacker.ns);
	netns_rule(&attacker.ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	child_tell(&attacker.child);
	child_await(&attacker.child);
	measure_quiet("while somebody's full queue is taken over", NULL, 0);
	expect_quiet();
	cr_assert_eq(container_finish(&attacker), 0);
	tool.unaccounted = "what waited was sent before it was handed over";
	stop(&tool);
}
