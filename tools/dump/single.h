/* SPDX-License-Identifier: MIT */
/* mnfq dump: one namespace, with one thread or several. */
#ifndef MNFQ_TOOLS_DUMP_SINGLE_H
#define MNFQ_TOOLS_DUMP_SINGLE_H

#include "dump/runtime.h"

/** Serve it until stopped. Returns the exit status. */
int dump_run_single(struct dump *dump);

#endif
