/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump --listen while its system calls fail, one after the other, for each reason that has nothing to do
 * with what was asked: no user without the right is served, nothing hangs, and what comes afterwards is served.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "failing-tool.h"
#include "wait.h"

TestSuite(dump_failing_calls, .fini = remove_plan, .timeout = 300);

/* ---- peers ------------------------------------------------------------------------------ */

/* Root hands a socket over, and withdraws it: again until it is served, as peers do. */
static void expect_honest_served(struct netns *ns)
{
	char sentence[256] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = sizeof(sentence) };
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), stream, err;
	int64_t since = 0;

	do {
		stream = err = offer(fd, MNFQ_HANDOVER_KEEP, "honest");
		if (stream >= 0) {
			err = mnfq_handover_wait(stream, DEADLINE_MS, &options);
			close(stream);
		}
	} while (err < 0 && wait_again(&since));
	cr_assert(err == 0, "%s; afterwards: %s (%s)", describe(), strerror(-err), sentence);
	close(fd);
}

/* Each has an own uid, so that nothing is left of the one before. */
static uid_t next_uid = 100000;

/* A user without rights opens a socket of the machine's namespace. */
static int offer_without_rights(struct netns *machine)
{
	int fd, stream;

	(void)machine; /* where we are */
	cr_assert(seteuid(next_uid++) == 0);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	stream = offer(fd, 0, "attacker");
	cr_assert(seteuid(0) == 0);
	close(fd);
	return stream;
}

/* A good socket comes from a user who is not allowed to hand over any. */
static int offer_unallowed(struct netns *machine)
{
	int fd = netns_socket(machine, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), stream;

	cr_assert(seteuid(next_uid++) == 0);
	stream = offer(fd, 0, "attacker");
	cr_assert(seteuid(0) == 0);
	close(fd);
	return stream;
}

/* ---- while it runs ---------------------------------------------------------------------- */

#define ANSWER_MS    1000  /* of an attack; what comes later is no matter */
#define RESTARTS_MAX 4     /* of the broker; after one more it is not replaced */
#define CALLS_MAX    20000 /* in such a time, by a process that does not spin */

static struct running {
	struct tool tool;
	const char *options;
	int (*attack)(struct netns *machine);
	struct netns *machine, *container;
	pid_t broker;
	unsigned int restarts, tries;
} running;

static void begin(void)
{
	char options[256];

	snprintf(options, sizeof(options), "-q 1 --listen %s --mode 0666 %s", address.sun_path,
		 running.options);
	launch(&running.tool, options);
	setvbuf(running.tool.err, NULL, _IONBF, 0);
	tool_await_err(&running.tool, "listening on queue 1 in ");
	cr_assert(wait_until((running.broker = find_broker(&running.tool)) > 0));
	running.restarts = 0;
}

