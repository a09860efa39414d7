/* SPDX-License-Identifier: MIT */
/* mnfq dump FILTER: what matches is printed and gets --verdict, the rest gets --else. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "capture/filter.h"
#include "dump-fixture.h"

static void filter_begin(void)
{
	if (!filter_supported)
		skip_or_fail("built without libpcap");
}

TestSuite(dump_filter, .timeout = 300, .init = filter_begin);

/* Ends it, with all that in its summary. */
static void expect_summary_with(const char *first, const char *second)
{
	kill(tool.pid, SIGTERM);
	expect_contains(tool_err(&tool), first);
	expect_contains(tool.line, second);
	cr_expect(strcmp(tool_out(&tool), "") == 0, "%s", tool.line);
	cr_expect_eq(tool_finish(&tool), 0);
}

Test(dump_filter, what_matches_gets_the_verdict)
{
	dump_open_and_start("--verdict drop 'len > 100 and udp port 9'");
	expect_contains(tool.line, ", verdict drop, else accept");
	udp_send(&udp, 0);
	udp_send_sized(&udp, 1, 200);
	udp_send(&udp, 2);
	expect_contains(tool_out(&tool), ".9: UDP, length 200 | q1 id 2 output lo, drop");
	udp_expect(&udp, 0);
	udp_expect(&udp, 2);
	expect_summary_with("3 packets, 348 bytes, 1 matched, 2 accepted, 1 dropped", "");
}

Test(dump_filter, the_rest_gets_another)
{
	dump_open_and_start("--else drop --mark 5 -c 1 udp and 'len > 100'");
	udp_send(&udp, 0);
	udp_send_sized(&udp, 1, 200);
	expect_contains(tool_out(&tool), "length 200 | q1 id 2 ");
	udp_expect(&udp, 1);
	expect_contains(tool_err(&tool), "1 matched, 1 accepted, 1 dropped, 1 marked");
	cr_expect_eq(tool_finish(&tool), 0);
}

Test(dump_filter, that_nothing_matches_is_said)
{
	dump_open_and_start("tcp");
	udp_send(&udp, 0);
	udp_expect(&udp, 0);
	expect_summary_with("1 packet, 60 bytes, 0 matched, 1 accepted", "");
}

/* Which of both is right nobody knows: it is counted. */
Test(dump_filter, what_was_not_copied_is_no_mismatch)
{
	dump_open();
	tool_start(&tool, NULL, -1,
		   "dump -q 1 -n %s --copy packet:20 --verdict drop 'udp port 9'", ns->name);
	tool_listening(&tool);
	expect_contains(tool_err(&tool),
			"warning: the filter looks at 44 bytes of a packet, at 64 "
			"where there are many options; --copy packet:20 copies fewer");
	udp_send(&udp, 0);
	udp_expect(&udp, 0);
	kill(tool.pid, SIGTERM);
	expect_contains(tool_err(&tool),
			"1 packet, 60 bytes, 0 matched, 1 accepted, 0 dropped, 1 cut");
	expect_contains(tool_err(&tool), "cut: the filter could not decide packets");
	cr_expect_eq(tool_finish(&tool), 0);
}

/* Those that nobody has looked at: the verdict is for what matches. */
Test(dump_filter, what_waits_at_the_end_gets_that_of_the_rest)
{
	dump_open_and_start("--verdict drop udp");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 3);
	cr_assert(netns_wait_waiting(ns, 1, 3));
	kill(tool.pid, SIGTERM);
	kill(tool.pid, SIGCONT);
	tool_await_err(&tool,
		       "0 packets, 0 bytes, 0 matched, 3 accepted, 0 dropped, 3 defaulted");
	cr_expect_eq(tool_finish(&tool), 0);
}

Test(dump_filter, a_capture_has_what_matches)
{
	dump_open_and_start("-c 1 -w - --else drop 'len > 100' | \"$MNFQ_TOOL\" dump -t -r -");
	udp_send(&udp, 0);
	udp_send_sized(&udp, 1, 200);
	udp_expect(&udp, 1);
	expect_contains(tool_out(&tool), "length 200 | q1 id 2 output lo, accept");
	cr_expect_eq(tool_finish(&tool), 0);
}

Test(dump_filter, one_that_fits_no_packet_of_ip_is_warned_of)
{
	tool_start(&tool, NULL, -1, "dump -r /dev/null arp");
	expect_contains(tool_err(&tool),
			"warning: the filter does not fit all packets: it can only");
	cr_expect_str_eq(tool_err(&tool), "mnfq dump: /dev/null: it is empty");
	cr_expect_eq(tool_finish(&tool), 1);
}

/* ---- wrong ones --------------------------------------------------------------------------- */

static void expect_refusal(const char *arguments, const char *message)
{
	tool_start(&tool, NULL, -1, "dump %s", arguments);
	expect_contains(tool_err(&tool), message);
	cr_expect(strcmp(tool_err(&tool), "") == 0, "%s: more than a line: %s", arguments,
		  tool.line);
	cr_expect_eq(tool_finish(&tool), 2, "%s", arguments);
}

Test(dump_filter, errors_are_one_line)
{
	expect_refusal("-q 1 udp prot 9",
		       "filter \"udp prot 9\": syntax error at character 5: \"prot\"");
	expect_refusal("-q 1 --copy meta udp", "a filter needs the bytes of packets");
	expect_refusal("-q 1 --else drop", "--else requires a filter");
	expect_refusal("-q 1 --else queue:1 udp", "--else queue:1 would loop forever");
	expect_refusal("-q 1 --else repeat udp", "--else repeat would loop forever");
	expect_refusal("-q 1 -C 1", "require -w");
	expect_refusal("-q 1 -s 96",
		       "-s requires -w: to have fewer bytes of packets copied, see --copy");
	expect_refusal("-q 1 -w x -W 2", "-W requires -C or -G");
	expect_refusal("-q 1 -w - -C 1", "-C and -G require the name of a file");
	expect_refusal("-q 1 -w - --print", "--print and -w - cannot be combined");
	expect_refusal("-q 1 -w x%d/y -G 1", "only the name of the file may have a date");
	expect_refusal("-q 1 -w x -C 1x", "-C 1x: must be a number of millions of bytes");
	expect_refusal("-q 1 -r x", "-r reads a file: -q");
	expect_refusal("-r x --verdict drop", "see mnfq replay");
}
