/* SPDX-License-Identifier: MIT */
/*
 * mnfq dump: one namespace, with one thread or several, each with a socket of its own. Once one thread ends, all
 * do. The broker says when the namespace is gone.
 */
#include "dump/single.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/ipc.h"
#include "common/log.h"
#include "common/program.h"
#include "dump/broker-start.h"
#include "dump/handle.h"
#include "dump/report.h"
#include "sandbox/sandbox.h"

struct worker {
	struct dump_handle handle;
	struct single *single;
	pthread_t thread;
	int status;
};

struct single {
	struct dump *dump;
	struct worker *workers;
	size_t count;
	struct mnfq_socket **sockets; /* of the workers, for dump_stop() */
	int ipc;                      /* to the broker; -1: none */
	atomic_bool failed;           /* and the reason was reported */
	pthread_mutex_t report_lock;
};

/* ---- set-up ----------------------------------------------------------------------------- */

static int open_sockets(struct single *single)
{
	static const struct socket_spec here = { .kind = SPEC_HERE };
	const struct dump_options *opts = single->dump->opts;
	const struct socket_spec *spec = opts->spec_count ? opts->specs : &here;
	char error[512] = "";
	struct mnfq_socket_options options = {
		.size = sizeof(options),
		.error = error,
		.error_size = sizeof(error),
		.busy_poll_us = opts->busy_poll_us,
		.coalesce_us = opts->coalesce_us,
		.receive_buffer = opts->receive_buffer,
	};
	int err;

	for (size_t i = 0; i < single->count; i++) {
		err = handle_open(&single->workers[i].handle, single->dump, spec, &options);
		if (err)
			return fail(DUMP_NAME, "%s", *error ? error : strerror(-err));
		single->sockets[i] = single->workers[i].handle.sock;
	}
	single->dump->sockets = single->sockets;
	single->dump->socket_count = single->count;
	return 0;
}

/* When several threads fail, one of them reports it. */
static int fail_worker(struct worker *worker, int err)
{
	char error[1024];

	if (atomic_exchange(&worker->single->failed, true))
		return EXIT_FAILURE;
	handle_explain(error, sizeof(error), &worker->handle, err);
	return fail(DUMP_NAME, "%s", error);
}

/* The numbers of queues per worker differ by one at most. */
static int bind_queues(struct single *single)
{
	const struct dump_options *opts = single->dump->opts;
	size_t count = options_queue_count(opts), from, to;
	int err;

	for (size_t i = 0; i < single->count; i++) {
		from = i * count / single->count;
		to = (i + 1) * count / single->count;
		err = handle_bind(&single->workers[i].handle, opts->first + (unsigned int)from,
				  to - from, 0);
		if (err)
			return fail_worker(&single->workers[i], err);
	}
	return 0;
}

static int enter_sandbox(const struct single *single)
{
	bool owner = true;

	for (size_t i = 0; i < single->count; i++)
		owner = owner && sandbox_owns(mnfq_socket_get_fd(single->sockets[i]));
	return dump_enter_sandbox(single->dump, !owner);
}

static void print_single_listening(const struct single *single)
{
	const struct dump_handle *handle = &single->workers[0].handle;
	char name[HANDLE_NAME_SIZE];
	FILE *out = log_begin();

	report_queues(out, single->dump->opts);
	if (handle->netns[0])
		fprintf(out, " in namespace %s", handle_format_name(name, handle));
	if (single->count > 1)
		fprintf(out, ", %zu threads", single->count);
	report_settings(out, single->dump, handle, single->count > 1);
	log_end();
}

/* ---- serving ---------------------------------------------------------------------------- */

/* Each worker reads the counters of its own socket, and the last one prints the sum. */
static void report_worker(struct worker *worker)
{
	struct single *single = worker->single;
	struct dump *dump = single->dump;
	struct counters sum = { .uncounted = 0 };
	unsigned int request;
	bool complete;

	pthread_mutex_lock(&single->report_lock);
	request = atomic_load(&dump->report_requests);
	complete = request != dump->reported;
	worker->handle.reported = request;
	handle_read_counters(&worker->handle.counters, &worker->handle);
	for (size_t i = 0; i < single->count; i++)
		complete = complete && single->workers[i].handle.reported == request;
	for (size_t i = 0; complete && i < single->count; i++)
		counters_add(&sum, &single->workers[i].handle.counters);
	if (complete) {
		dump->reported = request;
		report_counters(dump, &sum);
	}
	pthread_mutex_unlock(&single->report_lock);
}

static int serve_worker(struct worker *worker)
{
	struct dump *dump = worker->single->dump;
	int err;

	for (;;) {
		err = handle_dispatch(&worker->handle);
		if (err == -ECANCELED && atomic_load(&dump->stopping)) {
			/* Packets received together with the last one get the same verdict. */
			(void)mnfq_socket_dispatch(worker->handle.sock, 0);
			return 0;
		}
		if (err == -ECANCELED)
			report_worker(worker);
		else if (err < 0 && err != -EINTR)
			return fail_worker(worker, err);
	}
}

