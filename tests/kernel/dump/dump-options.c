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
