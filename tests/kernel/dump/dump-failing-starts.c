/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump with system calls that fail while it starts: it has all its limits or ends, and what is excluded is
 * not served.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "failing-tool.h"
#include "sandbox/sandbox.h"
#include "wait.h"

TestSuite(dump_failing_starts, .fini = remove_plan, .timeout = 300);

#define ANSWER_MS 1000 /* what comes later is no matter */

static struct netns *container;
static unsigned int tries;

/* ---- while it starts -------------------------------------------------------------------- */

/* A number of /proc/PID/status; all bits if there is none. */
static unsigned long long status_of(pid_t pid, const char *key, int base)
{
	const size_t len = strlen(key);
	unsigned long long value = ~0ull;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, len) == 0 && line[len] == ':')
			value = strtoull(line + len + 1, NULL, base);
	if (file)
		fclose(file);
	return value;
}

/* How often a server limits its access to files: once, if the kernel has Landlock. */
static unsigned int landlocks;

/* It has no other rights, cannot get any, and is limited in its calls. */
static bool is_limited(pid_t pid, uint64_t caps)
{
	static const char *const sets[] = { "CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb" };
	bool limited = status_of(pid, "NoNewPrivs", 10) == 1 &&
		       (!sandbox_has_seccomp || status_of(pid, "Seccomp", 10) == 2);

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		limited = limited && (status_of(pid, sets[i], 16) & ~caps) == 0;
	return limited;
}

static void expect_all_limited(const struct tool *tool)
{
	const uint64_t looks = SANDBOX_CAP(CAP_SYS_PTRACE);
	const pid_t keeper = child_named(tool->pid, "mnfq-keeper");

	cr_assert(is_limited(tool->pid, SANDBOX_CAP(CAP_NET_ADMIN)), "%s: the server",
		  describe());
	cr_assert(is_limited(keeper, looks | SANDBOX_CAP(CAP_SETPCAP)), "%s: the keeper",
		  describe());
	/* It may be another one by now, which is not ready yet. */
	cr_assert(wait_until(is_limited(find_broker(tool), looks)), "%s: the broker", describe());
	cr_assert_eq(atomic_load(&plan->landlocked[SERVER]), landlocks, "%s", describe());
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
	if (is_served(&tool, container)) {
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
	tries++;
	return atomic_load(&plan->seen) >= nth;
}

Test(dump_failing_starts, it_starts_with_all_its_limits_or_not_at_all)
{
	make_plan();
	container = netns_new();
	netns_enter(netns_new());
	(void)try_to_start(SERVER, CALLS, 0, 1); /* nothing fails */
	for (enum failing_process process = 0; process < RECEIVER; process++)
		for (enum failing_call call = 0; call < CALLS; call++)
			for (size_t i = 0; i < REASONS && plan->made[process][call]; i++)
				for (unsigned int nth = 1;
				     try_to_start(process, call, reasons[i], nth);)
					nth += 1 + nth / 4;
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%u tries", tries);
}

/* ---- what is excluded ------------------------------------------------------------------- */

/* Which no other test uses: these two queues are bound in the namespaces of all others that run. */
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

static void launch_excluding(struct tool *tool, unsigned int num, const char *netns)
{
	char options[128];

	snprintf(options, sizeof(options), "-q %u --all-netns --exclude %s", num, netns);
	launch(tool, options);
}

static void stop_excluding(struct tool *tool)
{
	kill(tool->pid, SIGTERM);
	tool_await_err(tool, "0 packets");
	cr_assert_eq(tool_finish(tool), 0, "%s", describe());
}

/* That a namespace cannot be looked at does not mean that it is gone, and its number another one's. */
Test(dump_failing_starts, an_excluded_process_stays_excluded)
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
	launch_excluding(&tool, RARE, text);
	cr_assert(await_look(&tool));
	for (size_t i = 0; i < REASONS; i++) {
		looks = atomic_load(&plan->made[BROKER][CALL_fstatat]);
		arm(BROKER, CALL_fstatat, reasons[i], 1, UINT_MAX);
		/* A look ends with the first that fails. */
		cr_assert(
			wait_until(atomic_load(&plan->made[BROKER][CALL_fstatat]) >= looks + 3));
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
Test(dump_failing_starts, an_excluded_name_stays_excluded)
{
	struct netns *excluded = netns_new();
	struct netns_queue queue;
	struct tool tool;

	make_plan();
	for (unsigned int nth = 1; nth <= 6; nth++)
		for (size_t i = 0; i < REASONS; i++) {
			arm(BROKER, CALL_fstatat, reasons[i], nth, nth);
			launch_excluding(&tool, RARE + 1, excluded->name);
			if (!await_look(&tool)) {
				cr_assert_eq(tool_finish(&tool), 1, "%s", describe());
				continue;
			}
			cr_assert(!netns_get_queue(excluded, RARE + 1, &queue), "%s", describe());
			make_anew(excluded);
			cr_assert(await_look(&tool), "%s", describe());
			cr_assert(wait_until(!netns_get_queue(excluded, RARE + 1, &queue)), "%s",
				  describe());
			stop_excluding(&tool);
		}
}
