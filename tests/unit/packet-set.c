// SPDX-License-Identifier: MIT
/* packet-set.c: what may be changed with a verdict, what is refused and why. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "support/fixture.h"

#define L2HDR "\2\4\6\10\12\14\2\4\6\10\12\16\10\0"

static const uint8_t bits[MNFQ_CT_LABELS_SIZE] = { 1, [15] = 0x80 };
static const uint8_t mask[MNFQ_CT_LABELS_SIZE] = { 3, [15] = 0x80 };
static struct mnfq_packet packet;
static uint8_t scratch[2 * MNFQ_I_SCRATCH_SIZE];

/* What a packet comes with. */
#define BRIDGE  0x01u
#define HEADER  0x02u /* of the link layer */
#define TRACKED 0x04u
#define PAYLOAD 0x08u
#define CUT     0x10u /* the payload is truncated */
#define ALL     (BRIDGE | HEADER | TRACKED | PAYLOAD)

static void put_packet(uint32_t id, unsigned int with)
{
	message_begin(&msg, 7);
	if (with & BRIDGE)
		((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = NFPROTO_BRIDGE;
	message_hdr(&msg, id, 0x0800, NF_INET_FORWARD);
	if (with & HEADER)
		message_attr(&msg, MNFQ_I_NFQA_L2HDR, L2HDR, 14);
	if (with & TRACKED)
		message_attr(&msg, NFQA_CT, "\10\0\10\0\0\0\0\1", 8);
	if (with & CUT)
		message_attr32(&msg, NFQA_CAP_LEN, 1500);
	if (with & PAYLOAD)
		message_attr(&msg, NFQA_PAYLOAD, "payload", 7);
}

static void begin(unsigned int with)
{
	static struct mnfq_queue of;

	put_packet(1, with);
	cr_assert(eq(int, mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0));
	packet.scratch = scratch;
	packet.queue = &of;
}

/* A setter answered @is in place of @err. Who refuses says why, in one line, and changes nothing. */
static void expect_refused(const char *setter, int is, int err)
{
	const char *why = mnfq_packet_get_error(&packet);

	cr_expect(eq(int, is, err), "%s", setter);
	cr_expect(why[0] != '\0', "%s does not say why", setter);
	cr_expect(strchr(why, '\n') == NULL, "%s says more than a line", setter);
	cr_expect(eq(u32, packet.changes.set, 0), "%s", setter);
	packet.error = "";
}

static void expect_done(const char *setter, int is)
{
	cr_expect(eq(int, is, 0), "%s: %s", setter, mnfq_packet_get_error(&packet));
	cr_expect(eq(str, (char *)mnfq_packet_get_error(&packet), (char *)""), "%s", setter);
}

Test(change, everything_can_be_set)
{

	size_t len;

	begin(ALL);
	expect_done("mark", mnfq_packet_set_mark(&packet, 1));
	cr_expect(eq(u32, packet.changes.set, MNFQ_I_CHANGE_MARK));
	expect_done("priority", mnfq_packet_set_priority(&packet, 2));
	expect_done("ct mark", mnfq_packet_set_ct_mark(&packet, 3, 0xff));
	expect_done("ct labels", mnfq_packet_set_ct_labels(&packet, bits, mask));
	expect_done("vlan", mnfq_packet_set_vlan(&packet, 100, 0x8100));
	expect_done("l2hdr", mnfq_packet_set_l2hdr(&packet, "abcdefghijklmn", 14));
	cr_expect(eq(u32, packet.changes.set & MNFQ_I_CHANGE_PAYLOAD, 0));
	expect_done("payload", mnfq_packet_set_payload(&packet, "new", 3));
	cr_expect(eq(u32, packet.changes.set, 0x7f));
	cr_expect(eq(u32, packet.changes.mark, 1));
	cr_expect(eq(u32, packet.changes.priority, 2));
	cr_expect(eq(u32, packet.changes.ct_mark, 3));
	cr_expect(eq(u32, packet.changes.ct_mark_mask, 0xff));
	cr_expect(memcmp(packet.changes.ct_labels, bits, sizeof(bits)) == 0);
	cr_expect(memcmp(packet.changes.ct_labels_mask, mask, sizeof(mask)) == 0);
	cr_expect(eq(u16, packet.changes.vlan_tci, 100));
	cr_expect(eq(u16, packet.changes.vlan_protocol, 0x8100));
	cr_expect(memcmp(packet.changes.l2hdr, "abcdefghijklmn", 14) == 0);
	cr_expect(eq(u16, packet.changes.l2hdr_len, 14));
	cr_expect(memcmp(mnfq_packet_get_payload(&packet, &len), "new", 3) == 0);
	/* What the packet came with does not change. */
	cr_expect(eq(u32, mnfq_packet_get_mark(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_priority(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_ct_mark(&packet), 1));
}

Test(change, the_last_setting_counts)
{
	uint8_t all[MNFQ_CT_LABELS_SIZE];

	begin(ALL);
	expect_done("mark", mnfq_packet_set_mark(&packet, 1));
	expect_done("mark", mnfq_packet_set_mark(&packet, 2));
	expect_done("vlan", mnfq_packet_set_vlan(&packet, 100, 0x8100));
	expect_done("vlan", mnfq_packet_set_vlan(&packet, 101, 0x88a8));
	expect_done("ct labels", mnfq_packet_set_ct_labels(&packet, mask, bits));
	expect_done("ct labels", mnfq_packet_set_ct_labels(&packet, bits, NULL));
	cr_expect(eq(u32, packet.changes.mark, 2));
	cr_expect(eq(u16, packet.changes.vlan_tci, 101));
	cr_expect(eq(u16, packet.changes.vlan_protocol, 0x88a8));
	memset(all, 0xff, sizeof(all));
	cr_expect(memcmp(packet.changes.ct_labels_mask, all, sizeof(all)) == 0);
	cr_expect(memcmp(packet.changes.ct_labels, bits, sizeof(bits)) == 0);
}

Test(change, untracked_packets_have_no_connection_to_mark)
{
	begin(ALL & ~TRACKED);
	expect_refused("ct mark", mnfq_packet_set_ct_mark(&packet, 1, 1), -ENODATA);
	expect_refused("ct labels", mnfq_packet_set_ct_labels(&packet, bits, mask), -ENODATA);
}

Test(change, link_layers_are_of_bridges_only)
{
	begin(ALL & ~BRIDGE);
	expect_refused("vlan", mnfq_packet_set_vlan(&packet, 1, 0x8100), -EOPNOTSUPP);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, L2HDR, 14), -EOPNOTSUPP);
	begin(BRIDGE);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, L2HDR, 14), -EOPNOTSUPP);
	expect_done("vlan", mnfq_packet_set_vlan(&packet, 1, 0x8100));
}

