// SPDX-License-Identifier: MIT
/*
 * A packet message with connection tracking data, as __ctnetlink_glue_build() of the kernel's
 * nf_conntrack_netlink.c builds it, and what is to be seen of it.
 */
#include "connection.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <stdlib.h>

struct message msg;
struct mnfq_packet packet;

int parse(void)
{
	static struct mnfq_queue queue;
	static uint8_t *copy;

	packet.queue = &queue;
	free(copy);
	copy = malloc(msg.len);
	memcpy(copy, msg.bytes, msg.len);
	return mnfq_i_packet_parse(&packet, copy, msg.len);
}

void begin(void)
{
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, NF_INET_LOCAL_OUT);
	/* libmnl adds behind what is aligned only. */
	msg.len = NLMSG_ALIGN(msg.len);
	((struct nlmsghdr *)msg.bytes)->nlmsg_len = (uint32_t)msg.len;
}

void put_tuple(struct nlmsghdr *nlh, uint16_t type, uint8_t protocol, bool ipv6,
	       const struct side *side)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type), *nest;
	size_t size = ipv6 ? 16 : 4;

	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	mnl_attr_put(nlh, ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, size, side->src);
	mnl_attr_put(nlh, ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, size, side->dst);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, protocol);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(side->sport));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(side->dport));
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, tuple);
}

static void put_tcp_state(struct nlmsghdr *nlh)
{
	struct nlattr *info = mnl_attr_nest_start(nlh, CTA_PROTOINFO);
	struct nlattr *tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);

	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, info);
}

static void put_helper(struct nlmsghdr *nlh)
{
	struct nlattr *help = mnl_attr_nest_start(nlh, CTA_HELP);

	mnl_attr_put_strz(nlh, CTA_HELP_NAME, "ftp");
	mnl_attr_nest_end(nlh, help);
}

const uint8_t labels[MNFQ_CT_LABELS_SIZE] = { 1, 2, 3, [15] = 0x80 };

/* A TCP connection with NAT and a helper; the nest is the last of the message. */
void put_connection(void)
{
	static const struct side original = { "\xc0\xa8\1\2", "\12\0\0\1", 40000, 21 };
	static const struct side reply = { "\12\0\0\1", "\xcb\0\x71\5", 21, 1025 };
	struct nlmsghdr *nlh = (struct nlmsghdr *)msg.bytes;
	struct nlattr *ct;

	begin();
	mnl_attr_put_u32(nlh, NFQA_CT_INFO, htonl(IP_CT_ESTABLISHED_REPLY));
	ct = mnl_attr_nest_start(nlh, NFQA_CT);
	put_tuple(nlh, CTA_TUPLE_ORIG, IPPROTO_TCP, false, &original);
	put_tuple(nlh, CTA_TUPLE_REPLY, IPPROTO_TCP, false, &reply);
	mnl_attr_put_u16(nlh, CTA_ZONE, htons(0x1234));
	mnl_attr_put_u32(nlh, CTA_ID, htonl(0xdeadbeef));
	mnl_attr_put_u32(nlh, CTA_STATUS, htonl(IPS_SEEN_REPLY | IPS_ASSURED | IPS_SRC_NAT));
	mnl_attr_put_u32(nlh, CTA_TIMEOUT, htonl(431999));
	put_tcp_state(nlh);
	put_helper(nlh);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(0x01020304));
	mnl_attr_put(nlh, MNFQ_I_CTA_LABELS, sizeof(labels), labels);
	mnl_attr_nest_end(nlh, ct);
	msg.len = nlh->nlmsg_len;
}

void expect_all(int tuples)
{
	struct mnfq_tuple found = MNFQ_INIT(found);
	size_t len = 4711;

	cr_expect(eq(u32, mnfq_packet_get_ct_id(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_ct_status(&packet), 0));
	cr_expect(eq(u32, mnfq_packet_get_ct_mark(&packet), 0));
	cr_expect(eq(u16, mnfq_packet_get_ct_zone(&packet), 0));
	cr_expect(mnfq_packet_get_ct_labels(&packet, &len) == NULL);
	cr_expect(eq(sz, len, 0));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_ORIGINAL, &found), tuples));
	cr_expect(eq(int, mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, &found), tuples));
	cr_expect(not(mnfq_i_packet_seq_adjustable(&packet)));
}
