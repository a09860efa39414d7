// SPDX-License-Identifier: MIT
/*
 * Decisions to netlink messages. Runs of equal plain verdicts become one batch verdict. Nothing
 * here does I/O.
 */
#include "verdict.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "wire.h"

/* The upper half is the target of a queue verdict and must be empty with the others. */
bool mnfq_i_verdict_valid(uint32_t verdict)
{
	switch (verdict) {
	case MNFQ_DROP:
	case MNFQ_ACCEPT:
	case MNFQ_REPEAT:
	case MNFQ_STOP:
		return true;
	default:
		return (verdict & 0xffff & ~(uint32_t)NF_VERDICT_FLAG_QUEUE_BYPASS) == NF_QUEUE;
	}
}

static struct mnfq_i_verdict_msg message(uint16_t type, uint32_t tag, uint32_t verdict,
					 uint32_t id)
{
	return (struct mnfq_i_verdict_msg){
		.nlh = { .nlmsg_len = sizeof(struct mnfq_i_verdict_msg),
			 .nlmsg_type = MNFQ_I_MSG(type),
			 .nlmsg_flags = NLM_F_REQUEST,
			 .nlmsg_seq = id,
			 .nlmsg_pid = tag },
		.nfg = { .nfgen_family = AF_UNSPEC,
			 .version = NFNETLINK_V0,
			 .res_id = htons((uint16_t)tag) },
		.attr = { .nla_len = sizeof(struct nlattr) + sizeof(struct nfqnl_msg_verdict_hdr),
			  .nla_type = NFQA_VERDICT_HDR },
		.verdict = { .verdict = htonl(verdict), .id = htonl(id) },
	};
}

/* The kernel toggles bits outside of the mask (x & ~mask ^ bits), so there must be none. */
static void put_ct(struct nlmsghdr *nlh, const struct mnfq_i_changes *c)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, NFQA_CT);
	uint8_t labels[MNFQ_CT_LABELS_SIZE];
	size_t i;

	if (c->set & MNFQ_I_CHANGE_CT_MARK) {
		mnl_attr_put_u32(nlh, CTA_MARK, htonl(c->ct_mark & c->ct_mark_mask));
		mnl_attr_put_u32(nlh, MNFQ_I_CTA_MARK_MASK, htonl(c->ct_mark_mask));
	}
	if (c->set & MNFQ_I_CHANGE_CT_LABELS) {
		for (i = 0; i < sizeof(labels); i++)
			labels[i] = c->ct_labels[i] & c->ct_labels_mask[i];
		mnl_attr_put(nlh, MNFQ_I_CTA_LABELS, sizeof(labels), labels);
		mnl_attr_put(nlh, MNFQ_I_CTA_LABELS_MASK, sizeof(labels), c->ct_labels_mask);
	}
	mnl_attr_nest_end(nlh, nest);
}

/* As mnl_attr_put(), which does not clear the padding. */
static void put_padded(struct nlmsghdr *nlh, uint16_t type, size_t len, const void *data)
{
	uint8_t *value = (uint8_t *)mnl_nlmsg_get_payload_tail(nlh) + sizeof(struct nlattr);

	memset(value + len, 0, NLA_ALIGN(len) - len);
	mnl_attr_put(nlh, type, len, data);
}

static void put_vlan(struct nlmsghdr *nlh, const struct mnfq_i_changes *c)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, MNFQ_I_NFQA_VLAN);
	uint16_t tci = htons(c->vlan_tci), protocol = htons(c->vlan_protocol);

	put_padded(nlh, MNFQ_I_NFQA_VLAN_TCI, sizeof(tci), &tci);
	put_padded(nlh, MNFQ_I_NFQA_VLAN_PROTO, sizeof(protocol), &protocol);
	mnl_attr_nest_end(nlh, nest);
}

static void put_changes(struct nlmsghdr *nlh, const struct mnfq_i_changes *c)
{
	if (c->set & MNFQ_I_CHANGE_MARK)
		mnl_attr_put_u32(nlh, NFQA_MARK, htonl(c->mark));
	if (c->set & MNFQ_I_CHANGE_PRIORITY)
		mnl_attr_put_u32(nlh, MNFQ_I_NFQA_PRIORITY, htonl(c->priority));
	if (c->set & MNFQ_I_CHANGE_VLAN)
		put_vlan(nlh, c);
	if (c->set & MNFQ_I_CHANGE_L2HDR)
		put_padded(nlh, MNFQ_I_NFQA_L2HDR, c->l2hdr_len, c->l2hdr);
	/* An empty nest also has the kernel adjust sequence numbers if the length changes. */
	if (c->set & (MNFQ_I_CHANGE_CT_MARK | MNFQ_I_CHANGE_CT_LABELS | MNFQ_I_CHANGE_SEQ_ADJUST))
		put_ct(nlh, c);
}

