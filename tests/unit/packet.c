// SPDX-License-Identifier: MIT
/* packet.c: messages to views, with every attribute, every cut and every lie. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

#include "packet.h"
#include "refs.h"
#include "support/message.h"

static struct message msg;
static struct mnfq_packet packet;

static struct mnfq_queue queue;

static int parse(void)
{
	packet.queue = &queue;
	return mnfq_i_packet_parse(&packet, msg.bytes, msg.len);
}

/* The same of a copy that ends where the allocation ends, and that stays until the next. */
static int parse_copy(void)
{
	static uint8_t *copy;

	free(copy);
	copy = malloc(msg.len);
	memcpy(copy, msg.bytes, msg.len);
	return mnfq_i_packet_parse(&packet, copy, msg.len);
}

/* A copy that ends where the allocation ends, so that reading further is seen by a sanitizer. */
static int parse_exactly(size_t len)
{
	uint8_t *copy = malloc(len);
	int err;

	memcpy(copy, msg.bytes, len);
	err = mnfq_i_packet_parse(&packet, copy, len);
	if (err == 0 || (packet.present & 1u << NFQA_PACKET_HDR)) {
		(void)mnfq_packet_get_hook_name(&packet);
		(void)mnfq_packet_get_hw_protocol(&packet);
		(void)mnfq_packet_get_ethertype(&packet);
	}
	free(copy);
	return err;
}

static void put_everything(void)
{
	struct nfqnl_msg_packet_hw hw = { .hw_addrlen = htons(6),
					  .hw_addr = { 2, 4, 6, 8, 10, 12 } };
	uint32_t stamp[4] = { 0, htonl(1700000000), 0, htonl(123456) };

	message_begin(&msg, 7);
	message_hdr(&msg, 0x01020304, 0x86dd, NF_INET_FORWARD);
	message_attr32(&msg, NFQA_IFINDEX_INDEV, 11);
	message_attr32(&msg, NFQA_IFINDEX_PHYSINDEV, 12);
	message_attr32(&msg, NFQA_IFINDEX_OUTDEV, 13);
	message_attr32(&msg, NFQA_IFINDEX_PHYSOUTDEV, 14);
	message_attr32(&msg, NFQA_MARK, 0xcafe);
	message_attr(&msg, NFQA_HWADDR, &hw, sizeof(hw));
	message_attr(&msg, NFQA_TIMESTAMP, stamp, sizeof(stamp));
	message_attr32(&msg, NFQA_UID, 1000);
	message_attr32(&msg, NFQA_GID, 1001);
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_GSO | MNFQ_SKB_CSUMNOTREADY);
	message_attr(&msg, 4000, "from the future", 15);
	message_attr(&msg, 31, "also", 4);
	message_attr(&msg, NFQA_PAYLOAD, "payload", 7);
}

