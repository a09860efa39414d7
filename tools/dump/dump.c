/* SPDX-License-Identifier: MIT */
/* mnfq dump: print the packets of queues and decide them all alike. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/program.h"
#include "common/unix-socket.h"
#include "dump/dump.h"
#include "dump/systemd.h"
#include "sandbox/sandbox.h"

static int open_workers(struct dump *dump)
{
	static const struct place here = { .kind = PLACE_HERE };
	const struct place *place = dump->opts->place_count ? dump->opts->places : &here;
	char error[512] = "";
	struct mnfq_socket_options opts = {
		.size = sizeof(opts),
		.error = error,
		.error_size = sizeof(error),
		.busy_poll_us = dump->opts->busy_poll_us,
		.coalesce_us = dump->opts->coalesce_us,
		.receive_buffer = dump->opts->receive_buffer,
	};
	int err;

	for (size_t i = 0; i < dump->worker_count; i++) {
		err = open_source(&dump->workers[i].source, dump, place, &opts);
		if (err)
			return fail(DUMP_NAME, "%s", *error ? error : strerror(-err));
	}
	return 0;
}

/* Of several threads that fail for the same reason one tells it. */
static int fail_source(const struct source *source, int err)
{
	char error[1024];

	if (atomic_exchange(&source->dump->failed, true))
		return EXIT_FAILURE;
	explain_source(error, sizeof(error), source, err);
	return fail(DUMP_NAME, "%s", error);
}

/* Each worker gets as many, or one more than others. */
static int bind_workers(struct dump *dump)
{
	size_t count = count_queues(dump->opts), from, to;
	int err;

	for (size_t i = 0; i < dump->worker_count; i++) {
		from = i * count / dump->worker_count;
		to = (i + 1) * count / dump->worker_count;
		err = bind_source(&dump->workers[i].source,
				  dump->opts->first + (unsigned int)from, to - from, 0);
		if (err)
			return fail_source(&dump->workers[i].source, err);
	}
	return 0;
}

static void dump_print_listening(const struct dump *dump)
{
	const struct source *source = &dump->workers[0].source;
	char name[SOURCE_NAME_SIZE];
	FILE *out = log_begin();

	print_queues(out, dump->opts);
	if (source->netns[0])
		fprintf(out, " of namespace %s", name_source(name, source));
	if (dump->worker_count > 1)
		fprintf(out, ", %zu threads", dump->worker_count);
	print_settings(out, dump, source, dump->worker_count > 1);
	log_end();
}

/* Output is written when nothing more is there at once: live, yet not a write a packet. */
int dispatch_source(struct source *source)
{
	int handled = source->dump->opts->quiet ? 0 : mnfq_socket_dispatch(source->sock, 0);

	if (handled != 0)
		return handled;
	output_flush(source->dump->out);
	return mnfq_socket_dispatch(source->sock, -1);
}

static int dump_receive(struct source *source)
{
	int err;

	for (;;) {
		err = dispatch_source(source);
		if (err == -ECANCELED && atomic_load(&source->dump->ending)) {
			/* What was received together with the last packet is decided as that was. */
			(void)mnfq_socket_dispatch(source->sock, 0);
			return 0;
		}
		if (err == -ECANCELED)
			report_worker(source);
		else if (err < 0 && err != -EINTR)
			return fail_source(source, err);
	}
}

/* As with tcpdump, a reader of stdout may go when it has seen enough. */
static int finish_output(struct dump *dump)
{
	int error;

	output_finish(dump->out);
	error = output_error(dump->out);
	if (error == 0 || error == EPIPE)
		return 0;
	if (error == EAGAIN)
		return fail(DUMP_NAME, "nobody reads stdout, and lines would have been dropped");
	return fail(DUMP_NAME, "cannot write to stdout: %s", strerror(error));
}

/*
 * The kernel notes when it receives packets only while some socket of the machine wants to know; ours
 * stays open until we end. Without it the time is that of reading, and marked so. It is of a protocol
 * that nobody speaks: over one of IP, somebody who took us over could reach the network.
 */
static void ask_for_timestamps(void)
{
	const int on = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on));
}

/* Each in a thread that is made now because it must not have more rights than we. */
static int start_writing(const struct dump *dump)
{
	int err = log_start();

	if (!err && !dump->opts->quiet)
		err = output_start(dump->out);
	return err ? fail(DUMP_NAME, "cannot start a thread: %s", strerror(-err)) : 0;
}

/*
 * Everything is open and bound: what is still to come are packets, which are nobody's friends. The
 * time zone is read before there is a first line to print, with the rights that we came with.
 */
int sandbox_dump(const struct dump *dump, bool need_net_admin)
{
	char error[256];

	if (!dump->opts->quiet)
		ask_for_timestamps();
	tzset();
	if (!dump->opts->no_sandbox &&
	    sandbox_enter(SANDBOX_SERVE, need_net_admin ? SANDBOX_CAP(CAP_NET_ADMIN) : 0, true,
			  NULL, error, sizeof(error)) < 0)
		return fail(DUMP_NAME, "%s; --no-sandbox does without", error);
	return start_writing(dump);
}

static int enter_sandbox(const struct dump *dump)
{
	bool owner = true;

	for (size_t i = 0; i < dump->worker_count; i++)
		owner = owner && sandbox_owns(mnfq_socket_get_fd(dump->workers[i].source.sock));
	return sandbox_dump(dump, !owner);
}