/*
 * Writes all of a message but the payload's bytes, at most MNFQ_I_HEAD_MAX, and returns how many.
 * The payload and its padding to 4 bytes follow it on the wire.
 */
size_t mnfq_i_verdict_head(uint8_t *head, const struct mnfq_i_decision *d)
{
	struct mnfq_i_verdict_msg msg = message(NFQNL_MSG_VERDICT, d->tag, d->verdict, d->id);
	struct nlmsghdr *nlh = (struct nlmsghdr *)head;
	size_t len;

	memcpy(head, &msg, sizeof(msg));
	if (d->changes)
		put_changes(nlh, d->changes);
	len = nlh->nlmsg_len;
	if (mnfq_i_changes(d, MNFQ_I_CHANGE_PAYLOAD)) {
		struct nlattr attr = { .nla_len = (uint16_t)(sizeof(attr) + d->payload_len),
				       .nla_type = NFQA_PAYLOAD };

		memcpy(head + len, &attr, sizeof(attr));
		len += sizeof(attr);
		nlh->nlmsg_len = (uint32_t)(len + NLA_ALIGN(d->payload_len));
	}
	return len;
}

/* One verdict for all packets that the kernel still holds up to id @last. */
size_t mnfq_i_verdict_batch(uint8_t *head, uint32_t tag, uint32_t verdict, uint32_t last)
{
	struct mnfq_i_verdict_msg msg = message(NFQNL_MSG_VERDICT_BATCH, tag, verdict, last);

	memcpy(head, &msg, sizeof(msg));
	return sizeof(msg);
}

/*
 * One verdict for all packets of a queue, whatever their ids: MNFQ_I_ALL_SIZE bytes. A batch reaches
 * over half of all numbers; the first half comes again, since a list that wraps around begins with
 * the second.
 */
size_t mnfq_i_verdict_all(uint8_t *bytes, uint32_t tag, uint32_t verdict)
{
	size_t len = mnfq_i_verdict_batch(bytes, tag, verdict, INT32_MAX);

	len += mnfq_i_verdict_batch(bytes + len, tag, verdict, UINT32_MAX);
	return len + mnfq_i_verdict_batch(bytes + len, tag, verdict, INT32_MAX);
}

/* What mnfq_i_outbox_put() may need, including the end of a run that is open. */
size_t mnfq_i_decision_room(const struct mnfq_i_decision *decision)
{
	return sizeof(struct mnfq_i_verdict_msg) + MNFQ_I_HEAD_MAX +
	       NLA_ALIGN(decision->payload_len);
}

/* Ends a run, and counts it. */
void mnfq_i_outbox_close_run(struct mnfq_i_outbox *outbox, struct mnfq_i_run *run, uint32_t tag,
			     struct mnfq_stats *stats)
{
	struct mnfq_i_decision single = { .tag = tag, .id = run->last, .verdict = run->verdict };

	if (run->count == 1)
		outbox->len += mnfq_i_verdict_head(outbox->bytes + outbox->len, &single);
	else if (run->count > 1)
		outbox->len += mnfq_i_verdict_batch(outbox->bytes + outbox->len, tag,
						    run->verdict, run->last);
	mnfq_i_count_run(stats, run);
	run->count = run->by_default = 0;
}

/* Is there a run, which a decision does not belong to? */
bool mnfq_i_run_ends(const struct mnfq_i_run *run, const struct mnfq_i_decision *d,
		     bool may_batch)
{
	return run->count > 0 &&
	       !(may_batch && !mnfq_i_changes(d, ~0u) && run->verdict == d->verdict);
}

