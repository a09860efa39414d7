/* SPDX-License-Identifier: MIT */
/* Rules that send packets to queues, from the kernel's tables of iptables-legacy. */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "doctor/rules.h"

/* An entry of either family, from the fields behind its match on addresses on. */
struct entry {
	unsigned int target, next; /* offsets from its begin; what is between are matches */
	uint32_t hooks;            /* that lead there */
	uint64_t packets;
	char name[XT_EXTENSION_MAXNAMELEN + 1]; /* of the target */
	uint8_t revision;
	const uint8_t *data; /* of the target */
	size_t data_len;
};

#define OFFSETS_OF(type)                                                                         \
	{                                                                                        \
		offsetof(type, target_offset), offsetof(type, next_offset),                      \
			offsetof(type, comefrom), offsetof(type, counters), sizeof(type)         \
	}
static const struct offsets {
	size_t target, next, comefrom, counters, size;
} ip4_offsets = OFFSETS_OF(struct ipt_entry), ip6_offsets = OFFSETS_OF(struct ip6t_entry);

/* Copied, for nothing is known of its alignment. */
static bool parse_entry(struct entry *entry, const struct offsets *at, const uint8_t *bytes,
			size_t len)
{
	struct xt_entry_target target;
	struct xt_counters counters;
	uint16_t offset, next;

	if (len < at->size)
		return false;
	memcpy(&offset, bytes + at->target, sizeof(offset));
	memcpy(&next, bytes + at->next, sizeof(next));
	memcpy(&entry->hooks, bytes + at->comefrom, sizeof(entry->hooks));
	memcpy(&counters, bytes + at->counters, sizeof(counters));
	if (offset < at->size || next > len || offset + sizeof(target) > next)
		return false;
	memcpy(&target, bytes + offset, sizeof(target));
	memcpy(entry->name, target.u.user.name, XT_EXTENSION_MAXNAMELEN);
	entry->name[XT_EXTENSION_MAXNAMELEN] = '\0';
	entry->revision = target.u.user.revision;
	entry->packets = counters.pcnt;
	entry->target = offset;
	entry->next = next;
	entry->data = bytes + offset + sizeof(target);
	entry->data_len = next - offset - sizeof(target);
	return true;
}

/* The hook whose chain has this offset as its first or last entry, or -1. */
static int find_hook(const struct legacy_table *table, const uint32_t *offsets, size_t offset)
{
	for (int hook = 0; hook < 5; hook++)
		if ((table->hooks & 1u << hook) && offsets[hook] == offset)
			return hook;
	return -1;
}

/* At an entry of that kind begins a chain that the user has made. */
static bool begin_own_chain(struct queue_rule *at, const struct entry *entry)
{
	const size_t size =
		entry->data_len < sizeof(at->chain) - 1 ? entry->data_len : sizeof(at->chain) - 1;

	if (strcmp(entry->name, XT_ERROR_TARGET) != 0)
		return false;
	memcpy(at->chain, entry->data, size);
	at->chain[size] = '\0';
	return true;
}

/* The kernel follows a chain up to a rule that takes all packets, and notes at each one from which hooks it came. */
static int add_rule(struct rules *rules, struct queue_rule *at, const struct entry *entry)
{
	struct queue_rule rule = *at;

	at->hooks |= entry->hooks & 0x1f;
	rules->number++;
	if (strcmp(entry->name, "NFQUEUE") != 0 ||
	    !rules_parse_xt(&rule, entry->revision, entry->data, entry->data_len))
		return 0;
	rule.number = rules->number;
	rule.counted = true;
	rule.packets = entry->packets;
	rule.hooks = entry->hooks & 0x1f;
	rule.unreached = rule.hooks == 0;
	rule.shadowed = rule.unreached && at->hooks != 0;
	return rules_append(rules, &rule) || rules->too_many ? 0 : -ENOMEM;
}

/*
 * The chains of the hooks come first, each with its policy as the last entry; then those of the user, each with an
 * entry that has its name as the first, and one that returns as the last. Another such entry is the end.
 */
int rules_parse_legacy(struct rules *rules, const struct legacy_table *table, const void *entries,
		       size_t len)
{
	static const char *const chains[] = { "PREROUTING", "INPUT", "FORWARD", "OUTPUT",
					      "POSTROUTING" };
	const struct offsets *offsets =
		table->family == NFPROTO_IPV6 ? &ip6_offsets : &ip4_offsets;
	struct queue_rule at = { .source = RULE_LEGACY,
				 .family = table->family,
				 .at = CHAIN_UNKNOWN };
	struct entry entry = { 0 };
	bool own = false;
	int hook, err = 0;

	snprintf(at.table, sizeof(at.table), "%s", table->name);
	for (size_t i = 0; i < len && err == 0; i += entry.next) {
		if (!parse_entry(&entry, offsets, (const uint8_t *)entries + i, len - i))
			return -EBADMSG;
		hook = find_hook(table, table->entry, i);
		if (hook >= 0) {
			rules_end_chain(rules);
			snprintf(at.chain, sizeof(at.chain), "%s", chains[hook]);
			at.hooks = 0;
		}
		if (begin_own_chain(&at, &entry)) {
			/* The last entry of the chain before was no rule. */
			rules->number -= own && rules->number > 0;
			rules_end_chain(rules);
			at.hooks = 0;
			own = true;
		} else if (find_hook(table, table->underflow, i) < 0) {
			err = add_rule(rules, &at, &entry);
		}
	}
	rules_end_chain(rules);
	return err;
}
