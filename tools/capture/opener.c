/* SPDX-License-Identifier: MIT */
/* The process that makes the files of a capture. */
#include "capture/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/pass-fd.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

#define STOP_MS 500

struct answer {
	int err; /* a negative errno, or 0: a descriptor goes along */
	char name[PATH_MAX];
};

/* ---- names -------------------------------------------------------------------------------- */

struct series {
	const struct opener_names *names;
	time_t since;       /* of the date in the name */
	unsigned int count; /* of files since then */
};

/* Where the name of the file begins, behind its directory. */
static size_t file_at(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash + 1 - path) : 0;
}

static int width_of(unsigned int files)
{
	int width = 1;

	for (; files > 10; files = (files + 9) / 10)
		width++;
	return width;
}

/* As tcpdump: "file", "file1", "file2"; those of a ring begin with 0 and are equally long, but for one alone. */
static int make_name(const struct series *series, char name[PATH_MAX])
{
	const struct opener_names *names = series->names;
	char base[PATH_MAX];
	struct tm tm;
	int len;

	if (!names->dated) {
		len = snprintf(base, sizeof(base), "%s", names->path);
	} else {
		localtime_r(&series->since, &tm);
		len = (int)strftime(base, sizeof(base), names->path, &tm);
	}
	if (len <= 0 || len >= PATH_MAX)
		return -ENAMETOOLONG;
	if (file_at(base) != file_at(names->path)) /* a date in which there is a slash */
		return -ENOENT;
	if (names->numbered && names->files == 1 && !names->dated)
		len = snprintf(name, PATH_MAX, "%s", base);
	else if (names->numbered && names->files && !names->dated)
		len = snprintf(name, PATH_MAX, "%s%0*u", base, width_of(names->files),
			       series->count % names->files);
	else if (names->numbered && series->count > 0)
		len = snprintf(name, PATH_MAX, "%s%u", base, series->count);
	else
		len = snprintf(name, PATH_MAX, "%s", base);
	return len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* ---- the process -------------------------------------------------------------------------- */

static bool is_input(const struct opener_input *input, const struct stat *status)
{
	return input->is_open && input->device == status->st_dev &&
	       input->inode == status->st_ino;
}

/*
 * In the directory as it was at first. No link is followed, which others might have put there, and for no reader of a
 * FIFO is waited. What is there is emptied once it is known. Returns a descriptor or a negative errno.
 */
static int make_regular(int directory, const char *name, const struct opener_input *input)
{
	const int fd =
		openat(directory, name,
		       O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0666);
	struct stat status;
	int err = 0;

	if (fd < 0)
		return errno == ENXIO ? -EEXIST : -errno;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || is_input(input, &status))
		err = -EEXIST;
	else if (status.st_size > 0 && ftruncate(fd, 0) < 0)
		err = -errno;
	if (err < 0)
		close(fd);
	return err < 0 ? err : fd;
}

static int make_file(const struct series *series, int directory, struct answer *answer)
{
	int fd;

	answer->err = make_name(series, answer->name);
	if (answer->err < 0)
		return -1;
	fd = make_regular(directory, answer->name + file_at(answer->name), &series->names->input);
	if (fd < 0)
		answer->err = fd;
	return fd;
}

/* A descriptor may be refused where an answer is not: the kernel limits those that are on their way. */
static int answer_with(int to, struct answer *answer, int fd)
{
	const int err = pass_fd(to, answer, sizeof(*answer), fd, 0);

	if (err == 0 || fd < 0)
		return err;
	answer->err = err;
	return pass_fd(to, answer, sizeof(*answer), -1, 0);
}

static void serve(const struct opener_names *names, int directory, int from)
{
	struct series series = { .names = names, .since = time(NULL) };
	struct answer answer;
	uint8_t reason;
	ssize_t n;
	int fd;

	for (;;) {
		n = recv(from, &reason, sizeof(reason), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(reason))
			return;
		series.count += reason == OPENER_SIZE;
		if (reason == OPENER_TIME) {
			series.since = time(NULL);
			series.count = 0;
		}
		memset(&answer, 0, sizeof(answer));
		fd = make_file(&series, directory, &answer);
		if (answer_with(from, &answer, fd) < 0)
			return;
		if (fd >= 0)
			close(fd);
	}
}

