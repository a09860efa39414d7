// SPDX-License-Identifier: MIT
/*
 * Packets that did not come from a kernel: metadata and bytes become the message that a kernel would have sent,
 * so that everything else takes them for what they look like. Their verdicts are recorded. No I/O.
 */
#include "memory.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdlib.h>

#include "options.h"
#include "verdict.h"
#include "wire.h"

#define SECCTX_MAX     4096u
#define CT_MAX         8192u
#define INTERFACES_MAX 64u
#define INFO_FLAGS                                                                               \
	(MNFQ_INFO_LENGTH | MNFQ_INFO_WHOLE | MNFQ_INFO_UID | MNFQ_INFO_GID | MNFQ_INFO_VLAN |   \
	 MNFQ_INFO_CT)

/* ---- a message ---------------------------------------------------------------------------- */

static void put32(struct nlmsghdr *nlh, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(nlh, type, htonl(value));
}

/* Of what the kernel leaves out if it is 0. */
static void put32_if(struct nlmsghdr *nlh, uint16_t type, uint32_t value)
{
	if (value)
		put32(nlh, type, value);
}

static void put_timestamp(struct nlmsghdr *nlh, int64_t usec)
{
	const uint64_t sec = (uint64_t)usec / 1000000;
	const uint32_t words[] = { htonl((uint32_t)(sec >> 32)), htonl((uint32_t)sec), 0,
				   htonl((uint32_t)((uint64_t)usec % 1000000)) };

	mnl_attr_put(nlh, NFQA_TIMESTAMP, sizeof(words), words);
}

static void put_hwaddr(struct nlmsghdr *nlh, const struct mnfq_packet_info *info)
{
	struct nfqnl_msg_packet_hw hw = { .hw_addrlen = htons(info->hwaddr_len) };

	memcpy(hw.hw_addr, info->hwaddr, info->hwaddr_len);
	mnl_attr_put(nlh, NFQA_HWADDR, sizeof(hw), &hw);
}

static void put_vlan_tag(struct nlmsghdr *nlh, const struct mnfq_packet_info *info)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, MNFQ_I_NFQA_VLAN);

	mnl_attr_put_u16(nlh, MNFQ_I_NFQA_VLAN_TCI, htons(info->vlan_tci));
	mnl_attr_put_u16(nlh, MNFQ_I_NFQA_VLAN_PROTO, htons(info->vlan_protocol));
	mnl_attr_nest_end(nlh, nest);
}

static uint8_t family_of(const struct mnfq_packet_info *info)
{
	if (info->family || info->payload_len == 0)
		return info->family;
	switch (info->payload[0] >> 4) {
	case 4:
		return NFPROTO_IPV4;
	case 6:
		return NFPROTO_IPV6;
	default:
		return NFPROTO_UNSPEC;
	}
}

static void put_headers(struct nlmsghdr *nlh, const struct mnfq_packet_info *info)
{
	struct nfqnl_msg_packet_hdr hdr = { .packet_id = htonl(info->id),
					    .hw_protocol = htons(info->hw_protocol),
					    .hook = info->hook };
	struct nfgenmsg *nfg;

	mnl_nlmsg_put_header(nlh);
	nlh->nlmsg_type = MNFQ_I_MSG(NFQNL_MSG_PACKET);
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family_of(info);
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(info->queue_num);
	mnl_attr_put(nlh, NFQA_PACKET_HDR, sizeof(hdr), &hdr);
}

static void put_info(struct nlmsghdr *nlh, const struct mnfq_packet_info *info)
{
	put32_if(nlh, NFQA_IFINDEX_INDEV, info->indev);
	put32_if(nlh, NFQA_IFINDEX_OUTDEV, info->outdev);
	put32_if(nlh, NFQA_IFINDEX_PHYSINDEV, info->physindev);
	put32_if(nlh, NFQA_IFINDEX_PHYSOUTDEV, info->physoutdev);
	put32_if(nlh, NFQA_MARK, info->mark);
	put32_if(nlh, NFQA_SKB_INFO, info->skb_info);
	put32_if(nlh, MNFQ_I_NFQA_PRIORITY, info->priority);
	put32_if(nlh, MNFQ_I_NFQA_CGROUP_CLASSID, info->cgroup_classid);
	if (info->timestamp)
		put_timestamp(nlh, info->timestamp);
	if (info->hwaddr_len)
		put_hwaddr(nlh, info);
	if (info->flags & MNFQ_INFO_VLAN)
		put_vlan_tag(nlh, info);
	if (info->flags & MNFQ_INFO_UID)
		put32(nlh, NFQA_UID, info->uid);
	if (info->flags & MNFQ_INFO_GID)
		put32(nlh, NFQA_GID, info->gid);
	if (info->flags & MNFQ_INFO_CT)
		put32(nlh, NFQA_CT_INFO, info->ct_info);
}

