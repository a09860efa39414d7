/* SPDX-License-Identifier: MIT */
/* Reporting failures; what main() does. */
#include "common/program.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/parse.h"
#include "common/text.h"

/* Sentences may quote names that others chose: of namespaces, of processes. */
static void common_tell(const char *command, const char *hint, const char *format, va_list args)
{
	char raw[1024], line[1024];
	FILE *out = log_begin();

	vsnprintf(raw, sizeof(raw), format, args);
	clean_text(line, sizeof(line), raw);
	if (hint)
		fprintf(out, "%s: %s (see '%s %s')\n", command, line, command, hint);
	else
		fprintf(out, "%s: %s\n", command, line);
	log_end();
}

int fail(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	common_tell(command, NULL, format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int fail_usage(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	common_tell(command, "--help", format, args);
	va_end(args);
	return EXIT_USAGE;
}

int take_number(const char *command, const char *option, uint64_t min, uint64_t max,
		uint64_t *value)
{
	if (parse_number(optarg, min, max, value) == 0)
		return 0;
	return fail_usage(command, "%s %s: give a number from %llu to %llu", option, optarg,
			  (unsigned long long)min, (unsigned long long)max);
}

int fail_option(const char *command, int result, char **argv)
{
	/* musl is one further where the last word lacks its argument: at the NULL behind it. */
	const char *argument = argv[optind - 1] ? argv[optind - 1] : argv[optind - 2];
	int is_long = strncmp(argument, "--", 2) == 0;

	if (result == ':' && is_long)
		return fail_usage(command, "%s needs an argument", argument);
	if (result == ':')
		return fail_usage(command, "-%c needs an argument", optopt);
	if (is_long && optopt)
		return fail_usage(command, "%s: this option takes no argument", argument);
	if (optopt)
		return fail_usage(command, "unknown option -%c", optopt);
	return fail_usage(command, "unknown option %s", argument);
}

/*
 * If we were started without stdin, stdout or stderr, the next descriptor that we open would take
 * its place, and packets would be printed into a netlink socket. A read-only stand-in makes
 * writing fail as it should.
 */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int run_program(const char *name, int (*run)(int argc, char **argv), int argc, char **argv)
{
	int status;

	fill_standard_descriptors();
	status = run(argc, argv);
	if (fflush(stdout) && errno != EPIPE && status == EXIT_SUCCESS)
		return fail(name, "cannot write to stdout: %s", strerror(errno));
	return status;
}
