/* SPDX-License-Identifier: MIT */
/* mnfq dump: print the packets of queues and decide them all alike. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "print.h"

#define NAME       "mnfq dump"
#define QUEUES_MAX 4096 /* the kernel looks for more ever more slowly */

struct dump {
	/* what the command line says */
	uint16_t first;
	uint16_t last;
	bool has_queues;
	const char *netns;
	int fd;
	uint64_t count; /* 0: no end */
	bool quiet;
	bool json;
	const char *verdict_text;
	enum mnfq_verdict verdict;
	bool has_mark;
	uint32_t mark;
	struct mnfq_queue_options queue_options;

	/* while it runs */
	struct mnfq_socket *sock;
	struct mnfq_queue **queues;
	const char *netns_name; /* NULL if nobody knows */
	char netns_buffer[256];
	uint64_t seen;
	int output_error; /* errno */
};

/* What the signal handlers stop. */
static struct mnfq_socket *volatile running;

/* ---- the command line --------------------------------------------------------------------- */

static int print_help(void)
{
	printf("Usage: mnfq dump -q NUM[:NUM] [-n NETNS | --fd N] [OPTIONS]\n"
	       "\n"
	       "Print the packets that reach a queue, one line each, and decide them.\n"
	       "\n"
	       "  -q, --queue NUM[:NUM]  the queue, or all queues from the first to the last\n"
	       "  -n, --netns NETNS      in the namespace of this name, path or process id\n"
	       "      --fd N             on a netlink socket passed in as descriptor N\n"
	       "  -c, --count COUNT      end after COUNT packets\n"
	       "      --quiet            print no packets\n"
	       "      --json             print a JSON object a line\n"
	       "      --verdict VERDICT  accept (default), drop, repeat, stop or queue:NUM\n"
	       "      --mark N           set this mark on each packet, decimal or 0x\n"
	       "      --max-len N        packets that the kernel holds for us (default: %u)\n"
	       "      --copy MODE        none, meta, packet (default) or packet:BYTES\n"
	       "      --fail-open        accept packets unseen while the queue is full\n"
	       "      --no-gso           have large packets split before they are queued\n"
	       "      --uid-gid          tell user and group of packets sent from here\n"
	       "  -h, --help             print this\n"
	       "\n"
	       "Ends with SIGINT or SIGTERM, and prints the counters. See mnfq-dump(1).\n",
	       MNFQ_MAX_LEN_DEFAULT);
	return EXIT_SUCCESS;
}

enum {
	OPT_FD = 256,
	OPT_QUIET,
	OPT_JSON,
	OPT_VERDICT,
	OPT_MARK,
	OPT_MAX_LEN,
	OPT_COPY,
	OPT_FAIL_OPEN,
	OPT_NO_GSO,
	OPT_UID_GID,
};

static const struct option options[] = {
	{ "queue", required_argument, NULL, 'q' },
	{ "netns", required_argument, NULL, 'n' },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "count", required_argument, NULL, 'c' },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "verdict", required_argument, NULL, OPT_VERDICT },
	{ "mark", required_argument, NULL, OPT_MARK },
	{ "max-len", required_argument, NULL, OPT_MAX_LEN },
	{ "copy", required_argument, NULL, OPT_COPY },
	{ "fail-open", no_argument, NULL, OPT_FAIL_OPEN },
	{ "no-gso", no_argument, NULL, OPT_NO_GSO },
	{ "uid-gid", no_argument, NULL, OPT_UID_GID },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* Sets a flag of the queues, or clears it. */
static void set_flag(struct dump *dump, uint32_t flag, bool on)
{
	dump->queue_options.flags_mask |= flag;
	if (on)
		dump->queue_options.flags |= flag;
}

static int take_number(const char *option, uint64_t min, uint64_t max, uint64_t *value)
{
	if (parse_number(optarg, min, max, value) == 0)
		return 0;
	return fail_usage(NAME, "%s %s: give a number from %llu to %llu", option, optarg,
			  (unsigned long long)min, (unsigned long long)max);
}

