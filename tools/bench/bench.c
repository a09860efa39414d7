/* SPDX-License-Identifier: MIT */
/* mnfq-bench: how fast packets are decided, by us and by others. The command line, the rounds. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "common/parse.h"
#include "common/program.h"

#define PACKETS_MAX    65536 /* the kernel lets no more wait in a queue */
#define NAMESPACES_MAX 10000
#define SIZE_MIN       64
#define SIZE_MAX_      1500
#define RATE_MIN       100
#define RATE_MAX       10000000

static int bench_print_help(void)
{
	printf("Usage: mnfq-bench [SCENARIO...] [OPTIONS]\n"
	       "\n"
	       "Measure how fast packets are decided, in network namespaces made for it.\n"
	       "\n"
	       "Scenarios (default: all):\n");
	for (unsigned int i = 0; i < bench_scenario_count; i++)
		printf("  %-20s %s\n", bench_scenarios[i].name, bench_scenarios[i].summary);
	printf("\n"
	       "      --rounds N       measure each candidate N times, by turns (default: 5)\n"
	       "      --packets N      packets of a measurement (default: 40000)\n"
	       "      --size BYTES     length of these packets (default: 64)\n"
	       "      --rates N[,N...] packets a second in `load'; max: as fast as possible (default:\n"
	       "                       5000,20000,60000,120000,200000,max)\n"
	       "      --namespaces N   how many there are in `namespaces' (default: 1000)\n"
	       "      --batch N        packets that mnfq receives at once (default: 64)\n"
	       "      --json           print the figures as JSON, of which mnfq-bench-plot makes\n"
	       "                       a chart\n"
	       "  -h, --help           print this\n"
	       "      --version        print the version\n"
	       "\n"
	       "Needs root, the commands ip and iptables, and a quiet machine. See\n"
	       "mnfq-bench(1) for what the figures mean.\n");
	return EXIT_SUCCESS;
}

static int bench_print_version(void)
{
	printf("%s %s (libmnfq %s)\n", BENCH_NAME, MNFQ_VERSION, mnfq_get_version());
	return EXIT_SUCCESS;
}

/* ---- command line ------------------------------------------------------------------------- */

enum {
	BENCH_OPT_ROUNDS = 256,
	BENCH_OPT_PACKETS,
	BENCH_OPT_SIZE,
	BENCH_OPT_BATCH,
	BENCH_OPT_RATES,
	BENCH_OPT_NAMESPACES,
	BENCH_OPT_JSON,
	BENCH_OPT_VERSION
};

