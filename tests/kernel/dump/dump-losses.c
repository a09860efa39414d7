/* SPDX-License-Identifier: MIT */
/* mnfq dump: what its summary says of packets that were lost, or that were not seen. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "dump-fixture.h"

TestSuite(dump_losses, .timeout = 300);

/* Queue 1 on INPUT, where senders do not wait for room; @options besides. */
static void start_at(const char *queues, const char *options)
{
	ns = netns_new();
	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	tool_start(&tool, NULL, -1, "dump -q %s -n %s --quiet %s", queues, ns->name, options);
	tool_listening(&tool);
}

static void start(const char *options)
{
	start_at("1", options);
}

/* tool.line is the summary. */
static void expect_account(struct account rest)
{
	rest.sent = netns_queued_packets(ns);
	tool_account(tool.line, &rest);
}

/* All that waits was decided; then it ends. Leaves the summary in tool.line. */
static void serve_and_end(void)
{
	kill(tool.pid, SIGCONT);
	cr_assert(netns_wait_waiting(ns, 1, 0));
	kill(tool.pid, SIGTERM);
	tool_err(&tool);
}

/* Frozen, it cannot decide anything before the signal. */
static void end_at_once(void)
{
	kill(tool.pid, SIGTERM);
	kill(tool.pid, SIGCONT);
	tool_err(&tool);
}

Test(dump_losses, a_full_queue_is_reported_with_advice)
{
	start("--max-len 100");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 300);
	serve_and_end();
	expect_summary(tool.line, .packets = 100, .accepted = 100, .queue_full = 200);
	expect_account((struct account){ .sent = 0 });
	cr_assert_str_eq(tool_err(&tool),
			 "queue full: the kernel dropped packets; raise --max-len "
			 "(now 100, at most 65536)");
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* No option helps where the kernel holds no more. */
Test(dump_losses, the_longest_queue_that_is_full)
{
	start("--max-len 65536 --copy meta --receive-buffer 500000000");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 65600);
	serve_and_end();
	expect_contains(tool.line, "65536 packets, ");
	expect_contains(tool.line, ", 64 queue full");
	expect_account((struct account){ .sent = 0 });
	expect_contains(tool_err(&tool), "use several queues");
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
}

Test(dump_losses, a_full_buffer_is_reported_with_advice)
{
	start("--receive-buffer 20000");
	expect_contains(tool.line, "receive buffer 20000 bytes");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 300);
	serve_and_end();
	expect_contains(tool.line, " buffer full");
	expect_account((struct account){ .sent = 0 });
	expect_contains(tool_err(&tool), "buffer full: the kernel dropped packets; raise "
					 "--receive-buffer, ");
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* The kernel does not count what it accepted by itself: the rest of what was sent. */
Test(dump_losses, fail_open_is_reported)
{
	start("--max-len 100 --fail-open");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 300);
	serve_and_end();
	expect_summary(tool.line, .packets = 100, .accepted = 100);
	expect_account((struct account){ .failed_open = 200 });
	cr_assert_str_eq(tool_err(&tool), "fail-open: packets are accepted unseen "
					  "while the queue is full, and are not counted");
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
}

static void what_waits_at_the_end(const char *queues, const char *options, const char *verdict,
				  bool arrives)
{
	struct datagram datagram;
	unsigned int arrived = 0;

	start_at(queues, options);
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 800);
	end_at_once();
	expect_contains(tool.line, verdict);
	expect_contains(tool.line, " defaulted");
	expect_account((struct account){ .sent = 0 });
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	while (udp_receive(&udp, &datagram))
		arrived++;
	cr_assert_eq(arrived, arrives ? 800 : 0);
}

Test(dump_losses, what_waits_at_the_end_is_counted)
{
	what_waits_at_the_end("1", "", " 800 accepted, 0 dropped,", true);
	what_waits_at_the_end("1", "--verdict drop", " 0 accepted, 800 dropped,", false);
}

/* However long it takes to unbind all of them; the last ones are the first. */
Test(dump_losses, what_waits_at_the_end_of_many_queues_is_counted)
{
	what_waits_at_the_end("1:4096", "", " 800 accepted, 0 dropped,", true);
}

Test(dump_losses, what_waits_behind_the_last_one_is_counted)
{
	start("-c 1");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 500);
	kill(tool.pid, SIGCONT);
	expect_contains(tool_err(&tool), " 500 accepted, 0 dropped,");
	expect_contains(tool.line, " defaulted");
	expect_account((struct account){ .sent = 0 });
	cr_assert_eq(tool_finish(&tool), 0);
}

Test(dump_losses, what_waits_when_the_reader_goes_is_counted)
{
	ns = netns_new();
	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s", ns->name);
	tool_listening(&tool);
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 500);
	fclose(tool.out);
	tool.out = fopen("/dev/null", "r");
	kill(tool.pid, SIGCONT);
	expect_contains(tool_err(&tool), " 500 accepted, 0 dropped");
	expect_account((struct account){ .sent = 0 });
	cr_assert_eq(tool_finish(&tool), 0);
}