static void put_bytes(struct nlmsghdr *nlh, uint16_t type, const void *bytes, size_t len)
{
	if (bytes)
		mnl_attr_put(nlh, type, len, bytes);
}

/* The payload is the last one, as the kernel has it. */
static void put_all(struct nlmsghdr *nlh, const struct mnfq_packet_info *info,
		    const struct mnfq_memory_options *options)
{
	put_headers(nlh, info);
	put_info(nlh, info);
	put_bytes(nlh, MNFQ_I_NFQA_L2HDR, options->l2hdr, options->l2hdr_len);
	put_bytes(nlh, MNFQ_I_NFQA_SECCTX, options->secctx, options->secctx_len);
	put_bytes(nlh, NFQA_CT, options->ct, options->ct_len);
	if (info->length > info->payload_len)
		put32(nlh, NFQA_CAP_LEN, (uint32_t)info->length);
	if (info->flags & MNFQ_INFO_LENGTH)
		mnl_attr_put(nlh, NFQA_PAYLOAD, info->payload_len,
			     info->payload ? info->payload : (const void *)"");
}

/* ---- checks ------------------------------------------------------------------------------- */

static int check_info(struct mnfq_packet_info *info)
{
	if ((info->flags & ~INFO_FLAGS) || info->hwaddr_len > sizeof(info->hwaddr) ||
	    (!info->payload && info->payload_len > 0) || info->timestamp < 0)
		return -EINVAL;
	if (info->payload_len > MNFQ_COPY_RANGE_MAX || info->length > UINT32_MAX)
		return -EMSGSIZE;
	if (!(info->flags & MNFQ_INFO_LENGTH))
		info->length = info->payload_len;
	if (info->payload_len > 0)
		info->flags |= MNFQ_INFO_LENGTH;
	return info->length < info->payload_len ? -EINVAL : 0;
}

static int check_memory_options(const struct mnfq_memory_options *options)
{
	if ((options->queue_flags & ~MNFQ_QUEUE_FLAGS) ||
	    (!options->l2hdr && options->l2hdr_len > 0) ||
	    (!options->secctx && options->secctx_len > 0) ||
	    (!options->ct && options->ct_len > 0) ||
	    (!options->interfaces && options->interface_count > 0))
		return -EINVAL;
	if (options->l2hdr_len > MNFQ_I_L2HDR_MAX || options->secctx_len > SECCTX_MAX ||
	    options->ct_len > CT_MAX || options->interface_count > INTERFACES_MAX)
		return -EMSGSIZE;
	for (size_t i = 0; i < options->interface_count; i++)
		if (!options->interfaces[i].name ||
		    strnlen(options->interfaces[i].name, IF_NAMESIZE) == IF_NAMESIZE)
			return -EINVAL;
	return 0;
}

/* ---- packets ------------------------------------------------------------------------------ */

static struct mnfq_i_memory *new_memory(const struct mnfq_packet_info *info,
					const struct mnfq_memory_options *options)
{
	const size_t n = options->interface_count;
	struct mnfq_i_memory *memory =
		calloc(1, sizeof(*memory) + n * sizeof(memory->interfaces[0]));

	if (!memory)
		return NULL;
	pthread_mutex_init(&memory->lock, NULL);
	memory->settings.size = sizeof(memory->settings);
	memory->settings.flags = options->queue_flags;
	memory->settings.copy_mode =
		info->flags & MNFQ_INFO_LENGTH ? MNFQ_COPY_PACKET : MNFQ_COPY_META;
	memory->settings.copy_range = info->length > info->payload_len
					      ? (uint32_t)info->payload_len
					      : MNFQ_COPY_RANGE_MAX;
	for (memory->interface_count = 0; memory->interface_count < n;
	     memory->interface_count++) {
		const struct mnfq_interface *from = &options->interfaces[memory->interface_count];
		struct mnfq_i_interface *to = &memory->interfaces[memory->interface_count];

		to->index = from->index;
		to->mtu = from->mtu;
		memcpy(to->name, from->name, strlen(from->name));
	}
	return memory;
}

