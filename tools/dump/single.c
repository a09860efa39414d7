/* SPDX-License-Identifier: MIT */
/* mnfq dump: one thread or several, that end together. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/program.h"
#include "common/sys.h"
#include "dump/dump.h"

/* What the signal handlers stop, and what they give up. */
static struct dump *volatile running;
static struct output *volatile printing;

/* Whoever waits looks what there is to do. */
static void dump_wake(struct dump *dump)
{
	const uint64_t one = 1;

	for (size_t i = 0; i < dump->worker_count; i++)
		mnfq_socket_stop(dump->workers[i].handle.sock);
	if (dump->wake >= 0)
		(void)!write(dump->wake, &one, sizeof(one));
}

void dump_stop(struct dump *dump)
{
	atomic_store(&dump->ending, true);
	dump_wake(dump);
}

static void on_end(int number)
{
	struct dump *dump = running;
	struct output *out = printing;
	int saved = errno;

	(void)number;
	if (out)
		output_give_up(out);
	if (dump)
		dump_stop(dump);
	errno = saved;
}

static void on_report(int number)
{
	struct dump *dump = running;
	int saved = errno;

	(void)number;
	if (dump) {
		atomic_fetch_add(&dump->wanted, 1);
		dump_wake(dump);
	}
	errno = saved;
}

static void on_failed_output(void *data)
{
	dump_stop(data);
}

void dump_catch_signals(struct dump *dump, struct output *out)
{
	struct sigaction end = { .sa_handler = on_end };
	struct sigaction report = { .sa_handler = on_report, .sa_flags = SA_RESTART };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	running = dump;
	printing = out;
	if (out)
		output_on_error(out, dump ? on_failed_output : NULL, dump);
	if (!dump)
		return;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	if (!is_ignored(SIGHUP))
		sigaction(SIGHUP, &end, NULL);
	sigaction(SIGUSR1, &report, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/*
 * Counters belong to the thread that serves the socket: each adds its own, and the last one prints.
 * Signals that come faster than threads look are one report, of the latest.
 */
void report_worker(struct dump_handle *handle)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct dump *dump = handle->dump;
	struct counters sums = { .untracked = 0 };
	unsigned int wanted;
	bool all;

	pthread_mutex_lock(&lock);
	wanted = atomic_load(&dump->wanted);
	all = wanted != dump->reported;
	handle->reported = wanted;
	handle_read_counters(&handle->counters, handle);
	for (size_t i = 0; i < dump->worker_count; i++)
		all = all && dump->workers[i].handle.reported == wanted;
	for (size_t i = 0; all && i < dump->worker_count; i++)
		counters_add(&sums, &dump->workers[i].handle.counters);
	if (all) {
		dump->reported = wanted;
		report_counters(dump, &sums);
	}
	pthread_mutex_unlock(&lock);
}

static void *run_thread(void *arg)
{
	struct worker *worker = arg;

	worker->status = worker->handle.dump->serve(&worker->handle);
	dump_stop(worker->handle.dump);
	return NULL;
}

/* Until one of them ends, or all are to. Returns 0 or an exit status. */
static int await_end(struct dump *dump)
{
	struct pollfd ready[2] = { { .fd = dump->wake, .events = POLLIN } };
	uint64_t count;
	int status = 0;

	while (!atomic_load(&dump->ending)) {
		ready[1] = (struct pollfd){ .fd = dump->ipc, .events = POLLIN };
		if (poll(ready, 2, -1) <= 0)
			continue;
		if (ready[0].revents)
			(void)!read(dump->wake, &count, sizeof(count));
		if (ready[1].revents)
			status |= read_workers_broker(dump);
	}
	return status;
}

static int run_threads(struct dump *dump)
{
	size_t started = 0;
	int status = 0, err;

	for (; started < dump->worker_count; started++) {
		struct worker *worker = &dump->workers[started];

		err = pthread_create(&worker->thread, NULL, run_thread, worker);
		if (err) {
			status = fail(DUMP_NAME, "cannot start a thread: %s", strerror(err));
			break;
		}
	}
	if (!status)
		status = await_end(dump);
	dump_stop(dump);
	for (size_t i = 0; i < started; i++) {
		pthread_join(dump->workers[i].thread, NULL);
		status |= dump->workers[i].status;
	}
	return status;
}

int run_workers(struct dump *dump)
{
	return dump->worker_count == 1 && dump->ipc < 0 ? dump->serve(&dump->workers[0].handle)
							: run_threads(dump);
}
