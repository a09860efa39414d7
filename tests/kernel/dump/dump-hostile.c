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
#include "child.h"
#include "container.h"
#include "fuse.h"
#include "sandbox/sandbox.h"
#include "tool.h"
#include "wait.h"

TestSuite(dump_hostile, .timeout = 300);

static char directory[64];
static struct sockaddr_un address = { .sun_family = AF_UNIX };

/* The next line on stderr that begins like this; others are of no interest. */
static void await_err(struct tool *tool, const char *begin)
{
	while (strncmp(tool_err(tool), begin, strlen(begin)) != 0)
		cr_assert(tool->line[0], "no line '%s'", begin);
}

static void start_with(struct tool *tool, const char *options)
{
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	tool_start(tool, NULL, -1, "dump -q 1 --listen %s %s", address.sun_path, options);
	await_err(tool, "listening on queue 1 of ");
}

static void start(struct tool *tool)
{
	start_with(tool, "");
}

static void remove_path(void)
{
	(void)unlink(address.sun_path); /* of a broker that was killed */
	cr_assert(rmdir(directory) == 0);
}

static void stop(struct tool *tool)
{
	kill(tool->pid, SIGTERM);
	await_err(tool, "0 packets");
	cr_assert_eq(tool_finish(tool), 0);
	remove_path();
}

static unsigned int count_descriptors(pid_t pid)
{
	unsigned int count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	cr_assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static pid_t keeper_of(const struct tool *tool)
{
	pid_t keeper;

	cr_assert(wait_until((keeper = child_named(tool->pid, "mnfq-keeper")) > 0));
	return keeper;
}

/* A copy of an end of the link, which the server made. */
static int copy_link(const struct tool *tool, pid_t holder)
{
	int pidfd = (int)syscall(SYS_pidfd_open, holder, 0), link = -1, type = 0;
	struct ucred maker = { .pid = 0 };
	socklen_t len;

	for (int fd = 3; fd < 64; fd++) {
		link = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		len = sizeof(type);
		if (link >= 0 && getsockopt(link, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
		    type == SOCK_SEQPACKET) {
			len = sizeof(maker);
			(void)getsockopt(link, SOL_SOCKET, SO_PEERCRED, &maker, &len);
			if (maker.pid == tool->pid)
				break;
		}
		if (link >= 0)
			close(link);
		link = -1;
	}
	close(pidfd);
	cr_assert(link >= 0);
	return link;
}

/* What the server did not read yet of what the broker and its receivers have said. */
static bool has_something_to_read(int link)
{
	int unread = 0;

	return ioctl(link, SIOCINQ, &unread) == 0 && unread > 0;
}

static int offer(int fd)
{
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(connect(stream, (struct sockaddr *)&address, sizeof(address)) == 0);
	cr_assert(mnfq_handover_send(stream, fd, DEADLINE_MS, NULL) == 0);
	return stream;
}

static int await_answer(int stream, char *sentence, size_t size)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = size };
	int err = mnfq_handover_wait(stream, DEADLINE_MS, &options);

	close(stream);
	return err;
}

/* ---- peers ------------------------------------------------------------------------------ */

/* What the broker found good may be no good any more when its turn comes. */
Test(dump_hostile, sockets_that_turn_bad_are_closed)
{
	struct sockaddr_nl nobody = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	struct netns *ns = netns_new();
	unsigned int before;
	char sentence[256];
	struct tool tool;
	int fd, stream, link;

	start(&tool);
	link = copy_link(&tool, tool.pid);
	before = count_descriptors(tool.pid);
	for (int i = 0; i < 10; i++) {
		fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		tool_freeze(&tool);
		stream = offer(fd);
		cr_assert(wait_until(has_something_to_read(link)));
		cr_assert(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) == 0);
		kill(tool.pid, SIGCONT);
		cr_assert_eq(await_answer(stream, sentence, sizeof(sentence)), -EISCONN);
		close(fd);
	}
	cr_assert_eq(count_descriptors(tool.pid), before);
	stop(&tool);
}

