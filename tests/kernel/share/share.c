/* SPDX-License-Identifier: MIT */
/* mnfq share --listen, with the library as the other side, and what both directions refuse. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mnfq/handover.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "share-peer.h"

TestSuite(share, .init = share_setup, .fini = share_teardown, .timeout = 300);

static void start_listening(struct netns *ns, const char *options)
{
	tool_start(&tool, ns, -1, "share --listen %s %s", path, options);
	expect_contains(tool_err(&tool), "listening at ");
}

static void expect_given(pid_t pid, uid_t uid)
{
	char line[64];

	snprintf(line, sizeof(line), "socket sent to pid %d, uid %u", (int)pid, uid);
	cr_assert_str_eq(tool_err(&tool), line);
}

/* The next client, of this process, gets a socket. */
static void expect_service(uid_t uid)
{
	int stream = call();

	take_and_leave(stream);
	expect_given(getpid(), uid);
	expect_hang_up(stream);
}

/* Nothing more was to be said, and its socket is gone. */
static void stop_listening(void)
{
	kill(tool.pid, SIGTERM);
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert(access(path, F_OK) < 0);
}

QueueTest(share, gives_a_socket_to_each_client)
{
	int stream, other;

	start_listening(fixture.ns, "--label web-1");
	cr_assert(strstr(tool.line, path) && strstr(tool.line, ", mode 0600"), "%s", tool.line);
	stream = call();
	other = call();
	take_socket(stream);
	cr_assert_str_eq(info.label, "web-1");
	cr_assert(info.flags == 0 && info.pid == (uint32_t)tool.pid);
	expect_given(getpid(), 0);
	expect_given(getpid(), 0);
	fixture_pass(0, 2);
	take_and_leave(other);
	expect_hang_up(stream);
	expect_hang_up(other);
	stop_listening();
	fixture_pass(2, 2);
}

/*
 * Another user, who has made no descriptors that are on their way, and no rights that a program
 * would inherit; this process keeps its own.
 */
#define USER 54321

static void become_user(void)
{
	cr_assert(chown(directory, USER, USER) == 0);
	cr_assert(prctl(PR_SET_SECUREBITS, 1 << 2 /* SECBIT_NO_SETUID_FIXUP */, 0, 0, 0) == 0);
	cr_assert(setresuid(USER, USER, USER) == 0);
}

/* To a receiver that lends its rights. */
QueueTest(share, any_user_inside_can_share)
{
	int stream;

	become_user();
	start_listening(fixture.ns, "--no-sandbox");
	cr_assert_eq(process_status(tool.pid, "CapPrm", 16), 0);
	cr_assert_eq(process_status(tool.pid, "NoNewPrivs", 16), 0);
	stream = call();
	adopt_flags = MNFQ_SOCKET_LEND;
	take_socket(stream);
	cr_assert_eq(info.uid, USER);
	expect_given(getpid(), USER);
	fixture_pass(0, 2);
	expect_hang_up(stream);
	stop_listening();
	fixture.unaccounted = "the user may not read the rules";
}

/* With which it opens sockets that their receivers may serve. */
Test(share, keeps_cap_net_admin_alone)
{
	start_listening(netns_new(), "");
	cr_assert_eq(process_status(tool.pid, "CapEff", 16), 1 << CAP_NET_ADMIN);
	cr_assert_eq(process_status(tool.pid, "CapPrm", 16), 1 << CAP_NET_ADMIN);
	cr_assert_eq(process_status(tool.pid, "CapBnd", 16), 1 << CAP_NET_ADMIN);
	cr_assert_eq(process_status(tool.pid, "NoNewPrivs", 16), 1);
	expect_service(0);
	stop_listening();
}

Test(share, has_the_mode_that_was_asked_for)
{
	struct stat st;

	start_listening(netns_new(), "--mode 0666");
	cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == 0666);
	stop_listening();
}

/* Exits with 0 if it got one, else with the errno. */
static int fetch_as_user(int stream, void *arg)
{
	int fd;

	(void)stream;
	(void)arg;
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 255;
	fd = try_call();
	if (fd >= 0)
		fd = receive_socket(fd);
	return fd < 0 ? -fd : 0;
}

