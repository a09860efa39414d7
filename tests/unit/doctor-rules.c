/* SPDX-License-Identifier: MIT */
/* mnfq doctor: rules from messages of nf_tables and from tables of iptables-legacy, and other files of the kernel. */
#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "doctor/network.h"
#include "doctor/rules.h"
#include "doctor/support.h"

static struct rules rules;

/* ---- messages of nf_tables -------------------------------------------------------------- */

#define SEQ 7

static _Alignas(8) char datagram[16384];
static size_t datagram_len;

static struct nlmsghdr *begin_message(uint16_t type, uint8_t family)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(datagram + datagram_len);
	struct nfgenmsg *extra = mnl_nlmsg_put_extra_header(header, sizeof(*extra));

	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	header->nlmsg_seq = SEQ;
	extra->nfgen_family = family;
	return header;
}

static void end_message(const struct nlmsghdr *header)
{
	datagram_len += NLMSG_ALIGN(header->nlmsg_len);
}

static void put_control(uint16_t type, int code)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(datagram + datagram_len);

	header->nlmsg_type = type;
	header->nlmsg_seq = SEQ;
	memcpy(mnl_nlmsg_put_extra_header(header, sizeof(code)), &code, sizeof(code));
	end_message(header);
}

static void put_chain(uint8_t family, const char *table, const char *chain, int hook)
{
	struct nlmsghdr *header = begin_message(NFT_MSG_NEWCHAIN, family);
	struct nlattr *nest;

	mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(header, NFTA_CHAIN_NAME, chain);
	if (hook >= 0) {
		nest = mnl_attr_nest_start(header, NFTA_CHAIN_HOOK);
		mnl_attr_put_u32(header, NFTA_HOOK_HOOKNUM, htobe32((uint32_t)hook));
		mnl_attr_nest_end(header, nest);
	}
	end_message(header);
}

static struct nlmsghdr *begin_rule(uint8_t family, const char *table, const char *chain,
				   struct nlattr **list)
{
	struct nlmsghdr *header = begin_message(NFT_MSG_NEWRULE, family);

