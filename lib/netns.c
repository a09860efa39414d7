// SPDX-License-Identifier: MIT
/*
 * Reaching another network namespace. setns(2) changes the calling thread only, so a thread of
 * its own goes there: the caller's namespace is never touched, and nothing has to be put back.
 */
#include "netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "refs.h"

#define NETNS_DIR "/run/netns"

static bool is_pid(const char *text)
{
	size_t i;

	for (i = 0; isdigit((unsigned char)text[i]); i++)
		;
	return i > 0 && i < 11 && text[i] == '\0';
}

/*
 * A path if it contains a slash, else a name, else a process. Never blocks on what is not a
 * namespace file: that it is one shows when a thread tries to enter it.
 */
int mnfq_i_netns_open(const char *netns, struct mnfq_i_errmsg *error)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	char path[sizeof(NETNS_DIR) + 256];
	int fd;

	if (strchr(netns, '/')) {
		fd = open(netns, flags);
	} else if (netns[0] == '\0' || netns[0] == '.' || strlen(netns) > 255) {
		return mnfq_i_fail(
			error, -EINVAL,
			"'%.64s' is no name of a network namespace: give one that 'ip netns' "
			"lists, a path or a process id",
			netns);
	} else {
		snprintf(path, sizeof(path), NETNS_DIR "/%s", netns);
		fd = open(path, flags);
		if (fd < 0 && errno == ENOENT && is_pid(netns)) {
			snprintf(path, sizeof(path), "/proc/%s/ns/net", netns);
			fd = open(path, flags);
		}
	}
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return mnfq_i_fail(error, -ENOENT,
				   "there is no network namespace '%.200s': give a name that 'ip "
				   "netns' lists, a path or a process id",
				   netns);
	if (errno == EMFILE || errno == ENFILE)
		return mnfq_i_explain_socket(error, -errno);
	return mnfq_i_fail(
		error, -errno, "cannot open network namespace '%.200s': %s%s", netns,
		strerror(errno),
		errno == EACCES || errno == EPERM
			? ": run as root, or let a process inside open the socket and pass it"
			: "");
}

struct call {
	int netns_fd;
	int (*function)(void *arg);
	void *arg;
	int result;
};

static void *call_thread(void *arg)
{
	struct call *call = arg;

	if (setns(call->netns_fd, CLONE_NEWNET) < 0)
		call->result = errno == ESRCH ? -ENOENT : -errno; /* a pidfd of the dead */
	else
		call->result = call->function(call->arg);
	return NULL;
}