Test(change, vlan_tags_are_of_two_protocols)
{
	static const uint16_t wrong[] = { 0, 0x0081, 0xa888, 0x0800, 0x9100, 0xffff };

	begin(ALL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_refused("vlan", mnfq_packet_set_vlan(&packet, 1, wrong[i]), -EINVAL);
	expect_done("802.1Q", mnfq_packet_set_vlan(&packet, 0xffff, 0x8100));
	expect_done("802.1ad", mnfq_packet_set_vlan(&packet, 0, 0x88a8));
}

Test(change, a_link_layer_header_keeps_its_length)
{
	static const uint8_t large[2 * MNFQ_I_L2HDR_MAX];

	begin(ALL);
	for (size_t len = 0; len <= sizeof(large); len++)
		if (len != 14)
			expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, large, len),
				       -EMSGSIZE);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, large, SIZE_MAX), -EMSGSIZE);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, large, 65536 + 14), -EMSGSIZE);
	expect_done("l2hdr", mnfq_packet_set_l2hdr(&packet, large, 14));
}

static void begin_with_header(size_t len)
{
	static const uint8_t large[2 * MNFQ_I_L2HDR_MAX];

	put_packet(1, BRIDGE);
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, large, len);
	cr_assert(eq(int, mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0));
}

/* What does not fit is refused, even if the kernel would like it. */
Test(change, a_link_layer_header_has_its_room)
{
	static uint8_t data[2 * MNFQ_I_L2HDR_MAX];

	memset(data, 0xee, sizeof(data));
	begin_with_header(MNFQ_I_L2HDR_MAX);
	expect_done("l2hdr", mnfq_packet_set_l2hdr(&packet, data, MNFQ_I_L2HDR_MAX));
	cr_expect(eq(u8, packet.changes.l2hdr[MNFQ_I_L2HDR_MAX - 1], 0xee));
	begin_with_header(MNFQ_I_L2HDR_MAX + 1);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, data, MNFQ_I_L2HDR_MAX + 1),
		       -EMSGSIZE);
}

