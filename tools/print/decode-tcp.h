/* SPDX-License-Identifier: MIT */
/* TCP, with its options. */
#ifndef MNFQ_TOOLS_PRINT_DECODE_TCP_H
#define MNFQ_TOOLS_PRINT_DECODE_TCP_H

#include "print/span.h"

void decode_tcp(struct decoded *decoded, struct span bytes);

#endif
