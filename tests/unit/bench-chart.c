/* SPDX-License-Identifier: MIT */
/* The chart of mnfq-bench, of figures that are known: what is where, and nothing over the edge. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

TestSuite(bench_chart, .timeout = 60);

#define ROUNDS 3

static const enum bench_metric none[] = { BENCH_METRICS };
const struct bench_scenario bench_scenarios[BENCH_SCENARIOS] = {
	[BENCH_DRAIN] = { .name = "drain",
			  .metric = BENCH_CPU,
			  .inverse = true,
			  .against = { "lnq" },
			  .shown = none },
	[BENCH_LOAD] = { .name = "load",
			 .metric = BENCH_CPU,
			 .inverse = true,
			 .paced = true,
			 .added = true,
			 .against = { "lnq" },
			 .shown = none },
};

static const struct bench_candidate who[] = {
	{ .name = "unqueued" }, { .name = "mnfq" }, { .name = "slow" }, { .name = "lnq" }
};
#define WHO (sizeof(who) / sizeof(who[0]))

/* A negative one was not measured. All rounds are alike but the last, which the median ignores. */
static void fill(struct bench_series *series, enum bench_scenario_id scenario, uint64_t rate,
		 const double cpu[WHO])
{
	static struct bench_result results[8][WHO][ROUNDS];
	static unsigned int used;

	*series = (struct bench_series){ .scenario = &bench_scenarios[scenario],
					 .rate = rate,
					 .count = WHO };
	cr_assert(used < 8);
	for (unsigned int i = 0; i < WHO; i++) {
		series->candidates[i] = &who[i];
		series->results[i] = results[used][i];
		for (int round = 0; round < ROUNDS; round++) {
			for (int m = 0; m < BENCH_METRICS; m++)
				series->results[i][round].value[m] = -1;
			series->results[i][round].value[BENCH_CPU] =
				cpu[i] > 0 && i != 3 && round == ROUNDS - 1 ? 1000 : cpu[i];
		}
	}
	used++;
}

static const char *draw(const struct bench_series *series, unsigned int count)
{
	static char text[32768];
	const struct bench_options opts = { .rounds = ROUNDS, .size = 64 };
	FILE *file = tmpfile();

	/* What was there before, and is longer. */
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		fputc('x', file);
	fflush(file);
	cr_assert_eq(bench_report_svg(file, series, count, &opts), 0);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	cr_assert_eq(strncmp(text, "<svg ", 5), 0, "%.40s", text);
	cr_assert_str_eq(text + strlen(text) - 7, "</svg>\n");
	return text;
}

struct point {
	double x, y;
};

/* Where the point is that has this as its title. */
static struct point find_point(const char *chart, const char *title)
{
	const char *at = strstr(chart, title);
	struct point point = { 0 };

	cr_assert(at, "no point '%s' in:\n%s", title, chart);
	while (at > chart && strncmp(at, "<circle", 7) != 0)
		at--;
	cr_assert_eq(sscanf(at, "<circle cx=\"%lf\" cy=\"%lf\"", &point.x, &point.y), 2);
	return point;
}

static struct point find_text(const char *chart, const char *text)
{
	char part[64];
	const char *at;
	struct point point = { 0 };

	snprintf(part, sizeof(part), ">%s</text>", text);
	at = strstr(chart, part);
	cr_assert(at, "no text '%s' in:\n%s", text, chart);
	while (at > chart && strncmp(at, " x=", 3) != 0)
		at--;
	cr_assert_eq(sscanf(at, " x=\"%lf\" y=\"%lf\"", &point.x, &point.y), 2);
	return point;
}

static void expect_near(double value, double expected)
{
	cr_expect(value > expected - 0.2 && value < expected + 0.2, "%g is not %g", value,
		  expected);
}

/* In another order than that of the axis. */
static const char *draw_usual(void)
{
	struct bench_series series[5];

	fill(&series[0], BENCH_DRAIN, 0, (double[]){ -1, 1, 1.1, 2 });
	fill(&series[1], BENCH_LOAD, 0, (double[]){ -1, 3, 4, 4 });
	fill(&series[2], BENCH_LOAD, 100000, (double[]){ -1, 3, 8, 4 });
	fill(&series[3], BENCH_LOAD, 1000, (double[]){ -1, 10, 100, 10 });
	fill(&series[4], BENCH_LOAD, 10000, (double[]){ -1, 9, -1, 10 });
	return draw(series, 5);
}

