/* SPDX-License-Identifier: MIT */
/* The accounting of packets: whatever happens, it closes. */
#ifndef TEST_ACCOUNT_H
#define TEST_ACCOUNT_H

#include <stdint.h>

/* Where the packets that rules handed to a queue have ended: each in exactly one of these. */
struct account {
	uint64_t sent; /* matched a rule: all of the following together */

	uint64_t decided; /* got a verdict of the library, the default one included */
	uint64_t waiting; /* in the kernel, for a verdict */
	uint64_t queue_full, buffer_full; /* dropped by the kernel */
	uint64_t failed_open;             /* accepted by the kernel, unseen */
	uint64_t taken;                   /* read from the socket by another process */
	int64_t elsewhere; /* decided, but not in those counters; negative: not of those
					   * rules */
};

/* What is accounted for. */
int64_t account_sum(const struct account *account);

/* Fails the test, with all the numbers, unless the sum is right. */
void account_check(const struct account *account);

#endif