	mnl_attr_put_strz(header, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(header, NFTA_RULE_CHAIN, chain);
	mnl_attr_put_u64(header, NFTA_RULE_HANDLE, htobe64(42));
	*list = mnl_attr_nest_start(header, NFTA_RULE_EXPRESSIONS);
	return header;
}

static void end_rule(struct nlmsghdr *header, struct nlattr *list)
{
	mnl_attr_nest_end(header, list);
	end_message(header);
}

/* An expression, whose data @put writes. */
static void put_expression(struct nlmsghdr *header, const char *name,
			   void (*put)(struct nlmsghdr *header, const void *arg), const void *arg)
{
	struct nlattr *element = mnl_attr_nest_start(header, NFTA_LIST_ELEM), *data;

	mnl_attr_put_strz(header, NFTA_EXPR_NAME, name);
	data = mnl_attr_nest_start(header, NFTA_EXPR_DATA);
	put(header, arg);
	mnl_attr_nest_end(header, data);
	mnl_attr_nest_end(header, element);
}

static void counter_data(struct nlmsghdr *header, const void *packets)
{
	mnl_attr_put_u64(header, NFTA_COUNTER_PACKETS, htobe64(*(const uint64_t *)packets));
}

static void put_counter(struct nlmsghdr *header, uint64_t packets)
{
	put_expression(header, "counter", counter_data, &packets);
}

/* Number, total and flags. */
static void queue_data(struct nlmsghdr *header, const void *arg)
{
	const uint16_t *numbers = arg;

	for (uint16_t i = 0; i < 3; i++)
		mnl_attr_put_u16(header, (uint16_t)(NFTA_QUEUE_NUM + i), htobe16(numbers[i]));
}

static void put_queue(struct nlmsghdr *header, uint16_t num, uint16_t total, uint16_t flags)
{
	put_expression(header, "queue", queue_data, (const uint16_t[]){ num, total, flags });
}

static void computed_data(struct nlmsghdr *header, const void *arg)
{
	(void)arg;
	mnl_attr_put_u32(header, NFTA_QUEUE_SREG_QNUM, htobe32(1));
}

struct target {
	const char *name;
	uint32_t revision;
	uint16_t numbers[4];
};

static void target_data(struct nlmsghdr *header, const void *arg)
{
	const struct target *target = arg;

	mnl_attr_put_strz(header, NFTA_TARGET_NAME, target->name);
	mnl_attr_put_u32(header, NFTA_TARGET_REV, htobe32(target->revision));
	mnl_attr_put(header, NFTA_TARGET_INFO, sizeof(target->numbers), target->numbers);
}

/* A rule of chain t c in family inet with a queue, and perhaps a counter in front of it or behind it. */
static void put_queue_rule(uint16_t num, uint16_t total, uint16_t flags, uint64_t before,
			   uint64_t behind)
{
	struct nlattr *list;
	struct nlmsghdr *header = begin_rule(NFPROTO_INET, "t", "c", &list);

	if (before)
		put_counter(header, before);
	put_queue(header, num, total, flags);
	if (behind)
		put_counter(header, behind);
	end_rule(header, list);
}

static void put_other_rule(const char *chain)
{
	struct nlattr *list;
	struct nlmsghdr *header = begin_rule(NFPROTO_INET, "t", chain, &list);

	put_counter(header, 5);
	end_rule(header, list);
}

static void put_target_rule(const struct target *target)
{
	struct nlattr *list;
	struct nlmsghdr *header = begin_rule(NFPROTO_IPV6, "filter", "INPUT", &list);

	put_counter(header, 9);
	put_expression(header, "target", target_data, target);
	end_rule(header, list);
}

static int parse(void)
{
	int result = rules_parse_list(&rules, datagram, datagram_len, SEQ);

	rules_end_chain(&rules);
	cr_assert_eq(rules_follow(&rules), 0);
	return result;
}

Test(doctor_rules, of_nft)
{
	put_chain(NFPROTO_INET, "t", "c", NF_INET_FORWARD);
	put_chain(NFPROTO_INET, "t", "d", NF_INET_LOCAL_IN);
	put_chain(NFPROTO_INET, "t", "no-hook", -1);
	put_other_rule("c");
	put_queue_rule(3, 4, NFT_QUEUE_FLAG_BYPASS, 8, 0);
	put_other_rule("c");
	put_queue_rule(9, 1, 0, 0, 8);
	put_other_rule("c");
	put_other_rule("d");
	put_control(NLMSG_DONE, 0);
	cr_assert_eq(parse(), 1, "the end");
	cr_assert_eq(rules.count, 2);
	cr_expect(rules.list[0].source == RULE_NFT && rules.list[0].family == NFPROTO_INET);
	cr_expect(rules.list[0].first == 3 && rules.list[0].last == 6 && rules.list[0].bypass);
	cr_expect(rules.list[0].counted && rules.list[0].packets == 8);
	cr_expect(rules.list[0].number == 2 && rules.list[0].handle == 42);
	cr_expect_eq(rules.list[0].behind, 2, "without the one to a queue, nor those of chain d");
	cr_expect(rules.list[0].hooks == 1u << NF_INET_FORWARD && !rules.list[0].unreached);
	cr_expect(rules.list[1].first == 9 && rules.list[1].last == 9 && !rules.list[1].bypass);
	cr_expect(!rules.list[1].counted, "a counter behind the queue counts nothing");
	cr_expect(rules.list[1].number == 4 && rules.list[1].behind == 1);
}

Test(doctor_rules, of_iptables_nft)
{
	put_target_rule(&(struct target){ "NFQUEUE", 3, { 5, 3, NFQ_FLAG_BYPASS } });
	put_target_rule(&(struct target){ "NFQUEUE", 0, { 6, 77, 77 } });
	put_target_rule(&(struct target){ "NFQUEUE", 1, { 7, 2, 77 } });
	put_target_rule(&(struct target){ "NFQUEUE", 4, { 8, 1, 0 } });
	put_target_rule(&(struct target){ "NFQUEUES", 3, { 9, 1, 0 } });
	put_target_rule(&(struct target){ "NFQUEUE", 3, { 65535, 2, 0 } });
	put_target_rule(&(struct target){ "NFQUEUE", 3, { 1, 0, 0 } });
	cr_assert_eq(parse(), 0);
	cr_assert_eq(rules.count, 3,
		     "no unknown revision, no other target, no range out of range");
	cr_expect(rules.list[0].source == RULE_IPTABLES_NFT && rules.list[0].packets == 9);
	cr_expect(rules.list[0].first == 5 && rules.list[0].last == 7 && rules.list[0].bypass);
	cr_expect(rules.list[1].first == 6 && rules.list[1].last == 6 && !rules.list[1].bypass);
	cr_expect(rules.list[2].first == 7 && rules.list[2].last == 8 && !rules.list[2].bypass);
}

/* ---- where packets get ------------------------------------------------------------------ */

struct verdict {
	int code;
	const char *chain;
};

static void verdict_data(struct nlmsghdr *header, const void *arg)
{
	const struct verdict *verdict = arg;
	struct nlattr *data, *nest;

	mnl_attr_put_u32(header, NFTA_IMMEDIATE_DREG, htobe32(NFT_REG_VERDICT));
	data = mnl_attr_nest_start(header, NFTA_IMMEDIATE_DATA);
	nest = mnl_attr_nest_start(header, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(header, NFTA_VERDICT_CODE, htobe32((uint32_t)verdict->code));
	if (verdict->chain)
		mnl_attr_put_strz(header, NFTA_VERDICT_CHAIN, verdict->chain);
	mnl_attr_nest_end(header, nest);
	mnl_attr_nest_end(header, data);
}

static void map_data(struct nlmsghdr *header, const void *arg)
{
	(void)arg;
	mnl_attr_put_u32(header, NFTA_LOOKUP_DREG, htobe32(NFT_REG_VERDICT));
}

static void no_data(struct nlmsghdr *header, const void *arg)
{
	(void)header;
	(void)arg;
}

/* Of a chain of table t, on all packets, or on those that a comparison leaves. */
static void put_verdict_rule(const char *chain, bool all, int code, const char *to)
{
	struct nlattr *list;
	struct nlmsghdr *header = begin_rule(NFPROTO_INET, "t", chain, &list);

	if (!all)
		put_expression(header, "cmp", no_data, NULL);
	put_counter(header, 5);
	put_expression(header, "immediate", verdict_data, &(struct verdict){ code, to });
	end_rule(header, list);
}

/* Base chains in and fwd, own ones a, b and c; the rule to a queue is in c. */
static void put_chains(void)
{
	static const char *const own[] = { "c", "a", "b" };

	put_chain(NFPROTO_INET, "t", "in", NF_INET_LOCAL_IN);
	for (size_t i = 0; i < 3; i++)
		put_chain(NFPROTO_INET, "t", own[i], -1);
	put_chain(NFPROTO_INET, "t", "fwd", NF_INET_FORWARD);
	put_chain(NFPROTO_INET, "other", "c", NF_INET_FORWARD);
}

/* What is known of that rule. */
static void expect_reached(uint32_t hooks, bool unreached, bool shadowed, const char *why)
{
	put_queue_rule(5, 1, 0, 1, 0);
	put_control(NLMSG_DONE, 0);
	cr_assert_eq(parse(), 1);
	cr_assert_eq(rules.count, 1);
	cr_expect_eq(rules.list[0].hooks, hooks, "%s: %x", why, rules.list[0].hooks);
	cr_expect_eq(rules.list[0].unreached, unreached, "%s", why);
	cr_expect_eq(rules.list[0].shadowed, shadowed, "%s", why);
	rules_free(&rules);
	datagram_len = 0;
	put_chains();
}

Test(doctor_rules, packets_get_there_along_jumps)
{
	put_chains();
	expect_reached(0, true, false, "no jump");
	put_verdict_rule("a", true, NFT_JUMP, "c");
	put_verdict_rule("b", true, NFT_GOTO, "a");
	expect_reached(0, true, false, "from where nothing leads");
	put_verdict_rule("a", false, NFT_JUMP, "c");
	put_verdict_rule("in", false, NFT_JUMP, "a");
	put_verdict_rule("fwd", true, NFT_GOTO, "c");
	expect_reached(1u << NF_INET_LOCAL_IN | 1u << NF_INET_FORWARD, false, false, "two ways");
	put_verdict_rule("c", false, NFT_JUMP, "a");
	put_verdict_rule("a", false, NFT_JUMP, "c");
	put_verdict_rule("fwd", true, NFT_JUMP, "a");
	expect_reached(1u << NF_INET_FORWARD, false, false, "a circle");
	put_verdict_rule("in", true, NFT_JUMP, "no-such");
	expect_reached(0, true, false, "to a chain that is gone");
}

Test(doctor_rules, packets_do_not_pass_a_rule_that_takes_all)
{
	put_chains();
	put_verdict_rule("in", false, NF_ACCEPT, NULL);
	put_verdict_rule("in", true, NFT_JUMP, "b");
	put_verdict_rule("in", true, NFT_CONTINUE, NULL);
	put_verdict_rule("in", true, NFT_BREAK, NULL);
	put_verdict_rule("in", true, NFT_JUMP, "c");
	expect_reached(1u << NF_INET_LOCAL_IN, false, false, "these take none, or not all");
	put_verdict_rule("in", true, NF_DROP, NULL);
	put_verdict_rule("in", true, NFT_JUMP, "c");
	expect_reached(0, true, false, "the jump is behind one");
	put_verdict_rule("in", true, NFT_JUMP, "c");
	put_verdict_rule("c", true, NFT_RETURN, NULL);
	expect_reached(1u << NF_INET_LOCAL_IN, true, true, "the rule is behind one");
	put_verdict_rule("a", true, NFT_RETURN, NULL);
	put_verdict_rule("c", false, NF_ACCEPT, NULL);
	put_verdict_rule("in", true, NFT_JUMP, "c");
	expect_reached(1u << NF_INET_LOCAL_IN, false, false, "each chain for itself");
	put_verdict_rule("c", true, NFT_RETURN, NULL);
	expect_reached(0, true, false, "behind one, where nothing leads");
}

/* Which chains a map has is not read. */
Test(doctor_rules, a_map_of_verdicts_may_lead_anywhere)
{
	struct nlattr *list;
	struct nlmsghdr *header;

	for (int reached = 0; reached < 2; reached++) {
		datagram_len = 0;
		put_chains();
		header = begin_rule(NFPROTO_INET, "t", reached ? "in" : "a", &list);
		put_expression(header, "lookup", map_data, NULL);
		end_rule(header, list);
		expect_reached(reached ? 1u << NF_INET_LOCAL_IN : 0, !reached, false, "a map");
	}
}

Test(doctor_rules, a_chain_that_is_not_listed)
{
	expect_reached(0, false, false, "nothing is known of it");
}

/* Then a way may lead over one that was left out. */
Test(doctor_rules, at_most_so_many_chains)
{
	char name[16];

	put_chain(NFPROTO_INET, "t", "c", -1);
	for (int i = 0; i <= 65536; i++) {
		cr_assert_eq(rules_parse_list(&rules, datagram, datagram_len, SEQ), 0);
		datagram_len = 0;
		snprintf(name, sizeof(name), "c%d", i);
		put_chain(NFPROTO_INET, i % 2 ? "t" : "u", name, -1);
	}
	datagram_len = 0;
	put_queue_rule(5, 1, 0, 1, 0);
	cr_assert_eq(parse(), 0);
	cr_assert_eq(rules.count, 1);
	cr_expect(!rules.list[0].unreached);
}

/* Such a name is that of no chain. */
Test(doctor_rules, a_rule_without_a_name)
{
	struct nlattr *list;
	struct nlmsghdr *header = begin_rule(0, "", "", &list);

	put_expression(header, "immediate", verdict_data, &(struct verdict){ NFT_JUMP, "c" });
	put_expression(header, "lookup", map_data, NULL);
	end_rule(header, list);
	header = begin_rule(0, "", "", &list);
	put_queue(header, 5, 1, 0);
	end_rule(header, list);
	cr_assert_eq(parse(), 0);
	cr_expect(rules.count == 1 && !rules.list[0].unreached);
}

/* Only of the same rule in the same place. */
Test(doctor_rules, what_has_come_since)
{
	struct rules before;

	for (int moved = 0; moved < 2; moved++) {
		datagram_len = 0;
		put_queue_rule(5, 1, 0, 7, 0);
		put_queue_rule(6, 1, 0, 9, 0);
		cr_assert_eq(parse(), 0);
		before = rules;
		rules = (struct rules){ 0 };
		datagram_len = 0;
		if (moved)
			put_queue_rule(4, 1, 0, 7, 0);
		put_queue_rule(5, 1, 0, 10, 0);
		put_queue_rule(6, 1, 0, 8, 0);
		cr_assert_eq(parse(), 0);
		rules_compare(&rules, &before);
		cr_expect_eq(rules.list[0].new, moved ? 0 : 3);
		cr_expect_eq(rules.list[1].new, 0, "its counter was set back, or it is another");
		rules_free(&before);
		rules_free(&rules);
	}
}

Test(doctor_rules, a_computed_queue_is_any)
{
	struct nlattr *list;
	struct nlmsghdr *header = begin_rule(NFPROTO_INET, "t", "c", &list);

	put_expression(header, "queue", computed_data, NULL);
	end_rule(header, list);
	cr_assert(parse() == 0 && rules.count == 1);
	cr_expect(rules.list[0].computed && rules.list[0].first == 0);
	cr_expect_eq(rules.list[0].last, UINT16_MAX);
}

Test(doctor_rules, lists_that_fail)
{
	put_control(NLMSG_ERROR, -EPERM);
	cr_expect_eq(parse(), -EPERM);
	datagram_len = 0;
	put_queue_rule(1, 1, 0, 0, 0);
	((struct nlmsghdr *)datagram)->nlmsg_flags = NLM_F_DUMP_INTR;
	cr_expect_eq(parse(), -EINTR);
	((struct nlmsghdr *)datagram)->nlmsg_flags = 0;
	((struct nlmsghdr *)datagram)->nlmsg_seq = SEQ - 1;
	cr_expect(parse() == 0 && rules.count == 0, "the answer to another question");
	((struct nlmsghdr *)datagram)->nlmsg_len = UINT32_MAX;
	cr_expect_eq(parse(), -EBADMSG);
	((struct nlmsghdr *)datagram)->nlmsg_len = 3;
	cr_expect_eq(parse(), -EBADMSG);
}

Test(doctor_rules, at_most_so_many)
{
	put_queue_rule(1, 1, 0, 0, 0);
	for (int i = 0; i <= RULES_MAX; i++)
		cr_assert_eq(rules_parse_list(&rules, datagram, datagram_len, SEQ), 0);
	cr_expect(rules.count == RULES_MAX && rules.too_many);
	rules_free(&rules);
	cr_expect(rules.count == 0 && !rules.list);
}

/* ---- tables of iptables-legacy ---------------------------------------------------------- */

static uint8_t blob[8192];
static size_t blob_len;

/* Returns its offset. */
static uint32_t put_entry(uint8_t family, const char *target, uint8_t revision, const void *data,
			  size_t len, uint64_t packets, unsigned int hooks)
{
	const size_t head =
		family == NFPROTO_IPV6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry);
	struct xt_entry_target at = { .u.user.revision = revision };
	struct xt_counters counters = { .pcnt = packets };
	const uint32_t begin = (uint32_t)blob_len;
	uint8_t *entry = blob + begin;
	uint16_t target_offset = (uint16_t)head, next;

	next = (uint16_t)(head + sizeof(at) + XT_ALIGN(len));
	at.u.user.target_size = (uint16_t)(sizeof(at) + XT_ALIGN(len));
	snprintf(at.u.user.name, sizeof(at.u.user.name), "%s", target);
	if (family == NFPROTO_IPV6) {
		struct ip6t_entry e = { .target_offset = target_offset,
					.next_offset = next,
					.comefrom = hooks,
					.counters = counters };
		memcpy(entry, &e, sizeof(e));
	} else {
		struct ipt_entry e = { .target_offset = target_offset,
				       .next_offset = next,
				       .comefrom = hooks,
				       .counters = counters };
		memcpy(entry, &e, sizeof(e));
	}
	memcpy(entry + head, &at, sizeof(at));
	memcpy(entry + head + sizeof(at), data, len);
	blob_len += next;
	return begin;
}

#define INPUT_BIT (1u << NF_INET_LOCAL_IN)

/* INPUT: queue 5, another rule, queue 6 to 8, a policy; chain "own", where nothing leads: queue 9, another, its end. */
static struct legacy_table put_table(uint8_t family)
{
	const struct xt_NFQ_info_v3 one = { 5, 1, 0 }, many = { 6, 3, NFQ_FLAG_BYPASS },
				    last = { 9, 1, 0 };
	const int accept = -NF_ACCEPT - 1, back = XT_RETURN;
	struct legacy_table table = { .name = "filter", .family = family, .hooks = INPUT_BIT };

