/* SPDX-License-Identifier: MIT */
/* capture/filter.c: filters of tcpdump on packets of queues, and what cannot be told from the bytes that are there. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#include "capture/filter-place.h"
#include "capture/filter.h"
#include "support/build.h"

static bool no_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

static struct build packet;
static struct filter *filter;
static char error[FILTER_ERROR_SIZE];

static void begin(void)
{
	if (!filter_supported)
		cr_skip_test("built without libpcap");
}

static void end(void)
{
	filter_free(filter);
	filter = NULL;
}

TestSuite(filter, .init = begin, .fini = end);

static void compile(const char *text)
{
	filter_free(filter);
	filter = filter_new(text, error);
	cr_assert(filter, "%s: %s", text, error);
}

/* In a build that has none, as tests/run does not have it, a filter is refused with the reason. */
Test(filter_support, what_is_missing_is_said)
{
	filter = filter_new("udp", error);
	cr_expect_eq(filter != NULL, filter_supported, "%s", error);
	if (!filter_supported)
		cr_expect_str_eq(error,
				 "this mnfq was built without libpcap, which filters need");
	filter_free(filter);
}

/* On the first @caplen bytes of what was built, which are all if it is 0. */
static enum filter_result run(size_t caplen, const char *l2hdr)
{
	struct mnfq_packet_info info = { .size = sizeof(info),
					 .payload = packet.p + packet.network,
					 .length = packet.len - packet.network,
					 .flags = MNFQ_INFO_LENGTH };
	struct mnfq_memory_options options = MNFQ_INIT(options);
	struct mnfq_packet *made;
	enum filter_result result;

	info.payload_len = caplen ? caplen : info.length;
	if (l2hdr) {
		info.family = NFPROTO_BRIDGE;
		info.hw_protocol = packet.family == AF_INET ? ETH_P_IP : ETH_P_IPV6;
		options.l2hdr = (const uint8_t *)l2hdr;
		options.l2hdr_len = 14;
	}
	cr_assert_eq(mnfq_packet_from_memory(&made, &info, &options), 0);
	no_memory = true; /* none is allocated for a packet */
	result = filter_run(filter, made);
	no_memory = false;
	mnfq_packet_free(made);
	return result;
}

#define ETHERNET "\2\0\0\0\0\2\2\0\0\0\0\1\x08\0"

Test(filter, packets_without_a_link_layer)
{
	compile("udp and dst 10.0.0.2");
	build(&packet, AF_INET, IPPROTO_UDP, 32);
	cr_expect_eq(run(0, NULL), FILTER_YES);
	build(&packet, AF_INET, IPPROTO_TCP, 32);
	cr_expect_eq(run(0, NULL), FILTER_NO);
	build(&packet, AF_INET6, IPPROTO_UDP, 32);
	cr_expect_eq(run(0, NULL), FILTER_NO);
	compile("udp and dst 2001:db8::2");
	cr_expect_eq(run(0, NULL), FILTER_YES);
	cr_expect(!filter_limits(filter));
}

/* As with tcpdump, which does not know the netmask of a capture either. */
Test(filter, without_a_netmask_broadcasts_are_those_to_all)
{
	compile("ip broadcast");
	build(&packet, AF_INET, IPPROTO_UDP, 32);
	cr_expect_eq(run(0, NULL), FILTER_NO);
	memset(packet.p + packet.network + 16, 0xff, 4);
	cr_expect_eq(run(0, NULL), FILTER_YES);
}

Test(filter, packets_of_bridges_have_addresses_of_the_link)
{
	build(&packet, AF_INET, IPPROTO_UDP, 32);
	compile("ether src 02:00:00:00:00:01 and udp");
	cr_expect_eq(run(0, ETHERNET), FILTER_YES);
	cr_expect_eq(run(0, NULL), FILTER_NO);
	cr_assert(filter_limits(filter));
	cr_expect(strstr(filter_limits(filter), "only match packets of bridges: "));
	compile("arp");
	cr_expect_eq(run(0, ETHERNET), FILTER_NO);
	cr_assert(filter_limits(filter), "no packet without a link layer is of ARP");
	cr_expect(strstr(filter_limits(filter), "bridges, and none of IP"));
}

