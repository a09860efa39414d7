/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench in miniature: each scenario runs and loses nothing, reports can be read by machines,
 * nothing stays behind. How fast it was is not asked here.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tool.h"
#include "wait.h"

TestSuite(bench, .timeout = 300);

#define SMALL "--rounds 1 --packets 500 --namespaces 20"

/* Whether it was built to compare with libnetfilter_queue; if not it says so first. */
static bool compares(void)
{
	return strcmp(getenv("MNFQ_LNQ"), "1") == 0;
}

static void expect_note(struct tool *tool)
{
	if (!compares())
		expect_contains(tool_err(tool), "build with -Dlibnetfilter_queue=enabled");
}

/* Reads what it says on the way; returns how many lines that were. */
static unsigned int read_progress(struct tool *tool)
{
	unsigned int lines = 0;

	while (*tool_err(tool)) {
		cr_assert(strstr(tool->line, ", round "), "%s", tool->line);
		lines++;
	}
	return lines;
}

static json_t *measure(const char *scenario)
{
	struct tool tool;
	json_error_t error;
	json_t *report;

	(void)netns_new(); /* or there is nothing to test here */
	tool_start(&tool, NULL, -1, "%s " SMALL " --json", scenario);
	if (strcmp(scenario, "namespaces") != 0)
		expect_note(&tool);
	cr_assert_gt(read_progress(&tool), 0);
	report = json_loadf(tool.out, JSON_REJECT_DUPLICATES, &error);
	cr_assert(report, "%s: %s", scenario, error.text);
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert_eq(json_integer_value(json_object_get(report, "packets")), 500);
	return report;
}

/* Each candidate has a positive figure of the metric by which the scenario is judged. */
static void expect_figures(const char *scenario, const char *metric, size_t least,
			   const char *added_to)
{
	json_t *report = measure(scenario), *entry, *value, *candidates;
	bool compared = false;
	size_t i;

	entry = json_array_get(json_object_get(report, "scenarios"), 0);
	cr_assert_str_eq(json_string_value(json_object_get(entry, "name")), scenario);
	cr_assert_str_eq(json_string_value(json_object_get(entry, "judged_by")), metric);
	value = json_object_get(entry, "added_to");
	cr_expect_str_eq(value ? json_string_value(value) : "", added_to);
	candidates = json_object_get(entry, "candidates");
	cr_assert(json_array_size(candidates) >= least);
	json_array_foreach(candidates, i, entry)
	{
		compared |= strcmp(json_string_value(json_object_get(entry, "name")), "lnq") == 0;
		value = json_object_get(json_object_get(entry, metric), "typical");
		cr_expect(json_number_value(value) >= 0 && json_is_real(value), "%s: %s",
			  scenario, json_string_value(json_object_get(entry, "name")));
	}
	cr_expect_eq(compared, compares());
	json_decref(report);
}

Test(bench, drain)
{
	expect_figures("drain", "cpu_us_per_packet", 2, "");
}

Test(bench, flood)
{
	expect_figures("flood", "cpu_us_per_packet", 2, "");
}

Test(bench, mixed)
{
	expect_figures("mixed", "cpu_us_per_packet", 2, "");
}

Test(bench, latency)
{
	expect_figures("latency", "p50_us", 3, "unqueued");
}

Test(bench, tcp)
{
	expect_figures("tcp", "gbit_per_second", 3, "");
}

/* ---- system calls ------------------------------------------------------------------------- */

static json_t *find_by_name(json_t *array, const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach(array, i, entry)
	{
		if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0)
			return entry;
	}
	return NULL;
}

/* Its figure in the first scenario of the report; negative: there is none. */
static double get_figure(json_t *report, const char *candidate, const char *metric)
{
	json_t *scenario = json_array_get(json_object_get(report, "scenarios"), 0);
	json_t *entry = find_by_name(json_object_get(scenario, "candidates"), candidate);
	json_t *figure = json_object_get(json_object_get(entry, metric), "typical");

	cr_assert(entry, "no candidate %s", candidate);
	return figure ? json_real_value(figure) : -1;
}

static void expect_calls(json_t *report, const char *candidate, double least, double most)
{
	double calls = get_figure(report, candidate, "syscalls_per_packet");

	cr_expect(calls >= least && calls <= most, "%s: %g system calls a packet, not %g to %g",
		  candidate, calls, least, most);
}

static void require_counter(json_t *report)
{
	if (get_figure(report, "mnfq", "syscalls_per_packet") < 0)
		skip_or_fail("this kernel, or a sandbox, does not let us count system calls");
}

/* In batches of 64 to receive and to decide; or one to receive and one to decide each. */
Test(bench, counts_system_calls_of_a_full_queue)
{
	json_t *report = measure("drain");

	require_counter(report);
	expect_calls(report, "raw", 2 / 64.0, 0.1);
	expect_calls(report, "mnfq", 2 / 64.0, 0.1);
	if (compares())
		expect_calls(report, "lnq", 2, 2.1);
	json_decref(report);
}

/* However they come, these two never take more than one at a time. */
Test(bench, counts_system_calls_of_packets_that_come)
{
	json_t *report;

	if (!compares())
		cr_skip_test("this needs libnetfilter_queue");
	report = measure("flood");
	require_counter(report);
	expect_calls(report, "lnq", 2, 2.1);
	json_decref(report);
	report = measure("load --rates max");
	expect_calls(report, "lnq", 2, 2.1);
	json_decref(report);
}

