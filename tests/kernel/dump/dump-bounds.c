/* SPDX-License-Identifier: MIT */
/* mnfq dump --listen: how much one user can have waiting, how much memory hand-overs leave, and the end. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "broker/ipc.h"
#include "fuse.h"
#include "listener.h"
#include "sandbox/sandbox.h"
#include "wait.h"

TestSuite(dump_bounds, .timeout = 300);

/* ---- the broker's place ----------------------------------------------------------------- */

static void pass(int link, uint32_t id, uint32_t uid, int fd)
{
	const struct ipc_msg message = { .type = IPC_ATTACH,
					 .id = IPC_BROKER_ID | id,
					 .uid = uid };
	int err;

	cr_assert(wait_until((err = ipc_send(link, &message, fd)) != -EAGAIN &&
			     err != -ETOOMANYREFS));
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

/* The next answer of the server. */
static struct ipc_msg await_answer(int link)
{
	struct ipc_msg message;
	int fd;

	do {
		cr_assert(wait_readable(link), "no answer");
		cr_assert_eq(ipc_receive(link, &message, &fd), 1);
	} while (message.type != IPC_ANSWER);
	return message;
}

#define USER    12345
#define WAITING 64

struct passed {
	int link;
	const struct fuse *fuse;
};

/* In a process of its own, which cannot close it either. */
static int pass_file(int stream, void *arg)
{
	const struct passed *passed = arg;
	char byte;

	pass(passed->link, 1, USER, fuse_open(passed->fuse));
	return write(stream, "", 1) != 1 || read(stream, &byte, 1) != 0;
}

/* The first one keeps its thread busy, and other users wait neither for that nor for the others of this user. */
Test(dump_bounds, so_many_of_a_user_wait)
{
	struct passed passed;
	struct ipc_msg answer;
	struct child child;
	struct fuse fuse;
	int fd;

	netns_require();
	fuse_start(&fuse);
	listener_start("");
	passed = (struct passed){ listener_replace_broker(), &fuse };
	ns = netns_new();
	fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	child = child_start(pass_file, &passed);
	child_await(&child);
	for (uint32_t id = 2; id < 2 + WAITING + 1; id++)
		pass(passed.link, id, USER, fd);
	answer = await_answer(passed.link);
	cr_assert_eq(answer.id, IPC_BROKER_ID | (2 + WAITING), "id %llx",
		     (unsigned long long)answer.id);
	cr_assert_eq(answer.error, -EBUSY);
	expect_contains(answer.text, "so many of your user's sockets wait already");
	pass(passed.link, 1000, USER + 1, fd);
	answer = await_answer(passed.link);
	cr_assert(answer.id == (IPC_BROKER_ID | 1000) && answer.error == 0, "%s", answer.text);

	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&child), 0);
	for (int i = 0; i < 1 + WAITING; i++)
		cr_assert_lt(await_answer(passed.link).error,
			     0); /* no socket, and already served */
	close(fd);
	listener_stop_without_broker();
	close(passed.link);
}

/* ---- the end ---------------------------------------------------------------------------- */

/* What hangs may have a copy of the listener, so that closing it does not prevent connections. */
Test(dump_bounds, nobody_connects_after_the_end)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), listener, file;

	netns_require();
	listener_start("");
	listener = listener_copy_socket(listener_keeper(), SOCK_STREAM);
	file = open(LISTENER_PATH, O_PATH | O_CLOEXEC);
	cr_assert(file >= 0);
	listener_stop("0 packets");
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
	cr_assert(connect(stream, (struct sockaddr *)&address, sizeof(address)) < 0);
	cr_assert_eq(errno, ECONNREFUSED);
	close(stream);
	close(listener);
	close(file);
}

/* ---- thousands of times ----------------------------------------------------------------- */

/* Of all processes of the tool, in KiB. */
static long get_memory(void)
{
	const pid_t keeper = listener_keeper();
	const pid_t pids[] = { tool.pid, keeper, child_await_named(keeper, "mnfq-broker") };
	char path[64], line[128];
	long kib, sum = 0;
	FILE *file;

	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		kib = -1;
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pids[i]);
		file = fopen(path, "re");
		while (file && kib < 0 && fgets(line, sizeof(line), file))
			(void)sscanf(line, "RssAnon: %ld", &kib);
		cr_assert(kib > 0);
		fclose(file);
		sum += kib;
	}
	return sum;
}

/* Whole hand-overs, through the broker; some stay until they are withdrawn, some are refused. */
static void hand_over(unsigned int count)
{
	struct mnfq_handover_options keep = { .size = sizeof(keep), .flags = MNFQ_HANDOVER_KEEP };
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	for (unsigned int i = 0; i < count; i++) {
		int stream = listener_connect(), wrong = i % 4 == 3;

		cr_assert(stream >= 0);
		if (wrong)
			cr_assert_eq(send_descriptor(stream, fd), 0);
		else
			cr_assert_eq(mnfq_handover_send(stream, fd, DEADLINE_MS, &keep), 0);
		cr_assert_eq(mnfq_handover_wait(stream, DEADLINE_MS, NULL) < 0, wrong, "%u", i);
		close(stream);
	}
	close(fd);
}

#define LEAK_KIB 512

Test(dump_bounds, two_thousand_hand_overs_leave_no_memory_behind)
{
	long memory;

	ns = netns_new();
	listener_start("");
	hand_over(200);
	memory = get_memory();
	hand_over(2000);
	memory = get_memory() - memory;
	if (getenv("MNFQ_TEST_FIGURES"))
		cr_log_warn("%ld KiB more", memory);
	if (!SANDBOX_SANITIZED)
		cr_expect(memory < LEAK_KIB, "%ld KiB more", memory);
	listener_stop("0 packets");
}
