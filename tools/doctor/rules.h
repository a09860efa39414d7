/* SPDX-License-Identifier: MIT */
/*
 * The rules of a network namespace that send packets to queues, in the kernel's own words: messages of nf_tables,
 * which iptables-nft uses as well, and tables of iptables-legacy. The commands that print rules are no way to look
 * without a change: `nft -j` leaves out the queue of an iptables rule, iptables-nft-save makes the kernel load the
 * modules of extensions, and both load nf_tables where it is missing.
 */
#ifndef MNFQ_TOOLS_DOCTOR_RULES_H
#define MNFQ_TOOLS_DOCTOR_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RULE_NAME_SIZE 256 /* the kernel's NFT_NAME_MAXLEN */
#define RULES_MAX      4096

enum rule_source { RULE_LEGACY, RULE_IPTABLES_NFT, RULE_NFT };

struct queue_rule {
	enum rule_source source;
	uint8_t family;                                    /* NFPROTO_* */
	char table[RULE_NAME_SIZE], chain[RULE_NAME_SIZE]; /* any bytes */
	uint64_t handle;                                   /* nft */
	unsigned int number;                               /* within the chain: 1, 2, … */
	unsigned int behind; /* rules behind it there which send to no queue */
	uint16_t first, last;
	bool computed; /* by an expression: any queue */
	bool bypass;
	bool counted;
	uint64_t packets, new; /* new: by rules_compare() */
	uint32_t hooks;        /* bits 1 << NF_INET_*; 0: none, or not known */
	bool unreached;        /* no hook leads there, */
	bool shadowed; /* though one leads to the chain: a rule in front of it takes all packets */
	size_t at;     /* its chain among those of nf_tables, or CHAIN_UNKNOWN */
};

#define CHAIN_UNKNOWN SIZE_MAX

/** Does it send to this queue, as far as that is known? */
static inline bool rule_sends_to(const struct queue_rule *rule, uint16_t num)
{
	return num >= rule->first && num <= rule->last;
}

/** A chain of nf_tables. */
struct rule_chain {
	uint8_t family;
	char table[RULE_NAME_SIZE], chain[RULE_NAME_SIZE];
	uint32_t hooks; /* its own, a bit, or 0 */
	bool has_map;   /* of verdicts: it may lead anywhere in the table */

	/* By rules_follow(). */
	uint32_t reached, mapped; /* hooks that lead there; by a map, in the first of a table */
	size_t table_begin, jumps_begin; /* among chains and jumps */
	bool open;
};

struct rule_jump {
	uint32_t from, to;
};

struct rules {
	struct queue_rule *list;
	size_t count;
	bool too_many; /* the rest was left out */

	struct rule_chain *chains; /* of nf_tables */
	size_t chain_count;
	bool too_many_chains; /* the rest was left out: where packets get to is not known */
	bool sorted;
	struct rule_jump *
		jumps; /* between them; those behind a rule that takes all packets are left out */
	size_t jump_count;

	/* The chain that is being read. */
	size_t chain_begin;  /* its first in @list */
	unsigned int number; /* rules in it so far */
	bool taken;          /* one of them takes all packets */
	struct rule_chain current;
	size_t at;
};

/**
 * Take in a datagram of messages of nf_tables, of a list of chains, or then of rules, that was asked for with number
 * @seq. Malformed attributes are left out. Returns 0, 1 at the end of the list, -EINTR if it has changed meanwhile and
 * must be read again, -EBADMSG if it is malformed, -ENOMEM, or the kernel's answer.
 */
int rules_parse_list(struct rules *rules, const void *datagram, size_t len, uint32_t seq);

/** Find the chain that has the family, table and name of @name. Returns its index, or CHAIN_UNKNOWN. */
size_t rules_find_chain(struct rules *rules, const struct rule_chain *name);

/** One leads to another. Returns 0 or -ENOMEM. */
int rules_add_jump(struct rules *rules, size_t from, size_t to);

/** All lists of nf_tables have been read: find out which rules packets get to. Returns 0 or -ENOMEM. */
int rules_follow(struct rules *rules);

/** A chain has ended: what is behind its rules is known now. */
void rules_end_chain(struct rules *rules);

/** Add one. Returns NULL without memory, or if there are too many. */
struct queue_rule *rules_append(struct rules *rules, const struct queue_rule *rule);

/** What NFQUEUE of xtables has as its data, in revision @revision. Returns whether it is that. */
bool rules_parse_xt(struct queue_rule *rule, uint32_t revision, const void *data, size_t len);

/** Where the kernel's table of iptables-legacy has the entry of each hook, and its last one. */
struct legacy_table {
	const char *name;
	uint8_t family; /* NFPROTO_IPV4, NFPROTO_IPV6 */
	uint32_t hooks; /* those it has, bits */
	uint32_t entry[5], underflow[5];
};

/** Take in all entries of a table. Returns 0, -ENOMEM, or -EBADMSG from where they are malformed. */
int rules_parse_legacy(struct rules *rules, const struct legacy_table *table, const void *entries,
		       size_t len);

/** Count what has come to the rules since @before was read; 0 where rules have changed. */
void rules_compare(struct rules *rules, const struct rules *before);

void rules_free(struct rules *rules);

#endif
