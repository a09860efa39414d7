/* SPDX-License-Identifier: MIT */
/* Which files and which names are left once a tool has given up its rights, where the kernel has Landlock. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "child.h"
#include "netns.h"
#include "sandbox/sandbox.h"
#include "wait.h"

TestSuite(sandbox_files, .timeout = 120);

/* A directory with a file, in which the children are; and a file outside. */
static char directory[] = "/tmp/mnfq-test-XXXXXX";
static char outside[sizeof(directory) + 8];

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	cr_assert(fd >= 0 && write(fd, "+", 1) == 1);
	close(fd);
}

static void files_begin(void)
{
	netns_require();
	if (SANDBOX_SANITIZED)
		cr_skip_test("sanitizers read files of their own: there is no Landlock then");
#ifdef SYS_landlock_create_ruleset
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
#endif
		skip_or_fail("this kernel has no Landlock");
	cr_assert(mkdtemp(directory) && chdir(directory) == 0);
	snprintf(outside, sizeof(outside), "%s.file", directory);
	make_file("secret");
	make_file(outside);
}

static void files_end(void)
{
	cr_assert(unlink(outside) == 0);
	(void)unlink("secret");
	(void)unlink("link");
	(void)unlink("new");
	cr_assert(rmdir(directory) == 0, "something was left there");
}

/* ---- what is tried ------------------------------------------------------------------------ */

static bool can_read(const char *path)
{
	FILE *file = fopen(path, "re");
	bool read = file && fgetc(file) != EOF;

	if (file)
		fclose(file);
	return read;
}

static bool can_list(const char *path)
{
	DIR *dir = opendir(path);
	bool listed = dir && readdir(dir);

	if (dir)
		closedir(dir);
	return listed;
}

static bool can_make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* As the maker of files does it. */
static bool can_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
	bool emptied = fd >= 0 && ftruncate(fd, 0) == 0;

	if (fd >= 0)
		close(fd);
	return emptied;
}

/* The address is as short as that of a netlink socket, so that a filter of system calls lets it pass. */
static bool can_bind(int fd)
{
	const struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "sock" };

	return bind(fd, (const struct sockaddr *)&addr, sizeof(struct sockaddr_nl)) == 0;
}

static bool can_listen_on(int tcp)
{
	const struct sockaddr_in any = { .sin_family = AF_INET };

	return bind(tcp, (const struct sockaddr *)&any, sizeof(any)) == 0;
}

static bool can_see_namespace_of(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return stat(path, &st) == 0;
}

struct attempt {
	enum sandbox_role role;
	const char *own;
	int streams[2]; /* Unix sockets without a name */
	int tcp;
};

