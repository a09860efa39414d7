/* SPDX-License-Identifier: MIT */
/* A packet as a JSON object on a line. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "common.h"
#include "print/decode.h"
#include "print/fields.h"
#include "print/print.h"

#if HAVE_JANSSON
#include <jansson.h>

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
static void put_bytes(struct object *object, const char *key, const char *text, size_t len)
{
	json_t *value = json_stringn(text, len);
	char clean[4096];

	if (!value)
		value = json_string(clean_bytes(clean, sizeof(clean), text, len));
	put(object, key, value);
}

static void put_text(struct object *object, const char *key, const char *text)
{
	put_bytes(object, key, text, strlen(text));
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

/* The VLAN tag and the header of the link layer. */
static void put_link(struct object *object, const struct mnfq_packet *packet)
{
	struct object tag = { NULL, 0 };
	struct vlan vlan;
	const uint8_t *header;
	char text[2 * 256];
	size_t len;

	if (get_vlan(&vlan, packet)) {
		tag.json = json_object();
		put_number(&tag, "id", vlan.id);
		put_number(&tag, "priority", vlan.priority);
		put(&tag, "dei", json_boolean(vlan.dei));
		put_number(&tag, "protocol", vlan.protocol);
		put(object, "vlan", tag.json);
		object->err |= tag.err;
	}
	if (mnfq_packet_get_l2hdr(packet, &header, &len) < 0 || len == 0 ||
	    len >= sizeof(text) / 2)
		return;
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", header[i]);
	put_text(object, "l2hdr", text);
}

static void put_connection(struct object *object, const struct mnfq_packet *packet)
{
	const char *state = mnfq_packet_get_ct_state_name(packet);
	const char *direction = mnfq_packet_get_ct_direction_name(packet);
	uint32_t number;
	uint16_t zone;

	if (state)
		put_text(object, "ct_state", state);
	if (direction)
		put_text(object, "ct_direction", direction);
	if (mnfq_packet_get_ct_mark(packet, &number) == 0 && number)
		put_number(object, "ct_mark", number);
	if (mnfq_packet_get_ct_id(packet, &number) == 0)
		put_number(object, "ct_id", number);
	if (mnfq_packet_get_ct_zone(packet, &zone) == 0 && zone)
		put_number(object, "ct_zone", zone);
}

static void put_sender(struct object *object, const struct mnfq_packet *packet)
{
	const char *secctx;
	uint32_t id;
	size_t len;

	if (mnfq_packet_get_uid(packet, &id) == 0)
		put_number(object, "uid", id);
	if (mnfq_packet_get_gid(packet, &id) == 0)
		put_number(object, "gid", id);
	if (mnfq_packet_get_classid(packet, &id) == 0)
		put_number(object, "classid", id);
	secctx = get_secctx(packet, &len);
	if (secctx)
		put_bytes(object, "secctx", secctx, len);
}

static void put_origin(struct object *object, const struct line *line)
{
	const struct mnfq_packet *packet = line->packet;
	char name[IF_NAMESIZE];
	uint16_t hw_protocol = mnfq_packet_get_hw_protocol(packet);
	uint32_t number = mnfq_packet_get_mark(packet);
	int64_t usec;
	bool received = get_time(&usec, packet);

	put(object, "time", json_real((double)usec / 1e6));
	put_text(object, "time_source", received ? "kernel" : "mnfq");
	if (line->netns)
		put_text(object, "netns", line->netns);
	if (line->label)
		put_text(object, "label", line->label);
	put_number(object, "queue", mnfq_queue_get_num(mnfq_packet_get_queue(packet)));
	put_number(object, "id", mnfq_packet_get_id(packet));
	put_text(object, "hook", mnfq_packet_get_hook_name(packet));
	if (hw_protocol)
		put_number(object, "hw_protocol", hw_protocol);
	for (size_t i = 0; i < DEVICES; i++)
		if (get_device(name, packet, &devices[i]))
			put_text(object, devices[i].key, name);
	if (number)
		put_number(object, "mark", number);
	if (mnfq_packet_get_priority(packet, &number) == 0)
		put_number(object, "priority", number);
	put_hwaddr(object, packet);
}

static void put_sizes(struct object *object, const struct mnfq_packet *packet)
{
	const char *checksum = get_checksum(packet);
	size_t len;

	if (mnfq_packet_get_length(packet, &len) == 0)
		put_number(object, "length", len);
	mnfq_packet_get_payload(packet, &len);
	put_number(object, "caplen", len);
	if (checksum)
		put_text(object, "checksum", checksum);
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

	decode_packet(&decoded, line->packet);
	put_origin(&object, line);
	put_link(&object, line->packet);
	put_sizes(&object, line->packet);
	put_sender(&object, line->packet);
	put_connection(&object, line->packet);
	put_number(&object, "family", mnfq_packet_get_family(line->packet));
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
