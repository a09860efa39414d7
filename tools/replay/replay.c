/* SPDX-License-Identifier: MIT */
/* mnfq replay: what would be decided on the packets of a capture. */
#include <getopt.h>
#include <stddef.h>

#include "common/program.h"
#include "packets/options.h"
#include "replay/play.h"

#define REPLAY_NAME "mnfq replay"

static const struct option_row replay_rows[] = { PACKET_ROWS, PACKET_ROW_SANDBOX, OPTION_ROW_HELP,
						 OPTION_ROW_VERSION };

static const struct option_hint replay_hints[] = {
	{ 'r', "the first word that is no option is the file" },
	PACKET_HINTS,
	{ 0, NULL },
};

static const struct option_table replay_table = {
	.command = REPLAY_NAME,
	.usage = "Usage: mnfq replay FILE [OPTIONS] [FILTER]",
	.summary = "Print what mnfq dump would decide on the packets of a capture (-: stdin).\n"
		   "FILTER: in the language of tcpdump (pcap-filter(7)).",
	.operands = "File",
	.files = true,
	.rows = replay_rows,
	.count = sizeof(replay_rows) / sizeof(replay_rows[0]),
	.ignored = PACKET_IGNORED,
	.hints = replay_hints,
	.footer = "Options with ... may be repeated. See mnfq-replay(1).\n",
};

/* Nothing loops, but with a queue it would. */
static int check_verdict(const struct packet_options *opts)
{
	if (opts->verdict != MNFQ_REPEAT || opts->has_mark)
		return 0;
	return fail_usage(REPLAY_NAME, "--verdict repeat requires --mark, as with mnfq dump");
}

int run_replay(int argc, char **argv)
{
	struct packet_options opts;
	const char *file;
	int status;

	packet_options_init(&opts, REPLAY_NAME);
	if (!options_parse(&replay_table, &opts, argc, argv, &status))
		return status;
	if (optind >= argc)
		return fail_usage(REPLAY_NAME, "no file given");
	file = argv[optind++];
	status = packet_options_take_filter(&opts, argc, argv);
	if (!status)
		status = packet_options_check(&opts);
	if (!status)
		status = check_verdict(&opts);
	if (!status)
		status = play_capture(&opts, file, true);
	packet_options_free(&opts);
	return status;
}
