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

#include "child.h"
#include "tool.h"
#include "wait.h"

TestSuite(dump_many, .timeout = 300);

static char directory[64], path[96];

static void make_path(void)
{
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/sock", directory);
}

/* A broker that was killed has not tidied up. */
static void unlink_path(void)
{
	cr_assert(unlink(path) == 0);
}

/* The tool removes what it made, and nothing else is there. */
static void remove_path(void)
{
	cr_assert(rmdir(directory) == 0, "%s: %s", directory, strerror(errno));
}

static void start(struct tool *tool, const char *arguments)
{
	tool_start(tool, NULL, -1, "dump -q 1 %s", arguments);
	tool_await_err(tool, "listening on queue 1 of ");
}

static void start_at_path(struct tool *tool, const char *arguments)
{
	char all[256];

	make_path();
	snprintf(all, sizeof(all), "--listen %s %s", path, arguments);
	start(tool, all);
	expect_contains(tool->line, path);
}

static void expect_packet(struct tool *tool, const char *part)
{
	tool_out(tool);
	expect_contains(tool->line, part);
	expect_contains(tool->line, " queue 1 ");
}

/* ---- named ------------------------------------------------------------------------------ */

Test(dump_many, several_names)
{
	struct udp udp[2];
	struct netns *ns[2] = { queued_ns_open(&udp[0]), queued_ns_open(&udp[1]) };
	char arguments[128], name[64];
	struct tool tool;

	snprintf(arguments, sizeof(arguments), "-n %s -n %s", ns[0]->name, ns[1]->name);
	start(&tool, arguments);
	expect_contains(tool.line, "2 namespaces");
	for (int i = 0; i < 2; i++) {
		udp_send(&udp[i], 0);
		snprintf(name, sizeof(name), " netns %s ", ns[i]->name);
		expect_packet(&tool, name);
	}
	queued_ns_expect(ns[0], &udp[0], 1);
	queued_ns_expect(ns[1], &udp[1], 1);
	tool_stop(&tool, .packets = 2, .accepted = 2);
}

