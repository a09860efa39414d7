/* SPDX-License-Identifier: MIT */
/* The broker and namespaces: it finds them, and notices when they are gone. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <mnfq/handover.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker-harness.h"
#include "broker/netns-scan.h"

#define UNPRIVILEGED 65534

static uint64_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

static uint64_t process_inode(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return inode_of(path);
}

static uint64_t socket_inode(int fd)
{
	int netns = ioctl(fd, SIOCGSKNS);
	struct stat st;

	cr_assert(netns >= 0 && fstat(netns, &st) == 0, "%s", strerror(errno));
	close(netns);
	return st.st_ino;
}

/* A process in a namespace of its own, which has no name. */
static int live_apart(int stream, void *arg)
{
	const int *flags = arg;

	if (unshare(*flags) < 0 || write(stream, "", 1) != 1)
		return 1;
	return pause();
}

/*
 * As a server does that has a socket in there, the test holds the namespace: nothing else gets its
 * inode number before.
 */
struct apart {
	struct child child;
	uint64_t inode;
	int fd;
};

static struct apart start_apart(void)
{
	struct apart apart = { child_start(live_apart, &(int){ CLONE_NEWNET }), 0, -1 };
	char path[64];

	child_await(&apart.child);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)apart.child.pid);
	apart.fd = open(path, O_RDONLY | O_CLOEXEC);
	apart.inode = inode_of(path);
	cr_assert(apart.fd >= 0 && apart.inode != 0, "%s: %s", path, strerror(errno));
	return apart;
}

static void open_for_all(struct broker_harness *harness)
{
	harness_open(harness, (struct broker_options){ .all_netns = true });
}

/*
 * Other namespaces come and go on this machine: all are taken, and this one is waited for. Its
 * socket has to be where it is said to be from.
 */
static uint64_t await_attach(struct broker_harness *harness, uint64_t inode,
			     uint64_t not_this_one)
{
	struct ipc_msg message;
	int fd;

	for (;;) {
		cr_assert(wait_readable(harness->ipc), "the broker sends nothing");
		cr_assert(ipc_receive(harness->ipc, &message, &fd) == 1);
		if (message.type != IPC_ATTACH)
			continue;
		check_netfilter(fd);
		cr_assert(socket_inode(fd) == message.inode, "a socket of another one");
		close(fd);
		cr_assert(message.inode != not_this_one, "it was offered once more");
		if (message.inode == inode)
			return message.id;
		harness_answer(harness, message.id, 0, NULL);
	}
}

static void await_detach(struct broker_harness *harness, uint64_t id, uint64_t not_this_one)
{
	struct ipc_msg message = { 0 };
	int fd;

	while (message.type != IPC_DETACH || message.id != id) {
		cr_assert(wait_readable(harness->ipc), "the broker sends nothing");
		cr_assert(ipc_receive(harness->ipc, &message, &fd) == 1);
		if (fd >= 0)
			close(fd);
		cr_assert(message.type != IPC_DETACH || message.id != not_this_one);
	}
}

/* No name is left; the descriptor is. */
static void lose_name(struct netns *ns)
{
	netns_run(NULL, "ip netns delete %s", ns->name);
}

Test(track, those_with_names_are_found_and_lost)
{
	struct netns *ns[2];
	struct broker_harness harness;
	uint64_t id;
	int i;

	ns[0] = netns_new();
	open_for_all(&harness);
	for (i = 0; i < 2; i++) {
		if (i > 0) /* while it runs */
			ns[i] = netns_new();
		id = await_attach(&harness, netns_inode(ns[i]), 0);
		harness_answer(&harness, id, 0, NULL);
		lose_name(ns[i]);
		await_detach(&harness, id, 0);
	}
	netns_free(ns[1]);
	harness_close(&harness);
	netns_free(ns[0]);
}

Test(track, those_of_processes_are_found_and_lost)
{
	struct broker_harness harness;
	struct apart apart;
	uint64_t id;

	open_for_all(&harness);
	apart = start_apart();
	id = await_attach(&harness, apart.inode, 0);
	harness_answer(&harness, id, 0, NULL);
	child_kill(&apart.child);
	await_detach(&harness, id, 0);
	close(apart.fd);
	harness_close(&harness);
}

