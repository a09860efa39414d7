/* SPDX-License-Identifier: MIT */
/* Parsing of arguments, and how they are printed. */
#include "common/parse.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *word;
	enum mnfq_verdict verdict;
} verdicts[] = {
	{ "accept", MNFQ_ACCEPT },
	{ "drop", MNFQ_DROP },
	{ "repeat", MNFQ_REPEAT },
	{ "stop", MNFQ_STOP },
};

#define VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))

static int get_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* strtoull() would take signs, spaces and octal numbers. */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	uint64_t number = 0;
	int overflow = 0;

	if (base == 16)
		text += 2;
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		int digit = get_digit(*text);

		if (digit >= base)
			return -EINVAL;
		overflow |= __builtin_mul_overflow(number, (uint64_t)base, &number);
		overflow |= __builtin_add_overflow(number, (uint64_t)digit, &number);
	}
	if (overflow || number < min || number > max)
		return -ERANGE;
	*value = number;
	return 0;
}

static int parse_queue(const char *text, uint16_t *queue)
{
	uint64_t value;
	int err = parse_number(text, 0, UINT16_MAX, &value);

	if (!err)
		*queue = (uint16_t)value;
	return err;
}

int parse_queues(const char *text, uint16_t *first, uint16_t *last)
{
	const char *colon = strchr(text, ':');
	char number[32];
	int err;

	if (!colon) {
		err = parse_queue(text, first);
		*last = *first;
		return err;
	}
	if ((size_t)(colon - text) >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, (size_t)(colon - text));
	number[colon - text] = '\0';

	err = parse_queue(number, first);
	if (!err)
		err = parse_queue(colon + 1, last);
	if (!err && *last < *first)
		err = -ERANGE;
	return err;
}

int parse_verdict(const char *text, enum mnfq_verdict *verdict)
{
	uint16_t queue;
	int err;

	for (size_t i = 0; i < VERDICTS; i++) {
		if (strcasecmp(text, verdicts[i].word) == 0) {
			*verdict = verdicts[i].verdict;
			return 0;
		}
	}
	if (strncasecmp(text, "queue:", 6) != 0)
		return -EINVAL;
	err = parse_queue(text + 6, &queue);
	if (!err)
		*verdict = mnfq_verdict_queue(queue);
	return err;
}

const char *format_verdict(char out[VERDICT_SIZE], enum mnfq_verdict verdict)
{
	snprintf(out, VERDICT_SIZE, "queue:%u", verdict >> 16);
	for (size_t i = 0; i < VERDICTS; i++)
		if (verdicts[i].verdict == verdict)
			snprintf(out, VERDICT_SIZE, "%s", verdicts[i].word);
	return out;
}

int parse_copy(const char *text, enum mnfq_copy *mode, uint32_t *range)
{
	uint64_t bytes = 0;
	int err;

	if (strcasecmp(text, "none") == 0) {
		*mode = MNFQ_COPY_NONE;
	} else if (strcasecmp(text, "meta") == 0) {
		*mode = MNFQ_COPY_META;
	} else {
		if (strncasecmp(text, "packet", 6) != 0 || (text[6] && text[6] != ':'))
			return -EINVAL;
		if (text[6]) {
			err = parse_number(text + 7, 1, MNFQ_COPY_RANGE_MAX, &bytes);
			if (err)
				return err;
		}
		*mode = MNFQ_COPY_PACKET;
	}
	*range = (uint32_t)bytes;
	return 0;
}

/* A half of MAJOR:MINOR, @len characters; 0 if it is missing. */
static int parse_half(const char *text, size_t len, uint32_t *half)
{
	uint64_t value = 0;
	char number[16];
	int err = 0;

	if (len + 3 > sizeof(number))
		return -ERANGE;
	snprintf(number, sizeof(number), "0x%.*s", (int)len, text);
	if (len > 0)
		err = parse_number(number, 0, UINT16_MAX, &value);
	*half = (uint32_t)value;
	return err;
}

int parse_priority(const char *text, uint32_t *priority)
{
	const char *colon = strchr(text, ':');
	uint32_t major = 0, minor = 0;
	uint64_t value = 0;
	int err;

	if (!colon) {
		err = parse_number(text, 0, UINT32_MAX, &value);
	} else if (!text[1]) {
		err = -EINVAL;
	} else {
		err = parse_half(text, (size_t)(colon - text), &major);
		if (!err)
			err = parse_half(colon + 1, strlen(colon + 1), &minor);
		value = major << 16 | minor;
	}
	if (!err)
		*priority = (uint32_t)value;
	return err;
}

const char *format_priority(char out[PRIORITY_SIZE], uint32_t priority)
{
	if (priority >> 16)
		snprintf(out, PRIORITY_SIZE, "%x:%x", priority >> 16, priority & 0xffff);
	else
		snprintf(out, PRIORITY_SIZE, "%u", priority);
	return out;
}

int parse_masked(const char *text, uint32_t *value, uint32_t *mask)
{
	const char *slash = strchrnul(text, '/');
	uint64_t bits, in = UINT32_MAX;
	char number[32];
	int err;

	if ((size_t)(slash - text) >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, (size_t)(slash - text));
	number[slash - text] = '\0';
	err = parse_number(number, 0, UINT32_MAX, &bits);
	if (!err && *slash)
		err = parse_number(slash + 1, 0, UINT32_MAX, &in);
	if (!err && (bits & ~in || !in))
		err = -EDOM;
	if (err)
		return err;
	*value = (uint32_t)bits;
	*mask = (uint32_t)in;
	return 0;
}

const char *format_masked(char out[MASKED_SIZE], uint32_t value, uint32_t mask)
{
	if (mask == UINT32_MAX)
		snprintf(out, MASKED_SIZE, "0x%x", value);
	else
		snprintf(out, MASKED_SIZE, "0x%x/0x%x", value, mask);
	return out;
}

int parse_mode(const char *text, mode_t *mode)
{
	mode_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (get_digit(*text) >= 8)
			return -EINVAL;
		value = value << 3 | (mode_t)get_digit(*text);
		if (value > 0777)
			return -ERANGE;
	}
	*mode = value;
	return 0;
}

int parse_seconds(const char *text, uint32_t min, uint32_t max, uint32_t *ms)
{
	uint64_t value = 0;
	int decimals = -1; /* -1: before the point */

	if (get_digit(*text) >= 10)
		return -EINVAL;
	for (; *text; text++) {
		if (*text == '.' && decimals < 0 && text[1]) {
			decimals = 0;
			continue;
		}
		if (get_digit(*text) >= 10 || decimals == 3)
			return -EINVAL;
		value = value * 10 + (uint64_t)get_digit(*text);
		decimals += decimals >= 0;
		if (value > max)
			return -ERANGE;
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 3; decimals++)
		value *= 10;
	if (value < min || value > max)
		return -ERANGE;
	*ms = (uint32_t)value;
	return 0;
}