Test(change, a_truncated_packet_is_cut_only_if_allowed)
{
	begin(ALL | CUT);
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -EMSGSIZE);
	expect_done("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_TCP_RESIZE));
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -EMSGSIZE);
	expect_done("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_CUT));
	expect_done("payload", mnfq_packet_set_payload(&packet, "new", 3));
	cr_expect(eq(u32, packet.allowed, MNFQ_ALLOW_CUT | MNFQ_ALLOW_TCP_RESIZE));
	/* The next packet in the same place was not meant. */
	begin(ALL | CUT);
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -EMSGSIZE);
}

Test(change, only_what_exists_can_be_allowed)
{
	begin(ALL);
	expect_refused("allow", mnfq_packet_allow(&packet, 4), -EINVAL);
	expect_refused("allow", mnfq_packet_allow(&packet, 0x80000001), -EINVAL);
	cr_expect(eq(u32, packet.allowed, 0));
	expect_done("allow", mnfq_packet_allow(&packet, 0));
}

Test(change, a_payload_has_limits)
{
	begin(ALL);
	expect_refused("payload", mnfq_packet_set_payload(&packet, scratch, 65532), -EMSGSIZE);
	expect_refused("payload", mnfq_packet_set_payload(&packet, scratch, SIZE_MAX), -EMSGSIZE);
	expect_done("payload", mnfq_packet_set_payload(&packet, scratch, 65531));
	begin(ALL & ~PAYLOAD);
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -ENODATA);
	expect_refused("payload", mnfq_packet_set_payload(&packet, NULL, 0), -ENODATA);
	expect_done("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_TCP_RESIZE));
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -ENODATA);
}

/* All of a packet that came without its payload may be cut off, as the rest of a truncated one. */
Test(change, a_payload_that_did_not_come_is_replaced_if_that_is_allowed)
{
	size_t len;

	begin(ALL & ~PAYLOAD);
	expect_done("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_CUT));
	expect_refused("payload", mnfq_packet_set_payload(&packet, scratch, 65532), -EMSGSIZE);
	expect_refused("payload", mnfq_packet_set_payload(&packet, NULL, 1), -EINVAL);
	expect_done("payload", mnfq_packet_set_payload(&packet, "new", 3));
	cr_expect(eq(u32, packet.changes.set, MNFQ_I_CHANGE_PAYLOAD));
	cr_expect(memcmp(mnfq_packet_get_payload(&packet, &len), "new", 3) == 0);
	cr_expect(eq(sz, len, 3));
	cr_expect(eq(int, mnfq_packet_get_length(&packet, &len), -ENODATA), "of what was queued");
	cr_expect(eq(int, mnfq_packet_is_whole(&packet), 0), "what was received");
	expect_done("payload", mnfq_packet_set_payload(&packet, "newer", 5));
	expect_done("reset", mnfq_packet_reset(&packet));
	(void)mnfq_packet_get_payload(&packet, &len);
	cr_expect(eq(sz, len, 0));
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -ENODATA);

	begin(ALL & ~PAYLOAD);
	expect_done("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_CUT));
	packet.decided = true;
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -EALREADY);
}

Test(change, what_is_not_given_is_refused)
{
	begin(ALL);
	expect_refused("payload", mnfq_packet_set_payload(&packet, NULL, 1), -EINVAL);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, NULL, 14), -EINVAL);
	expect_refused("ct labels", mnfq_packet_set_ct_labels(&packet, NULL, mask), -EINVAL);
}

Test(change, a_decided_packet_stays_as_it_is)
{
	begin(ALL);
	packet.decided = true;
	expect_refused("mark", mnfq_packet_set_mark(&packet, 1), -EALREADY);
	expect_refused("priority", mnfq_packet_set_priority(&packet, 1), -EALREADY);
	expect_refused("ct mark", mnfq_packet_set_ct_mark(&packet, 1, 1), -EALREADY);
	expect_refused("ct labels", mnfq_packet_set_ct_labels(&packet, bits, mask), -EALREADY);
	expect_refused("vlan", mnfq_packet_set_vlan(&packet, 1, 0x8100), -EALREADY);
	expect_refused("l2hdr", mnfq_packet_set_l2hdr(&packet, L2HDR, 14), -EALREADY);
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -EALREADY);
	expect_refused("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_CUT), -EALREADY);
	expect_refused("reset", mnfq_packet_reset(&packet), -EALREADY);
	cr_expect(eq(u32, packet.allowed, 0));
}

