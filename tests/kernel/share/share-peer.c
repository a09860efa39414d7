/* SPDX-License-Identifier: MIT */
/* The other side of mnfq share, in a test. */
#include "share-peer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

char directory[] = "/tmp/mnfq-test-XXXXXX", path[64], errmsg[256];
struct tool tool;
struct mnfq_handover info;

void share_setup(void)
{
	cr_assert(mkdtemp(directory));
	cr_assert(chmod(directory, 0755) == 0);
	snprintf(path, sizeof(path), "%s/socket", directory);
}

void share_teardown(void)
{
	unlink(path);
	if (rmdir(directory) < 0)
		abort(); /* Criterion ignores assertions in a .fini, but not this */
}

static int unix_socket(struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(addr->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int try_call(void)
{
	struct sockaddr_un addr;
	int fd = unix_socket(&addr);

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : fd;
}

int call(void)
{
	int fd = try_call();

	cr_assert(fd >= 0, "%s", strerror(-fd));
	return fd;
}

int open_listener(void)
{
	struct sockaddr_un addr;
	int fd = unix_socket(&addr);

	unlink(path);
	cr_assert(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "%s", strerror(errno));
	cr_assert(listen(fd, 8) == 0);
	return fd;
}

int await_caller(int listener)
{
	cr_assert(wait_readable(listener), "no connection");
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

/* What comes over @stream: a descriptor, or a negative errno with its message. */
int receive_socket(int stream)
{
	int fd, err;

	info = (struct mnfq_handover){ .size = sizeof(info) };
	errmsg[0] = '\0';
	err = mnfq_handover_receive(
		&fd, stream, DEADLINE_MS, &info,
		&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),
						 .error = errmsg,
						 .error_size = sizeof(errmsg) });
	return err < 0 ? err : fd;
}

static bool is_unbound(int fd)
{
	struct sockaddr_nl addr = { .nl_pid = 4711 };
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && addr.nl_pid == 0;
}

uint32_t adopt_flags;

/* Receives, adopts, binds queue 1 of the &fixture, answers. */
void take_socket(int stream)
{
	int fd = receive_socket(stream);

	cr_assert(fd >= 0, "%s: %s", strerror(-fd), errmsg);
	cr_assert(is_unbound(fd));
	fixture.sock = mnfq_socket_close(fixture.sock);
	expect_ok(NULL,
		  mnfq_socket_adopt(&fixture.sock, fd, SOCKET_OPTIONS(.flags = adopt_flags)));
	fixture_bind(NULL, count_packet);
	cr_assert(mnfq_handover_answer(stream, &info, 0, NULL) == 0);
}

/* Takes one and gives it back. */
void take_and_leave(int stream)
{
	int fd = receive_socket(stream);

	cr_assert(fd >= 0, "%s: %s", strerror(-fd), errmsg);
	cr_assert(is_unbound(fd));
	close(fd);
	cr_assert(mnfq_handover_answer(stream, &info, 0, NULL) == 0);
}

/* The other side closes the stream. */
void expect_hang_up(int stream)
{
	cr_assert(wait_readable(stream), "it stays");
	cr_assert(recv(stream, errmsg, 1, 0) <= 0, "it says something");
	close(stream);
}

void expect_failure(int status, const char *part)
{
	expect_contains(tool_err(&tool), part);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), status);
}
