/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: the figures of `load` as a chart: a line for each candidate, by the rate. On its right
 * are what came as fast as possible, and the full queue of `drain`, if they were measured.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <mnfq/version.h>

#include "bench/bench.h"

#define SVG_WIDTH  760
#define SVG_HEIGHT 430
#define LEFT       50 /* the edges of the lines */
#define RIGHT      640
#define TOP        60
#define BOTTOM     370
#define STEP       75   /* to what has no rate */
#define LINE       16   /* of text */
#define TICK       0.25 /* of the vertical axis */
#define TICKS_MAX  8    /* what is above is cut off */
#define REFERENCE  "lnq"

/* What all are compared with is a line, too. The colours show on white and on black. */
static const char style[] =
	"<style>text{font:13px sans-serif;fill:#777}.title{font-weight:bold}.tick{text-anchor:middle}"
	".value{text-anchor:end}.grid{stroke:#888;stroke-opacity:.3}"
	"polyline{fill:none;stroke-width:2}circle{stroke:none}</style>\n";
static const char *const colours[] = { "#2f81f7", "#1a9ba1", "#2da44e", "#a371f7", "#8b949e",
				       "#db6d28", "#db61a2", "#b08800", "#e5534b" };
#define COLOURS (sizeof(colours) / sizeof(colours[0]))

struct svg_column {
	const struct bench_series *series;
	double x;
	char label[32];
};

struct svg_name {
	const char *name, *colour;
	double y;
};

struct svg {
	FILE *out;
	uint64_t rounds;
	struct svg_column columns[BENCH_RATES + 1];
	size_t count;
	struct svg_name names[BENCH_CANDIDATES];
	size_t name_count;
	unsigned int ticks;
};

/* ---- what is drawn ------------------------------------------------------------------------ */

/* Its processor time in relation to that of the reference; negative: not measured. */
static double svg_get_value(const struct svg *svg, const struct svg_column *column,
			    const char *name)
{
	const struct bench_series *series = column->series;
	struct bench_summary s;

	for (unsigned int i = 0; i < series->count; i++) {
		if (strcmp(series->candidates[i]->name, name) != 0 ||
		    !bench_summarize(series, svg->rounds, i, BENCH_CPU, &s))
			continue;
		if (strcmp(name, REFERENCE) == 0)
			return 1;
		if (s.ratio[0] > 0)
			return 1 / s.ratio[0];
	}
	return -1;
}

static int svg_compare_columns(const void *a, const void *b)
{
	const struct bench_series *x = ((const struct svg_column *)a)->series;
	const struct bench_series *y = ((const struct svg_column *)b)->series;

	/* As fast as possible is 0: it becomes the largest. */
	return x->rate - 1 < y->rate - 1 ? -1 : x->rate - 1 > y->rate - 1;
}

static void svg_label(struct svg_column *column)
{
	const uint64_t rate = column->series->rate;

	if (!column->series->scenario->paced)
		strcpy(column->label, "full queue");
	else if (rate == 0)
		strcpy(column->label, "max");
	else if (rate % 1000 == 0)
		snprintf(column->label, sizeof(column->label), "%lluk",
			 (unsigned long long)(rate / 1000));
	else
		snprintf(column->label, sizeof(column->label), "%llu", (unsigned long long)rate);
}

/* Rates have a logarithmic axis; what has none follows, a step each. */
static void svg_place_columns(struct svg *svg)
{
	size_t rates = 0;
	double first, width, last;

	while (rates < svg->count && svg->columns[rates].series->rate > 0)
		rates++;
	width = RIGHT - LEFT - (double)(svg->count - rates) * STEP;
	first = rates ? log((double)svg->columns[0].series->rate) : 0;
	last = rates ? log((double)svg->columns[rates - 1].series->rate) : 0;
	for (size_t i = 0; i < svg->count; i++) {
		struct svg_column *column = &svg->columns[i];

		svg_label(column);
		if (i >= rates)
			column->x = RIGHT - (double)(svg->count - 1 - i) * STEP;
		else if (last > first)
			column->x = LEFT + width * (log((double)column->series->rate) - first) /
						   (last - first);
		else
			column->x = LEFT + width;
	}
}

static void svg_find_columns(struct svg *svg, const struct bench_series *series,
			     unsigned int count)
{
	const struct bench_series *drain = NULL;

	for (unsigned int i = 0; i < count; i++) {
		if (series[i].scenario == &bench_scenarios[BENCH_LOAD])
			svg->columns[svg->count++].series = &series[i];
		else if (series[i].scenario == &bench_scenarios[BENCH_DRAIN])
			drain = &series[i];
	}
	qsort(svg->columns, svg->count, sizeof(svg->columns[0]), svg_compare_columns);
	if (drain)
		svg->columns[svg->count++].series = drain;
	svg_place_columns(svg);
}

static double svg_find_top(const struct svg *svg)
{
	const struct bench_series *load = svg->columns[0].series;
	double top = 1, value;

	for (unsigned int i = 0; i < load->count; i++) {
		for (size_t c = 0; c < svg->count; c++) {
			value = svg_get_value(svg, &svg->columns[c], load->candidates[i]->name);
			if (value > top)
				top = value;
		}
	}
	return top;
}

static double svg_get_y(const struct svg *svg, double value)
{
	return BOTTOM - (BOTTOM - TOP) * value / (TICK * svg->ticks);
}

/* ---- the elements ------------------------------------------------------------------------- */

