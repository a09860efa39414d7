/* SPDX-License-Identifier: MIT */
/* The process and its surroundings: descriptors, limits, signals, the clock. */
#ifndef MNFQ_TOOLS_SYS_H
#define MNFQ_TOOLS_SYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** The monotonic clock in milliseconds. */
int64_t clock_ms(void);

/** A call failed for want of memory or descriptors, or was interrupted: that answers no question. */
bool is_transient(int err);

/** Was a signal ignored when we were started, as nohup(1) does with SIGHUP? */
bool is_ignored(int signal);

/** Close all descriptors but the standard ones and these, which are sorted. */
void close_all_but(int *fds, unsigned int count);

/** In a child just forked: get @signal when @parent ends, and end if it has ended already. */
void die_with_parent(pid_t parent, int signal);

/** Have as many open files as we may. */
void raise_file_limit(void);

#endif
