/* SPDX-License-Identifier: MIT */
/* mnfq dump: a socket with its queues, from where it comes to what it has counted in the end. */
#include <errno.h>
#include <mnfq/handover.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/parse.h"
#include "common/program.h"
#include "common/sys.h"
#include "common/text.h"
#include "common/unix-socket.h"
#include "dump/dump.h"
#include "print/print.h"

#define FETCH_MS      5000   /* whoever shares sockets gives one at once */
#define QUEUE_LEN_MAX 65536u /* of a queue of Linux 6.18, whatever its max_len says */
#define SLOW_MS       20     /* to unbind a queue */

/* ---- packets ---------------------------------------------------------------------------- */

static void change(struct source *source, struct mnfq_packet *packet)
{
	const struct dump_options *opts = source->dump->opts;

	if (opts->has_mark)
		mnfq_packet_set_mark(packet, (mnfq_packet_get_mark(packet) & ~opts->mark_mask) |
						     opts->mark);
	if (opts->has_priority)
		mnfq_packet_set_priority(packet, opts->priority);
	if (opts->has_ct_mark &&
	    mnfq_packet_set_ct_mark(packet, opts->ct_mark, opts->ct_mark_mask) < 0)
		source->untracked++;
}

/* Counts and prints a packet. Returns whether more are wanted. */
static bool print(const struct source *source, const struct mnfq_packet *packet)
{
	struct dump *dump = source->dump;
	struct line line = { .packet = packet,
			     .netns = source->netns[0] ? source->netns : NULL,
			     .label = source->label[0] ? source->label : NULL,
			     .tell_netns = dump->many && !dump->alone,
			     .verdict = dump->opts->verdict_text };
	FILE *out = output_begin(dump->out);
	bool wanted = !dump->opts->count || dump->seen < dump->opts->count;
	bool more = ++dump->seen != dump->opts->count;
	int err = 0;

	if (wanted && !dump->opts->quiet)
		err = dump->opts->json ? print_json(out, &line) : print_text(out, &line);
	output_end(dump->out, err);
	return more;
}

/* The lock of the output is not worth its time if there are no lines. */
static enum mnfq_verdict source_decide(struct mnfq_packet *packet, void *data)
{
	struct source *source = data;
	struct dump *dump = source->dump;
	bool more = true;

	change(source, packet);
	if (!dump->opts->quiet || dump->opts->count)
		more = print(source, packet);
	if (!more)
		stop_workers(dump);
	return dump->opts->verdict;
}

/* ---- a source begins -------------------------------------------------------------------- */

/* One of those that somebody inside gives away, see mnfq-share(1). */
static int fetch(struct source *source, const char *path, struct mnfq_socket_options *options)
{
	struct mnfq_handover_options asked = { .size = sizeof(asked),
					       .error = options->error,
					       .error_size = options->error_size };
	struct mnfq_handover info = MNFQ_INIT(info);
	int stream, fd, err;

	stream = unix_connect(path, options->error, options->error_size);
	if (stream < 0)
		return stream;
	if (source->dump->opts->lend_rights)
		options->flags = MNFQ_SOCKET_LEND;
	err = mnfq_handover_receive(&fd, stream, FETCH_MS, &info, &asked);
	if (err == 0) {
		err = mnfq_socket_adopt(&source->sock, fd, options);
		if (err < 0)
			close(fd);
		(void)mnfq_handover_answer(stream, &info, err, options->error);
		memcpy(source->label, info.label, sizeof(source->label));
	}
	close(stream);
	return err;
}

int open_source(struct source *source, struct dump *dump, const struct place *place,
		struct mnfq_socket_options *options)
{
	int err;

	source->dump = dump;
	source->place = *place;
	switch (place->kind) {
	case PLACE_NETNS:
		err = mnfq_socket_open_netns(&source->sock, place->text, options);
		break;
	case PLACE_FD:
		options->flags = place->lend ? MNFQ_SOCKET_LEND : 0;
		err = mnfq_socket_adopt(&source->sock, place->fd, options);
		break;
	case PLACE_FROM:
		err = fetch(source, place->text, options);
		break;
	default:
		err = mnfq_socket_open(&source->sock, options);
	}
	if (err == 0 &&
	    mnfq_socket_get_netns_name(source->sock, source->netns, sizeof(source->netns)) < 0)
		source->netns[0] = '\0';
	return err;
}

/*
 * What is still queued when we end gets the verdict too, but cannot get the mark: repeated
 * without it, it would come back.
 */
static enum mnfq_verdict get_default_verdict(const struct dump_options *opts)
{
	return opts->verdict == MNFQ_REPEAT ? MNFQ_DROP : opts->verdict;
}

