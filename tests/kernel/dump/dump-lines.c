/* SPDX-License-Identifier: MIT */
/* mnfq dump: the options of tcpdump for how packets look, and its own. tests/peers has the lines themselves. */
#include <criterion/criterion.h>
#include <pty.h>
#include <string.h>
#include <unistd.h>

#include "dump-fixture.h"

TestSuite(dump_lines, .timeout = 300);

/* Of a datagram, with these arguments; "" if nothing is left to read. */
static const char *first_line(const char *arguments)
{
	static uint32_t seq;

	tool_start(&tool, NULL, -1, "dump -q 1 -c 1 %s", arguments);
	tool_listening(&tool);
	udp_send(&udp, seq++);
	return tool_out(&tool);
}

static void expect_line_begins(const char *arguments, const char *begin)
{
	char with_netns[256];

	snprintf(with_netns, sizeof(with_netns), "%s --netns %s", arguments, ns->name);
	first_line(with_netns);
	cr_expect(strncmp(tool.line, begin, strlen(begin)) == 0, "%s: '%s'", arguments,
		  tool.line);
	while (tool_out(&tool)[0])
		;
	cr_expect_eq(tool_finish(&tool), 0, "%s", arguments);
}

Test(dump_lines, times)
{
	dump_open();
	expect_line_begins("-t", "IP 127.0.0.1.");
	expect_line_begins("-ttt", " 00:00:00.000000 IP 127.0.0.1.");
	expect_line_begins("-ttttttt", " 00:00:00.000000 IP 127.0.0.1.");
	expect_line_begins("-t -v", "IP (tos 0x0, ttl 64, id ");
}

/* Names of hosts are never looked up, so it is taken and means nothing; with a word behind it, a namespace. */
Test(dump_lines, n_as_of_tcpdump)
{
	dump_open();
	expect_line_begins("-n -t", "IP 127.0.0.1.");
	expect_line_begins("-nnt", "IP 127.0.0.1.");
	expect_line_begins("-tn", "IP 127.0.0.1.");
}

Test(dump_lines, n_with_a_namespace)
{
	char arguments[128];

	dump_open();
	snprintf(arguments, sizeof(arguments), "-tn %s", ns->name);
	cr_expect(strncmp(first_line(arguments), "IP 127.0.0.1.", 13) == 0, "%s", tool.line);
	cr_expect_eq(tool_finish(&tool), 0);
}

Test(dump_lines, bytes_are_below)
{
	dump_open_and_start("-c 2 -X");
	udp_send_many(&udp, 0, 2);
	for (int i = 0; i < 2; i++) {
		expect_contains(tool_out(&tool), "UDP, length 32 | q1 id ");
		expect_contains(tool_out(&tool), "\t0x0000:  4500 003c ");
		expect_contains(tool_out(&tool), "\t0x0010:  7f00 0001 ");
		expect_contains(tool_out(&tool), "\t0x0020:  ");
		expect_contains(tool_out(&tool), "\t0x0030:  ");
	}
	cr_assert_str_eq(tool_out(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* However small the buffers are. */
Test(dump_lines, bytes_of_a_large_packet)
{
	unsigned int count = 0;

	dump_open_and_start("-c 1 -X --when-blocked wait");
	udp_send_sized(&udp, 0, 60000);
	expect_contains(tool_out(&tool), "UDP, length 60000 | q1 id ");
	while (tool_out(&tool)[0])
		count++;
	cr_expect_eq(count, (60028 + 15) / 16);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* Port 9 is that of "discard". */
Test(dump_lines, names_of_ports)
{
	dump_open_and_start("-c 2 --names");
	udp_send_many(&udp, 0, 2); /* in the sandbox */
	expect_contains(tool_out(&tool), " > 127.0.0.1.discard: UDP, length 32 | ");
	expect_contains(tool_out(&tool), " > 127.0.0.1.discard: UDP, length 32 | ");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* ---- colour ------------------------------------------------------------------------------- */

static void expect_color(const char *environment, const char *arguments, bool expected)
{
	char line[512] = "";
	size_t len = 0;
	int terminal, end;

	cr_assert_eq(openpty(&terminal, &end, NULL, NULL, NULL), 0);
	tool_start_shell(&tool, NULL, end, "%s exec \"$MNFQ_TOOL\" dump -q 1 -n %s -c 1 %s >&7",
			 environment, ns->name, arguments);
	tool_listening(&tool);
	udp_send(&udp, 0);
	while (len < sizeof(line) - 1 && !strchr(line, '\n') &&
	       read(terminal, line + len, 1) == 1)
		len++;
	cr_expect_eq(strstr(line, "\033[32maccept\033[m") != NULL, expected, "%s %s: '%s'",
		     environment, arguments, line);
	cr_expect_eq(strchr(line, '\033') != NULL, expected, "%s %s: '%s'", environment,
		     arguments, line);
	cr_assert_eq(tool_finish(&tool), 0);
	close(terminal);
	close(end);
}

Test(dump_lines, color_on_a_terminal)
{
	dump_open();
	expect_color("unset NO_COLOR; TERM=xterm", "", true);
	expect_color("NO_COLOR= TERM=xterm", "", true);
	expect_color("NO_COLOR=1 TERM=xterm", "", false);
	expect_color("unset NO_COLOR; TERM=dumb", "", false);
	expect_color("unset NO_COLOR; TERM=xterm", "--color never", false);
	expect_color("NO_COLOR=1 TERM=dumb", "--color=always", true);
	expect_color("unset NO_COLOR; TERM=xterm", "--json", false);
}

Test(dump_lines, color_elsewhere)
{
	dump_open_and_start("-c 1 --color always");
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), "\033[32maccept\033[m");
	cr_assert_eq(tool_finish(&tool), 0);

	dump_start("-c 1");
	udp_send(&udp, 0);
	cr_expect_null(strchr(tool_out(&tool), '\033'), "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
}
