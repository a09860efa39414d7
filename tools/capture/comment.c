/* SPDX-License-Identifier: MIT */
/* What was known of a packet, as words KEY=VALUE in a comment, and back. */
#include "capture/comment.h"

#include <linux/if_ether.h>
#include <net/if.h> /* in front of <linux/netfilter.h>, which would have the kernel's headers define the same */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>

#include "common/parse.h"
#include "print/compose.h"

#define PREFIX     "mnfq"
#define CT_REPLY   3u /* is added to a state, as the kernel does */
#define CT_UNKNOWN 8u

/* ---- words -------------------------------------------------------------------------------- */

static const char *const inet_hooks[] = { "prerouting", "input",       "forward",
					  "output",     "postrouting", "ingress" };
static const char *const arp_hooks[] = { "input", "output", "forward" };
static const char *const netdev_hooks[] = { "ingress", "egress" };
static const char *const ct_states[] = { "established", "related", "new" };

struct words {
	const char *const *words;
	unsigned int count;
};

#define WORDS(array)                                                                             \
	(struct words)                                                                           \
	{                                                                                        \
		array, sizeof(array) / sizeof((array)[0])                                        \
	}

static struct words hooks_of(uint8_t family)
{
	switch (family) {
	case NFPROTO_ARP:
		return WORDS(arp_hooks);
	case NFPROTO_NETDEV:
		return WORDS(netdev_hooks);
	default:
		return WORDS(inet_hooks);
	}
}

/* Its number, or @otherwise. */
static unsigned int find_in(struct words words, const char *word, unsigned int otherwise)
{
	for (unsigned int i = 0; i < words.count; i++)
		if (strcmp(words.words[i], word) == 0)
			return i;
	return otherwise;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Names and contexts may have any bytes: all that could be mistaken is %XX. */
static void add_word(struct compose *out, const char *key, const char *value, size_t len)
{
	char byte[2] = "";

	add_format(out, " %s=", key);
	for (size_t i = 0; i < len; i++) {
		byte[0] = value[i];
		if (value[i] > ' ' && value[i] < 0x7f && value[i] != '%')
			add_text(out, byte);
		else
			add_format(out, "%%%02x", (unsigned int)(uint8_t)value[i]);
	}
}

static void add_name(struct compose *out, const char *key, const char *name)
{
	if (name[0])
		add_word(out, key, name, strlen(name));
}

static void add_hex_word(struct compose *out, const char *key, uint32_t number)
{
	if (number)
		add_format(out, " %s=0x%x", key, number);
}

static void add_decimal(struct compose *out, const char *key, uint32_t number)
{
	if (number)
		add_format(out, " %s=%u", key, number);
}

static void add_origin(struct compose *out, const struct record *record)
{
	const struct words hooks = hooks_of(record->info.family);
	const struct mnfq_packet_info *info = &record->info;

	if (info->hook < hooks.count)
		add_format(out, " hook=%s", hooks.words[info->hook]);
	add_name(out, "in", record->indev);
	add_name(out, "out", record->outdev);
	add_name(out, "physin", record->physindev);
	add_name(out, "physout", record->physoutdev);
	add_format(out, " time=%s family=%u", record->kernel_time ? "kernel" : "mnfq",
		   info->family);
	add_hex_word(out, "hw", info->hw_protocol);
	if (info->hwaddr_len)
		add_text(out, " hwaddr=");
	for (unsigned int i = 0; i < info->hwaddr_len && i < sizeof(info->hwaddr); i++)
		add_format(out, "%s%02x", i ? ":" : "", info->hwaddr[i]);
	if (record->made_up_l2hdr)
		add_text(out, " l2hdr=none");
	if (!(info->flags & MNFQ_INFO_LENGTH))
		add_text(out, " payload=none");
}

static void add_connection(struct compose *out, const struct record *record)
{
	const unsigned int info = record->info.ct_info;

	if (!(record->info.flags & MNFQ_INFO_CT))
		return;
	if (info < 2 * CT_REPLY)
		add_format(out, " ct=%s ct_dir=%s", ct_states[info % CT_REPLY],
			   info < CT_REPLY ? "original" : "reply");
	else
		add_format(out, " ct=%s", info == 7 ? "untracked" : "unknown");
	add_hex_word(out, "ct_mark", record->ct_mark);
	add_decimal(out, "ct_id", record->ct_id);
	add_decimal(out, "ct_zone", record->ct_zone);
}

size_t comment_write(char out[COMMENT_SIZE], const struct record *record)
{
	struct compose text = { .text = out, .size = COMMENT_SIZE };
	const struct mnfq_packet_info *info = &record->info;
	char verdict[VERDICT_SIZE];

	add_text(&text, PREFIX);
	add_origin(&text, record);
	add_hex_word(&text, "mark", info->mark);
	add_hex_word(&text, "skb", info->skb_info);
	add_decimal(&text, "priority", info->priority);
	add_decimal(&text, "classid", info->cgroup_classid);
	if (info->flags & MNFQ_INFO_UID)
		add_format(&text, " uid=%u", info->uid);
	if (info->flags & MNFQ_INFO_GID)
		add_format(&text, " gid=%u", info->gid);
	add_connection(&text, record);
	if (record->has_verdict)
		add_format(&text, " verdict=%s", format_verdict(verdict, record->verdict));
	if (record->has_verdict_mark)
		add_format(&text, " verdict_mark=0x%x", record->verdict_mark);
	if (record->secctx_len)
		add_word(&text, "secctx", record->secctx, record->secctx_len);
	return text.len;
}

size_t comment_write_interface(char out[COMMENT_SIZE], const struct record_interface *interface)
{
	struct compose text = { .text = out, .size = COMMENT_SIZE };

	add_text(&text, PREFIX);
	add_name(&text, "netns", interface->netns);
	add_name(&text, "label", interface->label);
	return text.len;
}

/* ---- reading ------------------------------------------------------------------------------ */

static unsigned int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit ? strchr(digits, digit) : NULL;

	return at ? (unsigned int)(at - digits) : 16;
}