Test(share, gives_to_those_who_are_allowed)
{
	struct child child;
	int stream;

	start_listening(netns_new(), "--mode 0666 --allow-uid 7 --allow-uid 65534");
	stream = call();
	cr_assert(receive_socket(stream) == -EACCES);
	expect_contains(errmsg, "user 0 is not allowed to fetch sockets here");
	expect_hang_up(stream);
	expect_contains(tool_err(&tool), "uid 0: user 0 is not");
	child = child_start(fetch_as_user, NULL);
	expect_given(child.pid, 65534);
	cr_assert_eq(child_finish(&child), 0);
	stop_listening();
	start_listening(netns_new(), "");
	child = child_start(fetch_as_user, NULL);
	cr_assert_eq(child_finish(&child), EACCES, "past mode 0600");
	stop_listening();
}

Test(share, reports_a_peer_that_refused_the_socket)
{
	int fd, stream;

	start_listening(netns_new(), "");
	stream = call();
	fd = receive_socket(stream);
	cr_assert(fd >= 0);
	close(fd);
	expect_given(getpid(), 0);
	cr_assert(mnfq_handover_answer(stream, &info, -EBUSY, "queue 5 is owned\n by me") == 0);
	expect_contains(tool_err(&tool), "refused the socket: queue 5 is owned? by me");
	expect_hang_up(stream);
	stop_listening();
}

#define SILENT 300 /* more than it remembers */

Test(share, silent_peers_delay_no_other)
{
	int silent[SILENT], fd;
	unsigned int before;

	start_listening(netns_new(), "");
	before = process_count(tool.pid, "fd");
	for (int i = 0; i < SILENT; i++) {
		silent[i] = call();
		expect_given(getpid(), 0);
		if (i % 50 == 0) {
			expect_service(0);
		}
	}
	cr_assert(wait_until(process_count(tool.pid, "fd") == before + 256), "%u are open",
		  process_count(tool.pid, "fd") - before);
	/* The first ones had to go; even so they got what they came for. */
	fd = receive_socket(silent[0]);
	cr_assert(fd >= 0);
	close(fd);
	expect_hang_up(silent[0]);
	for (int i = 1; i < SILENT; i++)
		close(silent[i]);
	cr_assert(wait_until(process_count(tool.pid, "fd") == before));
	stop_listening();
}

Test(share, silent_peers_have_a_deadline)
{
	int stream, fd;

	start_listening(netns_new(), "");
	stream = call();
	fd = receive_socket(stream);
	cr_assert(fd >= 0);
	close(fd);
	expect_given(getpid(), 0);
	expect_hang_up(stream);
	stop_listening();
}

