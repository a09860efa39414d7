/* SPDX-License-Identifier: MIT */
/* mnfq-bench: how fast packets are decided, by us and by others. The command line, the rounds. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "common/options.h"
#include "common/parse.h"
#include "common/program.h"

#define PACKETS_MAX    65536 /* the kernel lets no more wait in a queue */
#define NAMESPACES_MAX 10000
#define SIZE_MIN       64
#define SIZE_MAX_      1500
#define RATE_MIN       100
#define RATE_MAX       10000000

/* ---- command line ------------------------------------------------------------------------- */

/* A number, or "max". */
static int add_rate(struct bench_options *opts, const char *text)
{
	uint64_t rate = 0;

	if (opts->rate_count == BENCH_RATES)
		return fail_usage(BENCH_NAME, "--rates: at most %d rates are possible",
				  BENCH_RATES);
	if (strcmp(text, "max") != 0 && parse_number(text, RATE_MIN, RATE_MAX, &rate) < 0)
		return -EINVAL;
	opts->rates[opts->rate_count++] = rate;
	return 0;
}

static int set_rates(void *data, const char *list)
{
	struct bench_options *opts = data;
	char text[16];
	size_t len;
	int err;

	opts->rate_count = 0;
	for (;; list += len + 1) {
		len = strcspn(list, ",");
		snprintf(text, sizeof(text), "%.*s",
			 (int)(len < sizeof(text) ? len : sizeof(text)), list);
		err = add_rate(opts, text);
		if (err || list[len] == '\0')
			return err;
	}
}

static void list_scenarios(bool brief)
{
	for (unsigned int i = 0; i < BENCH_SCENARIOS; i++) {
		if (brief)
			printf("%s\t%s\n", bench_scenarios[i].name, bench_scenarios[i].summary);
		else
			options_print_column(bench_scenarios[i].name, bench_scenarios[i].summary);
	}
}

#define NUMBER(field, from, to)                                                                  \
	OPTION_U64, .offset = offsetof(struct bench_options, field), .min = (from), .max = (to)

static const struct option_row rows[] = {
	{ "rounds", 0, "N", NUMBER(rounds, 1, BENCH_ROUNDS_MAX),
	  .help = "measure each candidate N times, in turns (default: 5)" },
	{ "packets", 0, "N", NUMBER(packets, 2, PACKETS_MAX),
	  .expected = "a number from 2 to 65536, the most that the kernel queues",
	  .help = "packets per measurement (default: 40000)" },
	{ "size", 0, "BYTES", NUMBER(size, SIZE_MIN, SIZE_MAX_),
	  .help = "length of the packets (default: 64)" },
	{ "rates", 0, "N[,N...]", .set = set_rates,
	  .expected = "numbers from 100 to 10000000, or max, with commas between them",
	  .help = "packets per second in 'load' (default:\n5000,20000,60000,120000,200000,max)" },
	{ "namespaces", 0, "N", NUMBER(namespaces, 2, NAMESPACES_MAX),
	  .help = "number of namespaces in 'namespaces' (default: 1000)" },
	{ "batch", 0, "N", NUMBER(batch, 1, 1024),
	  .help = "packets that mnfq receives at once (default: 64)" },
	{ "json", .kind = OPTION_BOOL, .offset = offsetof(struct bench_options, json),
	  .help = "print JSON" },
	{ "svg", 0, "FILE", OPTION_TEXT, .offset = offsetof(struct bench_options, svg),
	  .complete = "FILE",
	  .help = "draw the figures of 'load', and of 'drain' as its right\nend, as a chart in FILE" },
	OPTION_ROW_HELP,
	OPTION_ROW_VERSION,
};

_Static_assert(PACKETS_MAX == 65536, "the error of --packets has it");
_Static_assert(RATE_MIN == 100 && RATE_MAX == 10000000, "the error of --rates has them");

static const struct option_table table = {
	.command = BENCH_NAME,
	.usage = "Usage: mnfq-bench [SCENARIO...] [OPTIONS]",
	.summary = "Measure how fast packets are decided, in network namespaces made for it.",
	.operands = "Scenarios (default: all)",
	.list = list_scenarios,
	.rows = rows,
	.count = sizeof(rows) / sizeof(rows[0]),
	.footer = "Requires root, the commands ip and iptables, and a quiet machine. See\n"
		  "mnfq-bench(1) for the meaning of the figures.\n",
};

