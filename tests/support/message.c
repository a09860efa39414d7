// SPDX-License-Identifier: MIT
/* Builds netlink messages as the kernel sends them, for tests that have no kernel. */
#include "message.h"

#include "wire.h"

static void finish(struct message *message)
{
	((struct nlmsghdr *)message->bytes)->nlmsg_len = (uint32_t)message->len;
}

void message_begin(struct message *message, uint16_t queue)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)message->bytes;
	struct nfgenmsg *nfg = (struct nfgenmsg *)(nlh + 1);

	*nlh = (struct nlmsghdr){ .nlmsg_type = MNFQ_I_MSG(NFQNL_MSG_PACKET) };
	*nfg = (struct nfgenmsg){ .nfgen_family = NFPROTO_IPV4, .res_id = htons(queue) };
	message->len = sizeof(*nlh) + sizeof(*nfg);
	finish(message);
}

void message_attr(struct message *message, uint16_t type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = (uint16_t)(sizeof(attr) + len), .nla_type = type };

	/* The kernel pads what lies between two attributes, not what follows the last one. */
	message->len = NLA_ALIGN(message->len);
	memcpy(message->bytes + message->len, &attr, sizeof(attr));
	if (len > 0)
		memcpy(message->bytes + message->len + sizeof(attr), data, len);
	message->len += sizeof(attr) + len;
	finish(message);
}

void message_attr16(struct message *message, uint16_t type, uint16_t value)
{
	uint16_t big = htons(value);

	message_attr(message, type, &big, sizeof(big));
}

void message_attr32(struct message *message, uint16_t type, uint32_t value)
{
	uint32_t big = htonl(value);

	message_attr(message, type, &big, sizeof(big));
}

size_t message_open(struct message *message, uint16_t type)
{
	message_attr(message, type | NLA_F_NESTED, NULL, 0);
	return message->len - sizeof(struct nlattr);
}

void message_close(struct message *message, size_t nest)
{
	struct nlattr *attr = (struct nlattr *)(message->bytes + nest);

	message->len = NLA_ALIGN(message->len);
	attr->nla_len = (uint16_t)(message->len - nest);
	finish(message);
}

void message_hdr(struct message *message, uint32_t id, uint16_t protocol, uint8_t hook)
{
	struct nfqnl_msg_packet_hdr hdr = { .packet_id = htonl(id),
					    .hw_protocol = htons(protocol),
					    .hook = hook };

	message_attr(message, NFQA_PACKET_HDR, &hdr, sizeof(hdr));
}

void message_packet(struct message *message, uint16_t queue, uint32_t id, size_t len)
{
	static uint8_t payload[65536];

	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)i;
	message_begin(message, queue);
	message_hdr(message, id, 0x0800, NF_INET_LOCAL_OUT);
	message_attr32(message, NFQA_IFINDEX_OUTDEV, 1);
	message_attr(message, NFQA_PAYLOAD, payload, len);
}

void message_error(struct message *message, int error, uint16_t type, uint32_t seq, uint32_t pid)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)message->bytes;
	struct nlmsgerr *answer = (struct nlmsgerr *)(nlh + 1);

	*nlh = (struct nlmsghdr){ .nlmsg_type = NLMSG_ERROR };
	*answer = (struct nlmsgerr){ .error = error,
				     .msg = { .nlmsg_len = sizeof(struct nlmsghdr),
					      .nlmsg_type = type,
					      .nlmsg_seq = seq,
					      .nlmsg_pid = pid } };
	message->len = sizeof(*nlh) + sizeof(*answer);
	finish(message);
}