/* Only at hooks of no IP family the kernel's EtherType counts, which IP packets may lack. */
Test(packet, what_the_payload_is_follows_from_the_family)
{
	static const struct {
		uint8_t family;
		uint16_t hw_protocol, ethertype;
	} packets[] = {
		{ NFPROTO_IPV4, 0, 0x0800 },        { NFPROTO_IPV6, 0, 0x86dd },
		{ NFPROTO_IPV4, 0x86dd, 0x0800 },   { NFPROTO_BRIDGE, 0x0806, 0x0806 },
		{ NFPROTO_BRIDGE, 0x86dd, 0x86dd }, { NFPROTO_ARP, 0, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		message_begin(&msg, 7);
		((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = packets[i].family;
		message_hdr(&msg, 1, packets[i].hw_protocol, 0);
		cr_assert(eq(int, parse(), 0));
		cr_expect(eq(u16, mnfq_packet_get_ethertype(&packet), packets[i].ethertype));
	}
	cr_expect(eq(u16, mnfq_packet_get_ethertype(NULL), 0));
}

Test(packet, every_attribute_is_read)
{
	uint32_t number;
	size_t len;

	put_everything();
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(u32, mnfq_packet_get_id(&packet), 0x01020304));
	cr_expect(eq(u8, mnfq_packet_get_family(&packet), NFPROTO_IPV4));
	cr_expect(eq(u16, mnfq_packet_get_hw_protocol(&packet), 0x86dd));
	cr_expect(eq(u8, mnfq_packet_get_hook(&packet), NF_INET_FORWARD));
	cr_expect(eq(u32, mnfq_packet_get_indev(&packet), 11));
	cr_expect(eq(u32, mnfq_packet_get_physindev(&packet), 12));
	cr_expect(eq(u32, mnfq_packet_get_outdev(&packet), 13));
	cr_expect(eq(u32, mnfq_packet_get_physoutdev(&packet), 14));
	cr_expect(eq(u32, mnfq_packet_get_mark(&packet), 0xcafe));
	cr_expect(eq(u32, mnfq_packet_get_skb_info(&packet), 3));
	cr_expect(eq(int, mnfq_packet_get_uid(&packet, &number), 0));
	cr_expect(eq(u32, number, 1000));
	cr_expect(eq(int, mnfq_packet_get_gid(&packet, &number), 0));
	cr_expect(eq(u32, number, 1001));
	cr_expect(eq(i64, mnfq_packet_get_timestamp(&packet), 1700000000123456));
	cr_expect(memcmp(mnfq_packet_get_hwaddr(&packet, &len), "\2\4\6\10\12\14", 6) == 0);
	cr_expect(eq(sz, len, 6));
	cr_expect(memcmp(mnfq_packet_get_payload(&packet, &len), "payload", 7) == 0);
	cr_expect(eq(sz, len, 7));
	cr_expect(eq(int, mnfq_packet_get_length(&packet, &len), 0));
	cr_expect(eq(sz, len, 7));
}

Test(packet, what_is_absent_is_reported_as_absent)
{
	uint32_t number;
	size_t len;

	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0, 0);
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(u32, mnfq_packet_get_mark(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_indev(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_skb_info(&packet), 0));
	cr_expect(eq(int, mnfq_packet_get_uid(&packet, &number), -ENODATA));
	cr_expect(eq(int, mnfq_packet_get_gid(&packet, &number), -ENODATA));
	cr_expect(eq(i64, mnfq_packet_get_timestamp(&packet), 0));
	cr_expect(eq(int, mnfq_packet_get_length(&packet, &len), -ENODATA));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_hwaddr(&packet, &len), NULL));
	cr_expect(eq(sz, len, 0));
	cr_expect(ne(ptr, (void *)mnfq_packet_get_payload(&packet, &len), NULL));
	cr_expect(eq(sz, len, 0));
}

Test(packet, a_truncated_payload_keeps_its_true_length)
{
	size_t len;

	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, 0);
	message_attr32(&msg, NFQA_CAP_LEN, 1500);
	message_attr(&msg, NFQA_PAYLOAD, "0123456789", 10);
	cr_assert(eq(int, parse(), 0));
	mnfq_packet_get_payload(&packet, &len);
	cr_expect(eq(sz, len, 10));
	cr_expect(eq(int, mnfq_packet_get_length(&packet, &len), 0));
	cr_expect(eq(sz, len, 1500));
	cr_expect(eq(int, mnfq_packet_is_whole(&packet), 0));
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, "x", 1), -EMSGSIZE));
}

Test(packet, a_packet_is_whole_if_nothing_of_it_is_missing)
{
	static uint8_t scratch[2];

	message_packet(&msg, 7, 1, 10);
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(int, mnfq_packet_is_whole(&packet), 1));
	packet.scratch = scratch;
	cr_assert(eq(int, mnfq_packet_set_payload(&packet, "x", 1), 0));
	cr_expect(eq(int, mnfq_packet_is_whole(&packet), 1), "as it was received");
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, 0);
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(int, mnfq_packet_is_whole(&packet), 0), "nothing was copied");
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, 0);
	message_attr32(&msg, NFQA_CAP_LEN, 3); /* nonsense: no packet is shorter than its bytes */
	message_attr(&msg, NFQA_PAYLOAD, "0123456789", 10);
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(int, mnfq_packet_is_whole(&packet), 1));
	cr_expect(eq(int, mnfq_packet_is_whole(NULL), 0));
}

