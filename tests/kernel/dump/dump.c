/* SPDX-License-Identifier: MIT */
/* The tool as its users run it: mnfq dump on real packets, and what it says when it cannot. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mnfq/version.h>

#include "dump-fixture.h"

TestSuite(dump, .timeout = 300);

/* ---- what it prints ----------------------------------------------------------------------- */

Test(dump, prints_a_line_a_packet)
{
	const char *line;

	dump_open_and_start("-c 2");
	expect_contains(tool.line, "listening on queue 1 in namespace ");
	expect_contains(tool.line, ns->name);
	expect_contains(tool.line, "whole packets");
	udp_send_many(&udp, 0, 2);

	line = tool_out(&tool);
	cr_assert(strlen(line) > 16 && line[2] == ':' && line[5] == ':' && line[8] == '.');
	cr_assert(strncmp(line + 15, " IP 127.0.0.1.", 14) == 0, "%s", line);
	expect_contains(line, " > 127.0.0.1.9: UDP, length 32 | q1 id 1 output lo, accept");
	cr_expect_leq(strlen(line), 100);
	expect_contains(tool_out(&tool), " q1 id 2 output");
	cr_assert_str_eq(tool_out(&tool), "");
	tool_expect_end(&tool, .packets = 2, .accepted = 2);
	dump_expect(2);
}

/* Clock ticks that a process has spent. */
static unsigned long spent(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	stat = fopen(path, "re");
	cr_assert(stat);
	cr_assert(fscanf(stat, "%*d %*s %*c %*d %*d %*d %*d %*d %*d %*u %*u %*u %*u %lu %lu",
			 &user, &system) == 2);
	fclose(stat);
	return user + system;
}

/* It is busy though there is nothing to do, decides what comes, and can be ended. */
Test(dump, polls_busily)
{
	dump_open_and_start("--busy-poll 1000000");
	cr_assert(wait_until(spent(tool.pid) >= 5), "it sleeps");
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " | q1 id 1 output");
	kill(tool.pid, SIGTERM);
	tool_expect_end(&tool, .packets = 1, .accepted = 1);
	dump_expect(1);
}

Test(dump, prints_tcp_flags_and_fragments)
{
	struct netns *left = netns_new(), *right = netns_new();
	struct tcp tcp;

	netns_join(left, "eth0", right, "eth0", 1);
	netns_rule(right, 4, "-t raw -A PREROUTING -j NFQUEUE --queue-num 1");
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s", right->name);
	tool_listening(&tool);

	udp_open(&udp, left, right, "10.0.1.2", 9);
	udp_send_sized(&udp, 0, 2000);
	expect_contains(tool_out(&tool), " IP 10.0.1.1.");
	expect_contains(tool.line, " > 10.0.1.2.9: UDP, length 2000 (frag ");
	expect_contains(tool.line, ":1480@0+) | q1 id 1 prerouting eth0, accept");
	expect_contains(tool_out(&tool), " IP 10.0.1.1 > 10.0.1.2: udp (frag ");
	expect_contains(tool.line, ":528@1480) | q1 id 2 prerouting eth0, accept");

	tcp = (struct tcp){
		.from = left, .to = right, .address = "10.0.1.2", .port = 80, .size = 1
	};
	tcp_start(&tcp);
	expect_contains(tool_out(&tool), " > 10.0.1.2.80: Flags [S], seq ");
	expect_contains(tool_out(&tool), " > 10.0.1.2.80: Flags [.], ack ");
	cr_assert_eq(tcp_finish(&tcp), 0);
	dump_end(SIGINT);
}

Test(dump, lines_are_there_before_the_next_packet)
{
	dump_open_and_start("");
	for (uint32_t seq = 0; seq < 3; seq++) {
		udp_send(&udp, seq);
		expect_contains(tool_out(&tool), " IP 127.0.0.1.");
	}
	kill(tool.pid, SIGINT);
	tool_expect_end(&tool, .packets = 3, .accepted = 3);
}

