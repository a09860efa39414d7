/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump --listen while its system calls fail, one after the other, for each reason that has nothing to do
 * with what was asked: nobody who may not is served, nothing hangs, and what comes afterwards is served.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "child.h"
#include "failing-calls.h"
#include "sandbox/sandbox.h"
#include "tool.h"
#include "wait.h"

TestSuite(dump_failing_calls, .timeout = 300);

static const int reasons[] = { EMFILE, ENFILE, ENOMEM, EINTR };
#define REASONS (sizeof(reasons) / sizeof(reasons[0]))

#define NAME(name) #name,
static const char *const call_names[CALLS] = { FAILING_CALLS(NAME) };
static const char *const process_names[PROCESSES] = { "server", "keeper", "broker", "receiver" };

static struct failing_plan *plan;
static char directory[64];
static struct sockaddr_un address = { .sun_family = AF_UNIX };

/* ---- the tool --------------------------------------------------------------------------- */

static void make_plan(void)
{
	char path[96];
	int fd;

	if (!getenv("MNFQ_FAILING"))
		skip_or_fail("MNFQ_FAILING does not name what is preloaded");
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory) && chmod(directory, 0711) == 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	snprintf(path, sizeof(path), "%s/plan", directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(fd >= 0 && ftruncate(fd, sizeof(*plan)) == 0);
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert(plan != MAP_FAILED);
	close(fd);
}

/* A sanitizer's runtime wants to be the first object, and does not have to be. */
static void launch(struct tool *tool, const char *options)
{
	tool_start_shell(
		tool, NULL, -1,
		"ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0\n"
		"exec env ASAN_OPTIONS=$ASAN_OPTIONS LD_PRELOAD=$MNFQ_FAILING " FAILING_PLAN
		"=%s/plan \"$MNFQ_TOOL\" dump %s",
		directory, options);
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

/* ---- calls that fail -------------------------------------------------------------------- */

static void arm(enum failing_process process, enum failing_call call, int error,
		unsigned int first, unsigned int last)
{
	plan->process = process;
	plan->call = call;
	plan->error = error;
	plan->first = first;
	plan->last = last;
	atomic_store(&plan->seen, 0);
	atomic_store(&plan->armed, true);
}

static void disarm(void)
{
	atomic_store(&plan->armed, false);
}

static const char *describe(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s of the %s fails with %s (%u to %u)",
		 call_names[plan->call], process_names[plan->process], strerror(plan->error),
		 plan->first, plan->last);
	return text;
}

static unsigned long long count_made(enum failing_process process)
{
	unsigned long long sum = 0;

	for (enum failing_call call = 0; call < CALLS; call++)
		sum += atomic_load(&plan->made[process][call]);
	return sum;
}

/* ---- peers ------------------------------------------------------------------------------ */

