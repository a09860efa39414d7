/* SPDX-License-Identifier: MIT */
/* Giving up what is not needed any more: capabilities, their return, core dumps. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The kernel refuses numbers beyond its last one. Without CAP_SETPCAP no_new_privs has to do. */
static int drop_bounding(uint64_t keep)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) < 0)
			return errno == EINVAL ? 0 : -errno;
		if (!(keep & SANDBOX_CAP(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
		    errno != EPERM)
			return -errno;
	}
	return 0;
}

static int drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	int err;

	if (syscall(SYS_capget, &head, sets) < 0)
		return -errno;
	err = drop_bounding(keep);
	if (err)
		return err;
	/* EINVAL before Linux 4.3, which has no ambient ones. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	for (unsigned int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].effective &= (uint32_t)(keep >> 32 * i);
		sets[i].permitted &= (uint32_t)(keep >> 32 * i);
		sets[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, sets) < 0 ? -errno : 0;
}

bool sandbox_has(uint64_t caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &head, sets) == 0 &&
	       (caps & ~(sets[0].effective | (uint64_t)sets[1].effective << 32)) == 0;
}

/*
 * A core_pattern that begins with a pipe does not ask for the limit. Not being dumpable also keeps
 * other processes of the same uid from tracing us and from reading our memory.
 */
static int leave_no_core(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int fail_to(int err, const char *what, char *error, size_t error_size)
{
	snprintf(error, error_size, "cannot %s: %s", what, strerror(-err));
	return err;
}

void sandbox_name_socket(int fd)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };

	(void)bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family));
}

int sandbox_enter(enum sandbox_role role, uint64_t keep, bool threads, const char *own,
		  char *error, size_t error_size)
{
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail_to(-errno, "set no_new_privs (Linux 3.5 has it)", error, error_size);
	err = drop_capabilities(keep);
	if (err)
		return fail_to(err, "drop capabilities", error, error_size);
	err = leave_no_core();
	if (err)
		return fail_to(err, "rule out core dumps", error, error_size);
	for (int fd = 0; fd <= 2; fd++) /* often a Unix socket, to a log */
		sandbox_name_socket(fd);
	err = sandbox_limit_files(role, own);
	if (err)
		return fail_to(err, "limit access to files (Landlock)", error, error_size);
	err = sandbox_filter(role, threads);
	if (err)
		return fail_to(err,
			       "limit system calls (does the kernel have "
			       "CONFIG_SECCOMP_FILTER?)",
			       error, error_size);
	return 0;
}

/* ---- whose namespace it is -------------------------------------------------------------------- */

static bool is_our_userns(int fd)
{
	struct stat ours, other;

	return stat("/proc/thread-self/ns/user", &ours) == 0 && fstat(fd, &other) == 0 &&
	       ours.st_dev == other.st_dev && ours.st_ino == other.st_ino;
}

/*
 * Whether we own the user namespace @fd, or one that contains it, as a child of our own; closes
 * @fd. The kernel shows no parent of ours, which ends the walk when we are no ancestor.
 */
static bool owns_userns(int fd)
{
	bool owned = false, found = false;
	uid_t owner;
	int parent;

	while (fd >= 0 && !found) {
		parent = ioctl(fd, NS_GET_PARENT);
		found = parent >= 0 && is_our_userns(parent);
		if (found)
			owned = ioctl(fd, NS_GET_OWNER_UID, &owner) == 0 && owner == geteuid();
		close(fd);
		fd = parent;
	}
	if (fd >= 0)
		close(fd);
	return owned;
}

/* The user namespace that owns the network namespace of a socket; negative if the kernel does not say. */
static int open_userns(int netlink_fd)
{
	int userns, netns = ioctl(netlink_fd, SIOCGSKNS);

	if (netns < 0)
		return -1;
	userns = ioctl(netns, NS_GET_USERNS);
	close(netns);
	return userns;
}

bool sandbox_owns(int netlink_fd)
{
	return owns_userns(open_userns(netlink_fd));
}
