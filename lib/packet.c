// SPDX-License-Identifier: MIT
/*
 * A netlink message to a view of a packet, and what can be asked of it. Every length is checked
 * here, before anything else looks at the message. Nothing here does I/O.
 */
#include "packet.h"

#include <errno.h>
#include <linux/if_ether.h>

#include "verdict.h"
#include "wire.h"

/* The least length of the attributes that we read; shorter ones make the message malformed. */
static const uint8_t least_len[MNFQ_I_ATTRS] = {
	[NFQA_PACKET_HDR] = sizeof(struct nfqnl_msg_packet_hdr),
	[NFQA_MARK] = sizeof(uint32_t),
	[NFQA_TIMESTAMP] = sizeof(struct nfqnl_msg_packet_timestamp),
	[NFQA_IFINDEX_INDEV] = sizeof(uint32_t),
	[NFQA_IFINDEX_OUTDEV] = sizeof(uint32_t),
	[NFQA_IFINDEX_PHYSINDEV] = sizeof(uint32_t),
	[NFQA_IFINDEX_PHYSOUTDEV] = sizeof(uint32_t),
	[NFQA_HWADDR] = sizeof(struct nfqnl_msg_packet_hw),
	[NFQA_CAP_LEN] = sizeof(uint32_t),
	[NFQA_SKB_INFO] = sizeof(uint32_t),
	[NFQA_UID] = sizeof(uint32_t),
	[NFQA_GID] = sizeof(uint32_t),
	[NFQA_CT_INFO] = sizeof(uint32_t),
	[MNFQ_I_NFQA_PRIORITY] = sizeof(uint32_t),
	[MNFQ_I_NFQA_CGROUP_CLASSID] = sizeof(uint32_t),
};

/*
 * The next of the attributes in @bytes, at *@at, which is moved behind it. Returns 1, or 0 at the
 * end, -EBADMSG for a length that cannot be, -EMSGSIZE for one that reaches over the end.
 */
static int next_attr(const uint8_t *bytes, uint32_t len, uint32_t *at, struct nlattr *attr)
{
	uint32_t left = len - *at;

	if (left < sizeof(*attr))
		return 0;
	memcpy(attr, bytes + *at, sizeof(*attr));
	if (attr->nla_len < sizeof(*attr))
		return -EBADMSG;
	if (attr->nla_len > left)
		return -EMSGSIZE;
	/* The last one is not padded. */
	*at += (uint32_t)NLA_ALIGN(attr->nla_len) < left ? (uint32_t)NLA_ALIGN(attr->nla_len)
							 : left;
	return 1;
}

/*
 * The attribute of @type, of at least @min_len bytes, among those in @nest. Returns 0, or
 * -ENODATA, or -EBADMSG if @nest is malformed.
 */
int mnfq_i_attr_find(struct mnfq_i_bytes nest, unsigned int type, uint32_t min_len,
		     struct mnfq_i_bytes *found)
{
	uint32_t at = 0, here = 0;
	struct nlattr attr;
	int more, err = -ENODATA;

	while ((more = next_attr(nest.data, nest.len, &at, &attr)) > 0) {
		if ((attr.nla_type & NLA_TYPE_MASK) == type) {
			found->data = nest.data + here + sizeof(attr);
			found->len = attr.nla_len - (uint32_t)sizeof(attr);
			err = found->len < min_len ? -EBADMSG : 0;
		}
		here = at;
	}
	return more < 0 ? -EBADMSG : err;
}

static const uint8_t *find(const struct mnfq_packet *packet, unsigned int type)
{
	if (!packet || !(packet->present >> type & 1))
		return NULL;
	return packet->msg + packet->offset[type];
}

/* The same with its length. Returns 0, -ENODATA or -EINVAL. */
int mnfq_i_packet_find(const struct mnfq_packet *packet, unsigned int type,
		       struct mnfq_i_bytes *found)
{
	struct nlattr attr;

	if (!packet)
		return -EINVAL;
	found->data = find(packet, type);
	if (!found->data)
		return -ENODATA;
	memcpy(&attr, found->data - sizeof(attr), sizeof(attr));
	found->len = attr.nla_len - (uint32_t)sizeof(attr);
	return 0;
}