Test(change, nothing_is_changed_of_null)
{
	cr_expect(eq(int, mnfq_packet_set_mark(NULL, 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_priority(NULL, 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_ct_mark(NULL, 1, 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_ct_labels(NULL, bits, mask), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_ct_labels(NULL, NULL, mask), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_vlan(NULL, 1, 0x8100), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_l2hdr(NULL, L2HDR, 14), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_l2hdr(NULL, NULL, 14), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_payload(NULL, "new", 3), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_payload(NULL, NULL, 3), -EINVAL));
	cr_expect(eq(int, mnfq_packet_allow(NULL, 0), -EINVAL));
	cr_expect(eq(int, mnfq_packet_reset(NULL), -EINVAL));
	cr_expect(eq(str, (char *)mnfq_packet_get_error(NULL), (char *)""));
}

Test(change, a_refusal_leaves_the_setting_before_it)
{
	begin(ALL);
	expect_done("vlan", mnfq_packet_set_vlan(&packet, 100, 0x8100));
	expect_done("payload", mnfq_packet_set_payload(&packet, "new", 3));
	cr_expect(eq(int, mnfq_packet_set_vlan(&packet, 101, 0x9100), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, scratch, 65532), -EMSGSIZE));
	cr_expect(eq(u16, packet.changes.vlan_tci, 100));
	cr_expect(eq(u16, packet.changes.vlan_protocol, 0x8100));
	cr_expect(eq(sz, packet.payload_len, 3));
}

Test(change, a_reset_forgets_everything)
{
	size_t len;

	begin(ALL | CUT);
	expect_done("allow", mnfq_packet_allow(&packet, MNFQ_ALLOW_CUT));
	expect_done("mark", mnfq_packet_set_mark(&packet, 1));
	expect_done("ct mark", mnfq_packet_set_ct_mark(&packet, 3, 0xff));
	expect_done("vlan", mnfq_packet_set_vlan(&packet, 100, 0x8100));
	expect_done("l2hdr", mnfq_packet_set_l2hdr(&packet, "abcdefghijklmn", 14));
	expect_done("payload", mnfq_packet_set_payload(&packet, "new", 3));
	expect_done("reset", mnfq_packet_reset(&packet));
	cr_expect(eq(u32, packet.changes.set, 0));
	cr_expect(memcmp(mnfq_packet_get_payload(&packet, &len), "payload", 7) == 0);
	cr_expect(eq(sz, len, 7));
	expect_refused("payload", mnfq_packet_set_payload(&packet, "new", 3), -EMSGSIZE);
	expect_done("reset", mnfq_packet_reset(&packet));
	begin(ALL & ~PAYLOAD);
	expect_done("reset", mnfq_packet_reset(&packet));
	cr_expect(mnfq_packet_get_payload(&packet, &len) != NULL);
	cr_expect(eq(sz, len, 0));
}

/* ---- on their way to the kernel ---- */

static struct mnfq_packet *held;

static enum mnfq_verdict change_all(struct mnfq_packet *p, void *data)
{
	(void)data;
	cr_expect(eq(int, mnfq_packet_set_mark(p, 0x01020304), 0));
	cr_expect(eq(int, mnfq_packet_set_priority(p, 0x05060708), 0));
	cr_expect(eq(int, mnfq_packet_set_ct_mark(p, 0xff, 0x0f), 0));
	cr_expect(eq(int, mnfq_packet_set_ct_labels(p, bits, mask), 0));
	cr_expect(eq(int, mnfq_packet_set_vlan(p, 100, 0x8100), 0));
	cr_expect(eq(int, mnfq_packet_set_l2hdr(p, "abcdefghijklmn", 14), 0));
	cr_expect(eq(int, mnfq_packet_set_payload(p, "new", 3), 0));
	return MNFQ_ACCEPT;
}

static enum mnfq_verdict change_and_hold(struct mnfq_packet *p, void *data)
{
	(void)change_all(p, data);
	cr_assert(eq(int, mnfq_packet_retain(&held, p), 0));
	return MNFQ_DEFER;
}

static enum mnfq_verdict change_too_late(struct mnfq_packet *p, void *data)
{
	cr_assert(eq(int, mnfq_packet_retain(&held, p), 0));
	(void)change_all(p, data);
	return MNFQ_DEFER;
}

/* Hands packet 1 of queue 7, which comes with all there is, to @callback. */
static void hand_over(mnfq_callback callback)
{
	rebind_seven(callback, MNFQ_STOP);
	fake_packet(7, 60, false);
	put_packet(1, ALL);
	cr_assert(eq(int, feed(), 1));
}

/* The only verdict that the kernel got so far changes everything, or nothing. */
static void expect_changes(bool all)
{
	const struct fake_decision *d = &fake_queue(7)->decisions[1];

	cr_expect(eq(int, d->has_mark, all));
	cr_expect(eq(u32, d->mark, all ? 0x01020304 : 0));
	cr_expect(eq(sz, d->payload_len, all ? 3 : SIZE_MAX));
	cr_expect(eq(int, d->has_priority, all));
	cr_expect(eq(u32, d->priority, all ? 0x05060708 : 0));
	cr_expect(eq(sz, d->vlan_len, all ? 16 : SIZE_MAX));
	cr_expect(eq(sz, d->l2hdr_len, all ? 14 : SIZE_MAX));
	cr_expect(eq(sz, d->ct_len, all ? 56 : SIZE_MAX));
}

TestSuite(changes, .init = setup, .fini = teardown);

Test(changes, all_travel_with_the_verdict)
{
	hand_over(change_all);
	expect_verdict(1, MNFQ_ACCEPT);
	expect_changes(true);
	cr_expect(eq(u64, stats().marked, 1));
	cr_expect(eq(u64, stats().rewritten, 1));
}

Test(changes, a_copy_keeps_them)
{
	size_t len;

	hand_over(change_and_hold);
	cr_expect(memcmp(mnfq_packet_get_payload(held, &len), "new", 3) == 0);
	cr_expect(eq(sz, len, 3));
	cr_expect(eq(str, (char *)mnfq_packet_get_error(held), (char *)""));
	cr_expect(eq(int, mnfq_packet_set_payload(held, "other", 5), 0));
	cr_expect(memcmp(mnfq_packet_get_payload(held, &len), "other", 5) == 0);
	cr_expect(eq(int, mnfq_packet_set_payload(held, "new", 3), 0));
	cr_expect(eq(int, mnfq_packet_decide(held, MNFQ_ACCEPT), 0));
	expect_changes(true);
	cr_expect(eq(int, mnfq_packet_set_priority(held, 1), -EALREADY));
	cr_expect(mnfq_packet_get_error(held)[0] != '\0');
	mnfq_packet_free(held);
}

Test(changes, a_copy_can_be_changed)
{
	hand_over(change_too_late); /* those of the original are not the copy's */
	expect_verdict(1, FAKE_UNDECIDED);
	(void)change_all(held, NULL);
	cr_expect(eq(int, mnfq_packet_decide(held, MNFQ_ACCEPT), 0));
	expect_changes(true);
	mnfq_packet_free(held);
	hand_over(change_too_late);
	cr_expect(eq(int, mnfq_packet_decide(held, MNFQ_ACCEPT), 0));
	expect_changes(false);
	mnfq_packet_free(held);
}

Test(changes, a_reset_copy_carries_nothing)
{
	size_t len;

	hand_over(change_and_hold);
	cr_expect(eq(int, mnfq_packet_reset(held), 0));
	cr_expect(memcmp(mnfq_packet_get_payload(held, &len), "payload", 7) == 0);
	cr_expect(eq(sz, len, 7));
	cr_expect(eq(int, mnfq_packet_decide(held, MNFQ_ACCEPT), 0));
	expect_changes(false);
	cr_expect(eq(int, mnfq_packet_reset(held), -EALREADY));
	mnfq_packet_free(held);
}

Test(changes, an_undecided_packet_is_not_changed)
{
	hand_over(change_and_hold);
	mnfq_packet_free(held);
	expect_verdict(1, MNFQ_STOP);
	expect_changes(false);
	cr_expect(eq(u64, stats().marked, 0));
	cr_expect(eq(u64, stats().rewritten, 0));
	cr_expect(eq(u64, stats().defaulted, 1));
}

static enum mnfq_verdict change_and_misbehave(struct mnfq_packet *p, void *data)
{
	(void)change_all(p, data);
	return (enum mnfq_verdict)2;
}

Test(changes, what_is_no_verdict_changes_nothing)
{
	hand_over(change_and_misbehave);
	expect_verdict(1, MNFQ_STOP);
	expect_changes(false);
}
