/* SPDX-License-Identifier: MIT */
/* What is left once a tool has given up its rights; and that it still works. */
#include "sandbox.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "container.h"
#include "tool.h"
#include "wait.h"

TestSuite(sandbox, .timeout = 300);

/* ---- what is not allowed ---------------------------------------------------------------------- */

/* Where an attempt is allowed. */
#define SERVE  (1u << SANDBOX_SERVE)
#define PORTER (1u << SANDBOX_PORTER)
#define FINDER (1u << SANDBOX_FINDER)

#define NOWHERE "/nonexistent/file"

/*
 * Each is harmless, and without a sandbox fails for another reason than EPERM, or succeeds. An
 * expression of the type of a system call's result.
 */
#define ATTEMPTS                                                                                 \
	/* becoming something else, or more */                                                   \
	ATTEMPT(0, execve(NOWHERE, (char *[]){ NULL }, (char *[]){ NULL }))                      \
	ATTEMPT(0, syscall(SYS_execveat, -1, NOWHERE, NULL, NULL, 0))                            \
	ATTEMPT(0, syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD, 0, 0, 0, 0))                 \
	ATTEMPT(0, syscall(SYS_setresuid, -1, -1, -1))                                           \
	ATTEMPT(0, syscall(SYS_setgroups, -1, NULL))                                             \
	ATTEMPT(0, syscall(SYS_capset, NULL, NULL))                                              \
	ATTEMPT(0, prctl(PR_GET_DUMPABLE))                                                       \
	ATTEMPT(0, syscall(SYS_personality, -1))                                                 \
	ATTEMPT(0, (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,    \
			      -1, 0))                                                            \
	ATTEMPT(0, mprotect((void *)4096, 4096, PROT_EXEC))                                      \
	/* others */                                                                             \
	ATTEMPT(0, ptrace(PTRACE_SEIZE, 1 << 30, NULL, NULL))                                    \
	ATTEMPT(0, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0))                \
	ATTEMPT(0, kill(getppid(), 0))                                                           \
	ATTEMPT(0, syscall(SYS_tgkill, getppid(), getppid(), 0))                                 \
	ATTEMPT(0, syscall(SYS_tkill, getppid(), 0))                                             \
	ATTEMPT(0, syscall(SYS_pidfd_getfd, -1, 0, 0))                                           \
	ATTEMPT(0, syscall(SYS_pidfd_send_signal, -1, 0, NULL, 0))                               \
	ATTEMPT(0, fcntl(STDIN_FILENO, F_SETOWN, getppid()))                                     \
	ATTEMPT(0, ioctl(STDIN_FILENO, TIOCSTI, ""))                                             \
	ATTEMPT(0, syscall(SYS_prlimit64, getppid(), RLIMIT_CORE, NULL, NULL))                   \
	ATTEMPT(0, setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }))                             \
	/* files */                                                                              \
	ATTEMPT(0, open("/dev/null", O_WRONLY))                                                  \
	ATTEMPT(0, open("/dev/null", O_RDWR | O_NONBLOCK))                                       \
	ATTEMPT(0, open(NOWHERE, O_RDONLY | O_CREAT, 0600))                                      \
	ATTEMPT(0, open(NOWHERE, O_RDONLY | O_TRUNC))                                            \
	ATTEMPT(0, open(NOWHERE, O_TMPFILE | O_WRONLY, 0600))                                    \
	ATTEMPT(0, creat(NOWHERE, 0600))                                                         \
	ATTEMPT(0, mkdir(NOWHERE, 0700))                                                         \
	ATTEMPT(0, rename(NOWHERE, NOWHERE))                                                     \
	ATTEMPT(0, symlink(NOWHERE, NOWHERE))                                                    \
	ATTEMPT(0, link(NOWHERE, NOWHERE))                                                       \
	ATTEMPT(0, truncate(NOWHERE, 0))                                                         \
	ATTEMPT(0, chmod(NOWHERE, 0600))                                                         \
	ATTEMPT(0, chown(NOWHERE, 0, 0))                                                         \
	ATTEMPT(0, chroot(NOWHERE))                                                              \
	ATTEMPT(0, mount("none", NOWHERE, "tmpfs", 0, NULL))                                     \
	ATTEMPT(0, umount2(NOWHERE, 0))                                                          \
	ATTEMPT(PORTER | FINDER, unlink(NOWHERE))                                                \
	/* namespaces and sockets */                                                             \
	ATTEMPT(0, unshare(CLONE_FILES))                                                         \
	ATTEMPT(0, setns(-1, 0))                                                                 \
	ATTEMPT(0, setns(-1, CLONE_NEWNS))                                                       \
	ATTEMPT(0, syscall(SYS_bpf, -1, NULL, 0))                                                \
	ATTEMPT(0, socket(AF_INET, SOCK_DGRAM, 0))                                               \
	ATTEMPT(0, socket(AF_INET6, SOCK_STREAM, 0))                                             \
	ATTEMPT(0, socket(AF_UNIX, SOCK_STREAM, 0))                                              \
	ATTEMPT(0,                                                                               \
		connect(-1, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX },   \
			sizeof(struct sockaddr_un)))                                             \
	ATTEMPT(0, listen(-1, 1))                                                                \
	ATTEMPT(PORTER | FINDER, accept4(-1, NULL, NULL, 0))                                     \
	ATTEMPT(PORTER | FINDER, socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER))                \
	ATTEMPT(FINDER, socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE))                             \
	ATTEMPT(FINDER, setns(-1, CLONE_NEWNET))

