/* SPDX-License-Identifier: MIT */
/*
 * Which network namespaces exist: those that have a name under /run/netns, and those that
 * processes are in. Namespaces of single threads, and those that only a descriptor or a mount
 * elsewhere keeps, are not found, unless it is told where to look.
 */
#ifndef MNFQ_TOOLS_FINDER_H
#define MNFQ_TOOLS_FINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct finder;

/** Returns 0 or a negative errno. */
int finder_new(struct finder **ret);

struct finder *finder_free(struct finder *finder);

/**
 * From now on also find what these lead to: names, paths, process ids. A mount elsewhere is found by
 * nothing else. The texts stay the caller's.
 */
void finder_look_at(struct finder *finder, const char *const *texts, unsigned int count);

/**
 * Look again. Costs a stat() for each process and for each name. After a failure (a negative
 * errno) nothing is known.
 */
int finder_scan(struct finder *finder);

/** The inodes of the namespaces that the last scan found, in ascending order. */
const uint64_t *finder_get(const struct finder *finder, size_t *count);

/** Was @inode among them? */
bool finder_has(const struct finder *finder, uint64_t inode);

/**
 * Could the last scan see all processes of the machine, so that what it did not find is not
 * there? False without the right to look at some (CAP_SYS_PTRACE), and in a PID namespace.
 */
bool finder_sees_all(const struct finder *finder);

/**
 * The inode of the namespace that @name has under /run/netns, or 0; and that of a name, a path (with a
 * slash) or a process id, as with mnfq dump -n. With 0 comes an errno, which may say that it is absent, or
 * that nobody knows.
 */
bool finder_is_absent(int err);
uint64_t finder_of_name(const struct finder *finder, const char *name);
uint64_t finder_of_text(const struct finder *finder, const char *text);

/** The inode of the namespace that a process is in, or 0 if it cannot be seen. */
uint64_t finder_of_process(const struct finder *finder, uint32_t pid);

/** A descriptor of the namespace @inode, or a negative errno: -ENOENT if it is gone. */
int finder_open(const struct finder *finder, uint64_t inode);

/**
 * A descriptor that gets readable when names come or go, as long as scans go on; -1 if that
 * cannot be had. A name appears before it is one of a namespace (ip netns add), so look more than
 * once.
 */
int finder_get_fd(const struct finder *finder);

/** Make that descriptor unreadable again. */
void finder_drain(const struct finder *finder);

/** Until the next scan nothing is known, and names may change without a word. */
void finder_rest(struct finder *finder);

#endif
