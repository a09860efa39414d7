/* SPDX-License-Identifier: MIT */
/*
 * Which system calls are left. What only looks is allowed generously, since C libraries differ;
 * what makes, changes, reaches, signals, starts or becomes something is not, or only in the one form
 * that we need.
 */
#include "sandbox/sandbox.h"

#include <errno.h>

#if HAVE_SECCOMP && !SANDBOX_SANITIZED

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

const bool sandbox_has_seccomp = true;

/* Names, since each architecture and each version of libseccomp lacks some; those are skipped. */
static const char *const to_live[] = {
	/* packets and verdicts */
	"recvmmsg", "recvmmsg_time64", "recvmsg", "recvfrom", "sendmsg", "sendmmsg", "sendto",
	"getsockname", "getpeername", "getsockopt", "setsockopt", "shutdown",
	/* waiting */
	"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64",
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"eventfd2", "timerfd_create", "timerfd_settime", "timerfd_settime64", "timerfd_gettime",
	"timerfd_gettime64", "signalfd4", "nanosleep", "clock_nanosleep",
	"clock_nanosleep_time64", "pause", "wait4", "waitid",
	/* output, and files that are read */
	"read", "readv", "pread64", "write", "writev", "lseek", "_llseek", "close", "dup", "dup2",
	"dup3", "fstat", "fstat64", "newfstatat", "fstatat64", "stat", "stat64", "lstat",
	"lstat64", "statx", "statfs", "statfs64", "fstatfs", "fstatfs64", "access", "faccessat",
	"faccessat2", "getdents", "getdents64", "readlink", "readlinkat",
	/* memory */
	"brk", "munmap", "mremap", "madvise",
	/* time, threads, signals */
	"clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday",
	"time", "getrandom", "futex", "futex_time64", "sched_yield", "sched_getaffinity",
	"getcpu", "membarrier", "rseq", "set_robust_list", "set_tid_address", "rt_sigaction",
	"rt_sigprocmask", "rt_sigpending", "rt_sigtimedwait", "rt_sigtimedwait_time64",
	"rt_sigsuspend", "rt_sigreturn", "sigreturn", "sigaltstack", "restart_syscall", "exit",
	"exit_group",
	/* what we are */
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32",
	"geteuid32", "getgid32", "getegid32", "uname", "sysinfo", "getrusage", "getrlimit",
	"ugetrlimit", "sched_getscheduler", NULL
};

static const char *const to_accept[] = { "accept4", NULL };

static const char *const to_remove[] = { "unlink", "unlinkat", NULL };

static const char *const to_watch[] = { "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
					NULL };

/* Of a capture: what a full disk left half written, and what was in a file before. */
static const char *const to_cut[] = { "ftruncate", "ftruncate64", NULL };

static const char *const to_receive[] = { "setitimer", NULL };

/* Child processes, and what they give up further. */
static const char *const to_fork[] = { "setitimer",
				       "timer_create",
				       "timer_settime",
				       "timer_settime64",
				       "close_range",
				       "socketpair",
				       "capget",
				       "capset",
				       "seccomp",
				       "landlock_create_ruleset",
				       "landlock_add_rule",
				       "landlock_restrict_self",
				       NULL };

/* Which processes are signalled a filter does not see. */
static const char *const to_end[] = { "kill", NULL };

/* A call that is allowed if all of its conditions hold. */
struct rule {
	const char *name;
	unsigned int count;
	struct scmp_arg_cmp conditions[2];
};

#define MASKED(arg, mask, value)                                                                 \
	{                                                                                        \
		arg, SCMP_CMP_MASKED_EQ, mask, value                                             \
	}
/* The kernel takes 32 bits of such an argument, and the others may hold anything. */
#define IS(arg, value) MASKED(arg, UINT32_MAX, (uint32_t)(value))

/* Flags of open() with which something is written, made or emptied. */
#define WRITES (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/*
 * Of ioctl() and fcntl() only what is used: others push characters into the operator's terminal
 * (TIOCSTI), or have the kernel send signals (F_SETOWN).
 */
