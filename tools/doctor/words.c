/* SPDX-License-Identifier: MIT */
/* Rules, queues and owners in words, and commands about them. */
#include "doctor/words.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter.h>

#include "common/text.h"

/* ---- shell words ------------------------------------------------------------------------ */

#define WORD_MAX 100u /* so that no command is cut off, and then means something else */

/* A name that means itself in a shell, is no option and not too long; else what stands for it. */
static const char *shell_word(const char *text, const char *instead)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-.,:@%+=/";

	return *text && *text != '-' && !text[strspn(text, plain)] && strlen(text) <= WORD_MAX
		       ? text
		       : instead;
}

const char *format_enter(char out[WORDS_SIZE], const struct sight *sight)
{
	const char *word = sight->netns ? shell_word(sight->netns, "NETNS") : "";

	out[0] = '\0';
	if (*word && strchr(word, '/'))
		snprintf(out, WORDS_SIZE, "nsenter --net=%.200s ", word);
	else if (*word && !sight->netns_has_name && !word[strspn(word, "0123456789")])
		snprintf(out, WORDS_SIZE, "nsenter -t %.200s -n ", word);
	else if (*word)
		snprintf(out, WORDS_SIZE, "ip netns exec %.200s ", word);
	return out;
}

const char *format_netns(char out[WORDS_SIZE], const struct sight *sight)
{
	out[0] = '\0';
	if (sight->netns)
		snprintf(out, WORDS_SIZE, " -n %.200s", shell_word(sight->netns, "NETNS"));
	return out;
}

const char *format_dump(char out[WORDS_SIZE], const struct sight *sight, uint16_t first,
			uint16_t last)
{
	char netns[WORDS_SIZE], range[8] = "";

	if (last > first)
		snprintf(range, sizeof(range), ":%u", last);
	snprintf(out, WORDS_SIZE, "mnfq dump -q %u%s%.220s", first, range,
		 format_netns(netns, sight));
	return out;
}

/* ---- rules ------------------------------------------------------------------------------ */

static const char *get_family(const struct queue_rule *rule)
{
	switch (rule->family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "FAMILY";
	}
}

static const char *get_command(const struct queue_rule *rule)
{
	const bool v6 = rule->family == NFPROTO_IPV6;

	if (rule->source == RULE_LEGACY)
		return v6 ? "ip6tables-legacy" : "iptables-legacy";
	return v6 ? "ip6tables-nft" : "iptables-nft";
}

const char *format_rule(char out[WORDS_SIZE], const struct queue_rule *rule)
{
	char table[160], chain[160];

	quote_word(table, sizeof(table), rule->table);
	quote_word(chain, sizeof(chain), rule->chain);
	if (rule->source == RULE_NFT)
		snprintf(out, WORDS_SIZE, "rule %u of chain %s %s %s (nft)", rule->number,
			 get_family(rule), table, chain);
	else
		snprintf(out, WORDS_SIZE, "rule %u of %s in table %s (%s)", rule->number, chain,
			 table, get_command(rule));
	return out;
}

const char *format_queues(char out[WORDS_SIZE], uint16_t first, uint16_t last)
{
	if (first == last)
		snprintf(out, WORDS_SIZE, "queue %u", first);
	else
		snprintf(out, WORDS_SIZE, "queues %u to %u", first, last);
	return out;
}

const char *format_show(char out[WORDS_SIZE], const struct sight *sight,
			const struct queue_rule *rule)
{
	const char *table = shell_word(rule->table, "TABLE");
	const char *chain = shell_word(rule->chain, "CHAIN");
	char enter[WORDS_SIZE];

	format_enter(enter, sight);
	if (rule->source == RULE_NFT)
		snprintf(out, WORDS_SIZE, "%.220snft -a list chain %s %.130s %.130s", enter,
			 get_family(rule), table, chain);
	else
		snprintf(out, WORDS_SIZE, "%.220s%s -t %.64s -nvL %.130s --line-numbers", enter,
			 get_command(rule), table, chain);
	return out;
}