static int open_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];
	int fd;

	if (!slash)
		fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	else if ((size_t)(slash - path) >= sizeof(directory))
		return -ENAMETOOLONG;
	else {
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path) + 1, path);
		fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* Signals go to the whole group, and this ends with the program. The standard descriptors are left to that. */
static void leave_to_program(int directory, int from)
{
	const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE };
	int kept[] = { directory, from };
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(EXIT_FAILURE);
	close_all_but(kept, 2);
}

/* Where only root's override lets us write, later files need it as the first one does. */
static void run_child(const struct opener_names *names, int directory, int from, bool sandbox)
{
	struct answer answer = { .err = 0 };
	char error[256];

	leave_to_program(directory, from);
	tzset();
	if (sandbox && sandbox_enter(SANDBOX_FILES, SANDBOX_CAP(CAP_DAC_OVERRIDE), false,
				     names->path, error, sizeof(error)) < 0) {
		answer.err = -EPERM;
		snprintf(answer.name, sizeof(answer.name), "%s", error);
	}
	if (answer_with(from, &answer, -1) == 0 && answer.err == 0)
		serve(names, directory, from);
	_exit(EXIT_SUCCESS);
}

/* ---- for the program ---------------------------------------------------------------------- */

/* Returns 0 or a negative errno; *@fd: what came along, or -1. */
static int receive_answer(int from, struct answer *answer, int *fd)
{
	int flags = 0;
	const ssize_t n = take_fd(from, answer, sizeof(*answer), fd, &flags);

	if (n < 0)
		return (int)n;
	if (n != (ssize_t)sizeof(*answer)) { /* it has ended */
		answer->name[0] = '\0';
		return -EPIPE;
	}
	answer->name[sizeof(answer->name) - 1] = '\0';
	if (answer->err < 0 && *fd >= 0)
		close(*fd);
	return answer->err;
}

int opener_start(struct opener *opener, const struct opener_names *names, bool sandbox,
		 char *error, size_t error_size)
{
	const int directory = open_directory(names->path);
	struct answer answer = { .name = "" };
	int pair[2], err, none;

	opener->fd = -1;
	if (directory < 0) {
		snprintf(error, error_size, "cannot open the directory of %s: %s", names->path,
			 strerror(-directory));
		return directory;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err = -errno;
		close(directory);
		snprintf(error, error_size, "cannot make a socket: %s", strerror(-err));
		return err;
	}
	opener->pid = fork();
	if (opener->pid == 0)
		run_child(names, directory, pair[1], sandbox);
	err = opener->pid < 0 ? -errno : 0;
	close(pair[1]);
	close(directory);
	opener->fd = pair[0];
	if (err == 0)
		err = receive_answer(opener->fd, &answer, &none);
	if (err < 0) {
		snprintf(error, error_size, "cannot start the process that makes files: %s",
			 answer.name[0] ? answer.name : strerror(-err));
		opener_stop(opener);
	}
	return err;
}

int opener_next(const struct opener *opener, enum opener_reason reason, char *name)
{
	const uint8_t request = (uint8_t)reason;
	struct answer answer = { .err = 0 };
	int fd, err;

	if (send(opener->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	err = receive_answer(opener->fd, &answer, &fd);
	if (answer.name[0]) /* there is an answer */
		memcpy(name, answer.name, sizeof(answer.name));
	if (err < 0)
		return err;
	return fd < 0 ? -EPROTO : fd;
}

/* One that hangs in the kernel ends once it does not any more: it cannot do anything else. */
void opener_stop(struct opener *opener)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const int64_t since = clock_ms();

	if (opener->fd < 0)
		return;
	close(opener->fd);
	opener->fd = -1;
	while (opener->pid > 0 && waitpid(opener->pid, NULL, WNOHANG) == 0 &&
	       clock_ms() - since < STOP_MS)
		nanosleep(&pause, NULL);
}
