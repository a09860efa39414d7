/* SPDX-License-Identifier: MIT */
/* mnfq dump with any number of namespaces: the messages of the broker. */
#ifndef MNFQ_TOOLS_DUMP_MULTI_BROKER_H
#define MNFQ_TOOLS_DUMP_MULTI_BROKER_H

#include "dump/entries.h"

/** Read some messages and act on them; not all, so that packets have their turn. */
void multi_broker_read(struct dump_multi *multi);

/** Stop reading while many descriptors are still to be closed, so that they do not pile up. */
void multi_broker_throttle(struct dump_multi *multi);

/** Ask how many hand-overs were refused. */
void multi_broker_count_refusals(struct dump_multi *multi);

/** Let it end, and wait until it has cleaned up. */
void multi_broker_close(struct dump_multi *multi);

#endif
