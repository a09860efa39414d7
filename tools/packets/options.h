/* SPDX-License-Identifier: MIT */
/* What is done with packets, from queues or from a file: options that commands have in common. */
#ifndef MNFQ_TOOLS_PACKETS_OPTIONS_H
#define MNFQ_TOOLS_PACKETS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

#include "common/color.h"
#include "common/options.h"
#include "common/output.h"
#include "common/parse.h"
#include "print/print.h"

/** The first member of the struct that the table of a command is for. */
struct packet_options {
	const char *command; /* "mnfq dump", for messages */
	char *filter;        /* NULL: none; to be freed */

	uint64_t count; /* 0: no limit */
	bool quiet;
	struct print_options print;
	uint32_t times; /* how often -t was given */
	bool names;
	enum color_when color;
	bool has_when_blocked;
	enum output_blocked when_blocked;

	const char *write; /* a file, "-": stdout; NULL: none */
	bool also_print;
	uint32_t snap;         /* bytes; 0: all */
	uint64_t file_size;    /* bytes; 0: no limit */
	uint32_t file_seconds; /* 0: no limit */
	uint32_t max_files;    /* 0: no limit */

	char verdict_text[VERDICT_SIZE];
	enum mnfq_verdict verdict;
	bool has_verdict, has_else;
	char else_text[VERDICT_SIZE];
	enum mnfq_verdict else_verdict; /* of what does not match */
	bool has_mark;
	uint32_t mark, mark_mask;
	bool has_priority;
	uint32_t priority;
	bool has_ct_mark;
	uint32_t ct_mark, ct_mark_mask;

	bool no_sandbox;
};

/** Setters of the rows. */
int packet_set_when_blocked(void *options, const char *argument);
int packet_set_color(void *options, const char *argument);
int packet_set_payload(void *options, const char *argument);
int packet_set_write(void *options, const char *argument);
int packet_set_file_size(void *options, const char *argument);
int packet_set_verdict(void *options, const char *argument);
int packet_set_else(void *options, const char *argument);
int packet_set_mark(void *options, const char *argument);
int packet_set_priority(void *options, const char *argument);
int packet_set_ct_mark(void *options, const char *argument);

#define PACKET_AT(field)   .offset = offsetof(struct packet_options, field)
#define PACKET_BOOL(field) .kind = OPTION_BOOL, PACKET_AT(field)
#define PACKET_COUNT(field, most)                                                                \
	.kind = OPTION_COUNT, PACKET_AT(field), .max = (most), .repeatable = true
#define PACKET_NUMBER(type, field, from, to)                                                     \
	.kind = OPTION_##type, PACKET_AT(field), .min = (from), .max = (to)
#define PACKET_MASKED "N or N/MASK, numbers from 0 to 4294967295"
#define PACKET_VERDICTS                                                                          \
	.complete = "accept drop repeat stop queue:",                                            \
	.expected = "accept, drop, repeat, stop or queue:NUM, NUM from 0 to 65535"

/**
 * Letters of tcpdump for what is done anyway: lines and packets are written once none are pending, sequence numbers are
 * absolute, no device is set to promiscuous mode, checksums are no part of a line, names of hosts are not looked up.
 */
#define PACKET_IGNORED "lSUpKN"

/** And of others. */
#define PACKET_HINTS                                                                             \
	{ 'e', "-v prints the hardware address, -xx the header of the link layer, which the "    \
	       "kernel gives of a bridge's packets alone" },                                     \
		{ 'F', "write \"$(cat FILE)\" behind the options" },                             \
	{                                                                                        \
		'#', "lines have the id of each packet; see also --json"                         \
	}

