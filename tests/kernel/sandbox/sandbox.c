/* SPDX-License-Identifier: MIT */
/* Which system calls are left once a tool has given up its rights; and that it still works. */
#include "sandbox/sandbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
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

#include <mnfq/mnfq.h>

#include "child.h"
#include "tool.h"
#include "wait.h"

TestSuite(sandbox, .timeout = 300);

/* ---- what is not allowed ---------------------------------------------------------------------- */

/* Where an attempt is allowed. */
#define SERVE  (1u << SANDBOX_SERVE)
#define BROKER (1u << SANDBOX_BROKER)
#define SHARER (1u << SANDBOX_SHARER)
#define NETNS  (1u << SANDBOX_NETNS)
#define FILES  (1u << SANDBOX_FILES)
#define READER (1u << SANDBOX_READER)

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
	ATTEMPT(BROKER | NETNS, syscall(SYS_capset, NULL, NULL))                                 \
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
	ATTEMPT(BROKER | NETNS, setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }))                \
	/* its time limit, which a receiver must not change */                                   \
	ATTEMPT(BROKER | NETNS, syscall(SYS_timer_settime, -1, 0, NULL, NULL))                   \
	/* files */                                                                              \
	ATTEMPT(0, open("/dev/null", O_WRONLY))                                                  \
	ATTEMPT(0, open("/dev/null", O_RDWR | O_NONBLOCK))                                       \
	ATTEMPT(0, open(NOWHERE, O_RDONLY | O_CREAT, 0600))                                      \
	ATTEMPT(0, open(NOWHERE, O_RDONLY | O_TRUNC))                                            \
	ATTEMPT(0, open(NOWHERE, O_TMPFILE | O_WRONLY, 0600))                                    \
	ATTEMPT(0, creat(NOWHERE, 0600))                                                         \
	ATTEMPT(0, open(NOWHERE, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600))                 \
	ATTEMPT(0, open(NOWHERE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600))               \
	ATTEMPT(0, open(NOWHERE, O_WRONLY | O_CREAT, 0600))                                      \
	ATTEMPT(FILES, open(NOWHERE, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600))                     \
	ATTEMPT(FILES | SERVE | READER, ftruncate(-1, 0))                                        \
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
	ATTEMPT(SHARER, unlink(NOWHERE))                                                         \
	ATTEMPT(SERVE | NETNS, open(NOWHERE, O_RDONLY))                                          \
	ATTEMPT(SERVE | NETNS | BROKER, open(NOWHERE, O_RDONLY | O_DIRECTORY))                   \
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
	ATTEMPT(BROKER | SHARER | NETNS, accept4(-1, NULL, NULL, 0))                             \
	ATTEMPT(SHARER | NETNS, socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER))                 \
	ATTEMPT(0, socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE))                                  \
	ATTEMPT(SERVE, bind(-1, (struct sockaddr *)&(struct sockaddr_nl){ 0 },                   \
			    sizeof(struct sockaddr_nl)))                                         \
	ATTEMPT(0, bind(-1, (struct sockaddr *)&(struct sockaddr_un){ 0 },                       \
			sizeof(struct sockaddr_un)))                                             \
	ATTEMPT(0, bind(-1, (struct sockaddr *)&(struct sockaddr_in){ 0 },                       \
			sizeof(struct sockaddr_in)))                                             \
	ATTEMPT(NETNS, setns(-1, CLONE_NEWNET))

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
	int err = sandbox_enter(trial->role, trial->keep, trial->threads, NULL, error,
				sizeof(error));

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
	netns_require();
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

Test(sandbox, the_server_can_do_nothing_else)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_SERVE, false, UINT64_MAX });
}

Test(sandbox, a_server_with_threads_can_make_threads)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_SERVE, true, UINT64_MAX });
}

Test(sandbox, the_broker_can_accept_and_tidy_up)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_BROKER, false, UINT64_MAX });
}

Test(sandbox, a_sharer_can_open_netlink_sockets)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_SHARER, false, UINT64_MAX });
}

Test(sandbox, a_reader_opens_nothing)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_READER, true, UINT64_MAX });
}

Test(sandbox, the_maker_of_files_makes_files_alone)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_FILES, false, UINT64_MAX });
}

