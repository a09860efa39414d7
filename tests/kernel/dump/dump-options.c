/* SPDX-License-Identifier: MIT */
/* mnfq dump with numbers that are none, or too large for where they go, and with lists that are too long. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

TestSuite(dump_options, .timeout = 300);

/* Each takes a number; --listen and the like are what some of them are for. */
static const char *const options[] = {
	"-q",
	"--fd",
	"--threads",
	"--listen /tmp/x --allow-uid",
	"-c",
	"--listen /tmp/x --max-per-uid",
	"--mark",
	"--set-priority",
	"--ct-mark",
	"--busy-poll",
	"--copy",
	"--max-len",
	"--verdict",
	"--receive-buffer",
	"--listen /tmp/x --mode",
};

/* As a shell writes them. What an int, 32 or 64 bits do not hold comes back as something else. */
static const char *const values[] = {
	"''",
	"' '",
	"-1",
	"+-1",
	"-4294967295",
	"2147483648x",
	"1e3",
	"0x",
	"18446744073709551616",
	"18446744073709551617",
	"36893488147419103233",
	"0x10000000000000001",
	"99999999999999999999999999999999999999999999999999999999999999999999999999",
	"\"$(printf '1\\n')x\"",
	"\"$(head -c 100000 /dev/zero | tr '\\0' 9)\"",
};

/* It is not started: wrong use is told in a line. */
static void expect_wrong_use(const char *option, const char *value)
{
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump %s %s %s", strcmp(option, "-q") ? "-q 1" : "", option,
		   value);
	tool_err(&tool);
	cr_expect(strncmp(tool.line, "mnfq", 4) == 0, "%s %s: %s", option, value, tool.line);
	while (tool_err(&tool)[0]) /* the rest of a long one */
		;
	cr_expect_eq(tool_finish(&tool), 2, "%s %s", option, value);
}

Test(dump_options, numbers_that_are_none)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
			expect_wrong_use(options[i], values[j]);
}

/* So many times the same option. */
static void expect_list_refused(const char *before, const char *option, unsigned int count,
				const char *part)
{
	struct tool tool;

	tool_start_shell(&tool, NULL, -1,
			 "exec \"$MNFQ_TOOL\" dump -q 1 %s $(seq -f '%s %%.0f' %u)", before,
			 option, count);
	tool_err(&tool);
	cr_expect(strstr(tool.line, part), "%s: %s", option, tool.line);
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 2, "%s", option);
}

Test(dump_options, lists_that_are_too_long)
{
	expect_list_refused("", "-n", 50000, " at most");
	expect_list_refused("", "--fd", 50000, " at most");
	expect_list_refused("", "--from", 50000, " at most");
	expect_list_refused("--all-netns", "--exclude", 50000, " at most");
	expect_list_refused("--listen /tmp/x", "--allow-uid", 50000, " at most");
}

/* ---- of queues, with a file --------------------------------------------------------------- */

static void expect_refused_with_file(const char *option, const char *named)
{
	char message[80];
	struct tool tool;

	snprintf(message, sizeof(message), "mnfq dump: -r reads a file: %s does not apply",
		 named);
	tool_start(&tool, NULL, -1, "dump -r /dev/null %s", option);
	expect_contains(tool_err(&tool), message);
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 2, "%s", option);
}

/* Defaults are refused as well: whoever gives them expects something. */
Test(dump_options, those_of_queues_are_not_ignored_with_a_file)
{
	expect_refused_with_file("-q 1", "-q");
	expect_refused_with_file("-n x", "-n");
	expect_refused_with_file("--fd 5", "--fd");
	expect_refused_with_file("--from x", "--from");
	expect_refused_with_file("--listen x", "--listen");
	expect_refused_with_file("--mode 0600", "--mode");
	expect_refused_with_file("--allow-uid 0", "--allow-uid");
	expect_refused_with_file("--max-per-uid 9", "--max-per-uid");
	expect_refused_with_file("--lend-rights", "--lend-rights");
	expect_refused_with_file("--allow-plain", "--allow-plain");
	expect_refused_with_file("--all-netns", "--all-netns");
	expect_refused_with_file("--exclude x", "--exclude");
	expect_refused_with_file("--keep", "--keep");
	expect_refused_with_file("--threads 1", "--threads");
	expect_refused_with_file("--busy-poll 0", "--busy-poll");
	expect_refused_with_file("--coalesce 0", "--coalesce");
	expect_refused_with_file("--receive-buffer 9", "--receive-buffer");
	expect_refused_with_file("--max-len 9", "--max-len");
	expect_refused_with_file("--copy meta", "--copy");
	expect_refused_with_file("--fail-open", "--fail-open");
	expect_refused_with_file("--no-gso", "--no-gso");
	expect_refused_with_file("--uid-gid", "--uid-gid");
	expect_refused_with_file("--secctx", "--secctx");
	expect_refused_with_file("--conntrack", "--conntrack");
}

