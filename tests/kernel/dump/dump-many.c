/* SPDX-License-Identifier: MIT */
/* mnfq dump with several namespaces: named, handed over, found; and how they leave. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "listener.h"

TestSuite(dump_many, .timeout = 300);

static void start(const char *arguments)
{
	tool_start(&tool, NULL, -1, "dump -q 1 %s", arguments);
	tool_await_err(&tool, "listening on queue 1 in ");
}

static void expect_packet(const char *part)
{
	tool_out(&tool);
	expect_contains(tool.line, part);
	expect_contains(tool.line, " q1 id ");
}

/* ---- named ------------------------------------------------------------------------------ */

Test(dump_many, several_names)
{
	struct udp udps[2];
	struct netns *spaces[2] = { queued_ns_open(&udps[0]), queued_ns_open(&udps[1]) };
	char arguments[128], name[64];

	snprintf(arguments, sizeof(arguments), "-n %s -n %s", spaces[0]->name, spaces[1]->name);
	start(arguments);
	expect_contains(tool.line, "2 namespaces");
	for (int i = 0; i < 2; i++) {
		udp_send(&udps[i], 0);
		snprintf(name, sizeof(name), " netns %s ", spaces[i]->name);
		expect_packet(name);
	}
	queued_ns_expect(spaces[0], &udps[0], 1);
	queued_ns_expect(spaces[1], &udps[1], 1);
	tool_stop(&tool, .packets = 2, .accepted = 2);
}

/* Has the name lead to another namespace, with the same rules, and nothing of ours in the old one. */
static void make_anew(struct netns *space, struct udp *way)
{
	char file[64];

	udp_close(way);
	close(space->fd);
	netns_run(NULL, "ip netns delete %s && ip netns add %s", space->name, space->name);
	snprintf(file, sizeof(file), "/run/netns/%s", space->name);
	space->fd = open(file, O_RDONLY | O_CLOEXEC);
	cr_assert(space->fd >= 0);
	netns_run(space, "ip link set lo up");
	netns_rule(space, 4,
		   "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1 --queue-bypass");
	udp_open(way, space, space, "127.0.0.1", 9);
}

static bool has_device(struct netns *space, const char *device)
{
	char *devices = netns_output(space, "ip -o link");
	bool has = strstr(devices, device);

	free(devices);
	return has;
}

/* Whether one is served or two: logged, freed, and served again. That it is freed shows in its device. */
static void make_one_anew(unsigned int count)
{
	struct netns *spaces[2], *other = netns_new();
	char arguments[128] = "", serving[64], gone[64];
	struct udp udps[2];
	int left = 2;

	for (unsigned int i = 0; i < count; i++) {
		spaces[i] = queued_ns_open(&udps[i]);
		snprintf(arguments + strlen(arguments), 64, "-n %s ", spaces[i]->name);
	}
	netns_join(spaces[0], "eth0", other, "eth0", 1);
	snprintf(serving, sizeof(serving), "serving namespace %s", spaces[0]->name);
	snprintf(gone, sizeof(gone), "namespace %s: gone: 1 packet, ", spaces[0]->name);
	start(arguments);
	udp_send(&udps[0], 0);
	expect_packet(" output ");
	make_anew(spaces[0], &udps[0]);
	while (left > 0) { /* in any order */
		cr_assert(tool_err(&tool)[0]);
		left -= strcmp(tool.line, serving) == 0 ||
			strncmp(tool.line, gone, strlen(gone)) == 0;
	}
	udp_send(&udps[0], 0);
	expect_packet(count > 1 ? spaces[0]->name : " | q1 id ");
	cr_assert(wait_until(!has_device(other, "eth0")), "it is kept alive");
	tool.unaccounted = "rules are gone with their namespaces";
	tool_stop(&tool, .packets = 2, .accepted = 2, .queue_full_unknown = true);
	for (unsigned int i = 0; i < count; i++)
		queued_ns_expect(spaces[i], &udps[i], i == 0);
}

Test(dump_many, a_name_that_was_made_anew)
{
	make_one_anew(1);
}

Test(dump_many, one_of_several_that_was_made_anew)
{
	make_one_anew(2);
}

