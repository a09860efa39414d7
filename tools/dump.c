/* SPDX-License-Identifier: MIT */
/* mnfq dump: print the packets of queues and decide them all alike. */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "dump.h"
#include "print.h"
#include "sandbox.h"

static size_t count_queues(const struct dump_options *opts)
{
	return opts->last - opts->first + 1u;
}

/* Remembers why printing failed, if it did; to be called before errno changes. */
static bool check_output(struct dump *dump, int err)
{
	if (!dump->output_error && (err || ferror(stdout)))
		dump->output_error = err ? -err : errno;
	return !dump->output_error;
}

static void change(struct worker *worker, struct mnfq_packet *packet)
{
	const struct dump_options *opts = worker->dump->opts;

	if (opts->has_mark)
		mnfq_packet_set_mark(packet, opts->mark);
	if (opts->has_priority)
		mnfq_packet_set_priority(packet, opts->priority);
	if (opts->has_ct_mark &&
	    mnfq_packet_set_ct_mark(packet, opts->ct_mark, opts->ct_mark_mask) < 0)
		worker->untracked++;
}

/* Counts and prints a packet, with stdout locked. Returns whether more are wanted. */
static bool print(struct dump *dump, const struct mnfq_packet *packet)
{
	struct line line = { packet, dump->netns_name, dump->opts->verdict_text };
	bool wanted = !dump->opts->count || dump->seen < dump->opts->count;
	int err = 0;

	dump->seen++;
	if (wanted && !dump->opts->quiet && !dump->output_error)
		err = dump->opts->json ? print_json(stdout, &line) : print_text(stdout, &line);
	return check_output(dump, err) && dump->seen != dump->opts->count;
}

/* The lock of stdout keeps lines whole, and is not worth its time if there are none. */
static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct worker *worker = data;
	struct dump *dump = worker->dump;
	bool more = true;

	change(worker, packet);
	if (!dump->opts->quiet || dump->opts->count) {
		flockfile(stdout);
		more = print(dump, packet);
		funlockfile(stdout);
	}
	if (!more)
		stop_workers(dump);
	return dump->opts->verdict;
}

static int open_socket(struct dump *dump, struct mnfq_socket **sock)
{
	char error[512] = "";
	struct mnfq_socket_options opts = {
		.size = sizeof(opts),
		.error = error,
		.error_size = sizeof(error),
		.busy_poll_us = dump->opts->busy_poll_us,
	};
	int err;

	if (dump->opts->fd >= 0)
		err = mnfq_socket_adopt(sock, dump->opts->fd, &opts);
	else if (dump->opts->netns)
		err = mnfq_socket_open_netns(sock, dump->opts->netns, &opts);
	else
		err = mnfq_socket_open(sock, &opts);
	if (err)
		return fail(DUMP_NAME, "%s", *error ? error : strerror(-err));
	return 0;
}

static int open_sockets(struct dump *dump)
{
	int status;

	for (size_t i = 0; i < dump->worker_count; i++) {
		status = open_socket(dump, &dump->workers[i].sock);
		if (status)
			return status;
	}
	if (mnfq_socket_get_netns_name(dump->workers[0].sock, dump->netns_buffer,
				       sizeof(dump->netns_buffer)) == 0)
		dump->netns_name = dump->netns_buffer;
	return 0;
}

/* Of several threads that fail for the same reason one tells it. */
static int fail_socket(const struct worker *worker, int err)
{
	const char *sentence = mnfq_socket_get_error(worker->sock);

	if (atomic_exchange(&worker->dump->failed, true))
		return EXIT_FAILURE;
	return fail(DUMP_NAME, "%s", *sentence ? sentence : strerror(-err));
}

/*
 * What is still queued when we end gets the verdict too, but cannot get the mark: repeated
 * without it, it would come back.
 */
static enum mnfq_verdict get_default_verdict(const struct dump_options *opts)
{
	return opts->verdict == MNFQ_REPEAT ? MNFQ_DROP : opts->verdict;
}

static int bind_share(struct worker *worker, unsigned int first)
{
	struct mnfq_queue_options options = worker->dump->opts->queue;
	int err;

	options.size = sizeof(options);
	options.default_verdict = get_default_verdict(worker->dump->opts);
	for (size_t i = 0; i < worker->queue_count; i++) {
		err = mnfq_queue_bind(&worker->queues[i], worker->sock, first + (unsigned int)i,
				      &options, decide, worker);
		if (err)
			return fail_socket(worker, err);
	}
	return 0;
}