/* A value with its %XX, terminated. Returns the length; what is wrong with it ends it. */
static size_t decode_value(char *out, size_t size, const char *value)
{
	size_t len = 0;

	for (; *value && len + 1 < size; len++, value++) {
		out[len] = *value;
		if (*value != '%')
			continue;
		if (hex_digit(value[1]) > 15 || hex_digit(value[2]) > 15)
			break;
		out[len] = (char)(hex_digit(value[1]) << 4 | hex_digit(value[2]));
		value += 2;
	}
	out[len] = '\0';
	return len;
}

static uint32_t decode_number(const char *value, uint32_t max)
{
	uint64_t number;

	return parse_number(value, 0, max, &number) == 0 ? (uint32_t)number : 0;
}

static void decode_hwaddr(struct mnfq_packet_info *info, const char *value)
{
	unsigned int n;

	for (n = 0; n < sizeof(info->hwaddr); n++) {
		if (hex_digit(value[0]) > 15 || hex_digit(value[1]) > 15)
			return;
		info->hwaddr[n] = (uint8_t)(hex_digit(value[0]) << 4 | hex_digit(value[1]));
		value += 2;
		if (*value != ':')
			break;
		value++;
	}
	info->hwaddr_len = *value ? 0 : (uint16_t)(n + 1);
}

static void decode_state(struct mnfq_packet_info *info, const char *value)
{
	const unsigned int state = find_in(WORDS(ct_states), value, CT_UNKNOWN);

	info->ct_info = (uint16_t)(strcmp(value, "untracked") == 0 ? 7 : state);
	info->flags |= MNFQ_INFO_CT;
}

/* Behind the state. */
static void decode_direction(struct mnfq_packet_info *info, const char *value)
{
	if (strcmp(value, "reply") == 0 && info->ct_info < CT_REPLY)
		info->ct_info = (uint16_t)(info->ct_info + CT_REPLY);
}

/* What is a name, or a number in a member of its own; where the latter is. */
enum kind { NAME, U32, U16, U8 };

#define RECORD(member) offsetof(struct record, member)
static const struct {
	const char *key;
	enum kind kind;
	size_t offset;
	uint32_t flag;
} members[] = {
	{ "in", NAME, RECORD(indev), 0 },
	{ "out", NAME, RECORD(outdev), 0 },
	{ "physin", NAME, RECORD(physindev), 0 },
	{ "physout", NAME, RECORD(physoutdev), 0 },
	{ "family", U8, RECORD(info.family), 0 },
	{ "hw", U16, RECORD(info.hw_protocol), 0 },
	{ "mark", U32, RECORD(info.mark), 0 },
	{ "skb", U32, RECORD(info.skb_info), 0 },
	{ "priority", U32, RECORD(info.priority), 0 },
	{ "classid", U32, RECORD(info.cgroup_classid), 0 },
	{ "uid", U32, RECORD(info.uid), MNFQ_INFO_UID },
	{ "gid", U32, RECORD(info.gid), MNFQ_INFO_GID },
	{ "ct_mark", U32, RECORD(ct_mark), 0 },
	{ "ct_id", U32, RECORD(ct_id), 0 },
	{ "ct_zone", U16, RECORD(ct_zone), 0 },
	{ "verdict_mark", U32, RECORD(verdict_mark), 0 },
};

