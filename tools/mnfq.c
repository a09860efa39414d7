/* SPDX-License-Identifier: MIT */
/* mnfq: one tool with sub-commands, built only on the public API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mnfq/mnfq.h>

#include "common/program.h"

static const struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} main_commands[] = {
	{ "dump", "print the packets of a queue and decide them", run_dump },
	{ "share", "give sockets of this namespace to programs outside", run_share },
};

static int main_print_help(void)
{
	printf("Usage: mnfq COMMAND [OPTIONS]\n"
	       "       mnfq --help | --version\n"
	       "\n"
	       "Decide network packets in user space (NFQUEUE), in this network namespace or\n"
	       "in another one.\n"
	       "\n"
	       "Commands:\n");
	for (size_t i = 0; i < sizeof(main_commands) / sizeof(main_commands[0]); i++)
		printf("  %-10s %s\n", main_commands[i].name, main_commands[i].summary);
	printf("\n"
	       "'mnfq COMMAND --help' lists the options of a command.\n");
	return EXIT_SUCCESS;
}

static int print_version(void)
{
	printf("mnfq %s (libmnfq %s)\n", MNFQ_VERSION, mnfq_get_version());
	return EXIT_SUCCESS;
}

static int main_run(int argc, char **argv)
{
	if (argc < 2)
		return fail_usage("mnfq", "no command given");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return main_print_help();
	if (strcmp(argv[1], "--version") == 0)
		return print_version();
	for (size_t i = 0; i < sizeof(main_commands) / sizeof(main_commands[0]); i++)
		if (strcmp(argv[1], main_commands[i].name) == 0)
			return main_commands[i].run(argc - 1, argv + 1);
	return fail_usage("mnfq", "there is no command '%s'", argv[1]);
}

int main(int argc, char **argv)
{
	return run_program("mnfq", main_run, argc, argv);
}
