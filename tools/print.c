/* SPDX-License-Identifier: MIT */
/* A packet as a line of text, or as a JSON object on a line. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#if HAVE_JANSSON
#include <jansson.h>
#endif

#include "common.h"
#include "print.h"

static const struct device {
	const char *word;
	const char *key;
	uint32_t (*get)(const struct mnfq_packet *packet);
} devices[] = {
	{ "in", "indev", mnfq_packet_get_indev },
	{ "out", "outdev", mnfq_packet_get_outdev },
	{ "physin", "physindev", mnfq_packet_get_physindev },
	{ "physout", "physoutdev", mnfq_packet_get_physoutdev },
};

#define DEVICES (sizeof(devices) / sizeof(devices[0]))

/* The name of a packet's interface, raw; false if it has none. One that is gone is "if7". */
static bool get_device(char name[IF_NAMESIZE], const struct mnfq_packet *packet,
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

/* When the packet was received, or else now, in microseconds since 1970. */
static int64_t get_time(const struct mnfq_packet *packet)
{
	struct timespec now;
	int64_t usec;

	if (mnfq_packet_get_timestamp(packet, &usec) == 0)
		return usec;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void decode(struct decoded *decoded, const struct mnfq_packet *packet)
{
	uint16_t ethertype = mnfq_packet_get_hw_protocol(packet);
	uint8_t family = mnfq_packet_get_family(packet);
	const uint8_t *payload;
	size_t len;

	if (family == NFPROTO_IPV4)
		ethertype = ETH_P_IP;
	else if (family == NFPROTO_IPV6)
		ethertype = ETH_P_IPV6;
	payload = mnfq_packet_get_payload(packet, &len);
	decode_packet(decoded, ethertype, payload, len);
}

/* ---- text --------------------------------------------------------------------------------- */

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

static void print_origin(FILE *out, const struct mnfq_packet *packet)
{
	int64_t usec = get_time(packet);
	time_t seconds = (time_t)(usec / 1000000);
	char raw[IF_NAMESIZE], name[4 * IF_NAMESIZE];
	struct tm tm = { 0 };

	localtime_r(&seconds, &tm);
	fprintf(out, "%02d:%02d:%02d.%06d queue %u id %u %s", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)(usec % 1000000), mnfq_queue_get_num(mnfq_packet_get_queue(packet)),
		mnfq_packet_get_id(packet), mnfq_packet_get_hook_name(packet));
	for (size_t i = 0; i < DEVICES; i++)
		if (get_device(raw, packet, &devices[i]))
			fprintf(out, " %s %s", devices[i].word,
				clean_text(name, sizeof(name), raw));
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

int print_text(FILE *out, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	struct details details = { out, ": " };
	struct decoded decoded;
	size_t length, caplen;
	uint32_t number;

	decode(&decoded, packet);
	print_origin(out, packet);
	print_addresses(out, &decoded);
	print_decoded(&details, &decoded);

	mnfq_packet_get_payload(packet, &caplen);
	if (mnfq_packet_get_length(packet, &length) == 0) {
		print_detail(&details, "length %zu", length);
		if (caplen < length)
			print_detail(&details, "captured %zu", caplen);
	}
	if (mnfq_packet_get_uid(packet, &number) == 0)
		print_detail(&details, "uid %u", number);
	if (mnfq_packet_get_gid(packet, &number) == 0)
		print_detail(&details, "gid %u", number);
	number = mnfq_packet_get_mark(packet);
	if (number)
		print_detail(&details, "mark 0x%x", number);
	print_detail(&details, "%s\n", line->verdict);
	return 0;
}

/* ---- JSON --------------------------------------------------------------------------------- */

#if HAVE_JANSSON

const bool print_has_json = true;

struct object {
	json_t *json;
	int err;
};

static void put(struct object *object, const char *key, json_t *value)
{
	if (json_object_set_new(object->json, key, value))
		object->err = -ENOMEM;
}

static void put_number(struct object *object, const char *key, uint64_t number)
{
	put(object, key, json_integer((json_int_t)number));
}

/* Names are bytes, JSON is UTF-8: what is none is written as it would be on a terminal. */
static void put_text(struct object *object, const char *key, const char *text)
{
	json_t *value = json_string(text);
	char clean[1024];

	if (!value)
		value = json_string(clean_text(clean, sizeof(clean), text));
	put(object, key, value);
}

static void put_address(struct object *object, const char *key, int family,
			const uint8_t *address)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, address, text, sizeof(text));
	put_text(object, key, text);
}

static void put_hwaddr(struct object *object, const struct mnfq_packet *packet)
{
	char text[3 * 32];
	size_t len;
	const uint8_t *address = mnfq_packet_get_hwaddr(packet, &len);

	if (!address || len == 0 || len > sizeof(text) / 3)
		return;
	for (size_t i = 0; i < len; i++)
		snprintf(text + 3 * i, 4, "%02x:", address[i]);
	text[3 * len - 1] = '\0';
	put_text(object, "hwaddr", text);
}

static void put_origin(struct object *object, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	char name[IF_NAMESIZE];
	uint16_t hw_protocol = mnfq_packet_get_hw_protocol(packet);
	uint32_t mark = mnfq_packet_get_mark(packet);

	put(object, "time", json_real((double)get_time(packet) / 1e6));
	if (line->netns)
		put_text(object, "netns", line->netns);
	put_number(object, "queue", mnfq_queue_get_num(mnfq_packet_get_queue(packet)));
	put_number(object, "id", mnfq_packet_get_id(packet));
	put_text(object, "hook", mnfq_packet_get_hook_name(packet));
	if (hw_protocol)
		put_number(object, "hw_protocol", hw_protocol);
	for (size_t i = 0; i < DEVICES; i++)
		if (get_device(name, packet, &devices[i]))
			put_text(object, devices[i].key, name);
	if (mark)
		put_number(object, "mark", mark);
	put_hwaddr(object, packet);
}

static void put_sizes(struct object *object, const struct mnfq_packet *packet)
{
	size_t len;
	uint32_t id;

	if (mnfq_packet_get_length(packet, &len) == 0)
		put_number(object, "length", len);
	mnfq_packet_get_payload(packet, &len);
	put_number(object, "caplen", len);
	if (mnfq_packet_get_uid(packet, &id) == 0)
		put_number(object, "uid", id);
	if (mnfq_packet_get_gid(packet, &id) == 0)
		put_number(object, "gid", id);
	put_number(object, "family", mnfq_packet_get_family(packet));
}

static void put_decoded(struct object *object, const struct decoded *decoded)
{
	put_text(object, "protocol", decoded->protocol);
	if (decoded->family) {
		put_address(object, "src", decoded->family, decoded->src);
		put_address(object, "dst", decoded->family, decoded->dst);
	}
	if (decoded->has_ports) {
		put_number(object, "sport", decoded->sport);
		put_number(object, "dport", decoded->dport);
	}
}

int print_json(FILE *out, const struct line *line)
{
	struct object object = { json_object(), 0 };
	struct decoded decoded;

	decode(&decoded, line->packet);
	put_origin(&object, line);
	put_sizes(&object, line->packet);
	put_decoded(&object, &decoded);
	put_text(&object, "verdict", line->verdict);

	/* 16 digits: ten of the seconds since 1970, six of the microseconds. */
	if (!object.err) {
		json_dumpf(object.json, out,
			   JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(16));
		putc('\n', out);
	}
	json_decref(object.json);
	return object.err;
}

#else

const bool print_has_json = false;

int print_json(FILE *out, const struct line *line)
{
	(void)out;
	(void)line;
	return -EOPNOTSUPP;
}

#endif