Test(packet, a_hardware_address_longer_than_its_field_is_not_one)
{
	struct nfqnl_msg_packet_hw hw = { .hw_addrlen = htons(9) };
	size_t len = 1;

	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, 0);
	message_attr(&msg, NFQA_HWADDR, &hw, sizeof(hw));
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_hwaddr(&packet, &len), NULL));
	cr_expect(eq(sz, len, 0));
}

Test(packet, hooks_have_names)
{
	static const struct {
		uint8_t family, hook;
		const char *name;
	} known[] = {
		{ NFPROTO_IPV4, 0, "prerouting" },  { NFPROTO_IPV6, 1, "input" },
		{ NFPROTO_IPV4, 2, "forward" },     { NFPROTO_BRIDGE, 3, "output" },
		{ NFPROTO_INET, 4, "postrouting" }, { NFPROTO_INET, 5, "ingress" },
		{ NFPROTO_IPV4, 6, "unknown" },     { NFPROTO_ARP, 0, "input" },
		{ NFPROTO_ARP, 1, "output" },       { NFPROTO_ARP, 2, "forward" },
		{ NFPROTO_ARP, 3, "unknown" },      { NFPROTO_NETDEV, 0, "ingress" },
		{ NFPROTO_NETDEV, 1, "egress" },    { NFPROTO_NETDEV, 2, "unknown" },
		{ NFPROTO_IPV4, 255, "unknown" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		message_begin(&msg, 7);
		((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = known[i].family;
		message_hdr(&msg, 1, 0x0800, known[i].hook);
		cr_assert(eq(int, parse(), 0));
		cr_expect(eq(str, (char *)mnfq_packet_get_hook_name(&packet),
			     (char *)known[i].name));
	}
}

Test(packet, a_cut_message_is_distinguished_from_a_malformed_one)
{
	put_everything();
	for (size_t len = NLMSG_HDRLEN; len < msg.len; len++) {
		cr_expect(eq(int, parse_exactly(len), -EMSGSIZE), "cut to %zu bytes", len);
		/* The id is known as soon as the header's attribute is whole. */
		cr_expect(eq(int, !!(packet.present & 1u << NFQA_PACKET_HDR),
			     len >= MNFQ_I_HDRLEN + 4 + 7));
	}
	cr_expect(eq(int, parse_exactly(msg.len), 0));
}

Test(packet, attributes_that_lie_about_their_length_are_refused)
{
	static const uint16_t lies[] = { 0, 1, 3, 0xffff, 0x7fff };
	struct nlattr *attr;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		message_packet(&msg, 7, 1, 20);
		attr = (struct nlattr *)(msg.bytes + MNFQ_I_HDRLEN);
		attr->nla_len = lies[i];
		cr_expect(eq(int, parse_exactly(msg.len), -EBADMSG), "length %u", lies[i]);
	}
}

Test(packet, attributes_that_are_too_short_are_refused)
{
	static const uint16_t types[] = {
		NFQA_PACKET_HDR, NFQA_MARK,    NFQA_TIMESTAMP,       NFQA_IFINDEX_INDEV,
		NFQA_HWADDR,     NFQA_CAP_LEN, NFQA_SKB_INFO,        NFQA_UID,
		NFQA_GID,        NFQA_CT_INFO, MNFQ_I_NFQA_PRIORITY, MNFQ_I_NFQA_CGROUP_CLASSID
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		message_begin(&msg, 7);
		message_hdr(&msg, 1, 0x0800, 0);
		message_attr(&msg, types[i], "abc", 3);
		cr_expect(eq(int, parse_exactly(msg.len), -EBADMSG), "type %u", types[i]);
	}
}

Test(packet, without_a_header_there_is_no_packet)
{
	message_begin(&msg, 7);
	cr_expect(eq(int, parse(), -EBADMSG));
	message_attr(&msg, NFQA_PAYLOAD, "payload", 7);
	cr_expect(eq(int, parse(), -EBADMSG));
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = NLMSG_HDRLEN;
	cr_expect(eq(int, parse(), -EBADMSG));
}

Test(packet, random_bytes_are_survived)
{
	uint32_t seed = 1;

	for (uint32_t round = 0; round < 20000; round++) {
		size_t i, at;

		put_everything();
		for (i = 0; i < 1 + round % 7; i++) {
			seed = seed * 1103515245 + 12345;
			at = (seed >> 8) % msg.len;
			msg.bytes[at] = (uint8_t)(seed >> 24);
		}
		((struct nlmsghdr *)msg.bytes)->nlmsg_len = (uint32_t)msg.len;
		(void)parse_exactly(msg.len);
	}
}

Test(packet, a_new_payload_leaves_the_old_one_as_it_was)
{
	uint8_t scratch[65536];
	const uint8_t *payload;
	size_t len;

	message_packet(&msg, 7, 1, 100);
	cr_assert(eq(int, parse(), 0));
	packet.scratch = scratch;
	payload = mnfq_packet_get_payload(&packet, &len);
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, payload + 10, 50), 0));
	payload = mnfq_packet_get_payload(&packet, &len);
	cr_expect(eq(sz, len, 50));
	cr_expect(eq(u8, payload[0], 10));
	/* Again, from what is the new one by now. */
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, payload + 10, 40), 0));
	payload = mnfq_packet_get_payload(&packet, &len);
	cr_expect(eq(u8, payload[0], 20));
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, NULL, 0), 0));
	mnfq_packet_get_payload(&packet, &len);
	cr_expect(eq(sz, len, 0));
	/* The packet's own length does not change with it. */
	cr_expect(eq(int, mnfq_packet_get_length(&packet, &len), 0));
	cr_expect(eq(sz, len, 100));
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, scratch, 65532), -EMSGSIZE));
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, NULL, 1), -EINVAL));
}

