/* SPDX-License-Identifier: MIT */
/* Which network namespaces exist: looking through /proc and /run/netns. */
#include "broker/netns-scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/parse.h"
#include "common/sys.h"

#define NAMES        "/run/netns"
#define NAMES_PARENT "/run"

/* The inode of the PID namespace that sees all processes (PROC_PID_INIT_INO). */
#define INIT_PID_NS 0xEFFFFFFCu

struct netns_scan {
	DIR *proc;
	int notify; /* inotify, or -1 */
	int names_watch, parent_watch;
	dev_t dev;          /* of all namespaces' inodes */
	bool sees_all_pids; /* /proc has all processes of the machine */
	bool blind;         /* some processes could not be looked at */
	uint64_t *inodes;   /* ascending */
	int *pids;          /* of each, a process that is in there, or 0: it has a name */
	size_t count, room;
	const char *const *texts; /* where else to look */
	unsigned int text_count;
};

int netns_scan_new(struct netns_scan **ret)
{
	struct netns_scan *scan = calloc(1, sizeof(*scan));
	struct stat st;
	int err;

	if (!scan)
		return -ENOMEM;
	scan->names_watch = scan->parent_watch = -1;
	scan->notify = -1;
	scan->proc = opendir("/proc");
	if (!scan->proc || fstatat(dirfd(scan->proc), "self/ns/net", &st, 0) < 0) {
		err = -errno;
		netns_scan_free(scan);
		return err;
	}
	scan->dev = st.st_dev;
	scan->sees_all_pids = fstatat(dirfd(scan->proc), "self/ns/pid", &st, 0) == 0 &&
			      st.st_ino == INIT_PID_NS;
	scan->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	*ret = scan;
	return 0;
}

struct netns_scan *netns_scan_free(struct netns_scan *scan)
{
	if (!scan)
		return NULL;
	if (scan->proc)
		closedir(scan->proc);
	if (scan->notify >= 0)
		close(scan->notify);
	free(scan->inodes);
	free(scan->pids);
	free(scan);
	return NULL;
}

/* ---- the list ---- */

/* Where @inode is in the list, or belongs. */
static size_t position(const struct netns_scan *scan, uint64_t inode)
{
	size_t low = 0, high = scan->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (scan->inodes[middle] < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct netns_scan *scan, size_t at, uint64_t inode)
{
	return at < scan->count && scan->inodes[at] == inode;
}

static int grow(struct netns_scan *scan)
{
	size_t room = scan->room ? 2 * scan->room : 64;
	uint64_t *inodes = realloc(scan->inodes, room * sizeof(*inodes));
	int *pids;

	if (!inodes)
		return -ENOMEM;
	scan->inodes = inodes;
	pids = realloc(scan->pids, room * sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	scan->pids = pids;
	scan->room = room;
	return 0;
}

static int add(struct netns_scan *scan, uint64_t inode, int pid)
{
	size_t at = position(scan, inode), after;
	int err;

	if (is_at(scan, at, inode))
		return 0;
	if (scan->count == scan->room && (err = grow(scan)) < 0)
		return err;
	after = scan->count++ - at;
	memmove(&scan->inodes[at + 1], &scan->inodes[at], after * sizeof(scan->inodes[0]));
	memmove(&scan->pids[at + 1], &scan->pids[at], after * sizeof(scan->pids[0]));
	scan->inodes[at] = inode;
	scan->pids[at] = pid;
	return 0;
}

const uint64_t *netns_scan_get(const struct netns_scan *scan, size_t *count)
{
	*count = scan->count;
	return scan->inodes;
}

bool netns_scan_has(const struct netns_scan *scan, uint64_t inode)
{
	return is_at(scan, position(scan, inode), inode);
}

bool netns_scan_sees_all(const struct netns_scan *scan)
{
	return scan->sees_all_pids && !scan->blind;
}

/* ---- looking ---- */

/* Calls @look for each entry of a directory, until it does not return 0. Returns what it returned. */
static int each_entry(struct netns_scan *scan, DIR *dir,
		      int (*look)(struct netns_scan *scan, int dir, const char *name))
{
	const struct dirent *entry;
	int result = 0;

	do {
		errno = 0;
		entry = readdir(dir);
		result = entry ? look(scan, dirfd(dir), entry->d_name) : -errno;
	} while (entry && result == 0);
	return result;
}

static int look_at_process(struct netns_scan *scan, int dir, const char *name)
{
	char path[32];
	struct stat st;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	snprintf(path, sizeof(path), "%.16s/ns/net", name);
	if (fstatat(dir, path, &st, 0) < 0) {
		if (is_transient(errno))
			return -errno;
		/* With another errno the process has ended. */
		if (errno == EACCES || errno == EPERM)
			scan->blind = true;
		return 0;
	}
	return add(scan, st.st_ino, (int)strtol(name, NULL, 10));
}

static int look_at_name(struct netns_scan *scan, int dir, const char *name)
{
	struct stat st;

	if (name[0] == '.')
		return 0;
	if (fstatat(dir, name, &st, AT_NO_AUTOMOUNT) < 0)
		return is_transient(errno) ? -errno : 0;
	return st.st_dev == scan->dev ? add(scan, st.st_ino, 0) : 0;
}

/*
 * Opened anew each time: the first 'ip netns add' mounts the directory on itself, and from then
 * on the one that was there before shows no namespaces.
 */
static int scan_names(struct netns_scan *scan)
{
	DIR *dir = opendir(NAMES);
	int err;

	if (!dir && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!dir && errno == EACCES) {
		scan->blind = true;
		return 0;
	}
	if (!dir)
		return -errno;
	err = each_entry(scan, dir, look_at_name);
	closedir(dir);
	return err;
}

/* The directory of names may be made, or made anew, at any time. */
static void watch_names(struct netns_scan *scan)
{
	if (scan->notify < 0)
		return;
	scan->names_watch = inotify_add_watch(scan->notify, NAMES,
					      IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
	if (scan->names_watch < 0) {
		scan->parent_watch =
			inotify_add_watch(scan->notify, NAMES_PARENT, IN_CREATE | IN_ONLYDIR);
	} else if (scan->parent_watch >= 0) {
		inotify_rm_watch(scan->notify, scan->parent_watch);
		scan->parent_watch = -1;
	}
}

void netns_scan_look_at(struct netns_scan *scan, const char *const *texts, unsigned int count)
{
	scan->texts = texts;
	scan->text_count = count;
}

static int scan_texts(struct netns_scan *scan)
{
	uint64_t inode;
	int err = 0;

	for (unsigned int i = 0; i < scan->text_count && err == 0; i++) {
		inode = netns_scan_of_text(scan, scan->texts[i]);
		if (inode != 0)
			err = add(scan, inode, 0);
		else if (is_transient(errno))
			err = -errno;
	}
	return err;
}

int netns_scan_scan(struct netns_scan *scan)
{
	int err;

	scan->count = 0;
	scan->blind = false;
	watch_names(scan);
	rewinddir(scan->proc);
	err = each_entry(scan, scan->proc, look_at_process);
	if (err == 0)
		err = scan_names(scan);
	if (err == 0)
		err = scan_texts(scan);
	if (err < 0)
		scan->count = 0;
	return err;
}

bool netns_scan_is_absent(int err)
{
	return err == ENOENT || err == ENOTDIR || err == ESRCH;
}

uint64_t netns_scan_of_process(const struct netns_scan *scan, uint32_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "%u/ns/net", pid);
	return fstatat(dirfd(scan->proc), path, &st, 0) == 0 ? st.st_ino : 0;
}

static uint64_t inode_at(const struct netns_scan *scan, const char *path)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_NO_AUTOMOUNT) < 0)
		return 0;
	errno = ENOENT; /* if it is something else */
	return st.st_dev == scan->dev ? st.st_ino : 0;
}

