/* SPDX-License-Identifier: MIT */
/* Frames of a link type, and the payload and headers that packets of queues have. */
#include "capture/frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <string.h>

#define ADDRESSES_LEN (2 * ETH_ALEN) /* what is in front of a VLAN tag */

/* Link types that we do not write, but read. */
#define LINK_NULL       0u /* of BSD: the family, in the byte order of whoever captured */
#define LINK_RAW_OLD    12u
#define LINK_RAW_BSD    14u
#define LINK_LOOP       108u
#define LINK_LINUX_SLL  113u
#define LINK_IPV4       228u
#define LINK_IPV6       229u
#define LINK_LINUX_SLL2 276u

uint32_t frame_link_type(const struct record *record)
{
	const uint8_t family = record->info.family;
	const uint16_t protocol = record->info.hw_protocol;

	if (record->l2hdr_len >= ETH_HLEN)
		return LINK_ETHERNET;
	if (family == NFPROTO_IPV4 || family == NFPROTO_IPV6 || protocol == ETH_P_IP ||
	    protocol == ETH_P_IPV6 || (!family && !protocol))
		return LINK_RAW;
	return LINK_ETHERNET;
}

static void put_be16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

size_t frame_head(uint8_t head[FRAME_HEAD_MAX], const struct record *record)
{
	const struct mnfq_packet_info *info = &record->info;
	const bool tagged = info->flags & MNFQ_INFO_VLAN;
	uint8_t made_up[ETH_HLEN] = { 0 };
	const uint8_t *l2hdr = record->l2hdr;
	size_t len = record->l2hdr_len, at = ADDRESSES_LEN;

	if (frame_link_type(record) == LINK_RAW)
		return 0;
	if (len < ETH_HLEN) {
		if (info->hwaddr_len == ETH_ALEN)
			memcpy(made_up + ETH_ALEN, info->hwaddr, ETH_ALEN);
		put_be16(made_up + ADDRESSES_LEN, info->hw_protocol);
		l2hdr = made_up;
		len = sizeof(made_up);
	}
	memcpy(head, l2hdr, ADDRESSES_LEN);
	if (tagged) {
		put_be16(head + at, info->vlan_protocol);
		put_be16(head + at + 2, info->vlan_tci);
		at += 4;
	}
	memcpy(head + at, l2hdr + ADDRESSES_LEN, len - ADDRESSES_LEN);
	return at + len - ADDRESSES_LEN;
}

/* ---- reading ------------------------------------------------------------------------------ */

static uint16_t get_be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* What is behind @head bytes, as far as there is something. */
static void set_payload(struct record *record, const uint8_t *bytes, size_t caplen, size_t length,
			size_t head)
{
	struct mnfq_packet_info *info = &record->info;
	const size_t skipped = head < caplen ? head : caplen;

	info->payload = bytes + skipped;
	info->payload_len = caplen - skipped;
	info->length = length > head ? length - head : 0;
	if (info->length < info->payload_len)
		info->length = info->payload_len;
	if (info->length >
	    UINT32_MAX - FRAME_HEAD_MAX) /* with a header it has to be written again */
		info->length = UINT32_MAX - FRAME_HEAD_MAX;
	if (info->payload_len > MNFQ_COPY_RANGE_MAX)
		info->payload_len = MNFQ_COPY_RANGE_MAX;
	info->flags |= MNFQ_INFO_LENGTH;
}

static void read_ethernet(struct record *record, const uint8_t *bytes, size_t caplen,
			  size_t length)
{
	struct mnfq_packet_info *info = &record->info;
	size_t at = ADDRESSES_LEN;
	uint16_t protocol;

	info->family = NFPROTO_BRIDGE;
	info->hw_protocol = 0;
	if (caplen < ETH_HLEN) {
		set_payload(record, bytes, caplen, length, caplen);
		return;
	}
	protocol = get_be16(bytes + at);
	if ((protocol == ETH_P_8021Q || protocol == ETH_P_8021AD) && caplen >= ETH_HLEN + 4) {
		info->vlan_protocol = protocol;
		info->vlan_tci = get_be16(bytes + at + 2);
		info->flags |= MNFQ_INFO_VLAN;
		at += 4;
	}
	info->hw_protocol = get_be16(bytes + at);
	memcpy(record->l2hdr, bytes, ADDRESSES_LEN);
	memcpy(record->l2hdr + ADDRESSES_LEN, bytes + at, 2);
	record->l2hdr_len = ETH_HLEN;
	set_payload(record, bytes, caplen, length, at + 2);
}

/* A header of its own, with an EtherType in it. */
static void read_cooked(struct record *record, const uint8_t *bytes, size_t caplen, size_t length,
			size_t head, size_t protocol_at)
{
	struct mnfq_packet_info *info = &record->info;

	if (caplen >= head)
		info->hw_protocol = get_be16(bytes + protocol_at);
	set_payload(record, bytes, caplen, length, head);
	info->family = NFPROTO_BRIDGE;
	if (info->hw_protocol == ETH_P_IP)
		info->family = NFPROTO_IPV4;
	else if (info->hw_protocol == ETH_P_IPV6)
		info->family = NFPROTO_IPV6;
}

static void read_raw(struct record *record, const uint8_t *bytes, size_t caplen, size_t length,
		     size_t head)
{
	struct mnfq_packet_info *info = &record->info;
	unsigned int version;

	set_payload(record, bytes, caplen, length, head);
	version = info->payload_len ? info->payload[0] >> 4 : 0;
	if (!info->family)
		info->family = version == 4   ? NFPROTO_IPV4
			       : version == 6 ? NFPROTO_IPV6
					      : NFPROTO_UNSPEC;
}

int frame_read(struct record *record, uint32_t link_type, const uint8_t *bytes, size_t caplen,
	       size_t length)
{
	switch (link_type) {
	case LINK_ETHERNET:
		read_ethernet(record, bytes, caplen, length);
		return 0;
	case LINK_LINUX_SLL:
		read_cooked(record, bytes, caplen, length, 16, 14);
		return 0;
	case LINK_LINUX_SLL2:
		read_cooked(record, bytes, caplen, length, 20, 0);
		return 0;
	case LINK_NULL:
	case LINK_LOOP:
		read_raw(record, bytes, caplen, length, 4);
		return 0;
	case LINK_RAW:
	case LINK_RAW_OLD:
	case LINK_RAW_BSD:
	case LINK_IPV4:
	case LINK_IPV6:
		read_raw(record, bytes, caplen, length, 0);
		return 0;
	default:
		return -EPROTONOSUPPORT;
	}
}
