/* SPDX-License-Identifier: MIT */
/* What the bytes of a packet say, as fields of its line: the part that tcpdump has, too. */
#ifndef MNFQ_TOOLS_PRINT_FIELDS_H
#define MNFQ_TOOLS_PRINT_FIELDS_H

#include "print/decode.h"
#include "print/print.h"
#include "print/writer.h"

void put_decoded(struct writer *writer, const struct decoded *decoded,
		 const struct print_options *options);

#endif
