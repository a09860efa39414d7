// SPDX-License-Identifier: MIT
/* packet-info.c: all of a packet at once, for callers of any version, and of a retained packet as well. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "support/fixture.h"

#define INFO struct mnfq_packet_info

static INFO info, first;
static struct mnfq_packet *kept;

static void begin(void)
{
	setup();
	memset(&info, 0x5a, sizeof(info));
	info.size = sizeof(info);
}

TestSuite(info, .init = begin, .fini = teardown);

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_get_info(packet, &info), 0));
	return MNFQ_ACCEPT;
}

/* Sends what is in `msg` through queue 7, to a callback that has `info` filled in. */
static void look_at_message(void)
{
	rebind_seven(look, MNFQ_DROP);
	fake_packet(7, 0, false);
	cr_assert(eq(int, feed(), 1));
}

static void put_optional(void)
{
	size_t nest = message_open(&msg, MNFQ_I_NFQA_VLAN);

	message_attr16(&msg, MNFQ_I_NFQA_VLAN_TCI, 0x6abc);
	message_attr16(&msg, MNFQ_I_NFQA_VLAN_PROTO, 0x88a8);
	message_close(&msg, nest);
	message_attr32(&msg, NFQA_UID, 1000);
	message_attr32(&msg, NFQA_GID, 1001);
	message_attr32(&msg, NFQA_CT_INFO, 4);
	message_attr32(&msg, NFQA_CAP_LEN, 1500);
	message_attr(&msg, NFQA_PAYLOAD, "payload", 7);
}

static void put_everything(void)
{
	struct nfqnl_msg_packet_hw hw = { .hw_addrlen = htons(6),
					  .hw_addr = { 2, 4, 6, 8, 10, 12, 14, 16 } };
	uint32_t stamp[4] = { 0, htonl(1700000000), 0, htonl(123456) };

	message_begin(&msg, 7);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = NFPROTO_IPV6;
	message_hdr(&msg, 1, 0x8100, NF_INET_FORWARD);
	message_attr32(&msg, NFQA_IFINDEX_INDEV, 11);
	message_attr32(&msg, NFQA_IFINDEX_PHYSINDEV, 12);
	message_attr32(&msg, NFQA_IFINDEX_OUTDEV, 13);
	message_attr32(&msg, NFQA_IFINDEX_PHYSOUTDEV, 14);
	message_attr32(&msg, NFQA_MARK, 0xcafe);
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_GSO);
	message_attr32(&msg, MNFQ_I_NFQA_PRIORITY, 15);
	message_attr32(&msg, MNFQ_I_NFQA_CGROUP_CLASSID, 16);
	message_attr(&msg, NFQA_HWADDR, &hw, sizeof(hw));
	message_attr(&msg, NFQA_TIMESTAMP, stamp, sizeof(stamp));
	put_optional();
}

Test(info, what_the_kernel_reports_is_there)
{
	put_everything();
	look_at_message();
	cr_expect(eq(sz, info.size, sizeof(info)));
	cr_expect(eq(u16, info.queue_num, 7));
	cr_expect(eq(u32, info.id, 1));
	cr_expect(eq(u8, info.family, NFPROTO_IPV6));
	cr_expect(eq(u8, info.hook, NF_INET_FORWARD));
	cr_expect(eq(u16, info.hw_protocol, 0x8100));
	cr_expect(eq(u16, info.ethertype, 0x86dd));
	cr_expect(eq(u32, info.indev, 11));
	cr_expect(eq(u32, info.physindev, 12));
	cr_expect(eq(u32, info.outdev, 13));
	cr_expect(eq(u32, info.physoutdev, 14));
	cr_expect(eq(u32, info.mark, 0xcafe));
	cr_expect(eq(u32, info.skb_info, MNFQ_SKB_GSO));
	cr_expect(eq(u32, info.priority, 15));
	cr_expect(eq(u32, info.cgroup_classid, 16));
	cr_expect(eq(u16, info.hwaddr_len, 6));
	cr_expect(memcmp(info.hwaddr, "\2\4\6\10\12\14\0\0", 8) == 0);
	cr_expect(eq(i64, info.timestamp, 1700000000123456));
}

