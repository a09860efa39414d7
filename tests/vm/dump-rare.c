/* SPDX-License-Identifier: MIT */
/* mnfq dump: what few kernels tell of a packet, connections and VLAN tags, and marks of the former. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/filter.h"
#include "kernel-fixture.h"
#include "tool.h"

TestSuite(dump_rare, .timeout = 300);

/* A namespace that tracks connections; what arrives at its `lo` passes queue 1, by @match. */
static struct netns *tracked(const char *match)
{
	struct netns *ns = netns_new();

	netns_rule(ns, 4, "-A OUTPUT -m conntrack --ctstate NEW");
	netns_rule(ns, 4, "-t mangle -A INPUT %s -j NFQUEUE --queue-num 1", match);
	if (!kernel_has(ns, MNFQ_QUEUE_CONNTRACK))
		skip_or_fail("this kernel has no connection tracking data");
	return ns;
}

static void start(struct tool *tool, struct netns *ns, const char *options)
{
	tool_start(tool, NULL, -1, "dump -q 1 -n %s %s", ns->name, options);
	tool_listening(tool);
}

/* The number behind @key in the last line. */
static unsigned long number(const struct tool *tool, const char *key)
{
	const char *at = strstr(tool->line, key);

	cr_assert(at, "'%s' lacks '%s'", tool->line, key);
	return strtoul(at + strlen(key), NULL, 10);
}

Test(dump_rare, both_directions_of_a_connection)
{
	struct netns *ns = tracked("-p icmp");
	int fd = icmp_open(ns, "127.0.0.1");
	unsigned long id;
	struct tool tool;

	start(&tool, ns, "--conntrack");
	icmp_send(fd, 1);
	expect_contains(tool_out(&tool), ": ICMP echo request, id ");
	expect_contains(tool.line, ", ct new id ");
	id = number(&tool, " ct new id ");
	expect_contains(tool_out(&tool), ": ICMP echo reply, id ");
	cr_expect_eq(number(&tool, ", ct established reply id "), id, "%s", tool.line);
	icmp_send(fd, 2);
	expect_contains(tool_out(&tool), ", ct established id ");
	kill(tool.pid, SIGINT);
	cr_assert_eq(tool_finish(&tool), 0);
	close(fd);
}

Test(dump_rare, connection_as_json)
{
	struct netns *ns = tracked("-p udp");
	struct tool tool;
	struct udp udp;

	netns_rule(ns, 4, "-t raw -A OUTPUT -p udp -j CT --zone 7");
	netns_rule(ns, 4, "-t mangle -A OUTPUT -p udp -j CONNMARK --set-mark 4294967295");
	udp_open(&udp, ns, ns, "127.0.0.1", PORT);
	start(&tool, ns, "--conntrack --json -c 1");
	udp_send(&udp, 1);
	expect_contains(tool_out(&tool), "\"ct_state\":\"new\",\"ct_direction\":\"original\","
					 "\"ct_mark\":4294967295,\"ct_id\":");
	expect_contains(tool.line, ",\"ct_zone\":7,");
	cr_expect(number(&tool, "\"ct_id\":") > 0);
	cr_assert_eq(tool_finish(&tool), 0);
}

