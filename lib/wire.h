/* SPDX-License-Identifier: MIT */
/*
 * The layouts of the messages that go over the socket, and the kernel's numbers that the headers
 * of older systems lack. Source: include/uapi/linux/netfilter/nfnetlink_queue.h.
 */
#ifndef MNFQ_WIRE_H
#define MNFQ_WIRE_H

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <mnfq/mnfq.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define MNFQ_I_ATTRS 32 /* attribute types below this are kept; the kernel uses 22 so far */

/* enum nfqnl_attr_type and nfqnl_vlan_attr, what is younger than NFQA_GID of Linux 3.13. */
#define MNFQ_I_NFQA_SECCTX         18u
#define MNFQ_I_NFQA_VLAN           19u
#define MNFQ_I_NFQA_L2HDR          20u
#define MNFQ_I_NFQA_PRIORITY       21u
#define MNFQ_I_NFQA_CGROUP_CLASSID 22u
#define MNFQ_I_NFQA_VLAN_PROTO     1u
#define MNFQ_I_NFQA_VLAN_TCI       2u

/* enum ctattr_type and ctattr_tuple, likewise. */
#define MNFQ_I_CTA_MARK_MASK   21u
#define MNFQ_I_CTA_LABELS      22u
#define MNFQ_I_CTA_LABELS_MASK 23u
#define MNFQ_I_CTA_TUPLE_ZONE  3u

/* sys/socket.h, what is younger than Linux 5.13; an architecture may have numbers of its own. */
#ifdef SO_NETNS_COOKIE
#define MNFQ_I_SO_NETNS_COOKIE SO_NETNS_COOKIE
#else
#define MNFQ_I_SO_NETNS_COOKIE 71
#endif
/* Likewise, what is younger than Linux 4.12. */
#ifdef SO_MEMINFO
#define MNFQ_I_SO_MEMINFO SO_MEMINFO
#else
#define MNFQ_I_SO_MEMINFO 55
#endif
#define MNFQ_I_SCM_PIDFD 4

#define MNFQ_I_MEMBARRIER_GLOBAL 1 /* membarrier(2), MEMBARRIER_CMD_SHARED before Linux 4.16 */

/* enum ip_conntrack_info: a state, or a state and this for the other direction. */
#define MNFQ_I_CT_IS_REPLY  3u
#define MNFQ_I_CT_UNTRACKED 7u

#define MNFQ_I_MSG(type) ((NFNL_SUBSYS_QUEUE << 8) | (type))
/* A question that changes nothing, and that only nf_conntrack_netlink understands. */
#define MNFQ_I_CT_GET_STATS ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET_STATS)
#define MNFQ_I_HDRLEN       (NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)))

/* Every verdict message begins like this; what changes with it follows as attributes. */
struct mnfq_i_verdict_msg {
	struct nlmsghdr nlh;
	struct nfgenmsg nfg;
	struct nlattr attr;
	struct nfqnl_msg_verdict_hdr verdict;
};

/*
 * What the kernel echoes in an error are our nlmsg_seq and nlmsg_pid, which it uses for nothing
 * else: they carry the packet id and a tag, so that an error finds its packet even if the rest of
 * the request is not echoed (NETLINK_CAP_ACK). A tag is the queue number, a bit for a release,
 * which decides what may or may not be there so that ENOENT is no news, and a random number by
 * which a socket knows its own requests from those of others who share the descriptor.
 */
#define MNFQ_I_TAG_RELEASE 0x10000u
#define MNFQ_I_TAG_OWN     0xfffe0000u

/* All of a verdict message but its payload: header and all changes there are make 224 bytes. */
#define MNFQ_I_HEAD_MAX  256u
#define MNFQ_I_L2HDR_MAX 64u /* ports of a bridge are Ethernet: 14 */

/* All attributes that may surround a payload; names of security contexts are the longest. */
#define MNFQ_I_ATTRS_MAX  8192u
#define MNFQ_I_SLOT_SIZE  (65536u + MNFQ_I_ATTRS_MAX)
#define MNFQ_I_OUTBOX_MAX (128u * 1024)

/* Packets that a queue of the kernel holds at most. */
#define MNFQ_I_WAITING_MAX 65536u

/* Anyone with CAP_NET_ADMIN in the namespace can send to our port id. The kernel is port id 0. */
static inline int mnfq_i_from_kernel(const void *from, size_t from_len)
{
	struct sockaddr_nl sender;

	if (!from) /* the caller of feed may vouch for it */
		return from_len == MNFQ_FROM_KERNEL;
	if (from_len < sizeof(sender))
		return 0;
	memcpy(&sender, from, sizeof(sender));
	return sender.nl_family == AF_NETLINK && sender.nl_pid == 0;
}

static inline int mnfq_i_is_verdict(uint16_t type)
{
	return type == MNFQ_I_MSG(NFQNL_MSG_VERDICT) ||
	       type == MNFQ_I_MSG(NFQNL_MSG_VERDICT_BATCH);
}

static inline uint32_t mnfq_i_load32(const void *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* A netlink attribute's integers are big-endian in this subsystem. */
static inline uint32_t mnfq_i_be32(const void *p)
{
	return ntohl(mnfq_i_load32(p));
}

/* Packet ids wrap around: a comes after b if it is less than half the numbers ahead. */
static inline int mnfq_i_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

#endif
