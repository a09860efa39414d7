/* SPDX-License-Identifier: MIT */
/* mnfq stat: the queues of network namespaces, their owners and their losses. */
#include "stat/stat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "broker/netns-enter.h"
#include "broker/netns-scan.h"
#include "common/options.h"
#include "common/parse.h"
#include "common/program.h"
#include "common/sys.h"
#include "stat/export.h"
#include "stat/places.h"
#include "stat/table.h"
#include "stat/watch.h"

#define WATCH_DEFAULT 2000 /* ms */
#define WATCH_MIN     100
#define WATCH_MAX     86400000

/* ---- the command line ------------------------------------------------------------------- */

static int stat_set_queues(void *data, const char *argument)
{
	struct stat_options *opts = data;

	if (opts->has_queues)
		return fail_usage(STAT_NAME,
				  "-q can be given only once: use FIRST:LAST for a range");
	opts->has_queues = true;
	return parse_queues(argument, &opts->first, &opts->last);
}

static int add_netns(void *data, const char *argument)
{
	struct stat_options *opts = data;

	if (opts->netns_count == STAT_NETNS_MAX)
		return fail_usage(STAT_NAME, "-n: at most %d namespaces", STAT_NETNS_MAX);
	opts->netns[opts->netns_count++] = argument;
	return 0;
}

static int set_watch(void *data, const char *argument)
{
	struct stat_options *opts = data;

	opts->watch_ms = WATCH_DEFAULT;
	return argument ? parse_seconds(argument, WATCH_MIN, WATCH_MAX, &opts->watch_ms) : 0;
}

static int stat_set_color(void *data, const char *argument)
{
	return color_parse(argument, &((struct stat_options *)data)->color);
}

#define STAT_AT(field) .kind = OPTION_BOOL, .offset = offsetof(struct stat_options, field)

static const struct option_row stat_rows[] = {
	{ "queue", 'q', "NUM[:NUM]", .set = stat_set_queues,
	  .expected = "a queue number from 0 to 65535, or FIRST:LAST",
	  .help = "queue number, or a range of them (default: all)" },
	{ "netns", 'n', "NETNS", .set = add_netns, .repeatable = true, .complete = "NETNS",
	  .help = "network namespace: name, path or process id" },
	{ "all-netns", STAT_AT(all_netns), .help = "all network namespaces" },
	{ "watch", 'w', "SEC", .set = set_watch, .bare = BARE_BOTH,
	  .expected = "seconds from 0.1 to 86400",
	  .help = "again every SEC seconds (default: 2), with rates;\non a terminal until q is pressed" },
	{ "json", STAT_AT(json), .help = "print one JSON object per line" },
	{ "prometheus", STAT_AT(prometheus), .help = "print metrics for Prometheus" },
	{ "color", 0, "WHEN", .set = stat_set_color, .complete = COLOR_WORDS,
	  .expected = COLOR_EXPECTED, .help = "auto (default), always or never" },
	OPTION_ROW_HELP,
	OPTION_ROW_VERSION,
};

static const struct option_table stat_table = {
	.command = STAT_NAME,
	.usage = "Usage: mnfq stat [-q NUM[:NUM]] [-n NETNS]... [OPTIONS]\n"
		 "       mnfq stat [-q NUM[:NUM]] --all-netns [OPTIONS]",
	.summary =
		"Show the queues of a network namespace: who owns them, how many packets wait\n"
		"and how many were dropped.",
	.rows = stat_rows,
	.count = sizeof(stat_rows) / sizeof(stat_rows[0]),
	.footer = "Options with ... may be repeated. See mnfq-stat(1).\n",
};

static int check_stat_options(const struct stat_options *opts)
{
	if (opts->all_netns && opts->netns_count)
		return fail_usage(STAT_NAME, "-n and --all-netns cannot be combined");
	if (opts->json && opts->prometheus)
		return fail_usage(STAT_NAME, "--json and --prometheus cannot be combined");
	if (opts->watch_ms && opts->prometheus)
		return fail_usage(STAT_NAME, "--prometheus prints once: it excludes --watch");
	return 0;
}

