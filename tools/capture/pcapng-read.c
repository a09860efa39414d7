/* SPDX-License-Identifier: MIT */
/* Blocks of pcapng, in both byte orders. Every length is checked against the block. */
#include "capture/pcapng-read.h"

#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/comment.h"
#include "capture/frame.h"
#include "capture/pcapng.h"

#define INTERFACES_MAX 65536u /* of a section, so that a file does not take all memory */

struct pcapng_interface {
	struct record_interface public;
	uint32_t snap;      /* 0: no limit */
	uint8_t resolution; /* as if_tsresol */
	int64_t offset;     /* seconds */
};

/* What is left of a block. */
struct rest {
	const uint8_t *at;
	size_t len;
};

/* ---- numbers ------------------------------------------------------------------------------ */

uint32_t pcapng_order(const struct pcapng *pcapng, uint32_t number)
{
	return pcapng->swapped ? bswap_32(number) : number;
}

static uint16_t read16(const struct pcapng *pcapng, const uint8_t *at)
{
	uint16_t number;

	memcpy(&number, at, sizeof(number));
	return pcapng->swapped ? bswap_16(number) : number;
}

static uint32_t read32(const struct pcapng *pcapng, const uint8_t *at)
{
	uint32_t number;

	memcpy(&number, at, sizeof(number));
	return pcapng_order(pcapng, number);
}

static uint64_t read64(const struct pcapng *pcapng, const uint8_t *at)
{
	uint64_t number;

	memcpy(&number, at, sizeof(number));
	return pcapng->swapped ? bswap_64(number) : number;
}

static int fail_block(struct pcapng *pcapng, int err, const char *why)
{
	pcapng->error = why;
	return err;
}

/* ---- options ------------------------------------------------------------------------------ */

struct pcapng_option {
	uint16_t code, len;
	const uint8_t *value;
};

/* The next one; what is wrong with one ends them. */
static bool next_option(const struct pcapng *pcapng, struct rest *rest,
			struct pcapng_option *option)
{
	size_t padded;

	if (rest->len < 4)
		return false;
	option->code = read16(pcapng, rest->at);
	option->len = read16(pcapng, rest->at + 2);
	option->value = rest->at + 4;
	padded = 4 + ((size_t)option->len + 3) / 4 * 4;
	if (option->code == OPTION_END || padded > rest->len)
		return false;
	rest->at += padded;
	rest->len -= padded;
	return true;
}

static void take_text(char *out, size_t size, const struct pcapng_option *option)
{
	const size_t len = option->len < size ? option->len : size - 1;

	memcpy(out, option->value, len);
	out[len] = '\0';
}

/* ---- sections and interfaces -------------------------------------------------------------- */

bool pcapng_begin_section(struct pcapng *pcapng, uint32_t magic)
{
	const uint64_t packets = pcapng->packets;

	if (magic != BYTE_ORDER_MAGIC && magic != bswap_32(BYTE_ORDER_MAGIC))
		return false;
	pcapng_end(pcapng);
	*pcapng = (struct pcapng){ .swapped = magic != BYTE_ORDER_MAGIC,
				   .begun = true,
				   .packets = packets };
	return true;
}

void pcapng_end(struct pcapng *pcapng)
{
	free(pcapng->interfaces);
	pcapng->interfaces = NULL;
	pcapng->count = 0;
}

static struct pcapng_interface *add_interface(struct pcapng *pcapng)
{
	struct pcapng_interface *interfaces = pcapng->interfaces;

	if ((pcapng->count & (pcapng->count - 1)) == 0) { /* it is full */
		interfaces = reallocarray(interfaces, pcapng->count ? 2 * pcapng->count : 1,
					  sizeof(*interfaces));
		if (!interfaces)
			return NULL;
		pcapng->interfaces = interfaces;
	}
	interfaces[pcapng->count] = (struct pcapng_interface){ .resolution = 6 };
	return &interfaces[pcapng->count++];
}

