/* SPDX-License-Identifier: MIT */
/* Blocks of pcapng, in our byte order. */
#include "capture/pcapng-write.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "capture/comment.h"
#include "capture/frame.h"
#include "capture/pcapng.h"

#define TSRESOL_MICROSECONDS 6u

struct block {
	uint8_t *bytes;
	size_t len;
};

/* ---- the parts of a block ----------------------------------------------------------------- */

static void put_bytes(struct block *block, const void *bytes, size_t len)
{
	memcpy(block->bytes + block->len, bytes, len);
	block->len += len;
}

static void pad(struct block *block)
{
	while (block->len % 4)
		block->bytes[block->len++] = 0;
}

static void block_put16(struct block *block, uint16_t value)
{
	put_bytes(block, &value, sizeof(value));
}

static void block_put32(struct block *block, uint32_t value)
{
	put_bytes(block, &value, sizeof(value));
}

/* A time has its upper half first, whatever the byte order. */
static void put_packet_time(struct block *block, int64_t usec)
{
	block_put32(block, (uint32_t)((uint64_t)usec >> 32));
	block_put32(block, (uint32_t)usec);
}

static struct block begin(uint8_t *out, uint32_t type)
{
	struct block block = { .bytes = out };

	block_put32(&block, type);
	block_put32(&block, 0);
	return block;
}

static size_t end(struct block *block)
{
	const uint32_t len = (uint32_t)block->len + 4;

	memcpy(block->bytes + 4, &len, sizeof(len));
	block_put32(block, len);
	return len;
}

static void put_option(struct block *block, uint16_t code, const void *value, size_t len)
{
	block_put16(block, code);
	block_put16(block, (uint16_t)len);
	put_bytes(block, value, len);
	pad(block);
}

static void block_put_text(struct block *block, uint16_t code, const char *text)
{
	if (*text)
		put_option(block, code, text, strlen(text));
}

static void put_option32(struct block *block, uint16_t code, uint32_t value)
{
	put_option(block, code, &value, sizeof(value));
}

static void put_option64(struct block *block, uint16_t code, uint64_t value)
{
	put_option(block, code, &value, sizeof(value));
}

static void end_options(struct block *block)
{
	block_put32(block, OPTION_END);
}

/* ---- section and interfaces --------------------------------------------------------------- */

size_t pcapng_write_section(uint8_t *out)
{
	struct block block = begin(out, BLOCK_SECTION);
	struct utsname system;
	char os[sizeof(system.sysname) + sizeof(system.release) + 1];

	block_put32(&block, BYTE_ORDER_MAGIC);
	block_put16(&block, 1); /* version 1.0 */
	block_put16(&block, 0);
	block_put32(&block, UINT32_MAX); /* its length is not known */
	block_put32(&block, UINT32_MAX);
	if (uname(&system) == 0) {
		snprintf(os, sizeof(os), "%s %s", system.sysname, system.release);
		block_put_text(&block, SHB_OS, os);
	}
	block_put_text(&block, SHB_USERAPPL, "mnfq " MNFQ_VERSION);
	end_options(&block);
	return end(&block);
}

/* Others chose it, and it should be UTF-8. Comments have it as it is. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static void describe_interface(char *out, size_t size, const struct record_interface *interface)
{
	const char *netns = interface->netns, *label = interface->label;

	snprintf(out, size, "%s%s%s%s%s", *netns ? "namespace " : "", netns,
		 *netns && *label ? ", " : "", *label ? "label " : "", label);
	make_plain(out);
}

size_t pcapng_write_interface(uint8_t *out, const struct record_interface *interface,
			      uint32_t snap)
{
	struct block block = begin(out, BLOCK_INTERFACE);
	const uint8_t resolution = TSRESOL_MICROSECONDS;
	char text[COMMENT_SIZE];

	block_put16(&block, (uint16_t)interface->link_type);
	block_put16(&block, 0);
	block_put32(&block, snap);
	snprintf(text, sizeof(text), "%s", interface->name);
	make_plain(text);
	block_put_text(&block, IF_NAME, text);
	describe_interface(text, sizeof(text), interface);
	block_put_text(&block, IF_DESCRIPTION, text);
	put_option(&block, IF_TSRESOL, &resolution, sizeof(resolution));
	if (interface->netns[0] || interface->label[0]) {
		comment_write_interface(text, interface);
		block_put_text(&block, OPTION_COMMENT, text);
	}
	end_options(&block);
	return end(&block);
}

/* ---- packets ------------------------------------------------------------------------------ */

