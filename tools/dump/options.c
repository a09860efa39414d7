/* SPDX-License-Identifier: MIT */
/* mnfq dump: the command line. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"
#include "common/program.h"
#include "dump/dump.h"

#define MAX_PER_UID 256u
#define QUEUES_MAX  4096 /* the kernel looks for more ever more slowly */

static int dump_print_help(void)
{
	printf("Usage: mnfq dump -q NUM[:NUM] [-n NETNS]... [OPTIONS]\n"
	       "\n"
	       "Print the packets that reach a queue, one line each, and decide them.\n"
	       "\n"
	       "  -q, --queue NUM[:NUM]  the queue, or all queues from the first to the last\n"
	       "  -n, --netns NETNS      in the namespace of this name, path or pid (*)\n"
	       "      --fd N             on a netlink socket passed in as descriptor N (*)\n"
	       "      --from PATH        on one given away there (mnfq share --listen) (*)\n"
	       "      --listen PATH      on all handed over there (mnfq share --connect)\n"
	       "      --mode MODE        who may connect, in octal (default: 0600)\n"
	       "      --allow-uid UID    of those only this user (*)\n"
	       "      --max-per-uid N    namespaces of one user (default: %u)\n"
	       "      --lend-rights      serve sockets whose openers had no rights, too\n"
	       "      --allow-plain      also take sockets sent without mnfq's header\n"
	       "      --all-netns        in all namespaces, as they come and go\n"
	       "      --exclude NETNS    of all but this one, or self (*)\n"
	       "      --keep             at the end leave the queues to the service manager\n"
	       "      --threads N        share the queues among N threads, a socket each\n"
	       "  -c, --count COUNT      end after COUNT packets\n"
	       "      --quiet            print no packets\n"
	       "      --json             print one JSON object per line\n"
	       "      --when-blocked DO  if nobody reads: drop-lines (default), wait or exit\n"
	       "      --verdict VERDICT  accept (default), drop, repeat, stop or queue:NUM\n"
	       "      --mark N[/MASK]    set these bits of the mark of each packet\n"
	       "      --set-priority P   set this priority: a number, or MAJOR:MINOR as in tc\n"
	       "      --ct-mark N[/MASK] set these bits of the mark of its connection\n"
	       "      --busy-poll USEC   poll this long for packets before sleeping\n"
	       "      --coalesce USEC    have packets gather for so long where they come fast\n"
	       "      --receive-buffer N bytes for packets on their way to us (default: 64 MiB)\n"
	       "      --max-len N        packets that the kernel holds for us (default: %u)\n"
	       "      --copy MODE        none, meta, packet (default) or packet:BYTES\n"
	       "      --fail-open        accept packets unseen while the queue is full\n"
	       "      --no-gso           have large packets split before they are queued\n"
	       "      --uid-gid          print user and group of local senders\n"
	       "      --secctx           print the security context of local senders\n"
	       "      --conntrack        print what is known of each packet's connection\n"
	       "      --no-sandbox       give up no rights, for debuggers\n"
	       "  -h, --help             print this\n"
	       "\n"
	       "(*) may be given several times.\n"
	       "Ends with SIGINT, SIGTERM or SIGHUP, and prints the counters, as with SIGUSR1\n"
	       "at any time. See mnfq-dump(1).\n",
	       MAX_PER_UID, MNFQ_MAX_LEN_DEFAULT);
	return EXIT_SUCCESS;
}

enum {
	DUMP_OPT_FD = 256,
	DUMP_OPT_FROM,
	DUMP_OPT_LISTEN,
	DUMP_OPT_MODE,
	DUMP_OPT_ALLOW_UID,
	DUMP_OPT_ALLOW_PLAIN,
	DUMP_OPT_LEND_RIGHTS,
	DUMP_OPT_MAX_PER_UID,
	DUMP_OPT_ALL_NETNS,
	DUMP_OPT_EXCLUDE,
	DUMP_OPT_KEEP,
	DUMP_OPT_NO_SANDBOX,
	DUMP_OPT_THREADS,
	DUMP_OPT_BUSY_POLL,
	DUMP_OPT_COALESCE,
	DUMP_OPT_QUIET,
	DUMP_OPT_JSON,
	DUMP_OPT_WHEN_BLOCKED,
	DUMP_OPT_VERDICT,
	DUMP_OPT_MARK,
	DUMP_OPT_SET_PRIORITY,
	DUMP_OPT_CT_MARK,
	DUMP_OPT_RECEIVE_BUFFER,
	DUMP_OPT_MAX_LEN,
	DUMP_OPT_COPY,
	DUMP_OPT_FAIL_OPEN,
	DUMP_OPT_NO_GSO,
	DUMP_OPT_UID_GID,
	DUMP_OPT_SECCTX,
	DUMP_OPT_CONNTRACK,
};

