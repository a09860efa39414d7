/* SPDX-License-Identifier: MIT */
/* The fields of a packet, in the order of a line of text: one list for text and for JSON. */
#include "print/print.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <string.h>
#include <time.h>

#include "print/bytes.h"
#include "print/decode.h"
#include "print/fields.h"
#include "print/writer.h"

#define FAINT  "2"
#define RED    "31"
#define GREEN  "32"
#define NORMAL ""

struct line line_of(const struct mnfq_packet *packet)
{
	struct line line = { .packet = packet };
	struct timespec now;

	line.queue = mnfq_queue_get_num(mnfq_packet_get_queue(packet));
	line.time = mnfq_packet_get_timestamp(packet);
	line.kernel_time = line.time != 0;
	if (!line.kernel_time) {
		clock_gettime(CLOCK_REALTIME, &now);
		line.time = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	}
	return line;
}

/* ---- time and origin ---------------------------------------------------------------------- */

static void put_time(struct writer *w, struct printer *printer, const struct line *line)
{
	char time[TIME_SIZE];

	put_seconds(w, "time", (uint64_t)line->time);
	put_text(w, "time_source", NULL, line->kernel_time ? "kernel" : "mnfq");
	if (w->json)
		return;
	format_time(time, printer->options.times, &printer->reference, line->time);
	if (!time[0])
		return;
	put_word(w, time);
	put_word(w, " ");
}

/* One that no longer exists is "if7". */
static void put_device(struct writer *w, const char *key, const char *before,
		       const struct line *line, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (!ifindex)
		return;
	if (mnfq_packet_get_ifname(line->packet, ifindex, name) < 0)
		snprintf(name, sizeof(name), "if%u", ifindex);
	put_name(w, key, before, name, strlen(name));
}

static void put_origin(struct writer *w, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	const uint16_t hw_protocol = mnfq_packet_get_hw_protocol(packet);
	const uint32_t indev = mnfq_packet_get_indev(packet);

	if (line->netns)
		put_name(w, "netns", line->show_netns ? "netns " : NULL, line->netns,
			 strlen(line->netns));
	if (line->label)
		put_quoted(w, "label", line->show_netns ? " label " : NULL, line->label);
	if (line->show_netns && (line->netns || line->label))
		begin_section(w, " ");
	if (!line->no_queue)
		put_number(w, "queue", "q", line->queue);
	if (!line->no_id)
		put_number(w, "id", " id ", mnfq_packet_get_id(packet));
	if (!line->no_hook)
		put_text(w, "hook", " ", mnfq_packet_get_hook_name(packet));
	put_device(w, "indev", " ", line, indev);
	put_device(w, "outdev", indev ? " > " : " ", line, mnfq_packet_get_outdev(packet));
	put_device(w, "physindev", " physin ", line, mnfq_packet_get_physindev(packet));
	put_device(w, "physoutdev", " physout ", line, mnfq_packet_get_physoutdev(packet));
	put_number(w, "family", NULL, mnfq_packet_get_family(packet));
	if (hw_protocol)
		put_number(w, "hw_protocol", NULL, hw_protocol);
}

/* ---- what the kernel knows besides -------------------------------------------------------- */

/* Text does without a checksum that nobody wants to see, as that takes a look at all bytes. */
static void put_checksum(struct writer *w, const struct mnfq_packet *packet, bool verbose)
{
	const bool unfinished = mnfq_packet_get_skb_info(packet) & MNFQ_SKB_CSUMNOTREADY;
	const char *before = verbose ? ", checksum " : NULL;
	int err;

	if (!w->json && !verbose)
		return;
	err = mnfq_packet_verify(packet);
	if (err == 0 || err == -EBADMSG)
		put_text(w, "checksum", before, err ? "bad" : "good");
	else if (unfinished && w->json)
		put_text(w, "checksum", before, "not-ready");
	else if (unfinished)
		put_word(w, ", checksum not computed yet");
}

static void put_sizes(struct writer *w, const struct mnfq_packet *packet, bool verbose)
{
	size_t length = 0, caplen;

	mnfq_packet_get_payload(packet, &caplen);
	if (mnfq_packet_get_length(packet, &length) == 0)
		put_number(w, "length", NULL, length);
	put_number(w, "caplen", verbose && caplen < length ? ", captured " : NULL, caplen);
}

