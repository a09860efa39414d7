/* SPDX-License-Identifier: MIT */
/* The fields of a packet, in the order of a line of text: one list for text and for JSON. */
#include "print/print.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <string.h>
#include <time.h>

#include "print/decode.h"
#include "print/writer.h"

/* The kernel's time, or else that of this call. */
static void put_packet_time(struct writer *w, const struct mnfq_packet *packet)
{
	struct timespec now;
	int64_t usec = mnfq_packet_get_timestamp(packet);

	if (usec) {
		put_time(w, "time", (uint64_t)usec);
		put_text(w, "time_source", NULL, "kernel");
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	put_time(w, "time", (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	put_text(w, "time_source", NULL, "mnfq");
	put_word(w, "~");
}

/* One that no longer exists is "if7". */
static void put_device(struct writer *w, const char *key, const char *before,
		       const struct mnfq_packet *packet, uint32_t ifindex)
{
	struct mnfq_socket *sock = mnfq_queue_get_socket(mnfq_packet_get_queue(packet));
	char name[IF_NAMESIZE];

	if (!ifindex)
		return;
	if (mnfq_socket_get_ifname(sock, ifindex, name) < 0)
		snprintf(name, sizeof(name), "if%u", ifindex);
	put_name(w, key, before, name, strlen(name));
}

static void put_origin(struct writer *w, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	const uint8_t *hwaddr;
	uint16_t hw_protocol = mnfq_packet_get_hw_protocol(packet);
	size_t len;

	put_packet_time(w, packet);
	if (line->netns)
		put_name(w, "netns", line->show_netns ? " netns " : NULL, line->netns,
			 strlen(line->netns));
	if (line->label)
		put_quoted(w, "label", line->show_netns ? " label " : NULL, line->label);
	put_number(w, "queue", " queue ", mnfq_queue_get_num(mnfq_packet_get_queue(packet)));
	put_number(w, "id", " id ", mnfq_packet_get_id(packet));
	put_text(w, "hook", " ", mnfq_packet_get_hook_name(packet));
	put_device(w, "indev", " in ", packet, mnfq_packet_get_indev(packet));
	put_device(w, "outdev", " out ", packet, mnfq_packet_get_outdev(packet));
	put_device(w, "physindev", " physin ", packet, mnfq_packet_get_physindev(packet));
	put_device(w, "physoutdev", " physout ", packet, mnfq_packet_get_physoutdev(packet));
	put_number(w, "family", NULL, mnfq_packet_get_family(packet));
	if (hw_protocol)
		put_number(w, "hw_protocol", NULL, hw_protocol);
	hwaddr = mnfq_packet_get_hwaddr(packet, &len);
	if (len > 0)
		put_hex(w, "hwaddr", hwaddr, len, ':');
}

static void put_addresses(struct writer *w, const struct decoded *decoded)
{
	char address[INET6_ADDRSTRLEN];

	put_text(w, "protocol", ": ", decoded->protocol);
	if (!decoded->family)
		return;
	put_text(w, "src", " ",
		 inet_ntop(decoded->family, decoded->src, address, sizeof(address)));
	if (decoded->has_ports)
		put_number(w, "sport", ".", decoded->sport);
	put_text(w, "dst", " > ",
		 inet_ntop(decoded->family, decoded->dst, address, sizeof(address)));
	if (decoded->has_ports)
		put_number(w, "dport", ".", decoded->dport);
}

/* Text has the type in words where there are some. */
static void put_decoded(struct writer *w, const struct decoded *decoded)
{
	char flags[9];

	if (decoded->has_tcp_flags) {
		decode_tcp_flags(decoded->tcp_flags, flags);
		put_text(w, "tcp_flags", ", Flags [", flags);
		put_word(w, "]");
	}
	if (decoded->has_type) {
		put_number(w, "icmp_type", decoded->kind ? NULL : ", type ", decoded->type);
		put_number(w, "icmp_code", decoded->kind ? NULL : " code ", decoded->code);
	}
	if (decoded->kind)
		put_text(w, "message", ", ", decoded->kind);
	if (decoded->fragment) {
		put_number(w, "fragment_id", ", fragment id ", decoded->fragment_id);
		put_number(w, "fragment_offset", " offset ", decoded->fragment_offset);
		put_flag(w, "more_fragments", "+", decoded->more_fragments);
	}
	if (decoded->problem)
		put_text(w, "problem", ", ", decoded->problem);
}

/* Text does not mention a correct checksum. */
static void put_sizes(struct writer *w, const struct mnfq_packet *packet)
{
	const int err = mnfq_packet_verify(packet);
	size_t length, caplen;
	bool known = mnfq_packet_get_length(packet, &length) == 0;

	mnfq_packet_get_payload(packet, &caplen);
	if (known)
		put_number(w, "length", ", length ", length);
	put_number(w, "caplen", known && caplen < length ? ", captured " : NULL, caplen);
	if (err == 0) {
		put_text(w, "checksum", NULL, "good");
	} else if (err == -EBADMSG) {
		put_text(w, "checksum", ", checksum ", "bad");
	} else if (mnfq_packet_get_skb_info(packet) & MNFQ_SKB_CSUMNOTREADY) {
		put_text(w, "checksum", NULL, "not-ready");
		put_word(w, ", checksum not ready");
	}
}

/* What a bridge takes off its packets: the VLAN tag and the header of the link layer. */
static void put_link(struct writer *w, const struct mnfq_packet *packet)
{
	uint16_t tci, protocol;
	const uint8_t *header;
	size_t len;

	if (mnfq_packet_get_vlan(packet, &tci, &protocol) == 0) {
		begin_object(w, "vlan");
		put_number(w, "id", ", vlan ", tci & 0xfffu);
		put_number(w, "priority", " p ", tci >> 13);
		put_flag(w, "dei", " dei", tci >> 12 & 1);
		put_number(w, "protocol", NULL, protocol);
		end_object(w);
		if (protocol == ETH_P_8021AD)
			put_word(w, " 802.1ad");
	}
	header = mnfq_packet_get_l2hdr(packet, &len);
	if (len > 0)
		put_hex(w, "l2hdr", header, len, 0);
}

static void put_sender(struct writer *w, const struct mnfq_packet *packet)
{
	const char *secctx;
	uint32_t number;
	size_t len;

	if (mnfq_packet_get_uid(packet, &number) == 0)
		put_number(w, "uid", ", uid ", number);
	if (mnfq_packet_get_gid(packet, &number) == 0)
		put_number(w, "gid", ", gid ", number);
	number = mnfq_packet_get_cgroup_classid(packet);
	if (number)
		put_priority(w, "cgroup_classid", ", cgroup_classid ", number);
	secctx = mnfq_packet_get_secctx(packet, &len);
	if (!secctx)
		return;
	if (len > 0 && !secctx[len - 1]) /* of SELinux; Smack has none */
		len--;
	put_name(w, "secctx", ", secctx ", secctx, len);
}

static void put_marks(struct writer *w, const struct mnfq_packet *packet)
{
	const uint32_t mark = mnfq_packet_get_mark(packet);
	const uint32_t priority = mnfq_packet_get_priority(packet);

	if (mark)
		put_mark(w, "mark", ", mark ", mark);
	if (priority)
		put_priority(w, "priority", ", priority ", priority);
}

/* Packets go in the original direction unless text says something else. */
static void put_connection(struct writer *w, const struct mnfq_packet *packet)
{
	const char *state = mnfq_packet_get_ct_state_name(packet);
	const char *direction = mnfq_packet_get_ct_direction_name(packet);
	uint32_t number;

	if (!state)
		return;
	put_text(w, "ct_state", ", ct ", state);
	if (direction)
		put_text(w, "ct_direction", NULL, direction);
	if (direction && strcmp(direction, "reply") == 0)
		put_word(w, " reply");
	number = mnfq_packet_get_ct_mark(packet);
	if (number)
		put_mark(w, "ct_mark", " mark ", number);
	number = mnfq_packet_get_ct_id(packet);
	if (number)
		put_number(w, "ct_id", " id ", number);
	number = mnfq_packet_get_ct_zone(packet);
	if (number)
		put_number(w, "ct_zone", " zone ", number);
}

static int print_line(struct writer *w, const struct line *line)
{
	struct decoded decoded;

	decode_packet(&decoded, line->packet);
	flockfile(w->out);
	begin_line(w);
	put_origin(w, line);
	put_addresses(w, &decoded);
	put_decoded(w, &decoded);
	put_sizes(w, line->packet);
	put_link(w, line->packet);
	put_sender(w, line->packet);
	put_marks(w, line->packet);
	put_connection(w, line->packet);
	put_text(w, "verdict", ", ", line->verdict);
	end_line(w);
	funlockfile(w->out);
	return 0;
}

int print_text(FILE *out, const struct line *line)
{
	return print_line(&(struct writer){ .out = out }, line);
}

int print_json(FILE *out, const struct line *line)
{
	return print_line(&(struct writer){ .out = out, .json = true }, line);
}
