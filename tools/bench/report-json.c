/* SPDX-License-Identifier: MIT */
/* mnfq-bench: the figures as JSON. */
#include <errno.h>
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
	json_t *object = json_pack("{s:s}", "name", series->candidates[who]->name);
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
	json_t *candidates = json_array(), *object;

	for (unsigned int i = 0; i < series->count; i++)
		json_array_append_new(candidates, make_candidate(series, opts, i));
	object =
		json_pack("{s:s, s:s, s:o}", "name", series->scenario->name, "judged_by",
			  bench_metric_names[series->scenario->metric], "candidates", candidates);
	if (series->scenario->paced)
		json_object_set_new(object, "rate", json_integer((json_int_t)series->rate));
	if (series->scenario->added)
		json_object_set_new(object, "added_to", json_string(series->candidates[0]->name));
	return object;
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
