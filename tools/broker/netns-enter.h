/* SPDX-License-Identifier: MIT */
/* What belongs to another network namespace, which the process enters for a moment. */
#ifndef MNFQ_TOOLS_BROKER_NETNS_ENTER_H
#define MNFQ_TOOLS_BROKER_NETNS_ENTER_H

/** A descriptor of the namespace that the process is in, or a negative errno. */
int netns_enter_open_home(void);

/**
 * A socket of NETLINK_NETFILTER in the namespace @netns, or a negative errno. The whole process goes there
 * and comes back to @home, or ends.
 */
int netns_enter_open_socket(int netns, int home);

/** The same: a file of that namespace to read, such as "netlink" under /proc/net. */
int netns_enter_open_file(int netns, int home, const char *name);

#endif
