/* SPDX-License-Identifier: MIT */
/* Conclusions about queues that are bound: their owners, what waits in them, what they have lost. */
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter.h>

#include "common/text.h"
#include "doctor/words.h"

/* What a packet of 1,500 bytes takes of a receive buffer, and how many wait in a queue unless it is told otherwise. */
#define MESSAGE_SIZE 2304u
#define LENGTH       1024u

/* ---- what waits ------------------------------------------------------------------------- */

/* A packet whose message could not be delivered took a number, too. */
static uint32_t count_decided(const struct row *row)
{
	const struct mnfq_kernel_queue *now = &row->queue, *then = &row->before;

	return (now->last_id - then->last_id) - (now->user_dropped - then->user_dropped) -
	       (now->waiting - then->waiting);
}

/* Nothing was decided while we looked. Since when that is so, the kernel does not keep. */
static bool is_stuck(const struct row *row)
{
	return row->compared && row->before.waiting > 0 && row->queue.waiting > 0 &&
	       count_decided(row) == 0;
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
				"see what it does: cat /proc/%d/stack; it must read its socket and "
				"answer each packet. Ending it drops them: kill %d",
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

/* ---- packets that come again and again -------------------------------------------------- */

#define SEGMENTS 64 /* that the kernel makes of a packet in front of a queue */

static bool has_loop(const struct sight *sight, uint16_t num)
{
	for (size_t i = 0; i < sight->rules.count; i++) {
		const struct queue_rule *rule = &sight->rules.list[i];

		if (num >= rule->first && num <= rule->last && sight_is_loop(sight, rule->new, 1))
			return true;
	}
	return false;
}

/* Packets that came while we looked. */
static uint32_t count_new(const struct row *row)
{
	return row->compared ? row->queue.last_id - row->before.last_id : 0;
}

/* A packet that a verdict sends to another queue meets no rule. */
static void check_loop(const struct sight *sight, const struct row *row,
		       struct findings *findings)
{
	const uint32_t count = count_new(row);
	const uint64_t packets = sight_count_packets(sight);
	char owner[WORDS_SIZE];

	if (!sight_is_loop(sight, count, SEGMENTS) || has_loop(sight, row->queue.num))
		return;
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_ERROR, "verdict-loop", row->queue.num),
			"%u packets have come to queue %u in %u ms, while %" PRIu64
			" came in, went out or %s made here: %.200s and other programs send them "
			"from queue to queue and back",
			count, row->queue.num, sight->queues.elapsed_ms, packets,
			plural(packets, "was", "were"), format_owner(owner, row)),
		"have one of these programs accept or drop what another queue sends it");
}

/* ---- losses ----------------------------------------------------------------------------- */

/* How many of a counter, and whether some of them are new. */
struct loss {
	uint32_t total, new;
};

static struct loss get_loss(const struct row *row, uint32_t now, uint32_t before)
{
	return (struct loss){ now, row->compared ? now - before : 0 };
}

static struct finding *add_loss(struct findings *findings, const struct row *row,
				const char *name, struct loss loss, const char *why)
{
	char new[64] = "since it was bound";

	if (loss.new > 0)
		snprintf(new, sizeof(new), "%u of them just now", loss.new);
	return finding_cause(findings_add(findings, loss.new > 0 ? LEVEL_ERROR : LEVEL_WARNING,
					  name, row->queue.num),
			     "queue %u has lost %u %s, %s: %s", row->queue.num, loss.total,
			     plural(loss.total, "packet", "packets"), new, why);
}

/* What gets in takes a number. Of a length that was set to 0 later this says nothing. */
static void report_no_length(const struct row *row, struct loss loss, struct findings *findings)
{
	struct finding *finding =
		add_loss(findings, row, "queue-full", loss, "its length is 0, so none gets in");

	if (finding)
		finding->level = LEVEL_ERROR;
	finding_remedy(finding, "have its program set a length (mnfq dump: --max-len 1024)");
}

