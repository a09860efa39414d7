/* SPDX-License-Identifier: MIT */
/* Conclusions about the kernel and about rights: what cannot work at all, and what could not be seen. */
#include <errno.h>
#include <string.h>

#include "common/text.h"
#include "doctor/words.h"

static bool is_absent(const struct sight *sight, enum part part)
{
	return sight->support.parts[part] == PRESENCE_ABSENT;
}

static void add_absent(const struct sight *sight, struct findings *findings, enum level level,
		       enum part part, const char *what)
{
	char release[sizeof(sight->support.release) * 4];

	clean_text(release, sizeof(release), sight->support.release);
	finding_remedy(
		finding_cause(findings_add(findings, level, "kernel-support", -1),
			      "this kernel (%.200s) has no %s: %s", release, support_module(part),
			      what),
		"modprobe %s; or if there is no such module: install the kernel's package of extra "
		"modules, or boot another kernel",
		support_module(part));
}

/* What does not matter to the rules and queues at hand is only told if they are missing, or on demand. */
static void check_support(const struct sight *sight, struct findings *findings)
{
	const bool both = is_absent(sight, PART_XT) && is_absent(sight, PART_NFT);
	const bool more =
		sight->verbose || (sight->rules.count == 0 && sight->queues.count == 0 &&
				   !sight->nft_error && !sight->legacy_error);

	if (is_absent(sight, PART_QUEUE))
		add_absent(sight, findings, LEVEL_ERROR, PART_QUEUE,
			   "no program can bind a queue");
	if (both)
		add_absent(sight, findings, LEVEL_ERROR, PART_XT,
			   "and no nft_queue either, so no rule can send to a queue");
	else if (more && is_absent(sight, PART_XT))
		add_absent(sight, findings, LEVEL_NOTE, PART_XT,
			   "rules of iptables cannot send to a queue, those of nft can");
	else if (more && is_absent(sight, PART_NFT))
		add_absent(sight, findings, LEVEL_NOTE, PART_NFT,
			   "rules of nft cannot send to a queue, those of iptables can");
	if (sight->verbose && is_absent(sight, PART_CONNTRACK))
		add_absent(sight, findings, LEVEL_NOTE, PART_CONNTRACK,
			   "packets come without their connection (mnfq dump --conntrack)");
	if (!sight->support.gso)
		finding_remedy(
			finding_cause(findings_add(findings, LEVEL_WARNING, "kernel-support", -1),
				      "this kernel is older than 3.10: it has no GSO flag, and "
				      "segments large packets in front of a queue"),
			"boot a newer kernel");
	if (sight->verbose && sight->support.parts[PART_QUEUE] == PRESENCE_UNKNOWN)
		finding_remedy(
			finding_cause(findings_add(findings, LEVEL_UNSEEN, "kernel-support", -1),
				      "what this kernel can do is not to be seen: it lists no "
				      "symbols in /proc/kallsyms"),
			"mount /proc; see its configuration: zgrep -i nfqueue /proc/config.gz");
}

/* ---- rights ----------------------------------------------------------------------------- */

/* Without rights not even that is to be seen. */
static const char *format_name(char out[PLACE_NAME_SIZE + 4], const struct sight *sight)
{
	if (sight->name[0])
		return quote_word(out, PLACE_NAME_SIZE + 4, sight->name);
	strcpy(out, "this namespace");
	return out;
}

static void add_unseen(const struct sight *sight, struct findings *findings, const char *what,
		       int err, const char *why)
{
	char name[PLACE_NAME_SIZE + 4], netns[WORDS_SIZE];
	const bool rights = err == -EPERM || err == -EACCES;
	struct finding *finding;

	format_name(name, sight);
	finding = finding_cause(findings_add(findings, LEVEL_UNSEEN, "unseen", -1),
				"%s of %.260s were not seen: %.300s", what, name,
				rights ? "no right to look at them" : why);
	finding_remedy(finding, "%s: %smnfq doctor%.220s",
		       rights ? "run as root of that namespace" : "try again",
		       rights ? "sudo " : "", format_netns(netns, sight));
}