/* In another one it would keep that alive. */
Test(track, the_broker_comes_home)
{
	struct netns *ns = netns_new();
	struct broker_harness harness;

	open_for_all(&harness);
	(void)await_attach(&harness, netns_inode(ns), 0);
	cr_assert(wait_until(process_inode(harness.broker) == process_inode(getpid())));
	harness_close(&harness);
	netns_free(ns);
}

/* What the server sent before is handled, and @id was not withdrawn. */
static void expect_no_detach(struct broker_harness *harness, uint64_t id)
{
	const struct ipc_msg question = { .type = IPC_COUNT };
	struct ipc_msg message;
	int fd;

	for (int answers = 0; answers < 2;) { /* see harness_refused() */
		if (answers == 0 || message.type == IPC_COUNT)
			cr_assert_eq(ipc_send(harness->ipc, &question, -1), 0);
		cr_assert(wait_readable(harness->ipc), "the broker sends nothing");
		cr_assert(ipc_receive(harness->ipc, &message, &fd) == 1);
		if (fd >= 0)
			close(fd);
		cr_assert(message.type != IPC_DETACH || message.id != id, "it was withdrawn");
		answers += message.type == IPC_COUNT;
	}
}

/*
 * The answer for what the broker before this one found says so: it keeps its id, although it was offered anew and
 * refused, and its end is noticed.
 */
Test(track, another_broker_takes_over_what_was_found)
{
	struct netns *ns = netns_new();
	struct broker_harness harness;
	struct ipc_msg answer = { .type = IPC_ANSWER, .flags = IPC_FOUND };
	uint64_t id, offered;

	open_for_all(&harness);
	id = await_attach(&harness, netns_inode(ns), 0);
	kill(harness.broker, SIGKILL);
	offered = await_attach(&harness, netns_inode(ns), 0);
	cr_assert_neq(offered, id);
	harness_answer(&harness, offered, -EEXIST, "served already");
	answer.id = id;
	answer.inode = netns_inode(ns);
	cr_assert_eq(ipc_send(harness.ipc, &answer, -1), 0);
	expect_no_detach(&harness, id);
	lose_name(ns);
	await_detach(&harness, id, offered);
	harness_close(&harness);
	netns_free(ns);
}

/* That it looked again shows when it finds another one. */
Test(track, a_refused_one_is_not_offered_again)
{
	struct netns *refused = netns_new(), *other;
	struct broker_harness harness;
	uint64_t id, refused_id;

	open_for_all(&harness);
	refused_id = await_attach(&harness, netns_inode(refused), 0);
	harness_answer(&harness, refused_id, -EEXIST, "twice");
	for (int i = 0; i < 3; i++) {
		other = netns_new();
		id = await_attach(&harness, netns_inode(other), netns_inode(refused));
		harness_answer(&harness, id, 0, NULL);
		if (i == 2) /* nor is it reported when it is gone */
			lose_name(refused);
		lose_name(other);
		await_detach(&harness, id, refused_id);
		netns_free(other);
	}
	harness_close(&harness);
	netns_free(refused);
}

/* The server gave it up: the same. */
Test(track, a_forgotten_one_is_not_offered_again)
{
	struct netns *lost = netns_new(), *other;
	struct broker_harness harness;
	uint64_t id;

	open_for_all(&harness);
	id = await_attach(&harness, netns_inode(lost), 0);
	harness_answer(&harness, id, 0, NULL);
	harness_forget(&harness, id);
	other = netns_new();
	(void)await_attach(&harness, netns_inode(other), netns_inode(lost));
	netns_free(other);
	harness_close(&harness);
	netns_free(lost);
}

/* ---- watching ---- */

Test(track, the_end_of_the_last_process_is_reported)
{
	struct broker_harness harness;
	struct apart apart[2];
	int i;

	harness_open(&harness, (struct broker_options){ 0 });
	for (i = 0; i < 2; i++) {
		apart[i] = start_apart();
		harness_watch(&harness, 5 + (uint64_t)i, apart[i].inode);
	}
	harness_watch(&harness, 7, process_inode(getpid()));
	cr_assert(harness_refused(&harness) == 0);
	for (i = 1; i >= 0; i--) {
		child_kill(&apart[i].child);
		harness_expect_detach(&harness, 5 + (uint64_t)i);
		close(apart[i].fd);
	}
	harness_close(&harness);
}