/* As at the start: the end, with the reason. */
Test(dump_many, the_only_one_whose_queue_is_taken_when_it_is_back)
{
	struct tool owner;
	char arguments[64], begin[96];

	dump_open();
	snprintf(arguments, sizeof(arguments), "-n %s", ns->name);
	start(arguments);
	tool_freeze(&tool); /* so that it comes too late */
	make_anew(ns, &udp);
	tool_start(&owner, ns, -1, "dump -q 1");
	tool_listening(&owner);
	kill(tool.pid, SIGCONT);
	snprintf(begin, sizeof(begin), "mnfq dump: namespace %s: queue 1 is owned by ", ns->name);
	tool_await_err(&tool, begin);
	tool_await_err(&tool, "0 packets, ");
	cr_assert_eq(tool_finish(&tool), 1);
	kill(owner.pid, SIGTERM);
	cr_assert_eq(tool_finish(&owner), 0);
}

/* There is nothing to wait for. */
Test(dump_many, the_only_one_that_dies_ends_it)
{
	static const char *const formats[] = { "-n %s", "-n %s --busy-poll 1" };
	char arguments[128], begin[64];
	struct netns *space;

	for (size_t i = 0; i < 2; i++) {
		space = netns_new();
		snprintf(arguments, sizeof(arguments), formats[i], space->name);
		start(arguments);
		expect_contains(tool.line, space->name);
		snprintf(begin, sizeof(begin), "namespace %s: gone", space->name);
		netns_free(space);
		tool_await_err(&tool, begin);
		tool_expect_end(&tool, .packets = 0);
	}
}

/* Of those that are served and of those that were: all together. */
Test(dump_many, counters_when_asked)
{
	struct udp udps[3];
	struct netns *spaces[3];
	char arguments[128], begin[64];

	for (int i = 0; i < 3; i++)
		spaces[i] = queued_ns_open(&udps[i]);
	snprintf(arguments, sizeof(arguments), "-n %s -n %s -n %s", spaces[0]->name,
		 spaces[1]->name, spaces[2]->name);
	start(arguments);
	for (int i = 0; i < 3; i++) {
		udp_send(&udps[i], 0);
		expect_packet(spaces[i]->name);
	}
	snprintf(begin, sizeof(begin), "namespace %s: gone: 1 packet", spaces[0]->name);
	udp_close(&udps[0]);
	netns_free(spaces[0]);
	tool_await_err(&tool, begin);
	for (int i = 0; i < 2; i++) {
		kill(tool.pid, SIGUSR1);
		expect_summary(tool_err(&tool), .packets = 3, .accepted = 3);
	}
	tool.unaccounted = "rules are gone with their namespaces";
	tool_stop(&tool, .packets = 3, .accepted = 3);
}

/* One namespace that cannot be served is no success. */
Test(dump_many, a_name_that_is_none)
{
	ns = netns_new();
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -n mnfq-no-such", ns->name);
	tool_await_err(&tool, "mnfq dump: ");
	expect_contains(tool.line, "mnfq-no-such");
	cr_assert_eq(tool_finish(&tool), 1);
}

Test(dump_many, a_failure_names_the_namespace)
{
	struct netns *free = netns_new(), *taken = netns_new();
	struct tool owner;
	char begin[96];

	tool_start(&owner, taken, -1, "dump -q 1");
	tool_listening(&owner);
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -n %s", free->name, taken->name);
	snprintf(begin, sizeof(begin), "mnfq dump: namespace %s: queue 1 is owned by ",
		 taken->name);
	tool_await_err(&tool, begin);
	cr_assert_eq(tool_finish(&tool), 1);
	kill(owner.pid, SIGTERM);
	cr_assert_eq(tool_finish(&owner), 0);
}