Test(dump, shows_what_was_captured)
{
	dump_open_and_start("--copy packet:1");
	expect_contains(tool.line, "first 1 byte,");
	dump_end(SIGTERM);

	dump_start("-c 1 -v --copy packet:24");
	expect_contains(tool.line, "first 24 bytes");
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " IP (tos 0x0, ttl 64, id ");
	expect_contains(tool.line, ", proto UDP (17), length 60)");
	expect_contains(tool_out(&tool), ".9: [|udp] | q1 id 1 output lo, captured 24, ");
	cr_assert_eq(tool_finish(&tool), 0);

	dump_start("-c 1 -v --copy meta --uid-gid");
	expect_contains(tool.line, "no payload");
	udp_send(&udp, 1);
	expect_contains(
		tool_out(&tool),
		" IP [|ip] | q1 id 1 output lo, checksum not computed yet, uid 0, gid 0, accept");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(2);
}

Test(dump, shows_that_a_checksum_is_bad)
{
	int fd;

	ns = netns_new();
	netns_rule(ns, 4, "-A OUTPUT -p icmp -j NFQUEUE --queue-num 1");
	dump_start("-c 1 -v");
	fd = icmp_open(ns, "127.0.0.1");
	cr_assert_eq(send(fd, "\x08\0\xf7\xfe\0\0\0\0", 8, 0), 8);
	expect_contains(tool_out(&tool), ", proto ICMP (1), length 28)");
	expect_contains(tool_out(&tool), ": ICMP echo request, id 0, seq 0, length 8 | ");
	expect_contains(tool.line, ", checksum bad, accept");
	cr_assert_eq(tool_finish(&tool), 0);
	close(fd);
}

Test(dump, quiet_prints_no_packets)
{
	dump_open_and_start("-c 2 --quiet");
	udp_send_many(&udp, 0, 2);
	cr_assert_str_eq(tool_out(&tool), "");
	tool_expect_end(&tool, .packets = 2, .accepted = 2);
}

Test(dump, names_of_devices_are_made_safe)
{
	struct netns *other = netns_new();

	ns = netns_new();
	netns_join(ns, "plain", other, "eth0", 1);
	netns_run(
		ns,
		"ip link set plain down && ip link set plain name \"$(printf 'e\\033[2J\\302\\2332J')\" &&"
		" ip link set \"$(printf 'e\\033[2J\\302\\2332J')\" up");
	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	udp_open(&udp, ns, other, "10.0.1.2", 9);
	for (int json = 0; json < 2; json++) {
		tool_start(&tool, NULL, -1, "dump -q 1 -n %s -c 1 %s", ns->name,
			   json ? "--json" : "");
		tool_listening(&tool);
		udp_send(&udp, 0);
		expect_contains(tool_out(&tool), json ? "\"outdev\":\"e\\u001B[2J\\u009B2J\""
						      : " \"e\\x1b[2J\\xc2\\x9b2J\", accept");
		cr_assert_eq(tool_finish(&tool), 0);
	}
}

/* ---- where ---------------------------------------------------------------------------------- */

Test(dump, serves_a_range_of_queues)
{
	ns = netns_new();
	netns_rule(ns, 4, "-A OUTPUT -p udp -m u32 --u32 28=0 -j NFQUEUE --queue-num 4");
	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 6");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	tool_start(&tool, NULL, -1, "dump -q 4:6 -n %s -c 2", ns->name);
	tool_listening(&tool);
	expect_contains(tool.line, "listening on queues 4:6 ");
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " q4 id 1 ");
	udp_send(&udp, 1);
	expect_contains(tool_out(&tool), " q6 id 1 ");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(2);
}

Test(dump, serves_the_namespace_it_is_in)
{
	dump_open();
	tool_start(&tool, ns, -1, "dump -q 1 -c 1");
	tool_listening(&tool);
	expect_contains(tool.line, ns->name);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " output lo, accept");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(1);
}

Test(dump, serves_a_socket_passed_in)
{
	int fd;

	dump_open();
	fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	tool_start(&tool, NULL, fd, "dump -q 1 --fd 7 -c 1");
	close(fd);
	tool_listening(&tool);
	expect_contains(tool.line, ns->name);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " output lo, accept");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(1);
}

/* ---- how it ends ---------------------------------------------------------------------------- */

Test(dump, signals_end_it_with_the_counters)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	ns = netns_new();
	for (size_t i = 0; i < 3; i++) {
		dump_start("");
		kill(tool.pid, signals[i]);
		tool_expect_end(&tool, .packets = 0);
	}
}