/* From here on, for this process and what it starts. */
static void forbid_counting(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

Test(bench, measures_where_system_calls_cannot_be_counted)
{
	json_t *report;

	(void)netns_new();
	forbid_counting();
	report = measure("drain");
	cr_expect_lt(get_figure(report, "raw", "syscalls_per_packet"), 0);
	cr_expect_gt(get_figure(report, "raw", "cpu_us_per_packet"), 0);
	json_decref(report);
}

/* ---- later than in the callback ----------------------------------------------------------- */

/* The ratio is that of the figures of the one round. */
static void expect_peer(json_t *report, const char *candidate, const char *peer)
{
	const char *const metric = "cpu_us_per_packet";
	json_t *scenario = json_array_get(json_object_get(report, "scenarios"), 0);
	json_t *entry = find_by_name(json_object_get(scenario, "candidates"), candidate);
	double ratio = json_real_value(json_object_get(json_object_get(entry, "ratios"), "peer"));
	double off =
		ratio * get_figure(report, candidate, metric) - get_figure(report, peer, metric);

	cr_expect(ratio > 0 && off > -0.01 && off < 0.01, "%s: %g of %s", candidate, ratio, peer);
}

Test(bench, late)
{
	json_t *report = measure("late");

	require_counter(report);
	expect_calls(report, "mnfq", 2 / 64.0, 0.1);
	expect_calls(report, "mnfq-retain", 1, 1.1);
	expect_calls(report, "mnfq-feed", 1, 1.1);
	if (compares()) {
		expect_calls(report, "lnq-ids", 2, 2.1);
		/* At worst each packet wakes the thread up. */
		expect_calls(report, "lnq-thread", 2, 10);
		expect_peer(report, "mnfq", "lnq");
		expect_peer(report, "mnfq-retain", "lnq-ids");
	}
	json_decref(report);
}

/* ---- others ------------------------------------------------------------------------------- */

/* What no run without losses can do without. */
Test(bench, namespaces)
{
	static const char *const figures[] = { "kib_per_namespace",
					       "attach_cpu_us",
					       "detach_cpu_us",
					       "idle_wakeups",
					       "alone_packets_per_second",
					       "beside_packets_per_second" };
	json_t *report = measure("namespaces"), *mnfq, *figure;

	cr_expect_eq(json_integer_value(json_object_get(report, "namespaces")), 20);
	mnfq = json_array_get(json_object_get(report, "scenarios"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(mnfq, "judged_by")),
			 "cpu_us_per_packet");
	mnfq = json_array_get(json_object_get(mnfq, "candidates"), 0);
	cr_expect_str_eq(json_string_value(json_object_get(mnfq, "name")), "mnfq");
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		figure = json_object_get(json_object_get(mnfq, figures[i]), "typical");
		cr_expect(json_is_real(figure), "no %s", figures[i]);
	}
	json_decref(report);
}

/* As fast as possible, which any machine keeps. */
Test(bench, load)
{
	static const char *const figures[] = { "cpu_us_per_packet", "p50_us", "p99_us",
					       "lost_percent" };
	json_t *report = measure("load --rates max"), *scenarios, *entry, *candidates, *figure;
	size_t i, f;

	scenarios = json_object_get(report, "scenarios");
	cr_assert_eq(json_array_size(scenarios), 1, "one for each rate");
	entry = json_array_get(scenarios, 0);
	cr_expect(json_is_integer(json_object_get(entry, "rate")));
	cr_expect_str_eq(json_string_value(json_object_get(entry, "added_to")), "unqueued");
	candidates = json_object_get(entry, "candidates");
	json_array_foreach(candidates, i, entry)
	{
		/* What it costs to be queued costs nothing without a queue. */
		for (f = i == 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
			figure = json_object_get(json_object_get(entry, figures[f]), "typical");
			cr_expect(json_is_real(figure) && json_real_value(figure) >= 0, "%s: %s",
				  json_string_value(json_object_get(entry, "name")), figures[f]);
		}
	}
	cr_expect(i >= 4);
	json_decref(report);
}

/* No machine keeps this one. */
Test(bench, a_rate_that_is_not_kept_is_an_error)
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

Test(bench, threads)
{
	expect_figures("threads", "packets_per_second", 2, "");
}

Test(bench, prints_tables)
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
	cr_expect_eq(strncmp(tool_out(&tool), "raw  ", 5), 0, "%s", tool.line);
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

Test(bench, ends_when_interrupted)
{
	(void)netns_new();
	expect_end_by(SIGINT);
	expect_end_by(SIGTERM);
	expect_end_by(SIGHUP);
}

/* nohup(1) starts it like this. */
Test(bench, survives_a_signal_that_is_ignored)
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
Test(bench, says_how_many_descriptors_it_needs)
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

Test(bench, wrong_command_lines)
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
}

/* Whatever is started from here on lacks the right to make namespaces. */
Test(bench, says_that_root_is_missing)
{
	(void)netns_new();
	cr_assert_eq(prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN), 0);
	expect_refused("drain", 1, "cannot make a network namespace: Operation not permitted");
}