/* What was said since the last time, so that there is room for more. */
static size_t take_lines(struct tool *tool, char *text, size_t size)
{
	struct pollfd ready = { .fd = fileno(tool->err), .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	while (len + 1 < size && n > 0 && poll(&ready, 1, 0) == 1) {
		n = read(ready.fd, text + len, size - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	return len;
}

static void expect_attacker_unserved(void)
{
	static char text[1 << 16];
	struct netns_queue queue;
	char *line, *rest;

	cr_assert(!netns_get_queue(running.machine, 1, &queue), "%s: served", describe());
	take_lines(&running.tool, text, sizeof(text));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		cr_assert(!strstr(line, "serving namespace") || !strstr(line, "attacker"),
			  "%s: %s", describe(), line);
}

static void end(void)
{
	kill(running.tool.pid, SIGTERM);
	tool_await_err(&running.tool, "0 packets");
	cr_assert_eq(tool_finish(&running.tool), 0);
	cr_assert(access(address.sun_path, F_OK) < 0);
}

/* The broker may have ended for want of an answer; there is another one then, but not without end. */
static void count_restarts(void)
{
	pid_t broker = 0;

	cr_assert(wait_until((broker = find_broker(&running.tool)) > 0), "%s: no broker",
		  describe());
	running.restarts += broker != running.broker;
	running.broker = broker;
	if (running.restarts < RESTARTS_MAX)
		return;
	end();
	begin();
}

static unsigned long long count_made(enum failing_process process)
{
	unsigned long long sum = 0;

	for (enum failing_call call = 0; call < CALLS; call++)
		sum += atomic_load(&plan->made[process][call]);
	return sum;
}

/* Returns whether so many calls were made at all. */
static bool try(enum failing_process process, enum failing_call call, int error,
		unsigned int first, unsigned int last)
{
	unsigned long long before = count_made(process);
	int stream;

	arm(process, call, error, first, last);
	stream = running.attack(running.machine);
	if (stream >= 0)
		cr_assert(mnfq_handover_wait(stream, ANSWER_MS, NULL) < 0, "%s: taken",
			  describe());
	if (call != CALL_recvmsg && error != EINTR) /* neither lasts in earnest */
		cr_assert(count_made(process) - before < CALLS_MAX, "%s: it spins", describe());
	disarm();
	expect_attacker_unserved();
	expect_honest_served(running.container);
	if (stream >= 0)
		close(stream);
	expect_attacker_unserved();
	count_restarts();
	running.tries++;
	return atomic_load(&plan->seen) >= first;
}

/* Each time it is called for an attack, in ever larger steps where there are many. */
static void try_each(enum failing_process process, enum failing_call call, int error)
{
	unsigned int nth = 1;

	while (try(process, call, error, nth, nth))
		nth += 1 + nth / 4;
	(void)try(process, call, error, 1, UINT_MAX);
}

static void attack_all(const char *options, int (*attack)(struct netns *machine))
{
	unsigned long long made[PROCESSES][CALLS];

	make_plan();
	running.options = options;
	running.attack = attack;
	running.machine = netns_new();
	running.container = netns_new();
	netns_enter(running.machine);
	begin();
	memcpy(made, (const void *)plan->made, sizeof(made));
	cr_assert(!try(SERVER, CALLS, 0, 1, 1)); /* nothing fails */
	for (enum failing_process process = 0; process < PROCESSES; process++)
		for (enum failing_call call = 0; call < CALLS; call++)
			for (size_t i = 0;
			     i < REASONS && plan->made[process][call] > made[process][call]; i++)
				try_each(process, call, reasons[i]);
	end();
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%u tries", running.tries);
}

Test(dump_failing_calls, users_without_rights_are_not_served)
{
	attack_all("", offer_without_rights);
}

Test(dump_failing_calls, users_who_are_not_allowed_are_not_served)
{
	attack_all("--allow-uid 0", offer_unallowed);
}

/* ---- while it goes on ------------------------------------------------------------------- */

/* There is no memory for another broker at first, more often than brokers may fail. */
Test(dump_failing_calls, a_broker_is_replaced_once_that_is_possible)
{
	static const enum failing_call calls[] = { CALL_fork, CALL_socketpair };

	make_plan();
	running.options = "";
	running.container = netns_new();
	netns_enter(netns_new());
	for (size_t i = 0; i < 2; i++) {
		begin();
		expect_honest_served(running.container);
		arm(KEEPER, calls[i], ENOMEM, 1, 7);
		kill(running.broker, SIGKILL);
		cr_assert(wait_until(atomic_load(&plan->seen) > 7));
		expect_honest_served(running.container);
		end();
	}
}

/* ---- while it ends ---------------------------------------------------------------------- */

/* With one that is named, one that was handed over, and a call that fails from now on. */
static void end_while_failing(enum failing_process process, enum failing_call call, int error)
{
	int fd, stream;

	begin();
	fd = netns_socket(running.machine, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	stream = offer(fd, MNFQ_HANDOVER_KEEP, "honest");
	cr_assert(stream >= 0 && mnfq_handover_wait(stream, DEADLINE_MS, NULL) == 0);
	arm(process, call, error, 1, UINT_MAX);
	kill(running.tool.pid, SIGTERM);
	cr_assert(wait_until(has_ended(&running.tool)), "%s: it does not end", describe());
	disarm();
	tool_await_err(&running.tool, "0 packets");
	cr_assert_eq(tool_finish(&running.tool), 0, "%s", describe());
	cr_assert(access(address.sun_path, F_OK) < 0, "%s: its file is left", describe());
	close(stream);
	close(fd);
	running.tries++;
}

Test(dump_failing_calls, it_ends_with_a_summary)
{
	static const int errors[] = { EMFILE, ENOMEM };
	char options[48];

	make_plan();
	running.machine = netns_new();
	running.container = netns_new();
	snprintf(options, sizeof(options), "-n %s", running.container->name);
	running.options = options;
	netns_enter(running.machine);
	for (enum failing_process process = 0; process < RECEIVER; process++)
		for (enum failing_call call = 0; call < CALLS; call++)
			for (size_t i = 0; i < 2; i++)
				end_while_failing(process, call, errors[i]);
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%u tries", running.tries);
}

/* The first call that only the thread makes which closes it. */
Test(dump_failing_calls, an_end_without_a_thread_that_is_stuck_says_so)
{
	int fd, stream;

	make_plan();
	running.container = netns_new();
	running.options = "";
	netns_enter(netns_new());
	begin();
	fd = netns_socket(running.container, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	stream = offer(fd, MNFQ_HANDOVER_KEEP, "honest");
	cr_assert(stream >= 0 && mnfq_handover_wait(stream, DEADLINE_MS, NULL) == 0);
	close(fd);
	arm(SERVER, CALL_getsockopt, FAILING_HANGS, 1, 1);
	kill(running.tool.pid, SIGTERM);
	tool_await_err(&running.tool, "0 packets");
	cr_assert_str_eq(tool_err(&running.tool),
			 "1 namespace could not be closed in time; the counters are incomplete");
	cr_assert_eq(tool_finish(&running.tool), 0);
}