/* Each worker gets as many, or one more than others. */
static int bind_queues(struct dump *dump)
{
	size_t count = count_queues(dump->opts), from, to;
	int status = 0;

	for (size_t i = 0; i < dump->worker_count && !status; i++) {
		from = i * count / dump->worker_count;
		to = (i + 1) * count / dump->worker_count;
		dump->workers[i].queues = dump->queues + from;
		dump->workers[i].queue_count = to - from;
		status = bind_share(&dump->workers[i], dump->opts->first + (unsigned int)from);
	}
	return status;
}

static void unbind_queues(struct dump *dump)
{
	for (size_t i = 0; i < count_queues(dump->opts); i++)
		mnfq_queue_unbind(dump->queues[i]);
}

/* What else happens to the packets, behind the verdict. */
static void print_changes(const struct dump_options *opts)
{
	const char *separator = " with";
	char priority[PRIORITY_SIZE];

	if (opts->has_mark) {
		fprintf(stderr, "%s mark 0x%x", separator, opts->mark);
		separator = ",";
	}
	if (opts->has_priority) {
		fprintf(stderr, "%s priority %s", separator,
			format_priority(priority, opts->priority));
		separator = ",";
	}
	if (opts->has_ct_mark)
		fprintf(stderr, "%s connection mark 0x%x/0x%x", separator, opts->ct_mark,
			opts->ct_mark_mask);
}

static void print_listening(const struct dump *dump)
{
	struct mnfq_queue_options opts = { .size = sizeof(opts) };
	char name[4 * sizeof(dump->netns_buffer)];

	mnfq_queue_get_options(dump->queues[0], &opts);
	fprintf(stderr, "listening on queue%s %u",
		dump->opts->first < dump->opts->last ? "s" : "", dump->opts->first);
	if (dump->opts->first < dump->opts->last)
		fprintf(stderr, ":%u", dump->opts->last);
	if (dump->netns_name)
		fprintf(stderr, " of namespace %s",
			clean_text(name, sizeof(name), dump->netns_name));
	if (dump->worker_count > 1)
		fprintf(stderr, ", %zu threads", dump->worker_count);
	if (opts.copy_mode == MNFQ_COPY_META)
		fprintf(stderr, ", no payload");
	else if (opts.copy_mode == MNFQ_COPY_PACKET && opts.copy_range < MNFQ_COPY_RANGE_MAX)
		fprintf(stderr, ", first %u bytes", opts.copy_range);
	else if (opts.copy_mode == MNFQ_COPY_PACKET)
		fprintf(stderr, ", whole packets");
	fprintf(stderr, ", receive buffer %lld bytes%s, verdict %s",
		(long long)mnfq_socket_get_receive_buffer(dump->workers[0].sock),
		dump->worker_count > 1 ? " each" : "", dump->opts->verdict_text);
	print_changes(dump->opts);
	fprintf(stderr, "\n");
	if (opts.copy_mode == MNFQ_COPY_NONE)
		fprintf(stderr, "warning: with --copy none the kernel drops every packet that "
				"reaches the queue\n");
}

/* Output is written when nothing more is there at once: live, yet not a write a packet. */
static int dispatch(struct worker *worker)
{
	int handled = mnfq_socket_dispatch(worker->sock, 0);
	bool written;

	if (handled != 0)
		return handled;
	flockfile(stdout);
	fflush(stdout);
	written = check_output(worker->dump, 0);
	funlockfile(stdout);
	return written ? mnfq_socket_dispatch(worker->sock, -1) : -ECANCELED;
}

static int receive(struct worker *worker)
{
	int err;

	do
		err = dispatch(worker);
	while (err >= 0 || err == -EINTR);
	return err == -ECANCELED ? 0 : fail_socket(worker, err);
}

/*
 * As with tcpdump, a reader of stdout may go when it has seen enough, and a signal may end us
 * while it does not read; both leave lines behind that nobody waits for.
 */
static int finish_output(struct dump *dump)
{
	if (!dump->output_error)
		fflush(stdout);
	if (check_output(dump, 0))
		return 0;
	__fpurge(stdout);
	if (dump->output_error == EPIPE || dump->output_error == EINTR)
		return 0;
	return fail(DUMP_NAME, "cannot write to stdout: %s", strerror(dump->output_error));
}

