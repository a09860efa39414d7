/* SPDX-License-Identifier: MIT */
/* Conclusions about rules: whether somebody listens to their queues, and whether packets get to them. */
#include <inttypes.h>
#include <string.h>

#include "common/text.h"
#include "doctor/words.h"

/* What is written of a rule in each finding. */
struct described {
	char rule[WORDS_SIZE], queues[WORDS_SIZE];
	char show[WORDS_SIZE], words[WORDS_SIZE]; /* commands that print the chain, or the rule */
	const struct row *unfed;                  /* a queue to which no rule sends, or NULL */
};

static void describe(struct described *text, const struct sight *sight,
		     const struct queue_rule *rule)
{
	format_rule(text->rule, rule);
	format_queues(text->queues, rule->first, rule->last);
	format_show(text->show, sight, rule);
	format_spec(text->words, sight, rule);
}

/* ---- nobody listens --------------------------------------------------------------------- */

/* Where else the program may be, and what that asks for. */
struct lead {
	char cause[WORDS_SIZE], remedy[WORDS_SIZE];
};

/* One here that no rule sends to is likelier than one elsewhere, which may have nothing to do with the rule. */
static void follow(struct lead *lead, const struct sight *sight, const struct queue_rule *rule,
		   const struct row *unfed)
{
	const struct row *row = sight_find_elsewhere(sight, rule->first, rule->last);
	char text[WORDS_SIZE];

	*lead = (struct lead){ 0 };
	if (unfed) {
		format_owner(text, unfed);
		snprintf(lead->cause, sizeof(lead->cause),
			 "; %.200s is bound to queue %u, to which no rule sends", text,
			 unfed->queue.num);
		snprintf(lead->remedy, sizeof(lead->remedy),
			 "; or if the numbers are meant to be the same: have the rule send to "
			 "queue %u, or %.200s bind queue %u",
			 unfed->queue.num, text, rule->first);
	} else if (row) {
		snprintf(lead->cause, sizeof(lead->cause), "; elsewhere %.440s",
			 format_elsewhere(text, sight, row));
		snprintf(lead->remedy, sizeof(lead->remedy),
			 "; or if %s is meant for this rule: start it in this namespace",
			 sight_count_elsewhere(sight, row->queue.num) > 1 ? "one of these"
									  : "that program");
	}
}

/* iptables names a rule that is to be deleted by its number, which changes with each that is deleted before it. */
static const char *get_order(const struct sight *sight, const struct queue_rule *rule)
{
	unsigned int count = 0;

	for (size_t i = 0; i < sight->rules.count; i++) {
		const struct queue_rule *other = &sight->rules.list[i];

		count += other->source == rule->source && other->family == rule->family &&
			 strcmp(other->table, rule->table) == 0 &&
			 strcmp(other->chain, rule->chain) == 0;
	}
	return count > 1 && rule->source != RULE_NFT ? " (of several, the last one first)" : "";
}

/* What the counter counts are not only packets that were dropped: a program may have been bound before. */
static const char *format_counter(char out[64], const struct queue_rule *rule)
{
	out[0] = '\0';
	if (rule->counted && rule->packets == 0)
		strcpy(out, "; no packet has matched it so far");
	else if (rule->counted)
		snprintf(out, 64, "; %" PRIu64 " %s matched it so far", rule->packets,
			 plural(rule->packets, "packet has", "packets have"));
	return out;
}

static void report_unbound(const struct sight *sight, const struct queue_rule *rule,
			   const struct described *text, struct findings *findings)
{
	char dump[WORDS_SIZE], drop[WORDS_SIZE], counter[64];
	struct finding *finding =
		findings_add(findings, rule->bypass ? LEVEL_WARNING : LEVEL_ERROR,
			     rule->bypass ? "bypassed-queue" : "unbound-queue", rule->first);
	struct lead lead;

	follow(&lead, sight, rule, text->unfed);
	format_dump(dump, sight, rule->first, rule->last);
	finding_cause(finding,
		      "%.300s sends to %s, to which no program is bound: the kernel %s%s%.500s",
		      text->rule, text->queues,
		      rule->bypass ? "lets its packets pass unseen" : "drops its packets",
		      format_counter(counter, rule), lead.cause);
	if (rule->bypass)
		finding_remedy(finding, "start the program that reads it, such as: %s%.500s",
			       dump, lead.remedy);
	else
		finding_remedy(
			finding,
			"start the program that reads it, such as: %s; or remove the rule%s: %s; "
			"or replace it by one with %s, so that packets pass while no program is "
			"bound; this prints it: %s%.500s",
			dump, get_order(sight, rule), format_delete(drop, sight, rule),
			rule->source == RULE_NFT ? "flags bypass" : "--queue-bypass", text->words,
			lead.remedy);
}

/* ---- some are missing ------------------------------------------------------------------- */

#define GAPS_SHOWN 4
struct gaps {
	unsigned int missing, count; /* queues, and runs of them */
	struct {
		uint16_t first, last;
	} runs[GAPS_SHOWN];
};

static void add_gap(struct gaps *gaps, unsigned int begin, unsigned int end)
{
	if (begin >= end)
		return;
	gaps->missing += end - begin;
	if (gaps->count < GAPS_SHOWN) {
		gaps->runs[gaps->count].first = (uint16_t)begin;
		gaps->runs[gaps->count].last = (uint16_t)(end - 1);
	}
	gaps->count++;
}

static void find_gaps(struct gaps *gaps, const struct sight *sight, const struct queue_rule *rule)
{
	unsigned int next = rule->first;

	*gaps = (struct gaps){ 0 };
	for (size_t i = 0; i < sight->queues.count; i++) {
		const uint16_t num = sight->queues.rows[i].queue.num;

		if (num < rule->first || num > rule->last)
			continue;
		add_gap(gaps, next, num);
		next = num + 1u;
	}
	add_gap(gaps, next, rule->last + 1u);
}

