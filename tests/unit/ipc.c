/* SPDX-License-Identifier: MIT */
/* ipc.c: messages arrive as they were sent, and others are refused. */
#include "broker/ipc.h"
#include "hostile.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wait.h"

static int ends[2];

static void set_up(void)
{
	cr_assert(ipc_new(ends) == 0);
}

static void tear_down(void)
{
	close(ends[0]);
	close(ends[1]);
}

TestSuite(ipc, .init = set_up, .fini = tear_down);

static struct ipc_msg attach(void)
{
	return (struct ipc_msg){ .type = IPC_ATTACH,
				 .id = IPC_BROKER_ID | 7,
				 .uid = 1000,
				 .pid = 4711,
				 .flags = 1,
				 .inode = UINT64_C(0x123456789a),
				 .label = "blue" };
}

/* Refused; a single descriptor is the caller's, no other is left, and the next message comes through. */
static void refused(const void *bytes, size_t len, unsigned int count)
{
	struct ipc_msg message, good = { .type = IPC_DETACH, .id = 3 };
	char *open_before = descriptors();
	int fd = 4711;

	hostile_send(ends[1], bytes, len, ends[1], count);
	cr_assert(ipc_receive(ends[0], &message, &fd) == -EBADMSG);
	cr_assert((fd >= 0) == (count > 0), "%d", fd);
	if (fd >= 0)
		close(fd);
	check_descriptors(open_before);
	cr_assert(ipc_send(ends[1], &good, -1) == 0);
	cr_assert(ipc_receive(ends[0], &message, &fd) == 1 && message.id == 3);
}

Test(ipc, a_message_arrives_as_it_was_sent)
{
	struct ipc_msg sent = attach(), received;
	int fd, ours = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct stat a, b;

	memset(sent.text, 'x', sizeof(sent.text) - 1);
	cr_assert(ipc_send(ends[1], &sent, ours) == 0);
	cr_assert(ipc_receive(ends[0], &received, &fd) == 1);
	cr_assert(memcmp(&sent, &received, sizeof(sent)) == 0);
	cr_assert(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	cr_assert(fstat(fd, &a) == 0 && fstat(ours, &b) == 0 && a.st_ino == b.st_ino);
	close(fd);
	close(ours);
	cr_assert(ipc_receive(ends[0], &received, &fd) == 0 && fd == -1, "one was enough");
}

Test(ipc, other_lengths_are_refused)
{
	char bytes[sizeof(struct ipc_msg) + 1] = { 0 };
	struct ipc_msg message = attach();

	memcpy(bytes, &message, sizeof(message));
	refused(bytes, sizeof(bytes), 1);
	refused(bytes, sizeof(bytes) - 2, 1);
	refused(bytes, 1, 1);
	refused(bytes, 1, 0);
}

Test(ipc, text_without_an_end_is_refused)
{
	struct ipc_msg message = attach();

	memset(message.label, 'x', sizeof(message.label));
	refused(&message, sizeof(message), 1);
	message = attach();
	memset(message.text, 'x', sizeof(message.text));
	refused(&message, sizeof(message), 1);
}

Test(ipc, wrong_descriptors_are_refused)
{
	struct ipc_msg message = attach();

	refused(&message, sizeof(message), 0);
	refused(&message, sizeof(message), 2);
	refused(&message, sizeof(message), 253);
	message.type = IPC_ANSWER;
	refused(&message, sizeof(message), 1);
}

Test(ipc, wrong_members_are_refused)
{
	struct ipc_msg message = attach();

	message.id = 7; /* not one of the broker's */
	refused(&message, sizeof(message), 1);
	message = (struct ipc_msg){ .type = IPC_ANSWER, .error = 1 };
	refused(&message, sizeof(message), 0);
	message = (struct ipc_msg){ .type = 0 };
	refused(&message, sizeof(message), 0);
	message.type = IPC_PING + 1;
	refused(&message, sizeof(message), 0);
}

Test(ipc, the_end_shows)
{
	struct ipc_msg message = { .type = IPC_DETACH };
	int fd;

	cr_assert(ipc_send(ends[1], &message, -1) == 0);
	close(ends[1]);
	cr_assert(ipc_receive(ends[0], &message, &fd) == 1);
	cr_assert(ipc_receive(ends[0], &message, &fd) == -ECONNRESET);
	cr_assert(ipc_send(ends[0], &message, -1) == -EPIPE);
	ends[1] = dup(ends[0]);
}

Test(ipc, an_empty_message_is_the_end_too)
{
	struct ipc_msg message;
	int fd;

	hostile_send(ends[1], "", 0, ends[1], 1);
	cr_assert(ipc_receive(ends[0], &message, &fd) == -ECONNRESET && fd >= 0);
	close(fd);
}

Test(ipc, a_receiver_that_does_not_read_stops_no_sender)
{
	struct ipc_msg message = { .type = IPC_DETACH };
	int err, fd;

	do {
		err = ipc_send(ends[1], &message, -1);
	} while (err == 0);
	cr_assert(err == -EAGAIN, "%s", strerror(-err));
	cr_assert(ipc_receive(ends[0], &message, &fd) == 1);
}
