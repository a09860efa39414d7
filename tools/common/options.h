/* SPDX-License-Identifier: MIT */
/*
 * One table of options per command. It is what getopt_long() parses, what --help prints, what the shell
 * completions are made from, and what the manual is checked against.
 */
#ifndef MNFQ_TOOLS_OPTIONS_H
#define MNFQ_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_SET,  /* call @set */
	OPTION_BOOL, /* set a bool */
	OPTION_FLAG, /* set the bits of @max in a uint32_t */
	OPTION_U16,  /* a number from @min to @max */
	OPTION_U32,
	OPTION_U64,
	OPTION_TEXT, /* a const char * */
	OPTION_HELP,
	OPTION_VERSION,
};

struct option_row {
	const char *name;
	char letter;          /* 0: none */
	const char *argument; /* its name in the help; NULL: there is none */
	enum option_kind kind;
	size_t offset; /* of the field in the command's struct */
	uint64_t min, max;
	/**
	 * Returns 0, a negative errno if the argument is none of what is @expected, or the exit status after an
	 * error was reported.
	 */
	int (*set)(void *opts, const char *argument);
	const char *expected; /* "an octal number" */
	bool repeatable;
	const char *complete; /* words to complete the argument with, or FILE or NETNS */
	const char *help;     /* lines */
};

#define OPTION_ROW_HELP                                                                          \
	{                                                                                        \
		"help", 'h', .kind = OPTION_HELP, .help = "print this help"                      \
	}
#define OPTION_ROW_VERSION                                                                       \
	{                                                                                        \
		"version", .kind = OPTION_VERSION, .help = "print the version"                   \
	}

struct option_table {
	const char *command; /* "mnfq dump" */
	const char *usage;   /* lines, as in the SYNOPSIS of the manual */
	const char *summary;
	const char *operands; /* what the words are that are no options; NULL: there are none */
	void (*list)(bool brief); /* print what they can be, in columns or just the names */
	const struct option_row *rows;
	size_t count;
	const char *footer;
};

/**
 * Parse the command line into @opts. Operands are from optind on. Returns whether to go on; otherwise *status is
 * the exit status: help was printed, or an error was reported.
 */
bool options_parse(const struct option_table *table, void *opts, int argc, char **argv,
		   int *status);

/** A line of the help: a word and what it is. */
void options_print_column(const char *word, const char *help);

#endif