/* "queues 0 and 2 to 3"; @commands: that bind them. */
static void format_gaps(char out[WORDS_SIZE], char commands[GAPS_SHOWN * WORDS_SIZE],
			const struct sight *sight, const struct gaps *gaps)
{
	char dump[WORDS_SIZE];
	size_t len =
		(size_t)snprintf(out, WORDS_SIZE, "%s", plural(gaps->missing, "queue", "queues"));
	size_t commands_len = 0;

	for (unsigned int i = 0; i < gaps->count && i < GAPS_SHOWN; i++) {
		const unsigned int first = gaps->runs[i].first, last = gaps->runs[i].last;

		len += (size_t)snprintf(out + len, WORDS_SIZE - len, "%s %u", i ? "," : "",
					first);
		if (last > first)
			len += (size_t)snprintf(out + len, WORDS_SIZE - len, " to %u", last);
		format_dump(dump, sight, (uint16_t)first, (uint16_t)last);
		commands_len += (size_t)snprintf(commands + commands_len, WORDS_SIZE, "%s%.500s",
						 i ? " & " : "", dump);
	}
	if (gaps->count > GAPS_SHOWN)
		snprintf(out + len, WORDS_SIZE - len, " and more, %u in all", gaps->missing);
}

/* The kernel chooses by the addresses of a packet: a part of the connections meets a missing one, and always. */
static void report_gaps(const struct sight *sight, const struct queue_rule *rule,
			const struct described *text, struct findings *findings)
{
	char missing[WORDS_SIZE], commands[GAPS_SHOWN * WORDS_SIZE] = "", counter[64];
	struct finding *finding;
	struct gaps gaps;

	find_gaps(&gaps, sight, rule);
	format_gaps(missing, commands, sight, &gaps);
	finding = findings_add(findings, rule->bypass ? LEVEL_WARNING : LEVEL_ERROR,
			       "balance-gap", gaps.runs[0].first);
	finding_cause(finding,
		      "%.300s balances over %s, but no program is bound to %.200s: the kernel %s "
		      "%s share of the connections%s",
		      text->rule, text->queues, missing,
		      rule->bypass ? "lets pass unseen" : "drops",
		      plural(gaps.missing, "its", "their"), format_counter(counter, rule));
	finding_remedy(
		finding,
		"bind %s as well, such as: %s; or replace the rule by one over queues that "
		"are bound; this prints it: %s",
		plural(gaps.missing, "it", "them"), commands, text->words);
}

static void check_listeners(const struct sight *sight, const struct queue_rule *rule,
			    const struct described *text, struct findings *findings)
{
	const unsigned int bound = sight_count_bound(sight, rule->first, rule->last);

	if (rule->computed || sight->queues_error)
		return;
	if (bound == 0)
		report_unbound(sight, rule, text, findings);
	else if (bound < rule->last - rule->first + 1u)
		report_gaps(sight, rule, text, findings);
}

/* ---- packets do not come, or do not go on ----------------------------------------------- */

static void report_unreached(const struct sight *sight, const struct queue_rule *rule,
			     const struct described *text, struct findings *findings)
{
	char chain[160], jump[WORDS_SIZE];
	struct finding *finding =
		findings_add(findings, LEVEL_WARNING, "unreached-rule", rule->first);

	if (rule->shadowed) {
		finding_cause(
			finding,
			"%.300s never gets a packet: a rule in front of it takes all packets "
			"of the chain",
			text->rule);
		finding_remedy(finding, "move it in front of that rule, to be seen with: %s",
			       text->show);
		return;
	}
	quote_word(chain, sizeof(chain), rule->chain);
	finding_cause(finding,
		      "%.300s never gets a packet: no %s chain leads to %s, or only behind a "
		      "rule that takes all packets",
		      text->rule, rule->source == RULE_NFT ? "base" : "built-in", chain);
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
		"compare the counters of the rules around it: %s", text->show);
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
		"them (--verdict repeat --mark 1), and the rule leave out that mark; the chain: %s",
		text->show);
}

/* Of those that a program listens to, or some. */
static void check_flow(const struct sight *sight, const struct queue_rule *rule,
		       const struct described *text, struct findings *findings)
{
	const bool bound = sight_count_bound(sight, rule->first, rule->last) > 0;

	if (bound)
		check_rule_loop(sight, rule, findings);
	if (rule->unreached)
		report_unreached(sight, rule, text, findings);
	else if (bound && rule->counted && rule->packets == 0)
		report_silent(rule, text, findings);
	if (bound && rule->behind > 0)
		report_skipped(rule, text, findings);
}

void check_rules(const struct sight *sight, struct findings *findings)
{
	const struct queue_rule *list = sight->rules.list;
	struct described text = { .unfed = sight_find_unfed(sight) };

	/* From the last one on: whoever runs the commands in this order deletes the right rules. */
	for (size_t i = sight->rules.count; i-- > 0;)
		if (sight_wants_rule(sight, &list[i])) {
			describe(&text, sight, &list[i]);
			check_listeners(sight, &list[i], &text, findings);
		}
	for (size_t i = 0; i < sight->rules.count; i++)
		if (sight_wants_rule(sight, &list[i])) {
			describe(&text, sight, &list[i]);
			check_flow(sight, &list[i], &text, findings);
		}
	if (sight->rules.too_many)
		finding_remedy(
			finding_cause(
				findings_add(findings, LEVEL_UNSEEN, "too-many-rules", -1),
				"only the first %d rules that send to queues were looked at",
				RULES_MAX),
			"replace them by fewer ones, with sets or --queue-balance");
}
