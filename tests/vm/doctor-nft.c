/* SPDX-License-Identifier: MIT */
/* mnfq doctor with rules of nft's `queue` statement, and with modules that are not loaded yet. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"
#include "tool.h"

TestSuite(doctor_nft, .timeout = 300);

static char text[1 << 16]; /* what it printed */

static void examine(struct netns *ns, int status)
{
	struct tool tool;
	size_t len;

	tool_start(&tool, NULL, -1, "doctor -n %s -t 0.05", ns->name);
	len = fread(text, 1, sizeof(text) - 1, tool.out);
	text[len] = '\0';
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), status, "%s", text);
}

static void add_rule(struct netns *ns, const char *rule)
{
	netns_run(
		ns,
		"nft 'add table inet t; add chain inet t c { type filter hook input priority 0; "
		"}; add rule inet t c %s'",
		rule);
}

Test(doctor_nft, nobody_listens)
{
	struct netns *ns = netns_new();

	add_rule(ns, "udp dport 9 counter queue to 5-7");
	examine(ns, 1);
	expect_contains(
		text,
		"error: rule 1 of chain inet t c (nft) sends to queues 5 to 7, to which no "
		"program is bound: the kernel drops its packets; no packet has matched it so far");
	expect_contains(text, "nft delete rule inet t c handle ");
	netns_run(ns, "nft flush ruleset");
	add_rule(ns, "udp dport 9 counter queue flags bypass to 5");
	examine(ns, 1);
	expect_contains(text,
			"warning: rule 1 of chain inet t c (nft) sends to queue 5, to which");
	netns_free(ns);
}

QueueTest(doctor_nft, a_healthy_rule)
{
	netns_rule(fixture.ns, 4, "-t mangle -F");
	add_rule(fixture.ns, "udp dport 7000 counter queue num 1");
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 2);
	examine(fixture.ns, 0);
	cr_expect_str_eq(text, "");
}

QueueTest(doctor_nft, a_computed_queue)
{
	netns_rule(fixture.ns, 4, "-t mangle -F");
	add_rule(fixture.ns, "counter queue to numgen inc mod 2 offset 1");
	fixture_bind(NULL, count_packet);
	examine(fixture.ns, 0);
	cr_expect(!strstr(text, "no rule"), "it may be any: %s", text);
}

/* The remedy leads there, as do a map of verdicts and an anonymous chain; a rule in front that takes all does not. */
Test(doctor_nft, a_chain_where_nothing_leads)
{
	static const char unreached[] = "rule 1 of chain inet t own (nft) never gets a packet";
	struct netns *ns = netns_new();
	char *command;

	netns_run(ns,
		  "nft 'add table inet t; add chain inet t own; add chain inet t far; add rule "
		  "inet t own counter queue flags bypass to 5; add rule inet t far jump own; "
		  "add chain inet t in { type filter hook input priority 0; }'");
	examine(ns, 1);
	expect_contains(text, unreached);
	command = strstr(text, "ip netns exec");
	for (; command && !strstr(command, "nft insert rule inet t in jump own\n");)
		command = strstr(command + 1, "ip netns exec");
	cr_assert(command, "%s", text);
	netns_run(NULL, "%.*s", (int)strcspn(command, "\n"), command);
	examine(ns, 1);
	cr_expect(!strstr(text, unreached), "%s", text);
	netns_run(ns, "nft 'flush chain inet t in; add rule inet t in counter accept; add rule "
		      "inet t in jump own'");
	examine(ns, 1);
	expect_contains(text, unreached);
	netns_run(ns, "nft 'flush chain inet t in; add rule inet t in tcp dport vmap { 80 : jump "
		      "own }'");
	examine(ns, 1);
	cr_expect(!strstr(text, unreached), "%s", text);
	netns_run(ns, "nft 'flush chain inet t in; add rule inet t in jump { jump far; }'");
	examine(ns, 1);
	cr_expect(!strstr(text, unreached), "%s", text);
	netns_free(ns);
}

/* The rules are on the bridge's hooks, where br_netfilter takes IP away. */
Test(doctor_nft, a_bridge_with_br_netfilter)
{
	struct netns *left = netns_new(), *middle = netns_new(), *right = netns_new();

	netns_bridge(left, middle, right);
	netns_run(middle,
		  "modprobe br_netfilter && nft 'add table bridge t; add chain bridge t c { type "
		  "filter hook forward priority 0; }; add rule bridge t c counter queue num 1'");
	examine(middle, 1);
	expect_contains(text, "no packet has come to rule 1 of chain bridge t c (nft)");
	expect_contains(text, "net.bridge.bridge-nf-call-iptables=0");
	netns_free(left);
	netns_free(middle);
	netns_free(right);
}
