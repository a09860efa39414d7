/* SPDX-License-Identifier: MIT */
/* mnfq dump: what all of a run shares: its output, its signals, its sandbox, and how it is stopped. */
#include "dump/runtime.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/program.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

/* ---- stopping, signals ------------------------------------------------------------------ */

/* For the signal handlers. */
static struct dump *volatile signal_dump;
static struct output *volatile signal_output;

static void dump_wake(struct dump *dump)
{
	const uint64_t one = 1;

	for (size_t i = 0; i < dump->socket_count; i++)
		mnfq_socket_stop(dump->sockets[i]);
	if (dump->wake >= 0)
		(void)!write(dump->wake, &one, sizeof(one));
}

void dump_stop(struct dump *dump)
{
	atomic_store(&dump->stopping, true);
	dump_wake(dump);
}

static void on_end_signal(int number)
{
	struct dump *dump = signal_dump;
	struct output *out = signal_output;
	int saved = errno;

	(void)number;
	if (out)
		output_give_up(out);
	if (dump)
		dump_stop(dump);
	errno = saved;
}

static void on_report_signal(int number)
{
	struct dump *dump = signal_dump;
	int saved = errno;

	(void)number;
	if (dump) {
		atomic_fetch_add(&dump->report_requests, 1);
		dump_wake(dump);
	}
	errno = saved;
}

static void on_output_error(void *data)
{
	dump_stop(data);
}

void dump_catch_signals(struct dump *dump, struct output *out)
{
	struct sigaction end = { .sa_handler = on_end_signal };
	struct sigaction report = { .sa_handler = on_report_signal, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	signal_dump = dump;
	signal_output = out;
	if (out)
		output_on_error(out, dump ? on_output_error : NULL, dump);
	if (!dump)
		return;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	if (!is_ignored(SIGHUP))
		sigaction(SIGHUP, &end, NULL);
	sigaction(SIGUSR1, &report, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* ---- output ----------------------------------------------------------------------------- */

/* Before the sandbox is entered, as it reads a file. */
static int open_printer(struct dump *dump)
{
	struct print_options *options = &dump->printer.options;
	const struct dump_options *opts = dump->opts;

	*options = opts->print;
	options->times = (enum time_style)opts->times;
	options->color = color_is_wanted(opts->color, STDOUT_FILENO);
	if (!opts->names)
		return 0;
	options->services = dump->services = services_read();
	return dump->services ? 0
			      : fail(DUMP_NAME, "--names: cannot read /etc/services: %s",
				     strerror(errno));
}

/*
 * With --when-blocked wait a large buffer would only delay the pressure on the kernel's queue. But what is printed of a
 * packet must fit: the bytes of the largest, with -X, are less than 320 KiB.
 */
static size_t choose_size(const struct dump_options *opts)
{
	const struct print_options *print = &opts->print;
	const bool bytes = print->hex || print->hex_ascii || print->ascii || print->payload;

	return opts->when_blocked == OUTPUT_WAIT && !bytes ? 1 << 16 : 1 << 20;
}

int dump_open_output(struct dump *dump)
{
	const struct output_options options = {
		.fd = STDOUT_FILENO,
		.size = choose_size(dump->opts),
		.when_blocked = dump->opts->when_blocked,
	};

	dump->out = output_new(&options);
	if (dump->out && log_open() == 0)
		return open_printer(dump);
	return fail(DUMP_NAME, "out of memory");
}

/* As with tcpdump, a reader that closes stdout early is no error. */
int dump_finish_output(struct dump *dump)
{
	int error;

	output_finish(dump->out);
	error = output_error(dump->out);
	if (error == 0 || error == EPIPE)
		return 0;
	if (error == EAGAIN)
		return fail(DUMP_NAME, "stdout is not read, and lines would have been dropped");
	return fail(DUMP_NAME, "cannot write to stdout: %s", strerror(error));
}

/* ---- sandbox ---------------------------------------------------------------------------- */

/* The threads are made after the sandbox was entered, so that they have no more rights. */
int dump_enter_sandbox(const struct dump *dump, bool need_net_admin)
{
	const uint64_t keep = need_net_admin ? SANDBOX_CAP(CAP_NET_ADMIN) : 0;
	char error[256];
	int err;

	tzset(); /* reads a file */
	if (!dump->opts->no_sandbox &&
	    sandbox_enter(SANDBOX_SERVE, keep, true, NULL, error, sizeof(error)) < 0)
		return fail(DUMP_NAME, "%s; see --no-sandbox", error);
	err = log_start();
	if (!err && !dump->opts->quiet)
		err = output_start(dump->out);
	return err ? fail(DUMP_NAME, "cannot start a thread: %s", strerror(-err)) : 0;
}