static int take_scenario(struct bench_options *opts, const char *name)
{
	for (unsigned int i = 0; i < BENCH_SCENARIOS; i++) {
		if (strcmp(name, bench_scenarios[i].name) == 0) {
			opts->chosen[i] = true;
			return 0;
		}
	}
	return fail_usage(BENCH_NAME, "there is no scenario '%s'", name);
}

/* Whether there is something to run; otherwise *status is the exit status. */
static bool parse_command_line(struct bench_options *opts, int argc, char **argv, int *status)
{
	*opts = (struct bench_options){
		.rounds = 5,
		.packets = 40000,
		.size = 64,
		.namespaces = 1000,
		.rates = { 5000, 20000, 60000, 120000, 200000, 0 },
		.rate_count = 6,
	};
	if (!options_parse(&table, opts, argc, argv, status))
		return false;
	for (int i = optind; i < argc; i++) {
		*status = take_scenario(opts, argv[i]);
		if (*status)
			return false;
	}
	for (unsigned int i = 0; optind == argc && i < BENCH_SCENARIOS; i++)
		opts->chosen[i] = true;
	if (opts->svg && !opts->chosen[BENCH_LOAD])
		*status = fail_usage(BENCH_NAME, "--svg draws the scenario 'load': choose it");
	else if (opts->svg && !HAVE_LNQ)
		*status = fail_usage(BENCH_NAME, "--svg compares with libnetfilter_queue: build "
						 "with -Dlibnetfilter_queue=enabled");
	return *status == 0;
}

/* ---- rounds ------------------------------------------------------------------------------- */

static int open_series(struct bench_series *series, const struct bench_scenario *scenario,
		       const struct bench_options *opts, uint64_t rate)
{
	const struct bench_candidate *candidate = bench_candidates;
	const unsigned int in = 1u << (scenario - bench_scenarios);
	struct bench_result *results;

	*series = (struct bench_series){ .scenario = scenario, .rate = rate };
	for (; candidate->name && series->count < BENCH_CANDIDATES; candidate++) {
		if (!(candidate->in & in))
			continue;
		results = calloc(opts->rounds, sizeof(*results));
		if (!results)
			return fail(BENCH_NAME, "out of memory");
		for (uint64_t i = 0; i < opts->rounds; i++)
			for (int m = 0; m < BENCH_METRICS; m++)
				results[i].value[m] = -1;
		series->candidates[series->count] = candidate;
		series->results[series->count++] = results;
	}
	return 0;
}

static void close_series(struct bench_series *series)
{
	for (unsigned int i = 0; i < series->count; i++)
		free(series->results[i]);
}

/* What a queue adds to a round trip is what is more than without. */
static void subtract_first(struct bench_series *series, uint64_t round)
{
	static const enum bench_metric metrics[] = { BENCH_P50, BENCH_P99 };
	double *value, more;

	for (unsigned int i = 1; i < series->count; i++) {
		for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
			value = &series->results[i][round].value[metrics[m]];
			more = *value - series->results[0][round].value[metrics[m]];
			*value = more > 0 ? more : 0;
		}
	}
}

static unsigned int divisor(unsigned int a, unsigned int b)
{
	return b == 0 ? a : divisor(b, a % b);
}

/*
 * Who comes as number @i: each candidate leaves caches and processors behind in its own way, and a virtual machine
 * polls for a while after it was busy. So who begins changes, and so does who comes after whom.
 */
static unsigned int who_comes(unsigned int i, uint64_t round, unsigned int count)
{
	unsigned int step = 1 + (unsigned int)(round % (count > 1 ? count - 1 : 1));

	while (divisor(step, count) != 1)
		step++;
	return (unsigned int)((round + (uint64_t)i * step) % count);
}