static const struct option dump_long_options[] = {
	{ "queue", required_argument, NULL, 'q' },
	{ "netns", required_argument, NULL, 'n' },
	{ "fd", required_argument, NULL, DUMP_OPT_FD },
	{ "from", required_argument, NULL, DUMP_OPT_FROM },
	{ "listen", required_argument, NULL, DUMP_OPT_LISTEN },
	{ "mode", required_argument, NULL, DUMP_OPT_MODE },
	{ "allow-uid", required_argument, NULL, DUMP_OPT_ALLOW_UID },
	{ "allow-plain", no_argument, NULL, DUMP_OPT_ALLOW_PLAIN },
	{ "max-per-uid", required_argument, NULL, DUMP_OPT_MAX_PER_UID },
	{ "lend-rights", no_argument, NULL, DUMP_OPT_LEND_RIGHTS },
	{ "all-netns", no_argument, NULL, DUMP_OPT_ALL_NETNS },
	{ "exclude", required_argument, NULL, DUMP_OPT_EXCLUDE },
	{ "keep", no_argument, NULL, DUMP_OPT_KEEP },
	{ "no-sandbox", no_argument, NULL, DUMP_OPT_NO_SANDBOX },
	{ "threads", required_argument, NULL, DUMP_OPT_THREADS },
	{ "busy-poll", required_argument, NULL, DUMP_OPT_BUSY_POLL },
	{ "coalesce", required_argument, NULL, DUMP_OPT_COALESCE },
	{ "count", required_argument, NULL, 'c' },
	{ "quiet", no_argument, NULL, DUMP_OPT_QUIET },
	{ "json", no_argument, NULL, DUMP_OPT_JSON },
	{ "when-blocked", required_argument, NULL, DUMP_OPT_WHEN_BLOCKED },
	{ "verdict", required_argument, NULL, DUMP_OPT_VERDICT },
	{ "mark", required_argument, NULL, DUMP_OPT_MARK },
	{ "set-priority", required_argument, NULL, DUMP_OPT_SET_PRIORITY },
	{ "ct-mark", required_argument, NULL, DUMP_OPT_CT_MARK },
	{ "receive-buffer", required_argument, NULL, DUMP_OPT_RECEIVE_BUFFER },
	{ "max-len", required_argument, NULL, DUMP_OPT_MAX_LEN },
	{ "copy", required_argument, NULL, DUMP_OPT_COPY },
	{ "fail-open", no_argument, NULL, DUMP_OPT_FAIL_OPEN },
	{ "no-gso", no_argument, NULL, DUMP_OPT_NO_GSO },
	{ "uid-gid", no_argument, NULL, DUMP_OPT_UID_GID },
	{ "secctx", no_argument, NULL, DUMP_OPT_SECCTX },
	{ "conntrack", no_argument, NULL, DUMP_OPT_CONNTRACK },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int take_place(struct dump_options *opts, struct place place)
{
	struct place *places;

	if (opts->place_count == PLACES_MAX)
		return fail_usage(DUMP_NAME,
				  "at most %d namespaces can be named: see --all-netns",
				  PLACES_MAX);
	places = reallocarray(opts->places, opts->place_count + 1, sizeof(*places));
	if (!places)
		return fail(DUMP_NAME, "out of memory");
	opts->places = places;
	opts->places[opts->place_count++] = place;
	return 0;
}

static int take_fd(struct dump_options *opts)
{
	uint64_t value;
	int status = take_number(DUMP_NAME, "--fd", 0, INT_MAX, &value);

	return status ? status
		      : take_place(opts, (struct place){ .kind = PLACE_FD,
							 .text = optarg,
							 .fd = (int)value,
							 .lend = true });
}

static int dump_take_mode(struct dump_options *opts)
{
	opts->has_mode = true;
	if (parse_mode(optarg, &opts->mode) == 0)
		return 0;
	return fail_usage(DUMP_NAME, "--mode %s: give an octal number from 0 to 0777", optarg);
}

static int dump_take_uid(struct dump_options *opts)
{
	uint64_t value;
	int status = take_number(DUMP_NAME, "--allow-uid", 0, UINT32_MAX - 1, &value);

	if (status)
		return status;
	if (opts->allowed_count == UIDS_MAX)
		return fail_usage(DUMP_NAME, "--allow-uid: %d at most, better a group and --mode",
				  UIDS_MAX);
	opts->allowed_uids[opts->allowed_count++] = (uint32_t)value;
	return 0;
}

static int take_excluded(struct dump_options *opts)
{
	if (opts->excluded_count == PLACES_MAX)
		return fail_usage(DUMP_NAME, "--exclude: %d namespaces at most", PLACES_MAX);
	opts->excluded[opts->excluded_count++] = optarg;
	return 0;
}

static int take_queues(struct dump_options *opts)
{
	if (opts->has_queues)
		return fail_usage(DUMP_NAME, "-q was given twice: FIRST:LAST gives a range");
	if (parse_queues(optarg, &opts->first, &opts->last) < 0)
		return fail_usage(DUMP_NAME,
				  "-q %s: give a queue from 0 to 65535, or FIRST:LAST in order",
				  optarg);
	if (opts->last - opts->first >= QUEUES_MAX)
		return fail_usage(DUMP_NAME, "-q %s: give %u queues at most", optarg, QUEUES_MAX);
	opts->has_queues = true;
	return 0;
}

static int take_verdict(struct dump_options *opts)
{
	if (parse_verdict(optarg, &opts->verdict) == 0) {
		format_verdict(opts->verdict_text, opts->verdict);
		return 0;
	}
	return fail_usage(DUMP_NAME,
			  "--verdict %s: give accept, drop, repeat, stop, or queue:NUM with a "
			  "queue from 0 to 65535",
			  optarg);
}

static int take_when_blocked(struct dump_options *opts)
{
	static const char *const words[] = {
		[OUTPUT_DROP] = "drop-lines", [OUTPUT_WAIT] = "wait", [OUTPUT_EXIT] = "exit"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(optarg, words[i]) == 0) {
			opts->when_blocked = (enum output_blocked)i;
			return 0;
		}
	}
	return fail_usage(DUMP_NAME, "--when-blocked %s: give drop-lines, wait or exit", optarg);
}