const char *format_spec(char out[WORDS_SIZE], const struct sight *sight,
			const struct queue_rule *rule)
{
	char enter[WORDS_SIZE];

	if (rule->source == RULE_NFT)
		return format_show(out, sight, rule);
	snprintf(out, WORDS_SIZE, "%.220s%s -t %.64s -S %.130s %u", format_enter(enter, sight),
		 get_command(rule), shell_word(rule->table, "TABLE"),
		 shell_word(rule->chain, "CHAIN"), rule->number);
	return out;
}

const char *format_delete(char out[WORDS_SIZE], const struct sight *sight,
			  const struct queue_rule *rule)
{
	const char *table = shell_word(rule->table, "TABLE");
	const char *chain = shell_word(rule->chain, "CHAIN");
	char enter[WORDS_SIZE];

	format_enter(enter, sight);
	if (rule->source == RULE_NFT)
		snprintf(out, WORDS_SIZE, "%.220snft delete rule %s %.110s %.110s handle %llu",
			 enter, get_family(rule), table, chain, (unsigned long long)rule->handle);
	else
		snprintf(out, WORDS_SIZE, "%.220s%s -t %.64s -D %.130s %u", enter,
			 get_command(rule), table, chain, rule->number);
	return out;
}

/* A chain with a hook in the table of the rule. */
static const char *find_base_chain(const struct sight *sight, const struct queue_rule *rule)
{
	for (size_t i = 0; i < sight->rules.chain_count; i++) {
		const struct rule_chain *chain = &sight->rules.chains[i];

		if (chain->hooks && chain->family == rule->family &&
		    strcmp(chain->table, rule->table) == 0)
			return chain->chain;
	}
	return "";
}

/* Tables filter and security have no PREROUTING. */
const char *format_jump(char out[WORDS_SIZE], const struct sight *sight,
			const struct queue_rule *rule)
{
	const bool input =
		strcmp(rule->table, "filter") == 0 || strcmp(rule->table, "security") == 0;
	const char *table = shell_word(rule->table, "TABLE");
	const char *chain = shell_word(rule->chain, "CHAIN");
	char enter[WORDS_SIZE];

	format_enter(enter, sight);
	if (rule->source == RULE_NFT)
		snprintf(out, WORDS_SIZE, "%.180snft insert rule %s %.100s %.100s jump %.100s",
			 enter, get_family(rule), table,
			 shell_word(find_base_chain(sight, rule), "BASE_CHAIN"), chain);
	else
		snprintf(out, WORDS_SIZE, "%.220s%s -t %.64s -I %s -j %.130s", enter,
			 get_command(rule), table, input ? "INPUT" : "PREROUTING", chain);
	return out;
}

/* ---- owners ----------------------------------------------------------------------------- */

const char *format_owner(char out[WORDS_SIZE], const struct row *row)
{
	char command[4 * sizeof(row->command) + 4];

	if (row->pid)
		snprintf(out, WORDS_SIZE, "%d/%s", row->pid,
			 quote_word(command, sizeof(command), row->command));
	else
		snprintf(out, WORDS_SIZE, "the socket with portid %u", row->queue.portid);
	return out;
}

const char *format_elsewhere(char out[WORDS_SIZE], const struct sight *sight,
			     const struct row *row)
{
	const unsigned int more = sight_count_elsewhere(sight, row->queue.num) - 1;
	char owner[WORDS_SIZE], name[PLACE_NAME_SIZE + 4], others[48] = "";

	if (more > 0)
		snprintf(others, sizeof(others), ", others in %u more", more);
	snprintf(out, WORDS_SIZE, "%.160s is bound to queue %u in namespace %.220s%s",
		 format_owner(owner, row), row->queue.num,
		 quote_word(name, sizeof(name), row->netns), others);
	return out;
}
