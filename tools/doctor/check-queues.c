/* SPDX-License-Identifier: MIT */
/* Conclusions about queues that are bound: their owners, what comes to them and waits in them. */
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter.h>

#include "common/text.h"
#include "doctor/words.h"

/* ---- what waits ------------------------------------------------------------------------- */

/* Nothing was decided while we looked. Since when that is so, the kernel does not keep. */
static bool is_stuck(const struct row *row)
{
	return row->compared && row->before.waiting > 0 && row->queue.waiting > 0 &&
	       sight_count_decided(row) == 0;
}

/* Returns whether nothing is decided at present. */
static bool check_waiting(const struct sight *sight, const struct row *row, char state,
			  struct findings *findings)
{
	const bool stopped = state == 'T' || state == 't';
	const char *packets = plural(row->queue.waiting, "packet waits", "packets wait");
	char owner[WORDS_SIZE];
	struct finding *finding = NULL;

	format_owner(owner, row);
	if (stopped) {
		finding = findings_add(findings, LEVEL_ERROR, "owner-stopped", row->queue.num);
		finding_cause(
			finding,
			"%.200s, which owns queue %u, is stopped: it decides nothing, %u %s",
			owner, row->queue.num, row->queue.waiting, packets);
		finding_remedy(finding,
			       state == 't' ? "let it go on in its debugger, or end it: kill %d"
					    : "let it go on: kill -CONT %d",
			       row->pid);
	} else if (is_stuck(row)) {
		finding = findings_add(findings, LEVEL_ERROR, "stuck-packets", row->queue.num);
		finding_cause(finding,
			      "%u %s in queue %u, and %.200s has decided none for %u ms at least",
			      row->queue.waiting, packets, row->queue.num, owner,
			      sight->queues.elapsed_ms);
		if (row->pid)
			finding_remedy(
				finding,
				"it must read its socket and answer each packet; see what it does "
				"instead: cat /proc/%d/stack; or end it, which drops them: kill %d",
				row->pid, row->pid);
		else
			finding_remedy(
				finding,
				"find the process that has the socket, which this one cannot see: "
				"run as root of the machine: mnfq stat --all-netns -q %u",
				row->queue.num);
	}
	return finding;
}

/* ---- all -------------------------------------------------------------------------------- */

/* In this mode, which each queue has until its program sets another one, nothing gets in, --queue-bypass or not. */
static void check_copy(const struct row *row, struct findings *findings)
{
	char owner[WORDS_SIZE];

	if (row->queue.copy_mode == MNFQ_COPY_NONE)
		finding_remedy(
			finding_cause(
				findings_add(findings, LEVEL_ERROR, "copy-none", row->queue.num),
				"%.200s has bound queue %u without a copy mode: the kernel "
				"drops all its packets",
				format_owner(owner, row), row->queue.num),
			"have the program set copy mode packet or meta, as mnfq dump --copy packet does");
}

/* A rule that is gone, or the verdict of another program has sent packets. */
static void report_fed(const struct row *row, struct findings *findings)
{
	char owner[WORDS_SIZE];

	finding_remedy(
		finding_cause(findings_add(findings, LEVEL_NOTE, "no-rule", row->queue.num),
			      "%u packets have come to queue %u of %.200s, but no rule of this "
			      "namespace sends there now",
			      row->queue.last_id, row->queue.num, format_owner(owner, row)),
		"nothing, if another program sends them by its verdict (mnfq dump: --verdict "
		"queue:%u); or add the rule again",
		row->queue.num);
}

/* The number of the rule or that of the program may be wrong. */
static void check_rule(const struct sight *sight, const struct row *row,
		       const struct queue_rule *unheard, struct findings *findings)
{
	char owner[WORDS_SIZE], enter[WORDS_SIZE], rule[WORDS_SIZE];
	struct finding *finding;

	if (!sight_is_unfed(sight, row->queue.num))
		return;
	if (row->queue.last_id > 0) {
		report_fed(row, findings);
		return;
	}
	finding = findings_add(findings, LEVEL_WARNING, "no-rule", row->queue.num);
	format_owner(owner, row);
	if (unheard)
		finding_remedy(
			finding_cause(
				finding,
				"%.200s is bound to queue %u, to which no rule of this namespace "
				"sends; %.300s sends to queue %u, to which no program is bound",
				owner, row->queue.num, format_rule(rule, unheard),
				unheard->first),
			"have that rule send to queue %u, or the program bind queue %u",
			row->queue.num, unheard->first);
	else
		finding_remedy(
			finding_cause(finding,
				      "%.200s is bound to queue %u, to which no rule of this "
				      "namespace sends",
				      owner, row->queue.num),
			"rules of other namespaces do not send here: add one, such as: "
			"%.220siptables -I INPUT -p icmp -j NFQUEUE --queue-num %u --queue-bypass",
			format_enter(enter, sight), row->queue.num);
}

/* All rules that send to the queue are of this version of IP: returns the last one, or NULL. */
static const struct queue_rule *find_only_family(const struct sight *sight, uint16_t num)
{
	const struct queue_rule *rule, *one = NULL;

	for (size_t i = 0; i < sight->rules.count; i++) {
		rule = &sight->rules.list[i];
		if (!rule_sends_to(rule, num))
			continue;
		if ((rule->family != NFPROTO_IPV4 && rule->family != NFPROTO_IPV6) ||
		    (one && one->family != rule->family))
			return NULL;
		one = rule;
	}
	return one;
}

/* Rules of iptables are of one version of IP: packets of the other one pass the queue by. */
static void check_families(const struct sight *sight, const struct row *row,
			   struct findings *findings)
{
	const struct queue_rule *rule = find_only_family(sight, row->queue.num);
	const bool v4 = rule && rule->family == NFPROTO_IPV4;
	const char *other = v4 ? "IPv6" : "IPv4", *command = v4 ? "ip6tables" : "iptables";
	char text[WORDS_SIZE];

	if (!rule || (!sight->has_queues && !sight->verbose) || !sight_knows_rules(sight) ||
	    !(v4 ? sight->now.has_v6 : sight->now.has_v4))
		return;
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_NOTE, "one-ip-version", row->queue.num),
			"only rules of %s send to queue %u, such as %.300s; this namespace has "
			"addresses of %s, too",
			v4 ? "IPv4" : "IPv6", row->queue.num, format_rule(text, rule), other),
		"if those of %s are to come as well: add the same rule by %s", other,
		rule->source == RULE_NFT ? "nft, or one in family inet" : command);
}

static const struct queue_rule *find_unheard(const struct sight *sight)
{
	for (size_t i = 0; i < sight->rules.count; i++)
		if (sight_is_unheard(sight, &sight->rules.list[i]))
			return &sight->rules.list[i];
	return NULL;
}

void check_queues(const struct sight *sight, struct findings *findings)
{
	const struct queue_rule *unheard = find_unheard(sight);
	const struct row *told = /* beside that rule, see check-rules.c */
		unheard && sight_wants_rule(sight, unheard) ? sight_find_unfed(sight) : NULL;

	for (size_t i = 0; i < sight->queues.count; i++) {
		const struct row *row = &sight->queues.rows[i];
		bool at_rest;

		if (row->queue.num < sight->first || row->queue.num > sight->last)
			continue;
		check_copy(row, findings);
		if (row != told)
			check_rule(sight, row, unheard, findings);
		check_families(sight, row, findings);
		check_queue_loop(sight, row, findings);
		at_rest = check_waiting(sight, row, sight->states[i], findings);
		check_losses(sight, row, at_rest, findings);
	}
}
