/* SPDX-License-Identifier: MIT */
/* capture/files.h: the files that a capture is written to, one after the other. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/files.h"
#include "capture/pcapng.h"

#define BLOCK 64

/* Calls that the tests have fail. */
int __wrap_close(int fd);
int __real_close(int fd);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);

static int failing_close = -1;       /* of this descriptor, which is closed nevertheless */
static unsigned int passed, allowed; /* descriptors; 0: no limit */

int __wrap_close(int fd)
{
	const bool fails = fd >= 0 && fd == failing_close;

	if (fails)
		failing_close = -1;
	if (__real_close(fd) < 0)
		return -1;
	errno = fails ? EIO : 0;
	return fails ? -1 : 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (allowed && msg->msg_controllen > 0 && ++passed > allowed) {
		errno = ETOOMANYREFS;
		return -1;
	}
	return __real_sendmsg(fd, msg, flags);
}

static char directory[] = "/tmp/mnfq-test-XXXXXX";
static char path[sizeof(directory) + 8];
static struct files files;
static char error[256];

static void begin(void)
{
	cr_assert(mkdtemp(directory) && chdir(directory) == 0);
	snprintf(path, sizeof(path), "%s/x", directory);
	files.opener.fd = files.fd = -1;
}

static void end(void)
{
	char command[64];

	(void)files_close(&files);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		abort();
}

TestSuite(files, .init = begin, .fini = end, .timeout = 60);

static void open_with_size(uint64_t size)
{
	const struct files_options options = { .path = path, .fifo = -1, .max_size = size };

	cr_assert_eq(files_open(&files, &options, error, sizeof(error)), 0, "%s", error);
}

static void put_block(char *bytes, uint32_t type)
{
	const uint32_t block[] = { type, BLOCK };

	memset(bytes, 0, BLOCK);
	memcpy(bytes, block, sizeof(block));
	memcpy(bytes + BLOCK - sizeof(block[1]), &block[1], sizeof(block[1]));
}

/* Writes them as the thread of the output does. */
static int write_blocks(const char *bytes, size_t len)
{
	struct output_piece piece;
	size_t at = 0;
	int err = 0;

	for (unsigned int pieces = 0; at < len && !err; pieces++) {
		cr_assert_lt(pieces, 100, "it does not end");
		piece = (struct output_piece){ .bytes = bytes + at };
		err = files_next(&files, piece.bytes, len - at, &piece);
		if (!err)
			cr_assert(write(piece.fd, piece.bytes, piece.len) == (ssize_t)piece.len);
		at += err || piece.added ? 0 : piece.len;
	}
	return err;
}

static int write_packets(size_t count)
{
	char bytes[16 * BLOCK];

	cr_assert_leq(count + 2, 16);
	put_block(bytes, BLOCK_SECTION);
	put_block(bytes + BLOCK, BLOCK_INTERFACE);
	for (size_t i = 0; i < count; i++)
		put_block(bytes + (i + 2) * BLOCK, BLOCK_PACKET);
	return write_blocks(bytes, (count + 2) * BLOCK);
}

static off_t size_of(const char *name)
{
	struct stat status;

	return stat(name, &status) == 0 ? status.st_size : -1;
}

/* What each file begins with may be larger than it is meant to be: each gets a packet. */
Test(files, a_long_beginning_ends)
{
	open_with_size(BLOCK);
	cr_expect_eq(write_packets(3), 0);
	cr_expect_eq(size_of("x"), 3 * BLOCK);
	cr_expect_eq(size_of("x1"), 3 * BLOCK);
	cr_expect_eq(size_of("x2"), 3 * BLOCK);
	cr_expect_eq(size_of("x3"), -1);
}

/* Nothing reads from it, or something does. */
Test(files, a_fifo_in_the_way_is_an_error)
{
	open_with_size(BLOCK);
	cr_assert(mkfifo("x1", 0600) == 0);
	cr_expect_eq(write_packets(2), EEXIST);
	cr_expect_eq(files_close(&files), 0);
	cr_assert(open("x1", O_RDONLY | O_NONBLOCK | O_CLOEXEC) >= 0);
	open_with_size(BLOCK);
	cr_expect_eq(write_packets(2), EEXIST);
}

