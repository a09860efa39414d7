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
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

#define MNFQ_I_ATTRS 32 /* attribute types below this are kept; the kernel uses 22 so far */

#define MNFQ_I_MSG(type) ((NFNL_SUBSYS_QUEUE << 8) | (type))
#define MNFQ_I_HDRLEN    (NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)))

/* Every verdict message begins like this; mark and payload follow as attributes. */
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

/* The longest head of a verdict message: the header, a mark, the header of a payload. */
#define MNFQ_I_HEAD_MAX                                                                          \
	(sizeof(struct mnfq_i_verdict_msg) + 2 * sizeof(struct nlattr) + sizeof(uint32_t))

/* All attributes that may surround a payload; names of security contexts are the longest. */
#define MNFQ_I_ATTRS_MAX  8192u
#define MNFQ_I_SLOT_SIZE  (65536u + MNFQ_I_ATTRS_MAX)
#define MNFQ_I_OUTBOX_MAX (128u * 1024)

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
