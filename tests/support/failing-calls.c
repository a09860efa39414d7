/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into mnfq: see failing-calls.h. Once it is set up it makes no system call of its own, so that no
 * filter of them is in its way.
 */
#include "failing-calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What these types say is looked up at the start, by the same name. */
static struct {
	int (*accept4)(int, struct sockaddr *, socklen_t *, int);
	int (*bind)(int, const struct sockaddr *, socklen_t);
	int (*epoll_create1)(int);
	int (*epoll_ctl)(int, int, int, struct epoll_event *);
	int (*fcntl)(int, int, ...);
	pid_t (*fork)(void);
	int (*fstat)(int, struct stat *);
	int (*fstatat)(int, const char *, struct stat *, int);
	int (*getpeername)(int, struct sockaddr *, socklen_t *);
	int (*getsockname)(int, struct sockaddr *, socklen_t *);
	int (*getsockopt)(int, int, int, void *, socklen_t *);
	int (*ioctl)(int, unsigned long, ...);
	int (*open)(const char *, int, ...);
	int (*openat)(int, const char *, int, ...);
	int (*prctl)(int, ...);
	int (*pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	ssize_t (*recvmsg)(int, struct msghdr *, int);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	int (*setns)(int, int);
	int (*setsockopt)(int, int, int, const void *, socklen_t);
	int (*shutdown)(int, int);
	int (*signalfd)(int, const sigset_t *, int);
	int (*socket)(int, int, int);
	int (*socketpair)(int, int, int, int[2]);
	int (*stat)(const char *, struct stat *);
	long (*syscall)(long, ...);
} real;

static struct failing_plan *plan;
static enum failing_process process;

/* That of files whose size takes 64 bits has a name of its own in some C libraries. */
static void *look_up(const char *name)
{
	char wide[32];
	void *found = NULL;

	if (sizeof(off_t) == 8) {
		strcpy(stpcpy(wide, name), "64");
		found = dlsym(RTLD_NEXT, wide);
	}
	return found ? found : dlsym(RTLD_NEXT, name);
}

/* At the first call, which other libraries' constructors may make before ours. */
static void look_up_all(void)
{
	void *found;

#define LOOK_UP(name)                                                                            \
	found = look_up(#name);                                                                  \
	memcpy(&real.name, &found, sizeof(found));
	FAILING_CALLS(LOOK_UP)
}

__attribute__((constructor)) static void set_up(void)
{
	const char *path = getenv(FAILING_PLAN);
	void *map;
	int fd;

	look_up_all();
	if (!path)
		return;
	fd = real.open(path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		abort();
	plan = map;
}

/* The reason why this call fails, or 0. */
static int failure(enum failing_call call)
{
	unsigned int number;

	if (!real.open)
		look_up_all();
	if (!plan)
		return 0;
	atomic_fetch_add(&plan->made[process][call], 1);
	if (!atomic_load(&plan->armed) || plan->process != process || plan->call != call)
		return 0;
	number = atomic_fetch_add(&plan->seen, 1) + 1;
	if (number < plan->first || number > plan->last)
		return 0;
	if (plan->error != FAILING_HANGS)
		return plan->error;
	while (atomic_load(&plan->armed))
		(void)poll(NULL, 0, 1);
	return 0;
}

static bool fails(enum failing_call call)
{
	const int error = failure(call);

	if (error)
		errno = error;
	return error;
}

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return fails(CALL_accept4) ? -1 : real.accept4(fd, addr, len, flags);
}

int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return fails(CALL_bind) ? -1 : real.bind(fd, addr, len);
}

int epoll_create1(int flags)
{
	return fails(CALL_epoll_create1) ? -1 : real.epoll_create1(flags);
}

/* What is in there can be changed and removed without memory or descriptors. */
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && fails(CALL_epoll_ctl))
		return -1;
	return real.epoll_ctl(epoll, op, fd, event);
}

int fcntl(int fd, int command, ...)
{
	va_list args;
	long arg;

	va_start(args, command);
	arg = va_arg(args, long);
	va_end(args);
	return fails(CALL_fcntl) ? -1 : real.fcntl(fd, command, arg);
}

pid_t fork(void)
{
	return fails(CALL_fork) ? -1 : real.fork();
}

int fstat(int fd, struct stat *st)
{
	return fails(CALL_fstat) ? -1 : real.fstat(fd, st);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return fails(CALL_fstatat) ? -1 : real.fstatat(dir, path, st, flags);
}

int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails(CALL_getpeername) ? -1 : real.getpeername(fd, addr, len);
}

int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails(CALL_getsockname) ? -1 : real.getsockname(fd, addr, len);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return fails(CALL_getsockopt) ? -1 : real.getsockopt(fd, level, name, value, len);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return fails(CALL_ioctl) ? -1 : real.ioctl(fd, request, arg);
}

int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return fails(CALL_open) ? -1 : real.open(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return fails(CALL_openat) ? -1 : real.openat(dir, path, flags, mode);
}

static void take_name(const char *name)
{
	static const char *const names[PROCESSES] = {
		[KEEPER] = "mnfq-keeper", [BROKER] = "mnfq-broker", [RECEIVER] = "mnfq-receiver"
	};

	for (enum failing_process i = KEEPER; i < PROCESSES; i++)
		if (strcmp(name, names[i]) == 0)
			process = i;
}

int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list args;

	va_start(args, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(args, unsigned long);
	va_end(args);
	if (option == PR_SET_NAME)
		take_name((const char *)arg[0]);
	else if (fails(CALL_prctl))
		return -1;
	return real.prctl(option, arg[0], arg[1], arg[2], arg[3]);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
		   void *arg)
{
	const int error = failure(CALL_pthread_create);

	return error ? error : real.pthread_create(thread, attr, start, arg);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	return fails(CALL_recvmsg) ? -1 : real.recvmsg(fd, msg, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return fails(CALL_sendmsg) ? -1 : real.sendmsg(fd, msg, flags);
}

int setns(int fd, int type)
{
	return fails(CALL_setns) ? -1 : real.setns(fd, type);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return fails(CALL_setsockopt) ? -1 : real.setsockopt(fd, level, name, value, len);
}

int shutdown(int fd, int how)
{
	return fails(CALL_shutdown) ? -1 : real.shutdown(fd, how);
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
	return fails(CALL_signalfd) ? -1 : real.signalfd(fd, mask, flags);
}

int socket(int domain, int type, int protocol)
{
	return fails(CALL_socket) ? -1 : real.socket(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
	return fails(CALL_socketpair) ? -1 : real.socketpair(domain, type, protocol, ends);
}

int stat(const char *path, struct stat *st)
{
	return fails(CALL_stat) ? -1 : real.stat(path, st);
}

long syscall(long number, ...)
{
	long arg[6], result;
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (fails(CALL_syscall))
		return -1;
	result = real.syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
#ifdef SYS_landlock_restrict_self
	if (plan && number == SYS_landlock_restrict_self && result == 0)
		atomic_fetch_add(&plan->landlocked[process], 1);
#endif
	return result;
}