uint64_t netns_scan_of_name(const struct netns_scan *scan, const char *name)
{
	char path[sizeof(NAMES) + 256];

	errno = ENOENT;
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') || strlen(name) > 255)
		return 0;
	snprintf(path, sizeof(path), NAMES "/%s", name);
	return inode_at(scan, path);
}

uint64_t netns_scan_of_text(const struct netns_scan *scan, const char *text)
{
	uint64_t inode =
		strchr(text, '/') ? inode_at(scan, text) : netns_scan_of_name(scan, text);
	uint64_t pid;

	if (inode != 0 || !netns_scan_is_absent(errno))
		return inode;
	if (parse_number(text, 1, INT_MAX, &pid) == 0)
		return netns_scan_of_process(scan, (uint32_t)pid);
	errno = ENOENT;
	return 0;
}

int netns_scan_get_fd(const struct netns_scan *scan)
{
	return scan->notify;
}

void netns_scan_drain(const struct netns_scan *scan)
{
	char events[4096] __attribute__((aligned(8)));

	while (read(scan->notify, events, sizeof(events)) > 0)
		;
}

void netns_scan_pause(struct netns_scan *scan)
{
	if (scan->names_watch >= 0)
		inotify_rm_watch(scan->notify, scan->names_watch);
	if (scan->parent_watch >= 0)
		inotify_rm_watch(scan->notify, scan->parent_watch);
	scan->names_watch = scan->parent_watch = -1;
	scan->count = 0;
}

/* ---- opening ---- */

/* Names and process ids are used again: what was opened may be another namespace by now. */
static int check_opened(const struct netns_scan *scan, int fd, uint64_t inode)
{
	struct stat st;

	if (fd < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	if (fstat(fd, &st) == 0 && st.st_dev == scan->dev && st.st_ino == inode)
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_process(const struct netns_scan *scan, int pid, uint64_t inode)
{
	char path[32];

	snprintf(path, sizeof(path), "%d/ns/net", pid);
	return check_opened(scan, openat(dirfd(scan->proc), path, O_RDONLY | O_CLOEXEC), inode);
}

/* Looks before it opens: to open what is no namespace may have effects. */
static int open_named(const struct netns_scan *scan, int dir, const char *name, uint64_t inode)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_NO_AUTOMOUNT) < 0 || st.st_dev != scan->dev ||
	    st.st_ino != inode)
		return -ENOENT;
	return check_opened(scan, openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), inode);
}

static int open_name(const struct netns_scan *scan, uint64_t inode)
{
	const struct dirent *entry;
	DIR *dir = opendir(NAMES);
	int fd = -ENOENT;

	if (!dir)
		return -errno;
	while (fd == -ENOENT && (entry = readdir(dir)))
		fd = open_named(scan, dirfd(dir), entry->d_name, inode);
	closedir(dir);
	return fd;
}

int netns_scan_open(const struct netns_scan *scan, uint64_t inode)
{
	size_t at = position(scan, inode);
	int fd = -ENOENT;

	if (!is_at(scan, at, inode))
		return -ENOENT;
	if (scan->pids[at] > 0)
		fd = open_process(scan, scan->pids[at], inode);
	return fd == -ENOENT ? open_name(scan, inode) : fd;
}