static int read_interface(struct pcapng *pcapng, const uint8_t *body, size_t len)
{
	struct pcapng_interface *interface;
	struct pcapng_option option;
	struct rest rest;

	if (len < 8)
		return fail_block(pcapng, -EBADMSG, "an interface is cut short");
	rest = (struct rest){ body + 8, len - 8 };
	if (pcapng->count == INTERFACES_MAX)
		return fail_block(pcapng, -EBADMSG, "there are more than 65536 interfaces");
	interface = add_interface(pcapng);
	if (!interface)
		return fail_block(pcapng, -ENOMEM, "out of memory");
	interface->public.link_type = read16(pcapng, body);
	interface->snap = read32(pcapng, body + 4);
	while (next_option(pcapng, &rest, &option)) {
		if (option.code == IF_NAME)
			take_text(interface->public.name, sizeof(interface->public.name),
				  &option);
		else if (option.code == IF_TSRESOL && option.len == 1)
			interface->resolution = option.value[0];
		else if (option.code == IF_TSOFFSET && option.len == 8)
			interface->offset = (int64_t)read64(pcapng, option.value);
		else if (option.code == OPTION_COMMENT)
			comment_read_interface(&interface->public, (const char *)option.value,
					       option.len);
	}
	return 0;
}

/* ---- packets ------------------------------------------------------------------------------ */