static int take_copy(struct dump_options *opts)
{
	struct mnfq_queue_options *queue = &opts->queue;

	if (parse_copy(optarg, &queue->copy_mode, &queue->copy_range) == 0)
		return 0;
	return fail_usage(DUMP_NAME,
			  "--copy %s: give none, meta, packet, or packet:BYTES, 1 to %u", optarg,
			  MNFQ_COPY_RANGE_MAX);
}

static int take_priority(struct dump_options *opts)
{
	opts->has_priority = true;
	if (parse_priority(optarg, &opts->priority) == 0)
		return 0;
	return fail_usage(DUMP_NAME,
			  "--set-priority %s: give a number from 0 to 4294967295, or MAJOR:MINOR "
			  "in hexadecimal",
			  optarg);
}

static int take_masked(const char *option, uint32_t *value, uint32_t *mask)
{
	int err = parse_masked(optarg, value, mask);

	if (err == -EDOM)
		return fail_usage(DUMP_NAME,
				  "%s %s: the mask must not be 0, and must contain all bits "
				  "of the mark",
				  option, optarg);
	if (err)
		return fail_usage(DUMP_NAME,
				  "%s %s: give a number from 0 to 4294967295, or N/MASK", option,
				  optarg);
	return 0;
}

static int take_threads(struct dump_options *opts)
{
	uint64_t value;
	int status = take_number(DUMP_NAME, "--threads", 1, QUEUES_MAX, &value);

	if (!status)
		opts->threads = (uint16_t)value;
	return status;
}

