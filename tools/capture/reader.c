/* SPDX-License-Identifier: MIT */
/* Reading a capture: the framing of pcapng and of pcap files. */
#include "capture/reader.h"

#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "capture/frame.h"
#include "capture/pcapng-read.h"
#include "capture/pcapng.h"

/* As Wireshark has them. */
#define BLOCK_MAX  (16u << 20)
#define PACKET_MAX (256u << 10)

#define PCAP_MICROSECONDS 0xa1b2c3d4u
#define PCAP_NANOSECONDS  0xa1b23c4du

struct capture_reader {
	FILE *file;
	uint64_t at, block_at; /* bytes; where the last block began */
	uint8_t *bytes;        /* a block, or a packet */
	size_t size;
	bool begun, ended;
	bool pcap;
	struct pcapng pcapng;
	uint64_t skipped;
	uint32_t skipped_type;
	const volatile sig_atomic_t *stop; /* or NULL */
	char error[160];

	/* Of a pcap file: */
	bool swapped, nanoseconds;
	uint64_t packets;
	struct record_interface interface;
};

struct capture_reader *capture_reader_new(FILE *file)
{
	struct capture_reader *reader = calloc(1, sizeof(*reader));

	if (reader)
		reader->file = file;
	return reader;
}

void capture_reader_free(struct capture_reader *reader)
{
	if (!reader)
		return;
	pcapng_end(&reader->pcapng);
	free(reader->bytes);
	free(reader);
}

const char *capture_reader_error(const struct capture_reader *reader)
{
	return reader->error;
}

uint64_t capture_reader_skipped(const struct capture_reader *reader, uint32_t *link_type)
{
	*link_type = reader->skipped_type;
	return reader->skipped;
}

void capture_reader_stop_on(struct capture_reader *reader, const volatile sig_atomic_t *stop)
{
	reader->stop = stop;
}

static int skip_packet(struct capture_reader *reader, const struct record *record)
{
	if (reader->skipped++ == 0)
		reader->skipped_type = record->interface->link_type;
	return 0;
}

/* ---- bytes -------------------------------------------------------------------------------- */

static int fail_reading(struct capture_reader *reader, int err, const char *why)
{
	reader->ended = true;
	if (reader->begun)
		snprintf(reader->error, sizeof(reader->error), "%s, at byte %llu", why,
			 (unsigned long long)reader->block_at);
	else
		snprintf(reader->error, sizeof(reader->error), "%s", why);
	return err;
}

/* Returns how many there were; fewer at the end. */
static size_t read_up_to(struct capture_reader *reader, void *out, size_t len)
{
	const size_t n = fread(out, 1, len, reader->file);

	reader->at += n;
	return n;
}

static int read_exactly(struct capture_reader *reader, void *out, size_t len)
{
	if (read_up_to(reader, out, len) == len)
		return 0;
	if (ferror(reader->file))
		return fail_reading(reader, -EIO, strerror(errno));
	return fail_reading(reader, -EBADMSG, "it ends in the middle of a packet or block");
}

/* Memory grows with what is there, not with what a header claims. */
static int read_body(struct capture_reader *reader, size_t len)
{
	size_t have = 0, want;
	uint8_t *bytes;
	int err = 0;

	while (have < len && !err) {
		want = len - have < (64u << 10) ? len : have + (64u << 10);
		if (want > reader->size) {
			bytes = realloc(reader->bytes, want);
			if (!bytes)
				return fail_reading(reader, -ENOMEM, "out of memory");
			reader->bytes = bytes;
			reader->size = want;
		}
		err = read_exactly(reader, reader->bytes + have, want - have);
		have = want;
	}
	return err;
}

/* ---- pcapng ------------------------------------------------------------------------------- */

/* Behind the type of a block. Returns the length of what is behind both, or a negative errno. */
static long read_lengths(struct capture_reader *reader, uint32_t type)
{
	uint32_t words[2];
	int err = read_exactly(reader, words, type == BLOCK_SECTION ? 8 : 4);
	uint32_t head = 12;

	if (err < 0)
		return err;
	if (type == BLOCK_SECTION) {
		head = 16;
		if (!pcapng_begin_section(&reader->pcapng, words[1]))
			return fail_reading(reader, -EBADMSG, "a section has no byte order");
	}
	words[0] = pcapng_order(&reader->pcapng, words[0]);
	if (words[0] < head || words[0] % 4)
		return fail_reading(reader, -EBADMSG, "the length of a block is invalid");
	if (words[0] > BLOCK_MAX)
		return fail_reading(reader, -EBADMSG, "a block is longer than 16 MiB");
	return (long)(words[0] - head);
}

