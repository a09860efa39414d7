/* SPDX-License-Identifier: MIT */
/* A packet as a line of text. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "print/decode.h"
#include "print/fields.h"
#include "print/print.h"

/* What follows the addresses: the first detail behind a colon, the others behind commas. */
struct details {
	FILE *out;
	const char *separator;
};

__attribute__((format(printf, 2, 3))) static void print_detail(struct details *details,
							       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs(details->separator, details->out);
	vfprintf(details->out, format, args);
	details->separator = ", ";
	va_end(args);
}

/* Of several namespaces: which one. */
static void print_netns(FILE *out, const struct line *line)
{
	char netns[4 * 256 + 3], label[4 * MNFQ_LABEL_SIZE + 3];

	if (line->netns)
		fprintf(out, " netns %s", quote_word(netns, sizeof(netns), line->netns));
	if (line->label)
		fprintf(out, " label %s", quote_text(label, sizeof(label), line->label));
}

static void print_origin(FILE *out, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	int64_t usec;
	bool received = get_time(&usec, packet);
	time_t seconds = (time_t)(usec / 1000000);
	char raw[IF_NAMESIZE], name[4 * IF_NAMESIZE + 3];
	struct tm tm = { 0 };

	localtime_r(&seconds, &tm);
	fprintf(out, "%02d:%02d:%02d.%06d%s", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(usec % 1000000), received ? "" : "~");
	if (line->tell_netns)
		print_netns(out, line);
	fprintf(out, " queue %u id %u %s", mnfq_queue_get_num(mnfq_packet_get_queue(packet)),
		mnfq_packet_get_id(packet), mnfq_packet_get_hook_name(packet));
	for (size_t i = 0; i < DEVICES; i++)
		if (get_device(raw, packet, &devices[i]))
			fprintf(out, " %s %s", devices[i].word,
				quote_word(name, sizeof(name), raw));
}

static void print_addresses(FILE *out, const struct decoded *decoded)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

	fprintf(out, ": %s", decoded->protocol);
	if (!decoded->family)
		return;
	inet_ntop(decoded->family, decoded->src, src, sizeof(src));
	inet_ntop(decoded->family, decoded->dst, dst, sizeof(dst));
	if (decoded->has_ports)
		fprintf(out, " %s.%u > %s.%u", src, decoded->sport, dst, decoded->dport);
	else
		fprintf(out, " %s > %s", src, dst);
}

static void print_decoded(struct details *details, const struct decoded *decoded)
{
	char flags[9];

	if (decoded->has_tcp_flags) {
		decode_tcp_flags(decoded->tcp_flags, flags);
		print_detail(details, "Flags [%s]", flags);
	}
	if (decoded->kind)
		print_detail(details, "%s", decoded->kind);
	else if (decoded->has_type)
		print_detail(details, "type %u code %u", decoded->type, decoded->code);
	if (decoded->fragment)
		print_detail(details, "fragment id %u offset %u%s", decoded->fragment_id,
			     decoded->fragment_offset, decoded->more_fragments ? "+" : "");
	if (decoded->problem)
		print_detail(details, "%s", decoded->problem);
}

/* That a checksum is right is no news. */
static void print_sizes(struct details *details, const struct mnfq_packet *packet)
{
	const char *checksum = get_checksum(packet);
	size_t length, caplen;

	mnfq_packet_get_payload(packet, &caplen);
	if (mnfq_packet_get_length(packet, &length) == 0) {
		print_detail(details, "length %zu", length);
		if (caplen < length)
			print_detail(details, "captured %zu", caplen);
	}
	if (checksum && strcmp(checksum, "not-ready") == 0)
		print_detail(details, "checksum not ready");
	else if (checksum && strcmp(checksum, "good") != 0)
		print_detail(details, "checksum %s", checksum);
}

static void print_vlan(struct details *details, const struct mnfq_packet *packet)
{
	struct vlan vlan;

	if (!get_vlan(&vlan, packet))
		return;
	print_detail(details, "vlan %u p %u%s%s", vlan.id, vlan.priority, vlan.dei ? " dei" : "",
		     vlan.protocol == ETH_P_8021AD ? " 802.1ad" : "");
}

/* Others choose it, and how long it is. */
static void print_secctx(struct details *details, const struct mnfq_packet *packet)
{
	size_t len, piece;
	const char *secctx = get_secctx(packet, &len);
	const char *quote;
	char clean[4 * 64 + 1];

	if (!secctx)
		return;
	quote = is_word(secctx, len) ? "" : "\"";
	print_detail(details, "secctx %s", quote);
	for (; len > 0; len -= piece, secctx += piece) {
		piece = len < 64 ? len : 64;
		fputs(escape_bytes(clean, sizeof(clean), secctx, piece), details->out);
	}
	fputs(quote, details->out);
}

static void print_sender(struct details *details, const struct mnfq_packet *packet)
{
	char class[PRIORITY_SIZE];
	uint32_t number;

	if (mnfq_packet_get_uid(packet, &number) == 0)
		print_detail(details, "uid %u", number);
	if (mnfq_packet_get_gid(packet, &number) == 0)
		print_detail(details, "gid %u", number);
	if (mnfq_packet_get_classid(packet, &number) == 0)
		print_detail(details, "classid %s", format_priority(class, number));
	print_secctx(details, packet);
}

static void print_marks(struct details *details, const struct mnfq_packet *packet)
{
	uint32_t number = mnfq_packet_get_mark(packet);
	char priority[PRIORITY_SIZE];

	if (number)
		print_detail(details, "mark 0x%x", number);
	if (mnfq_packet_get_priority(packet, &number) == 0)
		print_detail(details, "priority %s", format_priority(priority, number));
}

/* Packets go in the original direction unless something else is said. */
static void print_connection(struct details *details, const struct mnfq_packet *packet)
{
	const char *state = mnfq_packet_get_ct_state_name(packet);
	const char *direction = mnfq_packet_get_ct_direction_name(packet);
	uint32_t number;
	uint16_t zone;

	if (!state)
		return;
	print_detail(details, "ct %s", state);
	if (direction && strcmp(direction, "reply") == 0)
		fprintf(details->out, " reply");
	if (mnfq_packet_get_ct_mark(packet, &number) == 0 && number)
		fprintf(details->out, " mark 0x%x", number);
	if (mnfq_packet_get_ct_id(packet, &number) == 0)
		fprintf(details->out, " id %u", number);
	if (mnfq_packet_get_ct_zone(packet, &zone) == 0 && zone)
		fprintf(details->out, " zone %u", zone);
}

int print_text(FILE *out, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	struct details details = { out, ": " };
	struct decoded decoded;

	decode_packet(&decoded, packet);
	print_origin(out, line);
	print_addresses(out, &decoded);
	print_decoded(&details, &decoded);
	print_sizes(&details, packet);
	print_vlan(&details, packet);
	print_sender(&details, packet);
	print_marks(&details, packet);
	print_connection(&details, packet);
	print_detail(&details, "%s\n", line->verdict);
	return 0;
}
