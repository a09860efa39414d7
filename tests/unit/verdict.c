// SPDX-License-Identifier: MIT
/* verdict.c: decisions to messages, and which of them may become one. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "packet.h"
#include "verdict.h"

static uint8_t bytes[256 * 1024] __attribute__((aligned(8)));
static struct mnfq_i_outbox outbox = { .bytes = bytes };
static struct mnfq_stats counted;
static struct mnfq_i_run run;

static void put(uint32_t id, uint32_t verdict, bool may_batch)
{
	struct mnfq_i_decision decision = { .tag = 5, .id = id, .verdict = verdict };

	mnfq_i_outbox_put(&outbox, &run, &decision, may_batch, &counted);
}

static void put_mark(uint32_t id, uint32_t mark)
{
	struct mnfq_i_changes changes = { .set = MNFQ_I_CHANGE_MARK, .mark = mark };
	struct mnfq_i_decision decision = {
		.tag = 5, .id = id, .verdict = MNFQ_ACCEPT, .changes = &changes
	};

	mnfq_i_outbox_put(&outbox, &run, &decision, true, &counted);
}

/* The message at @index, which must be whole. */
static const struct mnfq_i_verdict_msg *at(unsigned int index)
{
	size_t pos = 0;
	const struct mnfq_i_verdict_msg *msg;

	for (;; index--) {
		cr_assert(le(sz, pos + sizeof(*msg), outbox.len), "there is no such message");
		msg = (const void *)(bytes + pos);
		if (index == 0)
			return msg;
		pos += NLMSG_ALIGN(msg->nlh.nlmsg_len);
	}
}

static void expect(unsigned int index, uint16_t type, uint32_t verdict, uint32_t id)
{
	const struct mnfq_i_verdict_msg *msg = at(index);

	cr_expect(eq(u16, msg->nlh.nlmsg_type, MNFQ_I_MSG(type)));
	cr_expect(eq(u32, msg->nlh.nlmsg_seq, id));
	cr_expect(eq(u32, msg->nlh.nlmsg_pid, 5));
	cr_expect(eq(u16, msg->nfg.res_id, htons(5)));
	cr_expect(eq(u32, ntohl(msg->verdict.verdict), verdict));
	cr_expect(eq(u32, ntohl(msg->verdict.id), id));
}

static void end(unsigned int messages)
{
	size_t pos = 0, n = 0;

	mnfq_i_outbox_close_run(&outbox, &run, 5, &counted);
	for (; pos < outbox.len; n++)
		pos += NLMSG_ALIGN(((const struct nlmsghdr *)(bytes + pos))->nlmsg_len);
	cr_expect(eq(sz, pos, outbox.len));
	cr_assert(eq(sz, n, messages));
}

Test(verdict, only_the_kernels_verdicts_are_valid)
{
	cr_expect(mnfq_i_verdict_valid(MNFQ_DROP));
	cr_expect(mnfq_i_verdict_valid(MNFQ_ACCEPT));
	cr_expect(mnfq_i_verdict_valid(MNFQ_REPEAT));
	cr_expect(mnfq_i_verdict_valid(MNFQ_STOP));
	cr_expect(mnfq_i_verdict_valid(mnfq_verdict_queue(0)));
	cr_expect(mnfq_i_verdict_valid(mnfq_verdict_queue(65535)));
	cr_expect(mnfq_i_verdict_valid(mnfq_verdict_queue_bypass(65535)));
	cr_expect(not(mnfq_i_verdict_valid(2))); /* NF_STOLEN */
	cr_expect(not(mnfq_i_verdict_valid(6)));
	cr_expect(not(mnfq_i_verdict_valid(99)));
	cr_expect(not(mnfq_i_verdict_valid(MNFQ_DEFER)));
	cr_expect(not(mnfq_i_verdict_valid(0x10001))); /* accept with a queue number */
	cr_expect(not(mnfq_i_verdict_valid(0x4003)));  /* a queue with flags of the future */
	cr_expect(not(mnfq_i_verdict_valid(UINT32_MAX)));
}

Test(verdict, equal_verdicts_become_one)
{
	put(1, MNFQ_ACCEPT, true);
	put(2, MNFQ_ACCEPT, true);
	put(3, MNFQ_ACCEPT, true);
	end(1);
	expect(0, NFQNL_MSG_VERDICT_BATCH, MNFQ_ACCEPT, 3);
}

Test(verdict, one_alone_stays_single)
{
	put(1, MNFQ_ACCEPT, true);
	end(1);
	expect(0, NFQNL_MSG_VERDICT, MNFQ_ACCEPT, 1);
}

