/* SPDX-License-Identifier: MIT */
/* mnfq: one tool with sub-commands, built on the public API alone. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/options.h"
#include "common/program.h"

static const struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "dump", "print the packets of a queue and decide them", run_dump },
	{ "share", "give sockets of this namespace to programs outside", run_share },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void list_commands(bool brief)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (brief)
			printf("%s\t%s\n", commands[i].name, commands[i].summary);
		else
			options_print_column(commands[i].name, commands[i].summary);
	}
}

static const struct option_row main_rows[] = { OPTION_ROW_HELP, OPTION_ROW_VERSION };

static const struct option_table main_table = {
	.command = "mnfq",
	.usage = "Usage: mnfq COMMAND [OPTIONS]\n"
		 "       mnfq --help | --version",
	.summary =
		"Decide network packets in user space (NFQUEUE), in this network namespace or\n"
		"in another one.",
	.operands = "Commands",
	.list = list_commands,
	.rows = main_rows,
	.count = sizeof(main_rows) / sizeof(main_rows[0]),
	.footer = "'mnfq COMMAND --help' lists the options of a command.\n",
};

/* Only the first word is ours. */
static int run_command(int argc, char **argv)
{
	int status;

	if (!options_parse(&main_table, NULL, argc < 2 ? argc : 2, argv, &status))
		return status;
	if (argc < 2)
		return fail_usage(main_table.command, "no command given");
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return fail_usage(main_table.command, "unknown command '%s'", argv[1]);
}

int main(int argc, char **argv)
{
	return run_program(main_table.command, run_command, argc, argv);
}
