/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench-fixture.h"

bool compares(void)
{
	return strcmp(getenv("MNFQ_LNQ"), "1") == 0;
}

void expect_note(struct tool *tool)
{
	if (!compares())
		expect_contains(tool_err(tool), "build with -Dlibnetfilter_queue=enabled");
}

unsigned int read_progress(struct tool *tool)
{
	unsigned int lines = 0;

	while (*tool_err(tool)) {
		cr_assert(strstr(tool->line, ", round "), "%s", tool->line);
		lines++;
	}
	return lines;
}

json_t *measure(const char *arguments)
{
	struct tool tool;
	json_error_t error;
	json_t *report;

	(void)netns_new(); /* or there is nothing to test here */
	tool_start(&tool, NULL, -1, "%s " SMALL " --json", arguments);
	if (strcmp(arguments, "namespaces") != 0)
		expect_note(&tool);
	cr_assert_gt(read_progress(&tool), 0);
	report = json_loadf(tool.out, JSON_REJECT_DUPLICATES, &error);
	cr_assert(report, "%s: %s", arguments, error.text);
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert_eq(json_integer_value(json_object_get(report, "packets")), 500);
	return report;
}
