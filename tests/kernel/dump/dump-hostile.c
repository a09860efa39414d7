/* SPDX-License-Identifier: MIT */
/* mnfq dump with peers, and a broker, that are up to no good. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "broker/ipc.h"
#include "container.h"
#include "fuse.h"
#include "listener.h"
#include "sandbox/sandbox.h"

TestSuite(dump_hostile, .timeout = 300);

/* What the server did not read yet of what the broker and its receivers have said. */
static bool has_something_to_read(int link)
{
	int unread = 0;

	return ioctl(link, SIOCINQ, &unread) == 0 && unread > 0;
}

/* ---- peers ------------------------------------------------------------------------------ */

/* What the broker found good may be no good any more when its turn comes. */
Test(dump_hostile, sockets_that_turn_bad_are_closed)
{
	struct sockaddr_nl nowhere = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	unsigned int before;
	char errmsg[256];
	int fd, stream, link;

	ns = netns_new();
	listener_start("");
	link = listener_copy_socket(tool.pid, SOCK_SEQPACKET);
	before = process_count(tool.pid, "fd");
	for (int i = 0; i < 10; i++) {
		fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		tool_freeze(&tool);
		stream = listener_offer(fd);
		cr_assert(wait_until(has_something_to_read(link)));
		cr_assert(connect(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) == 0);
		kill(tool.pid, SIGCONT);
		cr_assert_eq(listener_answer(stream, errmsg), -EISCONN);
		close(fd);
	}
	cr_assert_eq(process_count(tool.pid, "fd"), before);
	listener_stop("0 packets");
}

/* By the process that refuses, and not again by another. */
Test(dump_hostile, a_refusal_is_logged_once)
{
	struct netns *space = netns_new(), *other = netns_new();
	int fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	int fd_of_other = netns_socket(other, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	char errmsg[256];
	unsigned int logged = 0;

	listener_start("");
	cr_assert_eq(listener_answer(listener_offer(fd), errmsg), 0);
	cr_assert_eq(listener_answer(listener_offer(fd), errmsg), -EEXIST);
	cr_assert_eq(listener_answer(listener_offer(fd_of_other), errmsg), 0);
	tool_await_err(&tool, "serving namespace ");
	while (strncmp(tool_err(&tool), "serving namespace ", 18) != 0)
		logged += strstr(tool.line, "already served") != NULL;
	cr_assert_eq(logged, 1u);
	close(fd);
	close(fd_of_other);
	listener_stop("0 packets");
}

struct files {
	const struct fuse *fuse;
	int count;
};

/* A user without rights hands over files that cannot be closed; nor can this process close them. */
static int hand_files_over(int stream, void *arg)
{
	const struct files *files = arg;
	char byte;

	if (become(12345) < 0)
		return 1;
	for (int i = 0; i < files->count; i++) {
		int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(peer, (struct sockaddr *)&listener_address,
			    sizeof(listener_address)) < 0 ||
		    send_descriptor(peer, fuse_open(files->fuse)) < 0)
			return 2;
	}
	return write(stream, "", 1) != 1 || read(stream, &byte, 1) != 0;
}

static unsigned int count_receivers(void)
{
	return count_children(child_await_named(listener_keeper(), "mnfq-broker"),
			      "mnfq-receiver");
}

/*
 * A process that closes a file of FUSE cannot be ended. Meanwhile others hand over; and when the program
 * ends another one can listen where it did.
 */
Test(dump_hostile, files_that_cannot_be_closed_lock_no_peer_out)
{
	struct files files = { .count = 50 };
	int64_t worst = 0, before;
	struct child attacker;
	struct fuse fuse;
	struct tool next;
	struct netns *space;
	char errmsg[256] = "";
	int fd;

	fuse_start(&fuse);
	files.fuse = &fuse;
	listener_start("--mode 0666");
	attacker = child_start(hand_files_over, &files);
	child_await(&attacker);
	cr_assert(wait_until(count_receivers() > 0));
	for (int i = 0; i < 20; i++) {
		space = netns_new();
		fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		before = now_ms();
		cr_assert_eq(listener_answer(listener_offer(fd), errmsg), 0, "%s", errmsg);
		worst = now_ms() - before > worst ? now_ms() - before : worst;
		close(fd);
		netns_free(space);
	}
	cr_assert(worst < 1000, "an honest one took %lld ms", (long long)worst);
	cr_assert(wait_until(count_receivers() == 2), "%u", count_receivers());
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "0 packets");
	cr_assert_eq(tool_finish(&tool), 0);

	tool_start(&next, NULL, -1, "dump -q 1 --listen %s", LISTENER_PATH);
	tool_await_err(&next, "listening on queue 1 in ");
	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&attacker), 0);
	kill(next.pid, SIGTERM);
	tool_await_err(&next, "0 packets");
	cr_assert_eq(tool_finish(&next), 0);
	listener_remove();
}