/* With all sockets open. */
static int dump_run(struct dump *dump)
{
	int status;

	catch_signals(dump, dump->out);
	status = bind_workers(dump);
	if (!status)
		status = enter_sandbox(dump);
	if (!status) {
		if (dump->link >= 0)
			watch_workers(dump);
		dump_print_listening(dump);
		status = run_workers(dump);
		dump->served = true;
	}
	return status;
}

static int make_workers(struct dump *dump)
{
	dump->workers = calloc(dump->opts->threads, sizeof(*dump->workers));
	if (!dump->workers)
		return fail(DUMP_NAME, "%s", strerror(ENOMEM));
	dump->worker_count = dump->opts->threads;
	return 0;
}

static int run_one(struct dump *dump)
{
	int status = make_workers(dump);

	if (!status && dump->opts->place_count > 0) {
		dump->link = start_porter(dump, NULL, 0, NULL);
		status = dump->link < 0 ? EXIT_FAILURE : 0;
	}
	if (!status)
		status = open_workers(dump);
	if (!status)
		status = dump_run(dump);
	catch_signals(NULL, dump->out); /* handlers use what goes now */
	for (size_t i = 0; i < dump->worker_count; i++) {
		close_source(&dump->workers[i].source, 0, false);
		if (dump->workers[i].source.dump)
			count_source(&dump->workers[i].source, NULL);
	}
	free(dump->workers);
	return status;
}

/*
 * Any number of namespaces, or one that may go, and be made anew. What threads serve, or with busy
 * polling or coalescing, ends with its namespace.
 */
static void choose_mode(struct dump *dump)
{
	const struct dump_options *opts = dump->opts;
	const bool several =
		opts->listen || opts->all_netns || opts->place_count > 1 || dump->fd_count > 0;

	dump->alone = !several && opts->place_count == 1 && opts->threads == 1 &&
		      opts->busy_poll_us == 0 && opts->coalesce_us == 0;
	dump->many = several || dump->alone;
}

/* What is passed to us, unless the command line says where to look. */
static int take_fds(struct dump *dump)
{
	char error[256] = "";
	int n = dump->opts->place_count ? 0 : systemd_take_fds(&dump->fds, error, sizeof(error));

	if (n < 0)
		return fail(DUMP_NAME, "%s", error);
	dump->fd_count = (size_t)n;
	return 0;
}

static bool takes_sockets(const struct dump *dump)
{
	bool takes = dump->opts->listen;

	for (size_t i = 0; i < dump->fd_count; i++)
		takes |= unix_is_listener(dump->fds[i].fd);
	return takes;
}

/* Before we open others, which could get their numbers. */
static int check_fds(const struct dump_options *opts)
{
	for (size_t i = 0; i < opts->place_count; i++)
		if (opts->places[i].kind == PLACE_FD && fcntl(opts->places[i].fd, F_GETFD) < 0)
			return fail(DUMP_NAME, "descriptor %d is not open", opts->places[i].fd);
	return 0;
}

static int dump_serve(struct dump *dump)
{
	int status = check_fds(dump->opts);

	if (!status)
		status = take_fds(dump);
	if (status)
		return status;
	dump->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dump->wake < 0)
		return fail(DUMP_NAME, "cannot make an eventfd: %s", strerror(errno));
	if ((dump->opts->allowed_count > 0 || dump->opts->allow_plain) && !takes_sockets(dump))
		return fail_usage(DUMP_NAME,
				  "--allow-uid and --allow-plain are for sockets that are handed "
				  "over: see --listen");
	if (dump->opts->lend_rights && !takes_sockets(dump) && dump->opts->place_count == 0)
		return fail_usage(DUMP_NAME,
				  "--lend-rights is for sockets that others pass in: see "
				  "--listen and --from");
	choose_mode(dump);
	if (dump->opts->keep && (!dump->many || dump->alone))
		return fail_usage(DUMP_NAME,
				  "--keep is for sockets that are handed over: see --listen");
	status = dump->many ? run_many(dump) : run_one(dump);
	if (!dump->served)
		return status;
	status |= finish_output(dump);
	print_summary(dump);
	if (dump->abandoned) {
		log_close();
		_exit(status);
	}
	return status;
}

/* Where packets may wait for the reader there is no use in keeping much. */
static int open_output(struct dump *dump)
{
	const struct output_options options = {
		.fd = STDOUT_FILENO,
		.size = dump->opts->when_blocked == OUTPUT_WAIT ? 1 << 16 : 1 << 20,
		.when_blocked = dump->opts->when_blocked,
	};

	dump->out = output_new(&options);
	if (dump->out && log_open() == 0)
		return 0;
	return fail(DUMP_NAME, "out of memory");
}

int run_dump(int argc, char **argv)
{
	struct dump_options opts;
	struct dump dump = { .opts = &opts, .serve = dump_receive, .wake = -1, .link = -1 };
	int status;

	if (take_dump_options(&opts, argc, argv, &status)) {
		status = open_output(&dump);
		if (!status)
			status = dump_serve(&dump);
		catch_signals(NULL, NULL);
		output_free(dump.out);
		log_close();
		free(dump.fds);
	}
	free(opts.places);
	return status;
}
