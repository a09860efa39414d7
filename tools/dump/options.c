/* SPDX-License-Identifier: MIT */
/* mnfq dump: its command line. */
#include "dump/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/options.h"
#include "common/parse.h"
#include "common/program.h"

#define QUEUES_MAX 4096 /* the kernel finds queues in time that grows with their number */

/* ---- setters ---------------------------------------------------------------------------- */

static int set_queues(void *data, const char *argument)
{
	struct dump_options *opts = data;
	int err = parse_queues(argument, &opts->first, &opts->last);

	if (opts->has_queues)
		return fail_usage(DUMP_NAME,
				  "-q can be given only once: use FIRST:LAST for a range");
	if (!err && opts->last - opts->first >= QUEUES_MAX)
		return fail_usage(DUMP_NAME, "-q %s: at most %u queues are possible", argument,
				  QUEUES_MAX);
	opts->has_queues = true;
	return err;
}

static int add_spec(struct dump_options *opts, struct socket_spec spec)
{
	struct socket_spec *specs;

	if (opts->spec_count == SPECS_MAX)
		return fail_usage(DUMP_NAME,
				  "at most %d namespaces can be named: see --all-netns",
				  SPECS_MAX);
	specs = reallocarray(opts->specs, opts->spec_count + 1, sizeof(*specs));
	if (!specs)
		return fail(DUMP_NAME, "out of memory");
	opts->specs = specs;
	opts->specs[opts->spec_count++] = spec;
	return 0;
}

/* Without an argument it is that of tcpdump: names of hosts are never looked up. */
static int set_netns(void *opts, const char *argument)
{
	if (!argument)
		return 0;
	return add_spec(opts, (struct socket_spec){ .kind = SPEC_NETNS, .text = argument });
}

static int set_from(void *opts, const char *argument)
{
	return add_spec(opts, (struct socket_spec){ .kind = SPEC_FROM, .text = argument });
}

static int set_fd(void *opts, const char *argument)
{
	struct socket_spec spec = { .kind = SPEC_FD, .text = argument, .lend = true };
	uint64_t fd = 0;
	int err = parse_number(argument, 0, INT_MAX, &fd);

	spec.fd = (int)fd;
	return err ? err : add_spec(opts, spec);
}

static int set_exclude(void *data, const char *argument)
{
	struct dump_options *opts = data;

	if (opts->excluded_count == SPECS_MAX)
		return fail_usage(DUMP_NAME, "--exclude: at most %d namespaces", SPECS_MAX);
	opts->excluded[opts->excluded_count++] = argument;
	return 0;
}

static int set_verdict(void *data, const char *argument)
{
	struct dump_options *opts = data;
	int err = parse_verdict(argument, &opts->verdict);

	if (!err)
		format_verdict(opts->verdict_text, opts->verdict);
	return err;
}

