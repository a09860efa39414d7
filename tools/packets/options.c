/* SPDX-License-Identifier: MIT */
/* What is done with packets: options that commands have in common. */
#include "packets/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/program.h"

/* ---- setters ------------------------------------------------------------------------------ */

/* Returns the number of the word, or -EINVAL. */
static int find_choice(const char *const *words, size_t count, const char *argument)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(argument, words[i]) == 0)
			return (int)i;
	return -EINVAL;
}

int packet_set_when_blocked(void *data, const char *argument)
{
	static const char *const words[] = {
		[OUTPUT_DROP] = "drop-lines", [OUTPUT_WAIT] = "wait", [OUTPUT_EXIT] = "exit"
	};
	struct packet_options *opts = data;
	const int choice = find_choice(words, 3, argument);

	opts->has_when_blocked = true;
	opts->when_blocked = choice < 0 ? OUTPUT_DROP : (enum output_blocked)choice;
	return choice < 0 ? choice : 0;
}

int packet_set_color(void *data, const char *argument)
{
	return color_parse(argument, &((struct packet_options *)data)->color);
}

int packet_set_payload(void *data, const char *argument)
{
	static const char *const words[] = { "hex", "base64" };
	struct packet_options *opts = data;
	const int choice = find_choice(words, 2, argument);

	opts->print.payload = choice == 0 ? PRINT_HEX : PRINT_BASE64;
	return choice < 0 ? choice : 0;
}

int packet_set_write(void *data, const char *argument)
{
	struct packet_options *opts = data;

	if (!*argument)
		return fail_usage(opts->command, "-w needs the name of a file, or -");
	if (opts->write)
		return fail_usage(opts->command, "-w can be given only once");
	opts->write = argument;
	return 0;
}

/* As tcpdump has it: millions of bytes, or a power of 1024 with a unit. */
int packet_set_file_size(void *data, const char *argument)
{
	static const char units[] = "kmg";
	struct packet_options *opts = data;
	const size_t len = strlen(argument);
	const char *unit = len > 0 ? strchr(units, argument[len - 1] | 0x20) : NULL;
	char number[32];
	uint64_t factor = 1000000, value;
	int err;

	if (len == 0 || len >= sizeof(number))
		return -EINVAL;
	memcpy(number, argument, len + 1);
	if (unit && *unit) {
		number[len - 1] = '\0';
		factor = UINT64_C(1) << 10 * (unit - units + 1);
	}
	err = parse_number(number, 1, UINT32_MAX, &value);
	if (!err)
		opts->file_size = value * factor;
	return err;
}

int packet_set_verdict(void *data, const char *argument)
{
	struct packet_options *opts = data;
	int err = parse_verdict(argument, &opts->verdict);

	opts->has_verdict = true;
	if (!err)
		format_verdict(opts->verdict_text, opts->verdict);
	return err;
}

int packet_set_else(void *data, const char *argument)
{
	struct packet_options *opts = data;
	int err = parse_verdict(argument, &opts->else_verdict);

	opts->has_else = true;
	if (!err)
		format_verdict(opts->else_text, opts->else_verdict);
	return err;
}

int packet_set_priority(void *data, const char *argument)
{
	struct packet_options *opts = data;

	opts->has_priority = true;
	return parse_priority(argument, &opts->priority);
}

static int set_masked(const struct packet_options *opts, const char *option, const char *argument,
		      uint32_t *value, uint32_t *mask)
{
	int err = parse_masked(argument, value, mask);

	if (err != -EDOM)
		return err;
	return fail_usage(opts->command,
			  "%s %s: the mask must not be 0, and must contain all bits of the mark",
			  option, argument);
}

int packet_set_mark(void *data, const char *argument)
{
	struct packet_options *opts = data;

	opts->has_mark = true;
	return set_masked(opts, "--mark", argument, &opts->mark, &opts->mark_mask);
}

int packet_set_ct_mark(void *data, const char *argument)
{
	struct packet_options *opts = data;

	opts->has_ct_mark = true;
	return set_masked(opts, "--ct-mark", argument, &opts->ct_mark, &opts->ct_mark_mask);
}

/* ---- the whole ---------------------------------------------------------------------------- */

void packet_options_init(struct packet_options *options, const char *command)
{
	*options = (struct packet_options){ .command = command,
					    .verdict_text = "accept",
					    .verdict = MNFQ_ACCEPT,
					    .else_text = "accept",
					    .else_verdict = MNFQ_ACCEPT };
}

void packet_options_free(struct packet_options *options)
{
	free(options->filter);
	options->filter = NULL;
}

int packet_options_take_filter(struct packet_options *options, int argc, char **argv)
{
	size_t len = 1;
	char *end;

	if (optind >= argc)
		return 0;
	for (int i = optind; i < argc; i++)
		len += strlen(argv[i]) + 1;
	options->filter = malloc(len);
	if (!options->filter)
		return fail(options->command, "out of memory");
	end = options->filter;
	for (int i = optind; i < argc; i++)
		end += sprintf(end, "%s%s", i > optind ? " " : "", argv[i]);
	return 0;
}

int packet_options_check(const struct packet_options *options)
{
	const bool to_stdout = options->write && strcmp(options->write, "-") == 0;
	const bool rotates = options->file_size || options->file_seconds;
	const bool has_bytes =
		options->print.hex || options->print.hex_ascii || options->print.ascii;
	const char *slash = options->write ? strrchr(options->write, '/') : NULL;
	const struct {
		bool wrong;
		const char *errmsg;
	} checks[] = {
		{ options->print.payload && !options->print.json, "--payload requires --json" },
		{ options->print.json && has_bytes,
		  "-x, -X and -A are for text: --json has bytes with --payload" },
		{ options->has_else && !options->filter,
		  "--else requires a filter, which some packets do not match" },
		{ options->has_else && options->else_verdict == MNFQ_REPEAT,
		  "--else repeat would loop forever: nothing is changed by which a rule could "
		  "exclude repeated packets" },
		{ !options->write && options->snap,
		  "-s requires -w: to have fewer bytes of packets copied, see --copy packet:BYTES" },
		{ !options->write && (options->also_print || rotates || options->max_files),
		  "--print, -C, -G and -W require -w" },
		{ options->write && !options->also_print && (options->print.json || has_bytes),
		  "-w writes packets instead of printing them: --json, -x, -X and -A require "
		  "--print" },
		{ to_stdout && options->also_print,
		  "--print and -w - cannot be combined: stdout has the capture" },
		{ to_stdout && rotates, "-C and -G require the name of a file" },
		{ to_stdout && isatty(STDOUT_FILENO),
		  "-w -: stdout is a terminal: redirect it to a file or a program" },
		{ options->max_files && !rotates, "-W requires -C or -G" },
		{ options->file_seconds && slash &&
			  memchr(options->write, '%', (size_t)(slash - options->write)),
		  "-G: only the name of the file may have a date, not its directory" },
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].wrong)
			return fail_usage(options->command, "%s", checks[i].errmsg);
	return 0;
}

bool packet_options_print(const struct packet_options *options)
{
	return !options->quiet && (!options->write || options->also_print);
}
