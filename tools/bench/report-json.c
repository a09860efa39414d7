/* SPDX-License-Identifier: MIT */
/* mnfq-bench: the figures as JSON, and as a chart. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>
#include <mnfq/version.h>

#include "bench/bench.h"

static json_t *make_metric(const struct bench_series *series, const struct bench_options *opts,
			   unsigned int who, enum bench_metric metric)
{
	struct bench_summary s;
	json_t *object, *values;

	if (!bench_summarize(series, opts->rounds, who, metric, &s))
		return NULL;
	values = json_array();
	for (uint64_t i = 0; i < opts->rounds; i++)
		json_array_append_new(values, json_real(series->results[who][i].value[metric]));
	object = json_pack("{s:f, s:f, s:f, s:o}", "typical", s.median, "min", s.min, "max",
			   s.max, "rounds", values);
	return object;
}

static json_t *make_candidate(const struct bench_series *series, const struct bench_options *opts,
			      unsigned int who)
{
	const struct bench_scenario *scenario = series->scenario;
	json_t *object = json_pack("{s:s}", "name", scenario->candidates[who].name);
	json_t *ratios = json_object();
	struct bench_summary s;

	for (int m = 0; m < BENCH_METRICS; m++) {
		json_t *metric = make_metric(series, opts, who, (enum bench_metric)m);

		if (metric)
			json_object_set_new(object, bench_metric_names[m], metric);
	}
	if (bench_summarize(series, opts->rounds, who, scenario->metric, &s))
		for (unsigned int i = 0; i < BENCH_AGAINST; i++)
			if (s.ratio[i] > 0)
				json_object_set_new(ratios, scenario->against[i],
						    json_real(s.ratio[i]));
	json_object_set_new(object, "ratios", ratios);
	return object;
}

static json_t *make_scenario(const struct bench_series *series, const struct bench_options *opts)
{
	json_t *candidates = json_array();

	for (unsigned int i = 0; i < series->candidates; i++)
		json_array_append_new(candidates, make_candidate(series, opts, i));
	return json_pack("{s:s, s:s, s:o}", "name", series->scenario->name, "judged_by",
			 bench_metric_names[series->scenario->metric], "candidates", candidates);
}

int bench_report_json(FILE *out, const struct bench_series *series, unsigned int count,
		      const struct bench_options *opts)
{
	json_t *scenarios = json_array(), *all;
	struct utsname machine;
	int err;

	uname(&machine);
	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(scenarios, make_scenario(&series[i], opts));
	all = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "version", MNFQ_VERSION,
			"kernel", machine.release, "machine", machine.machine, "processors",
			(json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "rounds",
			(json_int_t)opts->rounds, "packets", (json_int_t)opts->packets, "size",
			(json_int_t)opts->size, "namespaces", (json_int_t)opts->namespaces,
			"scenarios", scenarios);
	if (!all)
		return -ENOMEM;
	err = json_dumpf(all, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	json_decref(all);
	fputc('\n', out);
	return err < 0 || ferror(out) ? -EIO : 0;
}

/* ---- the chart ---------------------------------------------------------------------------- */

#define ROW   26
#define LEFT  110
#define WIDTH 420

static const struct {
	const char *what;
	int decimals;
} axes[BENCH_METRICS] = {
	[BENCH_RATE] = { "packets a second, more is better", 0 },
	[BENCH_CPU] = { "µs of processor time a packet, less is better", 2 },
	[BENCH_P50] = { "µs added to a round trip (median), less is better", 1 },
	[BENCH_GBIT] = { "Gbit/s, more is better", 2 },
};

static void draw_bar(FILE *out, const char *name, double value, double most, int decimals, int y)
{
	double width = most > 0 ? value / most * WIDTH : 0;

	fprintf(out, "<text class=\"name\" x=\"%d\" y=\"%d\">%s</text>\n", LEFT - 8, y + 14,
		name);
	fprintf(out,
		"<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n",
		strncmp(name, "mnfq", 4) == 0 ? "ours" : "other", LEFT, y, width, ROW - 8);
	fprintf(out, "<text x=\"%.1f\" y=\"%d\">%.*f</text>\n", LEFT + width + 6, y + 14,
		decimals, value);
}

/* Returns where the next one begins. What is no queue has nothing added to a round trip. */
static int draw_scenario(FILE *out, const struct bench_series *series,
			 const struct bench_options *opts, int y)
{
	const struct bench_scenario *scenario = series->scenario;
	unsigned int i, first = scenario->added ? 1 : 0;
	struct bench_summary s;
	double most = 0;

	fprintf(out, "<text class=\"title\" x=\"10\" y=\"%d\">%s</text>\n", y + 16,
		scenario->name);
	fprintf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", LEFT, y + 16,
		axes[scenario->metric].what);
	y += ROW;
	for (i = first; i < series->candidates; i++)
		if (bench_summarize(series, opts->rounds, i, scenario->metric, &s))
			most = s.median > most ? s.median : most;
	for (i = first; i < series->candidates; i++, y += ROW)
		if (bench_summarize(series, opts->rounds, i, scenario->metric, &s))
			draw_bar(out, scenario->candidates[i].name, s.median, most,
				 axes[scenario->metric].decimals, y);
	return y + ROW / 2;
}

/* Text in grey that shows on white and on black; no script, no font of our own. */
static const char style[] = "<style>text{font:13px sans-serif;fill:#777}"
			    ".name{text-anchor:end}.title{font-weight:bold}"
			    ".ours{fill:#2a7fd4}.other{fill:#999}</style>\n";

int bench_report_svg(const char *path, const struct bench_series *series, unsigned int count,
		     const struct bench_options *opts)
{
	FILE *out = fopen(path, "we");
	int y = 8, height = 8;

	if (!out)
		return -errno;
	for (unsigned int i = 0; i < count; i++)
		height += ROW + ROW / 2 +
			  ROW * (int)(series[i].candidates - series[i].scenario->added);
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n%s",
		LEFT + WIDTH + 90, height, LEFT + WIDTH + 90, height, style);
	for (unsigned int i = 0; i < count; i++)
		y = draw_scenario(out, &series[i], opts, y);
	fputs("</svg>\n", out);
	if (ferror(out)) {
		fclose(out);
		return -EIO;
	}
	return fclose(out) ? -errno : 0;
}
