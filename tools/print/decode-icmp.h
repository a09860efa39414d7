/* SPDX-License-Identifier: MIT */
/* What messages of ICMP, ICMPv6 and IGMP say, in the words of tcpdump. */
#ifndef MNFQ_TOOLS_PRINT_DECODE_ICMP_H
#define MNFQ_TOOLS_PRINT_DECODE_ICMP_H

#include "print/span.h"

void decode_icmp(struct decoded *decoded, struct span bytes);
void decode_icmpv6(struct decoded *decoded, struct span bytes);
void decode_igmp(struct decoded *decoded, struct span bytes);

#endif
