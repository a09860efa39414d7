/* SPDX-License-Identifier: MIT */
/* Network namespaces as parts of a reading. */
#ifndef MNFQ_TOOLS_STAT_PLACES_H
#define MNFQ_TOOLS_STAT_PLACES_H

#include "broker/netns-scan.h"
#include "stat/reading.h"

/**
 * Add the queues from @first to @last of what was opened, or, if @opened is a negative errno, that it could not be,
 * as @error says. Nothing of @place stays open. Returns 0 or -ENOMEM; other failures are in the reading.
 */
int places_add(struct reading *reading, struct place *place, int opened, uint16_t first,
	       uint16_t last, char error[PLACE_ERROR_SIZE]);

/** Add those of all namespaces that @scan finds. @home: see broker/netns-enter.h. Returns the same. */
int places_add_all(struct reading *reading, struct netns_scan *scan, int home, uint16_t first,
		   uint16_t last);

#endif
