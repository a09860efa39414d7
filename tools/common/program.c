/* SPDX-License-Identifier: MIT */
/* Reporting failures; what main() does. */
#include "common/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"

/* Messages may quote untrusted names, of namespaces or processes. */
static void print_failure(const char *command, const char *hint, const char *format, va_list args)
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
	print_failure(command, NULL, format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int fail_usage(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_failure(command, "--help", format, args);
	va_end(args);
	return EXIT_USAGE;
}

/*
 * If stdin, stdout or stderr is closed, the next descriptor that is opened would take its place, and packets
 * would be printed into a netlink socket. Writing to a read-only one fails as it should.
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

int finish_stdout(const char *command, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		return fail(command, "cannot write to stdout: %s", strerror(errno));
	clearerr(stdout); /* for whoever asks again, with another errno by then */
	return status;
}

int run_program(const char *name, int (*run)(int argc, char **argv), int argc, char **argv)
{
	int status;

	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	status = run(argc, argv);
	return status == EXIT_SUCCESS ? finish_stdout(name, status) : status;
}