/* Has the name lead to another namespace, with the same rules, and nothing of ours in the old one. */
static void make_anew(struct netns *ns, struct udp *udp)
{
	char file[64];

	udp_close(udp);
	close(ns->fd);
	netns_run(NULL, "ip netns delete %s && ip netns add %s", ns->name, ns->name);
	snprintf(file, sizeof(file), "/run/netns/%s", ns->name);
	ns->fd = open(file, O_RDONLY | O_CLOEXEC);
	cr_assert(ns->fd >= 0);
	netns_run(ns, "ip link set lo up");
	netns_rule(ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1 --queue-bypass");
	udp_open(udp, ns, ns, "127.0.0.1", 9);
}

static bool has_device(struct netns *ns, const char *device)
{
	char *devices = netns_output(ns, "ip -o link");
	bool has = strstr(devices, device);

	free(devices);
	return has;
}

/* Whether one is served or two: told, freed, and served again. That it is freed shows in its device. */
static void make_one_anew(unsigned int count)
{
	struct netns *ns[2], *other = netns_new();
	char arguments[128] = "", serving[64], gone[64];
	struct udp udp[2];
	struct tool tool;
	int left = 2;

	for (unsigned int i = 0; i < count; i++) {
		ns[i] = queued_ns_open(&udp[i]);
		snprintf(arguments + strlen(arguments), 64, "-n %s ", ns[i]->name);
	}
	netns_join(ns[0], "eth0", other, "eth0", 1);
	snprintf(serving, sizeof(serving), "serving namespace %s", ns[0]->name);
	snprintf(gone, sizeof(gone), "namespace %s: gone: 1 packet, ", ns[0]->name);
	start(&tool, arguments);
	udp_send(&udp[0], 0);
	expect_packet(&tool, " output ");
	make_anew(ns[0], &udp[0]);
	while (left > 0) { /* in any order */
		cr_assert(tool_err(&tool)[0]);
		left -= strcmp(tool.line, serving) == 0 ||
			strncmp(tool.line, gone, strlen(gone)) == 0;
	}
	udp_send(&udp[0], 0);
	expect_packet(&tool, count > 1 ? ns[0]->name : "~ queue 1 ");
	cr_assert(wait_until(!has_device(other, "eth0")), "it is kept alive");
	tool.unaccounted = "rules are gone with their namespaces";
	tool_stop(&tool, .packets = 2, .accepted = 2, .queue_full_unknown = true);
	for (unsigned int i = 0; i < count; i++)
		queued_ns_expect(ns[i], &udp[i], i == 0);
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
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct tool owner, tool;
	char arguments[64], begin[96];

	snprintf(arguments, sizeof(arguments), "-n %s", ns->name);
	start(&tool, arguments);
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
	struct netns *ns;
	struct tool tool;

	for (size_t i = 0; i < 2; i++) {
		ns = netns_new();
		snprintf(arguments, sizeof(arguments), formats[i], ns->name);
		start(&tool, arguments);
		expect_contains(tool.line, ns->name);
		snprintf(begin, sizeof(begin), "namespace %s: gone", ns->name);
		netns_free(ns);
		tool_await_err(&tool, begin);
		tool_expect_end(&tool, .packets = 0);
	}
}

/* Of those that are served and of those that were: all together. */
Test(dump_many, counters_when_asked)
{
	struct udp udp[3];
	struct netns *ns[3];
	char arguments[128], begin[64];
	struct tool tool;

	for (int i = 0; i < 3; i++)
		ns[i] = queued_ns_open(&udp[i]);
	snprintf(arguments, sizeof(arguments), "-n %s -n %s -n %s", ns[0]->name, ns[1]->name,
		 ns[2]->name);
	start(&tool, arguments);
	for (int i = 0; i < 3; i++) {
		udp_send(&udp[i], 0);
		expect_packet(&tool, ns[i]->name);
	}
	snprintf(begin, sizeof(begin), "namespace %s: gone: 1 packet", ns[0]->name);
	udp_close(&udp[0]);
	netns_free(ns[0]);
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
	struct netns *ns = netns_new();
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -n mnfq-no-such", ns->name);
	tool_await_err(&tool, "mnfq dump: ");
	expect_contains(tool.line, "mnfq-no-such");
	cr_assert_eq(tool_finish(&tool), 1);
}

Test(dump_many, a_failure_names_the_namespace)
{
	struct netns *free = netns_new(), *taken = netns_new();
	struct tool owner, tool;
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
	struct udp udp[2];
	struct netns *ns[2] = { queued_ns_open(&udp[0]), queued_ns_open(&udp[1]) };
	struct tool tool;
	char arguments[128], begin[64];

	snprintf(arguments, sizeof(arguments), "-n %s -n %s", ns[0]->name, ns[1]->name);
	start(&tool, arguments);
	udp_send(&udp[0], 0);
	udp_send(&udp[1], 0);
	tool_out(&tool);
	tool_out(&tool);
	for (int i = 0; i < 2; i++) {
		snprintf(begin, sizeof(begin), "namespace %s: gone: 1 packet", ns[i]->name);
		udp_close(&udp[i]);
		netns_free(ns[i]);
		tool_await_err(&tool, begin);
	}
	tool.unaccounted = "rules are gone with their namespaces";
	tool_expect_end(&tool, .packets = 2, .accepted = 2);
}

/* ---- handed over ------------------------------------------------------------------------ */

/* Who is in a namespace and hands a socket of it over. */
struct insider {
	struct netns *ns;
	const char *label;
	uint32_t flags;
	uid_t uid;
	bool own;    /* in namespaces that this user makes, not in @ns */
	bool mapped; /* likewise, but somebody else made them, and he is their root */
};

static int connect_to_path(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, path, sizeof(path));
	return connect(stream, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : stream;
}

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

/* Namespaces that we made, and whose root is somebody else, as with subordinate ids. */
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

/* Writes the answer's errno and sentence to us, and stays until told to go. */
static int hand_over(int stream, void *arg)
{
	const struct insider *insider = arg;
	char error[256] = "", byte;
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = insider->flags,
						 .label = insider->label,
						 .error = error,
						 .error_size = sizeof(error) };
	int fd, peer, err;

	if (insider->ns)
		netns_enter(insider->ns);
	if (insider->mapped) {
		if (enter_mapped(insider->uid) < 0)
			return 4;
	} else if (insider->uid && setresuid(insider->uid, insider->uid, insider->uid) < 0)
		return 1;
	peer = connect_to_path();
	if (insider->own && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 3;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	err = peer < 0 ? peer : mnfq_handover_send(peer, fd, DEADLINE_MS, &options);
	close(fd);
	if (err == 0)
		err = mnfq_handover_wait(peer, DEADLINE_MS, &options);
	dprintf(stream, "%d %s", -err, error);
	return read(stream, &byte, 1) == 0 ? 0 : 2;
}

/* Returns the errno of the answer, whose sentence is @sentence then. */
static int start_insider(struct child *child, struct insider *insider, char sentence[512])
{
	char text[512] = "";
	ssize_t len;
	int err = -1, at = 0;

	*child = child_start(hand_over, insider);
	cr_assert(wait_readable(child->fd));
	len = read(child->fd, text, sizeof(text) - 1);
	cr_assert(len > 0 && sscanf(text, "%d %n", &err, &at) == 1);
	if (sentence)
		strcpy(sentence, text + at);
	return err;
}

Test(dump_many, takes_what_is_handed_over)
{
	struct udp udp[2];
	struct netns *ns[2] = { queued_ns_open(&udp[0]), queued_ns_open(&udp[1]) };
	/* Nothing but ASCII on a terminal, and nothing that looks like what we say. */
	struct insider insider[2] = { { .ns = ns[0],
					.label = "\", handed over by uid 0, pid 1\\" },
				      { .ns = ns[1], .label = "db\xc3\xa9" } };
	const char *labels[2] = { "\"\\\", handed over by uid 0, pid 1\\\\\"",
				  "\"db\\xc3\\xa9\"" };
	struct child child;
	struct tool tool;
	char part[128];

	start_at_path(&tool, "");
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(start_insider(&child, &insider[i], NULL), 0);
		tool_await_err(&tool, "serving namespace ");
		snprintf(part, sizeof(part), "%s, label %s, handed over by uid 0, pid %d",
			 ns[i]->name, labels[i], (int)child.pid);
		expect_contains(tool.line, part);
		cr_assert_eq(child_finish(&child), 0); /* the socket stays */
		udp_send(&udp[i], 0);
		snprintf(part, sizeof(part), " netns %s label %s queue", ns[i]->name, labels[i]);
		expect_packet(&tool, part);
	}
	tool_stop(&tool, .packets = 2, .accepted = 2, .queue_full_unknown = true);
	remove_path();
}

