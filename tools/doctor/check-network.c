/* SPDX-License-Identifier: MIT */
/* Conclusions about settings of the network which keep packets from rules. */
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter.h>

#include "common/text.h"
#include "doctor/words.h"

/* Behind routing, where rp_filter drops. */
#define ROUTED (1u << NF_INET_LOCAL_IN | 1u << NF_INET_FORWARD)

/* The first rule that was asked for of these families which got no packet; @hooks: of those, if its own are known. */
static const struct queue_rule *find_silent(const struct sight *sight, const uint8_t *families,
					    size_t count, uint32_t hooks)
{
	for (size_t i = 0; i < sight->rules.count; i++) {
		const struct queue_rule *rule = &sight->rules.list[i];

		if (!memchr(families, rule->family, count) || !sight_wants_rule(sight, rule))
			continue;
		if (rule->counted && rule->packets == 0 && !rule->unreached &&
		    (rule->hooks == 0 || (rule->hooks & hooks)))
			return rule;
	}
	return NULL;
}

/* It says nothing of the packets that it drops but their number. */
static void check_reverse_path(const struct sight *sight, struct findings *findings)
{
	static const uint8_t families[] = { NFPROTO_IPV4, NFPROTO_INET };
	const struct queue_rule *rule = find_silent(sight, families, sizeof(families), ROUTED);
	const uint64_t total = sight->now.reverse_path;
	char text[WORDS_SIZE], enter[WORDS_SIZE], name[4 * IF_NAMESIZE + 4];

	if (!rule || !sight->now.strict[0] || total == 0)
		return;
	finding_remedy(
		finding_cause(findings_add(findings, LEVEL_WARNING, "rp-filter", rule->first),
			      "rp_filter has dropped %" PRIu64
			      " %s that came in by another device than the way back (%" PRIu64
			      " just now); no packet has come to %.300s",
			      total, plural(total, "packet", "packets"),
			      total - sight->before.reverse_path, format_rule(text, rule)),
		"if they should pass: %.220ssysctl -w net.ipv4.conf.all.rp_filter=2 (strict on %s); or "
		"have the rule in table raw or mangle, chain PREROUTING, which comes before",
		format_enter(enter, sight), quote_word(name, sizeof(name), sight->now.strict));
}

/* Without br_netfilter what a bridge forwards does not meet rules of IP; with it IP does not meet those of bridges. */
static void check_bridge(const struct sight *sight, struct findings *findings)
{
	static const uint8_t v4[] = { NFPROTO_IPV4, NFPROTO_INET },
			     v6[] = { NFPROTO_IPV6, NFPROTO_INET }, bridge[] = { NFPROTO_BRIDGE };
	const struct queue_rule *rule = NULL;
	char text[WORDS_SIZE], enter[WORDS_SIZE], name[4 * IF_NAMESIZE + 4];

	format_enter(enter, sight);
	if (!sight->now.bridge_calls_v4)
		rule = find_silent(sight, v4, sizeof(v4), 1u << NF_INET_FORWARD);
	if (!rule && !sight->now.bridge_calls_v6)
		rule = find_silent(sight, v6, sizeof(v6), 1u << NF_INET_FORWARD);
	if (rule && sight->now.bridge[0])
		finding_remedy(
			finding_cause(
				findings_add(findings, LEVEL_WARNING, "br-netfilter-off",
					     rule->first),
				"packets that bridge %s forwards do not pass the rules of IP, since "
				"br_netfilter is off; no packet has come to %.300s",
				quote_word(name, sizeof(name), sight->now.bridge),
				format_rule(text, rule)),
			"modprobe br_netfilter; %.220ssysctl -w net.bridge.bridge-nf-call-iptables=1 "
			"net.bridge.bridge-nf-call-ip6tables=1; or a rule of nft, family bridge",
			enter);
	if (!sight->now.bridge_calls_v4 && !sight->now.bridge_calls_v6)
		return;
	rule = find_silent(sight, bridge, sizeof(bridge), ~0u);
	if (rule)
		finding_remedy(
			finding_cause(
				findings_add(findings, LEVEL_WARNING, "br-netfilter-on",
					     rule->first),
				"br_netfilter hands IP packets of bridges to the rules of IP; no packet "
				"has come to %.300s",
				format_rule(text, rule)),
			"%.220ssysctl -w net.bridge.bridge-nf-call-iptables=0 "
			"net.bridge.bridge-nf-call-ip6tables=0; or have the rule in family inet",
			enter);
}

void check_network(const struct sight *sight, struct findings *findings)
{
	check_reverse_path(sight, findings);
	check_bridge(sight, findings);
}
