/* SPDX-License-Identifier: MIT */
/* Who owns a queue, as far as /proc shows it. */
#include "stat/owners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- /proc/net/netlink ------------------------------------------------------------------ */

void owners_each_socket(FILE *netlink,
			void (*look)(const struct netlink_socket *sock, void *data), void *data)
{
	struct netlink_socket sock;
	unsigned int protocol;
	char line[256];

	/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode; a line without an end was cut. */
	while (fgets(line, sizeof(line), netlink))
		if (strchr(line, '\n') &&
		    sscanf(line, "%*s %u %" SCNu32 " %*s %*s %*s %*s %*s %" SCNu32 " %" SCNu64,
			   &protocol, &sock.portid, &sock.drops, &sock.inode) == 4 &&
		    protocol == NETLINK_NETFILTER)
			look(&sock, data);
}

/* ---- the list --------------------------------------------------------------------------- */

static int by_inode(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static struct owner *find(const struct owners *owners, uint64_t inode)
{
	const struct owner key = { .inode = inode };

	if (owners->count == 0)
		return NULL;
	return bsearch(&key, owners->list, owners->count, sizeof(key), by_inode);
}

const struct owner *owners_get(const struct owners *owners, uint64_t inode)
{
	return find(owners, inode);
}

void owners_free(struct owners *owners)
{
	free(owners->list);
	*owners = (struct owners){ 0 };
}

/* Each once. */
static int fill_owners(struct owners *owners, const uint64_t *inodes, size_t count)
{
	owners->list = calloc(count ? count : 1, sizeof(owners->list[0]));
	if (!owners->list)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		owners->list[i].inode = inodes[i];
	qsort(owners->list, count, sizeof(owners->list[0]), by_inode);
	for (size_t i = 0; i < count; i++) {
		const struct owner *owner = &owners->list[i];

		if (owner->inode &&
		    (!owners->count || owner->inode != owners->list[owners->count - 1].inode))
			owners->list[owners->count++] = *owner;
	}
	return 0;
}

/* ---- /proc/PID -------------------------------------------------------------------------- */

/* The inode of the socket that a descriptor is, or 0. */
static uint64_t get_socket(int dir, const char *name)
{
	char target[64];
	ssize_t len = readlinkat(dir, name, target, sizeof(target) - 1);
	uint64_t inode;

	target[len > 0 ? len : 0] = '\0';
	return sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1 ? inode : 0;
}

static bool still_owns(const struct owner *owner)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", owner->pid, owner->fd);
	return get_socket(AT_FDCWD, path) == owner->inode;
}

/* A name may contain an end of line; one more follows it. */
static void read_command(struct owner *owner)
{
	char path[64];
	ssize_t len = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", owner->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, owner->command, sizeof(owner->command) - 1);
		close(fd);
	}
	if (len > 0 && owner->command[len - 1] == '\n')
		len--;
	owner->command[len > 0 ? len : 0] = '\0';
}

/* Of several processes that have a socket, the first is its owner. Returns how many were found. */
static size_t search_process(struct owners *owners, const char *pid)
{
	const struct dirent *entry;
	struct owner *owner;
	size_t found = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		owner = find(owners, get_socket(dirfd(dir), entry->d_name));
		if (!owner || owner->pid)
			continue;
		owner->pid = atoi(pid);
		owner->fd = atoi(entry->d_name);
		found++;
	}
	closedir(dir);
	return found;
}

static void look_at_processes(struct owners *owners)
{
	const struct dirent *entry;
	size_t found = 0;
	DIR *dir = opendir("/proc");

	for (size_t i = 0; i < owners->count; i++)
		found += owners->list[i].pid != 0;
	while (dir && found < owners->count && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			found += search_process(owners, entry->d_name);
	if (dir)
		closedir(dir);
}

int owners_find(struct owners *owners, const uint64_t *inodes, size_t count)
{
	struct owners before = *owners;
	const struct owner *known;
	bool look = false;
	int err;

	*owners = (struct owners){ 0 };
	err = fill_owners(owners, inodes, count);
	for (size_t i = 0; i < owners->count; i++) {
		known = find(&before, owners->list[i].inode);
		if (known && (!known->pid || still_owns(known)))
			owners->list[i] = *known;
		else
			look = true;
	}
	if (look)
		look_at_processes(owners);
	for (size_t i = 0; i < owners->count; i++)
		if (owners->list[i].pid)
			read_command(&owners->list[i]);
	owners_free(&before);
	return err;
}
