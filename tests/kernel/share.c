/* SPDX-License-Identifier: MIT */
/* mnfq share in both directions, with the library as the other side. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "scene.h"
#include "tool.h"

static char directory[] = "/tmp/mnfq-test-XXXXXX", path[64];
static struct tool tool;

static void setup(void)
{
	cr_assert(mkdtemp(directory));
	cr_assert(chmod(directory, 0755) == 0);
	snprintf(path, sizeof(path), "%s/socket", directory);
}

static void teardown(void)
{
	unlink(path);
	cr_expect(rmdir(directory) == 0, "%s", strerror(errno));
}

TestSuite(share, .init = setup, .fini = teardown, .timeout = 300);

/* ---- the other side --------------------------------------------------------------------------- */

static int unix_socket(struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(addr->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int try_call(void)
{
	struct sockaddr_un addr;
	int fd = unix_socket(&addr);

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : fd;
}

static int call(void)
{
	int fd = try_call();

	cr_assert(fd >= 0, "%s", strerror(-fd));
	return fd;
}

static int open_listener(void)
{
	struct sockaddr_un addr;
	int fd = unix_socket(&addr);

	unlink(path);
	cr_assert(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "%s", strerror(errno));
	cr_assert(listen(fd, 8) == 0);
	return fd;
}

static int await_caller(int listener)
{
	cr_assert(wait_readable(listener), "nobody calls");
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static struct mnfq_handover info;
static char sentence[256];

/* What comes over @stream: a descriptor, or a negative errno with its sentence. */
static int receive(int stream)
{
	int fd, err;

	info = (struct mnfq_handover){ .size = sizeof(info) };
	sentence[0] = '\0';
	err = mnfq_handover_receive(
		&fd, stream, DEADLINE_MS, &info,
		&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),
						 .error = sentence,
						 .error_size = sizeof(sentence) });
	return err < 0 ? err : fd;
}

static bool is_unbound(int fd)
{
	struct sockaddr_nl addr = { .nl_pid = 4711 };
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && addr.nl_pid == 0;
}

/* Receives, adopts, binds queue 1 of the scene, answers. */
static void take(struct scene *scene, int stream)
{
	int fd = receive(stream);

	cr_assert(fd >= 0, "%s: %s", strerror(-fd), sentence);
	cr_assert(is_unbound(fd));
	scene->sock = mnfq_socket_close(scene->sock);
	scene_ok(NULL, mnfq_socket_adopt(&scene->sock, fd, NULL));
	scene_bind(scene, NULL, scene_count);
	cr_assert(mnfq_handover_answer(stream, &info, 0, NULL) == 0);
}

static void serve(struct scene *scene, uint32_t first)
{
	udp_send_many(&scene->udp, first, 2);
	scene_serve(scene, 2);
	scene_expect(scene, first);
	scene_expect(scene, first + 1);
}

/* Takes one and gives it back. */
static void take_and_leave(int stream)
{
	int fd = receive(stream);

	cr_assert(fd >= 0, "%s: %s", strerror(-fd), sentence);
	cr_assert(is_unbound(fd));
	close(fd);
	cr_assert(mnfq_handover_answer(stream, &info, 0, NULL) == 0);
}

/* The other side closes the stream. */
static void expect_hang_up(int stream)
{
	cr_assert(wait_readable(stream), "it stays");
	cr_assert(recv(stream, sentence, 1, 0) <= 0, "it says something");
	close(stream);
}

/* ---- mnfq share --listen ---------------------------------------------------------------------- */

static void start_listening(struct netns *ns, const char *options)
{
	tool_start(&tool, ns, -1, "share --listen %s %s", path, options);
	expect_contains(tool_err(&tool), "listening at ");
}

static void expect_given(pid_t pid, uid_t uid)
{
	char line[64];

	snprintf(line, sizeof(line), "gave a socket to pid %d, uid %u", (int)pid, uid);
	cr_assert_str_eq(tool_err(&tool), line);
}

/* Nothing more was to be said, and its socket is gone. */
static void stop_listening(void)
{
	kill(tool.pid, SIGTERM);
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert(access(path, F_OK) < 0);
}

Test(share, gives_a_socket_to_whoever_connects)
{
	struct scene scene;
	int stream, other;

	scene_open(&scene, 4);
	start_listening(scene.ns, "--label web-1");
	cr_assert(strstr(tool.line, path) && strstr(tool.line, ", mode 0600"), "%s", tool.line);
	stream = call();
	other = call();
	take(&scene, stream);
	cr_assert_str_eq(info.label, "web-1");
	cr_assert(info.flags == 0 && info.pid == (uint32_t)tool.pid);
	expect_given(getpid(), 0);
	expect_given(getpid(), 0);
	serve(&scene, 0);
	take_and_leave(other);
	expect_hang_up(stream);
	expect_hang_up(other);
	stop_listening();
	serve(&scene, 2);
	scene_close(&scene);
}

/* The value behind @name in its /proc/PID/status. */
static unsigned long long get_status(const char *name)
{
	char file[64], line[256];
	unsigned long long value = 0;
	FILE *status;

	snprintf(file, sizeof(file), "/proc/%d/status", (int)tool.pid);
	status = fopen(file, "re");
	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoull(line + strlen(name), NULL, 16);
	fclose(status);
	return value;
}

/*
 * Another user, who has made no descriptors that are on their way, and no rights that a program
 * would inherit; this process keeps its own.
 */
#define SOMEBODY 54321

static void become_somebody(void)
{
	cr_assert(chown(directory, SOMEBODY, SOMEBODY) == 0);
	cr_assert(prctl(PR_SET_SECUREBITS, 1 << 2 /* SECBIT_NO_SETUID_FIXUP */, 0, 0, 0) == 0);
	cr_assert(setresuid(SOMEBODY, SOMEBODY, SOMEBODY) == 0);
}

/* What counts are the rights of who binds and decides. */
Test(share, whoever_is_inside_can_share)
{
	struct scene scene;
	int stream;

	scene_open(&scene, 4);
	become_somebody();
	start_listening(scene.ns, "--no-sandbox");
	cr_assert_eq(get_status("CapPrm:"), 0);
	cr_assert_eq(get_status("NoNewPrivs:"), 0);
	stream = call();
	take(&scene, stream);
	cr_assert_eq(info.uid, SOMEBODY);
	expect_given(getpid(), SOMEBODY);
	serve(&scene, 0);
	expect_hang_up(stream);
	stop_listening();
	scene_close(&scene);
}

Test(share, keeps_no_capability)
{
	int stream;

	start_listening(netns_new(), "");
	cr_assert_eq(get_status("CapEff:"), 0);
	cr_assert_eq(get_status("CapPrm:"), 0);
	cr_assert_eq(get_status("CapBnd:"), 0);
	cr_assert_eq(get_status("NoNewPrivs:"), 1);
	stream = call();
	take_and_leave(stream);
	close(stream);
	expect_given(getpid(), 0);
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
static int fetch_as_nobody(int stream, void *arg)
{
	int fd;

	(void)stream;
	(void)arg;
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 255;
	fd = try_call();
	if (fd >= 0)
		fd = receive(fd);
	return fd < 0 ? -fd : 0;
}

Test(share, gives_to_those_who_are_allowed)
{
	struct child child;
	int stream;

	start_listening(netns_new(), "--mode 0666 --allow-uid 7 --allow-uid 65534");
	stream = call();
	cr_assert(receive(stream) == -EACCES);
	expect_contains(sentence, "user 0 may not fetch sockets here");
	expect_hang_up(stream);
	expect_contains(tool_err(&tool), "uid 0: user 0 may not");
	child = child_start(fetch_as_nobody, NULL);
	expect_given(child.pid, 65534);
	cr_assert_eq(child_finish(&child), 0);
	stop_listening();
	start_listening(netns_new(), "");
	child = child_start(fetch_as_nobody, NULL);
	cr_assert_eq(child_finish(&child), EACCES, "past mode 0600");
	stop_listening();
}

Test(share, tells_who_has_not_taken_it)
{
	int fd, stream;

	start_listening(netns_new(), "");
	stream = call();
	fd = receive(stream);
	cr_assert(fd >= 0);
	close(fd);
	expect_given(getpid(), 0);
	cr_assert(mnfq_handover_answer(stream, &info, -EBUSY, "queue 5 is owned\n by me") == 0);
	expect_contains(tool_err(&tool), "has not taken it: queue 5 is owned? by me");
	expect_hang_up(stream);
	stop_listening();
}

/* Descriptors that the tool has open. */
static unsigned int count_open(void)
{
	unsigned int count = 0;
	char name[64];
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%d/fd", (int)tool.pid);
	dir = opendir(name);
	cr_assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

#define SILENT 300 /* more than it remembers */

Test(share, silent_peers_delay_nobody)
{
	int silent[SILENT], stream, fd;
	unsigned int before;

	start_listening(netns_new(), "");
	before = count_open();
	for (int i = 0; i < SILENT; i++) {
		silent[i] = call();
		expect_given(getpid(), 0);
		if (i % 50 == 0) {
			stream = call();
			take_and_leave(stream);
			expect_hang_up(stream);
			expect_given(getpid(), 0);
		}
	}
	cr_assert(wait_until(count_open() == before + 256), "%u are open", count_open() - before);
	/* The first ones had to go; even so they got what they came for. */
	fd = receive(silent[0]);
	cr_assert(fd >= 0);
	close(fd);
	expect_hang_up(silent[0]);
	for (int i = 1; i < SILENT; i++)
		close(silent[i]);
	cr_assert(wait_until(count_open() == before));
	stop_listening();
}

Test(share, silent_peers_have_a_deadline)
{
	int stream, fd;

	start_listening(netns_new(), "");
	stream = call();
	fd = receive(stream);
	cr_assert(fd >= 0);
	close(fd);
	expect_given(getpid(), 0);
	expect_hang_up(stream);
	stop_listening();
}

Test(share, noisy_peers_delay_nobody)
{
	char noise[100000] = "";
	int noisy, stream;

	start_listening(netns_new(), "");
	noisy = call();
	expect_given(getpid(), 0);
	cr_assert(send(noisy, noise, sizeof(noise), MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
	stream = call();
	take_and_leave(stream);
	expect_given(getpid(), 0);
	expect_hang_up(stream);
	close(noisy);
	stop_listening();
}

#define UNREAD 1500 /* more than the usual limit of open files */

/* What lies in their buffers counts against the limit of who sent it. */
Test(share, peers_who_do_not_read_delay_nobody)
{
	struct rlimit many;
	int unread[UNREAD], stream;

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
	stream = call();
	take_and_leave(stream);
	expect_given(getpid(), 0);
	expect_hang_up(stream);
	for (int i = 0; i < UNREAD; i++)
		close(unread[i]);
	stop_listening();
}

Test(share, few_descriptors_are_enough)
{
	struct netns *ns = netns_new();
	int silent[20], stream;
	struct rlimit few;

	become_somebody();
	start_listening(ns, "");
	few.rlim_cur = few.rlim_max = count_open() + 3;
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &few, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		silent[i] = call();
		close(receive(silent[i]));
		expect_given(getpid(), SOMEBODY);
	}
	stream = call();
	take_and_leave(stream);
	expect_given(getpid(), SOMEBODY);
	expect_hang_up(stream);
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

static void expect_failure(int status, const char *part)
{
	expect_contains(tool_err(&tool), part);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), status);
}

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

Test(share, paths_that_cannot_be)
{
	tool_start(&tool, netns_new(), -1, "share --listen /tmp/%0150d", 0);
	expect_failure(1, "can have 107 bytes");
	tool_start(&tool, netns_new(), -1, "share --connect /tmp/%0150d", 0);
	expect_failure(1, "can have 107 bytes");
	tool_start(&tool, netns_new(), -1, "share --listen %s/no/socket", directory);
	expect_failure(1, "no such directory");
}

/* ---- mnfq share --connect --------------------------------------------------------------------- */

static void start_calling(struct netns *ns, const char *options)
{
	tool_start(&tool, ns, -1, "share --connect %s %s", path, options);
}

static void expect_waiting(void)
{
	expect_contains(tool_err(&tool), "waiting for somebody to take a socket at ");
}

static void expect_taken(void)
{
	char line[64];

	snprintf(line, sizeof(line), "pid %d, uid 0 took the socket", (int)getpid());
	cr_assert_str_eq(tool_err(&tool), line);
}

Test(share, offers_a_socket_and_ends)
{
	struct scene scene;
	int listener, stream;

	scene_open(&scene, 4);
	listener = open_listener();
	start_calling(scene.ns, "--label Küche");
	stream = await_caller(listener);
	take(&scene, stream);
	cr_assert_str_eq(info.label, "Küche");
	cr_assert(info.flags == 0 && info.uid == 0 && info.pid == (uint32_t)tool.pid);
	expect_taken();
	cr_assert_eq(tool_finish(&tool), 0);
	close(stream);
	close(listener);
	serve(&scene, 0);
	scene_close(&scene);
}

Test(share, waits_for_a_monitor)
{
	int listener, stream;

	start_calling(netns_new(), "--timeout 1000");
	expect_waiting();
	listener = open_listener();
	stream = await_caller(listener);
	close(stream); /* without a word */
	close(listener);
	listener = open_listener();
	stream = await_caller(listener);
	take_and_leave(stream);
	expect_taken();
	cr_assert_eq(tool_finish(&tool), 0);
	close(stream);
	close(listener);
}

Test(share, does_not_wait_for_ever_if_told_so)
{
	int listener, stream;

	start_calling(netns_new(), "--timeout 1");
	expect_waiting();
	expect_failure(1, "took the socket within 1 s");
	listener = open_listener();
	start_calling(netns_new(), "--timeout 1");
	stream = await_caller(listener); /* and say nothing */
	expect_failure(1, "took the socket within 1 s");
	close(stream);
	close(listener);
}

Test(share, a_refusal_is_final)
{
	int listener = open_listener(), stream;

	start_calling(netns_new(), "");
	stream = await_caller(listener);
	cr_assert(wait_readable(stream));
	cr_assert(mnfq_handover_answer(stream, NULL, -EACCES, "user 0 may not") == 0);
	close(stream); /* with its offer unread */
	expect_failure(1, "has not taken it: user 0 may not");
	start_calling(netns_new(), "--keep");
	stream = await_caller(listener);
	close(receive(stream));
	cr_assert(mnfq_handover_answer(stream, &info, -EBUSY, "queue 1 is owned") == 0);
	expect_failure(1, "has not taken it: queue 1 is owned");
	close(stream);
	close(listener);
}

Test(share, a_signal_ends_the_waiting)
{
	start_calling(netns_new(), "");
	expect_waiting();
	kill(tool.pid, SIGTERM);
	expect_failure(1, "ended before anybody took the socket");
	start_calling(netns_new(), "--keep");
	expect_waiting();
	kill(tool.pid, SIGTERM);
	cr_assert_eq(tool_finish(&tool), 0);
}

Test(share, is_kept_for_monitors_that_come_back)
{
	struct scene scene;
	int listener, stream;

	scene_open(&scene, 4);
	listener = open_listener();
	start_calling(scene.ns, "--keep");
	stream = await_caller(listener);
	take(&scene, stream);
	cr_assert_eq(info.flags, MNFQ_HANDOVER_KEEP);
	expect_taken();
	serve(&scene, 0);

	/* The monitor is killed, and with it goes the queue: the sharer has no copy. */
	close(mnfq_socket_get_fd(scene.sock));
	cr_assert(!netns_get_queue(scene.ns, 1, &(struct netns_queue){ 0 }));
	scene.sock = mnfq_socket_close(scene.sock);
	close(listener);
	unlink(path);
	close(stream);
	expect_waiting();

	listener = open_listener();
	stream = await_caller(listener);
	take(&scene, stream);
	expect_taken();
	serve(&scene, 2);
	kill(tool.pid, SIGTERM);
	expect_hang_up(stream); /* it is withdrawn */
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	close(listener);
	scene_close(&scene);
}

/* Also if it has no chance to say so. */
Test(share, what_is_kept_is_withdrawn_if_it_is_killed)
{
	int listener = open_listener(), stream;

	start_calling(netns_new(), "--keep");
	stream = await_caller(listener);
	take_and_leave(stream);
	expect_taken();
	kill(tool.pid, SIGKILL);
	expect_hang_up(stream);
	cr_assert_eq(tool_finish(&tool), -SIGKILL);
	close(listener);
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
	expect_usage("--listen x --mode 888", "octal number from 0 to 777");
	expect_usage("--listen x --mode 1777", "octal number from 0 to 777");
	expect_usage("--listen x --allow-uid root", "number of a user");
	expect_usage("--listen x --allow-uid 4294967295", "number of a user");
	expect_usage("--listen x $(yes -- --allow-uid 7 | head -n 65)", "64 users");
	expect_usage("--connect x --timeout 0", "seconds, from 1");
	expect_usage("--connect x --mode 600", "--listen");
	expect_usage("--connect x --allow-uid 7", "--listen");
	expect_usage("--listen x --keep", "--connect");
	expect_usage("--listen x --timeout 7", "--connect");
	expect_usage("--listen x y", "unexpected argument 'y'");
	expect_usage("--listen", "--listen needs an argument");
	expect_usage("--listen x --label \"$(printf '\\033[2J')\"", "control character");
	expect_usage("--connect x --label 1234567890123456789012345678901234567890123456789012345"
		     "678901234",
		     "longer than 63 bytes");
}