static void free_memory(struct mnfq_i_memory *memory)
{
	pthread_mutex_destroy(&memory->lock);
	free(memory->payload);
	free(memory);
}

/* More than the headers and attributes of put_all() without those of any length. */
#define FIXED_MAX 1024u

static int make(struct mnfq_packet **ret, const struct mnfq_packet_info *info,
		const struct mnfq_memory_options *options)
{
	const size_t size = FIXED_MAX + info->payload_len + options->l2hdr_len +
			    options->secctx_len + options->ct_len;
	struct mnfq_packet *packet = calloc(1, sizeof(*packet) + size);
	struct mnfq_i_memory *memory = new_memory(info, options);
	struct nlmsghdr *nlh;

	if (!packet || !memory) {
		free(packet);
		if (memory)
			free_memory(memory);
		return -ENOMEM;
	}
	nlh = (struct nlmsghdr *)(packet + 1);
	put_all(nlh, info, options);
	(void)mnfq_i_packet_parse(packet, (const uint8_t *)nlh, nlh->nlmsg_len);
	packet->memory = memory;
	packet->in_hand = packet->allocates = true;
	memory->original = packet;
	*ret = packet;
	return 0;
}

int mnfq_packet_from_memory(struct mnfq_packet **ret, const struct mnfq_packet_info *info,
			    const struct mnfq_memory_options *options)
{
	struct mnfq_packet_info read;
	struct mnfq_memory_options more;
	int err = ret && info ? mnfq_i_options_copy(&read, sizeof(read), info) : -EINVAL;

	if (err == 0)
		err = mnfq_i_options_copy(&more, sizeof(more), options);
	if (err == 0)
		err = check_info(&read);
	if (err == 0)
		err = check_memory_options(&more);
	return err < 0 ? err : make(ret, &read, &more);
}

/* @copy is one of @packet, which was not copied so far. */
void mnfq_i_memory_hold(struct mnfq_packet *copy, struct mnfq_packet *packet)
{
	pthread_mutex_lock(&packet->memory->lock);
	packet->copied = true;
	packet->memory->copy = copy;
	pthread_mutex_unlock(&packet->memory->lock);
}

struct mnfq_packet *mnfq_i_memory_free(struct mnfq_packet *packet)
{
	struct mnfq_i_memory *memory = packet->memory;
	bool last;

	pthread_mutex_lock(&memory->lock);
	if (packet == memory->original)
		memory->original = NULL;
	else
		memory->copy = NULL;
	last = !memory->original && !memory->copy;
	pthread_mutex_unlock(&memory->lock);
	free(packet->scratch);
	free(packet);
	if (last)
		free_memory(memory);
	return NULL;
}

/* As for others: on the original, while that is in hand, it is set on the copy as well. */
void mnfq_i_memory_set_data(struct mnfq_packet *packet, void *data)
{
	struct mnfq_i_memory *memory = packet->memory;

	pthread_mutex_lock(&memory->lock);
	packet->data = data;
	if (packet == memory->original && packet->in_hand && memory->copy)
		memory->copy->data = data;
	pthread_mutex_unlock(&memory->lock);
}

/* Returns 0, -ENODEV: there is none of this index; -ENODATA: @mtu is wanted, and not known. */
int mnfq_i_memory_interface(const struct mnfq_packet *packet, uint32_t ifindex, char *name,
			    uint32_t *mtu)
{
	const struct mnfq_i_memory *memory = packet->memory;

	for (size_t i = 0; i < memory->interface_count; i++) {
		const struct mnfq_i_interface *interface = &memory->interfaces[i];

		if (interface->index != ifindex)
			continue;
		if (mtu && !interface->mtu)
			return -ENODATA;
		if (mtu)
			*mtu = interface->mtu;
		memcpy(name, interface->name, sizeof(interface->name));
		return 0;
	}
	return -ENODEV;
}

/* ---- what is decided ---------------------------------------------------------------------- */