/* A peer that stays connected takes its socket with it when it goes. */
Test(dump_many, leaves_with_its_peer)
{
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct insider insider = { .ns = ns, .flags = MNFQ_HANDOVER_KEEP };
	struct netns_queue queue;
	struct child child;
	struct tool tool;

	start_at_path(&tool, "");
	cr_assert_eq(start_insider(&child, &insider, NULL), 0);
	cr_assert(netns_get_queue(ns, 1, &queue));
	child_kill(&child);
	tool_await_err(&tool, "namespace ");
	expect_contains(tool.line, ": gone: 0 packets");
	cr_assert(wait_until(!netns_get_queue(ns, 1, &queue)));
	cr_assert_eq(start_insider(&child, &insider, NULL), 0, "it may come back");
	cr_assert_eq(child_finish(&child), 0);
	tool_await_err(&tool, "namespace ");
	tool_stop(&tool, .queue_full_unknown = true);
	remove_path();
}

Test(dump_many, one_socket_a_namespace)
{
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct insider insider = { .ns = ns };
	struct child first, second;
	char sentence[512];
	struct tool tool;

	start_at_path(&tool, "");
	cr_assert_eq(start_insider(&first, &insider, NULL), 0);
	cr_assert_eq(start_insider(&second, &insider, sentence), EEXIST);
	expect_contains(sentence, "served already");
	expect_contains(sentence, ns->name);
	tool_await_err(&tool, "refused a socket of uid 0, pid ");
	udp_send(&udp, 0);
	expect_packet(&tool, ns->name);
	cr_assert_eq(child_finish(&second),
		     0); /* it has our end of the first one's stream, too */
	cr_assert_eq(child_finish(&first), 0);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "1 socket was refused");
	cr_assert_eq(tool_finish(&tool), 0);
	remove_path();
}