Test(verdict, order_is_kept)
{
	put(1, MNFQ_ACCEPT, true);
	put(2, MNFQ_ACCEPT, true);
	put(3, MNFQ_DROP, true);
	put_mark(4, 0xbeef);
	put(5, MNFQ_ACCEPT, true);
	put(6, MNFQ_ACCEPT, true);
	end(4);
	expect(0, NFQNL_MSG_VERDICT_BATCH, MNFQ_ACCEPT, 2);
	expect(1, NFQNL_MSG_VERDICT, MNFQ_DROP, 3);
	expect(2, NFQNL_MSG_VERDICT, MNFQ_ACCEPT, 4);
	expect(3, NFQNL_MSG_VERDICT_BATCH, MNFQ_ACCEPT, 6);
}

Test(verdict, nothing_is_joined_where_it_must_not)
{
	put(1, MNFQ_ACCEPT, true);
	put(2, MNFQ_ACCEPT, false);
	put(3, MNFQ_ACCEPT, false);
	put(4, MNFQ_ACCEPT, true);
	put(5, MNFQ_ACCEPT, true);
	end(4);
	expect(0, NFQNL_MSG_VERDICT, MNFQ_ACCEPT, 1);
	expect(1, NFQNL_MSG_VERDICT, MNFQ_ACCEPT, 2);
	expect(2, NFQNL_MSG_VERDICT, MNFQ_ACCEPT, 3);
	expect(3, NFQNL_MSG_VERDICT_BATCH, MNFQ_ACCEPT, 5);
}

Test(verdict, mark_and_payload_travel_as_attributes)
{
	struct mnfq_i_changes changes = { .set = MNFQ_I_CHANGE_MARK | MNFQ_I_CHANGE_PAYLOAD,
					  .mark = 0x01020304 };
	struct mnfq_i_decision decision = { .tag = 5,
					    .id = 1,
					    .verdict = MNFQ_ACCEPT,
					    .changes = &changes,
					    .payload = "abcdefg",
					    .payload_len = 7 };
	const uint8_t *tail = bytes + sizeof(struct mnfq_i_verdict_msg);

	memset(bytes, 0xff, 100);
	mnfq_i_outbox_put(&outbox, &run, &decision, true, &counted);
	end(1);
	cr_expect(eq(sz, outbox.len, 32 + 8 + 12));
	cr_expect(memcmp(tail, "\10\0\3\0\1\2\3\4", 8) == 0);
	cr_expect(memcmp(tail + 8, "\13\0\12\0abcdefg\0", 12) == 0);
	cr_expect(le(sz, outbox.len, mnfq_i_decision_room(&decision)));
}

Test(verdict, an_empty_payload_is_a_payload)
{
	struct mnfq_i_changes changes = { .set = MNFQ_I_CHANGE_PAYLOAD };
	struct mnfq_i_decision decision = {
		.tag = 5, .id = 1, .verdict = MNFQ_ACCEPT, .changes = &changes
	};

	mnfq_i_outbox_put(&outbox, &run, &decision, true, &counted);
	end(1);
	cr_expect(eq(sz, outbox.len, 32 + 4));
	cr_expect(memcmp(bytes + 32, "\4\0\12\0", 4) == 0);
}

/* The value of the attribute of @type among the changes of the message at @index, and its length. */
static const uint8_t *find(unsigned int index, unsigned int type, uint32_t *len)
{
	const struct mnfq_i_verdict_msg *msg = at(index);
	struct mnfq_i_bytes nest = { (const uint8_t *)(msg + 1),
				     msg->nlh.nlmsg_len - (uint32_t)sizeof(*msg) };
	struct mnfq_i_bytes found = { NULL, 0 };

	cr_assert(eq(int, mnfq_i_attr_find(nest, type, 0, &found), 0), "attribute %u", type);
	*len = found.len;
	return found.data;
}