/* The same for a getter: NULL and 0 bytes where there are none. */
const uint8_t *mnfq_i_packet_bytes(const struct mnfq_packet *packet, unsigned int type,
				   size_t *len)
{
	struct mnfq_i_bytes found = { NULL, 0 };

	(void)mnfq_i_packet_find(packet, type, &found);
	if (len)
		*len = found.len;
	return found.data;
}

static uint32_t find32(const struct mnfq_packet *packet, unsigned int type)
{
	const uint8_t *value = find(packet, type);

	return value ? mnfq_i_be32(value) : 0;
}

/* Remembers one attribute. A payload's length is kept as well; the others know theirs. */
static int take(struct mnfq_packet *packet, const struct nlattr *attr, uint32_t at)
{
	unsigned int type = attr->nla_type & NLA_TYPE_MASK;
	uint32_t len = attr->nla_len - (uint32_t)sizeof(*attr);

	if (type >= MNFQ_I_ATTRS)
		return 0;
	if (len < least_len[type])
		return -EBADMSG;
	packet->present |= 1u << type;
	packet->offset[type] = at + (uint32_t)sizeof(*attr);
	if (type == NFQA_PAYLOAD) {
		packet->payload = packet->msg + packet->offset[type];
		packet->payload_len = len;
	}
	return 0;
}

static int walk(struct mnfq_packet *packet, uint32_t len, bool cut)
{
	uint32_t at = MNFQ_I_HDRLEN, here = at;
	struct nlattr attr;
	int more;

	while ((more = next_attr(packet->msg, len, &at, &attr)) > 0) {
		if (take(packet, &attr, here) < 0)
			return -EBADMSG;
		here = at;
	}
	if (more == -EBADMSG || (more < 0 && !cut))
		return -EBADMSG;
	return cut ? -EMSGSIZE : 0;
}

/*
 * Makes @packet a view of a NFQNL_MSG_PACKET message of which @len bytes were received; the
 * caller has seen that a whole struct nlmsghdr is there, and that it is aligned to 4 bytes.
 *
 * Returns 0; -EMSGSIZE if the message is longer than what was received; -EBADMSG if it makes no
 * sense. Also after a failure the id is known if NFQA_PACKET_HDR is present.
 */
int mnfq_i_packet_parse(struct mnfq_packet *packet, const uint8_t *msg, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)msg;
	bool cut = nlh->nlmsg_len > len;
	const uint8_t *hdr;
	int err;

	packet->msg = msg;
	packet->msg_len = (uint32_t)(cut ? len : nlh->nlmsg_len);
	packet->payload = msg + packet->msg_len;
	packet->payload_len = 0;
	packet->present = 0;
	packet->id = 0;
	packet->changes.set = packet->allowed = 0;
	packet->error = "";
	packet->in_hand = packet->copied = packet->retained = packet->allocates = false;
	packet->decided = false;
	packet->counterpart = NULL;
	packet->memory = NULL;
	packet->data = NULL;
	if (packet->msg_len < MNFQ_I_HDRLEN)
		return cut ? -EMSGSIZE : -EBADMSG;

	err = walk(packet, packet->msg_len, cut);
	hdr = find(packet, NFQA_PACKET_HDR);
	if (hdr)
		packet->id = mnfq_i_be32(hdr);
	else if (err == 0)
		err = -EBADMSG;
	return err;
}

uint16_t mnfq_packet_get_queue_num(const struct mnfq_packet *packet)
{
	return packet ? ntohs(((const struct nfgenmsg *)(packet->msg + NLMSG_HDRLEN))->res_id)
		      : 0;
}

/* The verdict for @packet as it is to be sent. */
struct mnfq_i_decision mnfq_i_packet_decision(const struct mnfq_packet *packet, uint32_t tag,
					      uint32_t verdict)
{
	bool payload = packet->changes.set & MNFQ_I_CHANGE_PAYLOAD;

	return (struct mnfq_i_decision){ .tag = tag,
					 .id = packet->id,
					 .verdict = verdict,
					 .changes = packet->changes.set ? &packet->changes : NULL,
					 .payload = payload ? packet->payload : NULL,
					 .payload_len = payload ? packet->payload_len : 0 };
}