/* Those that the kernel kept for itself: EPERM. Writes about what is not as it should be. */
static void attempt_all(int stream, unsigned int role)
{
	long result;
	bool refused;

#define ATTEMPT(allowed, call)                                                                   \
	errno = 0;                                                                               \
	result = call;                                                                           \
	refused = result == -1 && errno == EPERM;                                                \
	if (refused != (role && !(role & (allowed))))                                            \
		dprintf(stream, "%s: %ld, %s\n", #call, result, strerror(errno));
	ATTEMPTS
#undef ATTEMPT
}

/* ---- what is ---------------------------------------------------------------------------------- */

static void *add_one(void *arg)
{
	++*(int *)arg;
	return arg;
}

static bool can_thread(void)
{
	pthread_t thread;
	int count = 0;

	return pthread_create(&thread, NULL, add_one, &count) == 0 &&
	       pthread_join(thread, NULL) == 0 && count == 1;
}

static bool can_read_files(void)
{
	FILE *file = fopen("/proc/thread-self/status", "re");
	DIR *dir = opendir("/proc/self/fd");
	bool read = file && dir && fgetc(file) == 'N' && readdir(dir);

	if (file)
		fclose(file);
	if (dir)
		closedir(dir);
	return read;
}

static bool can_allocate(void)
{
	char *small = malloc(64), *large = malloc(64 << 20), *larger;

	if (!small || !large)
		return false;
	large[64 << 19] = 1;
	larger = realloc(large, 128 << 20);
	free(small);
	free(larger);
	return larger;
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
	(void)number;
	signals++;
}

static bool can_signal_itself(void)
{
	struct sigaction count = { .sa_handler = count_signal };

	return sigaction(SIGUSR1, &count, NULL) == 0 && raise(SIGUSR1) == 0 &&
	       pthread_kill(pthread_self(), SIGUSR1) == 0 && signals == 2;
}

static bool can_tell_time(void)
{
	struct timespec ts;
	time_t now = time(NULL);
	struct tm tm;

	return clock_gettime(CLOCK_MONOTONIC, &ts) == 0 && localtime_r(&now, &tm);
}

/* ---- both, in each role ----------------------------------------------------------------------- */

struct trial {
	enum sandbox_role role;
	bool threads;
	uint64_t keep;
};

static int enter(int stream, const struct trial *trial)
{
	char error[256] = "";
	int err = sandbox_enter(trial->role, trial->keep, trial->threads, error, sizeof(error));

	if (err)
		dprintf(stream, "sandbox_enter: %s\n", error);
	return err;
}

/* All capabilities are kept, so that nothing but the filter refuses. */
static int try_role(int stream, void *arg)
{
	const struct trial *trial = arg;

	if (enter(stream, trial))
		return 1;
	if (sandbox_has_seccomp)
		attempt_all(stream, 1u << trial->role);
#define EXPECT(condition)                                                                        \
	do                                                                                       \
		if (!(condition))                                                                \
			dprintf(stream, "not so: %s (%s)\n", #condition, strerror(errno));       \
	while (0)
	EXPECT(can_read_files());
	EXPECT(can_allocate());
	EXPECT(can_signal_itself());
	EXPECT(can_tell_time());
	EXPECT(can_thread() == (trial->threads || !sandbox_has_seccomp));
#undef EXPECT
	return 0;
}

static int try_outside(int stream, void *arg)
{
	(void)arg;
	attempt_all(stream, 0);
	return 0;
}

/* The child writes about what went wrong, and ends with 0. */
static void expect_silence(int (*function)(int stream, void *arg), void *arg)
{
	struct child child = child_start(function, arg);
	char text[4096] = "";
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 &&
	       (n = read(child.fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	cr_expect_str_empty(text, "%s", text);
	cr_assert_eq(child_finish(&child), 0);
}

/* A sanitizer's build has no filter, and says so; all else is to be built with libseccomp. */
static void require_filter(void)
{
	struct netns *ns = netns_new();

	(void)ns;
#if !defined(__SANITIZE_ADDRESS__)
	if (!sandbox_has_seccomp)
		skip_or_fail("this was built without libseccomp");
#endif
}

Test(sandbox, without_it_nothing_is_refused)
{
	require_filter();
	expect_silence(try_outside, NULL);
}

Test(sandbox, who_serves_can_do_nothing_else)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_SERVE, false, UINT64_MAX });
}

Test(sandbox, who_serves_with_threads_can_make_threads)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_SERVE, true, UINT64_MAX });
}