/* The bytes in the order and the byte order in which nfnetlink_queue.c reads them. */
Test(verdict, every_change_travels_as_its_attribute)
{
	struct mnfq_i_changes changes = { .set = ~0u & ~MNFQ_I_CHANGE_PAYLOAD,
					  .mark = 0x01020304,
					  .priority = 0x05060708,
					  .ct_mark = 0xffffffff,
					  .ct_mark_mask = 0x00ff00f0,
					  .vlan_tci = 0x6abc,
					  .vlan_protocol = 0x88a8,
					  .l2hdr_len = 14,
					  .l2hdr = "abcdefghijklmn",
					  .ct_labels = { 0xff, 0xff, [15] = 0xff },
					  .ct_labels_mask = { 0x0f, 0x00, [15] = 0x80 } };
	struct mnfq_i_decision decision = { .tag = 5, .id = 1, .changes = &changes };
	uint32_t len;

	memset(bytes, 0xee, 300);
	mnfq_i_outbox_put(&outbox, &run, &decision, true, &counted);
	end(1);
	cr_expect(memcmp(find(0, NFQA_MARK, &len), "\1\2\3\4", 4) == 0);
	cr_expect(memcmp(find(0, MNFQ_I_NFQA_PRIORITY, &len), "\5\6\7\10", 4) == 0);
	cr_expect(memcmp(find(0, MNFQ_I_NFQA_L2HDR, &len), "abcdefghijklmn\0\0", 16) == 0);
	cr_expect(eq(u32, len, 14));
	cr_expect(memcmp(find(0, MNFQ_I_NFQA_VLAN, &len),
			 "\6\0\2\0\x6a\xbc\0\0\6\0\1\0\x88\xa8\0\0", 16) == 0);
	cr_expect(eq(u32, len, 16));
	/* What is outside of a mask must be zero: the kernel would toggle it. */
	cr_expect(memcmp(find(0, NFQA_CT, &len),
			 "\10\0\10\0\0\xff\0\xf0\10\0\25\0\0\xff\0\xf0"
			 "\24\0\26\0\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80"
			 "\24\0\27\0\x0f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80",
			 56) == 0);
	cr_expect(eq(u32, len, 56));
}

Test(verdict, sequence_numbers_are_adjusted_for_an_empty_nest)
{
	struct mnfq_i_changes changes = { .set = MNFQ_I_CHANGE_SEQ_ADJUST };
	struct mnfq_i_decision decision = { .tag = 5, .id = 1, .changes = &changes };
	uint32_t len;

	mnfq_i_outbox_put(&outbox, &run, &decision, true, &counted);
	end(1);
	(void)find(0, NFQA_CT, &len);
	cr_expect(eq(u32, len, 0));
}

Test(verdict, the_largest_of_everything_fits_its_room)
{
	static uint8_t payload[MNFQ_COPY_RANGE_MAX];
	struct mnfq_i_changes changes = { .set = ~0u, .l2hdr_len = MNFQ_I_L2HDR_MAX };
	struct mnfq_i_decision decision = { .tag = 5,
					    .id = 3,
					    .changes = &changes,
					    .payload = payload,
					    .payload_len = sizeof(payload) };
	uint8_t head[2 * MNFQ_I_HEAD_MAX] __attribute__((aligned(4)));

	put(1, MNFQ_ACCEPT, true);
	put(2, MNFQ_ACCEPT, true);
	mnfq_i_outbox_put(&outbox, &run, &decision, true, &counted);
	cr_expect(le(sz, mnfq_i_verdict_head(head, &decision), MNFQ_I_HEAD_MAX));
	cr_expect(le(sz, outbox.len, mnfq_i_decision_room(&decision)));
	cr_expect(le(sz, outbox.len, MNFQ_I_OUTBOX_MAX));
	end(2);
	cr_expect(eq(u32, at(1)->nlh.nlmsg_len, 32 + 8 + 8 + 20 + 68 + 60 + 4 + 65532));
}

Test(verdict, each_kind_has_its_counter)
{
	struct mnfq_stats stats = { 0 };
	struct mnfq_i_changes changes = { .set = MNFQ_I_CHANGE_MARK | MNFQ_I_CHANGE_PAYLOAD };
	struct mnfq_i_decision decision = { .verdict = MNFQ_DROP };

	mnfq_i_count(&stats, &decision);
	decision.verdict = MNFQ_ACCEPT;
	mnfq_i_count(&stats, &decision);
	decision.verdict = MNFQ_REPEAT;
	mnfq_i_count(&stats, &decision);
	decision.verdict = MNFQ_STOP;
	mnfq_i_count(&stats, &decision);
	decision.verdict = mnfq_verdict_queue_bypass(9);
	decision.changes = &changes;
	mnfq_i_count(&stats, &decision);
	cr_expect(eq(u64, stats.dropped, 1));
	cr_expect(eq(u64, stats.accepted, 1));
	cr_expect(eq(u64, stats.repeated, 1));
	cr_expect(eq(u64, stats.stopped, 1));
	cr_expect(eq(u64, stats.requeued, 1));
	cr_expect(eq(u64, stats.marked, 1));
	cr_expect(eq(u64, stats.rewritten, 1));
}