/* ---- readings --------------------------------------------------------------------------- */

struct source {
	const struct stat_options *opts;
	struct netns_scan *scan; /* with --all-netns */
	int home;
	struct owners owners;
};

/* Returns 0 or -ENOMEM; other failures are in the reading. */
static int stat_take(struct reading *reading, void *data)
{
	struct source *source = data;
	const struct stat_options *opts = source->opts;
	char error[PLACE_ERROR_SIZE] = "";
	struct timeval now;
	struct place place;
	int opened, err = 0;

	gettimeofday(&now, NULL);
	reading->time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_usec;
	reading->at_ms = clock_ms();
	if (opts->all_netns) {
		err = places_add_all(reading, source->scan, source->home, opts->first,
				     opts->last);
	} else if (opts->netns_count == 0) {
		opened = place_open_own(&place, error);
		err = places_add(reading, &place, opened, opts->first, opts->last, error);
	}
	for (unsigned int i = 0; i < opts->netns_count && err == 0; i++) {
		opened = place_open_named(&place, opts->netns[i], source->home, error);
		err = places_add(reading, &place, opened, opts->first, opts->last, error);
	}
	return err < 0 ? err : reading_complete(reading, &source->owners);
}

/* ---- once ------------------------------------------------------------------------------- */

/* What is printed is whole, or that is an error. */
static int print_readings(const struct stat_options *opts, const struct reading *reading)
{
	const struct table_options table = { .color = color_is_wanted(opts->color, STDOUT_FILENO),
					     .end = "\n" };

	if (opts->json)
		export_json(stdout, reading, false);
	else if (opts->prometheus)
		export_prometheus(stdout, reading);
	else
		table_print(stdout, reading, &table);
	return finish_stdout(STAT_NAME, EXIT_SUCCESS);
}

static int report(const struct stat_options *opts, const struct reading *reading)
{
	if (reading->failures > 1)
		return fail(STAT_NAME, "%s (and %u more namespaces cannot be read)",
			    reading->error, reading->failures - 1);
	if (reading->failures == 1)
		return fail(STAT_NAME, "%s", reading->error);
	/* No samples are an answer, too. */
	if (opts->has_queues && reading->count == 0 && !opts->prometheus)
		return fail(STAT_NAME, "queue %u%s is not bound", opts->first,
			    opts->last > opts->first ? " and those after it" : "");
	return EXIT_SUCCESS;
}

static int show_source(struct source *source)
{
	const struct stat_options *opts = source->opts;
	struct reading reading = { 0 };
	int status = EXIT_SUCCESS, shown;

	if (stat_take(&reading, source) < 0)
		status = fail(STAT_NAME, "out of memory");
	else if (!opts->watch_ms || (reading.failures && reading.count == 0))
		status = report(opts, &reading);
	if (status == EXIT_SUCCESS && opts->watch_ms)
		status = watch_run(opts, &reading, stat_take, source);
	else if (reading.count > 0 || status == EXIT_SUCCESS) {
		shown = print_readings(opts, &reading);
		status = status ? status : shown;
	}
	reading_free(&reading);
	return status;
}

int run_stat(int argc, char **argv)
{
	struct stat_options opts = { .last = UINT16_MAX };
	struct source source = { .opts = &opts, .home = -1 };
	int status, err = 0;

	if (!options_parse(&stat_table, &opts, argc, argv, &status))
		return status;
	if (check_stat_options(&opts))
		return EXIT_USAGE;
	raise_file_limit();
	if (opts.all_netns || opts.netns_count) {
		source.home = netns_enter_open_home();
		err = source.home < 0 ? source.home : 0;
	}
	if (err == 0 && opts.all_netns)
		err = netns_scan_new(&source.scan);
	if (err < 0)
		status = fail(STAT_NAME, "cannot look for network namespaces: %s",
			      err == -ENOENT ? "mount /proc" : strerror(-err));
	else
		status = show_source(&source);
	netns_scan_free(source.scan);
	owners_free(&source.owners);
	if (source.home >= 0)
		close(source.home);
	return status;
}
