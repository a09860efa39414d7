/* SPDX-License-Identifier: MIT */
/* One table of options per command: parsing, help, and a listing for scripts. */
#include "common/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mnfq/mnfq.h>

#include "common/parse.h"
#include "common/program.h"

#define OPTIONS_MAX 64
#define IGNORED_MAX 8
#define COLUMN      25 /* of the help texts */

/* ---- printing --------------------------------------------------------------------------- */

void options_print_column(const char *word, const char *help)
{
	int width = printf("  %s", word);

	if (width >= COLUMN) {
		putchar('\n');
		width = 0;
	}
	for (const char *line = help; *line;) {
		const int len = (int)strcspn(line, "\n");

		printf("%*s%.*s\n", COLUMN - width, "", len, line);
		line += len + (line[len] == '\n');
		width = 0;
	}
}

/* What stands for the argument: in brackets if it may be missing. */
static const char *format_argument(char out[32], const struct option_row *row)
{
	const bool bare = row->bare == BARE_BOTH;

	snprintf(out, 32, "%s%s%s", bare ? "[" : "", row->argument, bare ? "]" : "");
	return out;
}

static void print_help(const struct option_table *table)
{
	char word[80], argument[32], letter[] = "-x, ";

	printf("%s\n\n%s\n\n", table->usage, table->summary);
	if (table->list) {
		printf("%s:\n", table->operands);
		table->list(false);
		printf("\nOptions:\n");
	}
	for (const struct option_row *row = table->rows; row < table->rows + table->count;
	     row++) {
		letter[1] = row->letter;
		snprintf(word, sizeof(word), "%s--%s%s%s%s", row->letter ? letter : "    ",
			 row->name, row->argument ? " " : "",
			 row->argument ? format_argument(argument, row) : "",
			 row->repeatable ? "..." : "");
		options_print_column(word, row->help);
	}
	printf("%s%s", table->footer ? "\n" : "", table->footer ? table->footer : "");
}

/* Not in the help: a line per option, with tabs between its fields, for scripts; and "FILE" if operands are files. */
static void print_rows(const struct option_table *table)
{
	char argument[32];

	for (const struct option_row *row = table->rows; row < table->rows + table->count;
	     row++) {
		printf("%s\t%c\t%s\t%c\t%s\t", row->name, row->letter ? row->letter : '-',
		       row->argument ? format_argument(argument, row) : "-",
		       row->repeatable ? '*' : '1', row->complete ? row->complete : "-");
		for (const char *at = row->help; *at; at++)
			putchar(*at == '\n' ? ' ' : *at);
		putchar('\n');
	}
	if (table->list)
		table->list(true);
	if (table->files)
		puts("FILE");
}

/* ---- parsing ---------------------------------------------------------------------------- */

/* What getopt_long() has refused. */
static int fail_option(const struct option_table *table, int result, char **argv)
{
	/* musl's optind is one further if the last word lacks its argument: at the NULL behind it. */
	const char *word = argv[optind - 1] ? argv[optind - 1] : argv[optind - 2];
	const bool is_long = strncmp(word, "--", 2) == 0;
	const char letter[] = { '-', (char)optopt, '\0' };

	if (!is_long && optopt)
		word = letter;
	if (result == ':')
		return fail_usage(table->command, "option %s requires an argument", word);
	if (is_long && optopt)
		return fail_usage(table->command, "option %.*s takes no argument",
				  (int)strcspn(word, "="), word);
	for (const struct option_hint *hint = table->hints; hint && hint->text; hint++)
		if (!is_long && hint->letter == optopt)
			return fail_usage(table->command, "no option %s: %s", word, hint->text);
	return fail_usage(table->command, "unknown option %s", word);
}

/* It is named as it was given. */
static int fail_argument(const struct option_table *table, const struct option_row *row,
			 bool is_long)
{
	char range[64], name[64];

	if (is_long)
		snprintf(name, sizeof(name), "--%s", row->name);
	else
		snprintf(name, sizeof(name), "-%c", row->letter);
	snprintf(range, sizeof(range), "a number from %llu to %llu", (unsigned long long)row->min,
		 (unsigned long long)row->max);
	return fail_usage(table->command, "%s %s: must be %s", name, optarg,
			  row->expected ? row->expected : range);
}

static int set_number(void *field, const struct option_row *row)
{
	uint64_t value;
	int err = parse_number(optarg, row->min, row->max, &value);

	if (err)
		return err;
	if (row->kind == OPTION_U16)
		*(uint16_t *)field = (uint16_t)value;
	else if (row->kind == OPTION_U32)
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint64_t *)field = value;
	return 0;
}