/* Of each a frame is made. */
Test(filter, the_largest_packet_of_a_bridge)
{
	static uint8_t payload[MNFQ_COPY_RANGE_MAX] = { 0x45 };
	struct mnfq_packet_info info = { .size = sizeof(info),
					 .payload = payload,
					 .payload_len = sizeof(payload),
					 .length = sizeof(payload),
					 .flags = MNFQ_INFO_LENGTH | MNFQ_INFO_VLAN,
					 .vlan_protocol = ETH_P_8021Q,
					 .family = NFPROTO_BRIDGE,
					 .hw_protocol = ETH_P_IP };
	struct mnfq_memory_options options = MNFQ_INIT(options);
	struct mnfq_packet *made;

	options.l2hdr = (const uint8_t *)ETHERNET;
	options.l2hdr_len = 14;
	payload[sizeof(payload) - 1] = 7;
	cr_assert_eq(mnfq_packet_from_memory(&made, &info, &options), 0);
	compile("ether[65548] = 7");
	cr_expect_eq(filter_run(filter, made), FILTER_YES);
	mnfq_packet_free(made);
}

/* Of the ports there is nothing, so that it could be either. */
Test(filter, what_is_missing_is_no_mismatch)
{
	build(&packet, AF_INET, IPPROTO_UDP, 32);
	compile("udp port 65535");
	cr_expect_eq(run(0, NULL), FILTER_NO);
	cr_expect_eq(run(24, NULL), FILTER_NO);
	cr_expect_eq(run(20, NULL), FILTER_CUT);
	cr_expect_eq(run(20, ETHERNET), FILTER_CUT);
	compile("tcp port 65535");
	cr_expect_eq(run(20, NULL), FILTER_NO, "it is not TCP, whatever is missing");
	compile("not udp port 65535");
	cr_expect_eq(run(20, NULL), FILTER_CUT);
	compile("udp[1000] = 1");
	cr_expect_eq(run(0, NULL), FILTER_NO, "there is no such byte in the whole packet");
	compile("len > 59");
	cr_expect_eq(run(20, NULL), FILTER_YES, "that is its length, whatever was copied");
}

Test(filter, what_it_looks_at_is_known)
{
	size_t least, most;

	compile("icmp");
	filter_needs(filter, &least, &most);
	cr_expect(least == 10 && most == 10, "%zu %zu", least, most);
	compile("ip and udp port 53");
	filter_needs(filter, &least, &most);
	cr_expect(least == 24 && most == 64, "%zu %zu", least, most);
	compile("tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420");
	filter_needs(filter, &least, &most);
	cr_expect_eq(most, SIZE_MAX);
	compile("ether src 02:00:00:00:00:01");
	filter_needs(filter, &least, &most);
	cr_expect_eq(most, 0, "that is not of the payload: %zu", most);
}

Test(filter, errors_say_where)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
		{ "tcp prot 80", "syntax error at character 5: \"prot\"" },
		{ "tcp port 80 and and udp", "syntax error at character 17: \"and\"" },
		{ "udp port 53 )", "syntax error at character 13: \")\"" },
		{ "(tcp or (udp and port 5) foo", "syntax error at character 26: \"foo\"" },
		{ "tcp port", "syntax error: it ends too early" },
		{ "(tcp", "syntax error: it ends too early" },
		{ "tcp and port nowhere", "unknown port 'nowhere' at character 14: \"nowhere\"" },
		{ "net 10.0.0.1/8", "non-network bits set in \"10.0.0.1/8\" at character 5" },
		{ "port 99999", "illegal port number 99999" },
		{ "tcp and udp", "rejects all packets" },
		{ "inbound", "the hook of the rule decides" },
		{ "tcp \033[31m", "syntax error at character 5: \"\\x1b[31m\"" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		filter = filter_new(wrong[i].text, error);
		cr_expect(!filter, "%s", wrong[i].text);
		cr_expect(strstr(error, wrong[i].error), "%s: '%s' lacks '%s'", wrong[i].text,
			  error, wrong[i].error);
	}
}

/* Text of any length is searched in reasonable time. */
Test(filter, the_place_is_found_in_long_ones, .timeout = 60)
{
	static char text[4000];
	size_t len = 0;

	while (len < 3600)
		len += (size_t)sprintf(text + len, "port %zu or ", len % 1000);
	strcpy(text + len, "prot 5");
	filter = filter_new(text, error);
	cr_expect(!filter && strstr(error, "\"prot\""), "%s", error);
}

/* A parenthesis is a word, and needs no blank in front. */
Test(filter, the_place_is_found_among_parentheses, .timeout = 60)
{
	static char text[4000];

	memset(text, '(', sizeof(text) - 1);
	filter = filter_new(text, error);
	cr_expect(!filter && strstr(error, "syntax error"), "%s", error);
	memset(text, ')', sizeof(text) - 1);
	filter = filter_new(text, error);
	cr_expect(!filter && strstr(error, "syntax error at character 1: \")\""), "%s", error);
}
