/* SPDX-License-Identifier: MIT */
/* Rules that send packets to queues, from messages of nf_tables. */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include "doctor/rules.h"

#define CHAINS_MAX     65536
#define ATTRIBUTES_MAX 16

/* ---- attributes ------------------------------------------------------------------------- */

/* Those that are known, of which there may be more than one: the last. */
static void split(const struct nlattr *attrs[ATTRIBUTES_MAX], const void *data, size_t len)
{
	const char *at = data, *end = at + len;
	const struct nlattr *attr;

	memset(attrs, 0, ATTRIBUTES_MAX * sizeof(*attrs));
	for (attr = data; mnl_attr_ok(attr, (int)(end - (const char *)attr));
	     attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) < ATTRIBUTES_MAX)
			attrs[mnl_attr_get_type(attr)] = attr;
}

static void split_nested(const struct nlattr *attrs[ATTRIBUTES_MAX], const struct nlattr *nest)
{
	split(attrs, nest ? mnl_attr_get_payload(nest) : "",
	      nest ? mnl_attr_get_payload_len(nest) : 0);
}

/* Big endian, of up to 8 bytes. Returns whether it is there with this size. */
static bool get(const struct nlattr *attr, size_t size, uint64_t *value)
{
	const uint8_t *bytes;

	if (!attr || mnl_attr_get_payload_len(attr) != size)
		return false;
	bytes = mnl_attr_get_payload(attr);
	for (*value = 0; size > 0; size--)
		*value = *value << 8 | *bytes++;
	return true;
}

static bool get_name(const struct nlattr *attr, char out[RULE_NAME_SIZE])
{
	const size_t len = attr ? mnl_attr_get_payload_len(attr) : 0;

	if (len == 0 || len > RULE_NAME_SIZE ||
	    strnlen(mnl_attr_get_payload(attr), len) != len - 1)
		return false;
	memcpy(out, mnl_attr_get_payload(attr), len);
	return true;
}

static bool is_text(const struct nlattr *attr, const char *text)
{
	return attr && mnl_attr_get_payload_len(attr) == strlen(text) + 1 &&
	       memcmp(mnl_attr_get_payload(attr), text, strlen(text) + 1) == 0;
}

/* ---- chains ----------------------------------------------------------------------------- */

static bool is_same(const struct base_chain *a, const struct base_chain *b)
{
	return a->family == b->family && strcmp(a->table, b->table) == 0 &&
	       strcmp(a->chain, b->chain) == 0;
}

static int add_chain(struct rules *rules, uint8_t family, const struct nlattr **attrs)
{
	const struct nlattr *hook[ATTRIBUTES_MAX];
	struct base_chain chain = { .family = family };
	struct base_chain *grown;
	uint64_t number;

	split_nested(hook, attrs[NFTA_CHAIN_HOOK]);
	if (!get(hook[NFTA_HOOK_HOOKNUM], 4, &number) || number >= 32 ||
	    !get_name(attrs[NFTA_CHAIN_TABLE], chain.table) ||
	    !get_name(attrs[NFTA_CHAIN_NAME], chain.chain) || rules->chain_count == CHAINS_MAX)
		return 0;
	chain.hook = (uint32_t)number;
	if ((rules->chain_count & (rules->chain_count - 1)) == 0) {
		grown = reallocarray(rules->chains,
				     rules->chain_count ? 2 * rules->chain_count : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		rules->chains = grown;
	}
	rules->chains[rules->chain_count++] = chain;
	return 0;
}

static void find_base_hook(const struct rules *rules, struct queue_rule *rule)
{
	for (size_t i = 0; i < rules->chain_count; i++)
		if (is_same(&rules->chains[i], &rules->current))
			rule->hooks = 1u << rules->chains[i].hook;
}

/* ---- rules ------------------------------------------------------------------------------ */

static bool parse_nft_queue(struct queue_rule *rule, const struct nlattr *data)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX];
	uint64_t first = 0, total = 1, flags = 0;

	split_nested(attrs, data);
	rule->computed = attrs[NFTA_QUEUE_SREG_QNUM];
	if (!rule->computed && !get(attrs[NFTA_QUEUE_NUM], 2, &first))
		return false;
	(void)get(attrs[NFTA_QUEUE_TOTAL], 2, &total);
	(void)get(attrs[NFTA_QUEUE_FLAGS], 2, &flags);
	if (total == 0 || first + total - 1 > UINT16_MAX)
		return false;
	rule->source = RULE_NFT;
	rule->first = (uint16_t)first;
	rule->last = rule->computed ? UINT16_MAX : (uint16_t)(first + total - 1);
	rule->bypass = flags & NFT_QUEUE_FLAG_BYPASS;
	return true;
}

