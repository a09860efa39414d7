/* SPDX-License-Identifier: MIT */
/* Every way to reach a namespace serves its packets, and leaves the caller's own one alone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel-fixture.h"

static uint64_t own_netns(void)
{
	struct stat st;

	cr_assert(stat("/proc/thread-self/ns/net", &st) == 0);
	return st.st_ino;
}

/* A process to name by its id: goes there and stays until we close our end. */
static int live_there(int fd, void *arg)
{
	char byte = 0;

	netns_enter(arg);
	return write(fd, &byte, 1) == 1 && read(fd, &byte, 1) == 0 ? 0 : 1;
}

static struct child inhabitant(struct netns *ns)
{
	struct child child = child_start(live_there, ns);

	child_await(&child);
	return child;
}

typedef int (*way)(struct mnfq_socket **ret, struct netns *ns);

static int by_own(struct mnfq_socket **ret, struct netns *ns)
{
	netns_enter(ns);
	return mnfq_socket_open(ret, NULL);
}

static int by_name(struct mnfq_socket **ret, struct netns *ns)
{
	return mnfq_socket_open_netns(ret, ns->name, NULL);
}

static int by_path(struct mnfq_socket **ret, struct netns *ns)
{
	char path[64];

	snprintf(path, sizeof(path), "/run/netns/%s", ns->name);
	return mnfq_socket_open_netns(ret, path, NULL);
}

static int by_pid(struct mnfq_socket **ret, struct netns *ns)
{
	struct child child = inhabitant(ns);
	char pid[16];
	int err;

	snprintf(pid, sizeof(pid), "%d", (int)child.pid);
	err = mnfq_socket_open_netns(ret, pid, NULL);
	cr_assert(child_finish(&child) == 0);
	return err;
}

static int by_fd(struct mnfq_socket **ret, struct netns *ns)
{
	return mnfq_socket_open_netns_fd(ret, ns->fd, NULL);
}

static int by_pidfd(struct mnfq_socket **ret, struct netns *ns)
{
	struct child child = inhabitant(ns);
	int err, fd = (int)syscall(SYS_pidfd_open, child.pid, 0);

	cr_assert(fd >= 0);
	err = mnfq_socket_open_netns_fd(ret, fd, NULL);
	close(fd);
	cr_assert(child_finish(&child) == 0);
	return err;
}

static int open_and_pass(int stream, void *arg)
{
	int err, fd;

	netns_enter(arg);
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	err = send_descriptor(stream, fd);
	close(fd);
	return err == 0 ? 0 : 1;
}

/* The sender has closed its copy and is gone before we do anything with ours. */
static int by_passing(struct mnfq_socket **ret, struct netns *ns)
{
	struct child child = child_start(open_and_pass, ns);
	int fd = receive_descriptor(child.fd);

	cr_assert(fd >= 0, "%s", strerror(-fd));
	cr_assert(child_finish(&child) == 0);
	return mnfq_socket_adopt(ret, fd, NULL);
}

static enum mnfq_verdict drop_odd(struct mnfq_packet *packet, void *data)
{
	(void)data;
	mnfq_packet_set_mark(packet, 3);
	return seq_of(packet) % 2 ? MNFQ_DROP : MNFQ_ACCEPT;
}

/* Ten datagrams, every second dropped, the others marked. */
static void serve(void)
{
	struct mnfq_stats stats;

	fixture_bind(NULL, drop_odd);
	udp_send_many(&fixture.udp, 0, 10);
	fixture_serve(10);
	for (uint32_t i = 0; i < 10; i += 2)
		fixture_expect(i, 1);
	fixture_expect_nothing();
	stats = fixture_stats();
	cr_assert(stats.packets == 10 && stats.accepted == 5 && stats.dropped == 5);
	cr_assert(stats.lost == 0 && stats.refused == 0 && stats.defaulted == 0);
}

static void reach(way open, int family)
{
	const uint64_t before = own_netns();
	uint64_t inode;
	char name[64];

	fixture_open(family);
	netns_rule(fixture.ns, family, "-A INPUT -m mark --mark 3");
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, open(&fixture.sock, fixture.ns));
	cr_assert(mnfq_socket_get_netns_inode(fixture.sock, &inode) == 0);
	cr_assert(inode == netns_inode(fixture.ns));
	cr_assert(mnfq_socket_get_netns_name(fixture.sock, name, sizeof(name)) == 0);
	cr_assert_str_eq(name, fixture.ns->name);
	serve();
	cr_assert(netns_rule_packets(fixture.ns, family, "filter", "INPUT", 1) == 5);
	cr_assert(own_netns() == (open == by_own ? inode : before));
	fixture_close();
}