static void check_full(const struct row *row, bool at_rest, struct findings *findings)
{
	const struct loss loss =
		get_loss(row, row->queue.queue_dropped, row->before.queue_dropped);

	if (loss.total == 0)
		return;
	if (row->queue.last_id == 0)
		report_no_length(row, loss, findings);
	else if (at_rest)
		finding_remedy(
			add_loss(findings, row, "queue-full", loss,
				 "it was full, and at present nothing of it is decided"),
			"first have its program decide packets, see the other finding of queue %u",
			row->queue.num);
	else
		finding_remedy(
			add_loss(findings, row, "queue-full", loss,
				 "it was full, as packets came faster than they were decided"),
			"restart its program with a longer queue (mnfq dump: --max-len 8192), or "
			"have it accept what does not fit (--fail-open); or several queues "
			"(--queue-balance), or a rule that matches less");
}

static void check_buffer(const struct sight *sight, const struct row *row,
			 struct findings *findings)
{
	const struct loss loss = get_loss(row, row->queue.user_dropped, row->before.user_dropped);
	const uint64_t need = (uint64_t)LENGTH * MESSAGE_SIZE;

	if (loss.total == 0)
		return;
	finding_remedy(
		add_loss(findings, row, "buffer-full", loss,
			 "the receive buffer of its program was full"),
		"restart its program with a larger one (mnfq dump: --receive-buffer 67108864), or "
		"with smaller copies of packets (--copy packet:128)");
	if (sight->rmem_max == 0 || sight->rmem_max >= need)
		return;
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_WARNING, "rmem-max", row->queue.num),
			"net.core.rmem_max is %" PRIu64 " bytes, about %" PRIu64
			" packets of 1500 bytes, while a queue holds %u: a program "
			"without rights over the initial namespace gets no larger receive buffer",
			sight->rmem_max, sight->rmem_max / MESSAGE_SIZE, LENGTH),
		"sysctl -w net.core.rmem_max=8388608, and start the program anew");
}

/* Beyond packets: a socket loses acknowledgements as well. Its queues share the counter. */
static void check_socket(const struct sight *sight, const struct row *row,
			 struct findings *findings)
{
	uint64_t packets = 0;
	uint16_t first = row->queue.num;
	char owner[WORDS_SIZE];

	for (size_t i = sight->queues.count; i-- > 0;) {
		const struct row *other = &sight->queues.rows[i];

		if (other->queue.portid != row->queue.portid)
			continue;
		packets += other->queue.user_dropped;
		first = other->queue.num;
	}
	if (row->socket_drops <= packets || first != row->queue.num)
		return;
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_WARNING, "socket-losses", row->queue.num),
			"the socket of %.200s, which owns queue %u, has lost %" PRIu64
			" messages of the kernel besides packets of its queues (/proc/net/netlink): "
			"answers to its requests, or packets of queues it had before",
			format_owner(owner, row), row->queue.num, row->socket_drops - packets),
		"restart it with a larger receive buffer (mnfq dump: --receive-buffer 67108864)");
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

/* The number of the rule or that of the program may be wrong. */
static void check_rule(const struct sight *sight, const struct row *row,
		       const struct queue_rule *unheard, struct findings *findings)
{
	char owner[WORDS_SIZE], enter[WORDS_SIZE], rule[WORDS_SIZE];
	struct finding *finding;

	if (!sight_is_unfed(sight, row->queue.num) || count_new(row) > 0)
		return; /* or a program sends there, by a verdict */
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
			"add one, such as: %.220siptables -I INPUT -p icmp -j NFQUEUE --queue-num "
			"%u --queue-bypass; rules of other namespaces do not send here",
			format_enter(enter, sight), row->queue.num);
}

/* All rules that send to the queue are of this version of IP: returns the last one, or NULL. */
static const struct queue_rule *find_only_family(const struct sight *sight, uint16_t num)
{
	const struct queue_rule *rule, *one = NULL;

	for (size_t i = 0; i < sight->rules.count; i++) {
		rule = &sight->rules.list[i];
		if (num < rule->first || num > rule->last)
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
			"only packets of %s come to queue %u, as by %.300s; this namespace has "
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

	for (size_t i = 0; i < sight->queues.count; i++) {
		const struct row *row = &sight->queues.rows[i];
		bool at_rest;

		if (row->queue.num < sight->first || row->queue.num > sight->last)
			continue;
		check_copy(row, findings);
		check_rule(sight, row, unheard, findings);
		check_families(sight, row, findings);
		check_loop(sight, row, findings);
		at_rest = check_waiting(sight, row, sight->states[i], findings);
		check_full(row, at_rest, findings);
		check_buffer(sight, row, findings);
		check_socket(sight, row, findings);
	}
}