/* A namespace whose name and last process are gone is left, which frees it; the last one ends us. */
Test(dump_many, those_that_die_are_left)
{
	struct udp udps[2];
	struct netns *spaces[2] = { queued_ns_open(&udps[0]), queued_ns_open(&udps[1]) };
	char arguments[128], begin[64];

	snprintf(arguments, sizeof(arguments), "-n %s -n %s", spaces[0]->name, spaces[1]->name);
	start(arguments);
	udp_send(&udps[0], 0);
	udp_send(&udps[1], 0);
	tool_out(&tool);
	tool_out(&tool);
	for (int i = 0; i < 2; i++) {
		snprintf(begin, sizeof(begin), "namespace %s: gone: 1 packet", spaces[i]->name);
		udp_close(&udps[i]);
		netns_free(spaces[i]);
		tool_await_err(&tool, begin);
	}
	tool.unaccounted = "rules are gone with their namespaces";
	tool_expect_end(&tool, .packets = 2, .accepted = 2);
}

/* ---- handed over ------------------------------------------------------------------------ */

/* A process that hands over a socket of @ns. */
struct container_peer {
	const char *label;
	uint32_t flags;
	uid_t uid;
	bool own;    /* in namespaces that this user makes, not in @ns */
	bool mapped; /* likewise, but made by us, with this user as their root */
};

/* In our parent's user namespace: its root is to be @uid out here. */
static int map_parent(int stream, uid_t uid)
{
	char name[64], byte;
	int fd, ok;

	if (read(stream, &byte, 1) != 1)
		return 1;
	snprintf(name, sizeof(name), "/proc/%d/uid_map", (int)getppid());
	fd = open(name, O_WRONLY | O_CLOEXEC);
	ok = dprintf(fd, "0 %u 1", uid) > 0;
	close(fd);
	return !ok;
}

/* Namespaces that we made, and whose root is another user, as with subordinate ids. */
static int enter_mapped(uid_t uid)
{
	int ends[2], status = 1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		_exit(map_parent(ends[1], uid));
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || write(ends[0], "", 1) != 1 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		return -1;
	close(ends[0]);
	close(ends[1]);
	return setresuid(0, 0, 0);
}

/* Writes the answer's errno and message to us, and stays until the stream ends. */
static int hand_over_and_stay(int stream, void *arg)
{
	const struct container_peer *self = arg;
	char error[256] = "", byte;
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = self->flags,
						 .label = self->label,
						 .error = error,
						 .error_size = sizeof(error) };
	int fd, peer, err;

	if (!self->own && !self->mapped)
		netns_enter(ns);
	if (self->mapped) {
		if (enter_mapped(self->uid) < 0)
			return 4;
	} else if (self->uid && setresuid(self->uid, self->uid, self->uid) < 0)
		return 1;
	peer = listener_connect();
	if (self->own && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 3;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	err = peer < 0 ? peer : mnfq_handover_send(peer, fd, DEADLINE_MS, &options);
	close(fd);
	if (err == 0)
		err = mnfq_handover_wait(peer, DEADLINE_MS, &options);
	dprintf(stream, "%d %s", -err, error);
	return read(stream, &byte, 1) == 0 ? 0 : 2;
}

static char errmsg[512];

/* Starts the process; returns the errno of the answer, whose text is in @errmsg then. */
#define hand_over(child, ...) start_peer(child, &(struct container_peer){ __VA_ARGS__ })
static int start_peer(struct child *child, struct container_peer *peer)
{
	char text[512] = "";
	ssize_t len;
	int err = -1, at = 0;

	*child = child_start(hand_over_and_stay, peer);
	cr_assert(wait_readable(child->fd));
	len = read(child->fd, text, sizeof(text) - 1);
	cr_assert(len > 0 && sscanf(text, "%d %n", &err, &at) == 1);
	strcpy(errmsg, text + at);
	return err;
}