Test(sandbox, the_broker_can_enter_network_namespaces)
{
	require_filter();
	expect_silence(try_role, &(struct trial){ SANDBOX_NETNS, true, UINT64_MAX });
}

/* ---- the library in there ---------------------------------------------------------------------- */

struct job {
	struct trial trial;
	int fd;    /* takes this one */
	bool lend; /* the rights are its own, not those of who opened it */
};

static enum mnfq_verdict accept_it(struct mnfq_packet *packet, void *data)
{
	(void)packet;
	(void)data;
	return MNFQ_ACCEPT;
}

/* All of it after the rights are gone; writes "+" when the queue is bound, and serves a packet. */
static int work_inside(int stream, void *arg)
{
	const struct job *job = arg;
	const struct mnfq_socket_options options = { .size = sizeof(options),
						     .flags = job->lend ? MNFQ_SOCKET_LEND : 0 };
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int err;

	if (enter(stream, &job->trial))
		return 1;
	err = mnfq_socket_adopt(&sock, job->fd, &options);
	if (err)
		return -err;
	err = mnfq_queue_bind(&queue, sock, 1, NULL, accept_it, NULL);
	dprintf(stream, "+%s", mnfq_socket_get_error(sock));
	if (err == 0)
		err = mnfq_socket_dispatch(sock, DEADLINE_MS) == 1 ? 0 : -EIO;
	mnfq_socket_close(sock);
	return -err;
}

static void expect_work(struct netns *ns, const struct udp *udp, struct job job)
{
	struct child child = child_start(work_inside, &job);
	char text[512] = "";

	cr_assert(wait_readable(child.fd) && read(child.fd, text, sizeof(text) - 1) > 0);
	cr_assert_str_eq(text, "+");
	udp_send(udp, 0);
	cr_assert_eq(child_finish(&child), 0);
	queued_ns_expect(ns, udp, 1);
}

Test(sandbox, the_server_adopts_and_binds)
{
	struct job job = { .trial = { SANDBOX_SERVE, false, SANDBOX_CAP(CAP_NET_ADMIN) } };
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);

	job.fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	expect_work(ns, &udp, job);
	close(job.fd);
}

struct errand {
	struct trial trial;
	char path[128]; /* of a namespace */
};

/* What the broker does with a namespace that it found. */
static int open_elsewhere(int stream, void *arg)
{
	const struct errand *errand = arg;
	int fd, netns;

	if (enter(stream, &errand->trial))
		return 1;
	netns = open(errand->path, O_RDONLY | O_CLOEXEC);
	if (netns < 0 || setns(netns, CLONE_NEWNET) < 0)
		return errno;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	return fd < 0 ? errno : -send_descriptor(stream, fd);
}

Test(sandbox, the_broker_opens_sockets_elsewhere)
{
	struct errand errand = { .trial = { SANDBOX_NETNS, false, SANDBOX_CAP(CAP_SYS_ADMIN) } };
	struct job job = { .trial = { SANDBOX_SERVE, false, SANDBOX_CAP(CAP_NET_ADMIN) },
			   .lend = true };
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct child child;

	snprintf(errand.path, sizeof(errand.path), "/run/netns/%s", ns->name);
	child = child_start(open_elsewhere, &errand);
	job.fd = receive_descriptor(child.fd);
	cr_assert_eq(child_finish(&child), 0);
	cr_assert(job.fd >= 0);
	expect_work(ns, &udp, job);
	close(job.fd);
}

/* It cannot look into that namespace, and says less; but it does say it. */
Test(sandbox, failures_are_still_explained)
{
	struct job job = { .trial = { SANDBOX_SERVE, false, SANDBOX_CAP(CAP_NET_ADMIN) } };
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	struct child child;
	char text[512] = "";

	cr_assert(mnfq_socket_open_netns(&sock, ns->name, NULL) == 0);
	cr_assert(mnfq_queue_bind(&queue, sock, 1, NULL, accept_it, NULL) == 0);
	job.fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	child = child_start(work_inside, &job);
	cr_assert(wait_readable(child.fd) && read(child.fd, text, sizeof(text) - 1) > 0);
	cr_expect_str_eq(text, "+queue 1 is owned by another socket: use another number");
	cr_assert_eq(child_finish(&child), EBUSY);
	close(job.fd);
	mnfq_socket_close(sock);
	udp_close(&udp);
}
