/* SPDX-License-Identifier: MIT */
/* mnfq-bench: the clock, processors, being interrupted. */
#include <sched.h>
#include <time.h>

#include "bench/bench.h"

volatile sig_atomic_t bench_interrupted;

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

void bench_stay_on(int from, int to)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int i = from; i <= to && i >= 0; i++)
		CPU_SET((size_t)i, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

void bench_stay(bool one)
{
	int first, last;

	bench_find_cpus(&first, &last);
	bench_stay_on(first, one ? first : last);
}
