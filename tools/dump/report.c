/* SPDX-License-Identifier: MIT */
/* mnfq dump: its lines on stderr about queues, settings and counters. */
#include "dump/report.h"

#include <errno.h>

#include "common/log.h"
#include "common/parse.h"
#include "common/text.h"

#define QUEUE_LEN_MAX 65536u /* in Linux 6.18, whatever max_len says */

/* ---- settings --------------------------------------------------------------------------- */

void report_queues(FILE *out, const struct dump_options *opts)
{
	fprintf(out, "listening on %s %u", plural(options_queue_count(opts), "queue", "queues"),
		opts->first);
	if (opts->first < opts->last)
		fprintf(out, ":%u", opts->last);
}

/* What else is set on the packets. */
static void print_changes(FILE *out, const struct packet_options *opts)
{
	const char *separator = " with";
	char priority[PRIORITY_SIZE], mark[MASKED_SIZE];

	if (opts->has_mark) {
		fprintf(out, "%s mark %s", separator,
			format_masked(mark, opts->mark, opts->mark_mask));
		separator = ",";
	}
	if (opts->has_priority) {
		fprintf(out, "%s priority %s", separator,
			format_priority(priority, opts->priority));
		separator = ",";
	}
	if (opts->has_ct_mark)
		fprintf(out, "%s connection mark %s", separator,
			format_masked(mark, opts->ct_mark, opts->ct_mark_mask));
}

/* Which packets the filter may fail to tell. */
static void print_filter(FILE *out, const struct dump *dump,
			 const struct mnfq_queue_options *opts)
{
	const struct filter *filter = dump->packets.filter;
	size_t least, most;

	if (!filter)
		return;
	if (filter_limits(filter))
		fprintf(out, "warning: the filter does not fit all packets: %s\n",
			filter_limits(filter));
	filter_needs(filter, &least, &most);
	if (opts->copy_range >= MNFQ_COPY_RANGE_MAX || most <= opts->copy_range)
		return;
	fprintf(out, "warning: the filter looks at %zu bytes of a packet", least);
	if (most == SIZE_MAX)
		fprintf(out, ", or at any number of them");
	else if (most > least)
		fprintf(out, ", at %zu where there are many options", most);
	fprintf(out,
		"; --copy packet:%u copies fewer, and packets that it cannot decide count as cut\n",
		opts->copy_range);
}

/* As the kernel has them, if there is a handle to ask. */
static void get_copy(const struct dump_handle *handle, const struct dump_options *requested,
		     struct mnfq_queue_options *opts)
{
	*opts = requested->queue;
	opts->size = sizeof(*opts);
	if (handle)
		mnfq_queue_get_options(handle->queues[0], opts);
	if (opts->copy_mode == MNFQ_COPY_DEFAULT)
		opts->copy_mode = MNFQ_COPY_PACKET;
	if (opts->copy_range == 0)
		opts->copy_range = MNFQ_COPY_RANGE_MAX;
}

void report_settings(FILE *out, const struct dump *dump, const struct dump_handle *handle,
		     bool each)
{
	struct mnfq_queue_options opts;

	get_copy(handle, dump->opts, &opts);
	if (opts.copy_mode == MNFQ_COPY_META)
		fprintf(out, ", no payload");
	else if (opts.copy_mode == MNFQ_COPY_PACKET && opts.copy_range < MNFQ_COPY_RANGE_MAX)
		fprintf(out, ", first %u %s", opts.copy_range,
			plural(opts.copy_range, "byte", "bytes"));
	else if (opts.copy_mode == MNFQ_COPY_PACKET)
		fprintf(out, ", whole packets");
	if (handle)
		fprintf(out, ", receive buffer %lld bytes%s",
			(long long)mnfq_socket_get_receive_buffer(handle->sock),
			each ? " each" : "");
	if (opts.copy_mode == MNFQ_COPY_NONE) {
		fprintf(out, ", verdict drop by the kernel\n");
	} else {
		fprintf(out, ", verdict %s", dump->opts->packets.verdict_text);
		print_changes(out, &dump->opts->packets);
		if (dump->packets.filter)
			fprintf(out, ", else %s", dump->opts->packets.else_text);
		fprintf(out, "\n");
		print_filter(out, dump, &opts);
	}
	if (opts.copy_mode == MNFQ_COPY_NONE)
		fprintf(out, "warning: with --copy none the kernel drops every packet that "
			     "reaches the queue\n");
}

/* ---- counters --------------------------------------------------------------------------- */

void report_counters(const struct dump *dump, const struct counters *counters)
{
	struct counters sums = *counters;
	FILE *out = log_begin();

	sums.lines_dropped = packets_lines_dropped(&dump->packets);
	sums.filtered = dump->packets.filter != NULL;
	sums.unwritten = packets_unwritten(&dump->packets);
	counters_print(out, &sums);
	putc('\n', out);
	log_end();
}

static void advise_on_full_queue(FILE *out, uint32_t max_len)
{
	if (max_len < QUEUE_LEN_MAX)
		fprintf(out,
			"queue full: the kernel dropped packets; raise --max-len (now %u, at most %u)\n",
			max_len ? max_len : MNFQ_MAX_LEN_DEFAULT, QUEUE_LEN_MAX);
	else
		fprintf(out,
			"queue full: the kernel dropped packets, as it queues %u at most; use several "
			"queues (--queue-balance)\n",
			QUEUE_LEN_MAX);
}

void report_summary(const struct dump *dump)
{
	const bool fail_open = dump->opts->queue.flags & MNFQ_QUEUE_FAIL_OPEN;
	const struct counters *totals = &dump->totals;
	FILE *out;

	report_counters(dump, totals);
	out = log_begin();
	if (dump->unclosed)
		fprintf(out, "%zu %s could not be closed in time; the counters are incomplete\n",
			dump->unclosed, plural(dump->unclosed, "namespace", "namespaces"));
	if (totals->queue_full)
		advise_on_full_queue(out, dump->opts->queue.max_len);
	if (totals->stats.overruns && totals->stats.overruns != MNFQ_UNKNOWN)
		fprintf(out,
			"buffer full: the kernel %s packets; raise --receive-buffer, and the sysctl "
			"net.core.rmem_max if it limits that\n",
			fail_open ? "accepted unseen" : "dropped");
	if (fail_open)
		fprintf(out,
			"fail-open: packets are accepted unseen while the queue is full, and "
			"are not counted\n");
	if (totals->packets.cut)
		fprintf(out, "cut: the filter could not decide packets of which it had too few "
			     "bytes, and they got the verdict of --else; raise --copy\n");
	if (packets_lines_dropped(&dump->packets))
		fprintf(out, "lines dropped: the reader of stdout was too slow; see "
			     "--when-blocked\n");
	log_end();
}

void report_closed(struct dump_handle *handle, const char *reason)
{
	char name[HANDLE_NAME_SIZE], text[512];
	FILE *out;

	struct dump *dump = handle->dump;

	counters_add(&dump->totals, &handle->counters);
	if (dump->packets.capture)
		capture_add_drops(dump->packets.capture, handle->netns, handle->label,
				  counters_kernel_drops(&handle->counters));
	if (!reason)
		return;
	out = log_begin();
	fprintf(out, "namespace %s: %s: ", handle_format_name(name, handle),
		clean_text(text, sizeof(text), reason));
	counters_print(out, &handle->counters);
	putc('\n', out);
	log_end();
}
