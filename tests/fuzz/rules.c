/* SPDX-License-Identifier: MIT */
/*
 * The rules that mnfq doctor reads, from any bytes. The first chooses: 0: datagrams of nf_tables, one in a piece;
 * 4 or 6: a table of iptables-legacy, before its entries the hooks it has (1), and where they begin and end (5 times
 * 2, each 2).
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>

#include "doctor/rules.h"

#define SEQ  1
#define HEAD 21u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_legacy(struct rules *rules, uint8_t family, const uint8_t *data, size_t size)
{
	struct legacy_table table = { .name = "filter", .family = family };
	uint16_t offsets[10];
	uint8_t *copy;

	if (size < HEAD)
		return;
	table.hooks = data[0];
	memcpy(offsets, data + 1, sizeof(offsets));
	for (int i = 0; i < 5; i++) {
		table.entry[i] = offsets[i];
		table.underflow[i] = offsets[5 + i];
	}
	copy = malloc(size - HEAD ? size - HEAD : 1); /* a sanitizer sees where it ends */
	if (!copy)
		return;
	memcpy(copy, data + HEAD, size - HEAD);
	(void)rules_parse_legacy(rules, &table, copy, size - HEAD);
	free(copy);
}

static void try_nft(struct rules *rules, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return;
	memcpy(copy, data, size);
	(void)rules_parse_list(rules, copy, size, SEQ);
	rules_end_chain(rules);
	(void)rules_follow(rules);
	free(copy);
}

static void check(const struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct queue_rule *rule = &rules->list[i];

		if (rule->first > rule->last || rule->number == 0 || rule->behind > 1u << 20 ||
		    strnlen(rule->table, RULE_NAME_SIZE) == RULE_NAME_SIZE ||
		    strnlen(rule->chain, RULE_NAME_SIZE) == RULE_NAME_SIZE)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rules rules = { 0 };

	if (size == 0)
		return 0;
	if (data[0] == 0)
		try_nft(&rules, data + 1, size - 1);
	else
		try_legacy(&rules, data[0] == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4, data + 1,
			   size - 1);
	check(&rules);
	rules_free(&rules);
	return 0;
}
