// SPDX-License-Identifier: MIT
/* The packet's connection tracking data: the attributes within NFQA_CT. No I/O. */
#include "packet-ct.h"

#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "options.h"
#include "packet.h"
#include "verdict.h"
#include "wire.h"

/* An attribute within NFQA_CT. */
static int find_ct(const struct mnfq_packet *packet, unsigned int type, uint32_t min_len,
		   struct mnfq_i_bytes *found)
{
	struct mnfq_i_bytes nest;
	int err = mnfq_i_packet_find(packet, NFQA_CT, &nest);

	return err < 0 ? err : mnfq_i_attr_find(nest, type, min_len, found);
}

/* A number of which the kernel leaves out what is 0. */
static uint32_t get_ct32(const struct mnfq_packet *packet, unsigned int type)
{
	struct mnfq_i_bytes found;

	return find_ct(packet, type, sizeof(uint32_t), &found) < 0 ? 0 : mnfq_i_be32(found.data);
}

const uint8_t *mnfq_packet_get_ct(const struct mnfq_packet *packet, size_t *len)
{
	return mnfq_i_packet_bytes(packet, NFQA_CT, len);
}

const char *mnfq_packet_get_ct_state_name(const struct mnfq_packet *packet)
{
	static const char names[][12] = { "established", "related", "new" };
	uint32_t info;

	if (mnfq_packet_get_ct_info(packet, &info) < 0)
		return NULL;
	if (info == MNFQ_I_CT_UNTRACKED)
		return "untracked";
	return info < 2 * MNFQ_I_CT_IS_REPLY ? names[info % MNFQ_I_CT_IS_REPLY] : "unknown";
}

const char *mnfq_packet_get_ct_direction_name(const struct mnfq_packet *packet)
{
	uint32_t info;

	if (mnfq_packet_get_ct_info(packet, &info) < 0 || info >= 2 * MNFQ_I_CT_IS_REPLY)
		return NULL;
	return info < MNFQ_I_CT_IS_REPLY ? "original" : "reply";
}

uint32_t mnfq_packet_get_ct_mark(const struct mnfq_packet *packet)
{
	return get_ct32(packet, CTA_MARK);
}

uint32_t mnfq_packet_get_ct_id(const struct mnfq_packet *packet)
{
	return get_ct32(packet, CTA_ID);
}

uint32_t mnfq_packet_get_ct_status(const struct mnfq_packet *packet)
{
	return get_ct32(packet, CTA_STATUS);
}

static uint16_t load16(struct mnfq_i_bytes bytes)
{
	uint16_t value;

	memcpy(&value, bytes.data, sizeof(value));
	return ntohs(value);
}

uint16_t mnfq_packet_get_ct_zone(const struct mnfq_packet *packet)
{
	struct mnfq_i_bytes found;

	return find_ct(packet, CTA_ZONE, sizeof(uint16_t), &found) < 0 ? 0 : load16(found);
}

const uint8_t *mnfq_packet_get_ct_labels(const struct mnfq_packet *packet, size_t *len)
{
	struct mnfq_i_bytes found = { NULL, 0 };
	bool there = find_ct(packet, MNFQ_I_CTA_LABELS, 0, &found) == 0;

	if (len)
		*len = there ? found.len : 0;
	return there ? found.data : NULL;
}

/* ---- tuples ---- */

/* Both addresses of a family, if they are there. */
static int read_addresses(struct mnfq_i_bytes ip, struct mnfq_tuple *tuple, uint8_t family)
{
	uint32_t size = family == AF_INET ? 4 : 16;
	struct mnfq_i_bytes src, dst;
	int err = mnfq_i_attr_find(ip, family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, size,
				   &src);

	if (err == 0)
		err = mnfq_i_attr_find(ip, family == AF_INET ? CTA_IP_V4_DST : CTA_IP_V6_DST,
				       size, &dst);
	if (err < 0)
		return err == -ENODATA ? 0 : err;
	tuple->family = family;
	memcpy(tuple->src, src.data, size);
	memcpy(tuple->dst, dst.data, size);
	return 0;
}

static int read_proto8(struct mnfq_i_bytes proto, unsigned int type, uint8_t *value)
{
	struct mnfq_i_bytes found;
	int err = mnfq_i_attr_find(proto, type, sizeof(*value), &found);

	if (err == 0)
		*value = found.data[0];
	return err == -ENODATA ? 0 : err;
}

