/* SPDX-License-Identifier: MIT */
/*
 * Which files are left, by Landlock, as far as the kernel has it. It also keeps us from looking into
 * processes outside: ptrace(), and what that guards of /proc, as ns/.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As a filter of system calls, it would be in the way of a sanitizer's runtime. */
#if defined(SYS_landlock_create_ruleset) && !SANDBOX_SANITIZED

/* <linux/landlock.h> lacks what is newer than the system, so all of it is here. */
#define GET_VERSION       1u
#define RULE_PATH_BENEATH 1

#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_FILE   (UINT64_C(1) << 8)
#define FS_TRUNCATE    (UINT64_C(1) << 14)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/*
 * All that a version of Landlock can forbid, but signals: the one that ends the broker when we die
 * counts as sent by us.
 */
static struct ruleset get_all(long version)
{
	static const unsigned int fs_bits[] = { 0, 13, 14, 15, 15, 16 };
	const size_t last = sizeof(fs_bits) / sizeof(fs_bits[0]) - 1;
	unsigned int bits = fs_bits[version < (long)last ? version : (long)last];

	return (struct ruleset){
		.fs = (UINT64_C(1) << bits) - 1,
		.net = version >= 4 ? 3 : 0,    /* TCP: bind, connect */
		.scoped = version >= 6 ? 1 : 0, /* abstract Unix sockets */
	};
}

/* What is not there needs no rule. On success the descriptor stays open. */
static int allow_beneath(int ruleset, const char *path, uint64_t access)
{
	struct path_rule rule = { .allowed = access, .fd = open(path, O_PATH | O_CLOEXEC) };

	if (rule.fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno
											: rule.fd;
}

/* The same for what the kernel does not forget. */
static int allow_and_close(int ruleset, const char *path, uint64_t access)
{
	int fd = allow_beneath(ruleset, path, access);

	if (fd > 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* The directory in which @own is; what is beneath it goes along. */
static int allow_beside(int ruleset, const char *own, uint64_t access)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(own, '/');
	size_t len = slash ? (size_t)(slash - own) : 0;

	if (len >= sizeof(directory))
		return -ENAMETOOLONG;
	memcpy(directory, own, len);
	directory[len] = '\0';
	if (len == 0)
		strcpy(directory, slash ? "/" : ".");
	return allow_and_close(ruleset, directory, access);
}

/*
 * The server looks namespaces' names up, wherever in /run their directory will be made, and reads
 * counters and rights of itself in /proc. There the descriptor keeps the kernel from forgetting the
 * directory, and with it the rule.
 */
static int allow_serving(int ruleset)
{
	int err = allow_and_close(ruleset, "/run", FS_READ_DIR);

	return err < 0 ? err : allow_beneath(ruleset, "/proc/self", FS_READ_FILE);
}

/* @all: what this version of Landlock knows, and no other may be asked for. */
static int fill(int ruleset, enum sandbox_role role, const char *own, uint64_t all)
{
	int err = role == SANDBOX_SERVE ? allow_serving(ruleset) : 0;

	if (err < 0 || !own)
		return err;
	return allow_beside(ruleset, own,
			    role == SANDBOX_FILES
				    ? (FS_MAKE_FILE | FS_WRITE_FILE | FS_TRUNCATE) & all
				    : FS_REMOVE_FILE);
}

/* Landlock hides which namespaces the processes of others are in, and is inherited. */
static bool looks_at_others(enum sandbox_role role)
{
	return role == SANDBOX_BROKER || role == SANDBOX_NETNS || role == SANDBOX_KEEPER;
}

/* The kernel may have been built or started without it; or a container's filter knows no such call. */
static bool is_without_landlock(int err)
{
	return err == ENOSYS || err == EOPNOTSUPP || err == EPERM;
}

int sandbox_limit_files(enum sandbox_role role, const char *own)
{
	const long version = syscall(SYS_landlock_create_ruleset, NULL, 0, GET_VERSION);
	struct ruleset all;
	int ruleset, err;

	if (looks_at_others(role))
		return 0;
	if (version < 0)
		return is_without_landlock(errno) ? 0 : -errno;
	all = get_all(version);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return -errno;
	err = fill(ruleset, role, own, all.fs);
	if (err >= 0)
		err = syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
	close(ruleset);
	return err;
}

#else

int sandbox_limit_files(enum sandbox_role role, const char *own)
{
	(void)role;
	(void)own;
	return 0;
}

#endif
