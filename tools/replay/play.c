/* SPDX-License-Identifier: MIT */
/* The packets of a capture in place of those of a queue. */
#include "replay/play.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "capture/reader.h"
#include "capture/view.h"
#include "common/log.h"
#include "common/program.h"
#include "common/text.h"
#include "packets/counters.h"
#include "packets/packets.h"
#include "sandbox/sandbox.h"

struct play {
	struct packet_options *opts;
	struct packets packets;
	FILE *file;
	const char *name;
	struct capture_reader *reader;
	bool live; /* it is no regular file: each packet appears at once */
	bool decide;
	bool several_netns; /* so far */
	char netns[256];    /* of the first packet */
	struct counters counters;
};

/* ---- stopping ----------------------------------------------------------------------------- */

static volatile sig_atomic_t stopping;
static struct packets *volatile signalled;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
	if (signalled)
		packets_give_up(signalled);
}

static void on_enough(void *data)
{
	(void)data;
	stopping = 1;
}

static void catch_stop_signals(struct packets *packets)
{
	struct sigaction end = { .sa_handler = on_signal };

	signalled = packets;
	packets_on_stop(packets, on_enough, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
}

/* ---- packets ------------------------------------------------------------------------------ */

/* Once there is a second namespace, lines name it. */
static void note_netns(struct play *play, const char *netns)
{
	if (!play->counters.stats.packets)
		snprintf(play->netns, sizeof(play->netns), "%s", netns ? netns : "");
	play->several_netns |= strcmp(play->netns, netns ? netns : "") != 0;
}

static void count(struct play *play, const struct mnfq_packet *packet)
{
	size_t length;

	play->counters.stats.packets++;
	if (mnfq_packet_get_length(packet, &length) == 0)
		play->counters.stats.bytes += length;
}

/* As the library counts what it sends. */
static void count_decision(struct play *play, const struct mnfq_packet *packet)
{
	struct mnfq_packet_changes changes = MNFQ_INIT(changes);
	struct mnfq_stats *stats = &play->counters.stats;

	mnfq_packet_get_changes(packet, &changes);
	stats->marked += (changes.flags & MNFQ_CHANGED_MARK) != 0;
	switch (changes.verdict & 0xff) {
	case MNFQ_DROP:
		stats->dropped++;
		break;
	case MNFQ_ACCEPT:
		stats->accepted++;
		break;
	case MNFQ_REPEAT:
		stats->repeated++;
		break;
	case MNFQ_STOP:
		stats->stopped++;
		break;
	default:
		stats->requeued++;
	}
}

/* As it is in the capture. */
static bool show_recorded(struct play *play, struct mnfq_packet *packet, struct line *line,
			  const struct record *record)
{
	enum filter_result result;
	char text[VERDICT_SIZE];

	if (play->packets.filter) {
		result = filter_run(play->packets.filter, packet);
		play->counters.packets.cut += result == FILTER_CUT;
		if (result != FILTER_YES)
			return true;
	}
	line->has_verdict_mark = record->has_verdict_mark;
	line->verdict_mark = record->verdict_mark;
	if (record->has_verdict)
		line->verdict = format_verdict(text, record->verdict);
	return packets_show(&play->packets, line, record->has_verdict ? &record->verdict : NULL);
}

static bool decide(struct play *play, struct mnfq_packet *packet, struct line *line)
{
	enum mnfq_verdict verdict;
	bool matches = packets_decide(&play->packets, packet, &play->counters.packets, &verdict);

	(void)mnfq_packet_decide(packet, verdict);
	count_decision(play, packet);
	line->verdict = play->opts->verdict_text;
	return !matches || packets_show(&play->packets, line, &verdict);
}

/* Returns 1 if more are to come, 0 if not, or a negative errno. */
static int play_packet(struct play *play, const struct record *record)
{
	struct mnfq_packet *packet;
	struct line line;
	int err = record_packet(&packet, record);
	bool more;

	if (err < 0)
		return err;
	line = record_line(record, packet);
	note_netns(play, line.netns);
	line.show_netns = play->several_netns;
	count(play, packet);
	more = play->decide ? decide(play, packet, &line)
			    : show_recorded(play, packet, &line, record);
	mnfq_packet_free(packet);
	return more;
}

/* Nothing was done then: report_skipped() says so. */
static bool has_none_supported(const struct play *play)
{
	uint32_t type;

	return play->counters.stats.packets == 0 &&
	       capture_reader_skipped(play->reader, &type) > 0;
}

static int play_all(struct play *play)
{
	struct record record;
	char name[512];
	uint64_t taken;
	int n, more = 1;

	while ((n = capture_read(play->reader, &record)) > 0) {
		more = play_packet(play, &record);
		if (play->live)
			packets_flush(&play->packets);
		if (more <= 0 || stopping)
			break;
	}
	if (more >= 0 && (n >= 0 || stopping))
		return has_none_supported(play) ? EXIT_FAILURE : 0;
	taken = play->counters.stats.packets;
	packets_flush(&play->packets);
	quote_word(name, sizeof(name), play->name);
	if (more < 0)
		return fail(play->opts->command, "%s: after %llu %s: %s", name,
			    (unsigned long long)taken, plural(taken, "packet", "packets"),
			    strerror(-more));
	return fail(play->opts->command, "%s: %s", name, capture_reader_error(play->reader));
}

/* ---- set-up ------------------------------------------------------------------------------- */

static int open_file(struct play *play)
{
	struct stat status;
	char name[512];

	play->file = strcmp(play->name, "-") == 0 ? stdin : fopen(play->name, "rbe");
	if (!play->file)
		return fail(play->opts->command, "cannot open %s: %s",
			    quote_word(name, sizeof(name), play->name), strerror(errno));
	play->live = fstat(fileno(play->file), &status) == 0 && !S_ISREG(status.st_mode);
	play->reader = capture_reader_new(play->file);
	if (!play->reader)
		return fail(play->opts->command, "out of memory");
	capture_reader_stop_on(play->reader, &stopping);
	return 0;
}

/* It would be empty before it is read. Names with numbers or dates are compared when their files are made. */
static int check_overwrite(struct play *play)
{
	const char *write = play->opts->write;
	struct stat in, out;

	if (!write || fstat(fileno(play->file), &in) < 0 || !S_ISREG(in.st_mode))
		return 0;
	play->packets.input = (struct opener_input){ true, in.st_dev, in.st_ino };
	if (stat(write, &out) < 0 || in.st_dev != out.st_dev || in.st_ino != out.st_ino)
		return 0;
	return fail(play->opts->command, "-w would overwrite the file that is read");
}

static int enter_reader(const struct play *play)
{
	char error[256];

	tzset(); /* reads a file */
	if (play->opts->no_sandbox ||
	    sandbox_enter(SANDBOX_READER, 0, true, NULL, error, sizeof(error)) == 0)
		return 0;
	return fail(play->opts->command, "%s; see --no-sandbox", error);
}

static void warn_of_filter(const struct play *play)
{
	const char *limits = play->packets.filter ? filter_limits(play->packets.filter) : NULL;

	if (limits)
		log_line("warning: the filter does not fit all packets: %s", limits);
}

static int start(struct play *play)
{
	int err, status = packets_open(&play->packets, play->opts, false);

	if (!status)
		status = open_file(play);
	if (!status)
		warn_of_filter(play);
	if (!status)
		status = check_overwrite(play);
	if (!status)
		status = packets_open_capture(&play->packets);
	if (status)
		return status;
	catch_stop_signals(&play->packets);
	status = enter_reader(play);
	err = status ? 0 : packets_start(&play->packets);
	return err ? fail(play->opts->command, "cannot start a thread: %s", strerror(-err))
		   : status;
}

static void report_skipped(FILE *out, const struct play *play)
{
	uint32_t type;
	const uint64_t skipped = capture_reader_skipped(play->reader, &type);

	if (skipped)
		fprintf(out, "%llu %s left out: link type %u is not supported\n",
			(unsigned long long)skipped, plural(skipped, "packet", "packets"), type);
}

/* What is not in the output, though it was asked for. */
static void report_missing(FILE *out, const struct play *play)
{
	const struct counters *counters = &play->counters;
	const uint64_t cut = counters->packets.cut;
	const bool drops = play->opts->when_blocked == OUTPUT_DROP;

	if (cut)
		fprintf(out, "cut: the capture has too few bytes of %llu %s for the filter\n",
			(unsigned long long)cut, plural(cut, "packet", "packets"));
	if (counters->unwritten)
		fprintf(out, "not written: %llu %s%s\n", (unsigned long long)counters->unwritten,
			plural(counters->unwritten, "packet", "packets"),
			drops ? "; see --when-blocked" : "");
	if (counters->lines_dropped)
		fprintf(out,
			"lines dropped: %llu, as the reader of stdout was too slow; see "
			"--when-blocked\n",
			(unsigned long long)counters->lines_dropped);
}

static void report_play(struct play *play)
{
	FILE *out;

	play->counters.lines_dropped = packets_lines_dropped(&play->packets);
	play->counters.unwritten = packets_unwritten(&play->packets);
	out = log_begin();
	report_skipped(out, play);
	if (play->decide) {
		counters_print(out, &play->counters);
		putc('\n', out);
	}
	report_missing(out, play);
	log_end();
}

/* A file is read no faster than its packets are printed, unless it is wanted otherwise. */
int play_capture(struct packet_options *opts, const char *file, bool decide_them)
{
	struct play play = { .opts = opts,
			     .name = file,
			     .decide = decide_them,
			     .counters.filtered = opts->filter != NULL };
	int status;

	if (!opts->has_when_blocked)
		opts->when_blocked = OUTPUT_WAIT;
	status = start(&play);
	if (!status) {
		status = play_all(&play);
		status |= packets_finish(&play.packets);
		report_play(&play);
	}
	signalled = NULL;
	log_close();
	capture_reader_free(play.reader);
	if (play.file && play.file != stdin)
		fclose(play.file);
	packets_close(&play.packets);
	return status;
}