Test(info, what_may_be_absent_has_a_flag)
{
	put_everything();
	look_at_message();
	cr_expect(eq(u32, info.flags,
		     MNFQ_INFO_LENGTH | MNFQ_INFO_UID | MNFQ_INFO_GID | MNFQ_INFO_VLAN |
			     MNFQ_INFO_CT),
		  "and it is truncated");
	cr_expect(eq(u32, info.uid, 1000));
	cr_expect(eq(u32, info.gid, 1001));
	cr_expect(eq(u16, info.vlan_tci, 0x6abc));
	cr_expect(eq(u16, info.vlan_protocol, 0x88a8));
	cr_expect(eq(u16, info.ct_info, 4));
	cr_expect(eq(sz, info.length, 1500));
	cr_expect(eq(sz, info.payload_len, 7));
}

/* Nothing of what was in the caller's struct stays, neither if the kernel reports nothing. */
Test(info, what_is_absent_is_0)
{
	INFO expected = { .size = sizeof(expected), .id = 1, .queue_num = 7 };

	message_begin(&msg, 7);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = 0;
	message_hdr(&msg, 1, 0, 0);
	look_at_message();
	cr_expect(ne(ptr, (void *)info.payload, NULL));
	expected.payload = info.payload;
	cr_expect(memcmp(&info, &expected, sizeof(info)) == 0);
}

Test(info, a_whole_packet_is_known_to_be_whole)
{
	message_packet(&msg, 7, 1, 60);
	look_at_message();
	cr_expect(eq(u32, info.flags, MNFQ_INFO_LENGTH | MNFQ_INFO_WHOLE));
	cr_expect(eq(sz, info.length, 60));
}

/* It has 16 bits for what the kernel has 32 for, and uses three. */
Test(info, a_state_of_a_connection_that_cannot_be_is_absent)
{
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, 0);
	message_attr32(&msg, NFQA_CT_INFO, 0x10004);
	look_at_message();
	cr_expect(eq(u32, info.flags, 0));
	cr_expect(eq(u16, info.ct_info, 0));
}

static enum mnfq_verdict look_twice(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(eq(int, mnfq_packet_get_info(packet, &first), 0));
	cr_assert(eq(int, mnfq_packet_retain(&kept, packet), 0));
	return MNFQ_DEFER;
}

Test(info, a_retained_packet_has_the_same)
{
	first.size = sizeof(first);
	rebind_seven(look_twice, MNFQ_DROP);
	fake_packet(7, 0, false);
	put_everything();
	cr_assert(eq(int, feed(), 1));
	memset(sock->ring->memory, 0xff, msg.len);

	cr_assert(eq(int, mnfq_packet_get_info(kept, &info), 0));
	cr_assert(eq(sz, info.payload_len, 7));
	cr_expect(memcmp(info.payload, "payload", 7) == 0);
	cr_expect(ne(ptr, (void *)info.payload, (void *)first.payload));
	first.payload = info.payload;
	cr_expect(memcmp(&info, &first, sizeof(info)) == 0);

	cr_expect(eq(int, mnfq_packet_allow(kept, MNFQ_ALLOW_CUT), 0));
	cr_expect(eq(int, mnfq_packet_set_payload(kept, "new", 3), 0));
	cr_assert(eq(int, mnfq_packet_get_info(kept, &info), 0));
	cr_assert(eq(sz, info.payload_len, 3), "the payload that was set");
	cr_expect(memcmp(info.payload, "new", 3) == 0);
	cr_expect(eq(sz, info.length, 1500), "the length that the kernel queued");
	kept = mnfq_packet_free(kept);
}

/* Bindings map the struct by offsets; padding would also hand out what was on the stack. */
Test(info, there_is_no_padding)
{
	const size_t words = 3 * sizeof(size_t) + sizeof(void *);

	cr_expect(eq(sz, offsetof(INFO, timestamp), words));
	cr_expect(eq(sz, sizeof(INFO), words + 8 + 12 * 4 + 7 * 2 + 8 + 2));
	cr_expect(eq(sz, offsetof(INFO, hook) + 1, sizeof(INFO)));
}

Test(info, callers_of_all_versions_fit)
{
	struct {
		INFO info;
		uint64_t more;
	} newer = { .info.size = sizeof(newer), .more = ~0ULL };
	struct mnfq_packet packet;

	message_packet(&msg, 7, 1, 60);
	cr_assert(eq(int, mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0));
	cr_expect(eq(int, mnfq_packet_get_info(&packet, &newer.info), 0));
	cr_expect(newer.more == 0 && newer.info.length == 60);

	info.size = offsetof(INFO, flags);
	cr_expect(eq(int, mnfq_packet_get_info(&packet, &info), 0));
	cr_expect(eq(sz, info.length, 60));
	cr_expect(eq(u32, info.flags, 0x5a5a5a5a), "untouched");
	cr_expect(eq(int, mnfq_packet_get_info(NULL, &info), -EINVAL));
}
