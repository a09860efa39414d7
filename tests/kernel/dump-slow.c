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
 * What a round trip of a quiet namespace may take, most of the time: milliseconds on a machine with nothing
 * else to do, and a tenth of what each of the attacks made of it.
 */
#define QUIET_NS 20000000

static char directory[64];
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void start(struct tool *tool, const struct netns *quiet, const char *options)
{
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory) && chmod(directory, 0711) == 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	tool_start(tool, NULL, -1, "dump -q 1 --quiet --listen %s --mode 0666 -n %s %s",
		   address.sun_path, quiet->name, options);
	tool_await_err(tool, "listening on queue 1 of ");
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

static int compare(const void *a, const void *b)
{
	const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

#define TRIPS 300

/* Sends through its queue, one at a time, a millisecond apart; how long each took, in order. */
static struct quiet {
	struct udp udp;
	struct netns *ns;
	uint32_t sent;
	int64_t took[TRIPS];
} quiet;

static void open_quiet(void)
{
	quiet.ns = road_open(&quiet.udp);
}

static void measure_quiet(const char *what)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct datagram datagram;
	int64_t sum = 0;

	for (unsigned int i = 0; i < TRIPS; i++) {
		const int64_t begin = now_ns();

		udp_send(&quiet.udp, quiet.sent);
		cr_assert(udp_await(&quiet.udp, &datagram));
		cr_assert_eq(datagram.seq, quiet.sent++);
		quiet.took[i] = now_ns() - begin;
		sum += quiet.took[i];
		nanosleep(&pause, NULL);
	}
	qsort(quiet.took, TRIPS, sizeof(quiet.took[0]), compare);
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%s: average %.3f ms, p50 %.3f, p90 %.3f, p99 %.3f, max %.3f", what,
			    (double)sum / TRIPS / 1e6, (double)quiet.took[TRIPS / 2] / 1e6,
			    (double)quiet.took[TRIPS * 9 / 10] / 1e6,
			    (double)quiet.took[TRIPS * 99 / 100] / 1e6,
			    (double)quiet.took[TRIPS - 1] / 1e6);
}

/* All but a few, since also other programs may have the processor for a while. */
#define OUTLIERS 6

static void expect_quiet(void)
{
	cr_expect(quiet.took[TRIPS - OUTLIERS] < QUIET_NS, "%d of them took %.1f ms or more",
		  OUTLIERS, (double)quiet.took[TRIPS - OUTLIERS] / 1e6);
}

/* ---- answers that are stolen ------------------------------------------------------------ */

/* Of all attackers. */
static atomic_uint *attacks;

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

/* As soon as the monitor has bound it a port id: from then on it receives nothing. */
static bool connect_when_bound(int fd, int stream)
{
	struct sockaddr_nl addr, nobody = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	socklen_t len;
	char byte;

	do {
		len = sizeof(addr);
		if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
		    recv(stream, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0)
			return false;
	} while (addr.nl_pid == 0);
	return connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) == 0;
}

/* Again and again until told to end, in a new namespace each time, as one may have been served. */
static int steal_answers(int stream, void *arg)
{
	char byte, sentence[MNFQ_ERRMSG_SIZE];
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = sizeof(sentence) };

	(void)arg;
	while (recv(stream, &byte, 1, MSG_DONTWAIT) < 0 && unshare(CLONE_NEWNET) == 0) {
		int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
		int peer = hand_over(fd, sentence, sizeof(sentence));

		if (peer >= 0 && connect_when_bound(fd, peer))
			atomic_fetch_add(attacks, 1);
		if (peer >= 0)
			(void)mnfq_handover_wait(peer, 20, &options);
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
	struct container attacker;
	struct tool tool;

	attacks = mmap(NULL, sizeof(*attacks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	cr_assert(attacks != MAP_FAILED);
	open_quiet();
	start(&tool, quiet.ns, "");
	measure_quiet("alone");
	container_start(&attacker, ATTACKER, steal_answers, NULL);
	cr_assert(wait_until(atomic_load(attacks) > 0));
	measure_quiet("while answers are stolen");
	expect_quiet();
	expect_honest_one_served();
	child_tell(&attacker.child);
	cr_assert_eq(container_finish(&attacker), 0);
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
	start(&tool, quiet.ns, options);
	udp_send_many(&udp, 0, 1000);
	measure_quiet("beside 60,000 rules");
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
	start(&tool, quiet.ns, "");
	container_start(&attacker, ATTACKER, hand_over_full_queue, NULL);
	add_rules(&attacker.ns);
	netns_rule(&attacker.ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	child_tell(&attacker.child);
	child_await(&attacker.child);
	measure_quiet("while somebody's full queue is taken over");
	cr_expect(quiet.took[TRIPS - 1] < 15 * QUIET_NS, "a round trip took %.1f ms",
		  (double)quiet.took[TRIPS - 1] / 1e6);
	cr_assert_eq(container_finish(&attacker), 0);
	tool.unaccounted = "what waited was sent before it was handed over";
	stop(&tool);
}