Test(sandbox, the_porter_can_accept_and_tidy_up)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_PORTER, false, UINT64_MAX });
}

Test(sandbox, the_finder_can_enter_network_namespaces)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_FINDER, true, UINT64_MAX });
}

/* ---- capabilities ------------------------------------------------------------------------------ */

/* A number of /proc/PID/status. */
static unsigned long long status_of(pid_t pid, const char *key, int base)
{
	const size_t len = strlen(key);
	unsigned long long value = 0;
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	cr_assert(file, "%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), file)) {
		found = strncmp(line, key, len) == 0 && line[len] == ':';
		value = strtoull(line + len + 1, NULL, base);
	}
	fclose(file);
	cr_assert(found, "no %s", key);
	return value;
}

/* These capabilities and no more, now and later. */
static void expect_rights(pid_t pid, uint64_t effective)
{
	static const char *const sets[] = { "CapEff", "CapPrm", "CapBnd" };
	struct rlimit core;

	for (size_t i = 0; i < 3; i++)
		cr_expect(status_of(pid, sets[i], 16) == effective, "%s %llx", sets[i],
			  status_of(pid, sets[i], 16));
	cr_expect(status_of(pid, "CapInh", 16) == 0 && status_of(pid, "CapAmb", 16) == 0);
	cr_expect(status_of(pid, "NoNewPrivs", 10) == 1);
	cr_expect(status_of(pid, "Seccomp", 10) ==
		  (sandbox_has_seccomp ? 2 : status_of(getpid(), "Seccomp", 10)));
	cr_assert(prlimit(pid, RLIMIT_CORE, NULL, &core) == 0);
	cr_expect(core.rlim_cur == 0 && core.rlim_max == 0);
}

static int enter_and_wait(int stream, void *arg)
{
	char byte;

	if (enter(stream, arg) || write(stream, "", 1) != 1)
		return 1;
	return read(stream, &byte, 1) == 0 ? 0 : 2;
}

