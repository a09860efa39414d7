/* SPDX-License-Identifier: MIT */
/* mnfq dump while its output is not read: packets get their verdicts. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "dump-fixture.h"

TestSuite(dump_output, .timeout = 300);

#define BURST 500 /* datagrams for which the sockets have room */

static void start(const char *options)
{
	dump_open_and_start(options);
	cr_assert(fcntl(fileno(tool.out), F_SETPIPE_SZ, 4096) >= 0);
}

/* Sends @count packets, and has them arrive. */
static void pass(uint32_t count)
{
	struct tally tally;

	tally_init(&tally, count);
	for (uint32_t sent = 0; sent < count; sent += BURST) {
		udp_send_many(&udp, sent, BURST);
		cr_assert(udp_drain_until(&udp, &tally, sent + BURST), "%llu of %u have arrived",
			  (unsigned long long)tally.count, sent + BURST);
	}
	tally_free(&tally);
}

/* Reads all that there is: each line is an object. */
static uint64_t count_objects(void)
{
	uint64_t count = 0;
	json_t *json;

	for (; *tool_out(&tool); count++) {
		json = json_loads(tool.line, JSON_REJECT_DUPLICATES, NULL);
		cr_assert(json_is_object(json), "%s", tool.line);
		json_decref(json);
	}
	return count;
}

/* ---- drop-lines ------------------------------------------------------------------------- */

Test(dump_output, a_reader_that_stops_stops_no_packet)
{
	const uint32_t count = 12000; /* some 5 MB of lines */
	uint64_t printed, dropped;

	start("--json");
	pass(count);
	kill(tool.pid, SIGUSR1);
	dropped = tool_counted(tool_err(&tool), "lines dropped");
	cr_assert_gt(dropped, 0, "%s", tool.line);
	kill(tool.pid, SIGTERM);
	tool_err(&tool);
	tool_account(tool.line, &(struct account){ .elsewhere = 0 });
	cr_assert_eq(tool_counted(tool.line, "packets"), count);
	cr_assert_geq(tool_counted(tool.line, "lines dropped"), dropped);
	dropped = tool_counted(tool.line, "lines dropped");
	expect_contains(tool_err(&tool), "lines dropped: ");
	printed = count_objects();
	cr_assert_eq(printed + dropped, count, "%llu lines, %llu dropped",
		     (unsigned long long)printed, (unsigned long long)dropped);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* A reader that resumes at the end of COUNT packets gets what was buffered. */
Test(dump_output, a_reader_that_resumes_gets_what_was_buffered)
{
	const uint32_t count = 12000;
	uint64_t printed;
	char options[64];

	snprintf(options, sizeof(options), "--json -c %u", count);
	start(options);
	pass(count);
	printed = count_objects();
	tool_err(&tool);
	cr_assert_eq(tool_counted(tool.line, "packets"), count, "%s", tool.line);
	cr_assert_gt(printed, 2000u, "%llu lines", (unsigned long long)printed);
	cr_assert_eq(printed + tool_counted(tool.line, "lines dropped"), count, "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* ---- wait ------------------------------------------------------------------------------- */

Test(dump_output, packets_may_wait_for_who_reads)
{
	const uint32_t count = 3000;
	struct netns_queue queue;

	start("--when-blocked wait --json --max-len 10000");
	udp_send_many(&udp, 0, count);
	cr_assert(wait_until(tool_is_stalled(&tool)));
	cr_assert(netns_get_queue(ns, 1, &queue));
	cr_assert_gt(queue.waiting, 0u);
	for (uint32_t i = 0; i < count; i++)
		expect_contains(tool_out(&tool), "\"verdict\":\"accept\"");
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "3000 packets, ");
	cr_assert_null(strstr(tool.line, "lines dropped"), "%s", tool.line);
	cr_assert_eq(count_objects(), 0u);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* A signal is the end of the waiting. */
Test(dump_output, packets_do_not_wait_after_a_signal)
{
	const uint32_t count = 3000;
	uint64_t seen, dropped;

	start("--when-blocked wait --json --max-len 10000");
	udp_send_many(&udp, 0, count);
	cr_assert(wait_until(tool_is_stalled(&tool)));
	kill(tool.pid, SIGINT);
	tool_err(&tool);
	tool_account(tool.line, &(struct account){ .elsewhere = 0 });
	seen = tool_counted(tool.line, "packets");
	dropped = tool_counted(tool.line, "lines dropped");
	cr_assert_eq(count_objects() + dropped, seen, "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* ---- the end ---------------------------------------------------------------------------- */

Test(dump_output, a_reader_that_stops_may_be_the_end)
{
	struct pollfd ready = { .events = POLLIN };
	uint64_t seen, dropped;

	start("--when-blocked exit --json");
	ready.fd = fileno(tool.err);
	do /* what comes just when its queue goes may get lost */
		udp_send_many(&udp, 0, BURST);
	while (poll(&ready, 1, 1) == 0);
	expect_contains(tool_err(&tool), "mnfq dump: stdout is not read");
	tool_err(&tool);
	seen = tool_counted(tool.line, "packets");
	dropped = tool_counted(tool.line, "lines dropped");
	cr_assert_gt(dropped, 0, "%s", tool.line);
	cr_assert_eq(count_objects() + dropped, seen, "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 1);
}

/* All packets of the batch get their verdict, and nothing is printed of the others. */
Test(dump_output, a_full_disk_is_the_end_after_the_verdicts)
{
	dump_open_and_start(">/dev/full");
	dump_send_at_once(BURST);
	expect_contains(tool_err(&tool), "mnfq dump: cannot write to stdout: ");
	expect_contains(tool.line, strerror(ENOSPC));
	tool_account(tool_err(&tool), &(struct account){ .elsewhere = 0 });
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 1);
	dump_expect(BURST);
}

/* ---- stderr ----------------------------------------------------------------------------- */

/* Reads what there is on stderr, which is not more than lines that are whole. */
static uint64_t count_log(uint64_t *left_out)
{
	unsigned long long number;
	uint64_t count = 0;
	int at = 0;

	while (*tool_err(&tool)) {
		if (sscanf(tool.line, "%llu lines suppressed%n", &number, &at) == 1 && at > 0) {
			*left_out += number;
			at = 0;
			continue;
		}
		cr_assert(strstr(tool.line, " accepted, 0 dropped"), "%s", tool.line);
		count++;
	}
	return count;
}

Test(dump_output, an_unread_log_stops_no_packet)
{
	uint64_t count, left_out = 0;
	struct datagram datagram;

	start("--quiet");
	cr_assert(fcntl(fileno(tool.err), F_SETPIPE_SZ, 4096) >= 0);
	for (uint32_t i = 0; i < 6000; i++) {
		kill(tool.pid, SIGUSR1);
		udp_send(&udp, i);
		cr_assert(udp_await(&udp, &datagram), "packet %u has not arrived", i);
	}
	kill(tool.pid, SIGTERM);
	count = count_log(&left_out);
	cr_assert_gt(count, 0u);
	cr_assert_gt(left_out, 0u);
	cr_assert_leq(count + left_out, 6001u);
	cr_assert_eq(tool_finish(&tool), 0);
}