static void *run_worker(void *arg)
{
	struct worker *worker = arg;

	worker->status = serve_worker(worker);
	dump_stop(worker->single->dump);
	return NULL;
}

static void watch_netns(const struct single *single)
{
	struct ipc_msg message = {
		.type = IPC_ANSWER,
		.id = 1,
		.flags = options_have_name(single->dump->opts) ? IPC_SEEN : IPC_HIDDEN,
	};

	if (mnfq_socket_get_netns_inode(single->sockets[0], &message.inode) == 0)
		(void)ipc_send(single->ipc, &message, -1);
}

static int read_broker(struct single *single)
{
	char name[HANDLE_NAME_SIZE];
	struct ipc_msg message;
	int fd, n = ipc_receive(single->ipc, &message, &fd);

	if (n == -ECONNRESET) {
		close(single->ipc);
		single->ipc = -1;
		return fail(DUMP_NAME,
			    "the broker has ended: the end of the namespace will go unnoticed");
	}
	if (n == 1 && fd >= 0)
		close(fd);
	if (n == 1 && message.type == IPC_NOTE)
		log_line("%s", message.text);
	if (n == 1 && message.type == IPC_RESTART)
		watch_netns(single);
	if (n == 1 && message.type == IPC_DETACH) {
		log_line("namespace %s: gone",
			 handle_format_name(name, &single->workers[0].handle));
		dump_stop(single->dump);
	}
	return 0;
}

/* Until a worker ends or all are stopped. Returns 0 or an exit status. */
static int watch_workers(struct single *single)
{
	struct pollfd ready[2] = { { .fd = single->dump->wake, .events = POLLIN } };
	uint64_t count;
	int status = 0;

	while (!atomic_load(&single->dump->stopping)) {
		ready[1] = (struct pollfd){ .fd = single->ipc, .events = POLLIN };
		if (poll(ready, 2, -1) <= 0)
			continue;
		if (ready[0].revents)
			(void)!read(single->dump->wake, &count, sizeof(count));
		if (ready[1].revents)
			status |= read_broker(single);
	}
	return status;
}

static int run_threads(struct single *single)
{
	size_t started = 0;
	int status = 0, err;

	for (; started < single->count; started++) {
		struct worker *worker = &single->workers[started];

		err = pthread_create(&worker->thread, NULL, run_worker, worker);
		if (err) {
			status = fail(DUMP_NAME, "cannot start a thread: %s", strerror(err));
			break;
		}
	}
	if (!status)
		status = watch_workers(single);
	dump_stop(single->dump);
	for (size_t i = 0; i < started; i++) {
		pthread_join(single->workers[i].thread, NULL);
		status |= single->workers[i].status;
	}
	return status;
}

/* With all sockets open. Signals stop sockets, so they are handled from here on. */
static int run_workers(struct single *single)
{
	struct dump *dump = single->dump;
	int status;

	dump_catch_signals(dump, &dump->packets);
	status = bind_queues(single);
	if (!status)
		status = enter_sandbox(single);
	if (status)
		return status;
	if (single->ipc >= 0)
		watch_netns(single);
	print_single_listening(single);
	dump->served = true;
	return single->count == 1 && single->ipc < 0 ? serve_worker(&single->workers[0])
						     : run_threads(single);
}

int dump_run_single(struct dump *dump)
{
	struct single single = { .dump = dump,
				 .count = dump->opts->threads,
				 .ipc = -1,
				 .report_lock = PTHREAD_MUTEX_INITIALIZER };
	int status = 0;

	single.workers = calloc(single.count, sizeof(*single.workers));
	single.sockets = calloc(single.count, sizeof(struct mnfq_socket *));
	if (!single.workers || !single.sockets)
		status = fail(DUMP_NAME, "out of memory");
	for (size_t i = 0; !status && i < single.count; i++)
		single.workers[i].single = &single;
	if (!status && dump->opts->spec_count > 0) {
		single.ipc = dump_start_broker(dump, NULL, 0, NULL);
		status = single.ipc < 0 ? EXIT_FAILURE : 0;
	}
	if (!status)
		status = open_sockets(&single);
	if (!status)
		status = run_workers(&single);
	dump_catch_signals(NULL, &dump->packets); /* before the sockets go */
	for (size_t i = 0; single.workers && i < single.count; i++) {
		handle_close(&single.workers[i].handle, 0, false);
		if (single.workers[i].handle.dump)
			report_closed(&single.workers[i].handle, NULL);
	}
	free(single.workers);
	free(single.sockets);
	return status;
}