static void check_rights(const struct sight *sight, struct findings *findings)
{
	char netns[WORDS_SIZE], name[PLACE_NAME_SIZE + 4];

	if (!sight->has_rights)
		finding_remedy(
			finding_cause(
				findings_add(findings, LEVEL_WARNING, "no-rights", -1),
				"no CAP_NET_ADMIN over %.260s: this user can neither bind a queue "
				"nor decide its packets there",
				format_name(name, sight)),
			"run as root, or as the owner of the namespace: sudo mnfq doctor%.220s; a program "
			"gets that right by: setcap cap_net_admin+ep PROGRAM",
			format_netns(netns, sight));
	if (sight->queues_error)
		add_unseen(sight, findings, "queues", sight->queues_error, sight->queues_why);
	if (sight->legacy_error)
		add_unseen(sight, findings, "rules of iptables-legacy", sight->legacy_error,
			   strerror(-sight->legacy_error));
	if (sight->nft_error == -ENOSYS)
		add_unseen(
			sight, findings, "rules of nft and iptables-nft", -ENOSYS,
			"whether the kernel has nf_tables is not to be seen, and to ask would load it");
	else if (sight->nft_error)
		add_unseen(sight, findings, "rules of nft and iptables-nft", sight->nft_error,
			   strerror(-sight->nft_error));
}

/* ---- nothing ---------------------------------------------------------------------------- */

/* Who asks for a wrong number sees the right one. */
static const char *format_others(char out[2 * WORDS_SIZE], const struct sight *sight)
{
	const struct queue_rule *rule = sight->rules.count ? &sight->rules.list[0] : NULL;
	const struct row *row = sight->queues.count ? &sight->queues.rows[0] : NULL;
	char text[WORDS_SIZE], queues[WORDS_SIZE];
	int len = 0;

	out[0] = '\0';
	if (rule)
		len = snprintf(out, WORDS_SIZE, "; %.300s sends to %s", format_rule(text, rule),
			       format_queues(queues, rule->first, rule->last));
	if (row)
		snprintf(out + len, WORDS_SIZE, "; %.200s is bound to queue %u",
			 format_owner(text, row), row->queue.num);
	return out;
}

/* Whoever asks for a queue expects that there is one. */
static void check_nothing(const struct sight *sight, struct findings *findings)
{
	const struct row *row =
		sight->has_queues ? sight_find_elsewhere(sight, sight->first, sight->last) : NULL;
	char name[PLACE_NAME_SIZE + 4], queues[WORDS_SIZE], elsewhere[WORDS_SIZE];
	char others[2 * WORDS_SIZE], dump[WORDS_SIZE];
	struct finding *finding;

	for (size_t i = 0; i < sight->rules.count; i++)
		if (sight_wants_rule(sight, &sight->rules.list[i]))
			return;
	if (sight_count_bound(sight, sight->first, sight->last) > 0)
		return;
	if (sight->queues_error || sight->legacy_error || sight->nft_error)
		return;
	quote_word(name, sizeof(name), sight->name);
	finding = findings_add(findings, sight->has_queues ? LEVEL_ERROR : LEVEL_NOTE, "nothing",
			       sight->has_queues ? sight->first : -1);
	if (!sight->has_queues)
		finding_cause(
			finding,
			"in %.260s no program is bound to a queue, and no rule sends to one",
			name);
	else
		finding_cause(
			finding,
			"in %.260s no program is bound to %s, and no rule sends there%.700s%s%.400s",
			name, format_queues(queues, sight->first, sight->last),
			format_others(others, sight), row ? "; elsewhere " : "",
			row ? format_elsewhere(elsewhere, sight, row) : "");
	format_dump(dump, sight, sight->first, sight->first);
	if (row && row->pid)
		finding_remedy(finding, "look into that namespace: mnfq doctor -q %u -n %d",
			       row->queue.num, row->pid);
	else if (sight->has_queues)
		finding_remedy(
			finding,
			"look for the namespace where they are: mnfq stat --all-netns; or if "
			"another program sends packets there by its verdict (queue:%u), which "
			"the kernel drops now: %s",
			sight->first, dump);
	else
		finding_remedy(finding, "look for the namespace where they are: mnfq stat "
					"--all-netns; or look into one: mnfq doctor -n NETNS");
}

void check_kernel(const struct sight *sight, struct findings *findings)
{
	check_support(sight, findings);
	check_rights(sight, findings);
	check_nothing(sight, findings);
}
