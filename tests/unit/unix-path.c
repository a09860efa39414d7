// SPDX-License-Identifier: MIT
/* unix-path.c: whose files are replaced and removed, and whose are not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/unix-socket.h"
#include "wait.h"

static char directory[] = "/tmp/mnfq-test-XXXXXX", path[64], errmsg[512];
static char *before;
static struct unix_listener listener;

static void setup(void)
{
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	before = descriptors();
	listener.fd = 4711;
}

/* Whatever the test has left there. */
static void teardown(void)
{
	char command[128];

	check_descriptors(before);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	cr_expect(system(command) == 0);
}

TestSuite(unix_path, .init = setup, .fini = teardown, .timeout = 60);

static void expect(int got, int expected, const char *part)
{
	cr_assert(got == expected, "%d (%s), not %d: '%s'", got, strerror(-got), expected,
		  errmsg);
	cr_assert(strstr(errmsg, part), "'%s' lacks '%s'", errmsg, part);
	errmsg[0] = '\0';
}

static int listen_with(const char *at, mode_t mode)
{
	return unix_listen(&listener, at, mode, errmsg, sizeof(errmsg));
}

static void expect_no_listener(const char *at, int expected, const char *part)
{
	expect(listen_with(at, 0600), expected, part);
	cr_assert(listener.fd == -1 && !listener.path);
}

static void expect_connected(void)
{
	int peer, fd = unix_connect(path, errmsg, sizeof(errmsg));

	cr_assert(fd >= 0, "%s", errmsg);
	cr_assert(fcntl(fd, F_GETFD) == FD_CLOEXEC && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	peer = accept(listener.fd, NULL, NULL);
	cr_assert(peer >= 0 && write(peer, "x", 1) == 1 && read(fd, errmsg, 1) == 1);
	errmsg[0] = '\0';
	close(peer);
	close(fd);
}

/* A socket that is bound at the path and has nobody who listens. */
static int leave_socket(int type)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	cr_assert(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

static bool exists(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

Test(unix_path, a_listener_is_there_until_it_goes)
{
	expect(listen_with(path, 0600), 0, "");
	cr_assert(fcntl(listener.fd, F_GETFD) == FD_CLOEXEC &&
		  fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
	cr_assert(accept(listener.fd, NULL, NULL) < 0 && errno == EAGAIN);
	expect_connected();
	unix_unlisten(&listener);
	cr_assert(!exists() && listener.fd == -1);
	unix_unlisten(&listener);
}

Test(unix_path, the_mode_is_what_was_asked_for)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0777, 0 };
	struct stat st;

	umask(027);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		expect(listen_with(path, modes[i]), 0, "");
		cr_assert(stat(path, &st) == 0 && (st.st_mode & 07777) == modes[i], "0%o",
			  st.st_mode);
		unix_unlisten(&listener);
	}
	cr_assert(umask(022) == 027);
}

Test(unix_path, a_stale_socket_is_replaced)
{
	close(leave_socket(SOCK_STREAM));
	expect(listen_with(path, 0600), 0, "");
	expect_connected();
	unix_unlisten(&listener);
	cr_assert(!exists());
	close(leave_socket(SOCK_DGRAM));
	expect(listen_with(path, 0600), 0, "");
	unix_unlisten(&listener);
}

Test(unix_path, a_socket_in_use_is_left_alone)
{
	int fd = leave_socket(SOCK_STREAM);

	cr_assert(listen(fd, 0) == 0);
	expect_no_listener(path, -EADDRINUSE, "another program listens there");
	/* By now its queue is full. */
	expect_no_listener(path, -EADDRINUSE, "another program listens there");
	cr_assert(exists());
	close(fd);
}

Test(unix_path, a_socket_of_another_kind_is_in_use_too)
{
	int fd = leave_socket(SOCK_DGRAM);

	expect_no_listener(path, -EADDRINUSE, "another program listens there");
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -EPROTOTYPE, "not a stream");
	cr_assert(exists());
	close(fd);
}

