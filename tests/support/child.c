/* SPDX-License-Identifier: MIT */
/* Child processes of a test, which never outlive it. */
#include "child.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns.h"
#include "wait.h"

struct child child_start(int (*function)(int fd, void *arg), void *arg)
{
	pid_t parent = getpid();
	struct child child;
	int ends[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	child.fd = ends[0];
	child.pid = fork();
	cr_assert(child.pid >= 0, "fork: %s", strerror(errno));
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		netns_forget();
		_exit(getppid() == parent ? function(ends[1], arg) : EXIT_FAILURE);
	}
	close(ends[1]);
	return child;
}

void child_tell(const struct child *child)
{
	cr_assert(send(child->fd, "", 1, MSG_NOSIGNAL) == 1, "the child is gone");
}

void child_await(const struct child *child)
{
	char byte;

	cr_assert(wait_readable(child->fd), "the child said nothing in time");
	cr_assert(read(child->fd, &byte, 1) == 1, "the child is gone");
}

int child_finish(struct child *child)
{
	int status = 0;

	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	cr_assert(wait_until(waitpid(child->pid, &status, WNOHANG) == child->pid),
		  "the child does not end");
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child_kill(struct child *child)
{
	kill(child->pid, SIGKILL);
	(void)child_finish(child);
}

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int send_descriptor(int stream, int fd)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = &(char){ 0 }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(stream, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int receive_descriptor(int stream)
{
	union control control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	ssize_t len = recvmsg(stream, &msg, MSG_CMSG_CLOEXEC);
	int fd;

	if (len != 1)
		return len < 0 ? -errno : -ENODATA;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -ENODATA;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

char process_state(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state;
}

static bool has_name(pid_t pid, const char *name)
{
	char path[64], found[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%31s", found) != 1)
		found[0] = '\0';
	fclose(file);
	return strcmp(found, name) == 0;
}

/* The last child of that name, and how many there are. */
static unsigned int find_children(pid_t parent, const char *name, bool dead, pid_t *last)
{
	unsigned int count = 0;
	char path[64];
	FILE *file;
	int pid;

	*last = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "re");
	while (file && fscanf(file, "%d", &pid) == 1)
		if (has_name(pid, name) && (dead || process_state(pid) != 'Z')) {
			*last = pid;
			count++;
		}
	if (file)
		fclose(file);
	return count;
}

pid_t child_named(pid_t parent, const char *name)
{
	pid_t last;

	(void)find_children(parent, name, false, &last);
	return last;
}

pid_t child_await_named(pid_t parent, const char *name)
{
	pid_t child;

	cr_assert(wait_until((child = child_named(parent, name)) > 0), "no child %s", name);
	return child;
}

unsigned int count_children(pid_t parent, const char *name)
{
	pid_t last;

	return find_children(parent, name, true, &last);
}

unsigned int process_count(pid_t pid, const char *folder)
{
	unsigned int count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, folder);
	dir = opendir(path);
	cr_assert(dir, "%s: %s", path, strerror(errno));
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

unsigned long long process_status(pid_t pid, const char *key, int base)
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