/* As tcpdump's: it says that names of hosts are not looked up. */
Test(dump_options, a_letter_of_tcpdump_is_taken_with_a_file)
{
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump -nvr /dev/null --no-sandbox --names --json");
	cr_expect_str_eq(tool_err(&tool), "mnfq dump: /dev/null: it is empty");
	cr_expect_eq(tool_finish(&tool), 1);
}

/* A capture of something else than packets of IP or Ethernet, here of radio. */
Test(dump_options, a_link_type_that_is_not_supported)
{
	struct tool tool;

	tool_start_shell(
		&tool, NULL, -1,
		"printf '\\324\\303\\262\\241\\2\\0\\4\\0%%12s\\177\\0\\0\\0%%8s\\1\\0\\0\\0\\1\\0\\0"
		"\\0x' '' '' | tr ' ' '\\0' | \"$MNFQ_TOOL\" dump -r -");
	cr_expect_str_eq(tool_out(&tool), "");
	cr_expect_str_eq(tool_err(&tool), "1 packet left out: link type 127 is not supported");
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 1);
}

/* What is done anyway is accepted, what cannot be done is explained. */
Test(dump_options, other_letters_of_tcpdump)
{
	static const struct {
		const char *options, *says;
	} refused[] = {
		{ "-q 1 -i eth0", "mnfq dump: no option -i: packets come from a queue" },
		{ "-q 1 -vei", "mnfq dump: no option -e: -v prints the hardware address" },
		{ "-q 1 -#", "mnfq dump: no option -#: lines have the id of each packet" },
		{ "-D", "mnfq dump: no option -D: mnfq stat lists queues" },
		{ "-r x -F y", "mnfq dump: no option -F: write \"$(cat FILE)\"" },
		{ "-q 1 -j x", "mnfq dump: unknown option -j" },
		{ "-r x -r y", "mnfq dump: -r can be given only once" },
		{ "-q 1 --listen x --listen y", "mnfq dump: --listen can be given only once" },
		{ "-q 1 -w x -w y", "mnfq dump: -w can be given only once" },
		{ "-q 1 -w - --json", "--json, -x, -X and -A require --print" },
		{ "-q 1 -w x -XX", "--json, -x, -X and -A require --print" },
		{ "-q 1 --json -x",
		  "mnfq dump: -x, -X and -A are for text: --json has bytes with --payload" },
		{ "-q 1 --json -XX", "--payload" },
		{ "-r x --json -A", "--payload" },
		{ "-q x", "mnfq dump: -q x: must be" },
		{ "--queue x", "mnfq dump: --queue x: must be" },
		{ "--queue=x", "mnfq dump: --queue x: must be" },
		{ "--que x", "mnfq dump: --queue x: must be" },
	};
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump -lSUpKNvvr /dev/null");
	cr_expect_str_eq(tool_err(&tool), "mnfq dump: /dev/null: it is empty");
	cr_expect_eq(tool_finish(&tool), 1);
	tool_start(&tool, NULL, -1, "dump -r /");
	cr_expect_str_eq(tool_err(&tool), "mnfq dump: /: Is a directory");
	cr_expect_eq(tool_finish(&tool), 1);
	tool_start(&tool, NULL, -1, "replay -r x");
	expect_contains(tool_err(&tool), "the first word that is no option is the file");
	cr_expect_eq(tool_finish(&tool), 2);
	tool_start(&tool, NULL, -1, "replay -lSU /dev/null");
	cr_expect_str_eq(tool_err(&tool), "mnfq replay: /dev/null: it is empty");
	cr_expect_eq(tool_finish(&tool), 1);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		tool_start(&tool, NULL, -1, "dump %s", refused[i].options);
		expect_contains(tool_err(&tool), refused[i].says);
		cr_expect_str_eq(tool_err(&tool), "");
		cr_expect_eq(tool_finish(&tool), 2);
	}
}
