/* SPDX-License-Identifier: MIT */
/* Packets that nft's `queue` statement hands over, from tables of each family. */
#include <criterion/criterion.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h> /* after netinet/in.h, which it would get in the way of */

#include "kernel-fixture.h"

/* What the last packet had. */
static struct sight {
	uint8_t family;
	uint16_t hw_protocol;
	char hook[16], in[16], out[16], physin[16], physout[16];
} sight;

static void ifname(uint32_t index, char *name)
{
	name[0] = '\0';
	if (index != 0 && mnfq_socket_get_ifname(fixture.sock, index, name) < 0)
		strcpy(name, "unknown");
}

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	sight.family = mnfq_packet_get_family(packet);
	sight.hw_protocol = mnfq_packet_get_hw_protocol(packet);
	snprintf(sight.hook, sizeof(sight.hook), "%s", mnfq_packet_get_hook_name(packet));
	ifname(mnfq_packet_get_indev(packet), sight.in);
	ifname(mnfq_packet_get_outdev(packet), sight.out);
	ifname(mnfq_packet_get_physindev(packet), sight.physin);
	ifname(mnfq_packet_get_physoutdev(packet), sight.physout);
	return count_packet(packet, data);
}

static enum mnfq_verdict repeat_marked(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(mnfq_packet_set_mark(packet, 7) == 0);
	return MNFQ_REPEAT;
}

static void expect_sight(uint8_t family, const char *hook, const char *in, const char *out)
{
	cr_assert(sight.family == family && strcmp(sight.hook, hook) == 0, "family %u, hook '%s'",
		  sight.family, sight.hook);
	cr_assert(strcmp(sight.in, in) == 0 && strcmp(sight.out, out) == 0, "in '%s', out '%s'",
		  sight.in, sight.out);
}

/* A table TABLE, named t, with a chain c of the filter type on HOOK. */
#define CHAIN(table, hook, rules)                                                                \
	"add table " table " t; add chain " table " t c { type filter hook " hook                \
	" priority filter;"                                                                      \
	" }; add rule " table " t c " rules

/* Skips where the kernel or nft cannot do it. */
static void require_nft(struct netns *ns)
{
	char *output = netns_output(ns, "nft '%s' 2>&1 && nft delete table ip t || true",
				    CHAIN("ip", "input", "queue num 1"));

	if (output[0] != '\0')
		skip_or_fail("this needs nft and its queue statement");
}

/* The fixture without the rule of iptables; its datagrams go over `lo`. */
static void open_with_rules(int family, const char *rules)
{
	fixture_open(family);
	netns_rule(fixture.ns, family, "-t mangle -F");
	require_nft(fixture.ns);
	netns_run(fixture.ns, "nft '%s'", rules);
}

/* Other datagrams, from @from to @to. */
static void reroute(struct netns *from, struct netns *to, const char *address)
{
	udp_close(&fixture.udp);
	udp_open(&fixture.udp, from, to, address, PORT);
}

/* Two datagrams: the one that is dropped does not arrive, the one that is accepted does. */
static void expect_decided(void)
{
	fixture.verdict = MNFQ_DROP;
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	fixture.verdict = MNFQ_ACCEPT;
	fixture_pass(2, 1);
	fixture_expect_nothing();
	cr_assert_eq(fixture.seen, 2);
}

Test(nft, ip)
{
	open_with_rules(4, CHAIN("ip", "input", "udp dport 7000 counter queue num 1"));
	fixture_bind(NULL, look);
	expect_decided();
	expect_sight(NFPROTO_IPV4, "input", "lo", "");
	fixture_close();
}

Test(nft, ip6)
{
	open_with_rules(6, CHAIN("ip6", "output", "udp dport 7000 counter queue num 1"));
	fixture_bind(NULL, look);
	expect_decided();
	expect_sight(NFPROTO_IPV6, "output", "", "lo");
	fixture_close();
}

