/* SPDX-License-Identifier: MIT */
/* The tool as one that listens, and what hands sockets over to it. */
#include "listener.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sockaddr_un listener_address = { .sun_family = AF_UNIX };
static char directory[] = "/tmp/mnfq-test-XXXXXX";

void listener_make_path(void)
{
	cr_assert(mkdtemp(directory) && chmod(directory, 0711) == 0);
	snprintf(LISTENER_PATH, sizeof(LISTENER_PATH), "%s/sock", directory);
}

void listener_start(const char *arguments)
{
	listener_make_path();
	tool_start(&tool, NULL, -1, "dump -q 1 --listen %s %s", LISTENER_PATH, arguments);
	tool_await_err(&tool, "listening on queue 1 in ");
	expect_contains(tool.line, LISTENER_PATH);
}

int listener_connect(void)
{
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(stream, (struct sockaddr *)&listener_address, sizeof(listener_address)) < 0
		       ? -errno
		       : stream;
}

int listener_offer(int fd)
{
	int stream = listener_connect();

	cr_assert(stream >= 0, "%s", strerror(-stream));
	cr_assert_eq(mnfq_handover_send(stream, fd, DEADLINE_MS, NULL), 0);
	return stream;
}

int listener_answer(int stream, char *errmsg)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = errmsg,
						 .error_size = errmsg ? 256 : 0 };
	int err = mnfq_handover_wait(stream, DEADLINE_MS, &options);

	close(stream);
	return err;
}

void listener_remove(void)
{
	cr_assert(rmdir(directory) == 0, "%s: %s", directory, strerror(errno));
}

void listener_remove_stale(void)
{
	cr_assert(unlink(LISTENER_PATH) == 0, "%s: %s", LISTENER_PATH, strerror(errno));
	listener_remove();
}

void listener_stop(const char *begin)
{
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, begin);
	cr_assert_eq(tool_finish(&tool), 0);
	listener_remove();
}

pid_t listener_keeper(void)
{
	return child_await_named(tool.pid, "mnfq-keeper");
}

static int get_type(int fd)
{
	int type = -1;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 ? type : -1;
}

static pid_t get_maker(int fd)
{
	struct ucred maker = { .pid = 0 };
	socklen_t len = sizeof(maker);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &len) == 0 ? maker.pid : 0;
}

int listener_copy_socket(pid_t holder, int type)
{
	int pidfd = (int)syscall(SYS_pidfd_open, holder, 0), copy = -1;

	for (int fd = 3; fd < 64; fd++) {
		copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		if (copy >= 0 && get_type(copy) == type && get_maker(copy) == tool.pid)
			break;
		if (copy >= 0)
			close(copy);
		copy = -1;
	}
	close(pidfd);
	cr_assert(copy >= 0);
	return copy;
}

int listener_replace_broker(void)
{
	pid_t keeper = listener_keeper(), broker = child_await_named(keeper, "mnfq-broker");
	int ipc = listener_copy_socket(keeper, SOCK_SEQPACKET);

	kill(keeper, SIGKILL);
	cr_assert(wait_until(process_state(broker) == 0));
	return ipc;
}

void listener_stop_without_broker(void)
{
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "0 packets");
	cr_assert_eq(tool_finish(&tool), 0);
	listener_remove_stale();
}