uint32_t mnfq_packet_get_id(const struct mnfq_packet *packet)
{
	return packet ? packet->id : 0;
}

uint8_t mnfq_packet_get_family(const struct mnfq_packet *packet)
{
	return packet ? ((const struct nfgenmsg *)(packet->msg + NLMSG_HDRLEN))->nfgen_family : 0;
}

uint8_t mnfq_packet_get_hook(const struct mnfq_packet *packet)
{
	const uint8_t *hdr = find(packet, NFQA_PACKET_HDR);

	return hdr ? hdr[offsetof(struct nfqnl_msg_packet_hdr, hook)] : 0;
}

const char *mnfq_packet_get_hook_name(const struct mnfq_packet *packet)
{
	static const char inet[][12] = { "prerouting", "input",       "forward",
					 "output",     "postrouting", "ingress" };
	static const char arp[][8] = { "input", "output", "forward" };
	static const char netdev[][8] = { "ingress", "egress" };
	unsigned int hook = mnfq_packet_get_hook(packet);

	switch (mnfq_packet_get_family(packet)) {
	case NFPROTO_ARP:
		return hook < 3 ? arp[hook] : "unknown";
	case NFPROTO_NETDEV:
		return hook < 2 ? netdev[hook] : "unknown";
	default:
		return hook < 6 ? inet[hook] : "unknown";
	}
}

uint16_t mnfq_packet_get_hw_protocol(const struct mnfq_packet *packet)
{
	const uint8_t *hdr = find(packet, NFQA_PACKET_HDR);
	uint16_t protocol = 0;

	if (hdr)
		memcpy(&protocol, hdr + offsetof(struct nfqnl_msg_packet_hdr, hw_protocol),
		       sizeof(protocol));
	return ntohs(protocol);
}

uint16_t mnfq_packet_get_ethertype(const struct mnfq_packet *packet)
{
	switch (mnfq_packet_get_family(packet)) {
	case NFPROTO_IPV4:
		return ETH_P_IP;
	case NFPROTO_IPV6:
		return ETH_P_IPV6;
	default:
		return mnfq_packet_get_hw_protocol(packet);
	}
}

uint32_t mnfq_packet_get_mark(const struct mnfq_packet *packet)
{
	return find32(packet, NFQA_MARK);
}

uint32_t mnfq_packet_get_indev(const struct mnfq_packet *packet)
{
	return find32(packet, NFQA_IFINDEX_INDEV);
}

uint32_t mnfq_packet_get_outdev(const struct mnfq_packet *packet)
{
	return find32(packet, NFQA_IFINDEX_OUTDEV);
}

uint32_t mnfq_packet_get_physindev(const struct mnfq_packet *packet)
{
	return find32(packet, NFQA_IFINDEX_PHYSINDEV);
}

uint32_t mnfq_packet_get_physoutdev(const struct mnfq_packet *packet)
{
	return find32(packet, NFQA_IFINDEX_PHYSOUTDEV);
}

const uint8_t *mnfq_packet_get_hwaddr(const struct mnfq_packet *packet, size_t *len)
{
	const uint8_t *hw = find(packet, NFQA_HWADDR);
	uint16_t used = 0;

	if (hw) {
		memcpy(&used, hw, sizeof(used));
		used = ntohs(used);
	}
	/* A length that does not fit the field cannot be trusted at all. */
	if (used > sizeof(((struct nfqnl_msg_packet_hw *)0)->hw_addr))
		used = 0;
	if (len)
		*len = used;
	return used ? hw + offsetof(struct nfqnl_msg_packet_hw, hw_addr) : NULL;
}

int64_t mnfq_packet_get_timestamp(const struct mnfq_packet *packet)
{
	const uint8_t *stamp = find(packet, NFQA_TIMESTAMP);
	uint64_t sec;

	if (!stamp)
		return 0;
	/* Two 64-bit numbers of which the second is below 10^6. */
	sec = (uint64_t)mnfq_i_be32(stamp) << 32 | mnfq_i_be32(stamp + 4);
	return (int64_t)(sec * 1000000 + mnfq_i_be32(stamp + 12));
}