Test(dump_many, takes_what_is_handed_over)
{
	struct udp udps[2];
	struct netns *spaces[2] = { queued_ns_open(&udps[0]), queued_ns_open(&udps[1]) };
	/* Nothing but ASCII on a terminal, and nothing that looks like what we say. */
	const char *given[2] = { "\", handed over by uid 0, pid 1\\", "db\xc3\xa9" };
	const char *labels[2] = { "\"\\\", handed over by uid 0, pid 1\\\\\"",
				  "\"db\\xc3\\xa9\"" };
	struct child child;
	char part[128];

	listener_start("");
	for (int i = 0; i < 2; i++) {
		ns = spaces[i];
		cr_assert_eq(hand_over(&child, .label = given[i]), 0);
		tool_await_err(&tool, "serving namespace ");
		snprintf(part, sizeof(part), "%s, label %s, handed over by uid 0, pid %d",
			 spaces[i]->name, labels[i], (int)child.pid);
		expect_contains(tool.line, part);
		cr_assert_eq(child_finish(&child), 0); /* the socket stays */
		udp_send(&udps[i], 0);
		snprintf(part, sizeof(part), " netns %s label %s q1", spaces[i]->name, labels[i]);
		expect_packet(part);
	}
	tool_stop(&tool, .packets = 2, .accepted = 2, .queue_full_unknown = true);
	listener_remove();
}

/* A peer that stays connected takes its socket with it when it goes. */
Test(dump_many, leaves_with_its_peer)
{
	struct netns_queue queue;
	struct child child;

	dump_open();
	listener_start("");
	cr_assert_eq(hand_over(&child, .flags = MNFQ_HANDOVER_KEEP), 0);
	cr_assert(netns_get_queue(ns, 1, &queue));
	child_kill(&child);
	tool_await_err(&tool, "namespace ");
	expect_contains(tool.line, ": gone: 0 packets");
	cr_assert(wait_until(!netns_get_queue(ns, 1, &queue)));
	cr_assert_eq(hand_over(&child, .flags = MNFQ_HANDOVER_KEEP), 0, "it may come back");
	cr_assert_eq(child_finish(&child), 0);
	tool_await_err(&tool, "namespace ");
	tool_stop(&tool, .queue_full_unknown = true);
	listener_remove();
}

Test(dump_many, one_socket_a_namespace)
{
	struct child first, second;

	dump_open();
	listener_start("");
	cr_assert_eq(hand_over(&first, .uid = 0), 0);
	cr_assert_eq(hand_over(&second, .uid = 0), EEXIST);
	expect_contains(errmsg, "already served");
	expect_contains(errmsg, ns->name);
	tool_await_err(&tool, "refused a socket from uid 0, pid ");
	udp_send(&udp, 0);
	expect_packet(ns->name);
	cr_assert_eq(child_finish(&second),
		     0); /* it has our end of the first one's stream, too */
	cr_assert_eq(child_finish(&first), 0);
	listener_stop("1 socket refused");
}

Test(dump_many, a_queue_of_another_program_is_reported)
{
	struct tool owner;
	struct child child;
	char part[96];

	dump_open();
	tool_start(&owner, ns, -1, "dump -q 1");
	tool_listening(&owner);
	listener_start("");
	cr_assert_eq(hand_over(&child, .uid = 0), EBUSY);
	expect_contains(errmsg, "queue 1 is owned by ");
	tool_await_err(&tool, "refused a socket from uid 0, pid ");
	snprintf(part, sizeof(part), ": namespace %s: queue 1 is owned by ", ns->name);
	expect_contains(tool.line, part);
	cr_assert_eq(child_finish(&child), 0);
	dump_end(SIGTERM);
	kill(owner.pid, SIGTERM);
	cr_assert_eq(tool_finish(&owner), 0);
	listener_remove();
}

Test(dump_many, only_those_who_are_allowed)
{
	struct child child;
	struct stat st;

	ns = netns_new();
	listener_start("--mode 0640 --allow-uid 4711");
	cr_assert(stat(LISTENER_PATH, &st) == 0 && (st.st_mode & 07777) == 0640);
	cr_assert_eq(hand_over(&child, .uid = 0), EACCES, "%s", errmsg);
	cr_assert_eq(child_finish(&child), 0);
	listener_stop("1 socket refused");
}

/* A peer that is let in borrows our rights: none may whom they would help to read what others queue. */
Test(dump_many, no_peer_borrows_rights)
{
	struct child child;

	ns = netns_new();
	listener_start("--mode 0666");
	cr_assert_eq(hand_over(&child, .uid = 12345), EPERM, "%s", errmsg);
	expect_contains(errmsg, "the process that opened the socket had no CAP_NET_ADMIN over ");
	cr_assert_eq(child_finish(&child), 0);
	cr_assert_eq(hand_over(&child, .uid = 12345, .own = true), 0, "%s", errmsg);
	cr_assert_eq(child_finish(&child), 0);
	cr_assert_eq(hand_over(&child, .uid = 12345, .mapped = true), 0, "%s", errmsg);
	cr_assert_eq(child_finish(&child), 0);
	listener_stop("1 socket refused");
}