Test(dump_many, the_queue_of_another_program_is_told)
{
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct insider insider = { .ns = ns };
	struct tool owner, tool;
	struct child child;
	char sentence[512], part[96];

	tool_start(&owner, ns, -1, "dump -q 1");
	tool_listening(&owner);
	start_at_path(&tool, "");
	cr_assert_eq(start_insider(&child, &insider, sentence), EBUSY);
	expect_contains(sentence, "queue 1 is owned by ");
	tool_await_err(&tool, "refused a socket of uid 0, pid ");
	snprintf(part, sizeof(part), ": namespace %s: queue 1 is owned by ", ns->name);
	expect_contains(tool.line, part);
	cr_assert_eq(child_finish(&child), 0);
	kill(tool.pid, SIGTERM);
	cr_assert_eq(tool_finish(&tool), 0);
	kill(owner.pid, SIGTERM);
	cr_assert_eq(tool_finish(&owner), 0);
	remove_path();
}

Test(dump_many, only_those_who_are_allowed)
{
	struct netns *ns = netns_new();
	struct insider insider = { .ns = ns };
	struct child child;
	char sentence[512];
	struct stat st;
	struct tool tool;

	start_at_path(&tool, "--mode 0640 --allow-uid 4711");
	cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
	cr_assert_eq(start_insider(&child, &insider, sentence), EACCES, "%s", sentence);
	cr_assert_eq(child_finish(&child), 0);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "1 socket was refused");
	cr_assert_eq(tool_finish(&tool), 0);
	remove_path();
}

/* Whoever is let in borrows our rights: nobody whom they would help to read what others queue. */
Test(dump_many, nobody_borrows_rights)
{
	struct netns *ns = netns_new();
	struct insider stranger = { .ns = ns, .uid = 12345 };
	struct insider owner = { .uid = 12345, .own = true };
	struct insider root = { .uid = 12345, .mapped = true };
	struct child child;
	char sentence[512];
	struct tool tool;

	start_at_path(&tool, "--mode 0666");
	cr_assert(chmod(directory, 0711) == 0);
	cr_assert_eq(start_insider(&child, &stranger, sentence), EPERM, "%s", sentence);
	expect_contains(sentence,
			"the process that opened the socket had no CAP_NET_ADMIN over ");
	cr_assert_eq(child_finish(&child), 0);
	cr_assert_eq(start_insider(&child, &owner, sentence), 0, "%s", sentence);
	cr_assert_eq(child_finish(&child), 0);
	cr_assert_eq(start_insider(&child, &root, sentence), 0, "%s", sentence);
	cr_assert_eq(child_finish(&child), 0);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "1 socket was refused");
	cr_assert_eq(tool_finish(&tool), 0);
	remove_path();
}

/* A copy of sleep(1) that runs as root, whoever starts it. */
static const char *make_set_uid_program(void)
{
	static char program[sizeof(directory) + 16];

	snprintf(program, sizeof(program), "%s/sleep", directory);
	netns_run(netns_new(), "cp /bin/sleep %s && chmod 4755 %s", program, program);
	return program;
}