/* What was queued meanwhile would be lost: that it goes on shows in the next packet. */
Test(dump, nohup_keeps_it_from_hanging_up)
{
	dump_open();
	tool_start_shell(&tool, NULL, -1, "trap '' HUP; exec \"$MNFQ_TOOL\" dump -q 1 -n %s -c 1",
			 ns->name);
	tool_listening(&tool);
	kill(tool.pid, SIGHUP);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " q1 id 1 ");
	tool_expect_end(&tool, .packets = 1, .accepted = 1);
	dump_expect(1);
}

Test(dump, reports_its_counters_on_sigusr1)
{
	dump_open_and_start("");
	for (uint32_t seq = 0; seq < 3; seq++) {
		char expected[64];

		udp_send(&udp, seq);
		expect_contains(tool_out(&tool), " IP 127.0.0.1.");
		kill(tool.pid, SIGUSR1);
		snprintf(expected, sizeof(expected), "%u packet%s, %u bytes, %u accepted, ",
			 seq + 1, seq ? "s" : "", 60 * (seq + 1), seq + 1);
		expect_contains(tool_err(&tool), expected);
	}
	kill(tool.pid, SIGTERM);
	tool_expect_end(&tool, .packets = 3, .accepted = 3);
	dump_expect(3);
}

Test(dump, ends_when_the_reader_of_its_output_goes)
{
	dump_open_and_start("");
	fclose(tool.out);
	tool.out = fopen("/dev/null", "r");
	udp_send(&udp, 0);
	tool_expect_end(&tool, .packets = 1, .accepted = 1);
	dump_expect(1);
}

Test(dump, ends_although_its_output_is_not_read)
{
	dump_open_and_start("");
	cr_assert(fcntl(fileno(tool.out), F_SETPIPE_SZ, 4096) >= 0);
	udp_send_many(&udp, 0, 500);
	cr_assert(wait_until(tool_is_stalled(&tool)));
	kill(tool.pid, SIGINT);
	expect_contains(tool_err(&tool), " packets, ");
	cr_assert_eq(tool_finish(&tool), 0);
	dump_expect(500);
}

Test(dump, reports_output_that_cannot_be_written)
{
	dump_open();
	for (int closed = 0; closed < 2; closed++) {
		tool_start(&tool, NULL, -1, "dump -q 1 -n %s %s", ns->name,
			   closed ? ">&-" : ">/dev/full");
		tool_listening(&tool);
		udp_send(&udp, (uint32_t)closed);
		expect_contains(tool_err(&tool), "mnfq dump: cannot write to stdout: ");
		expect_contains(tool.line, strerror(closed ? EBADF : ENOSPC));
		expect_contains(tool_err(&tool), "1 packet, ");
		cr_assert_eq(tool_finish(&tool), 1);
	}
	dump_expect(2);
}

Test(dump, warns_that_copy_none_drops)
{
	ns = netns_new();
	dump_start("--copy none");
	expect_contains(tool.line, ", verdict drop by the kernel");
	cr_assert_null(strstr(tool.line, "accept"), "%s", tool.line);
	expect_contains(tool_err(&tool), "warning: ");
	kill(tool.pid, SIGINT);
	tool_expect_end(&tool, .packets = 0);
}

Test(dump, help_and_version)
{
	static const char *const commands[] = { "",      "dump ",   "replay ", "share ",
						"stat ", "doctor ", "help " };
	char expected[64];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		tool_start(&tool, NULL, -1, "%s-h", commands[i]);
		expect_contains(tool_out(&tool), "Usage: mnfq ");
		do
			cr_expect_leq(strlen(tool.line), 80, "%s%s", commands[i], tool.line);
		while (*tool_out(&tool) || *tool_out(&tool));
		cr_expect_eq(tool_finish(&tool), 0);
		tool_start(&tool, NULL, -1, "%s-V", commands[i]);
		snprintf(expected, sizeof(expected), "mnfq %s" MNFQ_VERSION " (libmnfq ",
			 commands[i]);
		expect_contains(tool_out(&tool), expected);
		cr_expect_eq(tool_finish(&tool), 0);
	}
}