/* A copy of sleep(1) that runs as root for every user. */
static const char *make_set_uid_program(void)
{
	static char program[sizeof(LISTENER_PATH) + 8];

	snprintf(program, sizeof(program), "%s-sleep", LISTENER_PATH);
	netns_run(netns_new(), "cp /bin/sleep %s && chmod 4755 %s", program, program);
	return program;
}

/* Hands over, leaves the rest to a child, and becomes a program with all rights. */
static int hand_over_and_exec(int stream, void *arg)
{
	const struct container_peer *self = arg;
	char error[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = error,
						 .error_size = sizeof(error) };
	int fd, peer, err;

	netns_enter(ns);
	if (setresuid(self->uid, self->uid, self->uid) < 0)
		return 1;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	peer = listener_connect();
	err = peer < 0 ? peer : mnfq_handover_send(peer, fd, DEADLINE_MS, &options);
	if (fork() > 0)
		execl(self->label, "sleep", "60", NULL);
	if (err == 0)
		err = mnfq_handover_wait(peer, DEADLINE_MS, &options);
	dprintf(stream, "%d %s", -err, error);
	return 0;
}

/* Runs the program that it became, with the rights of that. */
static bool has_become_root(pid_t pid)
{
	unsigned long long caps = 0;
	char status[64], line[256], name[32] = "";
	FILE *file;

	snprintf(status, sizeof(status), "/proc/%d/status", (int)pid);
	file = fopen(status, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Name: %31s", name) != 1)
			(void)sscanf(line, "CapEff: %llx", &caps);
	if (file)
		fclose(file);
	return strcmp(name, "sock-sleep") == 0 && (caps >> CAP_NET_ADMIN & 1);
}

/* Stopped together, since its keeper would replace a broker that hangs. */
static void signal_broker(int signal)
{
	pid_t keeper = child_await_named(tool.pid, "mnfq-keeper");
	pid_t broker = child_await_named(keeper, "mnfq-broker");

	kill(keeper, signal);
	kill(broker, signal);
}

/* What a process may do when we look says nothing of who opened the socket. */
Test(dump_many, rights_are_not_those_of_the_program_that_a_peer_becomes)
{
	struct container_peer attacker = { .uid = 12345 };
	char text[512] = "";
	struct child child;
	int err = -1;

	ns = netns_new();
	listener_start("--mode 0666");
	attacker.label = make_set_uid_program();
	signal_broker(SIGSTOP);
	child = child_start(hand_over_and_exec, &attacker);
	cr_assert(wait_until(has_become_root(child.pid)));
	signal_broker(SIGCONT);
	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, text, sizeof(text) - 1) > 0 && sscanf(text, "%d", &err) == 1);
	cr_assert_eq(err, EPERM, "%s", text);
	expect_contains(text, "the process that opened the socket had no CAP_NET_ADMIN over ");
	child_kill(&child);
	unlink(attacker.label);
	listener_stop("1 socket refused");
}

/* The operator may know better. */
Test(dump_many, unless_they_are_lent)
{
	struct child child;

	ns = netns_new();
	listener_start("--mode 0666 --lend-rights");
	cr_assert_eq(hand_over(&child, .uid = 12345), 0, "%s", errmsg);
	cr_assert_eq(child_finish(&child), 0);
	tool_stop(&tool, .queue_full_unknown = true);
	listener_remove();
}

/* As python's socket.send_fds() does, without a word of ours. */
static void send_plain(struct netns *space)
{
	int stream = listener_connect();
	int fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	cr_assert(stream >= 0 && fd >= 0);
	cr_assert_eq(send_descriptor(stream, fd), 0);
	close(fd);
	close(stream);
}

