/* SPDX-License-Identifier: MIT */
/* mnfq-bench: medians and ratios, as a table. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "common/text.h"

static const struct {
	const char *head;
	int decimals;
} columns[BENCH_METRICS] = {
	[BENCH_RATE] = { "packets/s", 0 },   [BENCH_CPU] = { "CPU us", 3 },
	[BENCH_USER] = { "user us", 3 },     [BENCH_SYSTEM] = { "system us", 3 },
	[BENCH_P50] = { "p50 us", 1 },       [BENCH_P99] = { "p99 us", 1 },
	[BENCH_GBIT] = { "Gbit/s", 2 },      [BENCH_SYSCALLS] = { "syscalls", 3 },
	[BENCH_HEAP] = { "heap bytes", 0 },  [BENCH_MEMORY] = { "memory KiB", 0 },
	[BENCH_EACH] = { "KiB each", 1 },    [BENCH_ATTACH] = { "attach us", 0 },
	[BENCH_DETACH] = { "detach us", 0 }, [BENCH_WAKEUPS] = { "wake-ups", 0 },
	[BENCH_ALONE] = { "alone/s", 0 },    [BENCH_BESIDE] = { "beside/s", 0 },
	[BENCH_LOST] = { "lost %", 2 },
};

const char *const bench_metric_names[BENCH_METRICS] = {
	[BENCH_RATE] = "packets_per_second",
	[BENCH_CPU] = "cpu_us_per_packet",
	[BENCH_USER] = "user_us_per_packet",
	[BENCH_SYSTEM] = "system_us_per_packet",
	[BENCH_P50] = "p50_us",
	[BENCH_P99] = "p99_us",
	[BENCH_GBIT] = "gbit_per_second",
	[BENCH_SYSCALLS] = "syscalls_per_packet",
	[BENCH_HEAP] = "heap_bytes",
	[BENCH_MEMORY] = "memory_kib",
	[BENCH_EACH] = "kib_per_namespace",
	[BENCH_ATTACH] = "attach_cpu_us",
	[BENCH_DETACH] = "detach_cpu_us",
	[BENCH_WAKEUPS] = "idle_wakeups",
	[BENCH_ALONE] = "alone_packets_per_second",
	[BENCH_BESIDE] = "beside_packets_per_second",
	[BENCH_LOST] = "lost_percent",
};

static int report_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double get_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), report_compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double get_mean(const double *values, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += values[i];
	return sum / (double)n;
}

/* The median over the rounds of its ratio to candidate @name in the same round. */
static double get_ratio(const struct bench_series *series, uint64_t rounds, unsigned int who,
			const char *name)
{
	const struct bench_scenario *scenario = series->scenario;
	double ratios[BENCH_ROUNDS_MAX], mine, other;
	unsigned int i;
	uint64_t round;

	if (name && strcmp(name, BENCH_PEER) == 0)
		name = series->candidates[who]->peer;
	for (i = 0; name && i < series->count; i++)
		if (strcmp(series->candidates[i]->name, name) == 0)
			break;
	/* What was added to the first one is not its like. */
	if (!name || i == series->count || i == who || (scenario->added && who == 0))
		return -1;
	for (round = 0; round < rounds; round++) {
		mine = series->results[who][round].value[scenario->metric];
		other = series->results[i][round].value[scenario->metric];
		if (mine <= 0 || other <= 0)
			return -1;
		ratios[round] = scenario->inverse ? other / mine : mine / other;
	}
	return get_median(ratios, rounds);
}

bool bench_summarize(const struct bench_series *series, uint64_t rounds, unsigned int who,
		     enum bench_metric metric, struct bench_summary *summary)
{
	double values[BENCH_ROUNDS_MAX];
	size_t i, n = 0;

	for (i = 0; i < rounds; i++)
		if (series->results[who][i].value[metric] >= 0)
			values[n++] = series->results[who][i].value[metric];
	if (n == 0)
		return false;
	*summary = (struct bench_summary){ .median = get_median(values, n) };
	summary->min = values[0];
	summary->max = values[n - 1];
	/* The kernel splits time by samples, of which a round has few. */
	if (metric == BENCH_USER || metric == BENCH_SYSTEM)
		summary->median = get_mean(values, n);
	for (i = 0; i < BENCH_AGAINST; i++)
		summary->ratio[i] =
			metric == series->scenario->metric
				? get_ratio(series, rounds, who, series->scenario->against[i])
				: -1;
	return true;
}

static void print_value(FILE *out, const struct bench_series *series, uint64_t rounds,
			unsigned int who, enum bench_metric metric)
{
	struct bench_summary s;

	if (bench_summarize(series, rounds, who, metric, &s))
		fprintf(out, " %10.*f", columns[metric].decimals, s.median);
	else
		fprintf(out, " %10s", "-");
}

static void print_row(FILE *out, const struct bench_series *series, uint64_t rounds,
		      unsigned int who)
{
	const struct bench_scenario *scenario = series->scenario;
	int decimals = columns[scenario->metric].decimals;
	struct bench_summary s = { .ratio = { -1, -1, -1 } };

	fprintf(out, "%-12s", series->candidates[who]->name);
	if (bench_summarize(series, rounds, who, scenario->metric, &s))
		fprintf(out, " %10.*f %10.*f %10.*f", decimals, s.median, decimals, s.min,
			decimals, s.max);
	else
		fprintf(out, " %10s %10s %10s", "-", "-", "-");
	for (unsigned int i = 0; i < BENCH_AGAINST && scenario->against[i]; i++) {
		if (s.ratio[i] > 0)
			fprintf(out, " %11.2f", s.ratio[i]);
		else
			fprintf(out, " %11s", "-");
	}
	for (unsigned int i = 0; scenario->shown[i] != BENCH_METRICS; i++)
		print_value(out, series, rounds, who, scenario->shown[i]);
	fputc('\n', out);
}

void bench_report_table(FILE *out, const struct bench_series *series,
			const struct bench_options *opts)
{
	const struct bench_scenario *scenario = series->scenario;
	char against[32];
	unsigned int i;

	fprintf(out, "%s: %s; ", scenario->name, scenario->summary);
	if (series->rate > 0)
		fprintf(out, "%llu packets/s, %llu bytes, ", (unsigned long long)series->rate,
			(unsigned long long)opts->size);
	else if (scenario->paced)
		fprintf(out, "as fast as they can be sent, %llu bytes, ",
			(unsigned long long)opts->size);
	else if (scenario->sized)
		fprintf(out, "%llu packets, %llu bytes, ", (unsigned long long)opts->packets,
			(unsigned long long)opts->size);
	fprintf(out, "%llu %s\n", (unsigned long long)opts->rounds,
		plural(opts->rounds, "round", "rounds"));
	fprintf(out, "%-12s %10s %10s %10s", "", columns[scenario->metric].head, "min", "max");
	for (i = 0; i < BENCH_AGAINST && scenario->against[i]; i++) {
		snprintf(against, sizeof(against), "x %s", scenario->against[i]);
		fprintf(out, " %11s", against);
	}
	for (i = 0; scenario->shown[i] != BENCH_METRICS; i++)
		fprintf(out, " %10s", columns[scenario->shown[i]].head);
	fputc('\n', out);
	for (i = 0; i < series->count; i++)
		print_row(out, series, opts->rounds, i);
	fputc('\n', out);
}