/* A name keeps it without a process. That it is not gone shows when another one is. */
Test(track, a_name_is_enough)
{
	struct netns *named = netns_new(), *other = netns_new();
	struct broker_harness harness;
	struct apart apart;

	harness_open(&harness, (struct broker_options){ 0 });
	apart = start_apart();
	netns_run(NULL, "mount --bind /proc/%d/ns/net /run/netns/%s", (int)apart.child.pid,
		  named->name);
	harness_watch(&harness, 5, apart.inode);
	harness_watch(&harness, 6, netns_inode(other));
	cr_assert(harness_refused(&harness) == 0);
	child_kill(&apart.child);
	lose_name(other);
	harness_expect_detach(&harness, 6);
	netns_run(NULL, "umount /run/netns/%s", named->name);
	harness_expect_detach(&harness, 5);
	close(apart.fd);
	harness_close(&harness);
	netns_free(named);
	netns_free(other);
}

/* Nor does one that is mounted elsewhere need either, where it is said that one is there. */
Test(track, a_path_is_enough)
{
	char path[] = "/tmp/mnfq-test-XXXXXX";
	const char *const paths[] = { path };
	struct netns *other = netns_new();
	struct broker_harness harness;
	struct apart apart;

	cr_assert(close(mkstemp(path)) == 0);
	harness_open(&harness, (struct broker_options){ .netns = paths, .netns_count = 1 });
	apart = start_apart();
	netns_run(NULL, "mount --bind /proc/%d/ns/net %s", (int)apart.child.pid, path);
	harness_watch(&harness, 5, apart.inode);
	harness_watch(&harness, 6, netns_inode(other));
	cr_assert(harness_refused(&harness) == 0);
	child_kill(&apart.child);
	lose_name(other);
	harness_expect_detach(&harness, 6);
	netns_run(NULL, "umount %s && rm %s", path, path);
	harness_expect_detach(&harness, 5);
	close(apart.fd);
	harness_close(&harness);
	netns_free(other);
}

/* One that nothing leads to, but that the server has, may be one of a thread. */
Test(track, a_hidden_one_is_not_gone)
{
	struct ipc_msg hidden = { .type = IPC_ANSWER, .id = 5, .flags = IPC_HIDDEN, .inode = 1 };
	struct netns *other = netns_new();
	struct broker_harness harness;

	harness_open(&harness, (struct broker_options){ 0 });
	cr_assert(ipc_send(harness.ipc, &hidden, -1) == 0);
	harness_watch(&harness, 6, netns_inode(other));
	cr_assert(harness_refused(&harness) == 0);
	lose_name(other);
	harness_expect_detach(&harness, 6);
	harness_close(&harness);
	netns_free(other);
}

Test(track, what_is_forgotten_is_not_reported)
{
	struct broker_harness harness;
	struct apart apart;

	harness_open(&harness, (struct broker_options){ 0 });
	apart = start_apart();
	harness_watch(&harness, 5, apart.inode);
	harness_watch(&harness, 6, apart.inode);
	harness_forget(&harness, 5);
	cr_assert(harness_refused(&harness) == 0);
	child_kill(&apart.child);
	harness_expect_detach(&harness, 6);
	cr_assert(harness_refused(&harness) == 0);
	close(apart.fd);
	harness_close(&harness);
}

static bool sees_all(void)
{
	struct netns_scan *scan;
	bool all;

	cr_assert(netns_scan_new(&scan) == 0 && netns_scan_scan(scan) == 0);
	all = netns_scan_sees_all(scan);
	netns_scan_free(scan);
	return all;
}

/* It ended before it was looked for: that is reported where all processes can be seen. */
Test(track, what_was_never_there_is_gone_if_all_can_be_seen)
{
	struct netns *other = netns_new();
	struct broker_harness harness;

	harness_open(&harness, (struct broker_options){ 0 });
	harness_watch(&harness, 5, 1);
	harness_watch(&harness, 6, netns_inode(other));
	cr_assert(harness_refused(&harness) == 0);
	if (sees_all())
		harness_expect_detach(&harness, 5);
	lose_name(other);
	harness_expect_detach(&harness, 6);
	harness_close(&harness);
	netns_free(other);
}

