/* SPDX-License-Identifier: MIT */
/* What is told of a packet, whether as text or as JSON. */
#include "print/fields.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

const struct device devices[DEVICES] = {
	{ "in", "indev", mnfq_packet_get_indev },
	{ "out", "outdev", mnfq_packet_get_outdev },
	{ "physin", "physindev", mnfq_packet_get_physindev },
	{ "physout", "physoutdev", mnfq_packet_get_physoutdev },
};

bool get_device(char name[IF_NAMESIZE], const struct mnfq_packet *packet,
		const struct device *device)
{
	struct mnfq_socket *sock = mnfq_queue_get_socket(mnfq_packet_get_queue(packet));
	uint32_t ifindex = device->get(packet);

	if (!ifindex)
		return false;
	if (mnfq_socket_get_ifname(sock, ifindex, name) < 0)
		snprintf(name, IF_NAMESIZE, "if%u", ifindex);
	return true;
}

bool get_time(int64_t *usec, const struct mnfq_packet *packet)
{
	struct timespec now;

	if (mnfq_packet_get_timestamp(packet, usec) == 0)
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	*usec = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	return false;
}

const char *get_checksum(const struct mnfq_packet *packet)
{
	int err = mnfq_packet_verify(packet);

	if (err == 0)
		return "good";
	if (err == -EBADMSG)
		return "bad";
	return mnfq_packet_get_skb_info(packet) & MNFQ_SKB_CSUMNOTREADY ? "not-ready" : NULL;
}

bool get_vlan(struct vlan *vlan, const struct mnfq_packet *packet)
{
	uint16_t tci;

	if (mnfq_packet_get_vlan(packet, &tci, &vlan->protocol) < 0)
		return false;
	vlan->id = tci & 0xfffu;
	vlan->priority = tci >> 13;
	vlan->dei = tci >> 12 & 1;
	return true;
}

/* SELinux counts the zero, Smack does not. */
const char *get_secctx(const struct mnfq_packet *packet, size_t *len)
{
	const char *secctx;

	if (mnfq_packet_get_secctx(packet, &secctx, len) < 0)
		return NULL;
	if (*len > 0 && !secctx[*len - 1])
		--*len;
	return secctx;
}
