/* SPDX-License-Identifier: MIT */
/* Conclusions about rules: whether somebody listens to their queues, and whether packets get to them. */
#include <inttypes.h>
#include <string.h>

#include "common/text.h"
#include "doctor/words.h"

/* What is written of a rule in each finding. */
struct described {
	char rule[WORDS_SIZE], queues[WORDS_SIZE], netns[WORDS_SIZE], show[WORDS_SIZE],
		drop[WORDS_SIZE], counter[64];
};

static void describe(struct described *text, const struct sight *sight,
		     const struct queue_rule *rule)
{
	format_rule(text->rule, rule);
	format_queues(text->queues, rule);
	format_netns(text->netns, sight);
	format_show(text->show, sight, rule);
	format_delete(text->drop, sight, rule);
	text->counter[0] = '\0';
	if (rule->counted)
		snprintf(text->counter, sizeof(text->counter), " (%" PRIu64 " %s so far)",
			 rule->packets, plural(rule->packets, "packet", "packets"));
}

static void report_unbound(const struct queue_rule *rule, const struct described *text,
			   struct findings *findings)
{
	struct finding *finding;

	if (rule->bypass) {
		finding = finding_cause(
			findings_add(findings, LEVEL_WARNING, "bypassed-queue", rule->first),
			"%.300s sends to %s, to which no program is bound: the kernel lets its packets "
			"pass unseen%s",
			text->rule, text->queues, text->counter);
		finding_remedy(finding,
			       "start the program that reads it, such as: mnfq dump -q %u%.220s",
			       rule->first, text->netns);
		return;
	}
	finding = finding_cause(
		findings_add(findings, LEVEL_ERROR, "unbound-queue", rule->first),
		"%.300s sends to %s, to which no program is bound: the kernel drops its packets%s",
		text->rule, text->queues, text->counter);
	finding_remedy(
		finding,
		"start the program that reads it, such as: mnfq dump -q %u%.220s; or remove "
		"the rule: %s; or give it %s",
		rule->first, text->netns, text->drop,
		rule->source == RULE_NFT ? "flags bypass" : "--queue-bypass");
}

/* The kernel chooses by the addresses of a packet: a part of the connections meets a missing one, and always. */
static void report_gap(const struct queue_rule *rule, uint16_t missing, unsigned int count,
		       const struct described *text, struct findings *findings)
{
	struct finding *finding = findings_add(
		findings, rule->bypass ? LEVEL_WARNING : LEVEL_ERROR, "balance-gap", missing);

	finding_cause(
		finding,
		"%.300s balances over %s, of which %u %s not bound, queue %u first: the kernel %s "
		"their share of the connections",
		text->rule, text->queues, count, plural(count, "is", "are"), missing,
		rule->bypass ? "lets pass unseen" : "drops");
	finding_remedy(
		finding,
		"bind all of them, as mnfq dump -q %u:%u%.220s does; or balance over those that "
		"are bound, in place of: %s",
		rule->first, rule->last, text->netns, text->show);
}

/* Returns how many of its queues are bound. */
static unsigned int check_listeners(const struct sight *sight, const struct queue_rule *rule,
				    const struct described *text, struct findings *findings)
{
	const unsigned int total = rule->last - rule->first + 1u;
	uint16_t missing = rule->first; /* the first one, if there are any */
	unsigned int bound = 0;

	for (size_t i = 0; i < sight->queues.count; i++) {
		const uint16_t num = sight->queues.rows[i].queue.num;

		bound += num >= rule->first && num <= rule->last;
		missing += num == missing;
	}
	if (rule->computed || sight->queues_error)
		return bound;
	if (bound == 0)
		report_unbound(rule, text, findings);
	else if (bound < total)
		report_gap(rule, missing, total - bound, text, findings);
	return bound;
}

static void report_unreached(const struct sight *sight, const struct queue_rule *rule,
			     const struct described *text, struct findings *findings)
{
	char chain[160], jump[WORDS_SIZE];
	struct finding *finding =
		findings_add(findings, LEVEL_WARNING, "unreached-rule", rule->first);

	quote_word(chain, sizeof(chain), rule->chain);
	finding_cause(finding, "%.300s never gets a packet: no chain of a hook leads to %s",
		      text->rule, chain);
	finding_remedy(finding, "let one lead there, such as: %s",
		       format_jump(jump, sight, rule));
}

static void report_silent(const struct queue_rule *rule, const struct described *text,
			  struct findings *findings)
{
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_NOTE, "no-packet", rule->first),
			"no packet has come to %.300s: it is in another namespace, chain or IP version than "
			"the traffic, or a rule in front of it decides",
			text->rule),
		"compare its counter and those of the rules around it: %s", text->show);
}

static void report_skipped(const struct queue_rule *rule, const struct described *text,
			   struct findings *findings)
{
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_NOTE, "accept-skips-rules", rule->first),
			"packets of %.300s that the program accepts skip the %u %s behind it: they go on "
			"with the next %s",
			text->rule, rule->behind, plural(rule->behind, "rule", "rules"),
			rule->source == RULE_NFT ? "base chain" : "table"),
		"move it behind those that must see the packets too; or have the program mark and repeat "
		"them (--verdict repeat --mark 1), and the rule leave out that mark: %s",
		text->show);
}

void check_rules(const struct sight *sight, struct findings *findings)
{
	struct described text;
	unsigned int bound;

	for (size_t i = 0; i < sight->rules.count; i++) {
		const struct queue_rule *rule = &sight->rules.list[i];

		if (!sight_wants_rule(sight, rule))
			continue;
		describe(&text, sight, rule);
		bound = check_listeners(sight, rule, &text, findings);
		if (rule->unreached)
			report_unreached(sight, rule, &text, findings);
		else if (bound > 0 && rule->counted && rule->packets == 0)
			report_silent(rule, &text, findings);
		if (bound > 0 && rule->behind > 0)
			report_skipped(rule, &text, findings);
	}
	if (sight->rules.too_many)
		finding_remedy(
			finding_cause(
				findings_add(findings, LEVEL_UNSEEN, "too-many-rules", -1),
				"only the first %d rules that send to queues were looked at",
				RULES_MAX),
			"replace them by fewer ones, with sets or --queue-balance");
}
