/* SPDX-License-Identifier: MIT */
/* What the kernel can do, without asking it in a way that has it load a module. */
#ifndef MNFQ_TOOLS_DOCTOR_SUPPORT_H
#define MNFQ_TOOLS_DOCTOR_SUPPORT_H

#include <stdbool.h>
#include <stdio.h>

enum part {
	PART_NFNETLINK, /* nfnetlink: to open a socket of it would load it */
	PART_QUEUE,     /* nfnetlink_queue: queues themselves */
	PART_XT,        /* xt_NFQUEUE: NFQUEUE of iptables */
	PART_NFT,       /* nft_queue: the statement of nft */
	PART_NF_TABLES, /* nf_tables */
	PART_CONNTRACK, /* nf_conntrack_netlink: connections of packets */
	PARTS
};

enum presence {
	PRESENCE_UNKNOWN,
	PRESENCE_ABSENT,
	PRESENCE_MODULE, /* not loaded, but it is there to be loaded */
	PRESENCE_LOADED,
};

struct support {
	enum presence parts[PARTS];
	bool gso; /* NFQA_CFG_F_GSO, since Linux 3.10 */
	char release[65];
};

/** The module that has it. */
const char *support_module(enum part part);

void support_read(struct support *support);

/** Is nfnetlink not loaded? Then there is no queue, and no rule of nf_tables. */
bool support_is_asleep(const struct support *support);

/** The two halves, for tests: /proc/kallsyms, or a list of modules such as modules.dep; NULL: there is none. */
void support_read_files(struct support *support, FILE *symbols, FILE *modules);

#endif