Test(dump_many, plain_descriptors)
{
	dump_open();
	listener_start("--allow-plain");
	send_plain(ns);
	tool_await_err(&tool, "serving namespace ");
	udp_send(&udp, 0);
	expect_packet(ns->name);
	tool_stop(&tool, .packets = 1, .accepted = 1, .queue_full_unknown = true);
	listener_remove();
}

Test(dump_many, plain_descriptors_only_if_allowed)
{
	ns = netns_new();
	listener_start("");
	send_plain(ns);
	tool_await_err(&tool, "a hand-over by process ");
	listener_stop("1 socket refused");
}

/* ---- the other process ------------------------------------------------------------------ */

/* What is served is served on, however the broker fares. */
Test(dump_many, packets_do_not_need_the_broker)
{
	struct child child;

	dump_open();
	listener_start("");
	cr_assert_eq(hand_over(&child, .uid = 0), 0);
	cr_assert_eq(child_finish(&child), 0);
	signal_broker(SIGSTOP);
	udp_send(&udp, 0);
	expect_packet(ns->name);
	kill(child_await_named(tool.pid, "mnfq-keeper"), SIGKILL);
	tool_await_err(&tool, "mnfq dump: the broker has ended");
	udp_send(&udp, 1);
	expect_packet(ns->name);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "2 packets");
	cr_assert_eq(tool_finish(&tool), 1, "the client got no reply");
	listener_remove_stale();
}

/* Without a namespace, and without a process that could bring one, there is nothing to wait for. */
Test(dump_many, ends_without_namespaces_and_broker)
{
	listener_start("");
	kill(child_await_named(tool.pid, "mnfq-keeper"), SIGKILL);
	tool_await_err(&tool, "mnfq dump: ");
	cr_assert_eq(tool_finish(&tool), 1);
	listener_remove_stale();
}

/* ---- fetched ---------------------------------------------------------------------------- */

/* Gives one socket of its namespace to the first client. */
static int give_away(int stream, void *arg)
{
	struct mnfq_handover_options options = { .size = sizeof(options), .label = "given" };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, fd;

	if (bind(listener, (struct sockaddr *)&listener_address, sizeof(listener_address)) < 0 ||
	    listen(listener, 1) < 0)
		return 1;
	netns_enter(arg);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 || write(stream, "", 1) != 1)
		return 2;
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	unlink(LISTENER_PATH);
	return mnfq_handover_send(peer, fd, DEADLINE_MS, &options) < 0 ||
	       mnfq_handover_wait(peer, DEADLINE_MS, NULL) < 0;
}

Test(dump_many, fetches_one)
{
	struct child child;

	dump_open();
	listener_make_path();
	child = child_start(give_away, ns);
	child_await(&child);
	tool_start(&tool, NULL, -1, "dump -q 1 -c 1 --from %s", LISTENER_PATH);
	tool_listening(&tool);
	expect_contains(tool.line, ns->name);
	expect_contains(tool.line, "label \"given\"");
	cr_assert_eq(child_finish(&child), 0);
	udp_send(&udp, 0);
	tool_out(&tool);
	tool_expect_end(&tool, .packets = 1, .accepted = 1);
	listener_remove();
}

/* Without the right, its namespace remains unknown: with several of them that would say little. */
Test(dump_many, says_which_one_cannot_be_served)
{
	struct child child;
	char begin[256];

	listener_make_path();
	child = child_start(give_away, netns_new());
	child_await(&child);
	tool_start_shell(
		&tool, NULL, -1,
		"exec setpriv --bounding-set=-all --inh-caps=-all \"$MNFQ_TOOL\" dump -q 1 "
		"--from %s --from /nowhere",
		LISTENER_PATH);
	snprintf(begin, sizeof(begin), "mnfq dump: --from %s: queue 1: this process has no ",
		 LISTENER_PATH);
	cr_assert(strncmp(tool_err(&tool), begin, strlen(begin)) == 0, "%s", tool.line);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
	cr_assert_eq(child_finish(&child), 0);
	listener_remove();
}

Test(dump_many, no_listener_is_an_error)
{
	listener_make_path();
	tool_start(&tool, NULL, -1, "dump -q 1 --from %s", LISTENER_PATH);
	expect_contains(tool_err(&tool), LISTENER_PATH);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
	listener_remove();
}
