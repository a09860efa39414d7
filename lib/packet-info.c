// SPDX-License-Identifier: MIT
/* All that is known of a packet in one call, for bindings, where each call has its price. No I/O. */
#include <errno.h>
#include <string.h>

#include "options.h"
#include "packet.h"

/* What a packet may lack although 0 would be a value of it. */
static uint32_t info_optional(const struct mnfq_packet *packet, struct mnfq_packet_info *info)
{
	uint32_t ct_info, present = 0;

	if (mnfq_packet_get_uid(packet, &info->uid) == 0)
		present |= MNFQ_INFO_UID;
	if (mnfq_packet_get_gid(packet, &info->gid) == 0)
		present |= MNFQ_INFO_GID;
	if (mnfq_packet_get_vlan(packet, &info->vlan_tci, &info->vlan_protocol) == 0)
		present |= MNFQ_INFO_VLAN;
	if (mnfq_packet_get_length(packet, &info->length) == 0)
		present |= MNFQ_INFO_LENGTH;
	if (mnfq_packet_get_ct_info(packet, &ct_info) == 0 && ct_info <= UINT16_MAX) {
		info->ct_info = (uint16_t)ct_info;
		present |= MNFQ_INFO_CT;
	}
	return present;
}

static void info_read(const struct mnfq_packet *packet, struct mnfq_packet_info *info)
{
	const uint8_t *hwaddr;
	size_t len;

	info->payload = mnfq_packet_get_payload(packet, &info->payload_len);
	info->timestamp = mnfq_packet_get_timestamp(packet);
	info->flags = info_optional(packet, info);
	if (mnfq_packet_is_whole(packet))
		info->flags |= MNFQ_INFO_WHOLE;
	info->id = mnfq_packet_get_id(packet);
	info->mark = mnfq_packet_get_mark(packet);
	info->indev = mnfq_packet_get_indev(packet);
	info->outdev = mnfq_packet_get_outdev(packet);
	info->physindev = mnfq_packet_get_physindev(packet);
	info->physoutdev = mnfq_packet_get_physoutdev(packet);
	info->skb_info = mnfq_packet_get_skb_info(packet);
	info->priority = mnfq_packet_get_priority(packet);
	info->cgroup_classid = mnfq_packet_get_cgroup_classid(packet);
	info->queue_num = mnfq_packet_get_queue_num(packet);
	info->hw_protocol = mnfq_packet_get_hw_protocol(packet);
	info->ethertype = mnfq_packet_get_ethertype(packet);
	hwaddr = mnfq_packet_get_hwaddr(packet, &len);
	info->hwaddr_len = (uint16_t)len;
	if (hwaddr)
		memcpy(info->hwaddr, hwaddr, len);
	info->family = mnfq_packet_get_family(packet);
	info->hook = mnfq_packet_get_hook(packet);
}

int mnfq_packet_get_info(const struct mnfq_packet *packet, struct mnfq_packet_info *info)
{
	struct mnfq_packet_info read = { 0 };

	if (!packet || !mnfq_i_options_sized(info))
		return -EINVAL;
	info_read(packet, &read);
	mnfq_i_options_return(info, &read, sizeof(read));
	return 0;
}
