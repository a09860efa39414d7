/* SPDX-License-Identifier: MIT */
/* All that the doctor sees of a network namespace, before it draws conclusions. */
#ifndef MNFQ_TOOLS_DOCTOR_SIGHT_H
#define MNFQ_TOOLS_DOCTOR_SIGHT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "doctor/findings.h"
#include "doctor/rules.h"
#include "doctor/support.h"
#include "stat/place.h"
#include "stat/reading.h"

/** Settings and counters of the namespace's network. */
struct network {
	uint64_t reverse_path;    /* packets that rp_filter dropped so far */
	char strict[IF_NAMESIZE]; /* a device where it is strict; "": none */
	char bridge[IF_NAMESIZE]; /* a bridge; "": none */
	uint64_t packets; /* that came in, went out or were made here so far, some twice */
	unsigned int devices;
	bool counted;        /* is that known? */
	bool has_v4, has_v6; /* addresses by which other machines reach it */
	/* br_netfilter hands bridged packets to the hooks of IPv4 and IPv6 */
	bool bridge_calls_v4, bridge_calls_v6;
};

struct sight {
	/* What was asked for. */
	bool has_queues;
	uint16_t first, last;
	const char *netns;   /* NULL: our own */
	bool netns_has_name; /* it is below /run/netns, even if it looks like a process id */
	bool verbose;

	char name[PLACE_NAME_SIZE]; /* of the namespace */
	uint64_t inode;             /* of it */
	bool has_rights;            /* CAP_NET_ADMIN over it */
	struct support support;
	uint64_t rmem_max; /* 0: not known */

	int queues_error; /* a negative errno: they cannot be read, for the reason in @queues_why */
	char queues_why[PLACE_ERROR_SIZE];
	struct reading queues; /* compared with those before; in ascending order */
	char *states;          /* of their owners, as ps(1) has it; 0: not known */
	struct reading
		elsewhere; /* if one is missing here: those of all namespaces, as far as they can be seen */

	int nft_error, legacy_error; /* negative errnos: their rules cannot be read */
	struct rules rules;          /* compared with those before */

	struct network before, now;
};

/** What is the same in each namespace, but can only be seen in the initial one: call it before entering another. */
void sight_begin(struct sight *sight);

/** Then look at the namespace that the process is in for @ms milliseconds. Returns 0 or -ENOMEM. */
int sight_take(struct sight *sight, uint32_t ms);

void sight_free(struct sight *sight);

/** Does that rule send to queues that were asked for? */
bool sight_wants_rule(const struct sight *sight, const struct queue_rule *rule);

/** How many of the queues from @first to @last are bound. */
unsigned int sight_count_bound(const struct sight *sight, uint16_t first, uint16_t last);

/** The first of these queues that is bound in another namespace, or NULL. */
const struct row *sight_find_elsewhere(const struct sight *sight, uint16_t first, uint16_t last);

/** How many packets have come to a queue meanwhile; 0 if it is not compared. */
uint32_t sight_count_new(const struct row *row);

/** How many packets of a queue have got a verdict meanwhile; it must be compared. */
uint32_t sight_count_decided(const struct row *row);

/** Were all rules seen? */
bool sight_knows_rules(const struct sight *sight);

/** In how many other namespaces this queue is bound. */
unsigned int sight_count_elsewhere(const struct sight *sight, uint16_t num);

/** The first queue that is bound, to which no rule sends and no packet has come by a verdict, or NULL. */
const struct row *sight_find_unfed(const struct sight *sight);

/** Is it known that no rule of the namespace sends to this queue? */
bool sight_is_unfed(const struct sight *sight, uint16_t num);

/** Is it known that none of the queues is bound which the rule sends to? */
bool sight_is_unheard(const struct sight *sight, const struct queue_rule *rule);

/* ---- conclusions, each about a subject ---- */

void check_kernel(const struct sight *sight, struct findings *findings);
void check_rules(const struct sight *sight, struct findings *findings);
void check_queues(const struct sight *sight, struct findings *findings);
/** Do packets come again and again, to a rule or, if that is not told of a rule, to a queue? */
void check_rule_loop(const struct sight *sight, const struct queue_rule *rule,
		     struct findings *findings);
void check_queue_loop(const struct sight *sight, const struct row *row,
		      struct findings *findings);

/** Of one queue. @at_rest: none of its packets is decided at present, which is said elsewhere. */
void check_losses(const struct sight *sight, const struct row *row, bool at_rest,
		  struct findings *findings);
void check_network(const struct sight *sight, struct findings *findings);

#endif
