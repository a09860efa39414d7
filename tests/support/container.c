/* SPDX-License-Identifier: MIT */
/* A container without root. */
#include "container.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wait.h"

#define CANNOT 77

struct inside {
	uid_t uid;
	int (*function)(int stream, void *arg);
	void *arg;
};

/* Who changes his uid is not dumpable, and the files of /proc about him are root's. */
static int change_user(uid_t uid)
{
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -1;
	return prctl(PR_SET_DUMPABLE, 1);
}

int become(uid_t uid)
{
	return change_user(uid) < 0 ? -1 : prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return len == (ssize_t)strlen(text) ? 0 : -1;
}

static int map_root(uid_t uid)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", (unsigned int)uid);
	return write_file("/proc/self/setgroups", "deny") < 0 ||
			       write_file("/proc/self/gid_map", map) < 0 ||
			       write_file("/proc/self/uid_map", map) < 0
		       ? -1
		       : 0;
}

static int enter(int stream, void *arg)
{
	const struct inside *inside = arg;
	char byte;

	if (change_user(inside->uid) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
	    map_root(inside->uid) < 0)
		return CANNOT;
	/* Not before it was looked at from outside. */
	if (write(stream, "", 1) != 1 || read(stream, &byte, 1) != 1)
		return 1;
	return inside->function(stream, inside->arg);
}

void container_start(struct container *container, uid_t uid,
		     int (*function)(int stream, void *arg), void *arg)
{
	struct inside inside = { uid, function, arg };
	char path[32], byte;

	netns_require();
	*container = (struct container){ .child = child_start(enter, &inside), .socket = -1 };
	if (read(container->child.fd, &byte, 1) != 1) {
		cr_assert_eq(child_finish(&container->child), CANNOT);
		skip_or_fail("users may not make user namespaces here");
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)container->child.pid);
	container->ns.fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(container->ns.fd >= 0);
	snprintf(container->ns.name, sizeof(container->ns.name), "%d", (int)container->child.pid);
	netns_run(&container->ns, "ip link set lo up");
	child_tell(&container->child);
}

/*
 * The kernel counts what a user's processes have sent and that was not received yet, against the limit
 * of who sends: another test may be at it.
 */
static int container_open_socket(int stream, void *arg)
{
	int err = 0, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	char byte;

	(void)arg;
	if (fd < 0 || !wait_until((err = send_descriptor(stream, fd)) != -ETOOMANYREFS) || err)
		return 1;
	close(fd);
	return read(stream, &byte, 1) == 0 ? 0 : 2;
}

void container_start_idle(struct container *container, uid_t uid)
{
	container_start(container, uid, container_open_socket, NULL);
	container->socket = receive_descriptor(container->child.fd);
	cr_assert(container->socket >= 0, "no socket comes from the container: %s",
		  strerror(-container->socket));
}

int container_finish(struct container *container)
{
	close(container->ns.fd);
	if (container->socket >= 0)
		close(container->socket);
	return child_finish(&container->child);
}
