/* SPDX-License-Identifier: MIT */
/* Child processes of a test, which never outlive it. */
#include "child.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
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
