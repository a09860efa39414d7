/* SPDX-License-Identifier: MIT */
/* Reading the rules of the network namespace that the process is in. Has no module loaded. */
#ifndef MNFQ_TOOLS_DOCTOR_READ_RULES_H
#define MNFQ_TOOLS_DOCTOR_READ_RULES_H

#include "doctor/rules.h"

/*
 * Both add what they find, and return 0 or a negative errno. The first takes CAP_NET_ADMIN over the namespace. It
 * must not be called if the kernel has no nf_tables yet: the request would load it.
 */
int read_rules_nft(struct rules *rules);
int read_rules_legacy(struct rules *rules);

#endif
