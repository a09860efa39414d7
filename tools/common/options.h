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
#include <sys/types.h>

/** A mode that was not given. */
#define MODE_UNSET (~(mode_t)0)

#define UIDS_MAX 64

struct uid_list {
	uint32_t uids[UIDS_MAX];
	unsigned int count;
};

enum option_kind {
	OPTION_SET,   /* call @set */
	OPTION_BOOL,  /* set a bool */
	OPTION_COUNT, /* add 1 to a uint32_t, up to @max */
	OPTION_FLAG,  /* set the bits of @max in a uint32_t */
	OPTION_U16,   /* a number from @min to @max */
	OPTION_U32,
	OPTION_U64,
	OPTION_TEXT, /* a const char * */
	OPTION_MODE, /* a mode_t, in octal */
	OPTION_UID,  /* one more in a struct uid_list */
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
	 * error was reported. @argument is NULL if it is missing.
	 */
	int (*set)(void *opts, const char *argument);
	const char *expected; /* "an octal number" */
	/** What may lack its argument: nothing, the letter, or the name as well. See options_parse(). */
	enum { BARE_NONE, BARE_LETTER, BARE_BOTH } bare;
	bool repeatable;
	const char *complete; /* words to complete the argument with, or FILE or NETNS */
	const char *help;     /* lines */
};

#define OPTION_ROW_MODE(type)                                                                    \
	{                                                                                        \
		"mode", 0, "MODE", OPTION_MODE,                                                  \
			.offset = offsetof(type, mode),                                          \
			.expected = "an octal number from 0 to 0777",                            \
			.help = "file mode of the socket at PATH (default: 0600)"                \
	}
#define OPTION_ROW_ALLOW_UID(type, text)                                                         \
	{                                                                                        \
		"allow-uid", 0, "UID", OPTION_UID, .offset = offsetof(type, allowed),            \
						   .expected = "a numeric user id",              \
						   .repeatable = true, .help = text              \
	}
#define OPTION_ROW_HELP                                                                          \
	{                                                                                        \
		"help", 'h', .kind = OPTION_HELP, .help = "print this help"                      \
	}
#define OPTION_ROW_VERSION                                                                       \
	{                                                                                        \
		"version", 'V', .kind = OPTION_VERSION, .help = "print the version"              \
	}

struct option_table {
	const char *command; /* "mnfq dump" */
	const char *usage;   /* lines, as in the SYNOPSIS of the manual */
	const char *summary;
	const char *operands; /* what the words are that are no options; NULL: there are none */
	bool files;           /* the first of them is a file */
	void (*list)(bool brief); /* print what they can be, in columns or just the names */
	const struct option_row *rows;
	size_t count;
	const char
		*ignored; /* letters that are taken, and ask for what is done anyway; or NULL */
	/** NULL, or why an option is none that the table has: pairs of a letter and a text, then NULL. */
	const struct option_hint {
		char letter;
		const char *text;
	} * hints;
	/** NULL, or called with each option that was given; @argument: NULL if there is none. */
	void (*note)(void *opts, const struct option_row *row, const char *argument);
	const char *footer;
};

/**
 * Parse the command line into @opts. Operands are from optind on. Returns whether to go on; otherwise *status is
 * the exit status: help was printed, or an error was reported. An argument that may be missing is the next word, unless
 * that is an option: so "-nv" and "-n -v" have none. "--name=ARGUMENT" works, too.
 */
bool options_parse(const struct option_table *table, void *opts, int argc, char **argv,
		   int *status);

/** A line of the help: a word and what it is. */
void options_print_column(const char *word, const char *help);

#endif
