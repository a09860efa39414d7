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

static int set_copy(void *data, const char *argument)
{
	struct mnfq_queue_options *queue = &((struct dump_options *)data)->queue;

	return parse_copy(argument, &queue->copy_mode, &queue->copy_range);
}

_Static_assert(offsetof(struct dump_options, packets) == 0,
	       "setters of PACKET_ROWS get a struct packet_options");

/* ---- the table -------------------------------------------------------------------------- */

#define MAX_PER_UID_DEFAULT 256u
_Static_assert(MNFQ_MAX_LEN_DEFAULT == 1024, "the help of --max-len has it");

#define DUMP_AT(field) .offset = offsetof(struct dump_options, field)
#define BOOL(field)    .kind = OPTION_BOOL, DUMP_AT(field)
#define FLAG(bits)     .kind = OPTION_FLAG, DUMP_AT(queue.flags), .max = (bits)
#define NUMBER(type, field, from, to)                                                            \
	.kind = OPTION_##type, DUMP_AT(field), .min = (from), .max = (to)

static const struct option_row dump_rows[] = {
	{ "read", 'r', "FILE", OPTION_TEXT, DUMP_AT(read), .complete = "FILE",
	  .help = "print packets of a capture instead, -: of stdin" },
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
	PACKET_ROWS,
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
	PACKET_ROW_SANDBOX,
	OPTION_ROW_HELP,
	OPTION_ROW_VERSION,
};

/* What is of use with a file. */
static const struct option_row read_rows[] = { PACKET_ROWS, PACKET_ROW_SANDBOX };

static bool is_of_file(const struct option_row *row)
{
	for (size_t i = 0; i < sizeof(read_rows) / sizeof(read_rows[0]); i++)
		if (strcmp(row->name, read_rows[i].name) == 0)
			return true;
	return strcmp(row->name, "read") == 0;
}

static void note_option(void *data, const struct option_row *row, const char *argument)
{
	struct dump_options *opts = data;

	if (!is_of_file(row) && !(row->bare && !argument)) /* see set_netns() */
		opts->of_queues = row;
}

/* Of tcpdump, whose users type them from habit. */
static const struct option_hint tcpdump_hints[] = {
	{ 'i', "packets come from a queue: have its rule match the interface (iptables -i), or "
	       "see -q" },
	{ 'D', "mnfq stat lists queues: packets come from those, not from interfaces" },
	{ 'Q',
	  "the chain of the rule chooses: INPUT for packets that come in, OUTPUT for others" },
	{ 'B', "see --receive-buffer, in bytes" },
	{ 'Z', "privileges are given up once all is open, see --no-sandbox" },
	PACKET_HINTS,
	{ 0, NULL },
};

static const struct option_table dump_table = {
	.command = DUMP_NAME,
	.usage = "Usage: mnfq dump -q NUM[:NUM] [-n NETNS]... [OPTIONS] [FILTER]\n"
		 "       mnfq dump -q NUM[:NUM] [--fd N]... [--from PATH]... [OPTIONS] [FILTER]\n"
		 "       mnfq dump -q NUM[:NUM] --listen PATH [OPTIONS] [FILTER]\n"
		 "       mnfq dump -q NUM[:NUM] --all-netns [OPTIONS] [FILTER]\n"
		 "       mnfq dump -r FILE [OPTIONS] [FILTER]",
	.summary =
		"Print the packets that reach a queue, one line each, and decide them. FILTER\n"
		"(pcap-filter(7)): print what matches; the rest gets the verdict of --else.",
	.operands = "Filter",
	.rows = dump_rows,
	.count = sizeof(dump_rows) / sizeof(dump_rows[0]),
	.ignored = PACKET_IGNORED,
	.hints = tcpdump_hints,
	.note = note_option,
	.footer =
		"Options with ... may be repeated. SIGUSR1 prints the counters, which are also\n"
		"printed at exit. See mnfq-dump(1).\n",
};

/* ---- checks ----------------------------------------------------------------------------- */

static int check_queue(const struct dump_options *opts, const char *option,
		       enum mnfq_verdict verdict, const char *text)
{
	for (uint32_t num = opts->first; num <= opts->last; num++)
		if (verdict == mnfq_verdict_queue((uint16_t)num))
			return fail_usage(
				DUMP_NAME,
				"%s %s would loop forever, since we read that queue: use "
				"another queue",
				option, text);
	return 0;
}

/* Packets that keep coming back would stall the machine. */
static int check_loop(const struct dump_options *opts)
{
	const struct packet_options *packets = &opts->packets;

	if (packets->verdict == MNFQ_REPEAT && !packets->has_mark)
		return fail_usage(DUMP_NAME,
				  "--verdict repeat requires --mark, by which the rule can "
				  "exclude repeated packets: they would loop forever");
	if (check_queue(opts, "--verdict", packets->verdict, packets->verdict_text))
		return EXIT_USAGE;
	return check_queue(opts, "--else", packets->else_verdict, packets->else_text);
}

/* What cannot be done with packets of a file is not ignored. */
static int check_read(const struct dump_options *opts)
{
	const struct packet_options *packets = &opts->packets;
	const struct option_row *row = opts->of_queues;
	const char letter[] = { '-', row ? row->letter : '\0', '\0' };

	if (row)
		return fail_usage(DUMP_NAME, "-r reads a file: %s%s does not apply",
				  row->letter ? "" : "--", row->letter ? letter : row->name);
	if (packets->has_verdict || packets->has_else || packets->has_mark ||
	    packets->has_priority || packets->has_ct_mark)
		return fail_usage(DUMP_NAME, "-r prints what was decided; to decide packets of a "
					     "file, see mnfq replay");
	return 0;
}

/* A filter looks at bytes. */
static int check_copy(const struct dump_options *opts)
{
	if (!opts->packets.filter ||
	    (opts->queue.copy_mode != MNFQ_COPY_META && opts->queue.copy_mode != MNFQ_COPY_NONE))
		return 0;
	return fail_usage(DUMP_NAME,
			  "a filter needs the bytes of packets, of which --copy meta and "
			  "--copy none copy none");
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
				       .max_per_uid = MAX_PER_UID_DEFAULT };
	packet_options_init(&opts->packets, DUMP_NAME);
	if (!options_parse(&dump_table, opts, argc, argv, status))
		return false;
	*status = packet_options_take_filter(&opts->packets, argc, argv);
	if (!*status)
		*status = packet_options_check(&opts->packets);
	if (*status)
		return false;
	if (opts->packets.has_ct_mark) /* the connection is known only with its conntrack data */
		opts->queue.flags |= MNFQ_QUEUE_CONNTRACK;
	if (opts->read)
		*status = check_read(opts);
	else if (!opts->has_queues)
		*status = fail_usage(DUMP_NAME, "no queue given: use -q NUM");
	else if (check_specs(opts) || check_threads(opts) || check_loop(opts) || check_copy(opts))
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
