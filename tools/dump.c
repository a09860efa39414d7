/* SPDX-License-Identifier: MIT */
/* mnfq dump: print the packets of queues and decide them all alike. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "dump.h"
#include "print.h"

struct dump {
	const struct dump_options *opts;
	struct mnfq_socket *sock;
	struct mnfq_queue **queues;
	const char *netns_name; /* NULL if nobody knows */
	char netns_buffer[256];
	uint64_t seen;
	uint64_t untracked; /* of these, packets without a connection that --ct-mark could mark */
	int output_error;   /* errno */
};

/* What the signal handlers stop. */
static struct mnfq_socket *volatile running;

/* Remembers why printing failed, if it did; to be called before errno changes. */
static bool check_output(struct dump *dump, int err)
{
	if (!dump->output_error && (err || ferror(stdout)))
		dump->output_error = err ? -err : errno;
	return !dump->output_error;
}

static void change(struct dump *dump, struct mnfq_packet *packet)
{
	const struct dump_options *opts = dump->opts;

	if (opts->has_mark)
		mnfq_packet_set_mark(packet, opts->mark);
	if (opts->has_priority)
		mnfq_packet_set_priority(packet, opts->priority);
	if (opts->has_ct_mark &&
	    mnfq_packet_set_ct_mark(packet, opts->ct_mark, opts->ct_mark_mask) < 0)
		dump->untracked++;
}

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct dump *dump = data;
	struct line line = { packet, dump->netns_name, dump->opts->verdict_text };
	bool wanted = !dump->opts->count || dump->seen < dump->opts->count;
	int err = 0;

	dump->seen++;
	change(dump, packet);
	if (wanted && !dump->opts->quiet && !dump->output_error)
		err = dump->opts->json ? print_json(stdout, &line) : print_text(stdout, &line);
	if (!check_output(dump, err) || dump->seen == dump->opts->count)
		mnfq_socket_stop(dump->sock);
	return dump->opts->verdict;
}

static int open_socket(struct dump *dump)
{
	char error[512] = "";
	struct mnfq_socket_options opts = {
		.size = sizeof(opts),
		.error = error,
		.error_size = sizeof(error),
	};
	int err;

	if (dump->opts->fd >= 0)
		err = mnfq_socket_adopt(&dump->sock, dump->opts->fd, &opts);
	else if (dump->opts->netns)
		err = mnfq_socket_open_netns(&dump->sock, dump->opts->netns, &opts);
	else
		err = mnfq_socket_open(&dump->sock, &opts);
	if (err)
		return fail(DUMP_NAME, "%s", *error ? error : strerror(-err));
	if (mnfq_socket_get_netns_name(dump->sock, dump->netns_buffer,
				       sizeof(dump->netns_buffer)) == 0)
		dump->netns_name = dump->netns_buffer;
	return 0;
}

static int fail_socket(const struct dump *dump, int err)
{
	const char *sentence = mnfq_socket_get_error(dump->sock);

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

static int bind_queues(struct dump *dump)
{
	struct mnfq_queue_options queue_options = dump->opts->queue;
	size_t count = dump->opts->last - dump->opts->first + 1u;
	int err;

	queue_options.size = sizeof(queue_options);
	queue_options.default_verdict = get_default_verdict(dump->opts);
	dump->queues = calloc(count, sizeof(*dump->queues));
	if (!dump->queues)
		return fail(DUMP_NAME, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < count; i++) {
		err = mnfq_queue_bind(&dump->queues[i], dump->sock,
				      dump->opts->first + (unsigned int)i, &queue_options, decide,
				      dump);
		if (err)
			return fail_socket(dump, err);
	}
	return 0;
}

static void unbind_queues(struct dump *dump)
{
	if (!dump->queues)
		return;
	for (size_t i = 0; i <= (size_t)dump->opts->last - dump->opts->first; i++)
		mnfq_queue_unbind(dump->queues[i]);
	free(dump->queues);
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
	if (opts.copy_mode == MNFQ_COPY_META)
		fprintf(stderr, ", no payload");
	else if (opts.copy_mode == MNFQ_COPY_PACKET && opts.copy_range < MNFQ_COPY_RANGE_MAX)
		fprintf(stderr, ", first %u bytes", opts.copy_range);
	else if (opts.copy_mode == MNFQ_COPY_PACKET)
		fprintf(stderr, ", whole packets");
	fprintf(stderr, ", receive buffer %lld bytes, verdict %s",
		(long long)mnfq_socket_get_receive_buffer(dump->sock), dump->opts->verdict_text);
	print_changes(dump->opts);
	fprintf(stderr, "\n");
	if (opts.copy_mode == MNFQ_COPY_NONE)
		fprintf(stderr, "warning: with --copy none the kernel drops every packet that "
				"reaches the queue\n");
}

static void on_signal(int number)
{
	(void)number;
	if (running)
		mnfq_socket_stop(running);
}

/* Without SA_RESTART, so that a reader of stdout that stalls does not keep us from ending. */
static void catch_signals(struct mnfq_socket *sock)
{
	struct sigaction stop = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	running = sock;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* Output is written when nothing more is there at once: live, yet not a write a packet. */
static int dispatch(struct dump *dump)
{
	int handled = mnfq_socket_dispatch(dump->sock, 0);

	if (handled != 0)
		return handled;
	fflush(stdout);
	if (!check_output(dump, 0))
		return -ECANCELED;
	return mnfq_socket_dispatch(dump->sock, -1);
}

static int receive(struct dump *dump)
{
	int err;

	do
		err = dispatch(dump);
	while (err >= 0 || err == -EINTR);
	return err == -ECANCELED ? 0 : fail_socket(dump, err);
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
	struct mnfq_stats stats = { .size = sizeof(stats) };
	const char *separator = "";
	uint64_t value;

	mnfq_socket_get_stats(dump->sock, &stats);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		memcpy(&value, (const char *)&stats + counters[i].offset, sizeof(value));
		if (!value && !counters[i].always)
			continue;
		fprintf(stderr, "%s%llu %s", separator, (unsigned long long)value,
			counters[i].word);
		separator = ", ";
	}
	if (dump->untracked)
		fprintf(stderr, ", %llu untracked", (unsigned long long)dump->untracked);
	fprintf(stderr, "\n");
}

static int run(struct dump *dump)
{
	bool bound;
	int status;

	status = open_socket(dump);
	if (status)
		return status;
	catch_signals(dump->sock);
	status = bind_queues(dump);
	bound = !status;
	if (bound) {
		print_listening(dump);
		status = receive(dump);
	}
	unbind_queues(dump);
	if (bound) {
		status |= finish_output(dump);
		print_summary(dump);
	}
	running = NULL;
	mnfq_socket_close(dump->sock);
	return status;
}

int run_dump(int argc, char **argv)
{
	struct dump_options opts;
	struct dump dump = { .opts = &opts };
	int status;

	return take_dump_options(&opts, argc, argv, &status) ? run(&dump) : status;
}