/* Who refuses tells it, and nobody else again. */
Test(dump_hostile, a_refusal_is_told_once)
{
	struct netns *ns = netns_new(), *other = netns_new();
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	int fd_of_other = netns_socket(other, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	char sentence[256];
	struct tool tool;
	unsigned int told = 0;

	start(&tool);
	cr_assert_eq(await_answer(offer(fd), sentence, sizeof(sentence)), 0);
	cr_assert_eq(await_answer(offer(fd), sentence, sizeof(sentence)), -EEXIST);
	cr_assert_eq(await_answer(offer(fd_of_other), sentence, sizeof(sentence)), 0);
	await_err(&tool, "serving namespace ");
	while (strncmp(tool_err(&tool), "serving namespace ", 18) != 0)
		told += strstr(tool.line, "served already") != NULL;
	cr_assert_eq(told, 1u);
	close(fd);
	close(fd_of_other);
	stop(&tool);
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

		if (connect(peer, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    send_descriptor(peer, fuse_open(files->fuse)) < 0)
			return 2;
	}
	return write(stream, "", 1) != 1 || read(stream, &byte, 1) != 0;
}

static unsigned int count_receivers(const struct tool *tool)
{
	return count_children(child_named(keeper_of(tool), "mnfq-broker"), "mnfq-receiver");
}

/*
 * A process that closes a file of FUSE cannot be ended. Meanwhile others hand over; and when the program
 * ends another one can listen where it did.
 */
Test(dump_hostile, files_that_cannot_be_closed_keep_nobody_out)
{
	struct files files = { .count = 50 };
	int64_t worst = 0, before;
	struct child attacker;
	struct fuse fuse;
	struct tool tool, next;
	struct netns *ns;
	char sentence[256] = "";
	int fd;

	fuse_start(&fuse);
	files.fuse = &fuse;
	start_with(&tool, "--mode 0666");
	cr_assert(chmod(directory, 0711) == 0);
	attacker = child_start(hand_files_over, &files);
	child_await(&attacker);
	cr_assert(wait_until(count_receivers(&tool) > 0));
	for (int i = 0; i < 20; i++) {
		ns = netns_new();
		fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		before = now_ms();
		cr_assert_eq(await_answer(offer(fd), sentence, sizeof(sentence)), 0, "%s",
			     sentence);
		worst = now_ms() - before > worst ? now_ms() - before : worst;
		close(fd);
		netns_free(ns);
	}
	cr_assert(worst < 1000, "an honest one took %lld ms", (long long)worst);
	cr_assert(wait_until(count_receivers(&tool) == 2), "%u", count_receivers(&tool));
	kill(tool.pid, SIGTERM);
	await_err(&tool, "0 packets");
	cr_assert_eq(tool_finish(&tool), 0);

	tool_start(&next, NULL, -1, "dump -q 1 --listen %s", address.sun_path);
	await_err(&next, "listening on queue 1 of ");
	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&attacker), 0);
	stop(&next);
}

/* Whoever is killed cannot tidy up. */
Test(dump_hostile, the_door_is_closed_when_the_program_is_killed)
{
	struct tool tool;
	pid_t keeper;

	start(&tool);
	keeper = keeper_of(&tool);
	kill(tool.pid, SIGKILL);
	cr_assert_eq(tool_finish(&tool), -SIGKILL);
	cr_assert(wait_until(process_state(keeper) == 0 || process_state(keeper) == 'Z'));
	cr_assert(access(address.sun_path, F_OK) < 0);
	cr_assert(rmdir(directory) == 0);
}