Test(packet, without_a_payload_there_is_nothing_to_replace)
{
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, 0);
	cr_assert(eq(int, parse(), 0));
	cr_expect(eq(int, mnfq_packet_set_payload(&packet, "x", 1), -ENODATA));
}

Test(packet, nothing_is_asked_of_null)
{
	uint32_t number;
	size_t len = 1;

	cr_expect(eq(u32, mnfq_packet_get_id(NULL), 0));
	cr_expect(eq(u8, mnfq_packet_get_family(NULL), 0));
	cr_expect(eq(u32, mnfq_packet_get_mark(NULL), 0));
	cr_expect(eq(int, mnfq_packet_get_uid(NULL, &number), -EINVAL));
	cr_expect(eq(i64, mnfq_packet_get_timestamp(NULL), 0));
	cr_expect(eq(int, mnfq_packet_get_length(NULL, &len), -EINVAL));
	cr_expect(ne(ptr, (void *)mnfq_packet_get_payload(NULL, &len), NULL));
	cr_expect(eq(sz, len, 0));
	cr_expect(eq(int, mnfq_packet_set_mark(NULL, 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_set_payload(NULL, "x", 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_decide(NULL, MNFQ_ACCEPT), -EINVAL));
	cr_expect(eq(ptr, mnfq_packet_free(NULL), NULL));
	cr_expect(eq(ptr, mnfq_packet_get_queue(NULL), NULL));
}

/* ---- what newer kernels tell ---- */

static void begin(void)
{
	message_begin(&msg, 7);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = NFPROTO_BRIDGE;
	message_hdr(&msg, 1, 0x0800, NF_INET_FORWARD);
}

Test(packet, attributes_of_newer_kernels_are_read)
{
	const uint8_t *l2hdr;
	const char *secctx;
	uint16_t tci, protocol;
	size_t len, nest;

	begin();
	nest = message_open(&msg, MNFQ_I_NFQA_VLAN);
	message_attr16(&msg, MNFQ_I_NFQA_VLAN_TCI, 0x6abc);
	message_attr16(&msg, MNFQ_I_NFQA_VLAN_PROTO, 0x88a8);
	message_close(&msg, nest);
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, "\2\4\6\10\12\14\2\4\6\10\12\16\10\0", 14);
	message_attr32(&msg, MNFQ_I_NFQA_PRIORITY, 0x00010002);
	message_attr32(&msg, MNFQ_I_NFQA_CGROUP_CLASSID, 0x00100001);
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "system_u", 8);
	cr_assert(eq(int, parse_copy(), 0));
	cr_expect(eq(int, mnfq_packet_get_vlan(&packet, &tci, &protocol), 0));
	cr_expect(eq(u16, tci, 0x6abc));
	cr_expect(eq(u16, protocol, 0x88a8));
	cr_expect(eq(int, mnfq_packet_get_vlan(&packet, NULL, NULL), 0));
	l2hdr = mnfq_packet_get_l2hdr(&packet, &len);
	cr_assert(eq(sz, len, 14));
	cr_expect(memcmp(l2hdr, "\2\4\6\10\12\14\2\4\6\10\12\16\10\0", 14) == 0);
	cr_expect(eq(u32, mnfq_packet_get_priority(&packet), 0x00010002));
	cr_expect(eq(u32, mnfq_packet_get_cgroup_classid(&packet), 0x00100001));
	secctx = mnfq_packet_get_secctx(&packet, &len);
	cr_assert(eq(sz, len, 8));
	cr_expect(memcmp(secctx, "system_u", 8) == 0);
}

