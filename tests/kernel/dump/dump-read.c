/* SPDX-License-Identifier: MIT */
/* mnfq dump -r and mnfq replay: what is missing in their output is told. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/filter.h"
#include "tool.h"
#include "wait.h"

static char directory[] = "/tmp/mnfq-test-XXXXXX", path[64];

static void read_begin(void)
{
	if (!getenv("MNFQ_TOOL"))
		skip_or_fail("MNFQ_TOOL does not name the tool");
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/x", directory);
	setenv("D", directory, 1);
}

static void read_end(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		abort();
}

TestSuite(dump_read, .timeout = 120, .init = read_begin, .fini = read_end);

#define LENGTH 1400u

/* A pcap file of UDP over IPv4, of which the first @caplen bytes were captured. */
static void write_capture(unsigned int count, uint32_t caplen)
{
	const uint32_t file_head[] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65536, 101 };
	const uint32_t head[] = { 1, 0, caplen, LENGTH };
	uint8_t packet[LENGTH] = { 0x45, 0, LENGTH >> 8, LENGTH & 0xff, 0, 0, 0, 0, 64, 17 };
	FILE *file = fopen(path, "we");

	cr_assert(file);
	packet[25] =
		LENGTH >> 8; /* a length for UDP, without its low byte: it is not looked at */
	fwrite(file_head, sizeof(file_head), 1, file);
	for (unsigned int i = 0; i < count; i++) {
		fwrite(head, sizeof(head), 1, file);
		fwrite(packet, caplen, 1, file);
	}
	cr_assert_eq(fclose(file), 0);
}

/*
 * The last line on stderr of the tool with what it prints on stdout, in lines or bytes, as @count has them. They are
 * read only once the tool has read nearly all of its input.
 */
static char *run_with_late_reader(const char *arguments, const char *count)
{
	static char text[1024];
	char command[512];
	FILE *pipe;
	size_t len;

	snprintf(
		command, sizeof(command),
		"cd $D; mkfifo fed; { cat x; : >fed; } | \"$MNFQ_TOOL\" %s 2>err | { : <fed; %s >out; }; cat out err",
		arguments, count);
	pipe = popen(command, "re");
	cr_assert(pipe);
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	cr_assert_eq(pclose(pipe), 0);
	return text;
}

#define PACKETS 6000u /* 16 MiB as lines, 8 MiB as bytes: more than the buffers take */

static void expect_missing(const char *arguments, const char *count, const char *format)
{
	char expected[128];
	const char *text;

	write_capture(PACKETS, LENGTH);
	text = run_with_late_reader(arguments, count);
	snprintf(expected, sizeof(expected), format, PACKETS - atoi(text));
	cr_expect(atoi(text) > 0 && atoi(text) < (int)PACKETS, "%s: %s", arguments, text);
	cr_expect(strstr(text, expected), "%s: %s lacks '%s'", arguments, text, expected);
}

Test(dump_read, dropped_lines_are_counted)
{
	expect_missing(
		"dump -r - --when-blocked drop-lines --json --payload hex", "wc -l",
		"\nlines dropped: %u, as the reader of stdout was too slow; see --when-blocked\n");
}

Test(dump_read, dropped_lines_are_counted_by_replay)
{
	expect_missing("replay - --when-blocked drop-lines --json --payload hex", "wc -l",
		       " accepted, 0 dropped, %u lines dropped\n");
}

/* Its reader counts the packets. */
Test(dump_read, packets_that_were_not_written_are_counted)
{
	expect_missing("replay - --when-blocked drop-lines -w -",
		       "\"$MNFQ_TOOL\" dump -r - | wc -l",
		       " accepted, 0 dropped, %u not written\n");
}

/* By default it waits: a slow reader gets all. */
Test(dump_read, nothing_is_missing_without_options)
{
	struct tool tool;
	unsigned int lines = 0;

	write_capture(PACKETS, LENGTH);
	tool_start(&tool, NULL, -1, "dump -r %s --json --payload hex", path);
	cr_assert(wait_until(tool_is_stalled(&tool)));
	while (tool_out(&tool)[0])
		lines++;
	cr_expect_eq(lines, PACKETS);
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 0);
}

/* ---- stopping ----------------------------------------------------------------------------- */

static void write_blocks(const char *name, const uint32_t *block, size_t len, unsigned int count)
{
	char blocks[96];
	FILE *to;

	snprintf(blocks, sizeof(blocks), "%s/%s", directory, name);
	to = fopen(blocks, "we");
	cr_assert(to);
	while (count--)
		fwrite(block, len, 1, to);
	cr_assert_eq(fclose(to), 0);
}

/* Blocks that are no packets, without end. Once many were taken, its signals are caught. */
Test(dump_read, what_has_no_packets_can_be_stopped)
{
	const uint32_t section[] = { 0x0a0d0d0a, 28, 0x1a2b3c4d, 1, ~0u, ~0u, 28 };
	const uint32_t unknown[] = { 0x7fff, 12, 12 };
	struct tool tool;

	write_blocks("section", section, sizeof(section), 1);
	write_blocks("blocks", unknown, sizeof(unknown), 20000);
	tool_start_shell(&tool, NULL, -1,
			 "cd $D; mkfifo fifo; { cat section blocks; echo fed >&3; "
			 "while cat blocks; do :; done; } 3>&1 >fifo 2>/dev/null & "
			 "exec \"$MNFQ_TOOL\" replay $D/fifo");
	cr_assert_str_eq(tool_out(&tool), "fed");
	kill(tool.pid, SIGTERM);
	cr_expect_str_eq(tool_err(&tool), "0 packets, 0 bytes, 0 accepted, 0 dropped");
	cr_expect_eq(tool_finish(&tool), 0);
}

/* ---- filters ------------------------------------------------------------------------------ */

Test(dump_read, what_a_filter_cannot_decide_is_told)
{
	struct tool tool;

	if (!filter_supported)
		skip_or_fail("built without libpcap");
	write_capture(3, 20);
	tool_start(&tool, NULL, -1, "dump -r %s udp port 9", path);
	expect_contains(tool_err(&tool),
			"cut: the capture has too few bytes of 3 packets for the filter");
	cr_expect_str_eq(tool_out(&tool), "");
	cr_expect_eq(tool_finish(&tool), 0);
}

/* As at the first one. */
Test(dump_read, what_is_in_the_way_of_a_later_file_is_said)
{
	struct tool tool;
	char expected[128];

	write_capture(4, LENGTH);
	snprintf(expected, sizeof(expected),
		 "mnfq replay: cannot write to %s/out1: it is a symbolic link", directory);
	tool_start_shell(&tool, NULL, -1,
			 "ln -s x $D/out1 && exec \"$MNFQ_TOOL\" replay $D/x -C 1k -w $D/out");
	cr_expect_str_eq(tool_err(&tool), expected);
	while (tool_err(&tool)[0])
		;
	cr_expect_eq(tool_finish(&tool), 1);
}
