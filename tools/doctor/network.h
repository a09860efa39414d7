/* SPDX-License-Identifier: MIT */
/* What else in a network namespace keeps packets from a rule. */
#ifndef MNFQ_TOOLS_DOCTOR_NETWORK_H
#define MNFQ_TOOLS_DOCTOR_NETWORK_H

#include <stdio.h>

#include "doctor/sight.h"

/**
 * Of the namespace that the process is in: its counters alone, or then its settings as well. What cannot be read is as
 * if it were not there.
 */
void network_count(struct network *network);
void network_read(struct network *network);

/** Counters such as IPReversePathFilter in a file like /proc/net/netstat, of all protocols that have them; then NULL. */
uint64_t network_sum_counters(FILE *netstat, const char *const *wanted);

/** How many packets all devices have received and sent, from a file like /proc/net/dev. */
uint64_t network_count_devices(FILE *dev);

#endif