static const struct option bench_long_options[] = {
	{ "rounds", required_argument, NULL, BENCH_OPT_ROUNDS },
	{ "packets", required_argument, NULL, BENCH_OPT_PACKETS },
	{ "size", required_argument, NULL, BENCH_OPT_SIZE },
	{ "batch", required_argument, NULL, BENCH_OPT_BATCH },
	{ "rates", required_argument, NULL, BENCH_OPT_RATES },
	{ "namespaces", required_argument, NULL, BENCH_OPT_NAMESPACES },
	{ "json", no_argument, NULL, BENCH_OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, BENCH_OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int take_packets(struct bench_options *opts)
{
	if (parse_number(optarg, 2, PACKETS_MAX, &opts->packets) == 0)
		return 0;
	return fail_usage(BENCH_NAME,
			  "--packets %s: give a number from 2 to %d: they wait in a queue, where "
			  "the kernel lets no more wait",
			  optarg, PACKETS_MAX);
}

/* A number, or "max". */
static int take_rate(struct bench_options *opts, const char *text)
{
	uint64_t rate = 0;

	if (opts->rate_count == BENCH_RATES)
		return fail_usage(BENCH_NAME, "--rates: %d are the most", BENCH_RATES);
	if (strcmp(text, "max") != 0 && parse_number(text, RATE_MIN, RATE_MAX, &rate) < 0)
		return fail_usage(BENCH_NAME,
				  "--rates %s: give numbers from %d to %d, or max, with commas "
				  "between them",
				  optarg, RATE_MIN, RATE_MAX);
	opts->rates[opts->rate_count++] = rate;
	return 0;
}

static int take_rates(struct bench_options *opts, const char *list)
{
	char text[16];
	size_t len;
	int status;

	opts->rate_count = 0;
	for (;; list += len + 1) {
		len = strcspn(list, ",");
		snprintf(text, sizeof(text), "%.*s",
			 (int)(len < sizeof(text) ? len : sizeof(text)), list);
		status = take_rate(opts, text);
		if (status || list[len] == '\0')
			return status;
	}
}

static int bench_take_option(struct bench_options *opts, int option, char **argv)
{
	switch (option) {
	case BENCH_OPT_ROUNDS:
		return take_number(BENCH_NAME, "--rounds", 1, BENCH_ROUNDS_MAX, &opts->rounds);
	case BENCH_OPT_PACKETS:
		return take_packets(opts);
	case BENCH_OPT_SIZE:
		return take_number(BENCH_NAME, "--size", SIZE_MIN, SIZE_MAX_, &opts->size);
	case BENCH_OPT_BATCH:
		return take_number(BENCH_NAME, "--batch", 1, 1024, &opts->batch);
	case BENCH_OPT_RATES:
		return take_rates(opts, optarg);
	case BENCH_OPT_NAMESPACES:
		return take_number(BENCH_NAME, "--namespaces", 2, NAMESPACES_MAX,
				   &opts->namespaces);
	case BENCH_OPT_JSON:
		opts->json = true;
		return 0;
	default:
		return fail_option(BENCH_NAME, option, argv);
	}
}

static int take_scenario(struct bench_options *opts, const char *name)
{
	for (unsigned int i = 0; i < bench_scenario_count; i++) {
		if (strcmp(name, bench_scenarios[i].name) == 0) {
			opts->chosen[i] = true;
			return 0;
		}
	}
	return fail_usage(BENCH_NAME, "there is no scenario '%s'", name);
}

/* Whether there is something to run; otherwise *status is the exit status. */
static bool take_options(struct bench_options *opts, int argc, char **argv, int *status)
{
	int option;

	*opts = (struct bench_options){
		.rounds = 5,
		.packets = 40000,
		.size = 64,
		.namespaces = 1000,
		.rates = { 5000, 20000, 60000, 120000, 200000, 0 },
		.rate_count = 6,
	};
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", bench_long_options, NULL)) != -1) {
		if (option == 'h' || option == BENCH_OPT_VERSION) {
			*status = option == 'h' ? bench_print_help() : bench_print_version();
			return false;
		}
		*status = bench_take_option(opts, option, argv);
		if (*status)
			return false;
	}
	for (int i = optind; i < argc; i++) {
		*status = take_scenario(opts, argv[i]);
		if (*status)
			return false;
	}
	for (unsigned int i = 0; optind == argc && i < bench_scenario_count; i++)
		opts->chosen[i] = true;
	return true;
}

/* ---- rounds ------------------------------------------------------------------------------- */

static int open_series(struct bench_series *series, const struct bench_scenario *scenario,
		       const struct bench_options *opts, uint64_t rate)
{
	*series = (struct bench_series){ .scenario = scenario, .rate = rate };
	while (scenario->candidates[series->candidates].name) {
		struct bench_result *results = calloc(opts->rounds, sizeof(*results));

		if (!results)
			return fail(BENCH_NAME, "out of memory");
		for (uint64_t i = 0; i < opts->rounds; i++)
			for (int m = 0; m < BENCH_METRICS; m++)
				results[i].value[m] = -1;
		series->results[series->candidates++] = results;
	}
	return 0;
}

static void close_series(struct bench_series *series)
{
	for (unsigned int i = 0; i < series->candidates; i++)
		free(series->results[i]);
}

/* What a queue adds to a round trip is what is more than without. */
static void subtract_first(struct bench_series *series, uint64_t round)
{
	static const enum bench_metric metrics[] = { BENCH_P50, BENCH_P99 };
	double *value, more;

	for (unsigned int i = 1; i < series->candidates; i++) {
		for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
			value = &series->results[i][round].value[metrics[m]];
			more = *value - series->results[0][round].value[metrics[m]];
			*value = more > 0 ? more : 0;
		}
	}
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
	for (unsigned int i = 0; i < series->candidates; i++) {
		/* Whoever is first has other caches: take turns. */
		unsigned int who = (unsigned int)((i + round) % series->candidates);
		const struct bench_candidate *candidate = &scenario->candidates[who];

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

static int report(struct bench_series *series, unsigned int count,
		  const struct bench_options *opts)
{
	int err = 0;

	if (opts->json)
		err = bench_report_json(stdout, series, count, opts);
	for (unsigned int i = 0; i < count && !opts->json; i++)
		bench_report_table(stdout, &series[i], opts);
	return err < 0 ? fail(BENCH_NAME, "cannot print JSON: %s", strerror(-err)) : EXIT_SUCCESS;
}

/* Who wants the figures of libnetfilter_queue should not wait for them. */
static void note_missing(const struct bench_options *opts)
{
	bool wanted = false;

	for (unsigned int i = 0; i < bench_scenario_count && !HAVE_LNQ; i++)
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

static int run_all(struct bench_net *net, const struct bench_options *opts)
{
	struct bench_series series[BENCH_SERIES];
	unsigned int i, count = 0;
	int status = 0;

	note_missing(opts);
	for (i = 0; i < bench_scenario_count && !status; i++)
		if (opts->chosen[i])
			status = run_scenario(net, opts, &bench_scenarios[i], series, &count);
	if (!status)
		status = report(series, count, opts);
	for (i = 0; i < count; i++)
		close_series(&series[i]);
	return status;
}

static int bench_run(int argc, char **argv)
{
	struct bench_options opts;
	struct bench_net net;
	int status;

	if (!take_options(&opts, argc, argv, &status))
		return status;
	bench_catch_signals();
	if (bench_net_open(&net) < 0)
		status = bench_interrupted ? fail(BENCH_NAME, "interrupted")
					   : fail(BENCH_NAME, "%s", net.error);
	else
		status = run_all(&net, &opts);
	bench_net_close(&net);
	return status;
}

int main(int argc, char **argv)
{
	return run_program(BENCH_NAME, bench_run, argc, argv);
}
