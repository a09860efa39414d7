/* SPDX-License-Identifier: MIT */
/* mnfq doctor: its command line, what it says without rights, and that it changes nothing. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

TestSuite(doctor_cli, .timeout = 300);

static char text[1 << 16]; /* what it printed */

/* A command that ends in the tool. The caller reads what is on stderr, and waits for its end. */
static void run_shell(struct tool *tool, struct netns *ns, const char *arguments)
{
	size_t len;

	tool_start_shell(tool, ns, -1, "%s", arguments);
	len = fread(text, 1, sizeof(text) - 1, tool->out);
	text[len] = '\0';
}

Test(doctor_cli, what_a_user_cannot_see)
{
	struct netns *ns = netns_new();
	struct tool tool;

	run_shell(&tool, ns,
		  "exec setpriv --reuid 54321 --regid 54321 --clear-groups \"$MNFQ_TOOL\" doctor "
		  "--json -t 0.05");
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 1);
	expect_contains(
		text, "\"warning\",\"finding\":\"no-rights\",\"cause\":\"no CAP_NET_ADMIN over ");
	expect_contains(
		text, "\"unseen\",\"finding\":\"unseen\",\"cause\":\"queues of this namespace ");
	expect_contains(text, "rules of iptables-legacy of this namespace were not seen");
	expect_contains(text, "rules of nft and iptables-nft of this namespace were not seen");
	netns_free(ns);
}

/* What it says without --json: a line of cause, a line of remedy. */
Test(doctor_cli, as_text)
{
	struct netns *ns = netns_new();
	struct tool tool;

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5");
	run_shell(&tool, ns, "exec \"$MNFQ_TOOL\" doctor -t 0.05");
	cr_expect(strncmp(text, "error: rule 1 of INPUT ", 23) == 0, "%s", text);
	expect_contains(text, "\n  remedy: start the program that reads it");
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 1);
	netns_free(ns);
}

static void expect_refused(int status, const char *part, const char *arguments)
{
	struct tool tool;
	char command[256];

	snprintf(command, sizeof(command), "exec \"$MNFQ_TOOL\" doctor %s", arguments);
	run_shell(&tool, NULL, command);
	cr_expect_str_eq(text, "");
	tool_err(&tool);
	expect_contains(tool.line, "mnfq");
	expect_contains(tool.line, part);
	cr_expect_str_eq(tool_err(&tool), "", "one line");
	cr_expect_eq(tool_finish(&tool), status, "%s", arguments);
}

Test(doctor_cli, wrong_command_lines)
{
	netns_require();
	expect_refused(2, "65536", "-q 65536");
	expect_refused(2, "only once", "-q 1 -q 2");
	expect_refused(2, "only once", "-n a -n b");
	expect_refused(2, "0.01 to 86400", "-t 0");
	expect_refused(2, "unexpected argument 'x'", "x");
	expect_refused(1, "mnfq-no-such", "-n mnfq-no-such");
	expect_refused(1, "/dev/null is not a network namespace", "-n /dev/null");
	expect_refused(1, "mnfq doctor: cannot write to stdout: No space left",
		       "--help >/dev/full");
	expect_refused(1, "mnfq doctor: cannot write to stdout: Bad file", "-V >&-");
}

/* Something is wrong here, of which nobody would hear. */
Test(doctor_cli, what_cannot_be_written)
{
	static const char *const arguments[] = { ">/dev/full", ">&-", "--json >/dev/full" };
	struct netns *ns = netns_new();
	struct tool tool;

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5");
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		tool_start(&tool, NULL, -1, "doctor -t 0.05 -n %s %s", ns->name, arguments[i]);
		expect_contains(tool_err(&tool), "mnfq doctor: cannot write to stdout: ");
		cr_expect_str_eq(tool_err(&tool), "", "one line");
		cr_expect_eq(tool_finish(&tool), 1);
	}
	netns_free(ns);
}

/* It changes nothing: neither tables, nor settings, nor modules. */
Test(doctor_cli, it_changes_nothing)
{
	static const char look[] =
		"cat /proc/net/ip_tables_names /proc/net/ip6_tables_names; ! command -v nft >/dev/null "
		"|| nft list ruleset; [ ! -e /proc/modules ] || cut -d ' ' -f 1 /proc/modules; grep -r "
		". /proc/sys/net/ipv4/conf";
	struct netns *ns = netns_new(), *other = netns_new();
	struct tool tool;
	char *before, *after;

	/* As the tests do that run at the same time: the modules are there then. */
	netns_rule(other, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5");
	before = netns_output(ns, "%s", look);
	run_shell(&tool, ns, "exec \"$MNFQ_TOOL\" doctor -t 0.05");
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 0, "%s", text);
	/* It looks for this queue in all namespaces. */
	run_shell(&tool, ns, "exec \"$MNFQ_TOOL\" doctor -t 0.05 -q 5");
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 1, "%s", text);
	after = netns_output(ns, "%s", look);
	cr_expect_str_eq(after, before);
	free(before);
	free(after);
	netns_free(other);
	netns_free(ns);
}