/* What a bridge takes off its packets: the VLAN tag and the header of the link layer. */
static void put_link(struct writer *w, const struct mnfq_packet *packet, bool verbose)
{
	uint16_t tci, protocol;
	const uint8_t *bytes;
	size_t len;

	bytes = mnfq_packet_get_hwaddr(packet, &len);
	if (len > 0)
		put_hex(w, "hwaddr", verbose ? ", source MAC " : NULL, bytes, len, ':');
	if (mnfq_packet_get_vlan(packet, &tci, &protocol) == 0) {
		begin_object(w, "vlan");
		put_number(w, "id", ", vlan ", tci & 0xfffu);
		put_number(w, "priority", ", p ", tci >> 13);
		put_flag(w, "dei", ", DEI", tci >> 12 & 1);
		put_number(w, "protocol", NULL, protocol);
		end_object(w);
		if (protocol == ETH_P_8021AD)
			put_word(w, ", 802.1ad");
	}
	bytes = mnfq_packet_get_l2hdr(packet, &len);
	if (len > 0)
		put_hex(w, "l2hdr", NULL, bytes, len, 0);
}

static void put_sender(struct writer *w, const struct mnfq_packet *packet, bool verbose)
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
		put_priority(w, "cgroup_classid", verbose ? ", cgroup_classid " : NULL, number);
	secctx = mnfq_packet_get_secctx(packet, &len);
	if (!secctx)
		return;
	if (len > 0 && !secctx[len - 1]) /* of SELinux; Smack has none */
		len--;
	put_name(w, "secctx", ", secctx ", secctx, len);
}

static void put_marks(struct writer *w, const struct mnfq_packet *packet, bool verbose)
{
	const uint32_t mark = mnfq_packet_get_mark(packet);
	const uint32_t priority = mnfq_packet_get_priority(packet);

	if (mark)
		put_mark(w, "mark", ", mark ", mark);
	if (priority)
		put_priority(w, "priority", verbose ? ", priority " : NULL, priority);
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

bool line_get_verdict_mark(const struct line *line, uint32_t *mark)
{
	struct mnfq_packet_changes changes = MNFQ_INIT(changes);
	bool changed = mnfq_packet_get_changes(line->packet, &changes) == 0 &&
		       changes.flags & MNFQ_CHANGED_MARK;

	*mark = line->has_verdict_mark ? line->verdict_mark : changes.mark;
	return line->has_verdict_mark || changed;
}

static void put_verdict(struct writer *w, const struct line *line)
{
	const char *verdict = line->verdict;
	uint32_t mark;

	if (!verdict) {
		put_color(w, NORMAL);
		return;
	}
	put_word(w, ", ");
	put_color(w, NORMAL);
	put_color(w, strcmp(verdict, "drop") == 0 ? RED : GREEN);
	put_text(w, "verdict", "", verdict);
	if (line_get_verdict_mark(line, &mark))
		put_mark(w, "verdict_mark", " with mark ", mark);
	put_color(w, NORMAL);
}

/* ---- a line ------------------------------------------------------------------------------- */

/* As they arrived. */
static void put_payload(struct writer *w, const struct mnfq_packet *packet,
			enum print_payload payload)
{
	const uint8_t *bytes;
	size_t len;

	if (!payload)
		return;
	bytes = mnfq_packet_get_payload(packet, &len);
	if (payload == PRINT_BASE64)
		put_base64(w, "payload", bytes, len);
	else
		put_hex(w, "payload", NULL, bytes, len, 0);
}

/* Where there are several, the one that shows most, as tcpdump has it. */
static void print_bytes(FILE *out, const struct mnfq_packet *packet,
			const struct print_options *options)
{
	const uint32_t wanted = options->hex_ascii ? options->hex_ascii
				: options->hex     ? options->hex
						   : options->ascii;
	struct bytes bytes = { .len = { 0 } };

	if (!wanted)
		return;
	if (wanted > 1)
		bytes.at[0] = mnfq_packet_get_l2hdr(packet, &bytes.len[0]);
	bytes.at[1] = mnfq_packet_get_payload(packet, &bytes.len[1]);
	if (options->hex_ascii || options->hex)
		print_bytes_hex(out, &bytes, options->hex_ascii);
	else
		print_bytes_text(out, &bytes);
}

int print_line(FILE *out, struct printer *printer, const struct line *line)
{
	const struct print_options *options = &printer->options;
	const struct mnfq_packet *packet = line->packet;
	struct writer w = { .out = out, .json = options->json, .color = options->color };
	struct decoded decoded;

	decode_packet(&decoded, packet);
	flockfile(out);
	begin_line(&w);
	put_time(&w, printer, line);
	put_decoded(&w, &decoded, options);
	put_color(&w, FAINT);
	begin_section(&w, " | ");
	put_origin(&w, line);
	put_marks(&w, packet, options->verbose);
	put_sizes(&w, packet, options->verbose);
	put_checksum(&w, packet, options->verbose);
	put_link(&w, packet, options->verbose);
	put_sender(&w, packet, options->verbose);
	put_connection(&w, packet);
	put_verdict(&w, line);
	put_payload(&w, packet, options->payload);
	end_line(&w);
	if (!options->json)
		print_bytes(out, packet, options);
	funlockfile(out);
	return 0;
}