static void put_verdicts(struct block *block, enum mnfq_verdict verdict)
{
	uint8_t value[9] = { VERDICT_TC };
	uint64_t action;

	switch ((unsigned int)verdict & 0xff) {
	case MNFQ_DROP:
		action = TC_SHOT;
		break;
	case MNFQ_REPEAT:
		action = TC_REPEAT;
		break;
	case MNFQ_ACCEPT:
	case MNFQ_STOP:
		action = TC_OK;
		break;
	default:
		action = TC_QUEUED;
	}
	memcpy(value + 1, &action, sizeof(action));
	put_option(block, EPB_VERDICT, value, sizeof(value));
}

static void put_packet_options(struct block *block, const struct record *record)
{
	char comment[COMMENT_SIZE];
	const uint32_t direction = record->inbound    ? EPB_INBOUND
				   : record->outbound ? EPB_OUTBOUND
						      : 0;

	comment_write(comment, record);
	block_put_text(block, OPTION_COMMENT, comment);
	if (direction)
		put_option32(block, EPB_FLAGS, direction);
	if (record->dropped)
		put_option64(block, EPB_DROPCOUNT, record->dropped);
	if (record->has_id)
		put_option64(block, EPB_PACKETID, record->info.id);
	if (record->has_queue)
		put_option32(block, EPB_QUEUE, record->info.queue_num);
	if (record->has_verdict)
		put_verdicts(block, record->verdict);
	end_options(block);
}

size_t pcapng_write_packet(uint8_t *out, uint32_t id, const struct record *record, uint32_t snap)
{
	struct block block = begin(out, BLOCK_PACKET);
	const struct mnfq_packet_info *info = &record->info;
	uint8_t head[FRAME_HEAD_MAX];
	const size_t head_len = frame_head(head, record);
	size_t len = head_len + info->payload_len, first;

	if (snap && len > snap)
		len = snap;
	first = head_len < len ? head_len : len;
	block_put32(&block, id);
	put_packet_time(&block, record->time);
	block_put32(&block, (uint32_t)len);
	block_put32(&block, (uint32_t)(head_len + info->length));
	put_bytes(&block, head, first);
	put_bytes(&block, info->payload, len - first);
	pad(&block);
	put_packet_options(&block, record);
	return end(&block);
}

/* ---- statistics --------------------------------------------------------------------------- */

static void put_option_time(struct block *block, uint16_t code, int64_t usec)
{
	const uint32_t halves[] = { (uint32_t)((uint64_t)usec >> 32), (uint32_t)usec };

	put_option(block, code, halves, sizeof(halves));
}

size_t pcapng_write_statistics(uint8_t *out, uint32_t id, const struct pcapng_counts *counts)
{
	struct block block = begin(out, BLOCK_STATISTICS);
	char comment[160];

	block_put32(&block, id);
	put_packet_time(&block, counts->end);
	if (counts->dropped || counts->missing) {
		snprintf(
			comment, sizeof(comment),
			"mnfq kernel_dropped=%llu (all interfaces of the namespace) not_written=%llu",
			(unsigned long long)counts->dropped, (unsigned long long)counts->missing);
		block_put_text(&block, OPTION_COMMENT, comment);
	}
	put_option_time(&block, ISB_STARTTIME, counts->start);
	put_option_time(&block, ISB_ENDTIME, counts->end);
	put_option64(&block, ISB_IFRECV, counts->received);
	put_option64(&block, ISB_IFDROP, counts->dropped + counts->missing);
	put_option64(&block, ISB_FILTERACCEPT, counts->matched);
	put_option64(&block, ISB_USRDELIV, counts->written);
	end_options(&block);
	return end(&block);
}
