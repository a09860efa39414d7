/* SPDX-License-Identifier: MIT */
/*
 * Which network namespaces exist: those that have a name under /run/netns, and those that
 * processes are in. Namespaces of single threads, and those that only a descriptor or a mount
 * elsewhere keeps, are not found, unless netns_scan_look_at() names them.
 */
#ifndef MNFQ_TOOLS_BROKER_NETNS_SCAN_H
#define MNFQ_TOOLS_BROKER_NETNS_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netns_scan;

/** Returns 0 or a negative errno. */
int netns_scan_new(struct netns_scan **ret);

struct netns_scan *netns_scan_free(struct netns_scan *scan);

/**
 * From now on also find what these lead to: names, paths, process ids. A mount elsewhere is found by
 * nothing else. The texts stay the caller's.
 */
void netns_scan_look_at(struct netns_scan *scan, const char *const *texts, unsigned int count);

/**
 * Look again. Costs a stat() for each process and for each name. After a failure (a negative
 * errno) nothing is known.
 */
int netns_scan_scan(struct netns_scan *scan);

/** The inodes of the namespaces that the last scan found, in ascending order. */
const uint64_t *netns_scan_get(const struct netns_scan *scan, size_t *count);

/** Was @inode among them? */
bool netns_scan_has(const struct netns_scan *scan, uint64_t inode);

/**
 * Could the last scan see all processes of the machine, so that what it did not find is not
 * there? False without the right to look at some (CAP_SYS_PTRACE), and in a PID namespace.
 */
bool netns_scan_sees_all(const struct netns_scan *scan);

/**
 * The inode of the namespace that @name has under /run/netns, or 0; and that of a name, a path (with a
 * slash) or a process id, as with mnfq dump -n. If 0, errno says whether it is absent or cannot be found
 * out.
 */
bool netns_scan_is_absent(int err);
uint64_t netns_scan_of_name(const struct netns_scan *scan, const char *name);
uint64_t netns_scan_of_text(const struct netns_scan *scan, const char *text);

/** The inode of the namespace that a process is in, or 0 if it cannot be seen. */
uint64_t netns_scan_of_process(const struct netns_scan *scan, uint32_t pid);

/** A descriptor of the namespace @inode, or a negative errno: -ENOENT if it is gone. */
int netns_scan_open(const struct netns_scan *scan, uint64_t inode);

/**
 * A descriptor that gets readable when names come or go, as long as scans go on; -1 if that
 * cannot be had. A name appears before it is one of a namespace (ip netns add), so look more than
 * once.
 */
int netns_scan_get_fd(const struct netns_scan *scan);

/** Make that descriptor unreadable again. */
void netns_scan_drain(const struct netns_scan *scan);

/** Until the next scan nothing is known, and changes of names are not reported. */
void netns_scan_pause(struct netns_scan *scan);

#endif
