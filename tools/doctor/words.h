/* SPDX-License-Identifier: MIT */
/* Rules, queues and owners in words, and commands about them that are safe to copy into a shell. */
#ifndef MNFQ_TOOLS_DOCTOR_WORDS_H
#define MNFQ_TOOLS_DOCTOR_WORDS_H

#include "doctor/sight.h"

#define WORDS_SIZE 512

/** "rule 2 of INPUT in table filter (iptables-legacy)". Each of these returns @out. */
const char *format_rule(char out[WORDS_SIZE], const struct queue_rule *rule);

/** "queue 5", "queues 5 to 7". */
const char *format_queues(char out[WORDS_SIZE], uint16_t first, uint16_t last);

/** "4711/mnfq", or the portid if no process is visible. */
const char *format_owner(char out[WORDS_SIZE], const struct row *row);

/** "4711/mnfq is bound to queue 5 in namespace blue", and in how many others. */
const char *format_elsewhere(char out[WORDS_SIZE], const struct sight *sight,
			     const struct row *row);

/** A command that shows the rule and those around it, one that prints it to be replaced, or one that deletes it. */
const char *format_show(char out[WORDS_SIZE], const struct sight *sight,
			const struct queue_rule *rule);
const char *format_spec(char out[WORDS_SIZE], const struct sight *sight,
			const struct queue_rule *rule);
const char *format_delete(char out[WORDS_SIZE], const struct sight *sight,
			  const struct queue_rule *rule);

/** A command that lets a chain with a hook lead to the rule. */
const char *format_jump(char out[WORDS_SIZE], const struct sight *sight,
			const struct queue_rule *rule);

/** What precedes a command that is to be run in the namespace: "ip netns exec blue ", or "". */
const char *format_enter(char out[WORDS_SIZE], const struct sight *sight);

/** Options of mnfq that name the namespace: " -n blue", or "". */
const char *format_netns(char out[WORDS_SIZE], const struct sight *sight);

/** "mnfq dump -q 5:7 -n blue" */
const char *format_dump(char out[WORDS_SIZE], const struct sight *sight, uint16_t first,
			uint16_t last);

#endif