static bool parse_target(struct queue_rule *rule, const struct nlattr *data)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX];
	uint64_t revision;

	split_nested(attrs, data);
	rule->source = RULE_IPTABLES_NFT;
	return is_text(attrs[NFTA_TARGET_NAME], "NFQUEUE") &&
	       get(attrs[NFTA_TARGET_REV], 4, &revision) && attrs[NFTA_TARGET_INFO] &&
	       rules_parse_xt(rule, (uint32_t)revision,
			      mnl_attr_get_payload(attrs[NFTA_TARGET_INFO]),
			      mnl_attr_get_payload_len(attrs[NFTA_TARGET_INFO]));
}

static void parse_counter(struct queue_rule *rule, const struct nlattr *data)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX];

	split_nested(attrs, data);
	rule->counted |= get(attrs[NFTA_COUNTER_PACKETS], 8, &rule->packets);
}

/* Returns whether the rule sends to a queue. A counter behind that counts nothing. */
static bool parse_expressions(struct queue_rule *rule, const struct nlattr *list)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX], *element;

	if (!list)
		return false;
	mnl_attr_for_each_nested(element, list)
	{
		split_nested(attrs, element);
		if (is_text(attrs[NFTA_EXPR_NAME], "counter"))
			parse_counter(rule, attrs[NFTA_EXPR_DATA]);
		else if (is_text(attrs[NFTA_EXPR_NAME], "queue") &&
			 parse_nft_queue(rule, attrs[NFTA_EXPR_DATA]))
			return true;
		else if (is_text(attrs[NFTA_EXPR_NAME], "target") &&
			 parse_target(rule, attrs[NFTA_EXPR_DATA]))
			return true;
	}
	return false;
}

/* The kernel dumps the rules of one chain after the other. */
static int add_nft_rule(struct rules *rules, uint8_t family, const struct nlattr **attrs)
{
	struct queue_rule rule = { .family = family };
	struct base_chain chain = { .family = family };

	if (!get_name(attrs[NFTA_RULE_TABLE], chain.table) ||
	    !get_name(attrs[NFTA_RULE_CHAIN], chain.chain))
		return 0;
	if (!is_same(&chain, &rules->current)) {
		rules_end_chain(rules);
		rules->current = chain;
	}
	rules->number++;
	if (!parse_expressions(&rule, attrs[NFTA_RULE_EXPRESSIONS]))
		return 0;
	memcpy(rule.table, chain.table, sizeof(rule.table));
	memcpy(rule.chain, chain.chain, sizeof(rule.chain));
	rule.number = rules->number;
	(void)get(attrs[NFTA_RULE_HANDLE], 8, &rule.handle);
	find_base_hook(rules, &rule);
	return rules_append(rules, &rule) || rules->too_many ? 0 : -ENOMEM;
}

/* ---- messages --------------------------------------------------------------------------- */

static int parse_message(struct rules *rules, const struct nlmsghdr *header)
{
	const size_t begin = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
	const char *bytes = (const char *)header;
	const struct nlattr *attrs[ATTRIBUTES_MAX];
	uint8_t family;

	if (header->nlmsg_len < begin ||
	    NFNL_SUBSYS_ID(header->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return 0;
	family = ((const struct nfgenmsg *)(bytes + NLMSG_HDRLEN))->nfgen_family;
	split(attrs, bytes + begin, header->nlmsg_len - begin);
	if (NFNL_MSG_TYPE(header->nlmsg_type) == NFT_MSG_NEWCHAIN)
		return add_chain(rules, family, attrs);
	if (NFNL_MSG_TYPE(header->nlmsg_type) == NFT_MSG_NEWRULE)
		return add_nft_rule(rules, family, attrs);
	return 0;
}

static int parse_error(const struct nlmsghdr *header)
{
	int code;

	if (header->nlmsg_len < sizeof(*header) + sizeof(code))
		return -EBADMSG;
	memcpy(&code, header + 1, sizeof(code));
	return code < 0 && code > -4096 ? code : -EBADMSG;
}

int rules_parse_list(struct rules *rules, const void *datagram, size_t len, uint32_t seq)
{
	const struct nlmsghdr *header;
	int err = 0;

	for (size_t at = 0; at < len && len - at >= sizeof(*header) && err == 0;) {
		header = (const struct nlmsghdr *)((const char *)datagram + at);
		if (header->nlmsg_len < sizeof(*header) || header->nlmsg_len > len - at)
			return -EBADMSG;
		at += NLMSG_ALIGN((size_t)header->nlmsg_len);
		if (header->nlmsg_seq != seq)
			continue;
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			err = -EINTR;
		else if (header->nlmsg_type == NLMSG_DONE)
			err = 1;
		else if (header->nlmsg_type == NLMSG_ERROR)
			err = parse_error(header);
		else
			err = parse_message(rules, header);
	}
	return err;
}