/* A counter of struct mnfq_stats, of all sockets. */
static uint64_t add_up(const struct dump *dump, size_t offset)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };
	uint64_t value, sum = 0;

	for (size_t i = 0; i < dump->worker_count; i++) {
		mnfq_socket_get_stats(dump->workers[i].sock, &stats);
		memcpy(&value, (const char *)&stats + offset, sizeof(value));
		sum += value;
	}
	return sum;
}

static void print_summary(const struct dump *dump)
{
	static const struct {
		const char *word;
		size_t offset;
		bool always;
	} counters[] = {
#define COUNTER(name, always) { #name, offsetof(struct mnfq_stats, name), always }
		COUNTER(packets, true),    COUNTER(bytes, true),      COUNTER(accepted, true),
		COUNTER(dropped, true),    COUNTER(repeated, false),  COUNTER(stopped, false),
		COUNTER(requeued, false),  COUNTER(marked, false),    COUNTER(defaulted, false),
		COUNTER(lost, false),      COUNTER(truncated, false), COUNTER(refused, false),
		COUNTER(unsent, false),    COUNTER(overruns, false),  COUNTER(forged, false),
		COUNTER(malformed, false), COUNTER(unclaimed, false),
#undef COUNTER
	};
	const char *separator = "";
	uint64_t value, untracked = 0;

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		value = add_up(dump, counters[i].offset);
		if (!value && !counters[i].always)
			continue;
		fprintf(stderr, "%s%llu %s", separator, (unsigned long long)value,
			counters[i].word);
		separator = ", ";
	}
	for (size_t i = 0; i < dump->worker_count; i++)
		untracked += dump->workers[i].untracked;
	if (untracked)
		fprintf(stderr, ", %llu untracked", (unsigned long long)untracked);
	fprintf(stderr, "\n");
}

/*
 * Everything is open and bound: what is still to come are packets, which are nobody's friends. The
 * time zone is read before there is a first line to print, with the rights that we came with.
 */
static int enter_sandbox(struct dump *dump)
{
	uint64_t keep = 0;
	char error[256];

	if (dump->opts->no_sandbox)
		return 0;
	for (size_t i = 0; i < dump->worker_count; i++)
		if (!sandbox_owns(mnfq_socket_get_fd(dump->workers[i].sock)))
			keep = SANDBOX_CAP(CAP_NET_ADMIN);
	tzset();
	if (sandbox_enter(SANDBOX_SERVE, keep, dump->worker_count > 1, error, sizeof(error)) == 0)
		return 0;
	return fail(DUMP_NAME, "%s; --no-sandbox does without", error);
}

/* With all sockets open. */
static int run(struct dump *dump)
{
	int status = bind_queues(dump);
	bool bound;

	if (!status)
		status = enter_sandbox(dump);
	bound = !status;
	if (bound) {
		print_listening(dump);
		status = run_workers(dump);
	}
	unbind_queues(dump);
	if (bound) {
		status |= finish_output(dump);
		print_summary(dump);
	}
	return status;
}

static int make_workers(struct dump *dump)
{
	dump->workers = calloc(dump->opts->threads, sizeof(*dump->workers));
	dump->queues = calloc(count_queues(dump->opts), sizeof(*dump->queues));
	if (!dump->workers || !dump->queues)
		return fail(DUMP_NAME, "%s", strerror(ENOMEM));
	dump->worker_count = dump->opts->threads;
	for (size_t i = 0; i < dump->worker_count; i++)
		dump->workers[i].dump = dump;
	return 0;
}

static void close_workers(struct dump *dump)
{
	for (size_t i = 0; i < dump->worker_count; i++)
		mnfq_socket_close(dump->workers[i].sock);
	free(dump->queues);
	free(dump->workers);
}

int run_dump(int argc, char **argv)
{
	struct dump_options opts;
	struct dump dump = { .opts = &opts, .serve = receive };
	int status;

	if (!take_dump_options(&opts, argc, argv, &status))
		return status;
	sem_init(&dump.ended, 0, 0);
	status = make_workers(&dump);
	if (!status)
		status = open_sockets(&dump);
	if (!status) {
		catch_signals(&dump);
		status = run(&dump);
		catch_signals(NULL);
	}
	close_workers(&dump);
	return status;
}
