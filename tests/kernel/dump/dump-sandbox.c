/* SPDX-License-Identifier: MIT */
/* Which rights are left once mnfq dump serves, and who else enters the sandbox. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "container.h"
#include "dump-fixture.h"
#include "sandbox/sandbox.h"

TestSuite(dump_sandbox, .timeout = 300);

/* ---- capabilities ------------------------------------------------------------------------------ */

/* These capabilities and no more, now and later. */
static void expect_rights(pid_t pid, uint64_t effective)
{
	static const char *const sets[] = { "CapEff", "CapPrm", "CapBnd" };
	struct rlimit core;

	for (size_t i = 0; i < 3; i++)
		cr_expect(process_status(pid, sets[i], 16) == effective, "%s %llx", sets[i],
			  process_status(pid, sets[i], 16));
	cr_expect(process_status(pid, "CapInh", 16) == 0 &&
		  process_status(pid, "CapAmb", 16) == 0);
	cr_expect(process_status(pid, "NoNewPrivs", 10) == 1);
	cr_expect(process_status(pid, "Seccomp", 10) ==
		  (sandbox_has_seccomp ? 2 : process_status(getpid(), "Seccomp", 10)));
	cr_assert(prlimit(pid, RLIMIT_CORE, NULL, &core) == 0);
	cr_expect(core.rlim_cur == 0 && core.rlim_max == 0);
}

static int enter_and_wait(int stream, void *arg)
{
	char error[256], byte;

	if (sandbox_enter(SANDBOX_SERVE, *(const uint64_t *)arg, false, NULL, error,
			  sizeof(error)) ||
	    write(stream, "", 1) != 1)
		return 1;
	return read(stream, &byte, 1) == 0 ? 0 : 2;
}

Test(dump_sandbox, keeps_the_requested_capabilities)
{
	static const uint64_t keep[] = { 0, SANDBOX_CAP(CAP_NET_ADMIN),
					 SANDBOX_CAP(CAP_SYS_ADMIN) |
						 SANDBOX_CAP(CAP_NET_ADMIN) };
	struct child child;

	netns_require();
	for (size_t i = 0; i < 3; i++) {
		child = child_start(enter_and_wait, (void *)&keep[i]);
		child_await(&child);
		expect_rights(child.pid, keep[i]);
		cr_assert_eq(child_finish(&child), 0);
	}
}

/* A user's process without capabilities; its files in /proc then are root's. */
static int enter_as_user(int stream, void *arg)
{
	return become(12345) < 0 ? 3 : enter_and_wait(stream, arg);
}

Test(dump_sandbox, a_user_without_capabilities_can_enter_it)
{
	uint64_t keep = SANDBOX_CAP(CAP_NET_ADMIN);
	struct child child;
	char path[64];
	struct stat st;

	netns_require();
	child = child_start(enter_as_user, &keep);
	child_await(&child);
	cr_expect(process_status(child.pid, "CapEff", 16) == 0);
	cr_expect(process_status(child.pid, "NoNewPrivs", 10) == 1);
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)child.pid);
	cr_assert(stat(path, &st) == 0);
	cr_expect(st.st_uid == 0, "it is dumpable");
	cr_assert_eq(child_finish(&child), 0);
}

/* ---- the tool ---------------------------------------------------------------------------------- */

Test(dump_sandbox, dump_keeps_cap_net_admin)
{
	dump_open_and_start("");
	expect_rights(tool.pid, SANDBOX_CAP(CAP_NET_ADMIN));
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " q1 id 1 output lo, accept");
	tool_stop(&tool, .packets = 1, .accepted = 1);
	dump_expect(1);
}

/* Capabilities and the filter are each thread's own. */
static unsigned int expect_rights_of_threads(pid_t pid, uint64_t effective)
{
	unsigned int count = 0;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	cr_assert(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		expect_rights((pid_t)atoi(entry->d_name), effective);
		count++;
	}
	closedir(dir);
	return count;
}

Test(dump_sandbox, dump_with_threads_serves_in_each)
{
	dump_open();
	tool_start(&tool, NULL, -1, "dump -q 0:3 --threads 4 -n %s", ns->name);
	tool_listening(&tool);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " q1 id 1 output lo, accept");
	cr_assert(wait_until(process_status(tool.pid, "Threads", 10) == 7)); /* two that write */
	cr_assert_eq(expect_rights_of_threads(tool.pid, SANDBOX_CAP(CAP_NET_ADMIN)), 7);
	tool_stop(&tool, .packets = 1, .accepted = 1);
	dump_expect(1);
}