int bind_source(struct source *source, unsigned int first, size_t count, int patience_ms)
{
	const int64_t since = clock_ms();
	struct mnfq_queue_options options = source->dump->opts->queue;
	struct mnfq_kernel_stats kernel = MNFQ_INIT(kernel);
	int err = 0;

	options.size = sizeof(options);
	options.default_verdict = get_default_verdict(source->dump->opts);
	source->queues = calloc(count, sizeof(*source->queues));
	if (!source->queues)
		return -ENOMEM;
	for (source->queue_count = 0; source->queue_count < count; source->queue_count++) {
		if (patience_ms > 0 && clock_ms() - since > patience_ms)
			return -ETIMEDOUT;
		err = mnfq_queue_bind(&source->queues[source->queue_count], source->sock,
				      first + (unsigned int)source->queue_count, &options,
				      source_decide, source);
		if (err < 0)
			break;
	}
	/* Opens the file of its namespace, for which there may be no right later. */
	if (err == 0)
		(void)mnfq_socket_get_kernel_stats(source->sock, &kernel);
	return err;
}

const char *name_source(char out[SOURCE_NAME_SIZE], const struct source *source)
{
	char netns[4 * sizeof(source->netns) + 3], label[4 * sizeof(source->label) + 3] = "";

	quote_word(netns, sizeof(netns), source->netns[0] ? source->netns : "(unknown)");
	if (source->label[0])
		quote_text(label, sizeof(label), source->label);
	snprintf(out, SOURCE_NAME_SIZE, "%s%s%s", netns, label[0] ? ", label " : "", label);
	return out;
}

void explain_source(char *out, size_t size, const struct source *source, int err)
{
	static const char *const options[] = {
		[PLACE_NETNS] = "-n", [PLACE_FD] = "--fd", [PLACE_FROM] = "--from"
	};
	const char *sentence = mnfq_socket_get_error(source->sock);
	const struct place *place = &source->place;

	if (!*sentence)
		sentence = err == -ETIMEDOUT ? "its queues are bound too slowly: somebody else "
					       "reads from its socket"
					     : strerror(-err);
	if (place->kind != PLACE_HERE && source->netns[0])
		snprintf(out, size, "namespace %s: %s", source->netns, sentence);
	else if (place->text)
		snprintf(out, size, "%s %s: %s", options[place->kind], place->text, sentence);
	else
		snprintf(out, size, "%s", sentence);
}

/* ---- what it has counted ---------------------------------------------------------------- */

/* Lines of packets. Where writing has failed the reason is told, and who is gone wants no more. */
static uint64_t count_dropped(const struct dump *dump)
{
	const int error = output_error(dump->out);

	return error == 0 || error == EAGAIN ? output_dropped(dump->out) : 0;
}

void read_counters(struct counters *counters, const struct source *source)
{
	counters_read_kernel(counters, source->sock, source->queue_count);
	counters_read_library(counters, source->sock);
	counters->untracked = source->untracked;
}

void print_counters(const struct dump *dump, const struct counters *counters)
{
	struct counters sums = *counters;
	FILE *out = log_begin();

	sums.lines_dropped = count_dropped(dump);
	counters_print(out, &sums);
	putc('\n', out);
	log_end();
}

static void advise_on_full_queue(FILE *out, uint32_t max_len)
{
	if (max_len < QUEUE_LEN_MAX)
		fprintf(out,
			"queue full: dropped by the kernel; raise --max-len (%u now, %u at most)\n",
			max_len ? max_len : MNFQ_MAX_LEN_DEFAULT, QUEUE_LEN_MAX);
	else
		fprintf(out,
			"queue full: dropped by the kernel, which holds %u packets at most; share "
			"them among several queues (--queue-balance)\n",
			QUEUE_LEN_MAX);
}

void print_summary(const struct dump *dump)
{
	const bool fail_open = dump->opts->queue.flags & MNFQ_QUEUE_FAIL_OPEN;

	FILE *out;

	print_counters(dump, &dump->totals);
	out = log_begin();
	if (dump->unclosed)
		fprintf(out,
			"%zu %s could not be closed in time: what %s decided and what waited there "
			"is not counted\n",
			dump->unclosed, plural(dump->unclosed, "namespace", "namespaces"),
			plural(dump->unclosed, "it", "they"));
	if (dump->totals.queue_full)
		advise_on_full_queue(out, dump->opts->queue.max_len);
	if (dump->totals.stats.overruns && dump->totals.stats.overruns != MNFQ_UNKNOWN)
		fprintf(out,
			"buffer full: %s by the kernel; raise --receive-buffer, and the sysctl "
			"net.core.rmem_max where it limits that\n",
			fail_open ? "accepted unseen" : "dropped");
	if (fail_open)
		fprintf(out, "fail-open: packets that find the queue full are accepted unseen; "
			     "nobody counts them\n");
	if (count_dropped(dump))
		fprintf(out, "lines dropped: whoever reads stdout was too slow; see "
			     "--when-blocked\n");
	log_end();
}