Test(packet, what_newer_kernels_do_not_send_is_absent)
{
	uint16_t tci = 4711, protocol = 4711;
	size_t len = 4711;

	begin();
	cr_assert(eq(int, parse_copy(), 0));
	cr_expect(eq(int, mnfq_packet_get_vlan(&packet, &tci, &protocol), -ENODATA));
	cr_expect(tci == 4711 && protocol == 4711, "untouched");
	cr_expect(mnfq_packet_get_l2hdr(&packet, &len) == NULL);
	cr_expect(eq(sz, len, 0));
	len = 4711;
	cr_expect(mnfq_packet_get_secctx(&packet, &len) == NULL);
	cr_expect(eq(sz, len, 0));
	cr_expect(eq(u32, mnfq_packet_get_priority(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_cgroup_classid(&packet), 0));
}

Test(packet, attributes_of_newer_kernels_take_a_packet)
{
	uint16_t tci;
	size_t len = 4711;

	begin();
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, "abcdefghijklmn", 14);
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, "x", 1);
	cr_assert(eq(int, parse_copy(), 0));
	cr_expect(mnfq_packet_get_l2hdr(&packet, NULL) != NULL,
		  "the length may be of no interest");
	cr_expect(mnfq_packet_get_secctx(&packet, NULL) != NULL);
	cr_expect(eq(u32, mnfq_packet_get_priority(NULL), 0));
	cr_expect(eq(u32, mnfq_packet_get_cgroup_classid(NULL), 0));
	cr_expect(eq(int, mnfq_packet_get_vlan(NULL, &tci, &tci), -EINVAL));
	cr_expect(mnfq_packet_get_l2hdr(NULL, &len) == NULL);
	cr_expect(eq(sz, len, 0));
	cr_expect(mnfq_packet_get_secctx(NULL, NULL) == NULL);
}

Test(packet, what_is_empty_is_there)
{
	size_t len = 1;

	begin();
	message_attr(&msg, MNFQ_I_NFQA_SECCTX, NULL, 0);
	message_attr(&msg, MNFQ_I_NFQA_L2HDR, NULL, 0);
	cr_assert(eq(int, parse_copy(), 0));
	cr_expect(mnfq_packet_get_secctx(&packet, &len) != NULL);
	cr_expect(eq(sz, len, 0));
	len = 1;
	cr_expect(mnfq_packet_get_l2hdr(&packet, &len) != NULL);
	cr_expect(eq(sz, len, 0));
}