#define TEST_WAY(WAY)                                                                            \
	Test(reach, WAY##_ipv4)                                                                  \
	{                                                                                        \
		reach(WAY, 4);                                                                   \
	}                                                                                        \
	Test(reach, WAY##_ipv6)                                                                  \
	{                                                                                        \
		reach(WAY, 6);                                                                   \
	}

TEST_WAY(by_own)
TEST_WAY(by_name)
TEST_WAY(by_path)
TEST_WAY(by_pid)
TEST_WAY(by_fd)
TEST_WAY(by_pidfd)
TEST_WAY(by_passing)

/* Watches its own namespace all the time that another thread opens sockets elsewhere. */
static void *watch(void *arg)
{
	const int *stop = arg;
	const uint64_t before = own_netns();
	uintptr_t changes = 0;

	while (!__atomic_load_n(stop, __ATOMIC_SEQ_CST))
		changes += own_netns() != before;
	return (void *)changes;
}

Test(reach, opening_elsewhere_never_moves_a_thread)
{
	struct netns *ns = netns_new();
	const uint64_t before = own_netns();
	char *open_before = descriptors();
	struct mnfq_socket *sock;
	pthread_t thread;
	void *changes;
	int stop = 0;

	cr_assert(pthread_create(&thread, NULL, watch, &stop) == 0);
	for (int i = 0; i < 200; i++) {
		cr_assert(mnfq_socket_open_netns(&sock, ns->name, NULL) == 0);
		cr_assert(own_netns() == before);
		mnfq_socket_close(sock);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, &changes);
	cr_assert(changes == NULL);
	check_descriptors(open_before);
}

Test(reach, a_name_in_digits_wins_over_a_process_id)
{
	struct netns *ns = netns_new();
	struct child child = inhabitant(netns_new());
	struct mnfq_socket *sock;
	char path[64], digits[16];
	uint64_t inode;
	int fd;

	snprintf(digits, sizeof(digits), "%d", (int)child.pid);
	snprintf(path, sizeof(path), "/run/netns/%s", digits);
	fd = open(path, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	cr_assert(fd >= 0);
	close(fd);
	netns_run(NULL, "mount --bind /run/netns/%s %s", ns->name, path);
	cr_expect(mnfq_socket_open_netns(&sock, digits, NULL) == 0);
	netns_run(NULL, "umount %s; rm %s", path, path);
	cr_assert(mnfq_socket_get_netns_inode(sock, &inode) == 0);
	cr_assert(inode == netns_inode(ns));
	mnfq_socket_close(sock);
	child_finish(&child);
}

static void refuse(const char *netns, int expected)
{
	struct mnfq_socket *const untouched = (struct mnfq_socket *)&untouched, *sock = untouched;
	char errmsg[256] = "";
	int err = mnfq_socket_open_netns(
		&sock, netns, SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg)));

	cr_assert(err == expected, "'%s': %s, not %s", netns, strerror(-err),
		  strerror(-expected));
	cr_assert(errmsg[0] != '\0' && sock == untouched);
}

Test(reach, what_is_no_namespace_is_refused)
{
	struct netns *ns = netns_new();
	char *before = descriptors();
	struct mnfq_socket *sock;

	(void)ns;
	refuse("mnfq-there-is-none", -ENOENT);
	refuse("/run/netns/mnfq-there-is-none", -ENOENT);
	refuse("4194305", -ENOENT);
	refuse("/dev/null/x", -ENOTDIR);
	refuse("/dev/null", -EINVAL);
	refuse("/etc/passwd", -EINVAL);
	refuse("/proc/self/ns/uts", -EINVAL);
	refuse("/", -EINVAL);
	refuse("", -EINVAL);
	refuse(".", -EINVAL);
	refuse("..", -EINVAL);
	cr_assert(mnfq_socket_open_netns_fd(&sock, -1, NULL) == -EBADF);
	cr_assert(mnfq_socket_open_netns_fd(&sock, 1000, NULL) == -EBADF);
	cr_assert(mnfq_socket_open_netns_fd(&sock, 0, NULL) == -EINVAL);
	check_descriptors(before);
}

Test(reach, a_process_that_has_ended_is_nowhere)
{
	struct child child = inhabitant(netns_new());
	int fd = (int)syscall(SYS_pidfd_open, child.pid, 0);
	struct mnfq_socket *sock;
	char errmsg[256] = "";

	cr_assert(fd >= 0 && child_finish(&child) == 0);
	cr_assert(mnfq_socket_open_netns_fd(
			  &sock, fd,
			  SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg))) ==
		  -ENOENT);
	cr_assert(strstr(errmsg, "has ended"), "%s", errmsg);
	close(fd);
}