static int run_round(struct bench_net *net, struct bench_series *series,
		     const struct bench_options *opts, uint64_t round)
{
	const struct bench_scenario *scenario = series->scenario;
	struct bench_options at = *opts;
	char rate[40] = "";

	at.rate = series->rate;
	if (series->rate > 0)
		snprintf(rate, sizeof(rate), ", %llu packets/s",
			 (unsigned long long)series->rate);
	for (unsigned int i = 0; i < series->count; i++) {
		unsigned int who = who_comes(i, round, series->count);
		const struct bench_candidate *candidate = series->candidates[who];

		fprintf(stderr, "%s: %s%s, round %llu of %llu: %s\n", BENCH_NAME, scenario->name,
			rate, (unsigned long long)(round + 1), (unsigned long long)opts->rounds,
			candidate->name);
		net->error[0] = '\0';
		if (scenario->measure(net, &at, candidate, &series->results[who][round]) < 0)
			return bench_interrupted ? fail(BENCH_NAME, "interrupted")
						 : fail(BENCH_NAME, "%s: %s: %s", scenario->name,
							candidate->name, net->error);
	}
	if (scenario->added)
		subtract_first(series, round);
	return 0;
}

static int fail_chart(const struct bench_options *opts, int error)
{
	return fail(BENCH_NAME, "cannot write %s: %s", opts->svg, strerror(error));
}

static int report(struct bench_series *series, unsigned int count,
		  const struct bench_options *opts, FILE *chart)
{
	int err = 0;

	if (opts->json)
		err = bench_report_json(stdout, series, count, opts);
	for (unsigned int i = 0; i < count && !opts->json; i++)
		bench_report_table(stdout, &series[i], opts);
	if (err < 0)
		return fail(BENCH_NAME, "cannot print JSON: %s", strerror(-err));
	if (chart)
		err = bench_report_svg(chart, series, count, opts);
	return err < 0 ? fail_chart(opts, -err) : EXIT_SUCCESS;
}

/* Who wants the figures of libnetfilter_queue should not wait for them. */
static void note_missing(const struct bench_options *opts)
{
	bool wanted = false;

	for (unsigned int i = 0; i < BENCH_SCENARIOS && !HAVE_LNQ; i++)
		wanted |= opts->chosen[i] && strcmp(bench_scenarios[i].against[0], "lnq") == 0;
	if (wanted)
		fprintf(stderr,
			"%s: no comparison with libnetfilter_queue: for that, build with "
			"-Dlibnetfilter_queue=enabled\n",
			BENCH_NAME);
}

/* All rounds of a scenario, for each rate if it is paced. Adds its series to @count. */
static int run_scenario(struct bench_net *net, const struct bench_options *opts,
			const struct bench_scenario *scenario, struct bench_series *all,
			unsigned int *count)
{
	const size_t rates = scenario->paced ? opts->rate_count : 1;
	struct bench_series *series = &all[*count];
	int status = 0;

	for (size_t i = 0; i < rates && !status; i++)
		status = open_series(&all[(*count)++], scenario, opts,
				     scenario->paced ? opts->rates[i] : 0);
	for (uint64_t round = 0; round < opts->rounds && !status; round++)
		for (size_t i = 0; i < rates && !status; i++)
			status = run_round(net, &series[i], opts, round);
	return status;
}

static int run_all(struct bench_net *net, const struct bench_options *opts, FILE *chart)
{
	struct bench_series series[BENCH_SERIES];
	unsigned int i, count = 0;
	int status = 0;

	note_missing(opts);
	for (i = 0; i < BENCH_SCENARIOS && !status; i++)
		if (opts->chosen[i])
			status = run_scenario(net, opts, &bench_scenarios[i], series, &count);
	if (!status)
		status = report(series, count, opts, chart);
	for (i = 0; i < count; i++)
		close_series(&series[i]);
	return status;
}

static int bench_run(int argc, char **argv)
{
	struct bench_options opts;
	struct bench_net net;
	FILE *chart = NULL;
	int status;

	if (!parse_command_line(&opts, argc, argv, &status))
		return status;
	/* What was in it stays until there is something better. */
	if (opts.svg)
		chart = fopen(opts.svg, "ae");
	if (opts.svg && !chart)
		return fail_chart(&opts, errno);
	bench_catch_signals();
	if (bench_net_open(&net) < 0)
		status = bench_interrupted ? fail(BENCH_NAME, "interrupted")
					   : fail(BENCH_NAME, "%s", net.error);
	else
		status = run_all(&net, &opts, chart);
	bench_net_close(&net);
	if (chart)
		fclose(chart);
	return status;
}

int main(int argc, char **argv)
{
	return run_program(BENCH_NAME, bench_run, argc, argv);
}