/* Hands over, leaves the rest to a child, and becomes a program with all rights. */
static int hand_over_and_exec(int stream, void *arg)
{
	const struct insider *insider = arg;
	char error[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = error,
						 .error_size = sizeof(error) };
	int fd, peer, err;

	netns_enter(insider->ns);
	if (setresuid(insider->uid, insider->uid, insider->uid) < 0)
		return 1;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	peer = connect_to_path();
	err = peer < 0 ? peer : mnfq_handover_send(peer, fd, DEADLINE_MS, &options);
	if (fork() > 0)
		execl(insider->label, "sleep", "60", NULL);
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
	return strcmp(name, "sleep") == 0 && (caps >> CAP_NET_ADMIN & 1);
}

/* Stopped together, since its keeper would replace a broker that hangs. */
static void signal_broker(const struct tool *tool, int signal)
{
	pid_t keeper = child_named(tool->pid, "mnfq-keeper");
	pid_t broker = child_named(keeper, "mnfq-broker");

	cr_assert(keeper > 0 && broker > 0);
	kill(keeper, signal);
	kill(broker, signal);
}

/* What a process may do when somebody looks says nothing of who opened the socket. */
Test(dump_many, rights_are_not_those_of_the_program_that_a_peer_becomes)
{
	struct insider attacker = { .ns = netns_new(), .uid = 12345 };
	char text[512] = "";
	struct child child;
	struct tool tool;
	int err = -1;

	start_at_path(&tool, "--mode 0666");
	cr_assert(chmod(directory, 0711) == 0);
	attacker.label = make_set_uid_program();
	signal_broker(&tool, SIGSTOP);
	child = child_start(hand_over_and_exec, &attacker);
	cr_assert(wait_until(has_become_root(child.pid)));
	signal_broker(&tool, SIGCONT);
	cr_assert(wait_readable(child.fd));
	cr_assert(read(child.fd, text, sizeof(text) - 1) > 0 && sscanf(text, "%d", &err) == 1);
	cr_assert_eq(err, EPERM, "%s", text);
	expect_contains(text, "the process that opened the socket had no CAP_NET_ADMIN over ");
	child_kill(&child);
	unlink(attacker.label);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "1 socket was refused");
	cr_assert_eq(tool_finish(&tool), 0);
	remove_path();
}

/* The operator may know better. */
Test(dump_many, unless_they_are_lent)
{
	struct netns *ns = netns_new();
	struct insider stranger = { .ns = ns, .uid = 12345 };
	struct child child;
	char sentence[512];
	struct tool tool;

	start_at_path(&tool, "--mode 0666 --lend-rights");
	cr_assert(chmod(directory, 0711) == 0);
	cr_assert_eq(start_insider(&child, &stranger, sentence), 0, "%s", sentence);
	cr_assert_eq(child_finish(&child), 0);
	tool_stop(&tool, .queue_full_unknown = true);
	remove_path();
}

/* As python's socket.send_fds() does, without a word of ours. */
static void send_plain(struct netns *ns)
{
	int stream = connect_to_path();
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	cr_assert(stream >= 0 && fd >= 0);
	cr_assert_eq(send_descriptor(stream, fd), 0);
	close(fd);
	close(stream);
}

Test(dump_many, plain_descriptors)
{
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct tool tool;

	start_at_path(&tool, "--allow-plain");
	send_plain(ns);
	tool_await_err(&tool, "serving namespace ");
	udp_send(&udp, 0);
	expect_packet(&tool, ns->name);
	tool_stop(&tool, .packets = 1, .accepted = 1, .queue_full_unknown = true);
	remove_path();
}

