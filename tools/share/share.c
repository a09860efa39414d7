/* SPDX-License-Identifier: MIT */
/* mnfq share: give sockets of this network namespace to programs that are not in it. */
#include "share/share.h"

#include <errno.h>
#include <getopt.h>
#include <mnfq/handover.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/parse.h"
#include "common/program.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

#define TIMEOUT_MAX 2000000u   /* seconds; milliseconds are an int */
#define FILES_MAX   (1u << 20) /* what the kernel allows, unless fs.nr_open says otherwise */

static int share_print_help(void)
{
	printf("Usage: mnfq share --listen PATH [--mode MODE] [--allow-uid N]...\n"
	       "       mnfq share --connect PATH [--keep] [--timeout SECONDS]\n"
	       "\n"
	       "Give netlink sockets of this network namespace to programs outside, as to\n"
	       "'mnfq dump', which bind queues on them and decide its packets.\n"
	       "\n"
	       "      --listen PATH      give one to whoever connects to this Unix socket\n"
	       "      --mode MODE        of its file, in octal (default: 0600)\n"
	       "      --allow-uid N      only to this user; several times: to these\n"
	       "      --connect PATH     offer one to the program that listens at PATH, wait\n"
	       "                         until there is one, and end when it took it\n"
	       "      --keep             do not end then: offer one to the next that listens,\n"
	       "                         too. When this ends the socket is withdrawn\n"
	       "      --timeout SECONDS  give up if nobody has taken it by then\n"
	       "      --label NAME       what to call this namespace, up to %u bytes\n"
	       "      --no-sandbox       give up no rights, for debuggers\n"
	       "  -h, --help             print this\n"
	       "\n"
	       "See mnfq-share(1).\n",
	       MNFQ_LABEL_SIZE - 1);
	return EXIT_SUCCESS;
}

enum {
	SHARE_OPT_LISTEN = 256,
	SHARE_OPT_CONNECT,
	SHARE_OPT_MODE,
	SHARE_OPT_ALLOW_UID,
	SHARE_OPT_KEEP,
	SHARE_OPT_TIMEOUT,
	SHARE_OPT_LABEL,
	SHARE_OPT_NO_SANDBOX,
};

static const struct option share_long_options[] = {
	{ "listen", required_argument, NULL, SHARE_OPT_LISTEN },
	{ "connect", required_argument, NULL, SHARE_OPT_CONNECT },
	{ "mode", required_argument, NULL, SHARE_OPT_MODE },
	{ "allow-uid", required_argument, NULL, SHARE_OPT_ALLOW_UID },
	{ "keep", no_argument, NULL, SHARE_OPT_KEEP },
	{ "timeout", required_argument, NULL, SHARE_OPT_TIMEOUT },
	{ "label", required_argument, NULL, SHARE_OPT_LABEL },
	{ "no-sandbox", no_argument, NULL, SHARE_OPT_NO_SANDBOX },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* ---- what both directions do ---- */

/*
 * The limit of open files also limits how many descriptors may be on their way, of all processes
 * of the user: peers who do not read what they got would keep us from giving to others. We need
 * few ourselves.
 */
static void share_raise_limit(void)
{
	const struct rlimit limit = { FILES_MAX, FILES_MAX };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		raise_file_limit();
}

/* ---- the command line ---- */

static int share_take_mode(struct share_options *opts)
{
	if (parse_mode(optarg, &opts->mode) == 0)
		return 0;
	return fail_usage(SHARE_NAME, "--mode %s: give an octal number from 0 to 777, as 0660",
			  optarg);
}

static int share_take_uid(struct share_options *opts)
{
	uint64_t uid;

	if (opts->uid_count == SHARE_UIDS_MAX)
		return fail_usage(SHARE_NAME, "--allow-uid: give %u users at most",
				  SHARE_UIDS_MAX);
	if (parse_number(optarg, 0, UINT32_MAX - 1, &uid) < 0)
		return fail_usage(SHARE_NAME, "--allow-uid %s: give the number of a user",
				  optarg);
	opts->uids[opts->uid_count++] = (uint32_t)uid;
	return 0;
}

static int take_timeout(struct share_options *opts)
{
	uint64_t seconds;

	if (parse_number(optarg, 1, TIMEOUT_MAX, &seconds) < 0)
		return fail_usage(SHARE_NAME, "--timeout %s: give seconds, from 1 to %u", optarg,
				  TIMEOUT_MAX);
	opts->timeout_ms = (uint32_t)seconds * 1000;
	return 0;
}

/* Returns 0 or the exit status. */
static int share_take_option(struct share_options *opts, int option, char **argv)
{
	switch (option) {
	case SHARE_OPT_LISTEN:
		opts->listen = optarg;
		return 0;
	case SHARE_OPT_CONNECT:
		opts->connect = optarg;
		return 0;
	case SHARE_OPT_MODE:
		return share_take_mode(opts);
	case SHARE_OPT_ALLOW_UID:
		return share_take_uid(opts);
	case SHARE_OPT_KEEP:
		opts->keep = true;
		return 0;
	case SHARE_OPT_TIMEOUT:
		return take_timeout(opts);
	case SHARE_OPT_LABEL:
		opts->label = optarg;
		return 0;
	case SHARE_OPT_NO_SANDBOX:
		opts->no_sandbox = true;
		return 0;
	default:
		return fail_option(SHARE_NAME, option, argv);
	}
}

#define MODE_UNSET (~(mode_t)0)

static int share_check_options(struct share_options *opts, int argc, char **argv)
{
	if (optind < argc)
		return fail_usage(SHARE_NAME, "unexpected argument '%s'", argv[optind]);
	if (!opts->listen == !opts->connect)
		return fail_usage(SHARE_NAME, "give either --listen PATH or --connect PATH");
	if (opts->connect && (opts->mode != MODE_UNSET || opts->uid_count > 0))
		return fail_usage(SHARE_NAME,
				  "--mode and --allow-uid are about who connects: they go with "
				  "--listen");
	if (opts->listen && (opts->keep || opts->timeout_ms > 0))
		return fail_usage(SHARE_NAME, "--keep and --timeout go with --connect");
	if (opts->mode == MODE_UNSET)
		opts->mode = 0600;
	return 0;
}

/* What would fail when somebody is there fails now: a socket is sent to ourselves. */
static int rehearse(const struct share_options *opts)
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
	int option, status;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", share_long_options, NULL)) != -1) {
		if (option == 'h')
			return share_print_help();
		status = share_take_option(&opts, option, argv);
		if (status)
			return status;
	}
	status = share_check_options(&opts, argc, argv);
	share_raise_limit();
	if (!status)
		status = rehearse(&opts);
	if (status)
		return status;
	return opts.listen ? share_listen(&opts) : share_connect(&opts);
}
