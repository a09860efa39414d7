/* SPDX-License-Identifier: MIT */
/* A reading for programs. */
#ifndef MNFQ_TOOLS_STAT_EXPORT_H
#define MNFQ_TOOLS_STAT_EXPORT_H

#include <stdio.h>

#include "stat/reading.h"

/** A line for each queue, a JSON object. @watched: with the time of the reading. */
void export_json(FILE *out, const struct reading *reading, bool watched);

/** The text format of Prometheus, version 0.0.4. */
void export_prometheus(FILE *out, const struct reading *reading);

#endif
