/* SPDX-License-Identifier: MIT */
/* Which network namespaces exist: looking through /proc and /run/netns. */
#include "broker/netns-scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/parse.h"

#define NAMES        "/run/netns"
#define NAMES_PARENT "/run"

/* The inode of the PID namespace that sees all processes (PROC_PID_INIT_INO). */
#define INIT_PID_NS 0xEFFFFFFCu

/* As the kernel writes it; C libraries differ in what they call it. */
struct entry {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

struct finder {
	int proc;   /* /proc */
	int notify; /* inotify, or -1 */
	int names_watch, parent_watch;
	dev_t dev;        /* of all namespaces' inodes */
	bool everybody;   /* /proc has all processes of the machine */
	bool blind;       /* some processes could not be looked at */
	uint64_t *inodes; /* ascending */
	int *pids;        /* of each, a process that is in there, or 0: it has a name */
	size_t count, room;
	const char *const *texts; /* where else to look */
	unsigned int text_count;
	char buffer[32768] __attribute__((aligned(8)));
};

int finder_new(struct finder **ret)
{
	struct finder *finder = calloc(1, sizeof(*finder));
	struct stat st;
	int err;

	if (!finder)
		return -ENOMEM;
	finder->names_watch = finder->parent_watch = -1;
	finder->notify = -1;
	finder->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (finder->proc < 0 || fstatat(finder->proc, "self/ns/net", &st, 0) < 0) {
		err = -errno;
		finder_free(finder);
		return err;
	}
	finder->dev = st.st_dev;
	finder->everybody =
		fstatat(finder->proc, "self/ns/pid", &st, 0) == 0 && st.st_ino == INIT_PID_NS;
	finder->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	*ret = finder;
	return 0;
}

struct finder *finder_free(struct finder *finder)
{
	if (!finder)
		return NULL;
	if (finder->proc >= 0)
		close(finder->proc);
	if (finder->notify >= 0)
		close(finder->notify);
	free(finder->inodes);
	free(finder->pids);
	free(finder);
	return NULL;
}

/* ---- the list ---- */

/* Where @inode is in the list, or belongs. */
static size_t position(const struct finder *finder, uint64_t inode)
{
	size_t low = 0, high = finder->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (finder->inodes[middle] < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct finder *finder, size_t at, uint64_t inode)
{
	return at < finder->count && finder->inodes[at] == inode;
}

static int grow(struct finder *finder)
{
	size_t room = finder->room ? 2 * finder->room : 64;
	uint64_t *inodes = realloc(finder->inodes, room * sizeof(*inodes));
	int *pids;

	if (!inodes)
		return -ENOMEM;
	finder->inodes = inodes;
	pids = realloc(finder->pids, room * sizeof(*pids));
	if (!pids)
		return -ENOMEM;
	finder->pids = pids;
	finder->room = room;
	return 0;
}

static int add(struct finder *finder, uint64_t inode, int pid)
{
	size_t at = position(finder, inode), after;
	int err;

	if (is_at(finder, at, inode))
		return 0;
	if (finder->count == finder->room && (err = grow(finder)) < 0)
		return err;
	after = finder->count++ - at;
	memmove(&finder->inodes[at + 1], &finder->inodes[at], after * sizeof(finder->inodes[0]));
	memmove(&finder->pids[at + 1], &finder->pids[at], after * sizeof(finder->pids[0]));
	finder->inodes[at] = inode;
	finder->pids[at] = pid;
	return 0;
}

const uint64_t *finder_get(const struct finder *finder, size_t *count)
{
	*count = finder->count;
	return finder->inodes;
}

bool finder_has(const struct finder *finder, uint64_t inode)
{
	return is_at(finder, position(finder, inode), inode);
}

bool finder_sees_all(const struct finder *finder)
{
	return finder->everybody && !finder->blind;
}

/* ---- looking ---- */

/* Calls @look for each entry of a directory that is read from where it stands. */
static int each_entry(struct finder *finder, int dir,
		      int (*look)(struct finder *finder, int dir, const char *name))
{
	long len, at;
	int err = 0;

	do {
		len = syscall(SYS_getdents64, dir, finder->buffer, sizeof(finder->buffer));
		if (len < 0)
			return -errno;
		for (at = 0; at < len && err == 0;) {
			const struct entry *entry = (const void *)(finder->buffer + at);

			err = look(finder, dir, entry->name);
			at += entry->reclen;
		}
	} while (len > 0 && err == 0);
	return err;
}

static int look_at_process(struct finder *finder, int dir, const char *name)
{
	char path[32];
	struct stat st;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	snprintf(path, sizeof(path), "%.16s/ns/net", name);
	if (fstatat(dir, path, &st, 0) < 0) {
		/* Others have ended in the meantime. */
		if (errno == EACCES || errno == EPERM)
			finder->blind = true;
		return 0;
	}
	return add(finder, st.st_ino, (int)strtol(name, NULL, 10));
}

static int look_at_name(struct finder *finder, int dir, const char *name)
{
	struct stat st;

	if (name[0] == '.' || fstatat(dir, name, &st, AT_NO_AUTOMOUNT) < 0 ||
	    st.st_dev != finder->dev)
		return 0;
	return add(finder, st.st_ino, 0);
}

/*
 * Opened anew each time: the first 'ip netns add' mounts the directory on itself, and from then
 * on the one that was there before shows no namespaces.
 */
static int open_names(void)
{
	return open(NAMES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int scan_names(struct finder *finder)
{
	int err, dir = open_names();

	if (dir < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (dir < 0 && errno == EACCES) {
		finder->blind = true;
		return 0;
	}
	if (dir < 0)
		return -errno;
	err = each_entry(finder, dir, look_at_name);
	close(dir);
	return err;
}

/* The directory of names may be made, or made anew, at any time. */
static void watch_names(struct finder *finder)
{
	if (finder->notify < 0)
		return;
	finder->names_watch = inotify_add_watch(finder->notify, NAMES,
						IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
	if (finder->names_watch < 0) {
		finder->parent_watch =
			inotify_add_watch(finder->notify, NAMES_PARENT, IN_CREATE | IN_ONLYDIR);
	} else if (finder->parent_watch >= 0) {
		inotify_rm_watch(finder->notify, finder->parent_watch);
		finder->parent_watch = -1;
	}
}

void finder_look_at(struct finder *finder, const char *const *texts, unsigned int count)
{
	finder->texts = texts;
	finder->text_count = count;
}

static int scan_texts(struct finder *finder)
{
	uint64_t inode;
	int err = 0;

	for (unsigned int i = 0; i < finder->text_count && err == 0; i++) {
		inode = finder_of_text(finder, finder->texts[i]);
		if (inode != 0)
			err = add(finder, inode, 0);
	}
	return err;
}

int finder_scan(struct finder *finder)
{
	int err;

	finder->count = 0;
	finder->blind = false;
	watch_names(finder);
	if (lseek(finder->proc, 0, SEEK_SET) < 0)
		return -errno;
	err = each_entry(finder, finder->proc, look_at_process);
	if (err == 0)
		err = scan_names(finder);
	if (err == 0)
		err = scan_texts(finder);
	if (err < 0)
		finder->count = 0;
	return err;
}

bool finder_is_absent(int err)
{
	return err == ENOENT || err == ENOTDIR || err == ESRCH;
}

uint64_t finder_of_process(const struct finder *finder, uint32_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "%u/ns/net", pid);
	return fstatat(finder->proc, path, &st, 0) == 0 ? st.st_ino : 0;
}

static uint64_t inode_at(const struct finder *finder, const char *path)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_NO_AUTOMOUNT) < 0)
		return 0;
	errno = ENOENT; /* if it is something else */
	return st.st_dev == finder->dev ? st.st_ino : 0;
}

uint64_t finder_of_name(const struct finder *finder, const char *name)
{
	char path[sizeof(NAMES) + 256];

	errno = ENOENT;
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') || strlen(name) > 255)
		return 0;
	snprintf(path, sizeof(path), NAMES "/%s", name);
	return inode_at(finder, path);
}

uint64_t finder_of_text(const struct finder *finder, const char *text)
{
	uint64_t inode =
		strchr(text, '/') ? inode_at(finder, text) : finder_of_name(finder, text);
	uint64_t pid;

	if (inode != 0 || !finder_is_absent(errno))
		return inode;
	if (parse_number(text, 1, INT_MAX, &pid) == 0)
		return finder_of_process(finder, (uint32_t)pid);
	errno = ENOENT;
	return 0;
}

int finder_get_fd(const struct finder *finder)
{
	return finder->notify;
}

void finder_drain(const struct finder *finder)
{
	char events[4096] __attribute__((aligned(8)));

	while (read(finder->notify, events, sizeof(events)) > 0)
		;
}

void finder_rest(struct finder *finder)
{
	if (finder->names_watch >= 0)
		inotify_rm_watch(finder->notify, finder->names_watch);
	if (finder->parent_watch >= 0)
		inotify_rm_watch(finder->notify, finder->parent_watch);
	finder->names_watch = finder->parent_watch = -1;
	finder->count = 0;
}

/* ---- opening ---- */

/* Names and process ids are used again: what was opened may be another namespace by now. */
static int check_opened(const struct finder *finder, int fd, uint64_t inode)
{
	struct stat st;

	if (fd < 0)
		return errno == ESRCH ? -ENOENT : -errno;
	if (fstat(fd, &st) == 0 && st.st_dev == finder->dev && st.st_ino == inode)
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_process(const struct finder *finder, int pid, uint64_t inode)
{
	char path[32];

	snprintf(path, sizeof(path), "%d/ns/net", pid);
	return check_opened(finder, openat(finder->proc, path, O_RDONLY | O_CLOEXEC), inode);
}

/* Looks before it opens: to open what is no namespace may have effects. */
static int open_named(const struct finder *finder, int dir, const char *name, uint64_t inode)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_NO_AUTOMOUNT) < 0 || st.st_dev != finder->dev ||
	    st.st_ino != inode)
		return -ENOENT;
	return check_opened(finder, openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), inode);
}

static int open_name(const struct finder *finder, uint64_t inode)
{
	char buffer[4096] __attribute__((aligned(8)));
	int fd = -ENOENT, dir = open_names();
	long len, at;

	if (dir < 0)
		return -errno;
	while (fd == -ENOENT && (len = syscall(SYS_getdents64, dir, buffer, sizeof(buffer))) > 0)
		for (at = 0; at < len && fd == -ENOENT;) {
			const struct entry *entry = (const void *)(buffer + at);

			fd = open_named(finder, dir, entry->name, inode);
			at += entry->reclen;
		}
	close(dir);
	return fd;
}

int finder_open(const struct finder *finder, uint64_t inode)
{
	size_t at = position(finder, inode);
	int fd = -ENOENT;

	if (!is_at(finder, at, inode))
		return -ENOENT;
	if (finder->pids[at] > 0)
		fd = open_process(finder, finder->pids[at], inode);
	return fd == -ENOENT ? open_name(finder, inode) : fd;
}
