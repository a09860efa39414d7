/* SPDX-License-Identifier: MIT */
/* mnfq dump under a service manager: sockets passed to it, and kept for it while it restarts. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "child.h"
#include "dump-fixture.h"

TestSuite(dump_systemd, .timeout = 300);

static char directory[64], door[96], manager_path[96];

/* A Unix socket with a name in a directory of its own. */
static int open_at(char *path, size_t size, const char *name, int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (!directory[0]) {
		strcpy(directory, "/tmp/mnfq-test-XXXXXX");
		cr_assert(mkdtemp(directory));
	}
	snprintf(path, size, "%s/%s", directory, name);
	strcpy(addr.sun_path, path);
	cr_assert(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

static int open_door(void)
{
	int fd = open_at(door, sizeof(door), "door", SOCK_STREAM);

	cr_assert(listen(fd, 8) == 0);
	return fd;
}

static int open_manager(void)
{
	return open_at(manager_path, sizeof(manager_path), "manager", SOCK_DGRAM);
}

static void tidy_up(void)
{
	unlink(door);
	unlink(manager_path);
	cr_assert(rmdir(directory) == 0);
}

/* As a service manager starts it, with @fd as the only descriptor passed, called @name. */
static void start(int fd, const char *name, const char *arguments)
{
	tool_start_shell(&tool, NULL, fd,
			 "exec 3<&7 7<&-; export NOTIFY_SOCKET=%s LISTEN_FDS=1 LISTEN_PID=$$ "
			 "LISTEN_FDNAMES=%s; exec \"$MNFQ_TOOL\" dump -q 1 %s",
			 manager_path, name, arguments);
}

/* Ends it before it has served a packet. */
static void stop(void)
{
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "0 packets");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* Whether something comes meanwhile. */
static bool wait_readable_for(int fd, int ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, ms) == 1;
}

/* The next message to the manager; returns the descriptor that came along, or -1. */
static int hear(int manager, char text[512])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = text, .iov_len = 511 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t len;
	int fd = -1;

	cr_assert(wait_readable(manager));
	len = recvmsg(manager, &msg, MSG_CMSG_CLOEXEC);
	cr_assert(len > 0);
	text[len] = '\0';
	if (msg.msg_controllen > 0)
		memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/* Hands a socket of the namespace over at the door. Returns the stream. */
static int hand_over_with(struct netns *space, uint32_t flags, const char *label)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = flags,
						 .label = label };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	strcpy(addr.sun_path, door);
	cr_assert(connect(stream, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	cr_assert_eq(mnfq_handover_send(stream, fd, DEADLINE_MS, &options), 0);
	cr_assert_eq(mnfq_handover_wait(stream, DEADLINE_MS, NULL), 0);
	close(fd);
	return stream;
}

/* And is gone. */
static void hand_over(struct netns *space, const char *label)
{
	close(hand_over_with(space, 0, label));
}

/*
 * The door is the manager's. It keeps the socket that came through it, so that nothing is lost while
 * the program is started anew: what came meanwhile waits in the queue, and the label is known again.
 */
Test(dump_systemd, a_restart_loses_nothing)
{
	int manager = open_manager(), listener = open_door(), kept;
	char text[512], name[300] = "";

	dump_open();
	start(listener, "door", "--keep");
	tool_await_err(&tool, "listening on queue 1 in 0 namespaces");
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "READY=1\n");
	hand_over(ns, "a:label b");
	kept = hear(manager, text);
	cr_assert(kept >= 0);
	expect_contains(text, "FDSTORE=1\n");
	cr_assert_eq(sscanf(strstr(text, "FDNAME="), "FDNAME=%299s", name), 1);
	cr_assert(!strchr(name, ':'), "%s", name); /* it separates names */

	udp_send(&udp, 0);
	tool_out(&tool);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "1 packet, 60 bytes, 1 accepted");
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "STOPPING=1\n");

	udp_send(&udp, 1);
	udp_send(&udp, 2);
	cr_assert(netns_wait_waiting(ns, 1, 2));
	start(kept, name, "");
	tool_await_err(&tool, "serving namespace ");
	expect_contains(tool.line, ", label \"a_label_b\"");
	for (int i = 0; i < 2; i++)
		expect_contains(tool_out(&tool), "label \"a_label_b\" q1 ");
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "2 packets, 120 bytes, 2 accepted, 0 dropped");
	cr_assert_eq(tool_finish(&tool), 0);
	queued_ns_expect(ns, &udp, 3);
	close(kept);
	tidy_up();
}

/*
 * Who stays to be able to withdraw its socket could not if another process had it, and comes again by
 * itself after a restart.
 */
Test(dump_systemd, what_can_be_withdrawn_is_not_stored)
{
	int manager = open_manager(), listener = open_door(), stream;
	char text[512];

	ns = netns_new();
	start(listener, "door", "--keep");
	hear(manager, text);
	stream = hand_over_with(ns, MNFQ_HANDOVER_KEEP, NULL);
	close(stream);
	tool_await_err(&tool, "namespace ");
	expect_contains(tool.line, ": gone: ");
	kill(tool.pid, SIGTERM);
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "STOPPING=1\n");
	tool_await_err(&tool, "0 packets");
	cr_assert_eq(tool_finish(&tool), 0);
	tidy_up();
}