Test(dump_rare, nothing_of_connections_unless_asked_for)
{
	struct netns *ns = tracked("-p udp");
	struct tool tool;
	struct udp udp;

	udp_open(&udp, ns, ns, "127.0.0.1", PORT);
	start(&tool, ns, "--json -c 1");
	udp_send(&udp, 1);
	cr_expect_null(strstr(tool_out(&tool), "\"ct_"), "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
}

/* Only the bits in the mask, and they stay with the connection. */
Test(dump_rare, ct_mark)
{
	struct netns *ns = tracked("-p udp");
	struct tool tool;
	struct udp udp;

	netns_rule(ns, 4,
		   "-t mangle -A OUTPUT -p udp -m connmark --mark 0 -j CONNMARK "
		   "--set-mark 0x31");
	netns_rule(ns, 4, "-A INPUT -p udp -m connmark --mark 0x35");
	udp_open(&udp, ns, ns, "127.0.0.1", PORT);
	start(&tool, ns, "--ct-mark 0x5/0xf -c 2");
	expect_contains(tool.line, ", verdict accept with connection mark 0x5/0xf");
	udp_send(&udp, 1);
	expect_contains(tool_out(&tool), ", ct new mark 0x31 id ");
	cr_assert(wait_until(netns_rule_packets(ns, 4, "filter", "INPUT", 1) == 1));
	udp_send(&udp, 2);
	expect_contains(tool_out(&tool), ", ct new mark 0x35 id ");
	expect_contains(tool_err(&tool), "2 packets, 120 bytes, 2 accepted, 0 dropped");
	cr_expect_null(strstr(tool.line, "untracked"), "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
}

Test(dump_rare, packets_without_a_connection_are_counted)
{
	struct netns *ns = tracked("-p udp");
	struct datagram datagram;
	struct tool tool;
	struct udp udp;

	netns_rule(ns, 4, "-t raw -A OUTPUT -p udp -m u32 --u32 28=2 -j CT --notrack");
	udp_open(&udp, ns, ns, "127.0.0.1", PORT);
	start(&tool, ns, "--ct-mark 1 -c 2");
	udp_send(&udp, 1);
	expect_contains(tool_out(&tool), ", ct new id ");
	udp_send(&udp, 2);
	cr_expect_null(strstr(tool_out(&tool), ", ct "), "%s", tool.line);
	tool_expect_end(&tool, .packets = 2, .accepted = 2, .untracked = 1);
	for (uint32_t seq = 1; seq <= 2; seq++)
		cr_assert(udp_await(&udp, &datagram) && datagram.seq == seq);
}

/* left -- middle's bridge -- right, over which 10.0.9.1 and 10.0.9.2 talk with tag 5; @match is queued in the middle. */
static struct netns *tagged_bridge(struct udp *udp, const char *match)
{
	struct netns *left = netns_new(), *middle = netns_new(), *right = netns_new();

	netns_bridge(left, middle, right);
	netns_run(left, "ip link set eth0 address 02:00:00:00:00:01 &&"
			" ip link add link eth0 name v type vlan id 5 egress-qos-map 0:3 &&"
			" ip address add 10.0.9.1/24 dev v && ip link set v up");
	netns_run(right, "ip link set eth0 address 02:00:00:00:00:02 &&"
			 " ip link add link eth0 name v type vlan id 5 &&"
			 " ip address add 10.0.9.2/24 dev v && ip link set v up");
	netns_run(
		middle,
		"nft 'add table bridge t; add chain bridge t c "
		"{ type filter hook forward priority filter; }; add rule bridge t c %s queue num 1'",
		match);
	udp_open(udp, left, right, "10.0.9.2", PORT);
	return middle;
}

/* Tagged frames through a bridge, which keeps the tag beside them. */
Test(dump_rare, vlan_of_a_bridge)
{
	struct tool tool;
	struct udp udp;
	struct netns *middle = tagged_bridge(&udp, "vlan id 5 vlan type ip");

	start(&tool, middle, "-c 1");
	udp_send(&udp, 1);
	expect_contains(tool_out(&tool),
			" forward br0 > br0 physin p1 physout p2, vlan 5, p 3, ");
	cr_assert_eq(tool_finish(&tool), 0);

	start(&tool, middle, "-c 1 --json");
	udp_send(&udp, 2);
	expect_contains(tool_out(&tool),
			"\"vlan\":{\"id\":5,\"priority\":3,\"dei\":false,\"protocol\":33024}");
	expect_contains(tool.line, "\"l2hdr\":\"0200000000020200000000010800\"");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* They are frames of an Ethernet to it, and the tag is where it was: 46 bytes of headers, and then the data. */
Test(dump_rare, a_filter_of_frames_of_a_bridge)
{
	struct tool tool;
	struct udp udp;
	struct netns *middle = tagged_bridge(&udp, "counter");

	if (!filter_supported)
		skip_or_fail("built without libpcap");
	start(&tool, middle,
	      "--verdict drop 'ether src 02:00:00:00:00:01 and len = 246 and vlan 5 and udp port 7000'");
	expect_contains(tool_err(&tool), "it can only match packets of bridges");
	udp_send(&udp, 0);
	udp_send_sized(&udp, 1, 200);
	udp_send_sized(&udp, 2, 199);
	udp_expect(&udp, 0);
	udp_expect(&udp, 2);
	kill(tool.pid, SIGTERM);
	expect_contains(tool_out(&tool), ": UDP, length 200 | q1 id ");
	expect_contains(tool.line, " forward br0 > br0 physin p1 physout p2, vlan 5, p 3, drop");
	cr_expect_str_eq(tool_out(&tool), "");
	expect_contains(tool_err(&tool), " 1 matched, ");
	expect_contains(tool.line, ", 1 dropped");
	cr_assert_eq(tool_finish(&tool), 0);

	start(&tool, middle, "--verdict drop --else accept 'arp or ip6'");
	udp_send(&udp, 3);
	udp_expect(&udp, 3);
	kill(tool.pid, SIGTERM);
	while (tool_out(&tool)[0])
		cr_expect(!strstr(tool.line, "UDP, length 32"), "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 0);
}
