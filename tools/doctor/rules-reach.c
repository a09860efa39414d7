/* SPDX-License-Identifier: MIT */
/* Which rules of nf_tables packets get to: from the chains with a hook, along the jumps of their rules. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "doctor/rules.h"

static int by_table(const struct rule_chain *a, const struct rule_chain *b)
{
	return a->family != b->family ? a->family - b->family : strcmp(a->table, b->table);
}

static int by_name(const void *a, const void *b)
{
	const struct rule_chain *left = a, *right = b;
	const int order = by_table(left, right);

	return order ? order : strcmp(left->chain, right->chain);
}

size_t rules_find_chain(struct rules *rules, const struct rule_chain *name)
{
	const struct rule_chain *found;

	if (!rules->sorted && rules->chain_count > 0)
		qsort(rules->chains, rules->chain_count, sizeof(*rules->chains), by_name);
	rules->sorted = true;
	found = rules->chain_count ? bsearch(name, rules->chains, rules->chain_count,
					     sizeof(*rules->chains), by_name)
				   : NULL;
	return found ? (size_t)(found - rules->chains) : CHAIN_UNKNOWN;
}

int rules_add_jump(struct rules *rules, size_t from, size_t to)
{
	struct rule_jump *grown;

	if (from == CHAIN_UNKNOWN || to == CHAIN_UNKNOWN)
		return 0;
	if ((rules->jump_count & (rules->jump_count - 1)) == 0) {
		grown = reallocarray(rules->jumps, rules->jump_count ? 2 * rules->jump_count : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		rules->jumps = grown;
	}
	rules->jumps[rules->jump_count++] = (struct rule_jump){ (uint32_t)from, (uint32_t)to };
	return 0;
}

/* ---- following -------------------------------------------------------------------------- */

/* Chains from which it is still to go on: each is there once. */
struct open_chains {
	uint32_t *list;
	size_t count;
};

static void reach(struct rules *rules, struct open_chains *open, size_t chain, uint32_t hooks)
{
	struct rule_chain *at = &rules->chains[chain];

	if ((at->reached | hooks) == at->reached)
		return;
	at->reached |= hooks;
	if (!at->open)
		open->list[open->count++] = (uint32_t)chain;
	at->open = true;
}

static int by_from(const void *a, const void *b)
{
	const struct rule_jump *left = a, *right = b;

	return left->from < right->from ? -1 : left->from > right->from;
}

/* The jumps of a chain, and the chains of a table, are beside each other. */
static void note_begins(struct rules *rules)
{
	struct rule_chain *chains = rules->chains;

	for (size_t i = 0; i < rules->chain_count; i++) {
		chains[i].table_begin = i > 0 && by_table(&chains[i - 1], &chains[i]) == 0
						? chains[i - 1].table_begin
						: i;
		chains[i].jumps_begin = rules->jump_count;
	}
	for (size_t i = rules->jump_count; i-- > 0;)
		chains[rules->jumps[i].from].jumps_begin = i;
}

/* A map of verdicts may lead to any chain of its table: which ones is not read. */
static void reach_table(struct rules *rules, struct open_chains *open, size_t chain)
{
	const uint32_t hooks = rules->chains[chain].reached;
	const size_t first = rules->chains[chain].table_begin;

	if ((rules->chains[first].mapped | hooks) == rules->chains[first].mapped)
		return;
	rules->chains[first].mapped |= hooks;
	for (size_t i = first; i < rules->chain_count && rules->chains[i].table_begin == first;
	     i++)
		reach(rules, open, i, hooks);
}

static void go_on(struct rules *rules, struct open_chains *open, size_t chain)
{
	rules->chains[chain].open = false;
	for (size_t i = rules->chains[chain].jumps_begin;
	     i < rules->jump_count && rules->jumps[i].from == chain; i++)
		reach(rules, open, rules->jumps[i].to, rules->chains[chain].reached);
	if (rules->chains[chain].has_map)
		reach_table(rules, open, chain);
}

static void note_reached(struct queue_rule *rule, const struct rule_chain *chain)
{
	rule->hooks = chain->reached;
	rule->unreached = !chain->reached || rule->shadowed;
	rule->shadowed &= chain->reached != 0;
}

int rules_follow(struct rules *rules)
{
	struct open_chains open = { 0 };

	if (rules->too_many_chains)
		return 0;
	open.list = calloc(rules->chain_count + 1, sizeof(*open.list));
	if (!open.list)
		return -ENOMEM;
	if (rules->jump_count > 0)
		qsort(rules->jumps, rules->jump_count, sizeof(*rules->jumps), by_from);
	note_begins(rules);
	for (size_t i = 0; i < rules->chain_count; i++)
		reach(rules, &open, i, rules->chains[i].hooks);
	while (open.count > 0)
		go_on(rules, &open, open.list[--open.count]);
	for (size_t i = 0; i < rules->count; i++)
		if (rules->list[i].at != CHAIN_UNKNOWN && rules->list[i].source != RULE_LEGACY)
			note_reached(&rules->list[i], &rules->chains[rules->list[i].at]);
	free(open.list);
	return 0;
}
