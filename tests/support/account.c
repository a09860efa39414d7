/* SPDX-License-Identifier: MIT */
/* The accounting of packets: whatever happens, it closes. */
#include "account.h"

#include <criterion/criterion.h>

int64_t account_sum(const struct account *a)
{
	return (int64_t)(a->decided + a->waiting + a->queue_full + a->buffer_full +
			 a->failed_open + a->taken) +
	       a->elsewhere;
}

void account_check(const struct account *a)
{
	const int64_t sum = account_sum(a);

	cr_assert(
		sum == (int64_t)a->sent,
		"%llu packets were sent, but %lld are accounted for: %llu decided, %llu waiting, "
		"%llu found the queue full, %llu the receive buffer, %llu failed open, %llu taken, "
		"%lld elsewhere",
		(unsigned long long)a->sent, (long long)sum, (unsigned long long)a->decided,
		(unsigned long long)a->waiting, (unsigned long long)a->queue_full,
		(unsigned long long)a->buffer_full, (unsigned long long)a->failed_open,
		(unsigned long long)a->taken, (long long)a->elsewhere);
}