/* Options with a number. */
static int take_value(struct dump_options *opts, int option)
{
	uint64_t value;
	int status;

	switch (option) {
	case 'c':
		return take_number(DUMP_NAME, "-c", 1, UINT64_MAX, &opts->count);
	case DUMP_OPT_BUSY_POLL:
		status = take_number(DUMP_NAME, "--busy-poll", 0, 1000000, &value);
		if (!status)
			opts->busy_poll_us = (uint32_t)value;
		return status;
	case DUMP_OPT_COALESCE:
		status = take_number(DUMP_NAME, "--coalesce", 0, 10000, &value);
		if (!status)
			opts->coalesce_us = (uint32_t)value;
		return status;
	case DUMP_OPT_MAX_PER_UID:
		status = take_number(DUMP_NAME, "--max-per-uid", 1, UINT32_MAX, &value);
		if (!status)
			opts->max_per_uid = (uint32_t)value;
		return status;
	case DUMP_OPT_RECEIVE_BUFFER:
		status = take_number(DUMP_NAME, "--receive-buffer", 1, INT32_MAX, &value);
		if (!status)
			opts->receive_buffer = (uint32_t)value;
		return status;
	default:
		status = take_number(DUMP_NAME, "--max-len", 1, UINT32_MAX, &value);
		if (!status)
			opts->queue.max_len = (uint32_t)value;
		return status;
	}
}

/* Options without an argument; whether it is one. */
static bool take_switch(struct dump_options *opts, int option)
{
	switch (option) {
	case DUMP_OPT_QUIET:
		opts->quiet = true;
		return true;
	case DUMP_OPT_JSON:
		opts->json = true;
		return true;
	case DUMP_OPT_ALLOW_PLAIN:
		opts->allow_plain = true;
		return true;
	case DUMP_OPT_LEND_RIGHTS:
		opts->lend_rights = true;
		return true;
	case DUMP_OPT_ALL_NETNS:
		opts->all_netns = true;
		return true;
	case DUMP_OPT_KEEP:
		opts->keep = true;
		return true;
	case DUMP_OPT_NO_SANDBOX:
		opts->no_sandbox = true;
		return true;
	case DUMP_OPT_FAIL_OPEN:
		opts->queue.flags |= MNFQ_QUEUE_FAIL_OPEN;
		return true;
	case DUMP_OPT_NO_GSO:
		opts->queue.flags |= MNFQ_QUEUE_NO_GSO;
		return true;
	case DUMP_OPT_UID_GID:
		opts->queue.flags |= MNFQ_QUEUE_UID_GID;
		return true;
	case DUMP_OPT_SECCTX:
		opts->queue.flags |= MNFQ_QUEUE_SECCTX;
		return true;
	case DUMP_OPT_CONNTRACK:
		opts->queue.flags |= MNFQ_QUEUE_CONNTRACK;
		return true;
	default:
		return false;
	}
}

/* Returns 0 or the exit status. */
static int dump_take_option(struct dump_options *opts, int option, char **argv)
{
	if (take_switch(opts, option))
		return 0;
	switch (option) {
	case 'q':
		return take_queues(opts);
	case 'n':
		return take_place(opts, (struct place){ .kind = PLACE_NETNS, .text = optarg });
	case DUMP_OPT_FROM:
		return take_place(opts, (struct place){ .kind = PLACE_FROM, .text = optarg });
	case DUMP_OPT_FD:
		return take_fd(opts);
	case DUMP_OPT_LISTEN:
		opts->listen = optarg;
		return 0;
	case DUMP_OPT_MODE:
		return dump_take_mode(opts);
	case DUMP_OPT_ALLOW_UID:
		return dump_take_uid(opts);
	case DUMP_OPT_EXCLUDE:
		return take_excluded(opts);
	case DUMP_OPT_THREADS:
		return take_threads(opts);
	case DUMP_OPT_VERDICT:
		return take_verdict(opts);
	case DUMP_OPT_WHEN_BLOCKED:
		return take_when_blocked(opts);
	case DUMP_OPT_SET_PRIORITY:
		return take_priority(opts);
	case DUMP_OPT_MARK:
		opts->has_mark = true;
		return take_masked("--mark", &opts->mark, &opts->mark_mask);
	case DUMP_OPT_CT_MARK: /* without the data of the connection nobody knows which one it is */
		opts->has_ct_mark = true;
		opts->queue.flags |= MNFQ_QUEUE_CONNTRACK;
		return take_masked("--ct-mark", &opts->ct_mark, &opts->ct_mark_mask);
	case DUMP_OPT_COPY:
		return take_copy(opts);
	case ':':
	case '?':
		return fail_option(DUMP_NAME, option, argv);
	default:
		return take_value(opts, option);
	}
}