uint32_t mnfq_packet_get_skb_info(const struct mnfq_packet *packet)
{
	return find32(packet, NFQA_SKB_INFO);
}

static int get_number(const struct mnfq_packet *packet, unsigned int type, uint32_t *value)
{
	if (!packet || !value)
		return -EINVAL;
	if (!find(packet, type))
		return -ENODATA;
	*value = find32(packet, type);
	return 0;
}

int mnfq_packet_get_uid(const struct mnfq_packet *packet, uint32_t *uid)
{
	return get_number(packet, NFQA_UID, uid);
}

int mnfq_packet_get_gid(const struct mnfq_packet *packet, uint32_t *gid)
{
	return get_number(packet, NFQA_GID, gid);
}

const uint8_t *mnfq_packet_get_payload(const struct mnfq_packet *packet, size_t *len)
{
	if (len)
		*len = packet ? packet->payload_len : 0;
	return packet ? packet->payload : (const uint8_t *)"";
}

int mnfq_packet_get_length(const struct mnfq_packet *packet, size_t *len)
{
	struct mnfq_i_bytes payload;
	int err = len ? mnfq_i_packet_find(packet, NFQA_PAYLOAD, &payload) : -EINVAL;

	if (err < 0)
		return err;
	*len = find(packet, NFQA_CAP_LEN) ? find32(packet, NFQA_CAP_LEN) : payload.len;
	return 0;
}

int mnfq_packet_is_whole(const struct mnfq_packet *packet)
{
	struct mnfq_i_bytes payload;

	return mnfq_i_packet_find(packet, NFQA_PAYLOAD, &payload) == 0 &&
	       find32(packet, NFQA_CAP_LEN) <= payload.len;
}

const char *mnfq_packet_get_secctx(const struct mnfq_packet *packet, size_t *len)
{
	return (const char *)mnfq_i_packet_bytes(packet, MNFQ_I_NFQA_SECCTX, len);
}

int mnfq_packet_get_ct_info(const struct mnfq_packet *packet, uint32_t *info)
{
	return get_number(packet, NFQA_CT_INFO, info);
}

uint32_t mnfq_packet_get_priority(const struct mnfq_packet *packet)
{
	return find32(packet, MNFQ_I_NFQA_PRIORITY);
}

uint32_t mnfq_packet_get_cgroup_classid(const struct mnfq_packet *packet)
{
	return find32(packet, MNFQ_I_NFQA_CGROUP_CLASSID);
}

static int get_vlan16(struct mnfq_i_bytes nest, unsigned int type, uint16_t *value)
{
	struct mnfq_i_bytes bytes;
	int err = mnfq_i_attr_find(nest, type, sizeof(*value), &bytes);

	if (err < 0)
		return -EBADMSG; /* the kernel sends both or neither */
	memcpy(value, bytes.data, sizeof(*value));
	*value = ntohs(*value);
	return 0;
}

int mnfq_packet_get_vlan(const struct mnfq_packet *packet, uint16_t *tci, uint16_t *protocol)
{
	struct mnfq_i_bytes nest;
	uint16_t values[2] = { 0 };
	int err = mnfq_i_packet_find(packet, MNFQ_I_NFQA_VLAN, &nest);

	if (err == 0)
		err = get_vlan16(nest, MNFQ_I_NFQA_VLAN_TCI, &values[0]);
	if (err == 0)
		err = get_vlan16(nest, MNFQ_I_NFQA_VLAN_PROTO, &values[1]);
	if (err < 0)
		return err;
	if (tci)
		*tci = values[0];
	if (protocol)
		*protocol = values[1];
	return 0;
}

const uint8_t *mnfq_packet_get_l2hdr(const struct mnfq_packet *packet, size_t *len)
{
	return mnfq_i_packet_bytes(packet, MNFQ_I_NFQA_L2HDR, len);
}