/* The owner of the container's user namespace needs no capability for verdicts. */
Test(dump_sandbox, dump_keeps_nothing_over_its_own_container)
{
	struct container container;

	container_start_idle(&container, 0);
	netns_rule(&container.ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	udp_open(&udp, &container.ns, &container.ns, "127.0.0.1", 9);
	tool_start(&tool, NULL, container.socket, "dump -q 1 --fd 7");
	tool_listening(&tool);
	expect_rights(tool.pid, 0);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " q1 id 1 output lo, accept");
	tool_stop(&tool, .packets = 1, .accepted = 1);
	udp_close(&udp);
	cr_assert_eq(container_finish(&container), 0);
}

/* Another user's container is none of ours, even if we are root. */
Test(dump_sandbox, dump_keeps_cap_net_admin_over_other_containers)
{
	struct container container;

	container_start_idle(&container, 12345);
	tool_start(&tool, NULL, container.socket, "dump -q 1 --fd 7");
	tool_listening(&tool);
	expect_rights(tool.pid, SANDBOX_CAP(CAP_NET_ADMIN));
	tool_stop(&tool, .packets = 0);
	cr_assert_eq(container_finish(&container), 0);
}

/* What reads a capture needs no right at all. The file is a pipe, so that it stays. */
static void expect_reader(const char *command)
{
	char directory[] = "/tmp/mnfq-test-XXXXXX", path[sizeof(directory) + 8];
	int fd;

	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/fifo", directory);
	cr_assert(mkfifo(path, 0600) == 0);
	tool_start(&tool, NULL, -1, "%s %s", command, path);
	fd = open(path, O_WRONLY | O_CLOEXEC); /* until it has opened it, too */
	cr_assert(fd >= 0);
	cr_assert(wait_until(
		process_status(tool.pid, "NoNewPrivs", 10) == 1 &&
		process_status(tool.pid, "CapBnd", 16) == 0 &&
		(!sandbox_has_seccomp || process_status(tool.pid, "Seccomp", 10) == 2)));
	expect_rights(tool.pid, 0);
	close(fd);
	expect_contains(tool_err(&tool), "fifo: ");
	cr_expect_eq(tool_finish(&tool), 1);
	cr_assert(unlink(path) == 0 && rmdir(directory) == 0);
}

Test(dump_sandbox, what_reads_a_capture_keeps_nothing)
{
	netns_require();
	expect_reader("replay");
	expect_reader("dump -r");
}

Test(dump_sandbox, dump_does_without_it_on_request)
{
	ns = netns_new();
	tool_start(&tool, NULL, -1, "dump -q 1 --no-sandbox -n %s", ns->name);
	tool_listening(&tool);
	cr_expect_eq(process_status(tool.pid, "CapEff", 16),
		     process_status(getpid(), "CapEff", 16));
	cr_expect_eq(process_status(tool.pid, "Seccomp", 10),
		     process_status(getpid(), "Seccomp", 10));
	tool_stop(&tool, .packets = 0);
}

/* Those that could make a file, or reach a network. */
static unsigned int count_usable_sockets(pid_t pid)
{
	struct sockaddr_storage name;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), fd, domain = 0;
	unsigned int sockets = 0, usable = 0;
	socklen_t len;

	for (int i = 0; i < 64; i++) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
		len = sizeof(domain);
		if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
			domain = -1;
		len = sizeof(name);
		sockets += domain >= 0;
		if (domain == AF_UNIX)
			usable += getsockname(fd, (struct sockaddr *)&name, &len) < 0 ||
				  len <= sizeof(sa_family_t);
		else
			usable += domain >= 0 && domain != AF_NETLINK;
		if (fd >= 0)
			close(fd);
	}
	close(pidfd);
	cr_assert(sockets >= 2, "one of packets, the link");
	return usable;
}

Test(dump_sandbox, dump_holds_no_socket_for_anything_else)
{
	ns = netns_new();
	dump_start("");
	cr_assert_eq(count_usable_sockets(tool.pid), 0u);
	tool_stop(&tool, .packets = 0);
}

/* ---- whose namespace it is --------------------------------------------------------------------- */

static int ask_as(int stream, void *arg)
{
	const int fd = *(const int *)arg;

	(void)stream;
	if (become(12345) < 0)
		return 2;
	return sandbox_owns(fd);
}

static int answer(int fd)
{
	struct child child = child_start(ask_as, &fd);

	return child_finish(&child);
}

Test(dump_sandbox, the_owner_is_distinguished_from_others)
{
	struct container mine, other;
	int fd;

	ns = netns_new();
	fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	container_start_idle(&mine, 12345);
	container_start_idle(&other, 12346);
	cr_expect_eq(answer(mine.socket), 1);
	cr_expect_eq(answer(other.socket), 0);
	cr_expect_eq(answer(fd), 0, "the machine's own");
	cr_expect_eq(answer(-1), 0);
	cr_expect(!sandbox_owns(mine.socket), "root may do it by its capabilities");
	cr_expect(!sandbox_owns(fd));
	/* The other one holds a copy of what tells the first one to end. */
	cr_assert_eq(container_finish(&other), 0);
	cr_assert_eq(container_finish(&mine), 0);
	close(fd);
}