/* Returns the number of the word, or -EINVAL. */
static int find_choice(const char *const *words, size_t count, const char *argument)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(argument, words[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static int set_when_blocked(void *data, const char *argument)
{
	static const char *const words[] = {
		[OUTPUT_DROP] = "drop-lines", [OUTPUT_WAIT] = "wait", [OUTPUT_EXIT] = "exit"
	};
	struct dump_options *opts = data;
	const int choice = find_choice(words, 3, argument);

	opts->when_blocked = choice < 0 ? OUTPUT_DROP : (enum output_blocked)choice;
	return choice < 0 ? choice : 0;
}

static int set_color(void *data, const char *argument)
{
	return color_parse(argument, &((struct dump_options *)data)->color);
}

static int set_payload(void *data, const char *argument)
{
	static const char *const words[] = { "hex", "base64" };
	struct dump_options *opts = data;
	const int choice = find_choice(words, 2, argument);

	opts->print.payload = choice == 0 ? PRINT_HEX : PRINT_BASE64;
	return choice < 0 ? choice : 0;
}

static int set_copy(void *data, const char *argument)
{
	struct mnfq_queue_options *queue = &((struct dump_options *)data)->queue;

	return parse_copy(argument, &queue->copy_mode, &queue->copy_range);
}

static int set_priority(void *data, const char *argument)
{
	struct dump_options *opts = data;

	opts->has_priority = true;
	return parse_priority(argument, &opts->priority);
}

static int set_masked(const char *option, const char *argument, uint32_t *value, uint32_t *mask)
{
	int err = parse_masked(argument, value, mask);

	if (err != -EDOM)
		return err;
	return fail_usage(DUMP_NAME,
			  "%s %s: the mask must not be 0, and must contain all bits of the mark",
			  option, argument);
}

static int set_mark(void *data, const char *argument)
{
	struct dump_options *opts = data;

	opts->has_mark = true;
	return set_masked("--mark", argument, &opts->mark, &opts->mark_mask);
}

/* The connection of a packet is known only with its conntrack data. */
static int set_ct_mark(void *data, const char *argument)
{
	struct dump_options *opts = data;

	opts->has_ct_mark = true;
	opts->queue.flags |= MNFQ_QUEUE_CONNTRACK;
	return set_masked("--ct-mark", argument, &opts->ct_mark, &opts->ct_mark_mask);
}

/* ---- the table -------------------------------------------------------------------------- */

#define MAX_PER_UID_DEFAULT 256u
_Static_assert(MNFQ_MAX_LEN_DEFAULT == 1024, "the help of --max-len has it");

#define MASKED             "N or N/MASK, numbers from 0 to 4294967295"
#define DUMP_AT(field)     .offset = offsetof(struct dump_options, field)
#define BOOL(field)        .kind = OPTION_BOOL, DUMP_AT(field)
#define FLAG(bits)         .kind = OPTION_FLAG, DUMP_AT(queue.flags), .max = (bits)
#define COUNT(field, most) .kind = OPTION_COUNT, DUMP_AT(field), .max = (most), .repeatable = true
#define NUMBER(type, field, from, to)                                                            \
	.kind = OPTION_##type, DUMP_AT(field), .min = (from), .max = (to)

static const struct option_row dump_rows[] = {
	{ "queue", 'q', "NUM[:NUM]", .set = set_queues,
	  .expected = "a queue number from 0 to 65535, or FIRST:LAST",
	  .help = "queue number, or a range of them" },
	{ "netns", 'n', "NETNS", .set = set_netns, .bare = BARE_LETTER, .repeatable = true,
	  .complete = "NETNS", .help = "network namespace: name, path or process id" },
	{ "fd", 0, "N", .set = set_fd, .repeatable = true, .expected = "a descriptor number",
	  .help = "use the netlink socket inherited as descriptor N" },
	{ "from", 0, "PATH", .set = set_from, .repeatable = true, .complete = "FILE",
	  .help = "receive a socket at PATH (see mnfq share --listen)" },
	{ "listen", 0, "PATH", OPTION_TEXT, DUMP_AT(listen), .complete = "FILE",
	  .help = "serve sockets handed over at PATH\n(see mnfq share --connect)" },
	OPTION_ROW_MODE(struct dump_options),
	OPTION_ROW_ALLOW_UID(struct dump_options, "only accept sockets from this user"),
	{ "max-per-uid", 0, "N", NUMBER(U32, max_per_uid, 1, UINT32_MAX),
	  .help = "namespaces per user at most (default: 256)" },
	{ "lend-rights", BOOL(lend_rights),
	  .help = "also serve sockets opened without CAP_NET_ADMIN" },
	{ "allow-plain", BOOL(allow_plain),
	  .help = "also accept sockets sent without mnfq's header" },
	{ "all-netns", BOOL(all_netns), .help = "serve all namespaces as they come and go" },
	{ "exclude", 0, "NETNS", .set = set_exclude, .repeatable = true, .complete = "NETNS",
	  .help = "with --all-netns: not this one; self: our own" },
	{ "keep", BOOL(keep), .help = "leave the queues to the service manager at exit" },
	{ "threads", 0, "N", NUMBER(U16, threads, 1, QUEUES_MAX),
	  .help = "share the queues among N threads (default: 1)" },
	{ "count", 'c', "COUNT", NUMBER(U64, count, 1, UINT64_MAX),
	  .help = "exit after COUNT packets" },
	{ "quiet", BOOL(quiet), .help = "do not print packets" },
	{ "verbose", 'v', BOOL(print.verbose), .help = "print more of each packet" },
	{ "time", 't', COUNT(times, TIME_STYLES - 1),
	  .help = "no time; -tt: seconds since 1970; -ttt: since the\nprevious line; -tttt: with the date; -ttttt: since\nthe first line" },
	{ "hex", 'x', COUNT(print.hex, 2),
	  .help = "print the bytes; -xx: with the link-layer header" },
	{ "hex-ascii", 'X', COUNT(print.hex_ascii, 2), .help = "the same, also as characters" },
	{ "ascii", 'A', COUNT(print.ascii, 2), .help = "print the bytes as characters alone" },
	{ "names", BOOL(names), .help = "print names of ports" },
	{ "color", 0, "WHEN", .set = set_color, .complete = COLOR_WORDS,
	  .expected = COLOR_EXPECTED, .help = "auto (default: on a terminal), always or never" },
	{ "json", BOOL(print.json), .help = "print one JSON object per line" },
	{ "payload", 0, "FORMAT", .set = set_payload, .complete = "hex base64",
	  .expected = "hex or base64", .help = "with --json: the payload in hex or base64" },
	{ "when-blocked", 0, "ACTION", .set = set_when_blocked,
	  .complete = "drop-lines wait exit", .expected = "drop-lines, wait or exit",
	  .help = "while stdout is not read: drop-lines (default),\nwait or exit" },
	{ "verdict", 0, "VERDICT", .set = set_verdict,
	  .complete = "accept drop repeat stop queue:",
	  .expected = "accept, drop, repeat, stop or queue:NUM, NUM from 0 to 65535",
	  .help = "accept (default), drop, repeat, stop, queue:NUM" },
	{ "mark", 0, "N[/MASK]", .set = set_mark, .expected = MASKED,
	  .help = "set the packet mark" },
	{ "set-priority", 0, "PRIORITY", .set = set_priority,
	  .expected = "a number from 0 to 4294967295, or MAJOR:MINOR in hexadecimal",
	  .help = "set the packet priority: number or MAJOR:MINOR" },
	{ "ct-mark", 0, "N[/MASK]", .set = set_ct_mark, .expected = MASKED,
	  .help = "set the connection mark" },
	{ "busy-poll", 0, "USEC", NUMBER(U32, busy_poll_us, 0, 1000000),
	  .help = "poll for packets this long before sleeping" },
	{ "coalesce", 0, "USEC", NUMBER(U32, coalesce_us, 0, 10000),
	  .help = "wait this long to gather packets while they come fast" },
	{ "receive-buffer", 0, "BYTES", NUMBER(U32, receive_buffer, 1, INT32_MAX),
	  .help = "receive buffer of the socket (default: 64 MiB)" },
	{ "max-len", 0, "N", NUMBER(U32, queue.max_len, 1, INT32_MAX),
	  .help = "queue length in packets (default: 1024)" },
	{ "copy", 0, "MODE", .set = set_copy, .complete = "none meta packet packet:",
	  .expected = "none, meta, packet or packet:BYTES, BYTES from 1 to 65531",
	  .help = "none, meta, packet (default) or packet:BYTES" },
	{ "fail-open", FLAG(MNFQ_QUEUE_FAIL_OPEN),
	  .help = "accept packets unseen while the queue is full" },
	{ "no-gso", FLAG(MNFQ_QUEUE_NO_GSO),
	  .help = "have the kernel segment large packets first" },
	{ "uid-gid", FLAG(MNFQ_QUEUE_UID_GID), .help = "print user and group of local senders" },
	{ "secctx", FLAG(MNFQ_QUEUE_SECCTX),
	  .help = "print the security context of local senders" },
	{ "conntrack", FLAG(MNFQ_QUEUE_CONNTRACK), .help = "print connection tracking data" },
	{ "no-sandbox", BOOL(no_sandbox), .help = "keep all privileges (for debugging)" },
	OPTION_ROW_HELP,
};

static const struct option_table dump_table = {
	.command = DUMP_NAME,
	.usage = "Usage: mnfq dump -q NUM[:NUM] [-n NETNS]... [OPTIONS]\n"
		 "       mnfq dump -q NUM[:NUM] [--fd N]... [--from PATH]... [OPTIONS]\n"
		 "       mnfq dump -q NUM[:NUM] --listen PATH [OPTIONS]\n"
		 "       mnfq dump -q NUM[:NUM] --all-netns [--exclude NETNS]... [OPTIONS]",
	.summary = "Print the packets that reach a queue, one line each, and decide them.",
	.rows = dump_rows,
	.count = sizeof(dump_rows) / sizeof(dump_rows[0]),
	.footer =
		"Options with ... may be repeated. SIGUSR1 prints the counters, which are also\n"
		"printed at exit. See mnfq-dump(1).\n",
};

/* ---- checks ----------------------------------------------------------------------------- */

/* Packets that keep coming back would stall the machine. */
static int check_loop(const struct dump_options *opts)
{
	if (opts->verdict == MNFQ_REPEAT && !opts->has_mark)
		return fail_usage(DUMP_NAME,
				  "--verdict repeat requires --mark, by which the rule can "
				  "exclude repeated packets: they would loop forever");
	for (uint32_t num = opts->first; num <= opts->last; num++)
		if (opts->verdict == mnfq_verdict_queue((uint16_t)num))
			return fail_usage(
				DUMP_NAME,
				"--verdict %s would loop forever, since we read that queue: "
				"use another queue",
				opts->verdict_text);
	return 0;
}

static bool has_spec(const struct dump_options *opts, int kind)
{
	for (size_t i = 0; i < opts->spec_count; i++)
		if ((int)opts->specs[i].kind == kind)
			return true;
	return false;
}

static bool has_several_netns(const struct dump_options *opts)
{
	return opts->spec_count > 1 || opts->listen || opts->all_netns;
}

/* A queue belongs to one socket, and a socket to one thread. */
static int check_threads(const struct dump_options *opts)
{
	if (opts->threads <= opts->last - opts->first + 1)
		return 0;
	return fail_usage(DUMP_NAME,
			  "--threads %u exceeds the number of queues: use a range of %u or more, "
			  "as with --queue-balance",
			  opts->threads, opts->threads);
}

static int check_specs(const struct dump_options *opts)
{
	const bool has_fd = has_spec(opts, SPEC_FD), has_from = has_spec(opts, SPEC_FROM);
	const struct {
		bool wrong;
		const char *errmsg;
	} checks[] = {
		{ opts->lend_rights && opts->spec_count > 0 && !opts->listen && !has_from,
		  "--lend-rights applies to sockets of other processes: see --listen and --from" },
		{ has_fd && has_spec(opts, SPEC_NETNS),
		  "-n and --fd cannot be combined: an inherited socket already has its namespace" },
		{ opts->threads > 1 && (has_fd || has_from),
		  "--threads cannot be combined with --fd or --from: each thread needs a socket" },
		{ opts->threads > 1 && has_several_netns(opts),
		  "--threads works with one namespace only" },
		{ opts->busy_poll_us > 0 && has_several_netns(opts),
		  "--busy-poll works with one namespace only" },
		{ opts->coalesce_us > 0 && has_several_netns(opts),
		  "--coalesce works with one namespace only" },
		{ opts->coalesce_us > 0 && opts->busy_poll_us > 0,
		  "--coalesce and --busy-poll cannot be combined" },
		{ opts->mode != MODE_UNSET && !opts->listen, "--mode requires --listen" },
		{ opts->print.payload && !opts->print.json, "--payload requires --json" },
		{ opts->excluded_count > 0 && !opts->all_netns,
		  "--exclude requires --all-netns" },
		{ opts->keep && !getenv("NOTIFY_SOCKET"),
		  "--keep requires a service manager: NOTIFY_SOCKET is not set" },
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].wrong)
			return fail_usage(DUMP_NAME, "%s", checks[i].errmsg);
	return 0;
}

bool dump_parse_options(struct dump_options *opts, int argc, char **argv, int *status)
{
	*opts = (struct dump_options){ .threads = 1,
				       .mode = MODE_UNSET,
				       .max_per_uid = MAX_PER_UID_DEFAULT,
				       .verdict_text = "accept",
				       .verdict = MNFQ_ACCEPT };
	if (!options_parse(&dump_table, opts, argc, argv, status))
		return false;
	if (!opts->has_queues)
		*status = fail_usage(DUMP_NAME, "no queue given: use -q NUM");
	else if (check_specs(opts) || check_threads(opts) || check_loop(opts))
		*status = EXIT_USAGE;
	return *status == 0;
}

/* ---- questions about them --------------------------------------------------------------- */

size_t options_queue_count(const struct dump_options *opts)
{
	return opts->last - opts->first + 1u;
}

bool spec_is_private(const struct socket_spec *spec)
{
	return spec->kind == SPEC_HERE || spec->kind == SPEC_NETNS;
}

/* A path may lead elsewhere in other processes, as /dev/fd does. */
bool spec_is_name(const struct socket_spec *spec)
{
	return spec->kind == SPEC_NETNS && !strchr(spec->text, '/');
}

bool options_have_name(const struct dump_options *opts)
{
	for (size_t i = 0; i < opts->spec_count; i++)
		if (spec_is_name(&opts->specs[i]))
			return true;
	return false;
}
