/* SPDX-License-Identifier: MIT */
/* Decisions to messages, runs of them; how they are counted. No I/O. */
#ifndef MNFQ_VERDICT_H
#define MNFQ_VERDICT_H

#include "wire.h"
#include <mnfq/mnfq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What goes out with a verdict. */
#define MNFQ_I_CHANGE_MARK       0x01u
#define MNFQ_I_CHANGE_PAYLOAD    0x02u
#define MNFQ_I_CHANGE_PRIORITY   0x04u
#define MNFQ_I_CHANGE_VLAN       0x08u
#define MNFQ_I_CHANGE_L2HDR      0x10u
#define MNFQ_I_CHANGE_CT_MARK    0x20u
#define MNFQ_I_CHANGE_CT_LABELS  0x40u
#define MNFQ_I_CHANGE_SEQ_ADJUST 0x80u /* have the kernel adjust TCP sequence numbers */

struct mnfq_i_changes {
	uint32_t set; /* MNFQ_I_CHANGE_*: which of the others mean something */
	uint32_t mark, priority, ct_mark, ct_mark_mask;
	uint16_t vlan_tci, vlan_protocol, l2hdr_len;
	uint8_t ct_labels[MNFQ_CT_LABELS_SIZE], ct_labels_mask[MNFQ_CT_LABELS_SIZE];
	uint8_t l2hdr[MNFQ_I_L2HDR_MAX];
};

struct mnfq_i_decision {
	uint32_t tag; /* of the queue, see wire.h */
	uint32_t id;
	uint32_t verdict;
	bool by_default;                      /* no callback decided */
	bool held;                            /* the packet is on the list of those held */
	const struct mnfq_i_changes *changes; /* NULL: none */
	const void *payload;                  /* if that is one of the changes */
	size_t payload_len;
};

static inline bool mnfq_i_changes(const struct mnfq_i_decision *decision, uint32_t what)
{
	return decision->changes && (decision->changes->set & what);
}

/* Messages that wait for the end of the batch. */
struct mnfq_i_outbox {
	uint8_t *bytes;
	size_t len;
};

/*
 * Equal plain verdicts on packets of one queue that are not in the outbox yet. What is between them
 * is decided already: by another thread, during the callback that retained it.
 */
struct mnfq_i_run {
	uint32_t verdict;
	uint32_t first, last;
	uint32_t count, by_default;
};

bool mnfq_i_verdict_valid(uint32_t verdict);
bool mnfq_i_run_ends(const struct mnfq_i_run *run, const struct mnfq_i_decision *decision,
		     bool may_batch);
size_t mnfq_i_verdict_head(uint8_t *head, const struct mnfq_i_decision *decision);
size_t mnfq_i_verdict_batch(uint8_t *head, uint32_t tag, uint32_t verdict, uint32_t last);
#define MNFQ_I_ALL_SIZE (3 * sizeof(struct mnfq_i_verdict_msg))
size_t mnfq_i_verdict_all(uint8_t *bytes, uint32_t tag, uint32_t verdict);
void mnfq_i_verdict_replace(struct nlmsghdr *nlh, uint32_t verdict, struct mnfq_stats *stats);
size_t mnfq_i_decision_room(const struct mnfq_i_decision *decision);
void mnfq_i_outbox_put(struct mnfq_i_outbox *outbox, struct mnfq_i_run *run,
		       const struct mnfq_i_decision *decision, bool may_batch,
		       struct mnfq_stats *stats);
void mnfq_i_outbox_close_run(struct mnfq_i_outbox *outbox, struct mnfq_i_run *run, uint32_t tag,
			     struct mnfq_stats *stats);
void mnfq_i_count(struct mnfq_stats *stats, const struct mnfq_i_decision *decision);
void mnfq_i_count_verdicts(struct mnfq_stats *stats, uint32_t verdict, uint64_t n);
void mnfq_i_count_run(struct mnfq_stats *stats, const struct mnfq_i_run *run);
uint64_t mnfq_i_count_decisions(const struct mnfq_stats *stats);
void mnfq_i_stats_add(struct mnfq_stats *sum, const struct mnfq_stats *stats);

#endif
