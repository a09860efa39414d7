/* SPDX-License-Identifier: MIT */
/*
 * capture/ with any file: each packet in it is made, printed, and written to a capture of ours, from which the same
 * packet is read.
 */
#include <stdlib.h>
#include <string.h>

#include "capture/pcapng-write.h"
#include "capture/reader.h"
#include "capture/view.h"
#include "common/parse.h"
#include "print/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
	if (!condition)
		abort();
}

/* Lines are printable, whatever is in the packet; with -v there may be two. */
static void print(const struct line *line, bool json)
{
	static char text[1 << 20];
	struct printer printer = { .options = { .json = json, .verbose = true } };
	FILE *out = fmemopen(text, sizeof(text), "w");
	size_t len;

	expect(out != NULL);
	expect(print_line(out, &printer, line) == 0 && fflush(out) == 0);
	len = (size_t)ftell(out);
	fclose(out);
	for (size_t i = 0; i < len; i++)
		expect((text[i] >= 0x20 && text[i] <= 0x7e) || (text[i] == '\n' && !json) ||
		       i == len - 1);
	expect(text[len - 1] == '\n');
}

/* A section, an interface and the packet. */
static size_t write_capture(uint8_t *out, const struct line *line, const struct record *read)
{
	struct record_interface interface;
	struct record record;
	size_t len = pcapng_write_section(out);

	record_of(&record, line);
	record.has_verdict = read->has_verdict;
	record.verdict = read->verdict;
	record_interface_of(&interface, &record, line);
	len += pcapng_write_interface(out + len, &interface, 0);
	return len + pcapng_write_packet(out + len, 0, &record, 0);
}

static void expect_same(const struct mnfq_packet *a, const struct mnfq_packet *b)
{
	struct mnfq_packet_info first = MNFQ_INIT(first), second = MNFQ_INIT(second);

	mnfq_packet_get_info(a, &first);
	mnfq_packet_get_info(b, &second);
	expect(first.payload_len == second.payload_len);
	expect(memcmp(first.payload, second.payload, first.payload_len) == 0);
	expect(first.length == second.length);
	expect(first.mark == second.mark && first.skb_info == second.skb_info);
	expect(first.queue_num == second.queue_num);
}

static void write_and_read(const struct line *line, const struct record *read)
{
	static uint8_t bytes[3 * PCAPNG_BLOCK_MAX];
	FILE *file = fmemopen(bytes, write_capture(bytes, line, read), "r");
	struct capture_reader *reader;
	struct mnfq_packet *again;
	struct record record;

	expect(file != NULL);
	reader = capture_reader_new(file);
	expect(reader && capture_read(reader, &record) == 1);
	expect(record.has_id == read->has_id && record.has_queue == read->has_queue);
	expect(!record.has_id || record.info.id == read->info.id);
	expect(record_packet(&again, &record) == 0);
	expect_same(line->packet, again);
	mnfq_packet_free(again);
	expect(capture_read(reader, &record) == 0);
	capture_reader_free(reader);
	fclose(file);
}

static void try_record(const struct record *record)
{
	struct mnfq_packet *packet;
	char verdict[VERDICT_SIZE];
	struct line line;

	expect(record_packet(&packet, record) == 0);
	line = record_line(record, packet);
	line.show_netns = true;
	if (record->has_verdict)
		line.verdict = format_verdict(verdict, record->verdict);
	print(&line, false);
	print(&line, true);
	write_and_read(&line, record);
	mnfq_packet_free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *file = size ? fmemopen((void *)data, size, "r") : NULL;
	struct capture_reader *reader;
	struct record record;
	int n;

	if (!file)
		return 0;
	reader = capture_reader_new(file);
	expect(reader != NULL);
	while ((n = capture_read(reader, &record)) > 0)
		try_record(&record);
	expect(n == 0 || *capture_reader_error(reader));
	capture_reader_free(reader);
	fclose(file);
	return 0;
}
