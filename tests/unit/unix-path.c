// SPDX-License-Identifier: MIT
/* unix-socket.c: which files are replaced and removed, and which are not. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "child.h"
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

/* A socket that is bound at the path and on which no program listens. */
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

/* ---- two at once ---- */

/* Called once, when unix_listen() is about to return from such a call. */
static void (*after_listen)(void), (*after_connect)(void);

static void call_once(void (**hook)(void))
{
	void (*function)(void) = *hook;

	*hook = NULL;
	if (function)
		function();
}

int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog)
{
	int result = __real_listen(fd, backlog);

	call_once(&after_listen);
	return result;
}

int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int result = __real_connect(fd, addr, len), err = errno;

	call_once(&after_connect);
	errno = err;
	return result;
}

/* Another program. */
static struct unix_listener other;

static void start_other(void)
{
	char unused[512];

	cr_assert(unix_listen(&other, path, 0600, unused, sizeof(unused)) == 0, "%s", unused);
}

/* So many files are there, with the path's. */
static unsigned int count_files(void)
{
	unsigned int count = 0;
	DIR *dir = opendir(directory);

	cr_assert(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void expect_other_in_place(void)
{
	int fd;

	expect_no_listener(path, -EADDRINUSE, "another program listens there");
	listener = other;
	while ((fd = accept(other.fd, NULL, NULL)) >= 0) /* by which it was seen to listen */
		close(fd);
	expect_connected();
	cr_assert_eq(count_files(), 1);
	unix_unlisten(&other);
	cr_assert_eq(count_files(), 0);
}

Test(unix_path, one_that_got_there_first_stays)
{
	after_listen = start_other;
	expect_other_in_place();
}

/* Both find a stale one; the other one replaces it before we do. */
Test(unix_path, one_that_replaced_a_stale_socket_first_stays)
{
	close(leave_socket(SOCK_STREAM));
	after_connect = start_other;
	expect_other_in_place();
}

static void make_file(void)
{
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void replace_by_file(void)
{
	cr_assert(unlink(path) == 0);
	make_file();
}

Test(unix_path, a_file_that_took_the_place_of_a_stale_socket_stays)
{
	struct stat st;

	close(leave_socket(SOCK_STREAM));
	after_connect = replace_by_file;
	expect_no_listener(path, -EEXIST, "not a socket");
	cr_assert(lstat(path, &st) == 0 && S_ISREG(st.st_mode));
	cr_assert_eq(count_files(), 1);
}

static void remove_it(void)
{
	cr_assert(unlink(path) == 0);
}

Test(unix_path, a_stale_socket_that_goes_meanwhile_is_no_obstacle)
{
	close(leave_socket(SOCK_STREAM));
	after_connect = remove_it;
	expect(listen_with(path, 0600), 0, "");
	expect_connected();
	unix_unlisten(&listener);
	cr_assert_eq(count_files(), 0);
}

/* Waits for a byte, tries to listen, says how that went, and stays until there is another byte. */
static int try_to_listen(int stream, void *arg)
{
	char byte, result;

	(void)arg;
	if (read(stream, &byte, 1) != 1)
		return 1;
	result = (char)-listen_with(path, 0600);
	return write(stream, &result, 1) != 1 || read(stream, &byte, 1) != 1;
}

#define RACERS 4

static void race(void)
{
	struct child children[RACERS];
	unsigned int listening = 0;
	char result;
	int fd;

	for (int i = 0; i < RACERS; i++)
		children[i] = child_start(try_to_listen, NULL);
	for (int i = 0; i < RACERS; i++)
		child_tell(&children[i]);
	for (int i = 0; i < RACERS; i++) {
		cr_assert(wait_readable(children[i].fd) && read(children[i].fd, &result, 1) == 1);
		cr_assert(result == 0 || result == EADDRINUSE, "%s", strerror(result));
		listening += result == 0;
	}
	cr_assert_eq(listening, 1, "%u of %d listen", listening, RACERS);
	fd = unix_connect(path, errmsg, sizeof(errmsg));
	cr_assert(fd >= 0, "%s", errmsg);
	close(fd);
	cr_assert_eq(count_files(), 1);
	for (int i = 0; i < RACERS; i++) {
		child_tell(&children[i]);
		cr_assert_eq(child_finish(&children[i]), 0);
	}
}

/* The first round has an empty directory, each other one what the winner before has left. */
Test(unix_path, of_several_at_once_one_listens)
{
	for (int i = 0; i < 25; i++)
		race();
}

static int listen_and_hang(int stream, void *arg)
{
	(void)arg;
	if (listen_with(path, 0600) < 0 || write(stream, "", 1) != 1)
		return 1;
	return pause();
}

Test(unix_path, what_a_killed_process_left_is_replaced)
{
	struct child child = child_start(listen_and_hang, NULL);

	child_await(&child);
	expect_no_listener(path, -EADDRINUSE, "another program listens there");
	child_kill(&child);
	cr_assert(exists());
	expect(listen_with(path, 0600), 0, "");
	expect_connected();
	unix_unlisten(&listener);
	cr_assert_eq(count_files(), 0);
}

/* ---- files of others ---- */

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
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ENOENT, "no program listens");
	cr_assert(exists());
}

Test(unix_path, what_took_the_place_is_left_alone)
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

/* As long as the kernel takes, so that a longer name beside it has no room. */
static void expect_usable_if_long(const char *parent)
{
	struct unix_listener first;
	char text[108];

	memset(text, 'x', sizeof(text));
	memcpy(text, parent, strlen(parent));
	for (size_t len = sizeof(text) - 12; len < sizeof(text); len++) {
		text[len] = '\0';
		expect(listen_with(text, 0600), 0, "");
		first = listener;
		expect_no_listener(text, -EADDRINUSE, "another program listens there");
		close(first.fd);
		expect(listen_with(text, 0600), 0, "");
		unix_unlisten(&listener);
		cr_assert_eq(count_files(), 0);
		text[len] = 'x';
	}
}

Test(unix_path, a_path_may_be_as_long_as_the_kernel_takes)
{
	char parent[64];

	snprintf(parent, sizeof(parent), "%s/", directory);
	expect_usable_if_long(parent);
	cr_assert(chdir(directory) == 0);
	expect_usable_if_long("");
}

Test(unix_path, a_directory_without_the_right_to_write)
{
	cr_assert(chmod(directory, 0555) == 0);
	if (geteuid() == 0)
		cr_assert(seteuid(12345) == 0);
	expect_no_listener(path, -EACCES, "may not make files");
	if (getuid() == 0)
		cr_assert(seteuid(0) == 0);
	cr_assert_eq(count_files(), 0);
	cr_assert(chmod(directory, 0700) == 0);
}

Test(unix_path, no_program_is_there)
{
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ENOENT, "no program listens");
	close(leave_socket(SOCK_STREAM));
	expect(unix_connect(path, errmsg, sizeof(errmsg)), -ECONNREFUSED, "no program listens");
}

Test(unix_path, a_full_queue_does_not_make_us_wait)
{
	int fds[2], fd = leave_socket(SOCK_STREAM), i = 0;

	cr_assert(listen(fd, 0) == 0);
	do
		fds[i] = unix_connect(path, errmsg, sizeof(errmsg));
	while (fds[i] >= 0 && ++i < 2);
	cr_assert(i == 1);
	expect(fds[1], -EAGAIN, "too many connections");
	close(fds[0]);
	close(fd);
}