struct offerer {
	const struct broker_harness *harness;
	int peer; /* a stream that the test has, too */
};

static int offer_and_hang(int stream, void *arg)
{
	const struct offerer *offerer = arg;
	const struct sockaddr_un *address = &offerer->harness->address;
	int fd;

	(void)stream;
	if (unshare(CLONE_NEWNET) < 0)
		return 1;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (connect(offerer->peer, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    mnfq_handover_send(offerer->peer, fd, DEADLINE_MS, NULL) < 0)
		return 2;
	return pause();
}

/*
 * Where it came from was seen when it connected, and that is enough: also when it ends before the answer.
 * @leave: it does that, too.
 */
static void end_after_the_hand_over(bool leave)
{
	struct ipc_msg message;
	struct broker_harness harness;
	struct offerer offerer = { .harness = &harness };
	struct child child;
	int fd;

	harness_open(&harness, (struct broker_options){ 0 });
	offerer.peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	child = child_start(offer_and_hang, &offerer);
	message = harness_receive(&harness, &fd);
	child_kill(&child);
	if (leave) {
		close(offerer.peer);
		cr_assert(harness_refused(&harness) == 0); /* by now it has noticed */
	}
	harness_watch(&harness, message.id, socket_inode(fd));
	harness_expect_detach(&harness, message.id);
	close(fd);
	if (!leave)
		close(offerer.peer);
	harness_close(&harness);
}

Test(track, one_that_ends_right_after_the_hand_over_is_reported)
{
	end_after_the_hand_over(false);
	end_after_the_hand_over(true);
}

/* ---- without rights ---- */

static struct child as_unprivileged(int (*function)(int stream, void *arg), void *arg)
{
	if (geteuid() != 0)
		skip_or_fail("this needs root");
	return child_start(function, arg);
}

/* A process that changes its user is invisible to others of that user, unless it is dumpable. */
static bool become_unprivileged(void)
{
	return setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED) == 0 &&
	       setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED) == 0 &&
	       prctl(PR_SET_DUMPABLE, 1) == 0;
}

/* Asserts nothing, since it runs in a child: the exit status is where it went wrong. */
static int watch_unseen(int stream, void *arg)
{
	struct child child;
	struct ipc_msg message;
	char error[256];
	int fd, ipc;
	pid_t pid;

	(void)arg;
	(void)stream;
	if (!become_unprivileged())
		return 1;
	ipc = broker_start(&(struct broker_options){ .sandbox = true }, &pid, error,
			   sizeof(error));
	child = child_start(live_apart, &(int){ CLONE_NEWUSER | CLONE_NEWNET });
	if (ipc < 0 || read(child.fd, error, 1) != 1)
		return 2;
	message = (struct ipc_msg){ .type = IPC_ANSWER, .id = 5, .inode = 1 };
	if (ipc_send(ipc, &message, -1) < 0)
		return 3;
	message.id = 6;
	message.inode = process_inode(child.pid);
	if (message.inode == 0 || ipc_send(ipc, &message, -1) < 0)
		return 4;
	message = (struct ipc_msg){ .type = IPC_COUNT };
	if (ipc_send(ipc, &message, -1) < 0 || !wait_readable(ipc) ||
	    ipc_receive(ipc, &message, &fd) != 1 || message.type != IPC_COUNT)
		return 5;
	kill(child.pid, SIGKILL);
	if (!wait_readable(ipc) || ipc_receive(ipc, &message, &fd) != 1)
		return 6;
	return message.type == IPC_DETACH && message.id == 6 ? 0 : 7;
}

/* Those of others may be alive; ours is not. */
Test(track, what_cannot_be_seen_is_not_gone)
{
	struct child child = as_unprivileged(watch_unseen, NULL);
	int status;

	cr_assert((status = child_finish(&child)) == 0, "failed at %d", status);
}