/* What only the broker before could end is over, and all others are served on. */
Test(dump_hostile, another_broker_takes_its_place)
{
	struct netns *ns = netns_new(), *other = netns_new(), *third = netns_new();
	struct mnfq_handover_options keep = { .size = sizeof(keep), .flags = MNFQ_HANDOVER_KEEP };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char sentence[256] = "";
	struct tool tool;
	int fd, i;

	start(&tool);
	fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert_eq(await_answer(offer(fd), sentence, sizeof(sentence)), 0, "%s", sentence);
	close(fd);
	fd = netns_socket(other, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert(connect(stream, (struct sockaddr *)&address, sizeof(address)) == 0);
	cr_assert_eq(mnfq_handover_send(stream, fd, DEADLINE_MS, &keep), 0);
	cr_assert_eq(mnfq_handover_wait(stream, DEADLINE_MS, NULL), 0);
	for (i = 0; i < 2; i++)
		await_err(&tool, "serving namespace ");
	kill(child_named(keeper_of(&tool), "mnfq-broker"), SIGKILL);
	await_err(&tool, "the process that takes sockets and watches namespaces has failed");
	cr_assert(strncmp(tool_err(&tool), "namespace ", 10) == 0); /* who stayed */
	expect_contains(tool.line, "has failed");
	cr_assert_eq(await_answer(offer(fd), sentence, sizeof(sentence)), 0, "%s", sentence);
	close(fd);
	fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	cr_assert_eq(await_answer(offer(fd), sentence, sizeof(sentence)), -EEXIST);
	close(fd);
	netns_free(ns); /* which is noticed, although the broker is another one */
	await_err(&tool, "namespace ");
	expect_contains(tool.line, "gone");
	netns_free(other);
	netns_free(third);
	close(stream);
	stop(&tool);
}

/* ---- the broker ------------------------------------------------------------------------- */

/* Ends the broker, with its keeper. Returns a copy of its end of the link. */
static int take_its_place(const struct tool *tool)
{
	pid_t keeper = keeper_of(tool), broker;
	int link;

	cr_assert(wait_until((broker = child_named(keeper, "mnfq-broker")) > 0));
	link = copy_link(tool, keeper);
	kill(keeper, SIGKILL);
	cr_assert(wait_until(process_state(broker) == 0));
	return link;
}

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

/* A broker in the hands of a stranger does not keep us from ending. */
Test(dump_hostile, a_broker_that_goes_on_talking)
{
	struct child talker;
	struct tool tool;
	int link;

	start(&tool);
	link = take_its_place(&tool);
	talker = child_start(talk_without_end, &link);
	close(link);
	await_err(&tool, "and another thing");
	kill(tool.pid, SIGTERM);
	drain(tool.err);
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert_eq(child_finish(&talker), 0);
	remove_path();
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

static void pass(int link, struct netns *ns, uint32_t id)
{
	const struct ipc_msg message = { .type = IPC_ATTACH, .id = IPC_BROKER_ID | id };
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	cr_assert_eq(ipc_send(link, &message, fd), 0);
	close(fd);
}

/* Once the peer has its answer its namespace may be gone: the broker must have looked before. */
Test(dump_hostile, what_is_to_be_watched_comes_before_the_answer)
{
	struct netns *ns = netns_new();
	struct ipc_msg message;
	struct tool tool;
	int link;

	start(&tool);
	link = take_its_place(&tool);
	pass(link, ns, 1);
	message = await_message(link);
	cr_assert(message.type == IPC_WATCH && message.inode == netns_inode(ns));
	message = await_message(link);
	cr_assert(message.type == IPC_ANSWER && message.id == (IPC_BROKER_ID | 1) &&
		  message.error == 0);
	stop(&tool); /* with its link, which we have */
	close(link);
}

/* It is refused at once, not after the half minute that the broker waits for an answer. */
Test(dump_hostile, no_descriptor_is_left)
{
	struct netns *ns = netns_new();
	struct rlimit limit = { 5, 5 }; /* fewer than there are */
	struct ipc_msg message;
	struct tool tool;
	int link;

	start(&tool);
	link = take_its_place(&tool);
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &limit, NULL) == 0);
	pass(link, ns, 1);
	message = await_message(link);
	cr_assert(message.type == IPC_ANSWER && message.id == (IPC_BROKER_ID | 1));
	cr_assert_eq(message.error, -EMFILE);
	expect_contains(message.text, "ulimit -n");
	await_err(&tool, "refused a socket of uid 0, pid 0: ");
	stop(&tool); /* with its link, which we have */
	close(link);
}