/* What waits in the queues is for whoever gets another copy of the descriptor. */
static void leave(struct source *source)
{
	int fd = mnfq_socket_detach(source->sock);

	source->sock = NULL;
	if (fd >= 0)
		close(fd);
}

static void tell_left(const struct source *source, const char *why,
		      const struct counters *counters)
{
	char name[SOURCE_NAME_SIZE], reason[512];
	FILE *out = log_begin();

	fprintf(out, "namespace %s: %s: ", name_source(name, source),
		clean_text(reason, sizeof(reason), why));
	counters_print(out, counters);
	putc('\n', out);
	log_end();
}

bool is_private(const struct place *place)
{
	return place->kind == PLACE_HERE || place->kind == PLACE_NETNS;
}

/*
 * Whoever steals the kernel's answers does not delay us for each queue, nor do thousands of queues
 * those who wait for us: closing the socket unbinds those that are left, and does not wait for answers,
 * so that nobody counts what waited. The first one reads all that waits, which may be slow. From a
 * socket that only we have nobody steals: there, only the machine is slow.
 */
static void unbind_queues(struct source *source, int patience_ms)
{
	const int64_t end = clock_ms() + patience_ms;
	unsigned int slow = 0;

	for (size_t i = source->queue_count; i > 0 && slow < 2; i--) {
		const int64_t since = clock_ms();

		if (patience_ms > 0 && since >= end)
			break;
		mnfq_queue_unbind(source->queues[i - 1]);
		slow += !is_private(&source->place) && clock_ms() - since >= SLOW_MS;
	}
}

void close_source(struct source *source, int patience_ms, bool leave_queues)
{
	struct counters counters = { .untracked = source->untracked };

	source->counters = (struct counters){ .untracked = 0 };
	if (!source->sock)
		return;
	if (source->queue_count > 0)
		counters_read_kernel(&counters, source->sock, source->queue_count);
	if (!leave_queues)
		unbind_queues(source, patience_ms);
	free(source->queues);
	counters_read_library(&counters, source->sock);
	source->counters = counters;
	if (leave_queues)
		leave(source);
	else
		source->sock = mnfq_socket_close(source->sock);
}

void count_source(struct source *source, const char *why)
{
	counters_add(&source->dump->totals, &source->counters);
	if (why)
		tell_left(source, why, &source->counters);
}

/* ---- the settings in force -------------------------------------------------------------- */

/* What else happens to the packets, behind the verdict. */
static void print_changes(FILE *out, const struct dump_options *opts)
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

size_t count_queues(const struct dump_options *opts)
{
	return opts->last - opts->first + 1u;
}

void print_queues(FILE *out, const struct dump_options *opts)
{
	fprintf(out, "listening on %s %u", plural(count_queues(opts), "queue", "queues"),
		opts->first);
	if (opts->first < opts->last)
		fprintf(out, ":%u", opts->last);
}

/* As the kernel has them, if there is a source to ask. */
static void get_copy(const struct source *source, const struct dump_options *asked,
		     struct mnfq_queue_options *opts)
{
	*opts = asked->queue;
	opts->size = sizeof(*opts);
	if (source)
		mnfq_queue_get_options(source->queues[0], opts);
	if (opts->copy_mode == MNFQ_COPY_DEFAULT)
		opts->copy_mode = MNFQ_COPY_PACKET;
	if (opts->copy_range == 0)
		opts->copy_range = MNFQ_COPY_RANGE_MAX;
}

void print_settings(FILE *out, const struct dump *dump, const struct source *source, bool each)
{
	struct mnfq_queue_options opts;

	get_copy(source, dump->opts, &opts);
	if (opts.copy_mode == MNFQ_COPY_META)
		fprintf(out, ", no payload");
	else if (opts.copy_mode == MNFQ_COPY_PACKET && opts.copy_range < MNFQ_COPY_RANGE_MAX)
		fprintf(out, ", first %u %s", opts.copy_range,
			plural(opts.copy_range, "byte", "bytes"));
	else if (opts.copy_mode == MNFQ_COPY_PACKET)
		fprintf(out, ", whole packets");
	if (source)
		fprintf(out, ", receive buffer %lld bytes%s",
			(long long)mnfq_socket_get_receive_buffer(source->sock),
			each ? " each" : "");
	if (opts.copy_mode == MNFQ_COPY_NONE) {
		fprintf(out, ", verdict drop by the kernel\n");
	} else {
		fprintf(out, ", verdict %s", dump->opts->verdict_text);
		print_changes(out, dump->opts);
		fprintf(out, "\n");
	}
	if (opts.copy_mode == MNFQ_COPY_NONE)
		fprintf(out, "warning: with --copy none the kernel drops every packet that "
			     "reaches the queue\n");
}