/* A process that is killed cannot tidy up. */
Test(dump_hostile, the_door_is_closed_when_the_program_is_killed)
{
	pid_t keeper;

	listener_start("");
	keeper = listener_keeper();
	kill(tool.pid, SIGKILL);
	cr_assert_eq(tool_finish(&tool), -SIGKILL);
	cr_assert(wait_until(process_state(keeper) == 0 || process_state(keeper) == 'Z'));
	cr_assert(access(LISTENER_PATH, F_OK) < 0);
	listener_remove();
}

/* What only the broker before could end is over, and all others are served on. */
Test(dump_hostile, another_broker_takes_its_place)
{
	struct netns *space = netns_new(), *other = netns_new(), *third = netns_new();
	struct mnfq_handover_options keep = { .size = sizeof(keep), .flags = MNFQ_HANDOVER_KEEP };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char errmsg[256] = "";
	int fd;

	listener_start("");
	fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert_eq(listener_answer(listener_offer(fd), errmsg), 0, "%s", errmsg);
	close(fd);
	fd = netns_socket(other, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(connect(stream, (struct sockaddr *)&listener_address,
			  sizeof(listener_address)) == 0);
	cr_assert_eq(mnfq_handover_send(stream, fd, DEADLINE_MS, &keep), 0);
	cr_assert_eq(mnfq_handover_wait(stream, DEADLINE_MS, NULL), 0);
	for (int i = 0; i < 2; i++)
		tool_await_err(&tool, "serving namespace ");
	kill(child_await_named(listener_keeper(), "mnfq-broker"), SIGKILL);
	tool_await_err(&tool, "the broker has failed");
	cr_assert(strncmp(tool_err(&tool), "namespace ", 10) == 0); /* who stayed */
	expect_contains(tool.line, "has failed");
	cr_assert_eq(listener_answer(listener_offer(fd), errmsg), 0, "%s", errmsg);
	close(fd);
	fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert_eq(listener_answer(listener_offer(fd), errmsg), -EEXIST);
	close(fd);
	netns_free(space); /* which is noticed, although the broker is another one */
	tool_await_err(&tool, "namespace ");
	expect_contains(tool.line, "gone");
	netns_free(other);
	netns_free(third);
	close(stream);
	listener_stop("0 packets");
}

/* ---- the broker ------------------------------------------------------------------------- */

static int talk_without_end(int stream, void *arg)
{
	const struct ipc_msg note = { .type = IPC_NOTE, .text = "and another thing" };
	int err;

	(void)stream;
	do
		err = ipc_send(*(int *)arg, &note, -1);
	while (err == 0 || err == -EAGAIN);
	return err == -EPIPE || err == -ECONNRESET ? 0 : 1;
}

/* Reads all that there is, until the other side is gone. */
static void drain(FILE *file)
{
	char scrap[4096];

	do
		cr_assert(wait_readable(fileno(file)));
	while (read(fileno(file), scrap, sizeof(scrap)) > 0);
}

/* A broker that was taken over does not keep us from ending. */
Test(dump_hostile, a_broker_that_goes_on_talking)
{
	struct child talker;
	int link;

	listener_start("");
	link = listener_replace_broker();
	talker = child_start(talk_without_end, &link);
	close(link);
	tool_await_err(&tool, "and another thing");
	kill(tool.pid, SIGTERM);
	drain(tool.err);
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert_eq(child_finish(&talker), 0);
	listener_remove_stale();
}

/* The next message of the server to the broker, in whose place we are. */
static struct ipc_msg await_message(int link)
{
	struct ipc_msg message;
	int fd;

	cr_assert(wait_readable(link));
	cr_assert_eq(ipc_receive(link, &message, &fd), 1);
	return message;
}

static void pass(int link, struct netns *space, uint64_t id)
{
	const struct ipc_msg message = { .type = IPC_ATTACH, .id = IPC_BROKER_ID | id };
	int fd = netns_socket(space, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	cr_assert_eq(ipc_send(link, &message, fd), 0);
	close(fd);
}

/* The answer says what is to be watched. */
Test(dump_hostile, the_answer_says_which_namespace_is_watched)
{
	struct ipc_msg message;
	int link;

	ns = netns_new();
	listener_start("");
	link = listener_replace_broker();
	pass(link, ns, 1);
	message = await_message(link);
	cr_assert(message.type == IPC_ANSWER && message.id == (IPC_BROKER_ID | 1) &&
		  message.error == 0);
	cr_assert(message.inode == netns_inode(ns));
	listener_stop_without_broker(); /* with its link, which we have */
	close(link);
}

/* It is refused at once, not after the half minute that the broker waits for an answer. */
Test(dump_hostile, no_descriptor_is_left)
{
	struct rlimit limit = { 5, 5 }; /* fewer than there are */
	struct ipc_msg message;
	int link;

	ns = netns_new();
	listener_start("");
	link = listener_replace_broker();
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &limit, NULL) == 0);
	pass(link, ns, 1);
	message = await_message(link);
	cr_assert(message.type == IPC_ANSWER && message.id == (IPC_BROKER_ID | 1));
	cr_assert_eq(message.error, -EMFILE);
	expect_contains(message.text, "ulimit -n");
	tool_await_err(&tool, "refused a socket from uid 0, pid 0: ");
	listener_stop_without_broker(); /* with its link, which we have */
	close(link);
}