/* While unix_listen() waits, the owner of this socket gets on. */
static int late = -1;

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (late >= 0)
		listen(late, 1);
	return __real_poll(fds, count, timeout);
}

/* Between bind() and listen() nobody can connect either. */
Test(unix_path, one_who_is_about_to_listen_is_left_alone)
{
	late = leave_socket(SOCK_STREAM);
	expect_no_listener(path, -EADDRINUSE, "another program listens there");
	cr_assert(exists());
	close(late);
}

static void make_file(void)
{
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

Test(unix_path, a_file_is_never_removed)
{
	make_file();
	expect_no_listener(path, -EEXIST, "not a socket");
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ENOTSOCK, "not a socket");
	cr_assert(exists());
}

Test(unix_path, a_directory_is_never_removed)
{
	cr_assert(mkdir(path, 0700) == 0);
	expect_no_listener(path, -EEXIST, "not a socket");
	cr_assert(exists());
}

Test(unix_path, a_symbolic_link_is_never_removed)
{
	cr_assert(symlink("nowhere", path) == 0);
	expect_no_listener(path, -EEXIST, "not a socket");
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ENOENT, "nobody listens");
	cr_assert(exists());
}

Test(unix_path, what_took_our_place_is_left_alone)
{
	expect(listen_with(path, 0600), 0, "");
	cr_assert(unlink(path) == 0);
	make_file();
	unix_unlisten(&listener);
	cr_assert(exists());
	cr_assert(unlink(path) == 0);
	expect(listen_with(path, 0600), 0, "");
	cr_assert(unlink(path) == 0);
	close(leave_socket(SOCK_STREAM));
	unix_unlisten(&listener);
	cr_assert(exists());
}

Test(unix_path, one_that_came_from_elsewhere_has_no_file)
{
	int fd = leave_socket(SOCK_STREAM);

	listener = (struct unix_listener){ .fd = fd };
	unix_unlisten(&listener);
	cr_assert(exists() && fcntl(fd, F_GETFD) < 0);
}

Test(unix_path, paths_that_cannot_be)
{
	char text[200];

	memset(text, 'x', sizeof(text));
	text[108] = '\0';
	expect_no_listener(text, -ENAMETOOLONG, "107 bytes, and this has 108");
	expect(unix_connect(text, errmsg, sizeof(errmsg)), -ENAMETOOLONG, "107 bytes");
	expect_no_listener("", -EINVAL, "empty");
	expect(unix_connect("", errmsg, sizeof(errmsg)), -EINVAL, "empty");
	snprintf(text, sizeof(text), "%s/no/socket", directory);
	expect_no_listener(text, -ENOENT, "no such directory");
	make_file();
	snprintf(text, sizeof(text), "%s/socket", path);
	expect_no_listener(text, -ENOTDIR, "cannot listen there");
	expect(unix_connect(text, errmsg, sizeof(errmsg)), -ENOTDIR, "cannot connect");
}

Test(unix_path, a_path_may_be_as_long_as_the_kernel_takes)
{
	char text[108];

	cr_assert(chdir(directory) == 0);
	memset(text, 'x', sizeof(text));
	text[107] = '\0';
	expect(listen_with(text, 0600), 0, "");
	unix_unlisten(&listener);
	cr_assert(access(text, F_OK) < 0);
}

Test(unix_path, nobody_is_there)
{
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ENOENT, "nobody listens");
	close(leave_socket(SOCK_STREAM));
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ECONNREFUSED, "nobody listens");
}

Test(unix_path, a_full_queue_does_not_make_us_wait)
{
	int fds[2], fd = leave_socket(SOCK_STREAM), i = 0;

	cr_assert(listen(fd, 0) == 0);
	do
		fds[i] = unix_connect(path, errmsg, sizeof(errmsg));
	while (fds[i] >= 0 && ++i < 2);
	cr_assert(i == 1);
	expect(fds[1], -EAGAIN, "too many others");
	close(fds[0]);
	close(fd);
}