/* As one that opens a file of a server that does not answer. */
Test(files, a_process_that_hangs_is_left)
{
	pid_t pid;

	open_with_size(BLOCK);
	pid = files.opener.pid;
	cr_assert(kill(pid, SIGSTOP) == 0);
	cr_expect_eq(files_close(&files), 0);
	cr_assert(kill(pid, SIGKILL) == 0);
	cr_expect_eq(waitpid(pid, NULL, 0), pid);
}

/* The file that is read has a name that the capture comes to. */
Test(files, what_is_read_is_not_emptied)
{
	struct files_options options = { .path = path, .fifo = -1, .max_size = BLOCK };
	struct stat status;

	cr_assert_eq(system("echo packets >x1"), 0);
	cr_assert(stat("x1", &status) == 0);
	options.input = (struct opener_input){ true, status.st_dev, status.st_ino };
	cr_assert_eq(files_open(&files, &options, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(write_packets(2), EEXIST);
	cr_expect_eq(size_of("x1"), 8);
}

Test(files, what_was_there_is_emptied)
{
	cr_assert_eq(system("dd if=/dev/zero of=x1 bs=1k count=1 2>/dev/null"), 0);
	open_with_size(BLOCK);
	cr_expect_eq(write_packets(2), 0);
	cr_expect_eq(size_of("x1"), 3 * BLOCK);
}

/* As on a full disk of others. */
Test(files, a_close_that_fails_is_not_repeated)
{
	open_with_size(BLOCK);
	failing_close = files.fd;
	cr_expect_eq(write_packets(2), EIO);
	cr_expect_eq(files_close(&files), 0);
}

Test(files, a_descriptor_that_cannot_be_passed_is_named)
{
	allowed = 1;
	open_with_size(BLOCK);
	cr_expect_eq(write_packets(2), ETOOMANYREFS);
	cr_expect(strstr(files.name, "/x1"), "%s", files.name);
}

Test(files, without_the_process_the_name_is_that_of_the_last_file)
{
	open_with_size(BLOCK);
	cr_assert(kill(files.opener.pid, SIGKILL) == 0);
	cr_assert_eq(waitpid(files.opener.pid, NULL, 0), files.opener.pid);
	cr_expect_eq(write_packets(2), EPIPE);
	cr_expect_str_eq(files.name, path);
}

/* Where others could have put something, the reason is said. */
Test(files, what_is_in_the_way_is_said)
{
	const struct files_options options = { .path = path, .fifo = -1, .max_size = BLOCK };

	cr_assert(symlink("y", "x") == 0);
	cr_expect_eq(files_open(&files, &options, error, sizeof(error)), -ELOOP);
	cr_expect(strstr(error, "/x: it is a symbolic link"), "%s", error);
	cr_expect_eq(size_of("y"), -1);
	(void)files_close(&files);
	cr_assert(unlink("x") == 0 && mkfifo("x", 0600) == 0);
	cr_expect_eq(files_open(&files, &options, error, sizeof(error)), -EEXIST);
	cr_expect(strstr(error, "/x: it is no regular file"), "%s", error);
}

/* One file alone follows links, so that one is not the reason. */
Test(files, a_loop_of_links_is_no_link)
{
	const struct files_options options = { .path = path, .fifo = -1 };

	cr_assert(symlink("x", "x") == 0);
	cr_expect_eq(files_open(&files, &options, error, sizeof(error)), -ELOOP);
	cr_expect(strstr(error, "/x: Too many levels of symbolic links"), "%s", error);
}

/* As with tcpdump: there is no other from which a number could tell it. */
Test(files, a_ring_of_one_has_no_number)
{
	const struct files_options options = {
		.path = path, .fifo = -1, .max_size = BLOCK, .max_files = 1
	};

	cr_assert_eq(files_open(&files, &options, error, sizeof(error)), 0, "%s", error);
	cr_expect_eq(write_packets(3), 0);
	cr_expect_eq(size_of("x"), 3 * BLOCK);
	cr_expect_eq(size_of("x0"), -1);
	cr_expect_eq(size_of("x1"), -1);
}
