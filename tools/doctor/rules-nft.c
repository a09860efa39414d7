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

static bool is_same_chain(const struct rule_chain *a, const struct rule_chain *b)
{
	return a->family == b->family && strcmp(a->table, b->table) == 0 &&
	       strcmp(a->chain, b->chain) == 0;
}

static int add_chain(struct rules *rules, uint8_t family, const struct nlattr **attrs)
{
	const struct nlattr *hook[ATTRIBUTES_MAX];
	struct rule_chain chain = { .family = family };
	struct rule_chain *grown;
	uint64_t number;

	split_nested(hook, attrs[NFTA_CHAIN_HOOK]);
	if (!get_name(attrs[NFTA_CHAIN_TABLE], chain.table) ||
	    !get_name(attrs[NFTA_CHAIN_NAME], chain.chain))
		return 0;
	rules->too_many_chains |= rules->chain_count == CHAINS_MAX;
	if (rules->too_many_chains)
		return 0;
	if (get(hook[NFTA_HOOK_HOOKNUM], 4, &number) && number < 32)
		chain.hooks = 1u << number;
	rules->sorted = false;
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

/* What a rule decides that sends to no queue. */
struct verdict {
	int code;         /* NFT_CONTINUE: nothing */
	bool is_map;      /* or that is looked up */
	bool conditional; /* not on all packets, as far as that is understood */
	char chain[RULE_NAME_SIZE];
};

static void parse_immediate(struct verdict *verdict, const struct nlattr *data)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX], *value[ATTRIBUTES_MAX];
	uint64_t reg, code;

	split_nested(attrs, data);
	if (!get(attrs[NFTA_IMMEDIATE_DREG], 4, &reg) || reg != NFT_REG_VERDICT)
		return;
	split_nested(value, attrs[NFTA_IMMEDIATE_DATA]);
	split_nested(attrs, value[NFTA_DATA_VERDICT]);
	if (!get(attrs[NFTA_VERDICT_CODE], 4, &code))
		return;
	verdict->code = (int)(uint32_t)code;
	if (!get_name(attrs[NFTA_VERDICT_CHAIN], verdict->chain))
		verdict->chain[0] = '\0';
}

static void parse_lookup(struct verdict *verdict, const struct nlattr *data)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX];
	uint64_t reg;

	split_nested(attrs, data);
	verdict->is_map |= get(attrs[NFTA_LOOKUP_DREG], 4, &reg) && reg == NFT_REG_VERDICT;
	verdict->conditional = true;
}

/* Returns whether the rule sends to a queue. A counter behind that counts nothing. */
static bool parse_expressions(struct queue_rule *rule, struct verdict *verdict,
			      const struct nlattr *list)
{
	const struct nlattr *attrs[ATTRIBUTES_MAX], *element;

	*verdict = (struct verdict){ .code = NFT_CONTINUE };
	if (!list)
		return false;
	mnl_attr_for_each_nested(element, list)
	{
		split_nested(attrs, element);
		if (is_text(attrs[NFTA_EXPR_NAME], "counter"))
			parse_counter(rule, attrs[NFTA_EXPR_DATA]);
		else if (is_text(attrs[NFTA_EXPR_NAME], "immediate"))
			parse_immediate(verdict, attrs[NFTA_EXPR_DATA]);
		else if (is_text(attrs[NFTA_EXPR_NAME], "lookup"))
			parse_lookup(verdict, attrs[NFTA_EXPR_DATA]);
		else if (is_text(attrs[NFTA_EXPR_NAME], "queue") &&
			 parse_nft_queue(rule, attrs[NFTA_EXPR_DATA]))
			return true;
		else if (is_text(attrs[NFTA_EXPR_NAME], "target") &&
			 parse_target(rule, attrs[NFTA_EXPR_DATA]))
			return true;
		else
			verdict->conditional = true;
	}
	return false;
}

/* What is behind a rule that takes all packets gets none, nor does the chain to which that jumps. */
static int follow_verdict(struct rules *rules, const struct verdict *verdict)
{
	const bool jumps = verdict->code == NFT_JUMP || verdict->code == NFT_GOTO;
	struct rule_chain to = { .family = rules->current.family };
	int err = 0;

	if (rules->taken || rules->at == CHAIN_UNKNOWN)
		return 0;
	rules->chains[rules->at].has_map |= verdict->is_map;
	if (jumps) {
		memcpy(to.table, rules->current.table, sizeof(to.table));
		memcpy(to.chain, verdict->chain, sizeof(to.chain));
		err = rules_add_jump(rules, rules->at, rules_find_chain(rules, &to));
	}
	rules->taken = !verdict->conditional && verdict->code != NFT_CONTINUE &&
		       verdict->code != NFT_BREAK && verdict->code != NFT_JUMP;
	return err;
}

/* The kernel dumps the rules of one chain after the other. */
static int add_nft_rule(struct rules *rules, uint8_t family, const struct nlattr **attrs)
{
	struct queue_rule rule = { .family = family };
	struct rule_chain chain = { .family = family };
	struct verdict verdict;

	if (!get_name(attrs[NFTA_RULE_TABLE], chain.table) ||
	    !get_name(attrs[NFTA_RULE_CHAIN], chain.chain))
		return 0;
	if (rules->number == 0 || !is_same_chain(&chain, &rules->current)) {
		rules_end_chain(rules);
		rules->current = chain;
		rules->at = rules_find_chain(rules, &chain);
	}
	rules->number++;
	rule.at = rules->at;
	rule.shadowed = rules->taken;
	if (!parse_expressions(&rule, &verdict, attrs[NFTA_RULE_EXPRESSIONS]))
		return follow_verdict(rules, &verdict);
	memcpy(rule.table, chain.table, sizeof(rule.table));
	memcpy(rule.chain, chain.chain, sizeof(rule.chain));
	rule.number = rules->number;
	(void)get(attrs[NFTA_RULE_HANDLE], 8, &rule.handle);
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