/* One chain for both; the packet has the family that it is of. */
Test(nft, inet)
{
	struct netns *left, *right;

	open_with_rules(4, CHAIN("inet", "forward", "udp dport 7000 counter queue num 1"));
	left = netns_new();
	right = netns_new();
	netns_route(left, fixture.ns, right);
	fixture_bind(NULL, look);
	reroute(left, right, "10.0.2.1");
	expect_decided();
	expect_sight(NFPROTO_IPV4, "forward", "left", "right");
	reroute(right, left, "fd00:0:0:1::1");
	fixture.seen = 0;
	expect_decided();
	expect_sight(NFPROTO_IPV6, "forward", "right", "left");
	netns_free(left);
	netns_free(right);
	fixture_close();
}

/* The bridge's own hooks, which IP does not get to see. */
static void bridge(const char *address, uint16_t protocol)
{
	struct netns *left, *right;

	open_with_rules(4, CHAIN("bridge", "forward", "udp dport 7000 counter queue num 1"));
	left = netns_new();
	right = netns_new();
	netns_bridge(left, fixture.ns, right);
	fixture_bind(NULL, look);
	reroute(left, right, address);
	expect_decided();
	expect_sight(NFPROTO_BRIDGE, "forward", "br0", "br0");
	cr_assert_str_eq(sight.physin, "p1");
	cr_assert_str_eq(sight.physout, "p2");
	cr_assert(sight.hw_protocol == protocol, "protocol 0x%x", sight.hw_protocol);
	netns_free(left);
	netns_free(right);
	fixture_close();
}

Test(nft, bridge_ipv4)
{
	bridge("10.0.1.9", ETH_P_IP);
}

Test(nft, bridge_ipv6)
{
	bridge("fd00:0:0:1::9", ETH_P_IPV6);
}

/* Without a program the packet passes, and with `bypass` alone. */
Test(nft, bypass)
{
	open_with_rules(4, CHAIN("inet", "input", "udp dport 7000 queue flags bypass to 1"));
	udp_send(&fixture.udp, 1);
	fixture_expect(1, 1);
	fixture_bind(NULL, look);
	expect_decided();
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	udp_send(&fixture.udp, 3);
	fixture_expect(3, 1);
	netns_run(fixture.ns,
		  "nft 'flush table inet t; add rule inet t c udp dport 7000 queue to 1'");
	udp_send(&fixture.udp, 4);
	fixture_expect_nothing();
	fixture.unaccounted = "packets are not counted while no queue is bound";
	fixture_close();
}

/* The rules of the same chain, from its first on; other chains see the packet once. */
Test(nft, repeat)
{
	char *rules;

	open_with_rules(
		4,
		CHAIN("inet", "input",
		      "meta mark 7 counter accept") ";"
						    " add rule inet t c udp dport 7000 counter queue to 1;"
						    " add chain inet t before { type filter hook input priority -1; };"
						    " add rule inet t before udp dport 7000 counter");
	fixture_bind(NULL, repeat_marked);
	fixture_pass(1, 2);
	rules = netns_output(fixture.ns, "nft list table inet t");
	cr_assert(strstr(rules, "mark 0x00000007 counter packets 2 "), "%s", rules);
	cr_assert(strstr(rules, "dport 7000 counter packets 2 bytes 120 queue"), "%s", rules);
	cr_assert(strstr(rules, "dport 7000 counter packets 2 bytes 120\n"), "%s", rules);
	free(rules);
	fixture_close();
}

/* Flows are spread over the queues; each flow stays in one. */
Test(nft, balance)
{
	struct fixture queues[4] = { 0 };
	unsigned int sum = 0, used = 0;

	open_with_rules(4, CHAIN("inet", "input", "udp dport 7000 counter queue num 0-3"));
	for (unsigned int i = 0; i < 4; i++)
		expect_ok(fixture.sock, mnfq_queue_bind(&queues[i].queue, fixture.sock, i, NULL,
							count_packet, &queues[i]));
	for (unsigned int i = 1; i <= 32; i++) {
		char address[16];

		snprintf(address, sizeof(address), "127.0.%u.%u", i, i);
		reroute(fixture.ns, fixture.ns, address);
		udp_send_many(&fixture.udp, 0, 4);
		fixture_serve(4);
	}
	for (unsigned int i = 0; i < 4; i++) {
		cr_assert(queues[i].seen % 4 == 0, "a flow was torn apart");
		sum += queues[i].seen;
		used += queues[i].seen > 0;
	}
	cr_assert(sum == 128 && used > 1);
	fixture_close();
}
