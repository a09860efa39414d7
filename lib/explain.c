// SPDX-License-Identifier: MIT
/*
 * Error messages for failed requests. The kernel answers EPERM both for a missing capability and for a
 * queue of another socket. A command that needs only the capability distinguishes the two, and /proc
 * shows the owner of the queue.
 */
#include "explain.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "error.h"
#include "kernel-stats.h"
#include "netns.h"
#include "refs.h"
#include "request.h"
#include "sockopt.h"

#define PROBE_MS 20 /* the answer is there, behind what came before */

/* The owner of a queue, as far as /proc shows it. */
struct owner {
	uint32_t portid; /* 0: unknown */
	unsigned long inode;
	long pid; /* 0: unknown */
	char name[32];
};

/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode */
static int find_inode(void *arg)
{
	struct owner *owner = arg;
	FILE *file = fopen("/proc/thread-self/net/netlink", "re");
	unsigned int protocol, portid;
	unsigned long inode;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %u %u %*s %*s %*s %*s %*s %*s %lu", &protocol, &portid,
			   &inode) == 3 &&
		    protocol == NETLINK_NETFILTER && portid == owner->portid)
			owner->inode = inode;
	if (file)
		fclose(file);
	return 0;
}

static bool holds(const char *pid, const char *wanted)
{
	char path[64], target[64];
	struct dirent *entry;
	bool found = false;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	closedir(dir);
	return found;
}

