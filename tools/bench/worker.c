/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: the process that decides. Each measurement has a new one, so that no candidate
 * inherits the memory of another.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define WORKER_DEADLINE_NS 60000000000ll

/* ---- in the process ----------------------------------------------------------------------- */

int bench_worker_fail(struct bench_worker *worker, const char *what)
{
	snprintf(worker->error, sizeof(worker->error), "%s: %s", what, strerror(errno));
	return -1;
}

static int64_t to_ns(struct timeval time)
{
	return time.tv_sec * 1000000000ll + time.tv_usec * 1000ll;
}

/* Memory that is ours alone; pages that a ring never touched are not in it. */
static int64_t worker_get_memory(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

/* Reports that it got here and waits until it may go on; a signal may come at any time. */
static void worker_sync(struct bench_worker *worker)
{
	sem_post(&worker->ready);
	while (sem_wait(&worker->go) < 0 && errno == EINTR)
		;
}

/* Bytes of heap in use. A sanitizer has a heap of its own, and mallinfo2() crashes in a thread then. */
static int64_t get_heap(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
	return (int64_t)mallinfo2().uordblks;
#else
	return 0;
#endif
}

/* A library, or a program, may have threads of its own. */
static int get_cpu_clock(const struct bench_worker *worker)
{
	return worker->alone ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID;
}

void bench_worker_begin(struct bench_worker *worker)
{
	struct rusage usage;

	worker_sync(worker);
	worker->heap = -get_heap();
	getrusage(worker->alone ? RUSAGE_SELF : RUSAGE_THREAD, &usage);
	worker->start_user = to_ns(usage.ru_utime);
	worker->start_system = to_ns(usage.ru_stime);
	worker->start_cpu = bench_now(get_cpu_clock(worker));
	worker->start_wall = bench_now(CLOCK_MONOTONIC);
	bench_calls_begin(worker->calls_fd);
}

void bench_worker_end(struct bench_worker *worker)
{
	struct rusage usage;

	worker->calls = bench_calls_end(worker->calls_fd);
	worker->wall_ns = bench_now(CLOCK_MONOTONIC) - worker->start_wall;
	worker->cpu_ns = bench_now(get_cpu_clock(worker)) - worker->start_cpu;
	getrusage(worker->alone ? RUSAGE_SELF : RUSAGE_THREAD, &usage);
	worker->user_ns = to_ns(usage.ru_utime) - worker->start_user;
	worker->system_ns = to_ns(usage.ru_stime) - worker->start_system;
	worker->heap += get_heap();
	worker->memory += worker_get_memory();
	worker_sync(worker);
}

struct thread_arg {
	const struct bench_candidate *candidate;
	struct bench_worker *worker;
};

static void *work(void *arg)
{
	struct thread_arg *thread = arg;

	if (thread->worker->cpu >= 0)
		bench_set_affinity(thread->worker->cpu, thread->worker->cpu);
	thread->worker->calls_fd = thread->worker->counting ? bench_calls_open() : -1;
	thread->worker->memory = -worker_get_memory();
	if (thread->candidate->run(thread->worker) < 0)
		sem_post(&thread->worker->ready);
	return NULL;
}

/* Interrupts a system call that waits, no more. */
static void worker_on_signal(int number)
{
	(void)number;
}

static void worker_child_main(struct bench_net *net, struct bench_worker_group *group,
			      pid_t parent)
{
	struct sigaction wake = { .sa_handler = worker_on_signal };
	struct thread_arg args[BENCH_WORKERS];
	pthread_t threads[BENCH_WORKERS];
	unsigned int i;

	bench_bind_to_parent(parent);
	if (setns(net->router, CLONE_NEWNET) < 0)
		_exit(EXIT_FAILURE);
	sigaction(SIGUSR1, &wake, NULL);
	for (i = 0; i < group->count; i++)
		args[i] = (struct thread_arg){ group->candidate, &group->workers[i] };
	for (i = 1; i < group->count; i++)
		if (pthread_create(&threads[i], NULL, work, &args[i]))
			_exit(EXIT_FAILURE);
	work(&args[0]);
	for (i = 1; i < group->count; i++)
		pthread_join(threads[i], NULL);
	_exit(EXIT_SUCCESS);
}

/* ---- in ours ------------------------------------------------------------------------------ */

int bench_group_init(struct bench_net *net, struct bench_worker_group *group,
		     const struct bench_candidate *candidate)
{
	static struct bench_worker *workers;
	int first, last;

	if (!workers)
		workers = mmap(NULL, BENCH_WORKERS * sizeof(*workers), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == MAP_FAILED)
		return bench_fail(net, "out of memory");
	memset(workers, 0, BENCH_WORKERS * sizeof(*workers));
	bench_find_cpus(&first, &last);
	*group = (struct bench_worker_group){ .candidate = candidate,
					      .workers = workers,
					      .count = candidate->threads > 1 ? candidate->threads
									      : 1 };
	for (unsigned int i = 0; i < group->count; i++) {
		workers[i].queue = (uint16_t)i;
		workers[i].gso = candidate->gso;
		workers[i].alone = group->count == 1;
		workers[i].spin = candidate->spin;
		workers[i].once = candidate->once;
		workers[i].coalesce_us = candidate->coalesce_us;
		workers[i].max_len = 8192;
		workers[i].receive_buffer = 64 << 20;
		workers[i].cpu = i == 0 ? last : first;
	}
	return 0;
}

double bench_group_count_calls(const struct bench_worker_group *group)
{
	double calls = 0, packets = 0;

	for (unsigned int i = 0; i < group->count; i++) {
		if (group->workers[i].calls < 0)
			return -1;
		calls += (double)group->workers[i].calls;
		packets += (double)group->workers[i].packets;
	}
	return packets > 0 ? calls / packets : -1;
}

void bench_group_add_up(const struct bench_worker_group *group, struct bench_result *result)
{
	double packets = 0, cpu = 0, user = 0, kernel = 0, wall = 0, heap = 0, memory = 0;

	for (unsigned int i = 0; i < group->count; i++) {
		const struct bench_worker *w = &group->workers[i];

		packets += (double)w->packets;
		cpu += (double)w->cpu_ns / 1000;
		user += (double)w->user_ns / 1000;
		kernel += (double)w->system_ns / 1000;
		heap += (double)w->heap;
		memory += (double)w->memory / 1024;
		wall = wall > (double)w->wall_ns / 1e9 ? wall : (double)w->wall_ns / 1e9;
	}
	if (packets == 0 || wall == 0)
		return;
	result->value[BENCH_RATE] = packets / wall;
	result->value[BENCH_CPU] = cpu / packets;
	result->value[BENCH_USER] = user / packets;
	result->value[BENCH_SYSTEM] = kernel / packets;
	result->value[BENCH_HEAP] = heap > 0 ? heap : 0;
	result->value[BENCH_MEMORY] = memory > 0 ? memory : 0;
}

/*
 * Waits until each worker says so. It wakes up now and then, since a process may die instead; one
 * that is to stop is interrupted each time, lest it was about to wait.
 */
static int await_all(struct bench_net *net, struct bench_worker_group *group, bool stop)
{
	int64_t deadline = bench_now(CLOCK_MONOTONIC) + WORKER_DEADLINE_NS, until;
	struct timespec soon;
	unsigned int i = 0;

	while (i < group->count) {
		if (bench_interrupted)
			return bench_fail(net, "interrupted");
		if (stop)
			kill(group->pid, SIGUSR1);
		until = bench_now(CLOCK_REALTIME) + 20000000;
		soon = (struct timespec){ until / 1000000000, until % 1000000000 };
		if (sem_timedwait(&group->workers[i].ready, &soon) == 0) {
			if (group->workers[i].error[0])
				return bench_fail(net, "%s", group->workers[i].error);
			i++;
		} else if (waitpid(group->pid, NULL, WNOHANG) == group->pid) {
			group->pid = 0;
			return bench_fail(net, "the process died");
		} else if (bench_now(CLOCK_MONOTONIC) > deadline) {
			return bench_fail(net, "not done in time, %llu of %llu packets decided",
					  (unsigned long long)group->workers[i].handled,
					  (unsigned long long)group->workers[i].goal);
		}
	}
	return 0;
}

int bench_group_start(struct bench_net *net, struct bench_worker_group *group)
{
	pid_t parent = getpid();

	for (unsigned int i = 0; i < group->count; i++) {
		sem_init(&group->workers[i].ready, 1, 0);
		sem_init(&group->workers[i].go, 1, 0);
	}
	group->pid = fork();
	if (group->pid < 0) {
		group->pid = 0;
		return bench_fail(net, "cannot start a process: %s", strerror(errno));
	}
	if (group->pid == 0)
		worker_child_main(net, group, parent);
	return await_all(net, group, false);
}

void bench_group_go(struct bench_worker_group *group)
{
	for (unsigned int i = 0; i < group->count; i++)
		sem_post(&group->workers[i].go);
}

int bench_group_wait(struct bench_net *net, struct bench_worker_group *group)
{
	bool stop = false;

	for (unsigned int i = 0; i < group->count; i++) {
		atomic_store(&group->workers[i].stop, true);
		stop = stop || !group->workers[i].goal;
	}
	return await_all(net, group, stop);
}

int bench_group_end(struct bench_net *net, struct bench_worker_group *group)
{
	int status = 0;

	if (group->pid <= 0)
		return -1;
	if (net->error[0])
		kill(group->pid, SIGKILL);
	bench_group_go(group);
	while (waitpid(group->pid, &status, 0) < 0 && errno == EINTR)
		if (bench_interrupted)
			kill(group->pid, SIGKILL);
	group->pid = 0;
	if (net->error[0])
		return -1;
	for (unsigned int i = 0; i < group->count; i++)
		if (group->workers[i].error[0])
			return bench_fail(net, "%s", group->workers[i].error);
	return status == 0 ? 0 : bench_fail(net, "the process died");
}

int bench_group_settle(struct bench_net *net, const struct bench_worker_group *group)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t deadline = bench_now(CLOCK_MONOTONIC) + 5000000000ll;
	struct bench_queue queue;

	do {
		nanosleep(&pause, NULL);
		if (bench_net_queue(net, 0, &queue) < 0)
			return -1;
	} while (queue.waiting > 0 && !bench_interrupted && group->pid > 0 &&
		 bench_now(CLOCK_MONOTONIC) < deadline);
	return 0;
}