/* clang-format off */
/** What is printed and written, and what is decided: rows of a table. */
#define PACKET_ROWS                                                                              \
	{ "count", 'c', "COUNT", PACKET_NUMBER(U64, count, 1, UINT64_MAX),                       \
	  .help = "exit after COUNT packets" },                                                  \
	{ "quiet", PACKET_BOOL(quiet), .help = "do not print packets" },                         \
	{ "verbose", 'v', PACKET_BOOL(print.verbose), .help = "print more of each packet" },     \
	{ "time", 't', PACKET_COUNT(times, TIME_STYLES - 1),                                     \
	  .help = "no time; -tt: seconds since 1970; -ttt: since the\nprevious line; -tttt: with the date; -ttttt: since\nthe first line" }, \
	{ "hex", 'x', PACKET_COUNT(print.hex, 2),                                                \
	  .help = "print the bytes; -xx: with the link-layer header,\nwhich only a bridge's packets have" }, \
	{ "hex-ascii", 'X', PACKET_COUNT(print.hex_ascii, 2),                                    \
	  .help = "the same, also as characters" },                                              \
	{ "ascii", 'A', PACKET_COUNT(print.ascii, 2),                                            \
	  .help = "print the bytes as characters alone" },                                       \
	{ "names", PACKET_BOOL(names), .help = "print names of ports" },                         \
	{ "color", 0, "WHEN", .set = packet_set_color, .complete = COLOR_WORDS,                  \
	  .expected = COLOR_EXPECTED,                                                            \
	  .help = "auto (default: on a terminal), always or never" },                            \
	{ "json", PACKET_BOOL(print.json), .help = "print one JSON object per line" },           \
	{ "payload", 0, "FORMAT", .set = packet_set_payload, .complete = "hex base64",           \
	  .expected = "hex or base64", .help = "with --json: the payload in hex or base64" },    \
	{ "when-blocked", 0, "ACTION", .set = packet_set_when_blocked,                           \
	  .complete = "drop-lines wait exit", .expected = "drop-lines, wait or exit",            \
	  .help = "while stdout is not read: drop-lines (default with\nqueues), wait (default with a file) or exit" }, \
	{ "write", 'w', "FILE", .set = packet_set_write, .complete = "FILE",                     \
	  .help = "write packets to a pcapng file, -: to stdout,\ninstead of printing them" },   \
	{ "print", PACKET_BOOL(also_print), .help = "with -w: print them as well" },             \
	{ "snap", 's', "BYTES", PACKET_NUMBER(U32, snap, 0, 262144),                             \
	  .help = "with -w: bytes of each packet, 0: all (default)" },                           \
	{ "file-size", 'C', "SIZE", .set = packet_set_file_size,                                 \
	  .expected = "a number of millions of bytes, or one followed by k, m or g",             \
	  .help = "with -w: begin another file after so many\nmillions of bytes" },              \
	{ "file-time", 'G', "SEC", PACKET_NUMBER(U32, file_seconds, 1, INT32_MAX),               \
	  .help = "with -w: begin another file after SEC seconds,\nnamed by strftime(3)" },      \
	{ "max-files", 'W', "N", PACKET_NUMBER(U32, max_files, 1, 1000000),                      \
	  .help = "with -C: N files in turn; with -G: end after N" },                            \
	{ "verdict", 0, "VERDICT", .set = packet_set_verdict, PACKET_VERDICTS,                   \
	  .help = "accept (default), drop, repeat, stop, queue:NUM" },                           \
	{ "else", 0, "VERDICT", .set = packet_set_else, PACKET_VERDICTS,                         \
	  .help = "of packets that do not match FILTER\n(default: accept)" },                    \
	{ "mark", 0, "N[/MASK]", .set = packet_set_mark, .expected = PACKET_MASKED,              \
	  .help = "set the packet mark" },                                                       \
	{ "set-priority", 0, "PRIORITY", .set = packet_set_priority,                             \
	  .expected = "a number from 0 to 4294967295, or MAJOR:MINOR in hexadecimal",            \
	  .help = "set the packet priority: number or MAJOR:MINOR" },                            \
	{ "ct-mark", 0, "N[/MASK]", .set = packet_set_ct_mark, .expected = PACKET_MASKED,        \
	  .help = "set the connection mark" }

#define PACKET_ROW_SANDBOX                                                                       \
	{ "no-sandbox", PACKET_BOOL(no_sandbox), .help = "keep all privileges (for debugging)" }
/* clang-format on */

/** All but the command are defaults; that is "mnfq dump". */
void packet_options_init(struct packet_options *options, const char *command);

/**
 * The words from optind on are a filter. Then check what was given. Returns 0 or the exit status after an error was
 * reported.
 */
int packet_options_take_filter(struct packet_options *options, int argc, char **argv);
int packet_options_check(const struct packet_options *options);

/** Are there lines for packets? */
bool packet_options_print(const struct packet_options *options);

void packet_options_free(struct packet_options *options);

#endif