static int take_queues(struct dump *dump)
{
	if (dump->has_queues)
		return fail_usage(NAME, "-q was given twice: FIRST:LAST gives a range");
	if (parse_queues(optarg, &dump->first, &dump->last) < 0)
		return fail_usage(NAME,
				  "-q %s: give a queue from 0 to 65535, or FIRST:LAST in order",
				  optarg);
	if (dump->last - dump->first >= QUEUES_MAX)
		return fail_usage(NAME, "-q %s: give %u queues at most", optarg, QUEUES_MAX);
	dump->has_queues = true;
	return 0;
}

static int take_verdict(struct dump *dump)
{
	dump->verdict_text = optarg;
	if (parse_verdict(optarg, &dump->verdict) == 0)
		return 0;
	return fail_usage(NAME,
			  "--verdict %s: give accept, drop, repeat, stop, or queue:NUM with a "
			  "queue from 0 to 65535",
			  optarg);
}

static int take_copy(struct dump *dump)
{
	struct mnfq_queue_options *queue = &dump->queue_options;

	if (parse_copy(optarg, &queue->copy_mode, &queue->copy_range) == 0)
		return 0;
	return fail_usage(NAME, "--copy %s: give none, meta, packet, or packet:BYTES, 1 to %u",
			  optarg, MNFQ_COPY_RANGE_MAX);
}

/* Options with a number. */
static int take_value(struct dump *dump, int option)
{
	uint64_t value;
	int status;

	switch (option) {
	case 'c':
		return take_number("-c", 1, UINT64_MAX, &dump->count);
	case OPT_FD:
		status = take_number("--fd", 0, INT_MAX, &value);
		if (!status)
			dump->fd = (int)value;
		return status;
	case OPT_MARK:
		status = take_number("--mark", 0, UINT32_MAX, &value);
		if (!status)
			dump->mark = (uint32_t)value;
		dump->has_mark = true;
		return status;
	default:
		status = take_number("--max-len", 1, UINT32_MAX, &value);
		if (!status)
			dump->queue_options.max_len = (uint32_t)value;
		return status;
	}
}

/* Returns 0 or the exit status. */
static int take_option(struct dump *dump, int option, char **argv)
{
	switch (option) {
	case 'q':
		return take_queues(dump);
	case 'n':
		dump->netns = optarg;
		return 0;
	case OPT_QUIET:
		dump->quiet = true;
		return 0;
	case OPT_JSON:
		dump->json = true;
		return 0;
	case OPT_VERDICT:
		return take_verdict(dump);
	case OPT_COPY:
		return take_copy(dump);
	case OPT_FAIL_OPEN:
		set_flag(dump, MNFQ_QUEUE_FAIL_OPEN, true);
		return 0;
	case OPT_NO_GSO:
		set_flag(dump, MNFQ_QUEUE_GSO, false);
		return 0;
	case OPT_UID_GID:
		set_flag(dump, MNFQ_QUEUE_UID_GID, true);
		return 0;
	case ':':
	case '?':
		return fail_option(NAME, option, argv);
	default:
		return take_value(dump, option);
	}
}

/* A packet that came back to us for ever would take the machine with it. */
static int check_loop(const struct dump *dump)
{
	if (dump->verdict == MNFQ_REPEAT && !dump->has_mark)
		return fail_usage(NAME,
				  "--verdict repeat sends packets through the same rule "
				  "again, for ever: set a --mark by which the rule can tell "
				  "them");
	for (uint32_t num = dump->first; num <= dump->last; num++)
		if (dump->verdict == mnfq_verdict_queue((uint16_t)num))
			return fail_usage(NAME,
					  "--verdict %s hands packets to a queue that we read, "
					  "for ever: give another queue",
					  dump->verdict_text);
	return 0;
}

static int check_options(const struct dump *dump, int argc, char **argv)
{
	if (optind < argc)
		return fail_usage(NAME, "unexpected argument '%s'", argv[optind]);
	if (!dump->has_queues)
		return fail_usage(NAME, "which queue? give -q NUM");
	if (dump->netns && dump->fd >= 0)
		return fail_usage(NAME, "-n and --fd exclude each other: a passed socket has "
					"its namespace already");
	if (dump->json && !print_has_json)
		return fail(NAME, "built without JSON support: build with jansson, or do "
				  "without --json");
	return check_loop(dump);
}

