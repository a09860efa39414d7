/* SPDX-License-Identifier: MIT */
/* mnfq dump: one thread or several, that end together. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "dump.h"

#define NUDGE_NS 100000000L

/* What the signal handlers stop. */
static struct dump *volatile running;
static volatile sig_atomic_t signalled;

void stop_workers(struct dump *dump)
{
	const uint64_t one = 1;

	for (size_t i = 0; i < dump->worker_count; i++)
		mnfq_socket_stop(dump->workers[i].source.sock);
	atomic_store(&dump->ending, true);
	if (dump->wake >= 0)
		(void)!write(dump->wake, &one, sizeof(one));
}

static void on_signal(int number)
{
	struct dump *dump = running;
	int saved = errno;

	(void)number;
	signalled = 1;
	if (dump) {
		stop_workers(dump);
		sem_post(&dump->ended);
	}
	errno = saved;
}

/* Without SA_RESTART, so that a reader of stdout that stalls does not keep us from ending. */
void catch_signals(struct dump *dump)
{
	struct sigaction stop = { .sa_handler = on_signal };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	running = dump;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static void *run_thread(void *arg)
{
	struct worker *worker = arg;

	worker->status = worker->source.dump->serve(&worker->source);
	sem_post(&worker->source.dump->ended);
	return NULL;
}

static struct timespec after(long ns)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	time.tv_sec += (time.tv_nsec + ns) / 1000000000L;
	time.tv_nsec = (time.tv_nsec + ns) % 1000000000L;
	return time;
}

/*
 * Joins the threads [@from, @to). A signal comes to one thread, while it may be another that is
 * stalled in writing, and has others wait for it. So it is sent on to all that were not joined; and
 * again, since it is in vain just before the write.
 */
static int join(struct worker *from, struct worker *to)
{
	struct timespec until;
	int status = 0;

	while (from < to) {
		for (struct worker *each = from; signalled && each < to; each++)
			pthread_kill(each->thread, SIGTERM);
		until = after(NUDGE_NS);
		if (pthread_timedjoin_np(from->thread, NULL, &until) == ETIMEDOUT)
			continue;
		status |= from->status;
		from++;
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
	while (!status && sem_wait(&dump->ended) < 0)
		;
	stop_workers(dump);
	return status | join(dump->workers, dump->workers + started);
}

int run_workers(struct dump *dump)
{
	return dump->worker_count == 1 ? dump->serve(&dump->workers[0].source)
				       : run_threads(dump);
}