static const struct rule to_live_if[] = {
	{ "mmap", 1, { MASKED(2, PROT_EXEC, 0) } },
	{ "mmap2", 1, { MASKED(2, PROT_EXEC, 0) } },
	{ "mprotect", 1, { MASKED(2, PROT_EXEC, 0) } },
	{ "prlimit64", 2, { IS(0, 0), { 2, SCMP_CMP_EQ, 0, 0 } } },
	{ "prctl", 1, { IS(0, PR_GET_TIMERSLACK) } },
	{ "ioctl", 1, { IS(1, SIOCGIFNAME) } },
	{ "ioctl", 1, { IS(1, SIOCGSKNS) } },
	{ "ioctl", 1, { IS(1, NS_GET_USERNS) } },
	{ "ioctl", 1, { IS(1, NS_GET_PARENT) } },
	{ "ioctl", 1, { IS(1, NS_GET_OWNER_UID) } },
	{ "ioctl", 1, { IS(1, FIONREAD) } },
	{ "ioctl", 1, { IS(1, TCGETS) } },
#ifdef TCGETS2
	{ "ioctl", 1, { IS(1, TCGETS2) } },
#endif
	{ "ioctl", 1, { IS(1, TIOCGWINSZ) } },
#define FCNTL(command)                                                                           \
	{ "fcntl", 1, { IS(1, command) } },                                                      \
	{                                                                                        \
		"fcntl64", 1,                                                                    \
		{                                                                                \
			IS(1, command)                                                           \
		}                                                                                \
	}
	FCNTL(F_GETFD),
	FCNTL(F_SETFD),
	FCNTL(F_GETFL),
	FCNTL(F_SETFL),
	FCNTL(F_DUPFD),
	FCNTL(F_DUPFD_CLOEXEC),
	{ .name = NULL },
};

static const struct rule to_read[] = {
	{ "openat", 1, { MASKED(2, WRITES, 0) } },
	{ "open", 1, { MASKED(1, WRITES, 0) } },
	{ .name = NULL },
};

/* Nothing but their entries can be read. */
static const struct rule to_list[] = {
	{ "openat", 1, { MASKED(2, WRITES | O_DIRECTORY, O_DIRECTORY) } },
	{ "open", 1, { MASKED(1, WRITES | O_DIRECTORY, O_DIRECTORY) } },
	{ .name = NULL },
};

/* Files that are made, or written; no link is followed. They are emptied once they are known: to_cut. */
static const struct rule to_create[] = {
	{ "openat", 1, { MASKED(2, WRITES | O_NOFOLLOW, O_WRONLY | O_CREAT | O_NOFOLLOW) } },
	{ .name = NULL },
};

/* The address is in memory; its length excludes all families but AF_NETLINK and AF_UNIX. */
static const struct rule to_bind[] = {
	{ "bind", 1, { IS(2, sizeof(struct sockaddr_nl)) } },
	{ .name = NULL },
};

static const struct rule to_open_sockets[] = {
	{ "socket", 2, { IS(0, AF_NETLINK), IS(2, NETLINK_NETFILTER) } },
	{ .name = NULL },
};

static const struct rule to_enter[] = {
	{ "setns", 1, { IS(1, CLONE_NEWNET) } },
	{ .name = NULL },
};

/* Where the flags of clone() are, and which of them make a thread and nothing else. */
#ifdef __s390__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif
#define CLONE_NEW                                                                                \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |           \
	 CLONE_NEWPID | CLONE_NEWNET)

/* fork(), that is a process of its own, of which we hear when it ends; and how it limits itself further. */
static const struct rule to_fork_if[] = {
	{ "clone",
	  1,
	  { MASKED(CLONE_FLAGS_ARG,
		   CLONE_THREAD | CLONE_VM | CLONE_FILES | CLONE_PARENT | CLONE_NEW | CSIGNAL,
		   SIGCHLD) } },
	{ .name = "fork" },
	{ "prctl", 1, { IS(0, PR_SET_NAME) } },
	{ "prctl", 1, { IS(0, PR_SET_PDEATHSIG) } },
	{ "prctl", 1, { IS(0, PR_SET_NO_NEW_PRIVS) } },
	{ "prctl", 1, { IS(0, PR_SET_DUMPABLE) } },
	{ "prctl", 2, { IS(0, PR_SET_SECCOMP), IS(1, SECCOMP_MODE_FILTER) } },
	{ "prctl", 1, { IS(0, PR_CAPBSET_READ) } },
	{ "prctl", 1, { IS(0, PR_CAPBSET_DROP) } },
	{ "prctl", 2, { IS(0, PR_CAP_AMBIENT), IS(1, PR_CAP_AMBIENT_CLEAR_ALL) } },
	{ "prlimit64", 2, { IS(0, 0), IS(1, RLIMIT_CORE) } },
	{ "setrlimit", 1, { IS(0, RLIMIT_CORE) } },
	{ .name = NULL },
};

