/* SPDX-License-Identifier: MIT */
/* The text format of Prometheus, version 0.0.4, as strict as its readers can be. */
#include "exposition.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_MAX 64
#define SAMPLES_MAX 4096
#define LABELS_MAX  16

static struct {
	const char *at; /* in a line */
	const char *line;

	char metrics[METRICS_MAX][64]; /* all so far; the last one is that of the lines now */
	unsigned int metric_count;
	bool has_type, is_counter;

	const char *samples[SAMPLES_MAX]; /* each up to the end of its labels */
	size_t sample_sizes[SAMPLES_MAX];
	unsigned int sample_count;
} parser;

static void expect(bool condition, const char *what)
{
	cr_assert(condition, "%s: '%.*s', at '%.*s'", what, (int)strcspn(parser.line, "\n"),
		  parser.line, (int)strcspn(parser.at, "\n"), parser.at);
}

static void take(const char *word)
{
	expect(strncmp(parser.at, word, strlen(word)) == 0, word);
	parser.at += strlen(word);
}

/* Of a metric, or of a label, which has no colon. */
static void take_name(char name[64], bool colon)
{
	size_t len = 0;

	expect(!isdigit((unsigned char)*parser.at), "a name");
	while (isalnum((unsigned char)*parser.at) || *parser.at == '_' ||
	       (colon && *parser.at == ':')) {
		expect(len < 63, "a shorter name");
		name[len++] = *parser.at++;
	}
	expect(len > 0, "a name");
	name[len] = '\0';
}

static void take_help(void)
{
	char name[64];

	take("# HELP ");
	take_name(name, true);
	for (unsigned int i = 0; i < parser.metric_count; i++)
		expect(strcmp(parser.metrics[i], name) != 0, "all of a metric together");
	expect(parser.metric_count < METRICS_MAX, "fewer metrics");
	strcpy(parser.metrics[parser.metric_count++], name);
	parser.has_type = false;
	take(" ");
	for (; *parser.at != '\n'; parser.at++)
		if (*parser.at == '\\')
			expect(strchr("\\n", *++parser.at), "an escape");
}

static void take_type(void)
{
	char name[64], type[64];

	take("# TYPE ");
	take_name(name, true);
	expect(parser.metric_count > 0 && !parser.has_type &&
		       strcmp(parser.metrics[parser.metric_count - 1], name) == 0,
	       "TYPE behind HELP");
	take(" ");
	take_name(type, false);
	parser.is_counter = strcmp(type, "counter") == 0;
	expect(parser.is_counter || strcmp(type, "gauge") == 0, "a type");
	expect(parser.is_counter ==
		       (strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0),
	       "counters are called _total");
	parser.has_type = true;
}

static void take_labels(void)
{
	char names[LABELS_MAX][64];
	unsigned int count = 0;

	take("{");
	do {
		expect(count < LABELS_MAX, "fewer labels");
		take_name(names[count], false);
		for (unsigned int i = 0; i < count; i++)
			expect(strcmp(names[i], names[count]) != 0, "each label once");
		expect(strncmp(names[count++], "__", 2) != 0, "no reserved label");
		take("=\"");
		for (; *parser.at != '"' && *parser.at != '\n'; parser.at++)
			if (*parser.at == '\\')
				expect(strchr("\\\"n", *++parser.at), "an escape");
		take("\"");
	} while (*parser.at == ',' && parser.at++);
	take("}");
}

static void take_sample(void)
{
	char name[64], *end;
	size_t size;

	take_name(name, true);
	expect(parser.metric_count > 0 && parser.has_type &&
		       strcmp(parser.metrics[parser.metric_count - 1], name) == 0,
	       "a sample of its metric");
	take_labels();
	size = (size_t)(parser.at - parser.line);
	for (unsigned int i = 0; i < parser.sample_count; i++)
		expect(parser.sample_sizes[i] != size ||
			       memcmp(parser.samples[i], parser.line, size) != 0,
		       "each sample once");
	expect(parser.sample_count < SAMPLES_MAX, "fewer samples");
	parser.samples[parser.sample_count] = parser.line;
	parser.sample_sizes[parser.sample_count++] = size;
	take(" ");
	expect(isdigit((unsigned char)*parser.at), "a number");
	(void)strtod(parser.at, &end);
	parser.at = end;
}

void exposition_check(const char *text)
{
	memset(&parser, 0, sizeof(parser));
	for (const char *at = text; *at; at++)
		cr_assert(*at == '\n' || (*at >= ' ' && *at <= '~'), "not ASCII: %s", at);
	for (parser.at = text; *parser.at; take("\n")) {
		parser.line = parser.at;
		if (strncmp(parser.at, "# HELP", 6) == 0)
			take_help();
		else if (*parser.at == '#')
			take_type();
		else
			take_sample();
	}
}

void exposition_expect(const char *text, const char *sample, const char *value)
{
	const size_t len = strlen(sample);
	char found[32];

	for (const char *at = text; (at = strstr(at, sample)); at++) {
		if ((at != text && at[-1] != '\n') || sscanf(at + len, " %31s", found) != 1)
			continue;
		cr_expect_str_eq(found, value, "%s", sample);
		return;
	}
	cr_expect(false, "no sample %s in\n%s", sample, text);
}
