/* SPDX-License-Identifier: MIT */
/* mnfq dump: what becomes of the packets. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "dump-fixture.h"

TestSuite(dump_verdicts, .timeout = 300);

Test(dump_verdicts, ends_after_count_packets_and_accepts_the_rest)
{
	dump_open_and_start("-c 5");
	dump_send_at_once(200);
	for (int i = 0; i < 5; i++)
		expect_contains(tool_out(&tool), ".9: UDP, length 32 | ");
	cr_assert_str_eq(tool_out(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(200);
}

Test(dump_verdicts, drop_drops)
{
	dump_open_and_start("-c 3 --verdict drop");
	dump_send_at_once(200);
	expect_contains(tool_out(&tool), ", drop");
	expect_contains(tool_err(&tool), " 0 accepted, ");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(0);
}

Test(dump_verdicts, mark_is_seen_by_the_next_table)
{
	dump_open();
	netns_rule(ns, 4, "-t mangle -A POSTROUTING -m mark --mark 0x2a");
	dump_start("-c 3 --mark 42");
	udp_send_many(&udp, 0, 3);
	tool_expect_end(&tool, .packets = 3, .accepted = 3, .marked = 3);
	cr_assert_eq(netns_rule_packets(ns, 4, "mangle", "POSTROUTING", 1), 3);
	dump_expect(3);
}

/* The bits outside of the mask are those of the packet, whether it came with a mark or not. */
Test(dump_verdicts, mark_within_a_mask)
{
	dump_open();
	netns_rule(ns, 4,
		   "-t mangle -A OUTPUT -p udp -m u32 --u32 28=1 -j MARK --set-mark 0xff0f");
	netns_rule(ns, 4, "-t mangle -A POSTROUTING -p udp -m mark --mark 0x2");
	netns_rule(ns, 4, "-t mangle -A POSTROUTING -p udp -m mark --mark 0xff02");
	dump_start("-c 2 --mark 0x2/0xf");
	expect_contains(tool.line, ", verdict accept with mark 0x2/0xf");
	udp_send_many(&udp, 0, 2);
	expect_contains(tool_out(&tool), ".9: UDP, length 32 | ");
	expect_contains(tool_out(&tool), ", mark 0xff0f, ");
	tool_expect_end(&tool, .packets = 2, .accepted = 2, .marked = 2);
	cr_assert_eq(netns_rule_packets(ns, 4, "mangle", "POSTROUTING", 1), 1);
	cr_assert_eq(netns_rule_packets(ns, 4, "mangle", "POSTROUTING", 2), 1);
	dump_expect(2);
}

/* In lines and in JSON it is always the same word. */
Test(dump_verdicts, spelled_as_iptables_does)
{
	dump_open_and_start("-c 1 --verdict DROP");
	expect_contains(tool.line, ", verdict drop");
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), ", drop");
	tool_expect_end(&tool, .packets = 1, .dropped = 1);
	dump_expect(0);
}

static void set_priority(int priority)
{
	cr_assert_eq(setsockopt(udp.tx, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)), 0);
}

Test(dump_verdicts, priority_of_the_sender_and_another_one)
{
	static const struct {
		const char *option, *seen, *changed;
	} cases[] = {
		{ "", ", priority 6, checksum not computed yet, queue:2",
		  ", priority 6, checksum not computed yet, accept" },
		{ "--set-priority 1:10", ", priority 6, checksum not computed yet, queue:2",
		  ", priority 1:10, checksum not computed yet, accept" },
		{ "--set-priority 3", ", priority 6, checksum not computed yet, queue:2",
		  ", priority 3, checksum not computed yet, accept" },
		{ "--set-priority 0", ", priority 6, checksum not computed yet, queue:2",
		  " output lo, checksum not computed yet, accept" },
	};
	struct tool first, second;

	dump_open();
	set_priority(6);
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tool_start(&second, NULL, -1, "dump -q 2 -n %s -c 1 -v", ns->name);
		tool_listening(&second);
		tool_start(&first, NULL, -1, "dump -q 1 -n %s -c 1 -v --verdict queue:2 %s",
			   ns->name, cases[i].option);
		tool_listening(&first);
		udp_send(&udp, i);
		expect_contains(tool_out(&first), "IP (tos 0x0, ");
		expect_contains(tool_out(&first), cases[i].seen);
		expect_contains(tool_out(&second), "IP (tos 0x0, ");
		expect_contains(tool_out(&second), cases[i].changed);
		cr_assert_eq(tool_finish(&first), 0);
		cr_assert_eq(tool_finish(&second), 0);
	}
}

Test(dump_verdicts, says_what_it_changes)
{
	ns = netns_new();
	dump_start("--set-priority 0x10010 --mark 7");
	expect_contains(tool.line, ", verdict accept with mark 0x7, priority 1:10");
	kill(tool.pid, SIGINT);
	tool_expect_end(&tool, .packets = 0);
}

Test(dump_verdicts, repeat_with_a_mark_goes_through_the_rules_again)
{
	dump_open();
	netns_run(ns, "iptables-legacy -I OUTPUT -m mark --mark 0x1 -j ACCEPT");
	dump_start("-c 2 --verdict repeat --mark 0x1");
	udp_send_many(&udp, 0, 2);
	tool_expect_end(&tool, .packets = 2, .repeated = 2, .marked = 2);
	cr_assert_eq(netns_rule_packets(ns, 4, "filter", "OUTPUT", 1), 2);
	dump_expect(2);
}

Test(dump_verdicts, hands_packets_to_another_queue)
{
	struct tool first, second;

	dump_open();
	tool_start(&second, NULL, -1, "dump -q 2 -n %s -c 1", ns->name);
	tool_listening(&second);
	tool_start(&first, NULL, -1, "dump -q 1 -n %s -c 1 --verdict queue:2", ns->name);
	tool_listening(&first);
	udp_send(&udp, 0);
	expect_contains(tool_out(&first), " q1 id 1 ");
	expect_contains(first.line, ", queue:2");
	expect_contains(tool_out(&second), " q2 id 1 ");
	cr_assert_eq(tool_finish(&first), 0);
	cr_assert_eq(tool_finish(&second), 0);
	dump_expect(1);
}

Test(dump_verdicts, a_full_queue_drops_unless_it_fails_open)
{
	struct datagram datagram;

	dump_open_and_start("--max-len 2 --verdict drop");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 5);
	cr_assert(netns_wait_waiting(ns, 1, 2));
	kill(tool.pid, SIGCONT);
	dump_end(SIGINT);

	dump_start("--max-len 2 --verdict drop --fail-open");
	tool_freeze(&tool);
	udp_send_many(&udp, 10, 5);
	cr_assert(netns_wait_waiting(ns, 1, 2));
	for (uint32_t seq = 12; seq < 15; seq++) {
		cr_assert(udp_await(&udp, &datagram));
		cr_assert_eq(datagram.seq, seq);
	}
	kill(tool.pid, SIGCONT);
	dump_end(SIGINT);
	dump_expect(0);
}
