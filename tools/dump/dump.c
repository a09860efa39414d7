/* SPDX-License-Identifier: MIT */
/* mnfq dump: print the packets of queues and give them all the same verdict. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/program.h"
#include "common/unix-socket.h"
#include "dump/multi.h"
#include "dump/report.h"
#include "dump/single.h"
#include "dump/systemd.h"
#include "replay/play.h"

/*
 * A single namespace can be re-created, so it is served as one of many, too. Threads, busy polling and
 * coalescing are for one that ends with its namespace.
 */
static void choose_mode(struct dump *dump)
{
	const struct dump_options *opts = dump->opts;
	const bool several =
		opts->listen || opts->all_netns || opts->spec_count > 1 || dump->fd_count > 0;

	dump->single_netns = !several && opts->spec_count == 1 && opts->threads == 1 &&
			     opts->busy_poll_us == 0 && opts->coalesce_us == 0;
	dump->multi = several || dump->single_netns;
}

/* Those of the service manager are not used if the command line says what to serve. */
static int take_fds(struct dump *dump)
{
	char error[256] = "";
	int n = dump->opts->spec_count ? 0 : systemd_take_fds(&dump->fds, error, sizeof(error));

	if (n < 0)
		return fail(DUMP_NAME, "%s", error);
	dump->fd_count = (size_t)n;
	return 0;
}

/* Before others are opened, which could get their numbers. */
static int check_fds(const struct dump_options *opts)
{
	for (size_t i = 0; i < opts->spec_count; i++)
		if (opts->specs[i].kind == SPEC_FD && fcntl(opts->specs[i].fd, F_GETFD) < 0)
			return fail(DUMP_NAME, "descriptor %d is not open", opts->specs[i].fd);
	return 0;
}

/* What depends on the descriptors that were passed. */
static int check_handover_options(const struct dump *dump)
{
	const struct dump_options *opts = dump->opts;
	bool listens = opts->listen;

	for (size_t i = 0; i < dump->fd_count; i++)
		listens |= unix_is_listener(dump->fds[i].fd);
	if ((opts->allowed.count > 0 || opts->allow_plain) && !listens)
		return fail_usage(
			DUMP_NAME,
			"--allow-uid and --allow-plain apply to sockets that are handed "
			"over: see --listen");
	if (opts->lend_rights && !listens && opts->spec_count == 0)
		return fail_usage(DUMP_NAME,
				  "--lend-rights applies to sockets of other processes: see "
				  "--listen and --from");
	if (opts->keep && (!dump->multi || dump->single_netns))
		return fail_usage(DUMP_NAME,
				  "--keep applies to sockets that are handed over: see --listen");
	return 0;
}

static int serve_and_report(struct dump *dump)
{
	int status = dump->multi ? dump_run_multi(dump) : dump_run_single(dump);

	if (!dump->served)
		return status;
	status |= packets_finish(&dump->packets);
	report_summary(dump);
	if (dump->abandoned) {
		log_close();
		_exit(status);
	}
	return status;
}

static int dump_run(struct dump *dump)
{
	int status = packets_open(&dump->packets, &dump->opts->packets, true);

	if (!status)
		status = check_fds(dump->opts);
	if (!status)
		status = take_fds(dump);
	if (status)
		return status;
	choose_mode(dump);
	status = check_handover_options(dump);
	if (!status)
		status = packets_await_reader(&dump->packets);
	if (status)
		return status;
	dump->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dump->wake < 0)
		return fail(DUMP_NAME, "cannot create an eventfd: %s", strerror(errno));
	return serve_and_report(dump);
}

int run_dump(int argc, char **argv)
{
	struct dump_options opts;
	struct dump dump = { .opts = &opts, .wake = -1 };
	int status;

	if (dump_parse_options(&opts, argc, argv, &status)) {
		status = opts.read ? play_capture(&opts.packets, opts.read, false)
				   : dump_run(&dump);
		dump_catch_signals(NULL, NULL);
		log_close();
		packets_close(&dump.packets);
		free(dump.fds);
	}
	packet_options_free(&opts.packets);
	free(opts.specs);
	return status;
}
