/* SPDX-License-Identifier: MIT */
/* The tests' own promise: whatever becomes of one, no namespace, process or name is left. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "child.h"
#include "netns.h"
#include "wait.h"

static int make_and_hang(int stream, void *arg)
{
	struct netns *ns = netns_new();

	(void)arg;
	return write(stream, ns->name, sizeof(ns->name)) == sizeof(ns->name) ? pause() : 1;
}

Test(helpers, a_crash_leaves_no_namespace)
{
	struct netns *own = netns_new();
	struct child child = child_start(make_and_hang, NULL);
	char name[sizeof(own->name)], path[64];

	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, name, sizeof(name)) == sizeof(name));
	snprintf(path, sizeof(path), "/run/netns/%.31s", name);
	cr_assert(access(path, F_OK) == 0);
	child_kill(&child);
	cr_assert(wait_until(access(path, F_OK) != 0), "%s is still there", path);
	snprintf(path, sizeof(path), "/run/netns/%.31s", own->name);
	cr_assert(access(path, F_OK) == 0, "not that one");
}

static int hang(int stream, void *arg)
{
	char byte = 0;

	(void)arg;
	return write(stream, &byte, 1) == 1 ? pause() : 1;
}

static int die_with_a_child(int stream, void *arg)
{
	struct child child = child_start(hang, arg);

	child_await(&child);
	(void)!write(stream, &child.pid, sizeof(child.pid));
	return 0;
}

Test(helpers, children_do_not_outlive_their_test)
{
	struct child child = child_start(die_with_a_child, NULL);
	pid_t pid = 0;

	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, &pid, sizeof(pid)) == sizeof(pid));
	cr_assert(child_finish(&child) == 0);
	cr_assert(wait_until(kill(pid, 0) < 0), "process %d is still there", (int)pid);
}