/* Returns whether the key is among those. */
static bool read_member(struct record *record, const char *key, const char *value)
{
	size_t i = 0;
	uint8_t *at;

	while (i < sizeof(members) / sizeof(members[0]) && strcmp(members[i].key, key) != 0)
		i++;
	if (i == sizeof(members) / sizeof(members[0]))
		return false;
	at = (uint8_t *)record + members[i].offset;
	switch (members[i].kind) {
	case NAME:
		decode_value((char *)at, sizeof(record->indev), value);
		break;
	case U32:
		*(uint32_t *)at = decode_number(value, UINT32_MAX);
		break;
	case U16:
		*(uint16_t *)at = (uint16_t)decode_number(value, UINT16_MAX);
		break;
	case U8:
		*at = (uint8_t)decode_number(value, UINT8_MAX);
	}
	record->info.flags |= members[i].flag;
	return true;
}

static void read_word(void *data, const char *key, const char *value)
{
	struct record *record = data;

	record->has_verdict_mark |= strcmp(key, "verdict_mark") == 0;
	if (read_member(record, key, value))
		return;
	if (strcmp(key, "time") == 0)
		record->kernel_time = strcmp(value, "kernel") == 0;
	else if (strcmp(key, "hwaddr") == 0)
		decode_hwaddr(&record->info, value);
	else if (strcmp(key, "l2hdr") == 0)
		record->made_up_l2hdr = strcmp(value, "none") == 0;
	else if (strcmp(key, "payload") == 0 && record->info.payload_len == 0)
		record->info.flags &= ~MNFQ_INFO_LENGTH;
	else if (strcmp(key, "ct") == 0)
		decode_state(&record->info, value);
	else if (strcmp(key, "ct_dir") == 0)
		decode_direction(&record->info, value);
	else if (strcmp(key, "verdict") == 0)
		record->has_verdict = parse_verdict(value, &record->verdict) == 0;
	else if (strcmp(key, "secctx") == 0)
		record->secctx_len = decode_value(record->secctx, sizeof(record->secctx), value);
}

static void read_interface_word(void *data, const char *key, const char *value)
{
	struct record_interface *interface = data;

	if (strcmp(key, "netns") == 0)
		decode_value(interface->netns, sizeof(interface->netns), value);
	else if (strcmp(key, "label") == 0)
		decode_value(interface->label, sizeof(interface->label), value);
}

/* Calls @word for each word of a comment of ours; @copy is cut into them. */
static void read_words(char *copy, void (*word)(void *data, const char *key, const char *value),
		       void *data)
{
	char *save = NULL, *key = strtok_r(copy, " ", &save), *value;

	if (!key || strcmp(key, PREFIX) != 0)
		return;
	while ((key = strtok_r(NULL, " ", &save))) {
		value = strchr(key, '=');
		if (!value)
			continue;
		*value++ = '\0';
		word(data, key, value);
	}
}

static void read_comment(const char *text, size_t len,
			 void (*word)(void *data, const char *key, const char *value), void *data)
{
	char copy[COMMENT_SIZE];

	if (len >= sizeof(copy))
		return;
	memcpy(copy, text, len);
	copy[len] = '\0';
	read_words(copy, word, data);
}

/* The names of hooks depend on the family. */
static void read_hook(void *data, const char *key, const char *value)
{
	struct record *record = data;

	if (strcmp(key, "hook") == 0)
		record->info.hook = (uint8_t)find_in(hooks_of(record->info.family), value,
						     RECORD_HOOK_UNKNOWN);
}

void comment_read(struct record *record, const char *text, size_t len)
{
	read_comment(text, len, read_word, record);
	read_comment(text, len, read_hook, record);
}

void comment_read_interface(struct record_interface *interface, const char *text, size_t len)
{
	read_comment(text, len, read_interface_word, interface);
}