Test(dump_many, plain_descriptors_only_if_allowed)
{
	struct netns *ns = netns_new();
	struct tool tool;

	start_at_path(&tool, "");
	send_plain(ns);
	tool_await_err(&tool, "a hand-over by process ");
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "1 socket was refused");
	cr_assert_eq(tool_finish(&tool), 0);
	remove_path();
}

/* ---- the other process ------------------------------------------------------------------ */

/* What is served is served on, however the broker fares. */
Test(dump_many, packets_do_not_need_the_broker)
{
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct insider insider = { .ns = ns };
	struct child child;
	struct tool tool;

	start_at_path(&tool, "");
	cr_assert_eq(start_insider(&child, &insider, NULL), 0);
	cr_assert_eq(child_finish(&child), 0);
	signal_broker(&tool, SIGSTOP);
	udp_send(&udp, 0);
	expect_packet(&tool, ns->name);
	kill(child_named(tool.pid, "mnfq-keeper"), SIGKILL);
	tool_await_err(
		&tool,
		"mnfq dump: the process that takes sockets and watches namespaces has ended");
	udp_send(&udp, 1);
	expect_packet(&tool, ns->name);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "2 packets");
	cr_assert_eq(tool_finish(&tool), 1, "nobody was told");
	unlink_path();
	remove_path();
}

/* With nobody left to serve and nobody who could come there is nothing to wait for. */
Test(dump_many, ends_without_namespaces_and_broker)
{
	struct tool tool;

	start_at_path(&tool, "");
	kill(child_named(tool.pid, "mnfq-keeper"), SIGKILL);
	tool_await_err(&tool, "mnfq dump: ");
	cr_assert_eq(tool_finish(&tool), 1);
	unlink_path();
	remove_path();
}

/* ---- fetched ---------------------------------------------------------------------------- */

/* Gives one socket of its namespace to whoever connects. */
static int give_away(int stream, void *arg)
{
	struct mnfq_handover_options options = { .size = sizeof(options), .label = "given" };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer, fd;

	memcpy(addr.sun_path, path, sizeof(path));
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 1) < 0)
		return 1;
	netns_enter(arg);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 || write(stream, "", 1) != 1)
		return 2;
	peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	unlink(path);
	return mnfq_handover_send(peer, fd, DEADLINE_MS, &options) < 0 ||
	       mnfq_handover_wait(peer, DEADLINE_MS, NULL) < 0;
}

Test(dump_many, fetches_one)
{
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct child child;
	struct tool tool;

	make_path();
	child = child_start(give_away, ns);
	child_await(&child);
	tool_start(&tool, NULL, -1, "dump -q 1 -c 1 --from %s", path);
	tool_listening(&tool);
	expect_contains(tool.line, ns->name);
	expect_contains(tool.line, "label \"given\"");
	cr_assert_eq(child_finish(&child), 0);
	udp_send(&udp, 0);
	tool_out(&tool);
	tool_expect_end(&tool, .packets = 1, .accepted = 1);
	remove_path();
}

/* Without the right, nobody tells us its namespace: with several of them that would say little. */
Test(dump_many, says_which_one_cannot_be_served)
{
	struct child child;
	struct tool tool;
	char begin[256];

	make_path();
	child = child_start(give_away, netns_new());
	child_await(&child);
	tool_start_shell(
		&tool, NULL, -1,
		"exec setpriv --bounding-set=-all --inh-caps=-all \"$MNFQ_TOOL\" dump -q 1 "
		"--from %s --from /nowhere",
		path);
	snprintf(begin, sizeof(begin), "mnfq dump: --from %s: queue 1: this process has no ",
		 path);
	cr_assert(strncmp(tool_err(&tool), begin, strlen(begin)) == 0, "%s", tool.line);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
	cr_assert_eq(child_finish(&child), 0);
	remove_path();
}

Test(dump_many, nobody_gives_one)
{
	struct tool tool;

	make_path();
	tool_start(&tool, NULL, -1, "dump -q 1 --from %s", path);
	expect_contains(tool_err(&tool), path);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
	remove_path();
}