static void put_single(struct mnfq_i_outbox *outbox, const struct mnfq_i_decision *d)
{
	size_t pad = NLA_ALIGN(d->payload_len) - d->payload_len;

	outbox->len += mnfq_i_verdict_head(outbox->bytes + outbox->len, d);
	if (!mnfq_i_changes(d, MNFQ_I_CHANGE_PAYLOAD))
		return;
	if (d->payload_len > 0)
		memcpy(outbox->bytes + outbox->len, d->payload, d->payload_len);
	memset(outbox->bytes + outbox->len + d->payload_len, 0, pad);
	outbox->len += d->payload_len + pad;
}

/*
 * Adds a decision; there must be room for it. @may_batch says that no packet with a lower id
 * waits for a decision of its own. The order of the messages is that of the packets: the kernel
 * lets packets go on in the order of their verdicts, and reordering hurts TCP. What is in the
 * outbox then is counted in @stats; a run is when it ends.
 */
void mnfq_i_outbox_put(struct mnfq_i_outbox *outbox, struct mnfq_i_run *run,
		       const struct mnfq_i_decision *d, bool may_batch, struct mnfq_stats *stats)
{
	if (mnfq_i_run_ends(run, d, may_batch))
		mnfq_i_outbox_close_run(outbox, run, d->tag, stats);
	if (!may_batch || mnfq_i_changes(d, ~0u)) {
		put_single(outbox, d);
		mnfq_i_count(stats, d);
		return;
	}
	if (run->count == 0)
		run->first = d->id;
	run->verdict = d->verdict;
	run->last = d->id;
	run->count++;
	run->by_default += d->by_default;
}

/* ---- counting ---- */

void mnfq_i_count_verdicts(struct mnfq_stats *stats, uint32_t verdict, uint64_t n)
{
	switch (verdict & NF_VERDICT_MASK) {
	case MNFQ_DROP:
		stats->dropped += n;
		break;
	case MNFQ_ACCEPT:
		stats->accepted += n;
		break;
	case MNFQ_REPEAT:
		stats->repeated += n;
		break;
	case MNFQ_STOP:
		stats->stopped += n;
		break;
	default:
		stats->requeued += n;
	}
}

void mnfq_i_count_run(struct mnfq_stats *stats, const struct mnfq_i_run *run)
{
	mnfq_i_count_verdicts(stats, run->verdict, run->count);
	stats->defaulted += run->by_default;
}

uint64_t mnfq_i_count_decisions(const struct mnfq_stats *stats)
{
	return stats->accepted + stats->dropped + stats->repeated + stats->stopped +
	       stats->requeued;
}

void mnfq_i_count(struct mnfq_stats *stats, const struct mnfq_i_decision *decision)
{
	mnfq_i_count_verdicts(stats, decision->verdict, 1);
	stats->defaulted += decision->by_default;
	stats->marked += mnfq_i_changes(decision, MNFQ_I_CHANGE_MARK);
	stats->rewritten += mnfq_i_changes(decision, MNFQ_I_CHANGE_PAYLOAD);
}

/*
 * Makes a verdict with a payload, which @stats counted, the plain @verdict for the same packet. It gets
 * shorter.
 */
void mnfq_i_verdict_replace(struct nlmsghdr *nlh, uint32_t verdict, struct mnfq_stats *stats)
{
	const struct mnfq_i_decision decision = { .tag = nlh->nlmsg_pid,
						  .id = nlh->nlmsg_seq,
						  .verdict = verdict,
						  .by_default = true };
	struct mnfq_i_verdict_msg former;
	const struct nlattr *attr;

	memcpy(&former, nlh, sizeof(former));
	mnl_attr_for_each (attr, nlh, sizeof(struct nfgenmsg)) {
		stats->marked -= mnl_attr_get_type(attr) == NFQA_MARK;
		stats->rewritten -= mnl_attr_get_type(attr) == NFQA_PAYLOAD;
	}
	mnfq_i_count_verdicts(stats, ntohl(former.verdict.verdict), UINT64_MAX); /* one less */
	mnfq_i_count(stats, &decision);
	(void)mnfq_i_verdict_head((uint8_t *)nlh, &decision);
}

/* All counters of a struct mnfq_stats but its size, one by one: there is nothing else in it. */
void mnfq_i_stats_add(struct mnfq_stats *sum, const struct mnfq_stats *stats)
{
	uint64_t *to = &sum->packets;
	const uint64_t *from = &stats->packets;
	size_t i, n = (sizeof(*sum) - offsetof(struct mnfq_stats, packets)) / sizeof(*to);

	for (i = 0; i < n; i++)
		to[i] += from[i];
}
