/* SPDX-License-Identifier: MIT */
/* mnfq dump: any number of namespaces, as they come and go. */
#ifndef MNFQ_TOOLS_DUMP_MULTI_H
#define MNFQ_TOOLS_DUMP_MULTI_H

#include "dump/runtime.h"

/** Serve them until stopped. Returns the exit status. */
int dump_run_multi(struct dump *dump);

#endif
