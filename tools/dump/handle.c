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

#define RECEIVE_MS    5000   /* whoever shares sockets gives one at once */
#define QUEUE_LEN_MAX 65536u /* of a queue of Linux 6.18, whatever its max_len says */
#define SLOW_MS       20     /* to unbind a queue */

/* ---- packets ---------------------------------------------------------------------------- */

static void change(struct dump_handle *handle, struct mnfq_packet *packet)
{
	const struct dump_options *opts = handle->dump->opts;

	if (opts->has_mark)
		mnfq_packet_set_mark(packet, (mnfq_packet_get_mark(packet) & ~opts->mark_mask) |
						     opts->mark);
	if (opts->has_priority)
		mnfq_packet_set_priority(packet, opts->priority);
	if (opts->has_ct_mark &&
	    mnfq_packet_set_ct_mark(packet, opts->ct_mark, opts->ct_mark_mask) < 0)
		handle->untracked++;
}

/* Counts and prints a packet. Returns whether more are wanted. */
static bool print(const struct dump_handle *handle, const struct mnfq_packet *packet)
{
	struct dump *dump = handle->dump;
	struct line line = { .packet = packet,
			     .netns = handle->netns[0] ? handle->netns : NULL,
			     .label = handle->label[0] ? handle->label : NULL,
			     .show_netns = dump->multi && !dump->single_netns,
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
static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct dump_handle *handle = data;
	struct dump *dump = handle->dump;
	bool more = true;

	change(handle, packet);
	if (!dump->opts->quiet || dump->opts->count)
		more = print(handle, packet);
	if (!more)
		dump_stop(dump);
	return dump->opts->verdict;
}

/* ---- a source begins -------------------------------------------------------------------- */

/* One of those that somebody inside gives away, see mnfq-share(1). */
static int receive_from(struct dump_handle *handle, const char *path,
			struct mnfq_socket_options *options)
{
	struct mnfq_handover_options requested = { .size = sizeof(requested),
						   .error = options->error,
						   .error_size = options->error_size };
	struct mnfq_handover info = { .size = sizeof(info) };
	int stream, fd, err;

	stream = unix_connect(path, options->error, options->error_size);
	if (stream < 0)
		return stream;
	if (handle->dump->opts->lend_rights)
		options->flags = MNFQ_SOCKET_LEND;
	err = mnfq_handover_receive(&fd, stream, RECEIVE_MS, &info, &requested);
	if (err == 0) {
		err = mnfq_socket_adopt(&handle->sock, fd, options);
		if (err < 0)
			close(fd);
		(void)mnfq_handover_answer(stream, &info, err, options->error);
		memcpy(handle->label, info.label, sizeof(handle->label));
	}
	close(stream);
	return err;
}

int handle_open(struct dump_handle *handle, struct dump *dump, const struct socket_spec *spec,
		struct mnfq_socket_options *options)
{
	int err;

	handle->dump = dump;
	handle->spec = *spec;
	switch (spec->kind) {
	case SPEC_NETNS:
		err = mnfq_socket_open_netns(&handle->sock, spec->text, options);
		break;
	case SPEC_FD:
		options->flags = spec->lend ? MNFQ_SOCKET_LEND : 0;
		err = mnfq_socket_adopt(&handle->sock, spec->fd, options);
		break;
	case SPEC_FROM:
		err = receive_from(handle, spec->text, options);
		break;
	default:
		err = mnfq_socket_open(&handle->sock, options);
	}
	if (err == 0 &&
	    mnfq_socket_get_netns_name(handle->sock, handle->netns, sizeof(handle->netns)) < 0)
		handle->netns[0] = '\0';
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

int handle_bind(struct dump_handle *handle, unsigned int first, size_t count, int patience_ms)
{
	const int64_t since = clock_ms();
	struct mnfq_queue_options options = handle->dump->opts->queue;
	struct mnfq_kernel_stats kernel = { .size = sizeof(kernel) };
	int err = 0;

	options.size = sizeof(options);
	options.default_verdict = get_default_verdict(handle->dump->opts);
	handle->queues = calloc(count, sizeof(*handle->queues));
	if (!handle->queues)
		return -ENOMEM;
	for (handle->queue_count = 0; handle->queue_count < count; handle->queue_count++) {
		if (patience_ms > 0 && clock_ms() - since > patience_ms)
			return -ETIMEDOUT;
		err = mnfq_queue_bind(&handle->queues[handle->queue_count], handle->sock,
				      first + (unsigned int)handle->queue_count, &options, decide,
				      handle);
		if (err < 0)
			break;
	}
	/* Opens the file of its namespace, for which there may be no right later. */
	if (err == 0)
		(void)mnfq_socket_get_kernel_stats(handle->sock, &kernel);
	return err;
}

const char *handle_format_name(char out[HANDLE_NAME_SIZE], const struct dump_handle *handle)
{
	char netns[4 * sizeof(handle->netns) + 3], label[4 * sizeof(handle->label) + 3] = "";

	quote_word(netns, sizeof(netns), handle->netns[0] ? handle->netns : "(unknown)");
	if (handle->label[0])
		quote_text(label, sizeof(label), handle->label);
	snprintf(out, HANDLE_NAME_SIZE, "%s%s%s", netns, label[0] ? ", label " : "", label);
	return out;
}

void handle_explain(char *out, size_t size, const struct dump_handle *handle, int err)
{
	static const char *const options[] = {
		[SPEC_NETNS] = "-n", [SPEC_FD] = "--fd", [SPEC_FROM] = "--from"
	};
	const char *errmsg = mnfq_socket_get_error(handle->sock);
	const struct socket_spec *spec = &handle->spec;

	if (!*errmsg)
		errmsg = err == -ETIMEDOUT ? "its queues are bound too slowly: somebody else "
					     "reads from its socket"
					   : strerror(-err);
	if (spec->kind != SPEC_HERE && handle->netns[0])
		snprintf(out, size, "namespace %s: %s", handle->netns, errmsg);
	else if (spec->text)
		snprintf(out, size, "%s %s: %s", options[spec->kind], spec->text, errmsg);
	else
		snprintf(out, size, "%s", errmsg);
}

/* ---- what it has counted ---------------------------------------------------------------- */

/* Lines of packets. Where writing has failed the reason is told, and who is gone wants no more. */
static uint64_t count_dropped(const struct dump *dump)
{
	const int error = output_error(dump->out);

	return error == 0 || error == EAGAIN ? output_dropped(dump->out) : 0;
}

void handle_read_counters(struct counters *counters, const struct dump_handle *handle)
{
	counters_read_kernel(counters, handle->sock, handle->queue_count);
	counters_read_library(counters, handle->sock);
	counters->untracked = handle->untracked;
}

void report_counters(const struct dump *dump, const struct counters *counters)
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

void report_summary(const struct dump *dump)
{
	const bool fail_open = dump->opts->queue.flags & MNFQ_QUEUE_FAIL_OPEN;

	FILE *out;

	report_counters(dump, &dump->totals);
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
static void detach(struct dump_handle *handle)
{
	int fd = mnfq_socket_detach(handle->sock);

	handle->sock = NULL;
	if (fd >= 0)
		close(fd);
}

static void report_left(const struct dump_handle *handle, const char *why,
			const struct counters *counters)
{
	char name[HANDLE_NAME_SIZE], reason[512];
	FILE *out = log_begin();

	fprintf(out, "namespace %s: %s: ", handle_format_name(name, handle),
		clean_text(reason, sizeof(reason), why));
	counters_print(out, counters);
	putc('\n', out);
	log_end();
}

bool spec_is_private(const struct socket_spec *spec)
{
	return spec->kind == SPEC_HERE || spec->kind == SPEC_NETNS;
}

/*
 * Whoever steals the kernel's answers does not delay us for each queue, nor do thousands of queues
 * those who wait for us: closing the socket unbinds those that are left, and does not wait for answers,
 * so that nobody counts what waited. The first one reads all that waits, which may be slow. From a
 * socket that only we have nobody steals: there, only the machine is slow.
 */
static void unbind_queues(struct dump_handle *handle, int patience_ms)
{
	const int64_t end = clock_ms() + patience_ms;
	unsigned int threaded = 0;

	for (size_t i = handle->queue_count; i > 0 && threaded < 2; i--) {
		const int64_t since = clock_ms();

		if (patience_ms > 0 && since >= end)
			break;
		mnfq_queue_unbind(handle->queues[i - 1]);
		threaded += !spec_is_private(&handle->spec) && clock_ms() - since >= SLOW_MS;
	}
}

void handle_close(struct dump_handle *handle, int patience_ms, bool leave_queues)
{
	struct counters counters = { .untracked = handle->untracked };

	handle->counters = (struct counters){ .untracked = 0 };
	if (!handle->sock)
		return;
	if (handle->queue_count > 0)
		counters_read_kernel(&counters, handle->sock, handle->queue_count);
	if (!leave_queues)
		unbind_queues(handle, patience_ms);
	free(handle->queues);
	counters_read_library(&counters, handle->sock);
	handle->counters = counters;
	if (leave_queues)
		detach(handle);
	else
		handle->sock = mnfq_socket_close(handle->sock);
}

void handle_count(struct dump_handle *handle, const char *why)
{
	counters_add(&handle->dump->totals, &handle->counters);
	if (why)
		report_left(handle, why, &handle->counters);
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

size_t options_queue_count(const struct dump_options *opts)
{
	return opts->last - opts->first + 1u;
}

void report_queues(FILE *out, const struct dump_options *opts)
{
	fprintf(out, "listening on %s %u", plural(options_queue_count(opts), "queue", "queues"),
		opts->first);
	if (opts->first < opts->last)
		fprintf(out, ":%u", opts->last);
}

/* As the kernel has them, if there is a source to ask. */
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
		fprintf(out, ", verdict %s", dump->opts->verdict_text);
		print_changes(out, dump->opts);
		fprintf(out, "\n");
	}
	if (opts.copy_mode == MNFQ_COPY_NONE)
		fprintf(out, "warning: with --copy none the kernel drops every packet that "
			     "reaches the queue\n");
}