/* The lowest number that is free. */
static unsigned int next_descriptor(pid_t pid)
{
	char path[64];
	unsigned int fd;

	for (fd = 0;; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)pid, fd);
		if (access(path, F_OK) < 0)
			return fd;
	}
}

/* There is one for the socket, and none to ask which namespace it is of: that is no yes. */
Test(dump_hostile, no_descriptor_is_left_for_a_check)
{
	struct netns *ns = netns_new();
	struct netns_queue queue;
	struct ipc_msg message;
	struct rlimit limit;
	struct tool tool;
	int link;

	start(&tool);
	link = take_its_place(&tool);
	limit.rlim_cur = limit.rlim_max = next_descriptor(tool.pid) + 1;
	cr_assert(prlimit(tool.pid, RLIMIT_NOFILE, &limit, NULL) == 0);
	pass(link, ns, 1);
	message = await_message(link);
	cr_assert(message.type == IPC_ANSWER && message.id == (IPC_BROKER_ID | 1));
	cr_assert_eq(message.error, -EMFILE, "%s", message.text);
	expect_contains(message.text, "cannot tell which namespace it is");
	cr_assert(!netns_get_queue(ns, 1, &queue));
	stop(&tool); /* with its link, which we have */
	close(link);
}

/* So that nobody takes all there is room for. */
Test(dump_hostile, a_user_has_a_quota)
{
	struct ipc_msg message;
	struct tool tool;
	int link;

	start_with(&tool, "--max-per-uid 2");
	link = take_its_place(&tool);
	for (uint32_t id = 1; id <= 3; id++) {
		pass(link, netns_new(), id);
		do
			message = await_message(link);
		while (message.type != IPC_ANSWER);
		cr_assert_eq(message.error, id <= 2 ? 0 : -EDQUOT, "%s", message.text);
	}
	expect_contains(message.text, "user 0 has 2 namespaces here already");
	stop(&tool); /* with its link, which we have */
	close(link);
}

/* ---- a thousand times ------------------------------------------------------------------- */

static long get_memory(pid_t pid)
{
	char path[64], line[128];
	long kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && kib < 0 && fgets(line, sizeof(line), file))
		(void)sscanf(line, "RssAnon: %ld", &kib);
	cr_assert(kib > 0);
	fclose(file);
	return kib;
}

/* Each joins and leaves: the next one is let in only when it has gone. */
static void come_and_go(int link, struct netns *ns, uint32_t from, uint32_t to)
{
	struct ipc_msg message = { .type = IPC_NOTE };

	for (uint32_t id = from; id < to; id++) {
		const struct ipc_msg gone = { .type = IPC_DETACH, .id = IPC_BROKER_ID | id };

		pass(link, ns, id);
		do
			message = await_message(link);
		while (message.type != IPC_ANSWER);
		cr_assert(message.id == (IPC_BROKER_ID | id) && message.error == 0, "%s",
			  message.text);
		cr_assert_eq(ipc_send(link, &gone, -1), 0);
	}
}

#define LEAK_KIB 512 /* a thousand records of members are 1,400 */

Test(dump_hostile, a_thousand_hand_overs_leave_nothing_behind)
{
	struct netns *ns = netns_new();
	unsigned int before;
	struct tool tool;
	long memory;
	int link;

	start(&tool);
	link = take_its_place(&tool);
	before = count_descriptors(tool.pid);
	come_and_go(link, ns, 1, 200);
	cr_assert(wait_until(count_descriptors(tool.pid) == before));
	memory = get_memory(tool.pid);
	come_and_go(link, ns, 200, 1200);
	cr_assert(wait_until(count_descriptors(tool.pid) == before));
	memory = get_memory(tool.pid) - memory;
	if (!SANDBOX_SANITIZED)
		cr_expect(memory < LEAK_KIB, "%ld KiB more", memory);
	stop(&tool); /* with its link, which we have */
	close(link);
}