Test(sandbox, keeps_the_capabilities_it_is_told_to)
{
	static const uint64_t keep[] = { 0, SANDBOX_CAP(CAP_NET_ADMIN),
					 SANDBOX_CAP(CAP_SYS_ADMIN) |
						 SANDBOX_CAP(CAP_NET_ADMIN) };
	struct child child;

	require_filter();
	for (size_t i = 0; i < 3; i++) {
		child = child_start(enter_and_wait,
				    &(struct trial){ SANDBOX_SERVE, false, keep[i] });
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

Test(sandbox, a_user_without_capabilities_can_enter_it)
{
	struct trial trial = { SANDBOX_SERVE, false, SANDBOX_CAP(CAP_NET_ADMIN) };
	struct child child;
	char path[64];
	struct stat st;

	require_filter();
	child = child_start(enter_as_user, &trial);
	child_await(&child);
	cr_expect(status_of(child.pid, "CapEff", 16) == 0);
	cr_expect(status_of(child.pid, "NoNewPrivs", 10) == 1);
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)child.pid);
	cr_assert(stat(path, &st) == 0);
	cr_expect(st.st_uid == 0, "it is dumpable");
	cr_assert_eq(child_finish(&child), 0);
}

/* ---- the tool ---------------------------------------------------------------------------------- */

static void tool_end(struct tool *tool, const char *summary)
{
	kill(tool->pid, SIGTERM);
	tool_expect_end(tool, summary);
}

Test(sandbox, dump_keeps_cap_net_admin)
{
	struct udp udp;
	struct netns *ns = road_open(&udp);
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump -q 1 -n %s", ns->name);
	tool_listening(&tool);
	expect_rights(tool.pid, SANDBOX_CAP(CAP_NET_ADMIN));
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " queue 1 id 1 output out lo: udp");
	tool_end(&tool, "1 packets, 60 bytes, 1 accepted, 0 dropped");
	road_expect(ns, &udp, 1);
}

Test(sandbox, dump_with_threads_serves_in_each)
{
	struct udp udp;
	struct netns *ns = road_open(&udp);
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump -q 0:3 --threads 4 -n %s", ns->name);
	tool_listening(&tool);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " queue 1 id 1 output out lo: udp");
	cr_assert_eq(status_of(tool.pid, "Threads", 10), 5);
	expect_rights(tool.pid, SANDBOX_CAP(CAP_NET_ADMIN));
	tool_end(&tool, "1 packets, 60 bytes, 1 accepted, 0 dropped");
	road_expect(ns, &udp, 1);
}

/* The owner of the container's user namespace needs no capability for verdicts. */
Test(sandbox, dump_keeps_nothing_over_its_own_container)
{
	struct container container;
	struct tool tool;
	struct udp udp;

	require_filter();
	container_start_idle(&container, 0);
	netns_rule(&container.ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	udp_open(&udp, &container.ns, &container.ns, "127.0.0.1", 9);
	tool_start(&tool, NULL, container.socket, "dump -q 1 --fd 7");
	tool_listening(&tool);
	expect_rights(tool.pid, 0);
	udp_send(&udp, 0);
	expect_contains(tool_out(&tool), " queue 1 id 1 output out lo: udp");
	tool_end(&tool, "1 packets, 60 bytes, 1 accepted, 0 dropped");
	udp_close(&udp);
	cr_assert_eq(container_finish(&container), 0);
}

/* Somebody else's container is none of ours, even if we are root. */
Test(sandbox, dump_keeps_cap_net_admin_over_other_containers)
{
	struct container container;
	struct tool tool;

	require_filter();
	container_start_idle(&container, 12345);
	tool_start(&tool, NULL, container.socket, "dump -q 1 --fd 7");
	tool_listening(&tool);
	expect_rights(tool.pid, SANDBOX_CAP(CAP_NET_ADMIN));
	tool_end(&tool, "0 packets, 0 bytes, 0 accepted, 0 dropped");
	cr_assert_eq(container_finish(&container), 0);
}

Test(sandbox, dump_does_without_it_if_told_to)
{
	struct netns *ns = netns_new();
	struct tool tool;

	tool_start(&tool, NULL, -1, "dump -q 1 --no-sandbox -n %s", ns->name);
	tool_listening(&tool);
	cr_expect_eq(status_of(tool.pid, "CapEff", 16), status_of(getpid(), "CapEff", 16));
	cr_expect_eq(status_of(tool.pid, "Seccomp", 10), status_of(getpid(), "Seccomp", 10));
	tool_end(&tool, "0 packets, 0 bytes, 0 accepted, 0 dropped");
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

Test(sandbox, the_owner_is_told_from_others)
{
	struct netns *ns = netns_new();
	struct container mine, other;
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

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