static int read_block(struct capture_reader *reader, uint32_t type, struct record *record)
{
	const long len = read_lengths(reader, type);
	uint32_t trailer;
	int n;

	if (len < 0)
		return (int)len;
	n = read_body(reader, (size_t)len);
	if (n == 0)
		n = read_exactly(reader, &trailer, sizeof(trailer));
	if (n < 0)
		return n;
	if (type == BLOCK_SECTION)
		return 0;
	n = pcapng_read_block(&reader->pcapng, pcapng_order(&reader->pcapng, type), reader->bytes,
			      (size_t)len, record);
	if (n == -EPROTONOSUPPORT)
		return skip_packet(reader, record);
	return n < 0 ? fail_reading(reader, n, reader->pcapng.error) : n;
}

/* ---- pcap files --------------------------------------------------------------------------- */

static uint32_t pcap_order(const struct capture_reader *reader, uint32_t number)
{
	return reader->swapped ? bswap_32(number) : number;
}

/* Behind its magic number. */
static int begin_pcap(struct capture_reader *reader, uint32_t magic)
{
	uint32_t words[5]; /* version, zone, precision, length, link type */
	int err = read_exactly(reader, words, sizeof(words));

	if (err < 0)
		return err;
	reader->pcap = true;
	reader->swapped = magic != PCAP_MICROSECONDS && magic != PCAP_NANOSECONDS;
	reader->nanoseconds = pcap_order(reader, magic) == PCAP_NANOSECONDS;
	reader->interface.link_type = pcap_order(reader, words[4]) & 0xffff;
	return 0;
}

/* Behind the first number of its header. */
static int read_pcap(struct capture_reader *reader, uint32_t seconds, struct record *record)
{
	uint32_t words[3]; /* fraction, captured, length */
	int err = read_exactly(reader, words, sizeof(words));

	if (err < 0)
		return err;
	for (size_t i = 0; i < 3; i++)
		words[i] = pcap_order(reader, words[i]);
	if (words[1] > PACKET_MAX)
		return fail_reading(reader, -EBADMSG, "a packet is longer than 256 KiB");
	err = read_body(reader, words[1]);
	if (err < 0)
		return err;
	record_begin(record);
	record->interface = &reader->interface;
	record->info.id = (uint32_t)++reader->packets;
	record->time = (int64_t)pcap_order(reader, seconds) * 1000000 +
		       (reader->nanoseconds ? words[0] / 1000 : words[0]);
	if (frame_read(record, reader->interface.link_type, reader->bytes, words[1], words[2]) ==
	    0)
		return 1;
	return skip_packet(reader, record);
}

/* ---- both --------------------------------------------------------------------------------- */

static bool is_pcap(uint32_t magic)
{
	return magic == PCAP_MICROSECONDS || magic == PCAP_NANOSECONDS ||
	       magic == bswap_32(PCAP_MICROSECONDS) || magic == bswap_32(PCAP_NANOSECONDS);
}

/* What begins with none of our numbers. */
static const char *explain_magic(uint32_t first)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd },
			     xz[] = { 0xfd, '7', 'z', 'X' };

	if (memcmp(&first, gzip, sizeof(gzip)) == 0)
		return "it is compressed: try zcat FILE, and read its output with -";
	if (memcmp(&first, zstd, sizeof(zstd)) == 0)
		return "it is compressed: try zstdcat FILE, and read its output with -";
	if (memcmp(&first, xz, sizeof(xz)) == 0)
		return "it is compressed: try xzcat FILE, and read its output with -";
	return "it is neither pcapng nor a pcap file";
}

/* A block, or a packet with its header, or the header of the file. Returns as capture_read(), also 0. */
static int read_next(struct capture_reader *reader, uint32_t first, struct record *record)
{
	if (reader->pcap)
		return read_pcap(reader, first, record);
	if (!reader->begun && is_pcap(first)) {
		reader->begun = true;
		return begin_pcap(reader, first);
	}
	if (!reader->begun && first != BLOCK_SECTION)
		return fail_reading(reader, -EBADMSG, explain_magic(first));
	reader->begun = true;
	return read_block(reader, first, record);
}

int capture_read(struct capture_reader *reader, struct record *record)
{
	uint32_t first;
	size_t len;
	int n = 0;

	while (n == 0 && !reader->ended && !(reader->stop && *reader->stop)) {
		reader->block_at = reader->at;
		len = read_up_to(reader, &first, sizeof(first));
		if (len == 0 && !ferror(reader->file)) {
			reader->ended = true;
			if (!reader->begun) {
				strcpy(reader->error, "it is empty");
				n = -EBADMSG;
			}
		} else if (len < sizeof(first)) {
			n = ferror(reader->file)
				    ? fail_reading(reader, -EIO, strerror(errno))
				    : fail_reading(reader, -EBADMSG,
						   "it ends in the middle of a packet or block");
		} else {
			n = read_next(reader, first, record);
		}
	}
	return n;
}