	blob_len = 0;
	table.entry[NF_INET_LOCAL_IN] =
		put_entry(family, "NFQUEUE", 3, &one, sizeof(one), 12, INPUT_BIT);
	put_entry(family, "", 0, &accept, sizeof(accept), 0, INPUT_BIT);
	put_entry(family, "NFQUEUE", 3, &many, sizeof(many), 0, INPUT_BIT);
	table.underflow[NF_INET_LOCAL_IN] =
		put_entry(family, "", 0, &accept, sizeof(accept), 0, INPUT_BIT);
	put_entry(family, "ERROR", 0, "own\0own", 8, 0, 0);
	put_entry(family, "NFQUEUE", 3, &last, sizeof(last), 0, 0);
	put_entry(family, "", 0, &accept, sizeof(accept), 0, 0);
	put_entry(family, "", 0, &back, sizeof(back), 0, 0);
	put_entry(family, "ERROR", 0, "ERROR\0\0", 8, 0, 0);
	return table;
}

static void expect_table(uint8_t family)
{
	struct legacy_table table = put_table(family);

	cr_assert_eq(rules_parse_legacy(&rules, &table, blob, blob_len), 0);
	cr_assert_eq(rules.count, 3);
	cr_expect(rules.list[0].source == RULE_LEGACY && rules.list[0].family == family);
	cr_expect_str_eq(rules.list[0].table, "filter");
	cr_expect_str_eq(rules.list[0].chain, "INPUT");
	cr_expect(rules.list[0].first == 5 && rules.list[0].number == 1);
	cr_expect(rules.list[0].counted && rules.list[0].packets == 12);
	cr_expect_eq(rules.list[0].behind, 1, "neither the other queue nor the policy");
	cr_expect(rules.list[0].hooks == INPUT_BIT && !rules.list[0].unreached);
	cr_expect(rules.list[1].first == 6 && rules.list[1].last == 8 && rules.list[1].bypass);
	cr_expect(rules.list[1].number == 3 && rules.list[1].behind == 0);
	cr_expect_str_eq(rules.list[2].chain, "own");
	cr_expect(rules.list[2].unreached && rules.list[2].number == 1);
	cr_expect_eq(rules.list[2].behind, 1, "not the end of the chain");
}

Test(doctor_rules, of_legacy_v4)
{
	expect_table(NFPROTO_IPV4);
}

Test(doctor_rules, of_legacy_v6)
{
	expect_table(NFPROTO_IPV6);
}

/* A copy of that size, so that a sanitizer sees where it ends. */
Test(doctor_rules, a_legacy_table_that_is_cut)
{
	struct legacy_table table = put_table(NFPROTO_IPV4);

	for (size_t len = 0; len < blob_len; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		int err;

		memcpy(copy, blob, len);
		err = rules_parse_legacy(&rules, &table, copy, len);
		cr_assert(err == 0 || err == -EBADMSG);
		free(copy);
		rules_free(&rules);
	}
}

/* ---- other files ------------------------------------------------------------------------ */

static FILE *file_of(const char *text)
{
	return fmemopen((char *)text, strlen(text), "r");
}

Test(doctor_rules, what_the_kernel_has)
{
	FILE *symbols =
		file_of("ffffffff81f8a950 t nfqnl_enqueue_packet\n"
			"0000000000000000 t nfqueue_tg_v3_not\n"
			"0000000000000000 t nf_tables_newrule.llvm.77\n"
			"0000000000000000 t ctnetlink_glue_build\t[nf_conntrack_netlink]\n"
			"0000000000000000 t nfnetlink_rcv");
	FILE *modules = file_of("kernel/net/netfilter/xt_NFQUEUE.ko.xz: kernel/net/x.ko\n"
				"kernel/net/netfilter/nft_queues.ko:\n"
				"kernel/net/netfilter/nf_tables.ko:\n");
	struct support support = { 0 };

	support_read_files(&support, symbols, modules);
	cr_expect_eq(support.parts[PART_QUEUE], PRESENCE_LOADED);
	cr_expect_eq(support.parts[PART_XT], PRESENCE_MODULE);
	cr_expect_eq(support.parts[PART_NFT], PRESENCE_ABSENT);
	cr_expect_eq(support.parts[PART_NF_TABLES], PRESENCE_LOADED);
	cr_expect_eq(support.parts[PART_CONNTRACK], PRESENCE_LOADED);
	cr_expect_eq(support.parts[PART_NFNETLINK], PRESENCE_ABSENT, "that line was cut");
	cr_expect(support_is_asleep(&support));
	fclose(symbols);
	fclose(modules);
}

Test(doctor_rules, what_the_kernel_has_is_not_known)
{
	struct support support = { 0 };

	support_read_files(&support, NULL, NULL);
	for (int i = 0; i < PARTS; i++)
		cr_expect_eq(support.parts[i], PRESENCE_UNKNOWN);
	cr_expect(!support_is_asleep(&support));
}

Test(doctor_rules, packets_of_devices)
{
	char text[] =
		"Inter-|   Receive            |  Transmit\n"
		" face |bytes    packets errs |bytes    packets errs\n"
		"    lo:    6534      58    0    0    0     0          0         0     6534      "
		"58    0    0    0     0       0          0\n"
		"a:b: 1 18446744073709551000 0 0 0 0 0 0 1 7 0 0 0 0 0 0\n"
		"  cut: 1 2 3\n";
	FILE *file = fmemopen(text, strlen(text), "r");

	cr_expect_eq(network_count_devices(file), 18446744073709551000ull + 58 + 58 + 7);
	fclose(file);
}

Test(doctor_rules, counters_of_netstat)
{
	static const char text[] = "TcpExt: SyncookiesSent IPReversePathFilter Other\n"
				   "TcpExt: 1 18446744073709551615 3\n"
				   "IpExt: InNoRoutes InBcastPkts\nIpExt: 4";
	FILE *file = file_of(text);

	cr_expect_eq(network_sum_counters(file, (const char *[]){ "IPReversePathFilter", NULL }),
		     UINT64_MAX);
	rewind(file);
	cr_expect_eq(network_sum_counters(file, (const char *[]){ "InBcastPkts", NULL }), 0,
		     "its value was cut off");
	rewind(file);
	cr_expect_eq(network_sum_counters(file, (const char *[]){ "InNoRoutes", NULL }), 4);
	fclose(file);
}