static int enter_none(int stream, void *arg)
{
	const char *expected = "no right to enter any namespace";
	struct ipc_msg message;
	char error[256];
	int fd, ipc;
	pid_t pid;

	(void)arg;
	(void)stream;
	if (!become_unprivileged())
		return 1;
	ipc = broker_start(&(struct broker_options){ .sandbox = true, .all_netns = true }, &pid,
			   error, sizeof(error));
	if (ipc < 0)
		return 2;
	if (!wait_readable(ipc) || ipc_receive(ipc, &message, &fd) != 1)
		return 3;
	return message.type == IPC_NOTE && strstr(message.text, expected) ? 0 : 4;
}

Test(track, one_that_cannot_be_entered_is_reported)
{
	struct child child = as_unprivileged(enter_none, NULL);
	int status;

	cr_assert((status = child_finish(&child)) == 0, "failed at %d", status);
}

static int hide_run(void)
{
	return unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	       mount("none", "/run", "tmpfs", 0, NULL) < 0;
}

/* "self" is no name, also where one is spelt like it. */
Test(track, we_are_excluded_when_a_name_of_ours_goes)
{
	const char *const self[] = { "self" };
	struct netns *there, *later;
	struct broker_harness harness;

	cr_assert(hide_run() == 0);
	there = netns_new();
	netns_run(NULL,
		  "touch /run/netns/self && mount --bind /proc/self/ns/net /run/netns/self");
	harness_open(&harness, (struct broker_options){ .all_netns = true,
							.excluded = self,
							.excluded_count = 1 });
	(void)await_attach(&harness, netns_inode(there), process_inode(getpid()));
	netns_run(NULL, "umount /run/netns/self && rm /run/netns/self");
	later = netns_new();
	(void)await_attach(&harness, netns_inode(later), process_inode(getpid()));
	netns_free(later);
	harness_close(&harness);
	netns_free(there);
}

/* ---- the scan ---- */

/* A /run of our own, where no namespace was made yet. */
static int find_the_first(int stream, void *arg)
{
	struct netns_scan *scan;
	uint64_t inode;
	int fd;

	(void)arg;
	(void)stream;
	if (hide_run())
		return 1;
	if (netns_scan_new(&scan) < 0 || netns_scan_scan(scan) < 0)
		return 2;
	if (system("ip netns add first") != 0)
		return 3;
	inode = inode_of("/run/netns/first");
	if (netns_scan_has(scan, inode) || !wait_readable(netns_scan_get_fd(scan)))
		return 4;
	netns_scan_drain(scan);
	if (netns_scan_scan(scan) < 0 || !netns_scan_has(scan, inode))
		return 5;
	fd = netns_scan_open(scan, inode);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0 || process_inode(getpid()) != inode)
		return 6;
	if (system("ip netns add second") != 0 || !wait_readable(netns_scan_get_fd(scan)))
		return 7;
	return 0;
}

Test(track, the_first_name_is_noticed)
{
	struct netns *ns = netns_new();
	struct child child = child_start(find_the_first, NULL);
	int status;

	cr_assert((status = child_finish(&child)) == 0, "failed at %d", status);
	netns_free(ns);
}

Test(track, the_list_is_in_order_and_without_doubles)
{
	struct netns *ns[100];
	struct netns_scan *scan;
	const uint64_t *inodes;
	size_t i, count;
	char *before;

	for (i = 0; i < 100; i++)
		ns[i] = netns_new();
	before = descriptors();
	cr_assert(netns_scan_new(&scan) == 0);
	cr_assert(netns_scan_scan(scan) == 0 && netns_scan_scan(scan) == 0);
	inodes = netns_scan_get(scan, &count);
	cr_assert(count > 100);
	for (i = 1; i < count; i++)
		cr_assert(inodes[i - 1] < inodes[i]);
	for (i = 0; i < 100; i++)
		cr_assert(netns_scan_has(scan, netns_inode(ns[i])));
	cr_assert(netns_scan_has(scan, process_inode(getpid())));
	cr_assert(!netns_scan_has(scan, 1) && !netns_scan_has(scan, UINT64_MAX));
	cr_assert(netns_scan_open(scan, 1) == -ENOENT);
	netns_scan_free(scan);
	check_descriptors(before);
	for (i = 0; i < 100; i++)
		netns_free(ns[i]);
}
