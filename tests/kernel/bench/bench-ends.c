/* SPDX-License-Identifier: MIT */
/* mnfq-bench: what it prints, how it ends, what it refuses. Nothing stays behind. */
#include <criterion/criterion.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench-fixture.h"
#include "wait.h"

TestSuite(bench_ends, .timeout = 300);

Test(bench_ends, prints_tables)
{
	struct tool tool;

	(void)netns_new();
	tool_start(&tool, NULL, -1, "drain latency " SMALL " --size 1400");
	expect_note(&tool);
	cr_expect_gt(read_progress(&tool), 0);
	expect_contains(tool_out(&tool), "drain: ");
	expect_contains(tool.line, "500 packets, 1400 bytes, 1 round");
	cr_expect_null(strstr(tool.line, "rounds"));
	expect_contains(tool_out(&tool), "CPU us");
	cr_expect_eq(strncmp(tool_out(&tool), "mnfq  ", 6), 0, "%s", tool.line);
	cr_expect_eq(strncmp(tool_out(&tool), "mnfq-50us  ", 11), 0, "%s", tool.line);
	while (!feof(tool.out) && strncmp(tool_out(&tool), "latency: ", 9) != 0)
		;
	expect_contains(tool.line, "latency: ");
	while (!feof(tool.out))
		tool_out(&tool);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* ---- the end ------------------------------------------------------------------------------ */

static unsigned int count_children(pid_t parent)
{
	char path[64];
	unsigned int count = 0;
	int pid;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		count++;
	if (file)
		fclose(file);
	return count;
}

/* No machine keeps this one. */
Test(bench_ends, a_rate_that_is_not_kept_is_an_error)
{
	struct tool tool;

	(void)netns_new();
	tool_start(&tool, NULL, -1, "load --rates 10000000 " SMALL);
	expect_note(&tool);
	expect_contains(tool_err(&tool), "load, 10000000 packets/s, round 1 of 1: unqueued");
	expect_contains(tool_err(&tool), "the sender did not keep 10000000 packets/s, but ");
	cr_expect_str_eq(tool_out(&tool), "");
	cr_expect_eq(tool_finish(&tool), 1);
}

/* In the middle of a measurement, with a process that decides. */
static void expect_end_by(int signal)
{
	struct tool tool;
	char last[256] = "";

	tool_start(&tool, NULL, -1, "tcp --rounds 1000");
	expect_note(&tool);
	expect_contains(tool_err(&tool), "unqueued");
	expect_contains(tool_err(&tool), ": mnfq");
	cr_assert(wait_until(count_children(tool.pid) > 0));
	kill(tool.pid, signal);
	while (*tool_err(&tool))
		snprintf(last, sizeof(last), "%.255s", tool.line);
	cr_expect_str_eq(last, "mnfq-bench: interrupted", "signal %d", signal);
	cr_expect_str_eq(tool_out(&tool), "");
	cr_expect_eq(tool_finish(&tool), 1, "signal %d", signal);
}

Test(bench_ends, ends_when_interrupted)
{
	(void)netns_new();
	expect_end_by(SIGINT);
	expect_end_by(SIGTERM);
	expect_end_by(SIGHUP);
}

/* nohup(1) starts it like this. */
Test(bench_ends, survives_a_signal_that_is_ignored)
{
	struct tool tool;

	(void)netns_new();
	tool_start_shell(&tool, NULL, -1,
			 "trap '' HUP; exec \"$MNFQ_TOOL\" latency --rounds 1 --packets 500");
	expect_note(&tool);
	expect_contains(tool_err(&tool), "unqueued");
	kill(tool.pid, SIGHUP);
	cr_expect_gt(read_progress(&tool), 0);
	while (*tool_out(&tool))
		;
	cr_expect_eq(tool_finish(&tool), 0);
}

/* The limit is raised as far as it may be. */
Test(bench_ends, says_how_many_descriptors_it_needs)
{
	struct rlimit few = { 256, 256 };
	struct tool tool;

	(void)netns_new();
	cr_assert_eq(prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	tool_start(&tool, NULL, -1, "namespaces --rounds 1 --namespaces 100");
	expect_contains(tool_err(&tool), "round 1 of 1: mnfq");
	expect_contains(tool_err(&tool), "100 namespaces need 364 descriptors: raise the limit");
	cr_expect_eq(tool_finish(&tool), 1);
}

/* ---- what it refuses ---------------------------------------------------------------------- */

static void expect_refused(const char *arguments, int status, const char *part)
{
	struct tool tool;

	tool_start(&tool, NULL, -1, "%s", arguments);
	tool_err(&tool);
	cr_expect(strncmp(tool.line, "mnfq-bench: ", 12) == 0 && strstr(tool.line, part),
		  "%s: %s", arguments, tool.line);
	cr_expect_str_eq(tool_err(&tool), "", "%s: one line", arguments);
	cr_expect_str_eq(tool_out(&tool), "", "%s", arguments);
	cr_expect_eq(tool_finish(&tool), status, "%s", arguments);
}

Test(bench_ends, wrong_command_lines)
{
	expect_refused("race", 2, "no scenario 'race'");
	expect_refused("drain race", 2, "no scenario 'race'");
	expect_refused("--rounds", 2, "--rounds requires an argument");
	expect_refused("--rounds 0", 2, "from 1 to 1000");
	expect_refused("--rounds 1001", 2, "from 1 to 1000");
	expect_refused("--packets 1", 2, "from 2 to 65536");
	expect_refused("--packets 65537", 2, "the most that the kernel queues");
	expect_refused("--size 63", 2, "from 64 to 1500");
	expect_refused("--size 1501", 2, "from 64 to 1500");
	expect_refused("--rates 99", 2, "from 100 to 10000000, or max");
	expect_refused("--rates 10000001", 2, "from 100 to 10000000, or max");
	expect_refused("--rates ,", 2, "from 100 to 10000000, or max");
	expect_refused("--rates 100,maximal", 2, "from 100 to 10000000, or max");
	expect_refused("--rates 100000000000000000", 2, "from 100 to 10000000, or max");
	expect_refused("--rates 1e3,1e3", 2, "from 100 to 10000000, or max");
	expect_refused(
		"--rates max,max,max,max,max,max,max,max,max,max,max,max,max,max,max,max,max", 2,
		"at most 16 rates");
	expect_refused("--namespaces 1", 2, "from 2 to 10000");
	expect_refused("--namespaces 10001", 2, "from 2 to 10000");
	expect_refused("--fast", 2, "--fast");
	expect_refused("--json=1", 2, "no argument");
	expect_refused("--svg", 2, "--svg requires an argument");
	expect_refused("drain --svg /dev/null", 2, "draws the scenario 'load': choose it");
	if (compares())
		expect_refused("--svg /dev/null/x", 1,
			       "cannot write /dev/null/x: Not a directory");
	else
		expect_refused("--svg /dev/null", 2, "build with -Dlibnetfilter_queue=enabled");
}

/* Whatever is started from here on lacks the right to make namespaces. */
Test(bench_ends, says_that_root_is_missing)
{
	(void)netns_new();
	cr_assert_eq(prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN), 0);
	expect_refused("drain", 1, "cannot make a network namespace: Operation not permitted");
}
