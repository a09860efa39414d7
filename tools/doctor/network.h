/* SPDX-License-Identifier: MIT */
/* What else in a network namespace keeps packets from a rule. */
#ifndef MNFQ_TOOLS_DOCTOR_NETWORK_H
#define MNFQ_TOOLS_DOCTOR_NETWORK_H

#include <stdio.h>

#include "doctor/sight.h"

/** Of the namespace that the process is in. What cannot be read is as if it were not there. */
void network_read(struct network *network);

/** A counter such as IPReversePathFilter in a file like /proc/net/netstat, of all protocols that have it. */
uint64_t network_get_counter(FILE *netstat, const char *name);

/** How many packets all devices have received and sent, from a file like /proc/net/dev. */
uint64_t network_count_devices(FILE *dev);

#endif