/* The lowest number that is free. */
static unsigned int next_descriptor(pid_t pid)
{
	char path[64];

	for (unsigned int fd = 0;; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)pid, fd);
		if (access(path, F_OK) < 0)
			return fd;
	}
}

/* There is one for the socket, and none to ask which namespace it is of: that is no yes. */
Test(dump_hostile, no_descriptor_is_left_for_a_check)
{
	struct netns_queue queue;
	struct ipc_msg message;
	struct rlimit limit;
	int link;

	ns = netns_new();
	listener_start("");
	link = listener_replace_broker();
	limit.rlim_cur = limit.rlim_max = next_descriptor(tool.pid) + 1;
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &limit, NULL) == 0);
	pass(link, ns, 1);
	message = await_message(link);
	cr_assert(message.type == IPC_ANSWER && message.id == (IPC_BROKER_ID | 1));
	cr_assert_eq(message.error, -EMFILE, "%s", message.text);
	expect_contains(message.text, "too many open files");
	cr_assert(!netns_get_queue(ns, 1, &queue));
	listener_stop_without_broker(); /* with its link, which we have */
	close(link);
}

/* Sockets are served until only the reserve is left; no check fails, and none is made with less. */
Test(dump_hostile, descriptors_are_reserved_for_checks)
{
	const struct rlimit limit = { 64, 64 };
	struct ipc_msg message;
	uint32_t id = 0;
	int link;

	listener_start("");
	link = listener_replace_broker();
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &limit, NULL) == 0);
	do {
		pass(link, netns_new(), ++id);
		message = await_message(link);
		cr_assert_eq(message.type, IPC_ANSWER);
	} while (message.error == 0);
	cr_assert_eq(message.error, -EMFILE, "%s", message.text);
	expect_contains(message.text, "too many open files");
	cr_assert_gt(id, 8);
	/* The refused one may not be closed yet. */
	cr_assert_leq(next_descriptor(tool.pid), limit.rlim_cur * 3 / 4 + 1);
	listener_stop_without_broker(); /* with its link, which we have */
	close(link);
}

/* So that no user takes all there is room for. */
Test(dump_hostile, a_user_has_a_quota)
{
	struct ipc_msg message;
	int link;

	listener_start("--max-per-uid 2");
	link = listener_replace_broker();
	for (uint64_t id = 1; id <= 3; id++) {
		pass(link, netns_new(), id);
		message = await_message(link);
		cr_assert_eq(message.error, id <= 2 ? 0 : -EDQUOT, "%s", message.text);
	}
	expect_contains(message.text, "user 0 has 2 namespaces here already");
	listener_stop_without_broker(); /* with its link, which we have */
	close(link);
}

/* ---- a thousand times ------------------------------------------------------------------- */

/* Each joins and leaves: the next one is let in only when it has gone. */
static void come_and_go(int link, struct netns *space, uint64_t from, uint64_t to)
{
	struct ipc_msg message;

	for (uint64_t id = from; id < to; id++) {
		const struct ipc_msg gone = { .type = IPC_DETACH, .id = IPC_BROKER_ID | id };

		pass(link, space, id);
		message = await_message(link);
		cr_assert(message.id == (IPC_BROKER_ID | id) && message.error == 0, "%s",
			  message.text);
		cr_assert_eq(ipc_send(link, &gone, -1), 0);
	}
}

#define LEAK_KIB 512 /* a thousand records of entries are 1,400 */

Test(dump_hostile, a_thousand_hand_overs_leave_nothing_behind)
{
	struct netns *space = netns_new();
	unsigned int before;
	long memory;
	int link;

	listener_start("");
	link = listener_replace_broker();
	before = process_count(tool.pid, "fd");
	come_and_go(link, space, 1, 200);
	cr_assert(wait_until(process_count(tool.pid, "fd") == before));
	memory = (long)process_status(tool.pid, "RssAnon", 10);
	come_and_go(link, space, 200, 1200);
	cr_assert(wait_until(process_count(tool.pid, "fd") == before));
	memory = (long)process_status(tool.pid, "RssAnon", 10) - memory;
	if (!SANDBOX_SANITIZED)
		cr_expect(memory < LEAK_KIB, "%ld KiB more", memory);
	listener_stop_without_broker(); /* with its link, which we have */
	close(link);
}