/* Hands @fd over. Returns the stream, or a negative errno. */
static int offer(int fd, uint32_t flags, const char *label)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = flags,
						 .label = label };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	if (connect(stream, (struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	if (err == 0)
		err = mnfq_handover_send(stream, fd, DEADLINE_MS, &options);
	if (err < 0)
		close(stream);
	return err < 0 ? err : stream;
}

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

static pid_t find_broker(const struct tool *tool)
{
	pid_t keeper = child_named(tool->pid, "mnfq-keeper");

	return keeper > 0 ? child_named(keeper, "mnfq-broker") : 0;
}

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

/* ---- while it starts -------------------------------------------------------------------- */

/* A number of /proc/PID/status. */
static unsigned long long status_of(pid_t pid, const char *key, int base)
{
	const size_t len = strlen(key);
	char path[64], line[256] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	cr_assert(file, "%s: no %s", describe(), path);
	while (fgets(line, sizeof(line), file) && (strncmp(line, key, len) || line[len] != ':'))
		;
	fclose(file);
	return strtoull(line + len + 1, NULL, base);
}

/* How often a server limits its access to files: once, if the kernel has Landlock. */
static unsigned int landlocks;

/* It has no other rights, cannot get any, and is limited in its calls and in its files. */
static void expect_limited(enum failing_process process, pid_t pid, uint64_t caps)
{
	static const char *const sets[] = { "CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb" };

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		cr_assert((status_of(pid, sets[i], 16) & ~caps) == 0, "%s: the %s has %s %llx",
			  describe(), process_names[process], sets[i],
			  status_of(pid, sets[i], 16));
	cr_assert(status_of(pid, "NoNewPrivs", 10) == 1, "%s: the %s", describe(),
		  process_names[process]);
	cr_assert(!sandbox_has_seccomp || status_of(pid, "Seccomp", 10) == 2, "%s: the %s",
		  describe(), process_names[process]);
}

static void expect_all_limited(const struct tool *tool)
{
	const pid_t keeper = child_named(tool->pid, "mnfq-keeper");

	expect_limited(SERVER, tool->pid, SANDBOX_CAP(CAP_NET_ADMIN));
	expect_limited(KEEPER, keeper, SANDBOX_CAP(CAP_SYS_PTRACE) | SANDBOX_CAP(CAP_SETPCAP));
	expect_limited(BROKER, find_broker(tool), SANDBOX_CAP(CAP_SYS_PTRACE));
	cr_assert_eq(atomic_load(&plan->landlocked[SERVER]), landlocks, "%s", describe());
}

static bool has_ended(const struct tool *tool)
{
	return process_state(tool->pid) == 'Z';
}

/* A socket is served, or the tool ends before that. */
static bool is_served(const struct tool *tool, struct netns *ns)
{
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), stream, err;
	int64_t since = 0;

	do {
		stream = err = offer(fd, MNFQ_HANDOVER_KEEP, "honest");
		if (stream >= 0) {
			err = mnfq_handover_wait(stream, ANSWER_MS, NULL);
			close(stream);
		}
	} while (err < 0 && !has_ended(tool) && wait_again(&since));
	cr_assert(err == 0 || has_ended(tool), "%s: neither serves nor ends", describe());
	close(fd);
	return err == 0;
}

/* Returns whether so many calls were made at all. */
static bool try_to_start(enum failing_process process, enum failing_call call, int error,
			 unsigned int nth)
{
	char options[128];
	struct tool tool;

	atomic_store(&plan->landlocked[SERVER], 0);
	arm(process, call, error, nth, nth);
	snprintf(options, sizeof(options), "-q 1 --listen %s", address.sun_path);
	launch(&tool, options);
	if (is_served(&tool, running.container)) {
		landlocks = call == CALLS ? atomic_load(&plan->landlocked[SERVER]) : landlocks;
		expect_all_limited(&tool);
		kill(tool.pid, SIGTERM);
		tool_await_err(&tool, "0 packets");
		cr_assert_eq(tool_finish(&tool), 0, "%s", describe());
	} else {
		while (tool_err(&tool)[0] && strncmp(tool.line, "mnfq", 4) != 0)
			;
		cr_assert(tool.line[0], "%s: no reason", describe());
		cr_assert_eq(tool_finish(&tool), 1, "%s", describe());
	}
	cr_assert(access(address.sun_path, F_OK) < 0, "%s: its file is left", describe());
	running.tries++;
	return atomic_load(&plan->seen) >= nth;
}

Test(dump_failing_calls, it_starts_with_all_its_limits_or_not_at_all)
{
	make_plan();
	running.container = netns_new();
	netns_enter(netns_new());
	(void)try_to_start(SERVER, CALLS, 0, 1); /* nothing fails */
	for (enum failing_process process = 0; process < RECEIVER; process++)
		for (enum failing_call call = 0; call < CALLS; call++)
			for (size_t i = 0; i < REASONS && plan->made[process][call]; i++)
				for (unsigned int nth = 1;
				     try_to_start(process, call, reasons[i], nth);)
					nth += 1 + nth / 4;
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%u tries", running.tries);
}

/* ---- what is excluded ------------------------------------------------------------------- */

/* Which no other test uses: this queue is bound in the namespaces of all others that run. */
#define RARE 59180u

static int live_apart(int stream, void *arg)
{
	char byte;

	(void)arg;
	return unshare(CLONE_NEWNET) < 0 || write(stream, "", 1) != 1 ||
	       read(stream, &byte, 1) != 0;
}

static bool begins(const char *line, const char *begin)
{
	return strncmp(line, begin, strlen(begin)) == 0;
}

/*
 * One that comes now is served, so that all that there are have been looked at. It may be found before it has
 * its name. Returns false if the tool ends instead.
 */
static bool await_look(struct tool *tool)
{
	struct netns *later = netns_new();
	char by_name[96], by_inode[96];

	snprintf(by_name, sizeof(by_name), "serving namespace %s", later->name);
	snprintf(by_inode, sizeof(by_inode), "serving namespace net:[%llu]",
		 (unsigned long long)netns_inode(later));
	do
		tool_err(tool);
	while (tool->line[0] && !begins(tool->line, by_name) && !begins(tool->line, by_inode));
	netns_free(later);
	return tool->line[0];
}

static void launch_excluding(struct tool *tool, const char *netns)
{
	char options[128];

	snprintf(options, sizeof(options), "-q %u --all-netns --exclude %s", RARE, netns);
	launch(tool, options);
}

static void stop_excluding(struct tool *tool)
{
	kill(tool->pid, SIGTERM);
	tool_await_err(tool, "0 packets");
	cr_assert_eq(tool_finish(tool), 0, "%s", describe());
}

/* That a namespace cannot be looked at does not mean that it is gone, and its number another one's. */
Test(dump_failing_calls, an_excluded_process_stays_excluded)
{
	struct child child = child_start(live_apart, NULL);
	struct netns_queue queue;
	unsigned long long looks;
	struct netns process;
	struct tool tool;
	char text[64];

	child_await(&child);
	snprintf(text, sizeof(text), "/proc/%d/ns/net", (int)child.pid);
	process.fd = open(text, O_RDONLY | O_CLOEXEC);
	make_plan();
	snprintf(text, sizeof(text), "%d", (int)child.pid);
	launch_excluding(&tool, text);
	cr_assert(await_look(&tool));
	for (size_t i = 0; i < REASONS; i++) {
		looks = atomic_load(&plan->made[BROKER][CALL_syscall]);
		arm(BROKER, CALL_fstatat, reasons[i], 1, UINT_MAX);
		/* Each takes one to list processes at least, and five if it lists all that there is. */
		cr_assert(
			wait_until(atomic_load(&plan->made[BROKER][CALL_syscall]) >= looks + 5));
		disarm();
		cr_assert(await_look(&tool));
		cr_assert(!netns_get_queue(&process, RARE, &queue), "%s: it is served",
			  describe());
	}
	stop_excluding(&tool);
	close(process.fd);
	cr_assert_eq(child_finish(&child), 0);
}

/* Has the name lead to another namespace. */
static void make_anew(struct netns *ns)
{
	char path[64];

	close(ns->fd);
	netns_run(NULL, "ip netns delete %s && ip netns add %s", ns->name, ns->name);
	snprintf(path, sizeof(path), "/run/netns/%s", ns->name);
	ns->fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(ns->fd >= 0);
}

/* Whichever of the first looks fails, it is excluded from the start and under its name, or nothing is served. */
Test(dump_failing_calls, an_excluded_name_stays_excluded)
{
	struct netns *excluded = netns_new();
	struct netns_queue queue;
	struct tool tool;

	make_plan();
	for (unsigned int nth = 1; nth <= 6; nth++)
		for (size_t i = 0; i < REASONS; i++) {
			arm(BROKER, CALL_fstatat, reasons[i], nth, nth);
			launch_excluding(&tool, excluded->name);
			if (!await_look(&tool)) {
				cr_assert_eq(tool_finish(&tool), 1, "%s", describe());
				continue;
			}
			cr_assert(!netns_get_queue(excluded, RARE, &queue), "%s", describe());
			make_anew(excluded);
			cr_assert(await_look(&tool), "%s", describe());
			cr_assert(wait_until(!netns_get_queue(excluded, RARE, &queue)), "%s",
				  describe());
			stop_excluding(&tool);
		}
}

/* ---- while it goes on ------------------------------------------------------------------- */

/* There is no memory for another broker at first. */
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
		arm(KEEPER, calls[i], ENOMEM, 1, 1);
		kill(running.broker, SIGKILL);
		cr_assert(wait_until(atomic_load(&plan->seen) > 0));
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
	char options[48];

	make_plan();
	running.container = netns_new();
	snprintf(options, sizeof(options), "-n %s", running.container->name);
	running.options = options;
	netns_enter(netns_new());
	begin();
	arm(SERVER, CALL_getsockopt, FAILING_HANGS, 1, 1);
	kill(running.tool.pid, SIGTERM);
	tool_await_err(&running.tool, "0 packets");
	cr_assert_str_eq(tool_err(&running.tool),
			 "1 namespace could not be closed in time: what it decided and what "
			 "waited there is not counted");
	cr_assert_eq(tool_finish(&running.tool), 0);
}
