/* SPDX-License-Identifier: MIT */
/* The list of rules that send packets to queues. */
#include "doctor/rules.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/xt_NFQUEUE.h>

_Static_assert(sizeof(struct xt_NFQ_info_v3) == 6, "three numbers of 16 bits");

struct queue_rule *rules_append(struct rules *rules, const struct queue_rule *rule)
{
	struct queue_rule *grown;

	rules->too_many |= rules->count == RULES_MAX;
	if (rules->count == RULES_MAX)
		return NULL;
	if ((rules->count & (rules->count - 1)) == 0) {
		grown = reallocarray(rules->list, rules->count ? 2 * rules->count : 1,
				     sizeof(*grown));
		if (!grown)
			return NULL;
		rules->list = grown;
	}
	rules->list[rules->count] = *rule;
	return &rules->list[rules->count++];
}

void rules_end_chain(struct rules *rules)
{
	/* Of the rules behind, those are not counted which send to a queue themselves. */
	for (size_t i = rules->chain_begin; i < rules->count; i++) {
		struct queue_rule *rule = &rules->list[i];
		const size_t known = rule->number + (rules->count - 1 - i);

		rule->behind = rules->number > known ? (unsigned int)(rules->number - known) : 0;
	}
	rules->chain_begin = rules->count;
	rules->number = 0;
	rules->taken = false;
}

bool rules_parse_xt(struct queue_rule *rule, uint32_t revision, const void *data, size_t len)
{
	/* Revision 1 brought the second number, 2 and 3 the third. */
	const size_t count = revision == 0 ? 1 : revision == 1 ? 2 : 3;
	uint16_t numbers[3] = { 0, 1, 0 };

	if (revision > 3 || len < count * sizeof(numbers[0]))
		return false;
	memcpy(numbers, data, count * sizeof(numbers[0]));
	if (numbers[1] == 0 || numbers[0] + numbers[1] - 1 > UINT16_MAX)
		return false;
	rule->first = numbers[0];
	rule->last = (uint16_t)(numbers[0] + numbers[1] - 1);
	rule->bypass = numbers[2] & NFQ_FLAG_BYPASS;
	return true;
}

static bool is_same_rule(const struct queue_rule *a, const struct queue_rule *b)
{
	return a->source == b->source && a->family == b->family && a->handle == b->handle &&
	       a->number == b->number && a->first == b->first && a->last == b->last &&
	       strcmp(a->table, b->table) == 0 && strcmp(a->chain, b->chain) == 0;
}

void rules_compare(struct rules *rules, const struct rules *before)
{
	for (size_t i = 0; i < rules->count && i < before->count; i++) {
		struct queue_rule *rule = &rules->list[i];

		if (is_same_rule(rule, &before->list[i]) &&
		    rule->packets >= before->list[i].packets)
			rule->new = rule->packets - before->list[i].packets;
	}
}

void rules_free(struct rules *rules)
{
	free(rules->list);
	free(rules->chains);
	free(rules->jumps);
	*rules = (struct rules){ 0 };
}