static int add_uid(const struct option_table *table, struct uid_list *list,
		   const struct option_row *row)
{
	uint64_t uid;
	int err = parse_number(optarg, 0, UINT32_MAX - 1, &uid); /* -1 is no user */

	if (err)
		return err;
	if (list->count == UIDS_MAX)
		return fail_usage(table->command, "--%s: at most %d users", row->name, UIDS_MAX);
	list->uids[list->count++] = (uint32_t)uid;
	return 0;
}

static int set_text(const struct option_table *table, const struct option_row *row,
		    const char **field)
{
	const char letter[] = { '-', row->letter, '\0' };

	if (*field)
		return fail_usage(table->command, "%s%s can be given only once",
				  row->letter ? "" : "--", row->letter ? letter : row->name);
	*field = optarg;
	return 0;
}

static int set_row(const struct option_table *table, const struct option_row *row, void *opts)
{
	void *field = (char *)opts + row->offset;

	switch (row->kind) {
	case OPTION_SET:
		return row->set(opts, optarg);
	case OPTION_BOOL:
		*(bool *)field = true;
		return 0;
	case OPTION_COUNT:
		*(uint32_t *)field += *(uint32_t *)field < row->max;
		return 0;
	case OPTION_FLAG:
		*(uint32_t *)field |= (uint32_t)row->max;
		return 0;
	case OPTION_TEXT:
		return set_text(table, row, field);
	case OPTION_MODE:
		return parse_mode(optarg, field);
	case OPTION_UID:
		return add_uid(table, field, row);
	default:
		return set_number(field, row);
	}
}

/* The value of a long option is the number of its row, behind all letters. */
static void fill_getopt(const struct option_table *table, struct option *longs, char *shorts)
{
	*shorts++ = ':';
	for (size_t i = 0; i < table->count; i++) {
		const struct option_row *row = &table->rows[i];

		longs[i] = (struct option){ row->name,
					    row->bare == BARE_BOTH ? optional_argument
					    : row->argument        ? required_argument
								   : no_argument,
					    NULL, 256 + (int)i };
		if (row->letter)
			*shorts++ = row->letter;
		if (row->letter && row->argument && !row->bare)
			*shorts++ = ':';
	}
	longs[table->count] = (struct option){ NULL, 0, NULL, 0 };
	strcpy(shorts, table->ignored ? table->ignored : "");
}

static const struct option_row *find_row(const struct option_table *table, int result)
{
	if (result >= 256)
		return &table->rows[result - 256];
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].letter == result)
			return &table->rows[i];
	return NULL;
}

/*
 * getopt_long() itself takes an argument that may be missing only from the same word: "--watch=2", not "--watch 2".
 * While there are more letters in this word, it is argv[optind].
 */
static void take_next_word(const struct option_row *row, int result, char **argv)
{
	const bool bare = row->bare == BARE_BOTH || (row->bare && result < 256);

	if (bare && !optarg && argv[optind] && argv[optind][0] != '-')
		optarg = argv[optind++];
}

/* Returns 0, or 1 if *status is the exit status. */
static int handle_option(const struct option_table *table, void *opts, int result, char **argv,
			 int *status)
{
	const struct option_row *row = find_row(table, result);

	if (!row && table->ignored && strchr(table->ignored, result))
		return 0;
	if (row)
		take_next_word(row, result, argv);
	if (row && row->kind == OPTION_HELP)
		print_help(table);
	else if (row && row->kind == OPTION_VERSION)
		printf("%s %s (libmnfq %s)\n", table->command, MNFQ_VERSION, mnfq_get_version());
	else if (!row)
		*status = fail_option(table, result, argv);
	else
		*status = set_row(table, row, opts);
	if (row && table->note)
		table->note(opts, row, optarg);
	if (*status < 0)
		*status = fail_argument(table, row, result >= 256);
	if (row && row->kind >= OPTION_HELP)
		*status = finish_stdout(table->command, EXIT_SUCCESS);
	return !row || row->kind >= OPTION_HELP || *status;
}

bool options_parse(const struct option_table *table, void *opts, int argc, char **argv,
		   int *status)
{
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + IGNORED_MAX + 2];
	int result;

	*status = 0;
	if (argc == 2 && strcmp(argv[1], "--print-options") == 0) {
		print_rows(table);
		return false;
	}
	fill_getopt(table, longs, shorts);
	opterr = 0;
	optind = 0; /* start anew: mnfq has parsed its own */
	while ((result = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		if (handle_option(table, opts, result, argv, status))
			return false;
	if (optind < argc && !table->operands)
		*status = fail_usage(table->command, "unexpected argument '%s'", argv[optind]);
	return *status == 0;
}