/* Calls @function within a namespace. Returns what it returns, or the reason why it was not. */
int mnfq_i_netns_call(int netns_fd, int (*function)(void *arg), void *arg)
{
	struct call call = { .netns_fd = netns_fd, .function = function, .arg = arg };
	sigset_t all, before;
	pthread_t thread;
	int err;

	/* The program's signal handlers must not run on a thread that it does not know. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&thread, NULL, call_thread, &call);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err != 0)
		return -err;
	pthread_join(thread, NULL);
	return call.result;
}

/* A new descriptor of the namespace of a socket, or a negative errno. */
static int get_netns(int fd)
{
	int netns_fd = ioctl(fd, SIOCGSKNS);

	return netns_fd < 0 ? -errno : netns_fd;
}

static bool is_own(int netns_fd)
{
	struct stat own, other;

	return stat("/proc/thread-self/ns/net", &own) == 0 && fstat(netns_fd, &other) == 0 &&
	       own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* The same within the namespace of a socket, which takes no right if that is the caller's own. */
int mnfq_i_netns_call_at(int sock_fd, int (*function)(void *arg), void *arg)
{
	int result, netns_fd = get_netns(sock_fd);

	if (netns_fd < 0)
		return netns_fd;
	result = is_own(netns_fd) ? function(arg) : mnfq_i_netns_call(netns_fd, function, arg);
	close(netns_fd);
	return result;
}

static int stat_netns(const struct mnfq_socket *sock, struct stat *st)
{
	int err, fd = get_netns(sock->fd);

	if (fd < 0)
		return fd;
	err = fstat(fd, st) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int mnfq_socket_get_netns_inode(const struct mnfq_socket *sock, uint64_t *inode)
{
	struct stat st;
	int err;

	if (!sock || !inode)
		return -EINVAL;
	err = stat_netns(sock, &st);
	if (err == 0)
		*inode = st.st_ino;
	return err;
}

/* The entry of /run/netns that is the namespace @wanted: 0, -ENOENT, or -ENOSPC. */
static int find_name(const struct stat *wanted, char *name, size_t size)
{
	DIR *dir = opendir(NETNS_DIR);
	struct dirent *entry;
	struct stat st;
	int err = -ENOENT;

	if (!dir) /* that there are no names, or none for us, is an answer; these are none */
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : err;
	while (err == -ENOENT && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 ||
		    st.st_dev != wanted->st_dev || st.st_ino != wanted->st_ino)
			continue;
		err = strlen(entry->d_name) < size ? 0 : -ENOSPC;
		if (err == 0)
			memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
	}
	closedir(dir);
	return err;
}

int mnfq_socket_get_netns_name(const struct mnfq_socket *sock, char *name, size_t size)
{
	char inode[32];
	struct stat st;
	int err;

	if (!sock || !name || size == 0)
		return -EINVAL;
	err = stat_netns(sock, &st);
	if (err < 0)
		return err;
	err = find_name(&st, name, size);
	if (err != -ENOENT)
		return err;
	snprintf(inode, sizeof(inode), "net:[%llu]", (unsigned long long)st.st_ino);
	if (strlen(inode) >= size)
		return -ENOSPC;
	strcpy(name, inode);
	return 0;
}

/* A netlink socket, or a descriptor that is needed for one, could not be made. */
int mnfq_i_explain_socket(struct mnfq_i_errmsg *error, int err)
{
	switch (err) {
	case -EPROTONOSUPPORT:
		return mnfq_i_fail(error, err,
				   "this kernel has no netfilter netlink: load nfnetlink and "
				   "nfnetlink_queue");
	case -EMFILE:
		return mnfq_i_fail(error, err,
				   "this process has no descriptor left: raise its limit of open "
				   "files (ulimit -n)");
	case -ENFILE:
		return mnfq_i_fail(error, err,
				   "the system has no descriptor left: raise the sysctl "
				   "fs.file-max");
	case -EAFNOSUPPORT:
	case -EACCES:
	case -EPERM:
		return mnfq_i_fail(
			error, err,
			"a sandbox forbids netlink sockets (%s): allow AF_NETLINK, for "
			"systemd with RestrictAddressFamilies=",
			strerror(-err));
	default:
		return mnfq_i_fail(error, err, "cannot open a netlink socket: %s",
				   strerror(-err));
	}
}

/* The same in another namespace. @netns is its name, NULL if it has none that we know. */
int mnfq_i_explain_open(struct mnfq_i_errmsg *error, const char *netns, int err)
{
	const char *name = netns ? netns : "the descriptor";

	switch (err) {
	case -EPERM:
		return mnfq_i_fail(
			error, err,
			"no CAP_SYS_ADMIN to enter the network namespace: run as root, "
			"or let a process inside open the socket and pass it");
	case -EAGAIN:
		return mnfq_i_fail(
			error, err,
			"cannot start a thread to enter the network namespace: raise the limit "
			"of processes (ulimit -u, or pids.max of the control group)");
	case -EBADF:
		return mnfq_i_fail(error, err, "%.200s is not open", name);
	case -EINVAL:
		return mnfq_i_fail(
			error, err,
			"%.200s is not a network namespace: give a name that 'ip netns' "
			"lists, a path or a process id",
			name);
	case -ENOENT:
		return mnfq_i_fail(error, err, "the process of %.200s has ended", name);
	default:
		return mnfq_i_explain_socket(error, err);
	}
}
