/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: how many system calls a candidate makes. The kernel stops it at each, as a debugger
 * would: slow, but nothing escapes, whatever library makes them. Only in runs without a clock.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define TRACE_DEADLINE_NS 30000000000ll

void bench_trace_prepare(struct bench_worker *worker)
{
	worker->pid = getpid();
	if (worker->trace)
		worker->trace = ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

void bench_trace_stop(struct bench_worker *worker)
{
	if (worker->trace)
		syscall(SYS_tgkill, worker->pid, worker->pid, SIGSTOP);
}

/* The next stop of it; its status, or -1. */
static int await_stop(struct bench_net *net, struct bench_worker_group *group)
{
	int64_t deadline = bench_now(CLOCK_MONOTONIC) + TRACE_DEADLINE_NS;
	int status, pid;

	while ((pid = waitpid(group->pid, &status, WNOHANG)) == 0) {
		if (bench_interrupted || bench_now(CLOCK_MONOTONIC) > deadline)
			return bench_fail(net, "gave up counting system calls");
		sched_yield();
	}
	if (pid == group->pid && WIFSTOPPED(status))
		return WSTOPSIG(status);
	group->pid = 0;
	return bench_fail(net, "the process died");
}

int bench_trace_count(struct bench_net *net, struct bench_worker_group *group)
{
	struct bench_worker *worker = &group->workers[0];
	uint64_t stops = 0;
	int signal;

	if (!worker->trace)
		return 0;
	signal = await_stop(net, group);
	if (signal < 0 || ptrace(PTRACE_SETOPTIONS, group->pid, NULL,
				 (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0)
		return bench_fail(net, "cannot count system calls");
	for (;;) {
		if (ptrace(PTRACE_SYSCALL, group->pid, NULL, NULL) < 0)
			return bench_fail(net, "cannot count system calls: %s", strerror(errno));
		signal = await_stop(net, group);
		if (signal < 0)
			return -1;
		if (signal == SIGSTOP)
			break;
		if (signal == (SIGTRAP | 0x80))
			stops++;
	}
	/* Each stops on its way in and on its way out; the last one is the one that was reported. */
	worker->calls = stops / 2 - 1;
	ptrace(PTRACE_DETACH, group->pid, NULL, NULL);
	return 0;
}