#define EXPECT(condition)                                                                        \
	do                                                                                       \
		if (!(condition))                                                                \
			dprintf(stream, "not so: %s (%s)\n", #condition, strerror(errno));       \
	while (0)

static int enter(int stream, const struct attempt *attempt)
{
	char error[256] = "";

	if (sandbox_enter(attempt->role, UINT64_MAX, false, attempt->own, error, sizeof(error)) ==
	    0)
		return 0;
	dprintf(stream, "sandbox_enter: %s\n", error);
	return 1;
}

static void expect_out_of_reach(int stream, const struct attempt *attempt)
{
	EXPECT(!can_read("/etc/shadow"));
	EXPECT(!can_read("/etc/passwd"));
	EXPECT(!can_read("/proc/self/root/etc/passwd"));
	EXPECT(!can_read("/proc/1/cmdline"));
	EXPECT(!can_read("/proc/1/environ"));
	EXPECT(!can_read("secret"));
	EXPECT(!can_list("/"));
	EXPECT(!can_list("."));
	EXPECT(!can_list("/proc"));
	EXPECT(!can_make(outside));
	EXPECT(!can_create(outside));
	EXPECT(!can_create("/dev/null"));
	EXPECT(mkdir("new", 0700) < 0);
	EXPECT(chmod("secret", 0777) < 0 || !sandbox_has_seccomp);
	EXPECT(!can_bind(attempt->streams[0]));
	EXPECT(!can_listen_on(attempt->tcp));
	EXPECT(!can_see_namespace_of(getppid()));
	EXPECT(unlink(outside) < 0);
}

static int serve(int stream, void *arg)
{
	const struct attempt *attempt = arg;

	if (enter(stream, attempt))
		return 1;
	expect_out_of_reach(stream, attempt);
	EXPECT(!can_create("new"));
	EXPECT(!can_make("new"));
	EXPECT(unlink("secret") < 0);
	EXPECT(can_read("/proc/thread-self/status"));
	EXPECT(can_read("/proc/thread-self/net/netlink"));
	EXPECT(can_list("/run"));
	EXPECT(can_see_namespace_of(getpid()));
	EXPECT(send(attempt->streams[0], "", 1, 0) == 1);
	return 0;
}

static int share(int stream, void *arg)
{
	const struct attempt *attempt = arg;

	if (enter(stream, attempt))
		return 1;
	expect_out_of_reach(stream, attempt);
	EXPECT(!can_create("new"));
	EXPECT(!can_make("new"));
	EXPECT(!can_read("/proc/thread-self/status"));
	EXPECT(!can_list("/run"));
	EXPECT((unlink("secret") == 0) == (attempt->own != NULL));
	EXPECT(send(attempt->streams[0], "", 1, 0) == 1);
	return 0;
}

static int read_open_files(int stream, void *arg)
{
	const struct attempt *attempt = arg;

	if (enter(stream, attempt))
		return 1;
	expect_out_of_reach(stream, attempt);
	EXPECT(!can_create("new"));
	EXPECT(!can_make("new"));
	EXPECT(!can_make("secret"));
	EXPECT(!can_read("/proc/thread-self/status"));
	EXPECT(!can_list("/run"));
	EXPECT(unlink("secret") < 0);
	EXPECT(send(attempt->streams[0], "", 1, 0) == 1);
	return 0;
}

/* What is beside its own path it can make, or make empty: another file of the capture may be there. */
static int make_files(int stream, void *arg)
{
	const struct attempt *attempt = arg;

	if (symlink(outside, "link") < 0 || enter(stream, attempt))
		return 1;
	expect_out_of_reach(stream, attempt);
	EXPECT(!can_create("link"));
	EXPECT(!can_make("link"));
	EXPECT(!can_read("/proc/thread-self/status"));
	EXPECT(!can_list("/run"));
	EXPECT(unlink("secret") < 0);
	EXPECT(can_create("new"));
	EXPECT(!can_read("new"));
	EXPECT(can_create("secret"));
	EXPECT(send(attempt->streams[0], "", 1, 0) == 1);
	return 0;
}

/* Where the kernel has no Landlock, a socket that has a name gets no other. */
static int bind_named(int stream, void *arg)
{
	const struct attempt *attempt = arg;

	sandbox_name_socket(attempt->streams[0]);
	EXPECT(!can_bind(attempt->streams[0]));
	EXPECT(send(attempt->streams[0], "", 1, 0) == 1);
	return 0;
}

/* The child writes about what went wrong, and ends with 0. */
static void expect_silence(int (*function)(int stream, void *arg), struct attempt attempt)
{
	struct child child;
	char text[4096] = "";
	size_t len = 0;
	ssize_t n;

	files_begin();
	attempt.tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, attempt.streams) == 0);
	child = child_start(function, &attempt);
	while (len < sizeof(text) - 1 &&
	       (n = read(child.fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	cr_expect_str_empty(text, "%s", text);
	cr_assert_eq(child_finish(&child), 0);
	files_end();
}

Test(sandbox_files, the_server_reads_little)
{
	expect_silence(serve, (struct attempt){ .role = SANDBOX_SERVE });
}

Test(sandbox_files, a_sharer_reads_nothing)
{
	expect_silence(share, (struct attempt){ .role = SANDBOX_SHARER });
}

Test(sandbox_files, a_sharer_removes_its_path_and_what_is_beside_it)
{
	expect_silence(share, (struct attempt){ .role = SANDBOX_SHARER, .own = "sock" });
}

Test(sandbox_files, a_reader_opens_no_file)
{
	expect_silence(read_open_files, (struct attempt){ .role = SANDBOX_READER });
}

Test(sandbox_files, the_maker_of_files_writes_beside_its_own_path)
{
	expect_silence(make_files, (struct attempt){ .role = SANDBOX_FILES, .own = "x" });
}

Test(sandbox_files, a_socket_with_a_name_makes_no_file)
{
	expect_silence(bind_named, (struct attempt){ .role = SANDBOX_SERVE });
}
