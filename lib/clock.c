// SPDX-License-Identifier: MIT
/* Times. */
#include "clock.h"

#include <time.h>

int64_t mnfq_i_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* By the exact clock, which costs more. */
int64_t mnfq_i_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Processor time of the thread. */
int64_t mnfq_i_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What a call was given to wait, in milliseconds; what is left of it. */
int64_t mnfq_i_time_left(int timeout_ms, int64_t deadline)
{
	int64_t left;

	if (timeout_ms <= 0)
		return timeout_ms;
	left = deadline - mnfq_i_now_ms();
	return left > 0 ? left : 0;
}
