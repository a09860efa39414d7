/* SPDX-License-Identifier: MIT */
/* Times. */
#ifndef MNFQ_CLOCK_H
#define MNFQ_CLOCK_H

#include <stdint.h>

int64_t mnfq_i_now_ms(void);
int64_t mnfq_i_now_ns(void);
int64_t mnfq_i_cpu_ns(void);
int64_t mnfq_i_time_left(int timeout_ms, int64_t deadline);

#endif
