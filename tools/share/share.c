/* SPDX-License-Identifier: MIT */
/* mnfq share: give sockets of this network namespace to processes outside. */
#include "share/share.h"

#include <errno.h>
#include <mnfq/handover.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/options.h"
#include "common/program.h"
#include "common/sys.h"

#define FILES_MAX (1u << 20) /* the default of fs.nr_open */

/* ---- the command line ------------------------------------------------------------------- */

#define SHARE_AT(field) .offset = offsetof(struct share_options, field)

_Static_assert(MNFQ_LABEL_SIZE == 64, "the help of --label has it");

static const struct option_row share_rows[] = {
	{ "listen", 0, "PATH", OPTION_TEXT, SHARE_AT(listen), .complete = "FILE",
	  .help = "give a socket to each client that connects to PATH" },
	OPTION_ROW_MODE(struct share_options),
	OPTION_ROW_ALLOW_UID(struct share_options, "give sockets to this user only"),
	{ "connect", 0, "PATH", OPTION_TEXT, SHARE_AT(connect), .complete = "FILE",
	  .help = "offer a socket to the program that listens at\nPATH, wait for it, exit once it is taken" },
	{ "keep", .kind = OPTION_BOOL, SHARE_AT(keep),
	  .help = "stay connected, and offer one again afterwards;\nexiting withdraws the socket" },
	{ "timeout", 0, "SECONDS", OPTION_U32, SHARE_AT(timeout), 1, SHARE_TIMEOUT_MAX,
	  .help = "give up if no socket is taken within this time" },
	{ "label", 0, "NAME", OPTION_TEXT, SHARE_AT(label),
	  .help = "name of this namespace for the receiver, 63 bytes\nat most" },
	{ "no-sandbox", .kind = OPTION_BOOL, SHARE_AT(no_sandbox),
	  .help = "keep all privileges (for debugging)" },
	OPTION_ROW_HELP,
	OPTION_ROW_VERSION,
};

static const struct option_table share_table = {
	.command = SHARE_NAME,
	.usage = "Usage: mnfq share --listen PATH [--mode MODE] [--allow-uid UID]... [OPTIONS]\n"
		 "       mnfq share --connect PATH [--keep] [--timeout SECONDS] [OPTIONS]",
	.summary = "Give netlink sockets of this network namespace to programs outside, such as\n"
		   "'mnfq dump', which bind queues on them and decide its packets.",
	.rows = share_rows,
	.count = sizeof(share_rows) / sizeof(share_rows[0]),
	.footer = "Options with ... may be repeated. See mnfq-share(1).\n",
};

static int check_options(struct share_options *opts)
{
	if (!opts->listen == !opts->connect)
		return fail_usage(SHARE_NAME, "give either --listen PATH or --connect PATH");
	if (opts->connect && (opts->mode != MODE_UNSET || opts->allowed.count > 0))
		return fail_usage(SHARE_NAME, "--mode and --allow-uid require --listen");
	if (opts->listen && (opts->keep || opts->timeout > 0))
		return fail_usage(SHARE_NAME, "--keep and --timeout require --connect");
	if (opts->mode == MODE_UNSET)
		opts->mode = 0600;
	return 0;
}

/* ---- before the first client ------------------------------------------------------------ */

/*
 * The limit of open files also applies to descriptors in flight, those of all processes of the user together:
 * with a low limit, clients that do not receive what was sent to them would keep us from serving others.
 */
static void raise_descriptor_limit(void)
{
	const struct rlimit limit = { FILES_MAX, FILES_MAX };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		raise_file_limit();
}

/* Errors are reported now instead of to the first client: send a socket to ourselves. */
static int preflight(const struct share_options *opts)
{
	int ends[2], err;
	char error[MNFQ_ERRMSG_SIZE];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return fail(SHARE_NAME, "cannot make Unix sockets: %s", strerror(errno));
	err = share_send(opts, ends[0], 0, error, sizeof(error));
	close(ends[0]);
	close(ends[1]);
	if (err == -EINVAL || err == -EMSGSIZE)
		return fail_usage(SHARE_NAME, "--label %s: %s", opts->label, error);
	return err < 0 ? fail(SHARE_NAME, "%s", error) : 0;
}

int run_share(int argc, char **argv)
{
	struct share_options opts = { .mode = MODE_UNSET };
	int status;

	if (!options_parse(&share_table, &opts, argc, argv, &status))
		return status;
	status = check_options(&opts);
	if (!status) {
		raise_descriptor_limit();
		status = preflight(&opts);
	}
	if (status)
		return status;
	return opts.listen ? share_listen(&opts) : share_connect(&opts);
}