/* Besides what everybody needs, to_live. */
static const struct {
	const char *const *names[6];
	const struct rule *rules[5];
} roles[] = {
	[SANDBOX_SERVE] = { { to_cut }, { to_read, to_bind } },
	[SANDBOX_BROKER] = { { to_accept, to_watch, to_fork }, { to_list, to_fork_if } },
	[SANDBOX_NETNS] = { { to_accept, to_watch, to_fork },
			    { to_read, to_open_sockets, to_enter, to_fork_if } },
	[SANDBOX_RECEIVER] = { .names = { to_receive } },
	[SANDBOX_KEEPER] = { { to_accept, to_watch, to_fork, to_end, to_remove },
			     { to_read, to_open_sockets, to_enter, to_fork_if } },
	[SANDBOX_READER] = { .names = { to_cut } },
	[SANDBOX_FILES] = { { to_cut }, { to_create } },
	[SANDBOX_SHARER] = { { to_accept, to_remove }, { to_open_sockets } },
};

static int allow_if(scmp_filter_ctx filter, const struct rule *rule)
{
	int nr = seccomp_syscall_resolve_name(rule->name);

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, nr, rule->count, rule->conditions);
}

static int allow(scmp_filter_ctx filter, const char *const *names, const struct rule *rules)
{
	int err = 0;

	for (; names && *names && !err; names++)
		err = allow_if(filter, &(struct rule){ .name = *names });
	for (; rules && rules->name && !err; rules++)
		err = allow_if(filter, rules);
	return err;
}

/*
 * Signals go to ourselves only: uid 0 may kill others of its kind without any capability. musl
 * names a thread without its process, so there a program with threads may signal others.
 */
static int allow_threads(scmp_filter_ctx filter, bool threads)
{
	const struct rule clone = { "clone",
				    1,
				    { MASKED(CLONE_FLAGS_ARG, CLONE_THREAD | CLONE_VM | CLONE_NEW,
					     CLONE_THREAD | CLONE_VM) } };
	const struct rule tgkill = { "tgkill", 1, { IS(0, getpid()) } };
	struct rule tkill = { "tkill", 1, { IS(0, syscall(SYS_gettid)) } };
	int err = allow_if(filter, &tgkill);

#ifndef __GLIBC__
	if (threads)
		tkill.count = 0;
#endif
	if (!err)
		err = allow_if(filter, &tkill);
	if (!err && threads)
		err = allow_if(filter, &clone);
	return err;
}

/*
 * The flags of clone3() are in memory, which a filter does not see. ENOSYS makes C libraries use
 * clone().
 */
static int forget_clone3(scmp_filter_ctx filter)
{
	int nr = seccomp_syscall_resolve_name("clone3");

	if (nr == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
}

static int allow_role(scmp_filter_ctx filter, enum sandbox_role role)
{
	int err = allow(filter, to_live, to_live_if);

	for (size_t i = 0; roles[role].names[i] && !err; i++)
		err = allow(filter, roles[role].names[i], NULL);
	for (size_t i = 0; roles[role].rules[i] && !err; i++)
		err = allow(filter, NULL, roles[role].rules[i]);
	return err;
}

int sandbox_filter(enum sandbox_role role, bool threads)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err;

	if (!filter)
		return -ENOMEM;
	/*
	 * Kernels before 5.16 would slow down all our code for the sake of programs that run
	 * untrusted code; we do not.
	 */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	err = allow_role(filter, role);
	if (!err)
		err = allow_threads(filter, threads);
	if (!err)
		err = forget_clone3(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

#else

const bool sandbox_has_seccomp = false;

int sandbox_filter(enum sandbox_role role, bool threads)
{
	(void)role;
	(void)threads;
	return 0;
}

#endif