/* Without --keep nothing stays behind, although the manager has a copy. */
Test(dump_systemd, an_end_is_an_end)
{
	int manager = open_manager(), listener = open_door(), kept;
	struct netns_queue queue;
	char text[512];

	dump_open();
	start(listener, "door", "");
	hear(manager, text);
	hand_over(ns, NULL);
	kept = hear(manager, text);
	cr_assert(kept >= 0 && netns_get_queue(ns, 1, &queue));
	stop();
	cr_assert(!netns_get_queue(ns, 1, &queue));
	close(kept);
	tidy_up();
}

/* Something is readable at a netlink socket. */
static void write_to_itself(int fd)
{
	struct nlmsghdr nlh = { .nlmsg_len = sizeof(nlh), .nlmsg_type = NLMSG_NOOP };
	struct sockaddr_nl self;
	socklen_t len = sizeof(self);

	cr_assert(getsockname(fd, (struct sockaddr *)&self, &len) == 0);
	cr_assert(sendto(fd, &nlh, sizeof(nlh), 0, (struct sockaddr *)&self, len) > 0);
}

/*
 * A namespace that is gone is not worth keeping. A copy of its descriptor is still open, at
 * which things go on happening: they are not looked at any more.
 */
Test(dump_systemd, what_is_gone_is_not_stored)
{
	int manager = open_manager(), listener = open_door(), kept;
	struct netns *space = netns_new(), *other = netns_new();
	char text[512], stored[512];

	start(listener, "door", "");
	hear(manager, text);
	hand_over(space, NULL);
	kept = hear(manager, stored);
	netns_free(space);
	cr_assert_eq(hear(manager, text), -1);
	expect_contains(text, "FDSTOREREMOVE=1\n");
	cr_assert_str_eq(strstr(text, "FDNAME="), strstr(stored, "FDNAME="));
	tool_await_err(&tool, "namespace ");
	write_to_itself(kept);
	hand_over(other, NULL);
	tool_await_err(&tool, "serving namespace ");
	stop();
	close(kept);
	tidy_up();
}

/* What the command line names is opened again, and must not be in the way of that. */
Test(dump_systemd, what_is_named_is_not_stored)
{
	int manager = open_manager();
	struct netns *spaces[2] = { netns_new(), netns_new() };
	struct netns_queue queue;
	char text[512];

	tool_start_shell(
		&tool, NULL, -1,
		"export NOTIFY_SOCKET=%s; exec \"$MNFQ_TOOL\" dump -q 1 -n %s -n %s --keep",
		manager_path, spaces[0]->name, spaces[1]->name);
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "READY=1\n");
	kill(tool.pid, SIGTERM);
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "STOPPING=1\n");
	tool_await_err(&tool, "0 packets");
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert(!netns_get_queue(spaces[0], 1, &queue));
	tidy_up();
}

/* A stored descriptor that is of no use is reported, and the program serves on. */
Test(dump_systemd, strange_descriptors)
{
	int manager = open_manager(), ends[2];

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	start(ends[0], "pipe", "");
	expect_contains(tool_err(&tool), "not a socket");
	tool_await_err(&tool, "listening on queue 1 in 0 namespaces");
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "0 packets");
	tool_finish(&tool);
	close(manager);
	close(ends[0]);
	close(ends[1]);
	tidy_up();
}

static void expect_here(void)
{
	tool_listening(&tool);
	expect_contains(tool.line, "listening on queue 1 in namespace ");
	stop();
}

/* Meant for another process: a child of ours, or a shell in between. */
Test(dump_systemd, what_was_passed_to_others)
{
	ns = netns_new();
	tool_start_shell(&tool, ns, -1,
			 "export LISTEN_FDS=1 LISTEN_PID=1; exec \"$MNFQ_TOOL\" dump -q 1");
	expect_here();
	tool_start_shell(&tool, ns, -1,
			 "export LISTEN_FDS=x LISTEN_PID=$$; exec \"$MNFQ_TOOL\" dump -q 1");
	expect_here();
}

Test(dump_systemd, what_was_not_passed)
{
	tool_start_shell(&tool, NULL, -1,
			 "export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$MNFQ_TOOL\" dump -q 1");
	expect_contains(tool_err(&tool), "descriptor 3 is not open");
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
}

/* As often as it was asked for, while the broker answers, too; not once it does not. */
Test(dump_systemd, it_hears_that_all_is_well)
{
	int manager = open_manager(), listener = open_door();
	pid_t keeper, broker;
	char text[512];

	cr_assert(setenv("WATCHDOG_USEC", "400000", 1) == 0);
	start(listener, "door", "");
	tool_await_err(&tool, "listening on queue 1 in 0 namespaces");
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "READY=1\n");
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(hear(manager, text), -1);
		cr_assert_str_eq(text, "WATCHDOG=1\n");
	}
	keeper = child_await_named(tool.pid, "mnfq-keeper");
	broker = child_await_named(keeper, "mnfq-broker");
	kill(keeper, SIGSTOP);
	kill(broker, SIGSTOP);
	/* What it said before may still be there. */
	while (wait_readable_for(manager, 1000))
		cr_assert_eq(hear(manager, text), -1);
	kill(broker, SIGCONT);
	kill(keeper, SIGCONT);
	cr_assert_eq(hear(manager, text), -1);
	cr_assert_str_eq(text, "WATCHDOG=1\n");
	stop();
	close(manager);
	close(listener);
	tidy_up();
}