/* With the lock. Returns 0 or -ENOMEM. */
static int record(struct mnfq_i_memory *memory, const struct mnfq_packet *packet,
		  uint32_t verdict)
{
	if (packet->changes.set & MNFQ_I_CHANGE_PAYLOAD) {
		memory->payload = malloc(packet->payload_len + 1);
		if (!memory->payload)
			return -ENOMEM;
		memcpy(memory->payload, packet->payload, packet->payload_len);
		memory->payload_len = packet->payload_len;
	}
	memory->changes = packet->changes;
	memory->verdict = verdict;
	memory->decided = true;
	if (memory->original) {
		memory->original->decided = true;
		memory->original->in_hand = false;
	}
	if (memory->copy)
		memory->copy->decided = true;
	return 0;
}

/* MNFQ_DEFER leaves the packet as it is. */
int mnfq_i_memory_decide(struct mnfq_packet *packet, uint32_t verdict)
{
	struct mnfq_i_memory *memory = packet->memory;
	const bool defers = verdict == MNFQ_DEFER;
	int err = 0;

	if (!mnfq_i_verdict_valid(verdict) && (!defers || packet->retained))
		return -EINVAL;
	pthread_mutex_lock(&memory->lock);
	if (memory->decided)
		err = -EALREADY;
	else if (!defers)
		err = record(memory, packet, verdict);
	else if (packet->changes.set && !packet->copied)
		err = -EINVAL;
	pthread_mutex_unlock(&memory->lock);
	return err;
}

static const struct {
	uint32_t from, to;
} changed[] = {
	{ MNFQ_I_CHANGE_PAYLOAD, MNFQ_CHANGED_PAYLOAD },
	{ MNFQ_I_CHANGE_MARK, MNFQ_CHANGED_MARK },
	{ MNFQ_I_CHANGE_PRIORITY, MNFQ_CHANGED_PRIORITY },
	{ MNFQ_I_CHANGE_CT_MARK, MNFQ_CHANGED_CT_MARK },
	{ MNFQ_I_CHANGE_CT_LABELS, MNFQ_CHANGED_CT_LABELS },
	{ MNFQ_I_CHANGE_VLAN, MNFQ_CHANGED_VLAN },
	{ MNFQ_I_CHANGE_L2HDR, MNFQ_CHANGED_L2HDR },
};

/* The payload is not among @from. */
static void read_changes(const struct mnfq_i_changes *from, struct mnfq_packet_changes *to)
{
	for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
		if (from->set & changed[i].from)
			to->flags |= changed[i].to;
	if (to->flags & MNFQ_CHANGED_MARK)
		to->mark = from->mark;
	if (to->flags & MNFQ_CHANGED_PRIORITY)
		to->priority = from->priority;
	if (to->flags & MNFQ_CHANGED_CT_MARK) {
		to->ct_mark = from->ct_mark;
		to->ct_mark_mask = from->ct_mark_mask;
	}
	if (to->flags & MNFQ_CHANGED_CT_LABELS) {
		memcpy(to->ct_labels, from->ct_labels, sizeof(to->ct_labels));
		memcpy(to->ct_labels_mask, from->ct_labels_mask, sizeof(to->ct_labels_mask));
	}
	if (to->flags & MNFQ_CHANGED_VLAN) {
		to->vlan_tci = from->vlan_tci;
		to->vlan_protocol = from->vlan_protocol;
	}
	if (to->flags & MNFQ_CHANGED_L2HDR) {
		to->l2hdr = from->l2hdr;
		to->l2hdr_len = from->l2hdr_len;
	}
}

/* Returns whether it is decided. */
static bool read_decided(struct mnfq_i_memory *memory, struct mnfq_packet_changes *to)
{
	bool decided;

	pthread_mutex_lock(&memory->lock);
	decided = memory->decided;
	if (decided) {
		read_changes(&memory->changes, to);
		to->flags |= MNFQ_CHANGED_VERDICT;
		to->verdict = memory->verdict;
		to->payload = memory->payload;
		to->payload_len = memory->payload_len;
	}
	pthread_mutex_unlock(&memory->lock);
	return decided;
}

int mnfq_packet_get_changes(const struct mnfq_packet *packet, struct mnfq_packet_changes *changes)
{
	struct mnfq_packet_changes read = { 0 };

	if (!packet || !mnfq_i_options_sized(changes))
		return -EINVAL;
	if (!packet->memory || !read_decided(packet->memory, &read)) {
		read_changes(&packet->changes, &read);
		if (read.flags & MNFQ_CHANGED_PAYLOAD) {
			read.payload = packet->payload;
			read.payload_len = packet->payload_len;
		}
	}
	mnfq_i_options_return(changes, &read, sizeof(read));
	return 0;
}
