/* SPDX-License-Identifier: MIT */
/* mnfq-bench: signals and child processes, the clock, processors. */
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "common/sys.h"

volatile sig_atomic_t bench_interrupted;

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };
#define ENDING_SIGNALS (sizeof(ending_signals) / sizeof(ending_signals[0]))

static void on_ending_signal(int number)
{
	bench_interrupted = number;
}

/* nohup(1) has SIGHUP ignored, a shell script SIGINT in what it starts in the background. */
void bench_catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_ending_signal };

	for (size_t i = 0; i < ENDING_SIGNALS; i++)
		if (!is_ignored(ending_signals[i]))
			sigaction(ending_signals[i], &action, NULL);
}

void bench_bind_to_parent(pid_t parent)
{
	die_with_parent(parent, SIGKILL);
	for (size_t i = 0; i < ENDING_SIGNALS; i++)
		signal(ending_signals[i], SIG_IGN);
}

int64_t bench_now(int clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void bench_find_cpus(int *first, int *last)
{
	static cpu_set_t allowed;
	static bool known;
	int i;

	if (!known)
		sched_getaffinity(0, sizeof(allowed), &allowed);
	known = true;
	*first = *last = -1;
	for (i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET((size_t)i, &allowed))
			continue;
		if (*first < 0)
			*first = i;
		*last = i;
	}
}

void bench_set_affinity(int from, int to)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int i = from; i <= to && i >= 0; i++)
		CPU_SET((size_t)i, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

void bench_pin(bool one)
{
	int first, last;

	bench_find_cpus(&first, &last);
	bench_set_affinity(first, one ? first : last);
}
