/* SPDX-License-Identifier: MIT */
/* Packets to records of a capture, and back. */
#include "capture/view.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "capture/frame.h"

/* ---- packets to records ------------------------------------------------------------------- */

/* One that no longer exists is "if7", as in a line. */
static void name_device(char name[16], const struct mnfq_packet *packet, uint32_t ifindex)
{
	name[0] = '\0';
	if (ifindex && mnfq_packet_get_ifname(packet, ifindex, name) < 0)
		snprintf(name, IF_NAMESIZE, "if%u", ifindex);
}

static void take_link(struct record *record, const struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *l2hdr = mnfq_packet_get_l2hdr(packet, &len);

	if (len > 0 && len <= sizeof(record->l2hdr)) {
		memcpy(record->l2hdr, l2hdr, len);
		record->l2hdr_len = len;
	}
	record->made_up_l2hdr =
		record->l2hdr_len == 0 && frame_link_type(record) == LINK_ETHERNET;
}

void record_frame_of(struct record *record, const struct mnfq_packet *packet)
{
	*record = (struct record){ .info.size = sizeof(record->info) };
	mnfq_packet_get_info(packet, &record->info);
	take_link(record, packet);
}

static void take_context(struct record *record, const struct mnfq_packet *packet)
{
	size_t len;
	const char *secctx = mnfq_packet_get_secctx(packet, &len);

	if (len > 0 && len < sizeof(record->secctx)) {
		memcpy(record->secctx, secctx, len);
		record->secctx_len = len;
	}
}

/* Whether it is on its way in. A hook that is not known says nothing. */
static void take_direction(struct record *record, const char *hook)
{
	record->outbound = strcmp(hook, "output") == 0 || strcmp(hook, "postrouting") == 0 ||
			   strcmp(hook, "egress") == 0;
	record->inbound = !record->outbound && strcmp(hook, "unknown") != 0;
}

void record_of(struct record *record, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	const struct mnfq_packet_info *info = &record->info;

	record_frame_of(record, packet);
	record->has_queue = !line->no_queue;
	record->has_id = !line->no_id;
	record->time = line->time;
	record->kernel_time = line->kernel_time;
	name_device(record->indev, packet, info->indev);
	name_device(record->outdev, packet, info->outdev);
	name_device(record->physindev, packet, info->physindev);
	name_device(record->physoutdev, packet, info->physoutdev);
	take_direction(record, mnfq_packet_get_hook_name(packet));
	take_context(record, packet);
	record->has_verdict_mark = line_get_verdict_mark(line, &record->verdict_mark);
	record->ct_mark = mnfq_packet_get_ct_mark(packet);
	record->ct_id = mnfq_packet_get_ct_id(packet);
	record->ct_zone = mnfq_packet_get_ct_zone(packet);
}

static void copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

void record_interface_of(struct record_interface *interface, const struct record *record,
			 const struct line *line)
{
	const char *first = record->outbound ? record->outdev : record->indev;
	const char *second = record->outbound ? record->indev : record->outdev;

	copy_text(interface->name, sizeof(interface->name), *first ? first : second);
	copy_text(interface->netns, sizeof(interface->netns), line->netns);
	copy_text(interface->label, sizeof(interface->label), line->label);
	interface->link_type = frame_link_type(record);
}

/* ---- records to packets ------------------------------------------------------------------- */

/* Attributes of connection tracking. */
struct connection {
	uint8_t bytes[3 * 8];
	size_t len;
};

static void put_attribute(struct connection *ct, uint16_t type, const void *value, uint16_t len)
{
	const struct nlattr attr = { .nla_len = (uint16_t)(sizeof(attr) + len),
				     .nla_type = type };

	memcpy(ct->bytes + ct->len, &attr, sizeof(attr));
	memcpy(ct->bytes + ct->len + sizeof(attr), value, len);
	ct->len += sizeof(attr) + 4;
}

static void make_connection(struct connection *ct, const struct record *record)
{
	const uint32_t mark = htonl(record->ct_mark), id = htonl(record->ct_id);
	const uint16_t zone = htons(record->ct_zone);

	*ct = (struct connection){ .len = 0 };
	if (mark)
		put_attribute(ct, CTA_MARK, &mark, sizeof(mark));
	if (id)
		put_attribute(ct, CTA_ID, &id, sizeof(id));
	if (zone)
		put_attribute(ct, CTA_ZONE, &zone, sizeof(zone));
}

/* Indexes of devices, by the names that are there. */
static size_t number_devices(struct mnfq_packet_info *info, const struct record *record,
			     struct mnfq_interface interfaces[4])
{
	const struct {
		const char *name;
		uint32_t *index;
	} devices[] = { { record->indev, &info->indev },
			{ record->outdev, &info->outdev },
			{ record->physindev, &info->physindev },
			{ record->physoutdev, &info->physoutdev } };
	size_t n = 0;

	for (size_t i = 0; i < 4; i++) {
		*devices[i].index = 0;
		if (!devices[i].name[0])
			continue;
		interfaces[n++] = (struct mnfq_interface){ .name = devices[i].name,
							   .index = (uint32_t)i + 1 };
		*devices[i].index = (uint32_t)i + 1;
	}
	return n;
}

/* That of a capture of another program is all that is known of the way of a packet. */
static void name_only_device(struct record *record)
{
	if (record->indev[0] || record->outdev[0] || !record->interface)
		return;
	memcpy(record->outbound ? record->outdev : record->indev, record->interface->name,
	       sizeof(record->indev));
}

int record_packet(struct mnfq_packet **ret, const struct record *record)
{
	struct record known = *record;
	struct mnfq_packet_info info;
	struct mnfq_interface interfaces[4];
	struct mnfq_memory_options options = MNFQ_INIT(options);
	struct connection ct;

	name_only_device(&known);
	info = known.info;
	info.timestamp = known.kernel_time && known.time > 0 ? known.time : 0;
	options.interfaces = interfaces;
	options.interface_count = number_devices(&info, &known, interfaces);
	if (known.l2hdr_len > 0 && !known.made_up_l2hdr) {
		options.l2hdr = known.l2hdr;
		options.l2hdr_len = known.l2hdr_len;
	}
	if (known.secctx_len > 0) {
		options.secctx = known.secctx;
		options.secctx_len = known.secctx_len;
	}
	make_connection(&ct, &known);
	if (info.flags & MNFQ_INFO_CT) {
		options.ct = ct.bytes;
		options.ct_len = ct.len;
		options.queue_flags = MNFQ_QUEUE_CONNTRACK;
	}
	return mnfq_packet_from_memory(ret, &info, &options);
}

struct line record_line(const struct record *record, const struct mnfq_packet *packet)
{
	const struct record_interface *interface = record->interface;
	struct line line = { .packet = packet,
			     .queue = record->info.queue_num,
			     .no_queue = !record->has_queue,
			     .no_id = !record->has_id,
			     .no_hook = record->info.hook == RECORD_HOOK_UNKNOWN,
			     .time = record->time,
			     .kernel_time = record->kernel_time };

	if (interface && interface->netns[0])
		line.netns = interface->netns;
	if (interface && interface->label[0])
		line.label = interface->label;
	return line;
}