static int read_proto16(struct mnfq_i_bytes proto, unsigned int type, uint16_t *value)
{
	struct mnfq_i_bytes found;
	int err = mnfq_i_attr_find(proto, type, sizeof(*value), &found);

	if (err == 0)
		*value = load16(found);
	return err == -ENODATA ? 0 : err;
}

static int read_proto(struct mnfq_i_bytes proto, struct mnfq_tuple *tuple)
{
	int err = read_proto8(proto, CTA_PROTO_NUM, &tuple->protocol);

	/* One of ICMP and ICMPv6 is there at most: the other leaves things as they are. */
	if (err == 0)
		err = read_proto16(proto, CTA_PROTO_SRC_PORT, &tuple->sport);
	if (err == 0)
		err = read_proto16(proto, CTA_PROTO_DST_PORT, &tuple->dport);
	if (err == 0)
		err = read_proto16(proto, CTA_PROTO_ICMP_ID, &tuple->id);
	if (err == 0)
		err = read_proto8(proto, CTA_PROTO_ICMP_TYPE, &tuple->type);
	if (err == 0)
		err = read_proto8(proto, CTA_PROTO_ICMP_CODE, &tuple->code);
	if (err == 0)
		err = read_proto16(proto, CTA_PROTO_ICMPV6_ID, &tuple->id);
	if (err == 0)
		err = read_proto8(proto, CTA_PROTO_ICMPV6_TYPE, &tuple->type);
	if (err == 0)
		err = read_proto8(proto, CTA_PROTO_ICMPV6_CODE, &tuple->code);
	return err;
}

static int read_tuple(struct mnfq_i_bytes nest, struct mnfq_tuple *tuple)
{
	struct mnfq_i_bytes ip, proto;
	int err = mnfq_i_attr_find(nest, CTA_TUPLE_IP, 0, &ip);

	if (err == 0)
		err = read_addresses(ip, tuple, AF_INET);
	if (err == 0)
		err = read_addresses(ip, tuple, AF_INET6);
	if (err == 0)
		err = mnfq_i_attr_find(nest, CTA_TUPLE_PROTO, 0, &proto);
	if (err == 0)
		err = read_proto(proto, tuple);
	if (err == 0)
		err = read_proto16(nest, MNFQ_I_CTA_TUPLE_ZONE, &tuple->zone);
	return err == -ENODATA ? -EBADMSG : err; /* a tuple has both parts */
}

int mnfq_packet_get_ct_tuple(const struct mnfq_packet *packet, enum mnfq_ct_direction direction,
			     struct mnfq_tuple *tuple)
{
	struct mnfq_tuple found = { 0 };
	struct mnfq_i_bytes nest;
	int err;

	if (!mnfq_i_options_sized(tuple) || direction > MNFQ_CT_REPLY)
		return -EINVAL;
	err = find_ct(packet, direction == MNFQ_CT_REPLY ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG, 0,
		      &nest);
	if (err == 0)
		err = read_tuple(nest, &found);
	if (err == 0)
		mnfq_i_options_return(tuple, &found, sizeof(found));
	return err;
}

static bool has_nat(const struct mnfq_packet *packet)
{
	return mnfq_packet_get_ct_status(packet) & (IPS_SRC_NAT | IPS_DST_NAT);
}

/*
 * Will the kernel adjust sequence numbers for a payload of @len bytes, if data of the connection
 * goes with it, without a request for that? It tries for each TCP connection with NAT, and
 * warns about those for which it cannot remember the difference (WARN in nf_ct_seqadj_set()).
 */
bool mnfq_i_packet_adjusts_unasked(const struct mnfq_packet *packet, size_t len)
{
	struct mnfq_tuple tuple = { .size = sizeof(tuple) };
	size_t before;

	if ((packet->changes.set & MNFQ_I_CHANGE_SEQ_ADJUST) || !has_nat(packet))
		return false;
	/* Where it is unknown it may differ. */
	if (mnfq_packet_get_length(packet, &before) == 0 && len == before)
		return false;
	return mnfq_packet_get_ct_tuple(packet, MNFQ_CT_ORIGINAL, &tuple) < 0 ||
	       tuple.protocol == IPPROTO_TCP;
}

/*
 * Would the kernel adjust the sequence numbers of the connection if this packet changed its
 * length? It does for connections with NAT, and has room to remember the difference if they have
 * a helper.
 */
bool mnfq_i_packet_seq_adjustable(const struct mnfq_packet *packet)
{
	struct mnfq_i_bytes helper;

	return has_nat(packet) && find_ct(packet, CTA_HELP, 0, &helper) == 0;
}
