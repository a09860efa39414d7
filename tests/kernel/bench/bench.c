/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench in miniature: each scenario runs and loses nothing, reports can be read by machines, and
 * figures that do not depend on the machine are what they must be. How fast it was is not asked here.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench-fixture.h"

TestSuite(bench, .timeout = 300);

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
	expect_calls(report, "mnfq-cork", 2 / 64.0, 0.1);
	expect_calls(report, "mnfq-ids", 2 / 64.0, 0.1);
	expect_calls(report, "mnfq-pull", 2 / 64.0, 0.1);
	expect_calls(report, "mnfq-feed64", 2 / 64.0, 0.1);
	/* At worst each packet wakes the thread up. */
	expect_calls(report, "mnfq-thread", 2 / 64.0, 10);
	expect_calls(report, "mnfq-feed", 1, 1.1);
	if (compares()) {
		expect_calls(report, "lnq-ids", 2, 2.1);
		expect_calls(report, "lnq-thread", 2, 10);
		expect_peer(report, "mnfq", "lnq");
		expect_peer(report, "mnfq-ids", "lnq-ids");
		expect_peer(report, "mnfq-thread", "lnq-thread");
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

Test(bench, threads)
{
	expect_figures("threads", "packets_per_second", 2, "");
}

/* ---- the chart ---------------------------------------------------------------------------- */

static char *read_chart(const char *path)
{
	static char text[65536];
	FILE *file = fopen(path, "re");

	cr_assert(file, "%s", path);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	return text;
}

/* A file that has something in it, whose name is appended to @arguments. */
static char *make_chart(char *arguments)
{
	char *path = strrchr(arguments, ' ') + 1;
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && write(fd, "before", 6) == 6);
	close(fd);
	return path;
}

/* It shows the figures of the report. */
Test(bench, draws_a_chart)
{
	char arguments[] = "load drain --rates max --svg /tmp/mnfq-chart-XXXXXX";
	const char *path = make_chart(arguments), *at;
	double value = -1, off;
	json_t *report;

	if (!compares())
		cr_skip_test("this needs libnetfilter_queue");
	report = measure(arguments);
	at = strstr(read_chart(path), "<title>mnfq, full queue: ");
	unlink(path);
	cr_assert(at && sscanf(at, "<title>mnfq, full queue: %lf<", &value) == 1);
	off = value - get_figure(report, "mnfq", "cpu_us_per_packet") /
			      get_figure(report, "lnq", "cpu_us_per_packet");
	cr_expect(off > -0.01 && off < 0.01, "%g is %g off", value, off);
	json_decref(report);
}

/* The one that is there stays. */
Test(bench, draws_no_chart_of_half_a_run)
{
	char arguments[] = "load --rates 10000000 " SMALL " --svg /tmp/mnfq-chart-XXXXXX";
	const char *path = make_chart(arguments);
	struct tool tool;

	if (!compares())
		cr_skip_test("this needs libnetfilter_queue");
	(void)netns_new();
	tool_start(&tool, NULL, -1, "%s", arguments);
	while (*tool_err(&tool))
		;
	cr_expect_eq(tool_finish(&tool), 1);
	cr_expect_str_eq(read_chart(path), "before");
	unlink(path);
}