Test(share, noisy_peers_delay_no_other)
{
	char noise[100000] = "";
	int noisy;

	start_listening(netns_new(), "");
	noisy = call();
	expect_given(getpid(), 0);
	cr_assert(send(noisy, noise, sizeof(noise), MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
	expect_service(0);
	close(noisy);
	stop_listening();
}

#define UNREAD 1500 /* more than the usual limit of open files */

/* What lies in their buffers counts against the limit of who sent it. */
Test(share, peers_that_do_not_read_delay_no_other)
{
	struct rlimit many;
	int unread[UNREAD];

	cr_assert(getrlimit(RLIMIT_NOFILE, &many) == 0);
	if (many.rlim_max < 2 * UNREAD)
		cr_skip_test("this needs a higher limit of open files");
	many.rlim_cur = 1024;
	cr_assert(setrlimit(RLIMIT_NOFILE, &many) == 0);
	start_listening(netns_new(), "");
	many.rlim_cur = many.rlim_max;
	cr_assert(setrlimit(RLIMIT_NOFILE, &many) == 0);
	for (int i = 0; i < UNREAD; i++) {
		unread[i] = call();
		expect_given(getpid(), 0);
	}
	expect_service(0);
	for (int i = 0; i < UNREAD; i++)
		close(unread[i]);
	stop_listening();
}

Test(share, few_descriptors_are_enough)
{
	struct netns *ns = netns_new();
	int silent[20];
	struct rlimit few;

	become_user();
	start_listening(ns, "");
	few.rlim_cur = few.rlim_max = process_count(tool.pid, "fd") + 3;
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &few, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		silent[i] = call();
		close(receive_socket(silent[i]));
		expect_given(getpid(), USER);
	}
	expect_service(USER);
	for (int i = 0; i < 20; i++)
		close(silent[i]);
	stop_listening();
}

static int fetch_with_python(int stream, void *arg)
{
	(void)stream;
	(void)arg;
	execlp("python3", "python3", "-c",
	       "import socket, sys\n"
	       "s = socket.socket(socket.AF_UNIX)\n"
	       "s.connect(sys.argv[1])\n"
	       "data, fds, flags, addr = socket.recv_fds(s, 4096, 4)\n"
	       "nl = socket.socket(fileno=fds[0])\n"
	       "assert len(fds) == 1 and nl.family == socket.AF_NETLINK and nl.proto == 12\n"
	       "nl.bind((0, 0))\n",
	       path, NULL);
	return 127;
}

Test(share, gives_to_python)
{
	struct child child;

	if (system("python3 -c 'import socket; socket.recv_fds' 2>/dev/null") != 0)
		cr_skip_test("this needs python3 with socket.recv_fds (3.9)");
	start_listening(netns_new(), "");
	child = child_start(fetch_with_python, NULL);
	expect_given(child.pid, 0);
	cr_assert_eq(child_finish(&child), 0);
	stop_listening();
}

/* ---- paths ------------------------------------------------------------------------------------ */

Test(share, replaces_what_a_killed_one_left)
{
	start_listening(netns_new(), "");
	kill(tool.pid, SIGKILL);
	cr_assert_eq(tool_finish(&tool), -SIGKILL);
	cr_assert(access(path, F_OK) == 0);
	start_listening(netns_new(), "");
	stop_listening();
}

Test(share, leaves_what_others_use_alone)
{
	struct tool first;
	int stream;

	start_listening(netns_new(), "");
	first = tool;
	tool_start(&tool, netns_new(), -1, "share --listen %s", path);
	expect_failure(1, "another program listens there");
	tool = first;
	stream = call(); /* that the second one looked is nothing to the first */
	take_and_leave(stream);
	close(stream);
	kill(tool.pid, SIGTERM);
	cr_assert_eq(tool_finish(&tool), 0);
}

Test(share, leaves_files_alone)
{
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	tool_start(&tool, netns_new(), -1, "share --listen %s", path);
	expect_failure(1, "a file that is not a socket");
	tool_start(&tool, netns_new(), -1, "share --connect %s", path);
	expect_failure(1, "this is not a socket");
	cr_assert(access(path, F_OK) == 0);
}

Test(share, leaves_alone_what_took_its_place)
{
	start_listening(netns_new(), "");
	cr_assert(unlink(path) == 0);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	kill(tool.pid, SIGINT);
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert(access(path, F_OK) == 0);
}

Test(share, hanging_up_is_an_end_like_others)
{
	start_listening(netns_new(), "");
	kill(tool.pid, SIGHUP);
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert(access(path, F_OK) < 0);
}

Test(share, paths_that_cannot_be)
{
	tool_start(&tool, netns_new(), -1, "share --listen /tmp/%0150d", 0);
	expect_failure(1, "can have 107 bytes");
	tool_start(&tool, netns_new(), -1, "share --connect /tmp/%0150d", 0);
	expect_failure(1, "can have 107 bytes");
	tool_start(&tool, netns_new(), -1, "share --listen %s/no/socket", directory);
	expect_failure(1, "no such directory");
}

/* ---- what is wrong from the beginning --------------------------------------------------------- */

static void expect_usage(const char *arguments, const char *part)
{
	tool_start(&tool, NULL, -1, "share %s", arguments);
	expect_failure(2, part);
}

Test(share, wrong_options)
{
	expect_usage("", "give either --listen PATH or --connect PATH");
	expect_usage("--listen x --connect x", "give either --listen PATH or --connect PATH");
	expect_usage("--listen x --mode 888", "octal number from 0 to 0777");
	expect_usage("--listen x --mode 1777", "octal number from 0 to 0777");
	expect_usage("--listen x --allow-uid root", "numeric user id");
	expect_usage("--listen x --allow-uid 4294967295", "numeric user id");
	expect_usage("--listen x $(for i in $(seq 65); do echo --allow-uid $i; done)",
		     "64 users");
	expect_usage("--connect x --timeout 0", "a number from 1");
	expect_usage("--connect x --mode 600", "--listen");
	expect_usage("--connect x --allow-uid 7", "--listen");
	expect_usage("--listen x --keep", "--connect");
	expect_usage("--listen x --timeout 7", "--connect");
	expect_usage("--listen x y", "unexpected argument 'y'");
	expect_usage("--listen", "--listen requires an argument");
	expect_usage("--listen x --label \"$(printf '\\033[2J')\"", "control character");
	expect_usage("--connect x --label 1234567890123456789012345678901234567890123456789012345"
		     "678901234",
		     "longer than 63 bytes");
}