#define TCI   "\6\0\2\0\x6a\xbc\0\0"
#define PROTO "\6\0\1\0\x81\0\0\0"
#define NEST(name, err, bytes)                                                                   \
	{                                                                                        \
		name, err, bytes, sizeof(bytes) - 1                                              \
	}

static const struct {
	const char *name;
	int err;
	const char *bytes;
	size_t len;
} vlans[] = {
	NEST("both", 0, TCI PROTO),
	NEST("both, the other way round", 0, PROTO TCI),
	NEST("the last without padding", 0, TCI "\6\0\1\0\x81\0"),
	NEST("the last with less padding", 0, TCI "\6\0\1\0\x81\0\0"),
	NEST("flags at the types", 0, "\6\0\2\x40\x6a\xbc\0\0\6\0\1\x80\x81\0\0\0"),
	NEST("one of the future between", 0, TCI "\7\0\x03\0abc\0" PROTO),
	NEST("less than a header behind", 0, TCI PROTO "\xff\xff\xff"),
	NEST("longer than known", 0, "\10\0\2\0\x6a\xbc\1\2\10\0\1\0\x81\0\1\2"),
	NEST("the last of two counts", 0, "\6\0\2\0\1\2\0\0" TCI PROTO),
	NEST("nothing", -EBADMSG, ""),
	NEST("less than a header", -EBADMSG, "\6\0\2"),
	NEST("one only", -EBADMSG, TCI),
	NEST("the other only", -EBADMSG, PROTO),
	NEST("one twice", -EBADMSG, TCI TCI),
	NEST("one of one byte", -EBADMSG, "\5\0\2\0\x6a\0\0\0" PROTO),
	NEST("the other of one byte", -EBADMSG, TCI "\5\0\1\0\x81"),
	NEST("the other of no byte", -EBADMSG, TCI "\4\0\1\0"),
	NEST("a length of 0", -EBADMSG, "\0\0\2\0\x6a\xbc\0\0" PROTO),
	NEST("a length of 3", -EBADMSG, TCI "\3\0\1\0\x81\0\0\0"),
	NEST("the first over the end", -EBADMSG, "\x11\0\2\0\x6a\xbc\0\0" PROTO),
	NEST("the last over the end", -EBADMSG, TCI "\11\0\1\0\x81\0\0\0"),
	NEST("the last over all ends", -EBADMSG, TCI "\xff\xff\1\0\x81\0\0\0"),
	NEST("zeros behind", -EBADMSG, TCI PROTO "\0\0\0\0"),
	NEST("nonsense behind", -EBADMSG, TCI PROTO "\xff\xff\xff\xff"),
	NEST("nonsense before", -EBADMSG, "\0\0\0\0" TCI PROTO),
};

Test(packet, a_vlan_tag_is_whole_or_makes_no_sense)
{
	uint16_t tci, protocol;

	for (size_t i = 0; i < sizeof(vlans) / sizeof(vlans[0]); i++) {
		tci = protocol = 4711;
		begin();
		message_attr(&msg, MNFQ_I_NFQA_VLAN, vlans[i].bytes, vlans[i].len);
		cr_assert(eq(int, parse_copy(), 0));
		cr_expect(eq(int, mnfq_packet_get_vlan(&packet, &tci, &protocol), vlans[i].err),
			  "%s", vlans[i].name);
		cr_expect(eq(u16, tci, vlans[i].err ? 4711 : 0x6abc), "%s", vlans[i].name);
		cr_expect(eq(u16, protocol, vlans[i].err ? 4711 : 0x8100), "%s", vlans[i].name);
	}
}

Test(packet, a_vlan_tag_is_survived_at_every_cut)
{
	uint16_t tci, protocol;

	for (size_t len = 0; len < 16; len++) {
		begin();
		message_attr(&msg, MNFQ_I_NFQA_VLAN, TCI PROTO, len);
		cr_assert(eq(int, parse_copy(), 0));
		cr_expect(eq(int, mnfq_packet_get_vlan(&packet, &tci, &protocol),
			     len < 14 ? -EBADMSG : 0),
			  "%zu bytes", len);
	}
}