/* A process's own name comes from the process: nothing of it may steer a terminal. */
static void read_name(struct owner *owner)
{
	char path[64], *c;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/comm", owner->pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(owner->name, sizeof(owner->name), file))
		owner->name[0] = '\0';
	fclose(file);
	owner->name[strcspn(owner->name, "\n")] = '\0';
	for (c = owner->name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void find_process(struct owner *owner)
{
	char wanted[64];
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", owner->inode);
	while (dir && owner->pid == 0 && (entry = readdir(dir)))
		if (holds(entry->d_name, wanted))
			owner->pid = atol(entry->d_name);
	if (dir)
		closedir(dir);
	if (owner->pid)
		read_name(owner);
}

static int explain_owner(struct mnfq_socket *sock, uint16_t num)
{
	struct owner owner = { .portid = 0 };
	struct mnfq_kernel_stats stats;

	if (mnfq_i_queues_look(sock, num, &stats) == 0)
		owner.portid = stats.portid;
	if (owner.portid)
		(void)mnfq_i_netns_call_at(sock->fd, find_inode, &owner);
	if (owner.portid == sock->portid)
		return mnfq_i_fail(
			&sock->error, -EPERM,
			"queue %u: a thread that sent verdicts has no CAP_NET_ADMIN, or had "
			"none for a while",
			num);
	if (owner.inode)
		find_process(&owner);
	if (owner.pid)
		return mnfq_i_fail(
			&sock->error, -EBUSY,
			"queue %u is owned by portid %u (pid %ld, %s): end that process "
			"or use another number",
			num, owner.portid, owner.pid, owner.name);
	if (owner.portid)
		return mnfq_i_fail(&sock->error, -EBUSY,
				   "queue %u is owned by portid %u, whose process is not visible "
				   "here: end it or use another number",
				   num, owner.portid);
	return mnfq_i_fail(&sock->error, -EBUSY,
			   "queue %u is owned by another socket: use another number", num);
}

static bool have_capability(void)
{
	FILE *file = fopen("/proc/thread-self/status", "re");
	unsigned long long effective = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	if (file)
		fclose(file);
	return effective >> 12 & 1; /* CAP_NET_ADMIN */
}

/* @lent: the caller has it, and who opened the socket had not. */
static int explain_capability(struct mnfq_socket *sock, uint16_t num, bool lent)
{
	char netns[128] = "network namespace ";
	size_t len = strlen(netns);

	if (mnfq_socket_get_netns_name(sock, netns + len, sizeof(netns) - len) < 0)
		strcpy(netns, "the socket's network namespace");
	if (lent)
		return mnfq_i_fail(
			&sock->error, -EPERM,
			"queue %u: the process that opened the socket had no CAP_NET_ADMIN over %s: "
			"open it as root of that namespace, or see MNFQ_SOCKET_LEND",
			num, netns);
	return mnfq_i_fail(
		&sock->error, -EPERM,
		"queue %u: this process has no CAP_NET_ADMIN over the user namespace that "
		"owns %s%s: run it as root, as the user who made that namespace, or give it "
		"the capability",
		num, netns, have_capability() ? " (it has it elsewhere)" : "");
}

/* A command that needs the capability but no queue distinguishes the two meanings of EPERM. */
static int explain_permission(struct mnfq_socket *sock, uint16_t num)
{
	const bool ask_opener = sock->ask_opener;
	int err = mnfq_i_request_probe(sock, num, NFQNL_CFG_CMD_PF_BIND, PROBE_MS);
	bool lent = false;

	if (err == -EPERM && ask_opener) {
		sock->ask_opener = false;
		lent = mnfq_i_request_probe(sock, num, NFQNL_CFG_CMD_PF_BIND, PROBE_MS) == 0;
		sock->ask_opener = true;
	}
	if (err == 0)
		return explain_owner(sock, num);
	if (err == -EPERM)
		return explain_capability(sock, num, lent);
	return mnfq_i_fail(
		&sock->error, -EPERM,
		"queue %u: not permitted: CAP_NET_ADMIN is missing, or another socket owns "
		"the queue",
		num);
}

/*
 * The kernel has tried to load nf_conntrack_netlink by itself. Where that is there, as a module or
 * built in, the kernel was built without what connects it with NFQUEUE.
 */
static const char *explain_conntrack(struct mnfq_socket *sock)
{
	bool repeated;

	switch (mnfq_i_request(sock, 0, MNFQ_I_CMD_CTNETLINK, NULL, &repeated)) {
	case 0:
		return "connection tracking data (built without "
		       "CONFIG_NETFILTER_NETLINK_GLUE_CT)";
	case -EINVAL: /* no handler is registered for such messages */
		return "connection tracking data (load nf_conntrack_netlink)";
	default:
		return "connection tracking data (load nf_conntrack_netlink, or it was built "
		       "without CONFIG_NETFILTER_NETLINK_GLUE_CT)";
	}
}

/* The kernel does not report which flag it lacks, but only these depend on how it was built. */
static int explain_flags(struct mnfq_socket *sock, uint16_t num, uint32_t flags, int err)
{
	bool conntrack = flags & MNFQ_QUEUE_CONNTRACK, secctx = flags & MNFQ_QUEUE_SECCTX;

	if (!conntrack && !secctx)
		return mnfq_i_fail(&sock->error, err,
				   "queue %u: this kernel is too old for one of the flags 0x%x",
				   num, flags);
	return mnfq_i_fail(&sock->error, err, "queue %u: this kernel does not support %s%s%s",
			   num, conntrack ? explain_conntrack(sock) : "",
			   conntrack && secctx ? ", or it does not support " : "",
			   secctx ? "security contexts (built without CONFIG_NETWORK_SECMARK)"
				  : "");
}

/* Explains why a queue could not be bound, configured or served; returns the errno that fits. */
int mnfq_i_explain_bind(struct mnfq_socket *sock, uint16_t num, uint32_t flags, int err)
{
	switch (err) {
	case -EPERM:
		return explain_permission(sock, num);
	case -EBUSY:
		return mnfq_i_fail(&sock->error, -EEXIST,
				   "queue %u was bound by another process that shares the socket",
				   num);
	case -EEXIST: /* another socket was faster */
		return explain_owner(sock, num);
	case -ENODEV:
		return mnfq_i_fail(&sock->error, err,
				   "queue %u is not bound any more: bind it again", num);
	case -EOPNOTSUPP:
		return explain_flags(sock, num, flags, err);
	case -EINVAL:
		return mnfq_i_fail(&sock->error, -EPROTONOSUPPORT,
				   "queue %u: this kernel has no NFQUEUE: load nfnetlink_queue",
				   num);
	case -EBADF:
		return mnfq_i_fail(&sock->error, err,
				   "queue %u: the socket's descriptor was closed by other code",
				   num);
	case -ETIMEDOUT:
		return mnfq_i_fail(
			&sock->error, err,
			"queue %u: no answer from the kernel within %u ms: another process "
			"else %s",
			num, sock->timeout_ms,
			mnfq_i_is_connected(sock->fd) > 0
				? "has this socket too, and connected it to a peer"
				: "reads from this socket");
	default:
		return mnfq_i_fail(&sock->error, err, "queue %u: %s", num, strerror(-err));
	}
}
