// SPDX-License-Identifier: MIT
/*
 * How fast the sums are, against loops over bytes and over 16-bit words. All of them take turns, so
 * that what else the machine does hits them alike; of the rounds the median counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edit/edit.h"

#define ROUNDS   101
#define ROUND_NS 200000u /* about so long each takes in a round */

static uint8_t bytes[65536];
static volatile uint32_t sink;

static uint32_t by_bytes(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return mnfq_i_sum_fold(sum);
}

static uint32_t by_words(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint16_t word;

	for (; len >= 2; p += 2, len -= 2) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	return mnfq_i_sum_fold(sum + (len ? *p : 0));
}

static uint32_t ours(const uint8_t *p, size_t len)
{
	return mnfq_i_sum(p, len);
}

static uint32_t crc_by_bits(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82f63b78 & (0u - (crc & 1)));
	}
	return ~crc;
}

static uint32_t our_crc(const uint8_t *p, size_t len)
{
	return ~mnfq_i_crc32c(~0u, p, len);
}

/* Eight bytes in the midst of the packet: what an edit of the same length has to do. */
static uint32_t update(const uint8_t *p, size_t len)
{
	return mnfq_i_sum_update((uint16_t)len, mnfq_i_sum(p + len / 2, 8),
				 mnfq_i_sum(p + len / 3, 8));
}

/* A whole edit: with headers found, bytes copied, lengths and sums written. */
static uint8_t packet[1500];

static void make_packet(void)
{
	static const uint8_t headers[] = { 0x45, 0, 0,  0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0,
					   0,    1, 10, 0, 0, 2, 0, 7, 0,  9,  0, 0, 1,  1 };
	struct mnfq_i_subject s = { .bytes = { bytes, sizeof(packet), sizeof(packet), 0x0800 } };
	size_t len;

	memcpy(bytes, headers, sizeof(headers));
	if (mnfq_i_repair(&s, packet, &len) < 0)
		abort();
}

static uint32_t edit(size_t remove, size_t insert)
{
	static uint8_t out[2048];
	struct mnfq_i_subject s = { .bytes = { packet, sizeof(packet), sizeof(packet), 0x0800 } };
	struct mnfq_i_edit e = { 701, remove, (const uint8_t *)"replaced!", insert };
	size_t len;

	if (mnfq_i_edit(&s, &e, out, &len) < 0)
		abort();
	return out[26];
}

static uint32_t edit_other_length(const uint8_t *p, size_t len)
{
	(void)p, (void)len;
	return edit(8, 9);
}

static uint32_t edit_same_length(const uint8_t *p, size_t len)
{
	(void)p, (void)len;
	return edit(8, 8);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct way {
	const char *name;
	uint32_t (*function)(const uint8_t *p, size_t len);
	uint64_t calls; /* in a round */
	double ns[ROUNDS];
};

static void measure(struct way *way, size_t len, int round)
{
	uint64_t i, start = now_ns();

	for (i = 0; i < way->calls; i++)
		sink = way->function(bytes + (i & 63) * (len < 65536 - 128), len);
	way->ns[round] = (double)(now_ns() - start) / (double)way->calls;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void compete(struct way *ways, size_t n, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		ways[i].calls = 1;
		measure(&ways[i], len, 0);
		while (ways[i].ns[0] * (double)ways[i].calls < ROUND_NS) {
			ways[i].calls *= 2;
			measure(&ways[i], len, 0);
		}
	}
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < n; i++)
			measure(&ways[i], len, round);
	for (size_t i = 0; i < n; i++)
		qsort(ways[i].ns, ROUNDS, sizeof(double), compare);
	for (size_t i = 0; i < n; i++)
		printf("%6zu bytes  %-22s %10.1f ns %8.2f GB/s %8.2f times the first\n", len,
		       ways[i].name, ways[i].ns[ROUNDS / 2], (double)len / ways[i].ns[ROUNDS / 2],
		       ways[0].ns[ROUNDS / 2] / ways[i].ns[ROUNDS / 2]);
}

int main(void)
{
	static const size_t lengths[] = { 64, 1500, 65535 };
	static struct way sums[] = { { .name = "sum by bytes", .function = by_bytes },
				     { .name = "sum by 16-bit words", .function = by_words },
				     { .name = "mnfq_i_sum", .function = ours } };
	static struct way crcs[] = { { .name = "crc32c by bits", .function = crc_by_bits },
				     { .name = "mnfq_i_crc32c", .function = our_crc } };
	static struct way updates[] = { { .name = "all of it", .function = ours },
					{ .name = "8 bytes updated", .function = update } };
	static struct way edits[] = {
		{ .name = "edit, other length", .function = edit_other_length },
		{ .name = "edit, same length", .function = edit_same_length }
	};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < 3; i++)
		compete(sums, 3, lengths[i]);
	for (size_t i = 0; i < 3; i++)
		compete(crcs, 2, lengths[i]);
	compete(updates, 2, 1500);
	make_packet();
	compete(edits, 2, 1500);
	return 0;
}
