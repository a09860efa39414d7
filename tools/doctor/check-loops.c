/* SPDX-License-Identifier: MIT */
/* Conclusions about packets that come again and again: more of them than the namespace has seen. */
#include <inttypes.h>

#include "common/text.h"
#include "doctor/words.h"

#define LOOP_MIN  100 /* of fewer packets nothing is said */
#define TIMES_MAX 10  /* that a rule is met: from several hooks, or chains */
#define SEGMENTS  64  /* that the kernel makes of a packet in front of a queue */

/* Some are counted twice. */
static uint64_t count_seen(const struct sight *sight)
{
	return sight->now.packets - sight->before.packets;
}

/* @count: how many have come there meanwhile; @each: how often one may come at most. */
static bool is_loop(const struct sight *sight, uint64_t count, unsigned int each)
{
	/* A bridge makes a copy for each of its ports. */
	const uint64_t most =
		(uint64_t)each * TIMES_MAX * (sight->now.bridge[0] ? sight->now.devices + 1 : 1);

	return sight->before.counted && sight->now.counted &&
	       sight->now.packets >= sight->before.packets && count >= LOOP_MIN &&
	       count / most > count_seen(sight);
}

/* Both kinds have these words; @what: "rule … has matched 5 packets", or what has come to the queue. */
static struct finding *add_loop(struct findings *findings, const struct sight *sight,
				uint16_t queue, const char *what, const char *why)
{
	const uint64_t packets = count_seen(sight);

	return finding_cause(findings_add(findings, LEVEL_ERROR, "verdict-loop", queue),
			     "%.400s in %u ms, while at most %" PRIu64
			     " came in, went out or %s made here: %.400s",
			     what, sight->queues.elapsed_ms, packets,
			     plural(packets, "was", "were"), why);
}

/* @leave_out: a match that does so; @show: a command, or "". */
static void remedy_repeats(struct finding *finding, const char *leave_out, const char *show)
{
	finding_remedy(
		finding,
		"have the program mark what it repeats (mnfq dump: --verdict repeat --mark "
		"1), and the rule leave that mark out: add '%s' to it%s%s",
		leave_out, show[0] ? "; the chain: " : "", show);
}

void check_rule_loop(const struct sight *sight, const struct queue_rule *rule,
		     struct findings *findings)
{
	char text[WORDS_SIZE], what[WORDS_SIZE];

	if (!is_loop(sight, rule->new, 1))
		return;
	snprintf(what, sizeof(what), "%.300s has matched %" PRIu64 " packets",
		 format_rule(text, rule), rule->new);
	remedy_repeats(add_loop(findings, sight, rule->first, what,
				"its program repeats them (verdict repeat), and the rule matches "
				"them again"),
		       rule->source == RULE_NFT ? "meta mark != 1" : "-m mark ! --mark 1",
		       format_show(text, sight, rule));
}

/* Is that told of a rule? @uncounted: or could not be, as one has no counter. */
static bool has_loop(const struct sight *sight, uint16_t num, bool *uncounted)
{
	*uncounted = false;
	for (size_t i = 0; i < sight->rules.count; i++) {
		const struct queue_rule *rule = &sight->rules.list[i];

		if (!rule_sends_to(rule, num))
			continue;
		*uncounted |= !rule->counted;
		if (is_loop(sight, rule->new, 1))
			return true;
	}
	return false;
}

/* A packet that a verdict sends to another queue meets no rule. */
void check_queue_loop(const struct sight *sight, const struct row *row, struct findings *findings)
{
	const uint32_t count = sight_count_new(row);
	char owner[WORDS_SIZE], what[WORDS_SIZE], why[WORDS_SIZE];
	struct finding *finding;
	bool uncounted;

	if (!is_loop(sight, count, SEGMENTS) || has_loop(sight, row->queue.num, &uncounted))
		return;
	snprintf(what, sizeof(what), "%u packets have come to queue %u", count, row->queue.num);
	snprintf(why, sizeof(why), "%.200s %s", format_owner(owner, row),
		 uncounted ? "repeats them (verdict repeat), and a rule matches them again"
			   : "and other programs send them from queue to queue and back");
	finding = add_loop(findings, sight, row->queue.num, what, why);
	if (uncounted)
		remedy_repeats(finding, "meta mark != 1", "");
	else
		finding_remedy(finding, "have one of these programs accept or drop what another "
					"queue sends it");
}