Test(bench_chart, has_the_ratios_of_processor_time)
{
	const char *chart = draw_usual();
	struct point one = find_text(chart, "1.00"), half = find_text(chart, "0.50");

	expect_near(find_point(chart, "mnfq, 1k: 1.00").y, one.y - 4);
	expect_near(find_point(chart, "mnfq, full queue: 0.50").y, half.y - 4);
	expect_near(find_point(chart, "lnq, 10k: 1.00").y, one.y - 4);
	find_point(chart, "mnfq, 10k: 0.90");
	find_point(chart, "mnfq, 100k: 0.75");
	find_point(chart, "mnfq, max: 0.75");
	cr_expect_null(strstr(chart, "slow, 10k"), "that was not measured");
	cr_expect_null(strstr(chart, "unqueued"));
}

Test(bench_chart, rates_are_logarithmic_and_the_full_queue_is_on_the_right)
{
	const char *chart = draw_usual();
	double k1 = find_point(chart, "mnfq, 1k: ").x, k10 = find_point(chart, "mnfq, 10k: ").x;
	double k100 = find_point(chart, "mnfq, 100k: ").x;
	double max = find_point(chart, "mnfq, max: ").x;
	double full = find_point(chart, "mnfq, full queue: ").x;

	cr_expect(k1 < k10 && k10 < k100 && k100 < max && max < full);
	expect_near(k10 - k1, k100 - k10);
	expect_near(find_text(chart, "10k").x, k10);
	expect_near(find_text(chart, "full queue").x, full);
	cr_expect(strstr(chart, "viewBox=\"0 0 760 430\"") && full < 760);
}

/* 10 times as slow does not make all others a flat line. */
Test(bench_chart, what_is_far_above_is_cut_off)
{
	const char *chart = draw_usual();

	find_text(chart, "2.00");
	cr_expect_null(strstr(chart, ">2.25<"));
	cr_expect(strstr(chart, "<g clip-path=\"url(#area)\""));
	cr_expect(find_point(chart, "slow, 1k: 10.00").y < 0);
}

/* They end at about the same value. */
Test(bench_chart, names_are_not_over_each_other)
{
	const char *chart = draw_usual();
	double mnfq = find_text(chart, "mnfq").y, slow = find_text(chart, "slow").y;
	double lnq = find_text(chart, "lnq (= 1)").y;

	cr_expect(slow - mnfq >= 16 || mnfq - slow >= 16, "%g and %g", mnfq, slow);
	cr_expect(lnq < mnfq && lnq < slow);
	cr_expect(lnq > 0 && mnfq < 430 && slow < 430);
}

/* A line that leaves it at the top has its name there, and so has one that ends at the bottom. */
Test(bench_chart, names_are_inside)
{
	struct bench_series series;
	const char *chart;
	double mnfq, slow;

	fill(&series, BENCH_LOAD, 1000, (double[]){ -1, 90, 100, 10 });
	chart = draw(&series, 1);
	mnfq = find_text(chart, "mnfq").y;
	slow = find_text(chart, "slow").y;
	cr_expect(slow >= 60 && mnfq >= slow + 16, "%g and %g", slow, mnfq);
	fill(&series, BENCH_LOAD, 1000, (double[]){ -1, 0.01, 0.02, 10 });
	chart = draw(&series, 1);
	mnfq = find_text(chart, "mnfq").y;
	slow = find_text(chart, "slow").y;
	cr_expect(mnfq < 380 && slow <= mnfq - 16, "%g and %g", slow, mnfq);
}

Test(bench_chart, a_single_rate_is_enough)
{
	struct bench_series series;
	const char *chart;

	fill(&series, BENCH_LOAD, 1500, (double[]){ -1, 5, 6, 10 });
	chart = draw(&series, 1);
	expect_near(find_point(chart, "mnfq, 1500: 0.50").x, find_text(chart, "1500").x);
	cr_expect_null(strstr(chart, "nan"));
	cr_expect_null(strstr(chart, "inf"));
}

/* Two rates that are almost the same. */
Test(bench_chart, labels_of_the_rates_are_not_over_each_other)
{
	struct bench_series series[3];
	const char *chart;

	fill(&series[0], BENCH_LOAD, 100, (double[]){ -1, 5, 6, 10 });
	fill(&series[1], BENCH_LOAD, 9999999, (double[]){ -1, 5, 6, 10 });
	fill(&series[2], BENCH_LOAD, 9999998, (double[]){ -1, 5, 6, 10 });
	chart = draw(series, 3);
	find_text(chart, "100");
	find_text(chart, "9999998");
	cr_expect_null(strstr(chart, ">9999999</text>"));
}

/* Its time was too short to be measured. */
Test(bench_chart, nothing_to_compare_with_is_no_line)
{
	struct bench_series series;
	const char *chart;

	fill(&series, BENCH_LOAD, 1000, (double[]){ -1, 5, 6, 0 });
	chart = draw(&series, 1);
	cr_expect_null(strstr(chart, "mnfq, 1k"));
	cr_expect_null(strstr(chart, ">mnfq</text>"));
}
