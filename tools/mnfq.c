/* SPDX-License-Identifier: MIT */
/* mnfq: one tool with sub-commands, built on the public API alone. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/options.h"
#include "common/program.h"

static int run_help(int argc, char **argv);

static const struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "dump", "print the packets of a queue and decide them", run_dump },
	{ "replay", "print what would be decided on the packets of a capture", run_replay },
	{ "share", "give sockets of this namespace to programs outside", run_share },
	{ "stat", "show queues, their owners and their losses", run_stat },
	{ "doctor", "say why packets vanish or never come, and what to do", run_doctor },
	{ "help", "print the options of a command", run_help },
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
		 "       mnfq -h | -V",
	.summary =
		"Decide network packets in user space (NFQUEUE), in this network namespace or\n"
		"in another one.",
	.operands = "Commands",
	.list = list_commands,
	.rows = main_rows,
	.count = sizeof(main_rows) / sizeof(main_rows[0]),
	.footer = "'mnfq COMMAND --help' lists the options of a command.\n",
};

static int run_command(const char *name, int argc, char **argv)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc, argv);
	return fail_usage(main_table.command, "unknown command '%s'", name);
}

static const struct option_row help_rows[] = { OPTION_ROW_HELP, OPTION_ROW_VERSION };

static const struct option_table help_table = {
	.command = "mnfq help",
	.usage = "Usage: mnfq help [COMMAND]",
	.summary = "Print the options of a command, as 'mnfq COMMAND --help' does.",
	.operands = "Commands",
	.list = list_commands,
	.rows = help_rows,
	.count = sizeof(help_rows) / sizeof(help_rows[0]),
};

static int run_help(int argc, char **argv)
{
	char help[] = "--help", *words[] = { argv[0], help, NULL };
	int status;

	if (!options_parse(&help_table, NULL, argc, argv, &status))
		return status;
	if (optind + 1 < argc)
		return fail_usage(help_table.command, "unexpected argument '%s'",
				  argv[optind + 1]);
	if (optind == argc)
		return options_parse(&main_table, NULL, 2, words, &status) ? 0 : status;
	words[0] = argv[optind];
	return run_command(words[0], 2, words);
}

/* Only the first word is ours. */
static int run(int argc, char **argv)
{
	int status;

	if (!options_parse(&main_table, NULL, argc < 2 ? argc : 2, argv, &status))
		return status;
	if (argc < 2)
		return fail_usage(main_table.command,
				  "no command given: 'mnfq stat' shows the queues");
	return run_command(argv[1], argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	return run_program(main_table.command, run, argc, argv);
}
