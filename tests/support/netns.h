/* SPDX-License-Identifier: MIT */
/*
 * Network namespaces for tests: made, joined, furnished with rules. Whatever becomes of the test,
 * a process that outlives it removes them. What goes wrong fails the test and says why.
 */
#ifndef TEST_NETNS_H
#define TEST_NETNS_H

#include <stdbool.h>
#include <stdint.h>

struct netns {
	char name[32]; /* under /run/netns; unique on the machine */
	int fd;
};

/*
 * Skips the test, or fails it if MNFQ_TEST_REQUIRE=kernel, where the machine does not allow to make
 * namespaces, or has no NFQUEUE.
 */
void netns_require(void);

/* A namespace with nothing in it but `lo`, up with an MTU of 65536; skips as netns_require(). */
struct netns *netns_new(void);

/* In a forked child: leave it to the parent to tidy up, and do not keep it waiting. */
void netns_forget(void);

/* Removes its name now; the namespace lives on while a process is in it. Returns NULL. */
struct netns *netns_free(struct netns *ns);

/*
 * Joins two namespaces by a veth pair: @dev_a with 10.0.NET.1/24 and fd00:0:0:NET::1/64 in @a,
 * @dev_b with .2 and ::2 in @b. NET is 1 to 9.
 */
void netns_join(struct netns *a, const char *dev_a, struct netns *b, const char *dev_b,
		unsigned int net);

/*
 * Waits until a device, whose other end is up as well, sends and a bridge uses it: the kernel sees
 * to that some time after the command that set it up, and drops what is sent before.
 */
void netns_wait_up(struct netns *ns, const char *dev);

/*
 * @left -- @router -- @right, on networks 1 and 2: the router's devices are `left` and `right`, the
 * others' are `eth0`, and the others reach each other through it. So @left is 10.0.1.1, the
 * router 10.0.1.2 and 10.0.2.2, @right 10.0.2.1; likewise with IPv6.
 */
void netns_route(struct netns *left, struct netns *router, struct netns *right);

/*
 * @left -- p1 [br0 in @middle] p2 -- @right: one network, on which @left is 10.0.1.1 and
 * fd00:0:0:1::1, @right .9 and ::9; their devices are `eth0`. The bridge has no address.
 */
void netns_bridge(struct netns *left, struct netns *middle, struct netns *right);

/* Runs a shell command within; fails the test with its output unless it exits with 0. */
void netns_run(struct netns *ns, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same; returns what the command printed, to free(). */
char *netns_output(struct netns *ns, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Adds a rule: the arguments of iptables (@family 4) or ip6tables (6), without the command. */
void netns_rule(struct netns *ns, int family, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* How many packets a rule (1, 2, …) has matched. */
uint64_t netns_rule_packets(struct netns *ns, int family, const char *table, const char *chain,
			    unsigned int rule);

/* How many packets all rules together have handed to queues; of nft those with a counter. */
uint64_t netns_queued_packets(struct netns *ns);

/* Calls @function in a thread within the namespace, and returns what it returns. */
int netns_call(struct netns *ns, int (*function)(void *arg), void *arg);

/* The calling thread goes there, to stay. */
void netns_enter(struct netns *ns);

/* A socket of the namespace, close-on-exec. */
int netns_socket(struct netns *ns, int domain, int type, int protocol);

/* The inode of the namespace. */
uint64_t netns_inode(const struct netns *ns);

/* A line of /proc/net/netfilter/nfnetlink_queue. */
struct netns_queue {
	unsigned int num, portid, waiting, copy_mode, copy_range, dropped, user_dropped, id;
};

/* What the kernel says about queue @num; false if it is not bound. */
bool netns_get_queue(struct netns *ns, unsigned int num, struct netns_queue *queue);

/* Waits until exactly @packets wait in the queue for a verdict. */
bool netns_wait_waiting(struct netns *ns, unsigned int num, unsigned int packets);

/* Skips the test with a reason, or fails it if MNFQ_TEST_REQUIRE=kernel. */
void skip_or_fail(const char *reason);

#endif
