/* SPDX-License-Identifier: MIT */
/* mnfq dump --from and --fd with what is no socket of netfilter, and givers that do as they like. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/handover.h>

#include "child.h"
#include "tool.h"
#include "wait.h"

TestSuite(dump_from, .timeout = 300);

/* ---- what is no socket of netfilter ----------------------------------------------------- */

enum kind {
	FILE_OF_DISK,
	PIPE,
	TERMINAL,
	UNIX_SOCKET,
	OTHER_NETLINK,
	DIRECTORY,
	PATH_ONLY,
	KINDS
};

static int open_kind(enum kind kind)
{
	int ends[2], terminal;

	switch (kind) {
	case FILE_OF_DISK:
		return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	case PIPE:
		cr_assert(pipe2(ends, O_CLOEXEC) == 0);
		return ends[0]; /* with a writer, so that reading would wait */
	case TERMINAL:
		terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		return terminal >= 0 ? terminal : open("/dev/null", O_RDWR | O_CLOEXEC);
	case UNIX_SOCKET:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case OTHER_NETLINK:
		return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	case DIRECTORY:
		return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	default:
		return open("/dev/null", O_PATH | O_CLOEXEC);
	}
}

/* One line says why, and it ends. */
static void expect_failure(struct tool *tool, const char *part)
{
	tool_err(tool);
	cr_assert(strncmp(tool->line, "mnfq dump: ", 11) == 0 && strstr(tool->line, part), "%s",
		  tool->line);
	cr_assert_str_eq(tool_err(tool), "");
	cr_assert_eq(tool_finish(tool), 1);
}

Test(dump_from, descriptors_that_are_no_sockets)
{
	struct tool tool;
	int fd;

	netns_require();
	for (enum kind kind = 0; kind < KINDS; kind++) {
		fd = open_kind(kind);
		cr_assert(fd >= 0);
		tool_start(&tool, NULL, fd, "dump -q 1 --fd 7");
		expect_failure(&tool, "descriptor 7 ");
		close(fd);
	}
}

/* ---- givers ----------------------------------------------------------------------------- */

static char directory[64];
static struct sockaddr_un address;

static int start_giving(void)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory));
	address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	cr_assert(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	cr_assert(listen(listener, 16) == 0);
	return listener;
}

static void stop_giving(int listener)
{
	close(listener);
	cr_assert(unlink(address.sun_path) == 0 && rmdir(directory) == 0);
}

/* The message with which a socket is offered, of which nothing is known. */
static size_t make_offer(char *bytes, size_t size)
{
	int ends[2], fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	ssize_t len;

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	cr_assert_eq(mnfq_handover_send(ends[0], fd, DEADLINE_MS, NULL), 0);
	len = read(ends[1], bytes, size); /* and the socket is dropped */
	cr_assert(len > 0);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	return (size_t)len;
}

/* @count times @fd, up to as many as the kernel sends at once. */
static void send_with(int stream, const void *bytes, size_t len, int fd, unsigned int count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(253 * sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(count * sizeof(int)) } };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	for (unsigned int i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof(fd), &fd, sizeof(fd));
	cr_assert_eq(sendmsg(stream, &msg, MSG_NOSIGNAL), (ssize_t)len);
}

#define WHOLE 1024 /* more than a message has */

static const struct giver {
	unsigned int len;    /* of the message, as far as there is so much; 0: none is sent */
	int kind;            /* of the descriptor; KINDS: a good one */
	unsigned int count;  /* of them */
	bool garbage, stays; /* without a message, or behind it */
	const char *part;    /* of the reason that the tool gives */
} givers[] = {
	{ 0, KINDS, 0, false, false, "" },        /* closes */
	{ 0, KINDS, 0, false, true, " 5000 ms" }, /* never answers */
	{ WHOLE, KINDS, 0, false, true, "0 descriptors" },
	{ WHOLE, KINDS, 2, false, true, "descriptors" },
	{ WHOLE, KINDS, 253, false, true, "descriptor" },
	{ 100, KINDS, 1, false, false, "" }, /* a header that is cut */
	{ 4, KINDS, 1, false, true, "" },
	{ 1, KINDS, 1, false, true, "" },
	{ WHOLE, KINDS, 1, true, true, "" },
	{ WHOLE, FILE_OF_DISK, 1, false, true, "descriptor" },
	{ WHOLE, PIPE, 1, false, true, "descriptor" },
	{ WHOLE, TERMINAL, 1, false, true, "descriptor" },
	{ WHOLE, UNIX_SOCKET, 1, false, true, "descriptor" },
	{ WHOLE, OTHER_NETLINK, 1, false, true, "descriptor" },
	{ WHOLE, DIRECTORY, 1, false, true, "descriptor" },
	{ WHOLE, PATH_ONLY, 1, false, true, "descriptor" },
};

static void give(int stream, const struct giver *giver)
{
	int fd = giver->kind == KINDS
			 ? socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)
			 : open_kind((enum kind)giver->kind);
	char bytes[WHOLE];
	size_t len = make_offer(bytes, sizeof(bytes));

	cr_assert(fd >= 0);
	if (giver->garbage)
		memset(bytes, 0xA5, sizeof(bytes));
	if (giver->len > 0)
		send_with(stream, bytes, giver->len < len ? giver->len : len, fd, giver->count);
	close(fd);
}

Test(dump_from, givers_who_do_as_they_like)
{
	struct tool tool;
	int listener, stream;

	netns_require();
	listener = start_giving();
	for (size_t i = 0; i < sizeof(givers) / sizeof(givers[0]); i++) {
		tool_start(&tool, NULL, -1, "dump -q 1 --from %s", address.sun_path);
		cr_assert(wait_readable(listener));
		stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		cr_assert(stream >= 0);
		give(stream, &givers[i]);
		if (!givers[i].stays)
			close(stream);
		expect_failure(&tool, givers[i].part);
		if (givers[i].stays)
			close(stream);
	}
	stop_giving(listener);
}
