/* SPDX-License-Identifier: MIT */
/* Messages on stderr. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "common/output.h"
#include "common/text.h"

#define LOG_SIZE 65536

static struct output *log_output;

int log_open(void)
{
	const struct output_options options = { .fd = STDERR_FILENO,
						.size = LOG_SIZE,
						.when_blocked = OUTPUT_DROP,
						.log_dropped = true };

	log_output = output_new(&options);
	return log_output ? 0 : -ENOMEM;
}

int log_start(void)
{
	return output_start(log_output);
}

void log_close(void)
{
	struct output *output = log_output;

	if (!output)
		return;
	output_give_up(output);
	output_finish(output);
	log_output = NULL;
	output_free(output);
}

FILE *log_begin(void)
{
	return log_output ? output_begin(log_output) : stderr;
}

void log_end(void)
{
	if (!log_output)
		return;
	output_end(log_output, 0);
	output_flush(log_output);
}

void log_line(const char *format, ...)
{
	char raw[1800], line[2000];
	va_list args;

	va_start(args, format);
	vsnprintf(raw, sizeof(raw), format, args);
	va_end(args);
	fprintf(log_begin(), "%s\n", clean_text(line, sizeof(line), raw));
	log_end();
}
