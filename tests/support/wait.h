/* SPDX-License-Identifier: MIT */
/* Waiting for a condition with a deadline, and a check for leaked descriptors. */
#ifndef TEST_WAIT_H
#define TEST_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Only a broken test takes this long, so that a slow machine never fails one. */
#define DEADLINE_MS 30000

int64_t now_ms(void);

/* Whether to look again: false once DEADLINE_MS have passed since @since (0 at first). */
bool wait_again(int64_t *since);

/* Looks until @condition holds. Evaluates to whether it came true in time. */
#define wait_until(condition)                                                                    \
	__extension__({                                                                          \
		int64_t since_ = 0;                                                              \
		bool held_;                                                                      \
		while (!(held_ = (condition)) && wait_again(&since_))                            \
			;                                                                        \
		held_;                                                                           \
	})

/* Waits until @fd is readable; false after the deadline. */
bool wait_readable(int fd);

/* The open descriptors of this process, a line each; free() it. */
char *descriptors(void);

/* Fails the test if other descriptors are open than in @before; frees it. */
void check_descriptors(char *before);

#endif