static uint64_t power_of_ten(unsigned int exponent)
{
	uint64_t power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

/* Microseconds since 1970; 0 if they cannot be told. */
static int64_t convert_time(const struct pcapng_interface *interface, uint64_t ticks)
{
	const unsigned int exponent = interface->resolution & 0x7fu;
	const bool binary = interface->resolution & 0x80;
	uint64_t a_second, seconds, rest, usec;

	if (exponent > (binary ? 63u : 19u))
		return 0;
	a_second = binary ? UINT64_C(1) << exponent : power_of_ten(exponent);
	seconds = ticks / a_second;
	rest = ticks % a_second;
	if (binary && exponent > 43)
		usec = (rest >> (exponent - 43)) * 1000000 >> 43;
	else if (binary)
		usec = rest * 1000000 >> exponent;
	else if (exponent >= 6)
		usec = rest / power_of_ten(exponent - 6);
	else
		usec = rest * power_of_ten(6 - exponent);
	if (__builtin_add_overflow(seconds, (uint64_t)interface->offset, &seconds) &&
	    interface->offset >= 0)
		return 0;
	if (seconds >= INT64_MAX / 1000000) /* also negative ones */
		return 0;
	return (int64_t)(seconds * 1000000 + usec);
}

/* One without an option for it gets what a foreign capture says of it: nothing. */
void record_begin(struct record *record)
{
	*record = (struct record){ .info = { .size = sizeof(record->info),
					     .hook = RECORD_HOOK_UNKNOWN },
				   .kernel_time = true };
}

static void take_verdict(struct record *record, const struct pcapng *pcapng,
			 const struct pcapng_option *option)
{
	if (record->has_verdict || option->len != 9 || option->value[0] != VERDICT_TC)
		return;
	record->has_verdict = true;
	switch (read64(pcapng, option->value + 1)) {
	case TC_OK:
		record->verdict = MNFQ_ACCEPT;
		break;
	case TC_SHOT:
		record->verdict = MNFQ_DROP;
		break;
	case TC_REPEAT:
		record->verdict = MNFQ_REPEAT;
		break;
	default:
		record->has_verdict = false;
	}
}

/*
 * An option of another length than it should have is none: Wireshark 4.0 writes verdicts with the number of the queue's
 * option.
 */
static void take_packet_option(struct record *record, const struct pcapng *pcapng,
			       const struct pcapng_option *option)
{
	uint32_t flags;

	switch (option->code) {
	case OPTION_COMMENT:
		comment_read(record, (const char *)option->value, option->len);
		break;
	case EPB_FLAGS:
		flags = option->len != 4 ? 0 : read32(pcapng, option->value) & 3;
		record->inbound = flags == EPB_INBOUND;
		record->outbound = flags == EPB_OUTBOUND;
		break;
	case EPB_DROPCOUNT:
		if (option->len == 8)
			record->dropped = (uint32_t)read64(pcapng, option->value);
		break;
	case EPB_PACKETID:
		if (option->len != 8)
			break;
		record->has_id = true;
		record->info.id = (uint32_t)read64(pcapng, option->value);
		break;
	case EPB_QUEUE:
		if (option->len != 4)
			break;
		record->has_queue = true;
		record->info.queue_num = (uint16_t)read32(pcapng, option->value);
		break;
	case EPB_VERDICT:
		take_verdict(record, pcapng, option);
	}
}

struct packet {
	uint32_t interface;
	uint64_t ticks;
	uint32_t caplen, length;
};

/* Behind the headers of the block: bytes, options. */
static int read_frame(struct pcapng *pcapng, const struct packet *packet, struct rest rest,
		      struct record *record)
{
	const size_t padded = ((size_t)packet->caplen + 3) / 4 * 4;
	const struct pcapng_interface *interface;
	struct pcapng_option option;
	int err;

	if (packet->caplen > rest.len)
		return fail_block(pcapng, -EBADMSG, "a packet is longer than its block");
	if (packet->interface >= pcapng->count)
		return fail_block(pcapng, -EBADMSG, "a packet is of no interface");
	interface = &pcapng->interfaces[packet->interface];
	record_begin(record);
	record->interface = &interface->public;
	record->info.id = (uint32_t)++pcapng->packets;
	record->time = convert_time(interface, packet->ticks);
	err = frame_read(record, interface->public.link_type, rest.at, packet->caplen,
			 packet->length);
	if (err < 0)
		return err;
	rest.at += padded < rest.len ? padded : rest.len;
	rest.len -= padded < rest.len ? padded : rest.len;
	while (next_option(pcapng, &rest, &option))
		take_packet_option(record, pcapng, &option);
	return 1;
}

static int read_enhanced(struct pcapng *pcapng, const uint8_t *body, size_t len, bool old,
			 struct record *record)
{
	struct packet packet;

	if (len < 20)
		return fail_block(pcapng, -EBADMSG, "a packet is cut short");
	packet = (struct packet){ .interface = old ? read16(pcapng, body) : read32(pcapng, body),
				  .ticks = (uint64_t)read32(pcapng, body + 4) << 32 |
					   read32(pcapng, body + 8),
				  .caplen = read32(pcapng, body + 12),
				  .length = read32(pcapng, body + 16) };
	return read_frame(pcapng, &packet, (struct rest){ body + 20, len - 20 }, record);
}

/* It is of the first interface, and has no time. */
static int read_simple(struct pcapng *pcapng, const uint8_t *body, size_t len,
		       struct record *record)
{
	struct packet packet = { .interface = 0 };
	uint32_t snap;
	int n;

	if (len < 4)
		return fail_block(pcapng, -EBADMSG, "a packet is cut short");
	packet.length = read32(pcapng, body);
	packet.caplen = packet.length < len - 4 ? packet.length : (uint32_t)(len - 4);
	snap = pcapng->count ? pcapng->interfaces[0].snap : 0;
	if (snap && packet.caplen > snap)
		packet.caplen = snap;
	n = read_frame(pcapng, &packet, (struct rest){ body + 4, packet.caplen }, record);
	if (n > 0)
		record->time = 0;
	return n;
}

int pcapng_read_block(struct pcapng *pcapng, uint32_t type, const uint8_t *body, size_t len,
		      struct record *record)
{
	switch (type) {
	case BLOCK_INTERFACE:
		return read_interface(pcapng, body, len);
	case BLOCK_PACKET:
	case BLOCK_PACKET_OLD:
		return read_enhanced(pcapng, body, len, type == BLOCK_PACKET_OLD, record);
	case BLOCK_PACKET_SIMPLE:
		return read_simple(pcapng, body, len, record);
	default:
		return 0;
	}
}