static void svg_draw_axes(const struct svg *svg)
{
	double y, end = 0;

	for (unsigned int i = 0; i <= svg->ticks; i++) {
		y = svg_get_y(svg, TICK * i);
		fprintf(svg->out,
			"<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n"
			"<text class=\"value\" x=\"%d\" y=\"%.1f\">%.2f</text>\n",
			LEFT, y, RIGHT, y, LEFT - 8, y + 4, TICK * i);
	}
	for (size_t i = 0; i < svg->count; i++) {
		const struct svg_column *column = &svg->columns[i];
		double half = 4 * (double)strlen(column->label);

		fprintf(svg->out,
			"<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n",
			column->x, TOP, column->x, BOTTOM);
		if (i > 0 && column->x - half < end)
			continue;
		fprintf(svg->out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\">%s</text>\n",
			column->x, BOTTOM + 20, column->label);
		end = column->x + half;
	}
}

/* Its name comes at the end, where its last value is. */
static void svg_draw_line(struct svg *svg, const char *name)
{
	struct svg_name *label = &svg->names[svg->name_count];
	bool any = false;
	double value;

	label->name = name;
	label->colour = colours[svg->name_count % COLOURS];
	fprintf(svg->out,
		"<g clip-path=\"url(#area)\" fill=\"%s\">\n<polyline stroke=\"%s\" points=\"",
		label->colour, label->colour);
	for (size_t i = 0; i < svg->count; i++) {
		value = svg_get_value(svg, &svg->columns[i], name);
		if (value < 0)
			continue;
		label->y = svg_get_y(svg, value);
		fprintf(svg->out, "%s%.1f,%.1f", any ? " " : "", svg->columns[i].x, label->y);
		any = true;
	}
	fprintf(svg->out, "\"/>\n");
	for (size_t i = 0; i < svg->count; i++) {
		value = svg_get_value(svg, &svg->columns[i], name);
		if (value >= 0)
			fprintf(svg->out,
				"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s, %s: %.2f</title>"
				"</circle>\n",
				svg->columns[i].x, svg_get_y(svg, value), name,
				svg->columns[i].label, value);
	}
	fprintf(svg->out, "</g>\n");
	svg->name_count += any;
}

static int svg_compare_names(const void *a, const void *b)
{
	double x = ((const struct svg_name *)a)->y, y = ((const struct svg_name *)b)->y;

	return x < y ? -1 : x > y;
}

/* Beside the ends of their lines, but not over each other. */
static void svg_draw_names(struct svg *svg)
{
	struct svg_name *names = svg->names;
	size_t i, n = svg->name_count;

	qsort(names, n, sizeof(names[0]), svg_compare_names);
	for (i = 0; i < n; i++) {
		double least = i > 0 ? names[i - 1].y + LINE : TOP;

		names[i].y = names[i].y > least ? names[i].y : least;
	}
	for (i = n; i-- > 0;) {
		double most = i + 1 < n ? names[i + 1].y - LINE : BOTTOM;

		names[i].y = names[i].y < most ? names[i].y : most;
	}
	for (i = 0; i < n; i++)
		fprintf(svg->out, "<text x=\"%d\" y=\"%.1f\" style=\"fill:%s\">%s</text>\n",
			RIGHT + 10, names[i].y + 4, names[i].colour,
			strcmp(names[i].name, REFERENCE) == 0 ? "lnq (= 1)" : names[i].name);
}

static void svg_draw_head(const struct svg *svg, const struct bench_options *opts)
{
	struct utsname machine;

	uname(&machine);
	machine.release[strspn(machine.release, "0123456789.")] =
		'\0'; /* the rest is the distribution's */
	fprintf(svg->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\">\n%s"
		"<clipPath id=\"area\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n"
		"<text class=\"title\" x=\"10\" y=\"20\">Processor time a packet, in relation to "
		"libnetfilter_queue: less is better</text>\n"
		"<text x=\"10\" y=\"40\">%llu-byte packets, median of %llu; libmnfq %s, Linux %s, "
		"%ld processors</text>\n"
		"<text class=\"tick\" x=\"%d\" y=\"%d\">packets a second</text>\n",
		SVG_WIDTH, SVG_HEIGHT, SVG_WIDTH, SVG_HEIGHT, style, LEFT - 4, TOP,
		RIGHT - LEFT + 8, BOTTOM - TOP + 4, (unsigned long long)opts->size,
		(unsigned long long)opts->rounds, MNFQ_VERSION, machine.release,
		sysconf(_SC_NPROCESSORS_ONLN), (LEFT + RIGHT) / 2, BOTTOM + 42);
}

int bench_report_svg(FILE *out, const struct bench_series *series, unsigned int count,
		     const struct bench_options *opts)
{
	struct svg svg = { .out = out, .rounds = opts->rounds };
	const struct bench_series *load;
	double ticks;

	svg_find_columns(&svg, series, count);
	load = svg.columns[0].series;
	ticks = ceil(svg_find_top(&svg) / TICK);
	svg.ticks = ticks < TICKS_MAX ? (unsigned int)ticks : TICKS_MAX;
	/* What was there before; a pipe has nothing. */
	rewind(out);
	(void)!ftruncate(fileno(out), 0);
	svg_draw_head(&svg, opts);
	svg_draw_axes(&svg);
	for (unsigned int i = 0; i < load->count; i++)
		svg_draw_line(&svg, load->candidates[i]->name);
	svg_draw_names(&svg);
	fprintf(out, "</svg>\n");
	return fflush(out) == 0 && !ferror(out) ? 0 : -errno;
}