/* A packet that came back to us for ever would take the machine with it. */
static int check_loop(const struct dump_options *opts)
{
	if (opts->verdict == MNFQ_REPEAT && !opts->has_mark)
		return fail_usage(DUMP_NAME,
				  "--verdict repeat sends packets through the same rule "
				  "again, for ever: set a --mark by which the rule can tell "
				  "them");
	for (uint32_t num = opts->first; num <= opts->last; num++)
		if (opts->verdict == mnfq_verdict_queue((uint16_t)num))
			return fail_usage(DUMP_NAME,
					  "--verdict %s hands packets to a queue that we read, "
					  "for ever: give another queue",
					  opts->verdict_text);
	return 0;
}

/* Whether one of the places is of a kind. */
static bool has_place(const struct dump_options *opts, int kind)
{
	for (size_t i = 0; i < opts->place_count; i++)
		if ((int)opts->places[i].kind == kind)
			return true;
	return false;
}

/* A queue belongs to one socket, and so does a thread. */
static int check_threads(const struct dump_options *opts)
{
	if (opts->threads > opts->last - opts->first + 1)
		return fail_usage(DUMP_NAME,
				  "--threads %u is more than there are queues: give a range of "
				  "%u or more, as for --queue-balance",
				  opts->threads, opts->threads);
	if (opts->threads > 1 && (has_place(opts, PLACE_FD) || has_place(opts, PLACE_FROM)))
		return fail_usage(DUMP_NAME,
				  "--threads and --fd or --from exclude each other: one passed "
				  "socket is for one thread");
	if (opts->threads > 1 && (opts->place_count > 1 || opts->listen || opts->all_netns))
		return fail_usage(DUMP_NAME,
				  "--threads is for one namespace: several share one thread");
	return 0;
}

static int check_places(const struct dump_options *opts)
{
	if (opts->lend_rights && opts->place_count > 0 && !opts->listen &&
	    !has_place(opts, PLACE_FROM))
		return fail_usage(DUMP_NAME,
				  "--lend-rights is for sockets that others pass in: see "
				  "--listen and --from");
	if (has_place(opts, PLACE_NETNS) && has_place(opts, PLACE_FD))
		return fail_usage(DUMP_NAME,
				  "-n and --fd exclude each other: a passed socket has "
				  "its namespace already");
	if (opts->busy_poll_us > 0 && (opts->place_count > 1 || opts->listen || opts->all_netns))
		return fail_usage(DUMP_NAME, "--busy-poll is for one namespace");
	if (opts->coalesce_us > 0 && (opts->place_count > 1 || opts->listen || opts->all_netns))
		return fail_usage(DUMP_NAME, "--coalesce is for one namespace");
	if (opts->coalesce_us > 0 && opts->busy_poll_us > 0)
		return fail_usage(DUMP_NAME, "--coalesce and --busy-poll exclude each other");
	if (opts->has_mode && !opts->listen)
		return fail_usage(DUMP_NAME, "--mode is for --listen");
	if (opts->excluded_count > 0 && !opts->all_netns)
		return fail_usage(DUMP_NAME, "--exclude is for --all-netns");
	if (opts->keep && !getenv("NOTIFY_SOCKET"))
		return fail_usage(DUMP_NAME, "--keep: there is no service manager to keep them "
					     "(NOTIFY_SOCKET is not set)");
	return 0;
}

static int dump_check_options(const struct dump_options *opts, int argc, char **argv)
{
	if (optind < argc)
		return fail_usage(DUMP_NAME, "unexpected argument '%s'", argv[optind]);
	if (!opts->has_queues)
		return fail_usage(DUMP_NAME, "which queue? give -q NUM");
	return check_places(opts) || check_threads(opts) || check_loop(opts) ? EXIT_USAGE : 0;
}

bool take_dump_options(struct dump_options *opts, int argc, char **argv, int *status)
{
	int option;

	*opts = (struct dump_options){ .threads = 1,
				       .max_per_uid = MAX_PER_UID,
				       .verdict_text = "accept",
				       .verdict = MNFQ_ACCEPT };
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":q:n:c:h", dump_long_options, NULL)) != -1) {
		if (option == 'h') {
			*status = dump_print_help();
			return false;
		}
		*status = dump_take_option(opts, option, argv);
		if (*status)
			return false;
	}
	*status = dump_check_options(opts, argc, argv);
	return *status == 0;
}