/* ---- running ------------------------------------------------------------------------------ */

/* Remembers why printing failed, if it did; to be called before errno changes. */
static bool check_output(struct dump *dump, int err)
{
	if (!dump->output_error && (err || ferror(stdout)))
		dump->output_error = err ? -err : errno;
	return !dump->output_error;
}

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct dump *dump = data;
	struct line line = { packet, dump->netns_name, dump->verdict_text };
	bool wanted = !dump->count || dump->seen < dump->count;
	int err = 0;

	dump->seen++;
	if (dump->has_mark)
		mnfq_packet_set_mark(packet, dump->mark);
	if (wanted && !dump->quiet && !dump->output_error)
		err = dump->json ? print_json(stdout, &line) : print_text(stdout, &line);
	if (!check_output(dump, err) || dump->seen == dump->count)
		mnfq_socket_stop(dump->sock);
	return dump->verdict;
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

	if (dump->fd >= 0)
		err = mnfq_socket_adopt(&dump->sock, dump->fd, &opts);
	else if (dump->netns)
		err = mnfq_socket_open_netns(&dump->sock, dump->netns, &opts);
	else
		err = mnfq_socket_open(&dump->sock, &opts);
	if (err)
		return fail(NAME, "%s", *error ? error : strerror(-err));
	if (mnfq_socket_get_netns_name(dump->sock, dump->netns_buffer,
				       sizeof(dump->netns_buffer)) == 0)
		dump->netns_name = dump->netns_buffer;
	return 0;
}

static int fail_socket(const struct dump *dump, int err)
{
	const char *sentence = mnfq_socket_get_error(dump->sock);

	return fail(NAME, "%s", *sentence ? sentence : strerror(-err));
}

/*
 * What is still queued when we end gets the verdict too, but cannot get the mark: repeated without
 * it, it would come back.
 */
static enum mnfq_verdict get_default_verdict(const struct dump *dump)
{
	return dump->verdict == MNFQ_REPEAT ? MNFQ_DROP : dump->verdict;
}

static int bind_queues(struct dump *dump)
{
	size_t count = dump->last - dump->first + 1u;
	int err;

	dump->queue_options.size = sizeof(dump->queue_options);
	dump->queue_options.default_verdict = get_default_verdict(dump);
	dump->queues = calloc(count, sizeof(*dump->queues));
	if (!dump->queues)
		return fail(NAME, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < count; i++) {
		err = mnfq_queue_bind(&dump->queues[i], dump->sock, dump->first + (unsigned int)i,
				      &dump->queue_options, decide, dump);
		if (err)
			return fail_socket(dump, err);
	}
	return 0;
}

static void unbind_queues(struct dump *dump)
{
	if (!dump->queues)
		return;
	for (size_t i = 0; i <= (size_t)dump->last - dump->first; i++)
		mnfq_queue_unbind(dump->queues[i]);
	free(dump->queues);
}

static void print_listening(const struct dump *dump)
{
	struct mnfq_queue_options opts = { .size = sizeof(opts) };
	char name[4 * sizeof(dump->netns_buffer)];

	mnfq_queue_get_options(dump->queues[0], &opts);
	fprintf(stderr, "listening on queue%s %u", dump->first < dump->last ? "s" : "",
		dump->first);
	if (dump->first < dump->last)
		fprintf(stderr, ":%u", dump->last);
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
		(long long)mnfq_socket_get_receive_buffer(dump->sock), dump->verdict_text);
	if (dump->has_mark)
		fprintf(stderr, " with mark 0x%x", dump->mark);
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

/* Output is written when nothing more is there at once: live, yet no write a packet in a flood. */
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
	return fail(NAME, "cannot write to stdout: %s", strerror(dump->output_error));
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
	struct dump dump = { .fd = -1, .verdict_text = "accept", .verdict = MNFQ_ACCEPT };
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":q:n:c:h", options, NULL)) != -1) {
		if (option == 'h')
			return print_help();
		status = take_option(&dump, option, argv);
		if (status)
			return status;
	}
	status = check_options(&dump, argc, argv);
	return status ? status : run(&dump);
}
