/* SPDX-License-Identifier: MIT */
/* mnfq dump: no user can fill the log, or keep lines on others out of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/mnfq.h>

#include "listener.h"

TestSuite(dump_log, .timeout = 300);

#define ATTACKER  12345
#define ATTACK_MS 3000 /* at least: a slow machine takes longer to be one */
#define BURST     20   /* lines on a user at once */
#define LINE_MS   6000 /* and then one each */

/* Hands a socket over, until the stream is closed. Returns the answer. */
static int offer(int stream, int fd)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = MNFQ_HANDOVER_KEEP };
	int err = stream < 0 ? stream : mnfq_handover_send(stream, fd, DEADLINE_MS, &options);

	return err < 0 ? err : mnfq_handover_wait(stream, DEADLINE_MS, NULL);
}

/* ---- a user who does what he can --------------------------------------------------------- */

static int become_attacker(void)
{
	return setresgid(ATTACKER, ATTACKER, ATTACKER) < 0
		       ? -1
		       : setresuid(ATTACKER, ATTACKER, ATTACKER);
}

/* Joins, is refused, because he is there already, and leaves. Tells how many lines that is. */
static int join_and_leave(int parent, void *arg)
{
	const int64_t end = now_ms() + ATTACK_MS;
	const int fd = *(int *)arg;
	unsigned int lines = 0;

	if (become_attacker() < 0)
		return 1;
	do {
		const int first = listener_connect(), second = listener_connect();

		lines += offer(first, fd) == 0 ? 2 : 1; /* he may not have left yet */
		lines += offer(second, fd) == 0 ? 2 : 1;
		close(first);
		close(second);
	} while (now_ms() < end || lines <= 3 * BURST);
	return write(parent, &lines, sizeof(lines)) != sizeof(lines);
}

/* What the broker refuses: bytes that are no message. */
static int send_nonsense(int parent, void *arg)
{
	const int64_t end = now_ms() + ATTACK_MS;
	unsigned int lines = 0;
	int stream;
	char byte;

	(void)arg;
	if (become_attacker() < 0)
		return 1;
	do {
		stream = listener_connect();
		if (stream >= 0 && send(stream, "nonsense", 8, MSG_NOSIGNAL) == 8) {
			(void)!read(stream, &byte, 1);
			lines++;
		}
		close(stream);
	} while (now_ms() < end || lines <= 3 * BURST);
	return write(parent, &lines, sizeof(lines)) != sizeof(lines);
}

/* ---- the log ----------------------------------------------------------------------------- */

static atomic_uint on_attacker, honest_joins, honest_refusals;
static _Atomic unsigned long long left_out;

/* Reads all of it, so that no writer waits for us. */
static void *read_log(void *arg)
{
	(void)arg;
	while (*tool_err(&tool)) {
		const char *line = tool.line;

		if (strstr(line, " lines about user 12345 suppressed"))
			left_out += strtoull(line, NULL, 10);
		else if (strstr(line, "handed over by uid 0, "))
			honest_joins++;
		else if (strstr(line, "from uid 0, ") || strstr(line, "of user 0 was refused"))
			honest_refusals++;
		else if (strstr(line, "12345") || strstr(line, ": gone: "))
			on_attacker++;
	}
	return NULL;
}

static void expect_limit(int64_t ms)
{
	cr_assert_leq(on_attacker, BURST + ms / LINE_MS + 2, "%u lines in %lld ms", on_attacker,
		      (long long)ms);
	cr_assert_geq(on_attacker, BURST);
}

Test(dump_log, who_joins_and_leaves_all_the_time_has_some_lines)
{
	struct netns *attacked = netns_new(), *honest = netns_new();
	int fd = netns_socket(attacked, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	int good = netns_socket(honest, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	const int64_t since = now_ms();
	unsigned int lines;
	struct child child;
	pthread_t thread;
	int stream;

	listener_start("--mode 0666");
	cr_assert(pthread_create(&thread, NULL, read_log, NULL) == 0);
	child = child_start(join_and_leave, &fd);
	cr_assert(wait_until(on_attacker >= BURST));
	stream = listener_connect();
	cr_assert_eq(offer(stream, good), 0);
	cr_assert_lt(offer(listener_connect(), good), 0);
	cr_assert(wait_until(honest_joins == 1 && honest_refusals == 1));
	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, &lines, sizeof(lines)) == sizeof(lines));
	cr_assert_eq(child_finish(&child), 0);
	cr_assert_lt(offer(listener_connect(), good), 0);
	cr_assert(wait_until(honest_refusals == 2), "it is left out");
	kill(tool.pid, SIGTERM);
	pthread_join(thread, NULL);
	expect_limit(now_ms() - since);
	cr_assert_gt(lines, 3 * BURST, "it was no attack");
	/* That he left last may have come too late. */
	cr_assert_leq(on_attacker + left_out, lines, "%u lines and %llu left out of %u",
		      on_attacker, left_out, lines);
	cr_assert_geq(on_attacker + left_out, lines - 1, "%u lines and %llu left out of %u",
		      on_attacker, left_out, lines);
	cr_assert_eq(tool_finish(&tool), 0);
	listener_remove();
}

Test(dump_log, who_is_refused_all_the_time_has_some_lines)
{
	int honest = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int64_t since = now_ms();
	unsigned int lines;
	struct child child;
	pthread_t thread;

	listener_start("--mode 0666");
	cr_assert(pthread_create(&thread, NULL, read_log, NULL) == 0);
	child = child_start(send_nonsense, NULL);
	cr_assert(wait_until(on_attacker >= BURST), "%u", on_attacker);
	cr_assert_lt(offer(listener_connect(), honest), 0);
	cr_assert(wait_until(honest_refusals == 1));
	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, &lines, sizeof(lines)) == sizeof(lines));
	cr_assert_eq(child_finish(&child), 0);
	kill(tool.pid, SIGTERM);
	pthread_join(thread, NULL);
	expect_limit(now_ms() - since);
	cr_assert_gt(lines, 3 * BURST, "it was no attack");
	cr_assert_eq(tool_finish(&tool), 0);
	listener_remove();
}
