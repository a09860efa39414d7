/* SPDX-License-Identifier: MIT */
/* The broker and its clients: honest ones get through, whatever the others do. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker-harness.h"
#include "fuse.h"
#include "hostile.h"

#define OPTIONS(...) ((struct broker_options){ __VA_ARGS__ })

/* ---- honest ones ---- */

/* A client hands a socket over, and gets the reply that it was taken. Those of others may be withdrawn meanwhile. */
static void get_through(struct broker_harness *harness)
{
	int fd, stream = harness_offer(harness, 0, NULL);
	struct ipc_msg message;
	char errmsg[256] = "";

	while ((message = harness_receive_any(harness, &fd)).type == IPC_DETACH)
		;
	cr_assert(message.type == IPC_ATTACH, "type %u", message.type);
	close(fd);
	harness_answer(harness, message.id, 0, NULL);
	cr_assert(harness_await_reply(stream, errmsg, sizeof(errmsg)) == 0, "%s", errmsg);
	harness_expect_end(stream);
}

Test(broker, what_is_known_of_a_socket_comes_along)
{
	struct ipc_msg message;
	struct broker_harness harness;
	int fd, stream;

	harness_open(&harness, OPTIONS(0));
	stream = harness_offer(&harness, MNFQ_HANDOVER_KEEP, "blue");
	message = harness_receive(&harness, &fd);
	check_netfilter(fd);
	cr_assert(message.type == IPC_ATTACH && message.id & IPC_BROKER_ID);
	cr_assert(strcmp(message.label, "blue") == 0 && message.flags == MNFQ_HANDOVER_KEEP);
	cr_assert(message.uid == getuid() && message.pid == (uint32_t)getpid());
	close(fd);
	close(stream);
	harness_expect_detach(&harness, message.id);
	harness_close(&harness);
}

Test(broker, the_answer_is_relayed)
{
	char errmsg[256] = "";
	struct broker_harness harness;
	int stream;

	harness_open(&harness, OPTIONS(0));
	get_through(&harness);
	stream = harness_offer(&harness, 0, NULL);
	harness_answer(&harness, harness_attach(&harness), -EEXIST,
		       "we have this namespace already");
	cr_assert(harness_await_reply(stream, errmsg, sizeof(errmsg)) == -EEXIST);
	cr_assert(strcmp(errmsg, "we have this namespace already") == 0, "%s", errmsg);
	harness_expect_end(stream);
	cr_assert(harness_refused(&harness) == 1);
	harness_close(&harness);
}

Test(broker, a_persistent_client_withdraws_its_socket_by_leaving)
{
	struct broker_harness harness;
	uint64_t ids[2];
	int streams[2], i;

	harness_open(&harness, OPTIONS(0));
	for (i = 0; i < 2; i++) {
		streams[i] = harness_offer(&harness, MNFQ_HANDOVER_KEEP, NULL);
		ids[i] = harness_attach(&harness);
		harness_answer(&harness, ids[i], 0, NULL);
		cr_assert(harness_await_reply(streams[i], NULL, 0) == 0);
	}
	cr_assert(ids[0] != ids[1]);
	close(streams[0]);
	harness_expect_detach(&harness, ids[0]);
	cr_assert(send(streams[1], "x", 1, MSG_NOSIGNAL) == 1);
	harness_expect_detach(&harness, ids[1]);
	harness_expect_end(streams[1]);
	harness_close(&harness);
}

Test(broker, a_persistent_client_sees_what_the_server_forgets)
{
	struct broker_harness harness;
	uint64_t id;
	int stream;

	harness_open(&harness, OPTIONS(0));
	stream = harness_offer(&harness, MNFQ_HANDOVER_KEEP, NULL);
	id = harness_attach(&harness);
	harness_answer(&harness, id, 0, NULL);
	cr_assert(harness_await_reply(stream, NULL, 0) == 0);
	harness_forget(&harness, id);
	harness_expect_end(stream);
	harness_forget(&harness, id);
	harness_answer(&harness, id, 0, NULL);
	get_through(&harness);
	harness_close(&harness);
}

/* ---- allowed users, other senders ---- */

Test(broker, only_allowed_users_are_let_in)
{
	const uint32_t others[] = { getuid() + 1, getuid() + 2 }, ours[] = { 4711, getuid() };
	char errmsg[256] = "";
	struct broker_harness harness;
	int stream;

	harness_open(&harness, OPTIONS(.allowed_uids = others, .allowed_count = 2));
	stream = harness_connect(&harness);
	cr_assert(wait_readable(
		stream)); /* the reply comes at once, and it may send all the same */
	cr_assert(harness_refused(&harness) == 1);
	harness_offer_on(stream, 0, NULL);
	cr_assert(harness_await_reply(stream, errmsg, sizeof(errmsg)) == -EACCES);
	cr_assert(strstr(errmsg, "--allow-uid"), "%s", errmsg);
	harness_expect_end(stream);
	cr_assert(harness_refused(&harness) == 1 && harness.notes == 1);
	harness_close(&harness);

	harness_open(&harness, OPTIONS(.allowed_uids = ours, .allowed_count = 2));
	get_through(&harness);
	harness_close(&harness);
}

static int offer_plain(struct broker_harness *harness)
{
	int stream = harness_connect(harness);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	cr_assert(send_descriptor(stream, fd) == 0);
	close(fd);
	return stream;
}

Test(broker, plain_ones_are_taken_if_that_is_wanted)
{
	struct broker_harness harness;
	int stream;

	harness_open(&harness, OPTIONS(.plain = true));
	stream = offer_plain(&harness);
	harness_answer(&harness, harness_attach(&harness), 0, NULL);
	harness_expect_end(stream);
	close(offer_plain(&harness)); /* as programs do that expect no reply */
	harness_answer(&harness, harness_attach(&harness), 0, NULL);
	cr_assert(harness_refused(&harness) == 0);
	harness_close(&harness);

	harness_open(&harness, OPTIONS(0));
	harness_expect_end(offer_plain(&harness));
	cr_assert(harness_refused(&harness) == 1);
	harness_close(&harness);
}

/* ---- hostile clients ---- */

/* 1024 are usual. */
static void allow_descriptors(unsigned int count)
{
	struct rlimit limit;

	cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	if (limit.rlim_cur >= count)
		return;
	limit.rlim_cur = count;
	if (limit.rlim_max < count)
		limit.rlim_max = count;
	cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0, "%s", strerror(errno));
}

Test(broker, clients_that_send_nothing_keep_no_other_out)
{
	struct broker_harness harness;
	unsigned int before;
	int streams[1100], i;

	allow_descriptors(2048);
	harness_open(&harness, OPTIONS(0));
	before = harness_descriptors(&harness);
	for (i = 0; i < 1100; i++) {
		streams[i] = harness_connect(&harness);
		if (i % 100 == 99)
			get_through(&harness);
	}
	cr_assert(harness_descriptors(&harness) <= before + 1024 + 16); /* and receivers */
	cr_assert(harness_await_reply(streams[0], NULL, 0) < 0);
	for (i = 1; i < 1100; i++)
		cr_assert(harness_await_reply(streams[i], NULL, 0) < 0);
	for (i = 0; i < 1100; i++)
		harness_expect_end(streams[i]);
	cr_assert(harness_refused(&harness) == 1100);
	cr_assert(wait_until(harness_descriptors(&harness) == before));
	harness_close(&harness);
}

static void limit_descriptors(const struct broker_harness *harness, unsigned int count)
{
	const struct rlimit limit = { count, count };

	cr_assert(prlimit(harness->broker, RLIMIT_NOFILE, &limit, NULL) == 0, "%s",
		  strerror(errno));
}

Test(broker, without_descriptors_those_that_sent_nothing_go_first)
{
	struct broker_harness harness;
	int streams[200], i;

	harness_open(&harness, OPTIONS(0));
	limit_descriptors(&harness, 32);
	for (i = 0; i < 200; i++)
		streams[i] = harness_connect(&harness);
	get_through(&harness);
	for (i = 0; i < 200; i++)
		close(streams[i]);
	get_through(&harness);
	harness_close(&harness);
}

/* The whole machine may have had none left for a moment, and there is no event when that is over. */
Test(broker, without_descriptors_it_tries_again)
{
	struct rlimit before, few;
	struct broker_harness harness;
	unsigned int open;
	int stream, late;

	harness_open(&harness, OPTIONS(0));
	open = harness_descriptors(&harness);
	stream = harness_connect(&harness);
	cr_assert(wait_until(harness_descriptors(&harness) == open + 1));
	cr_assert(prlimit(harness.broker, RLIMIT_NOFILE, NULL, &before) == 0);
	few = (struct rlimit){ 3, before.rlim_max };
	cr_assert(prlimit(harness.broker, RLIMIT_NOFILE, &few, NULL) == 0);
	late = harness_connect(
		&harness); /* for which the pending one goes, and there is none still */
	cr_assert(harness_await_reply(stream, NULL, 0) == -EBUSY);
	harness_expect_end(stream);
	cr_assert(mnfq_handover_wait(late, 0, NULL) == -EAGAIN);
	close(late);
	cr_assert(prlimit(harness.broker, RLIMIT_NOFILE, &before, NULL) == 0);
	get_through(&harness);
	harness_close(&harness);
}

/* Where persistent clients have them all, others wait until one leaves. */
Test(broker, without_descriptors_others_wait)
{
	struct broker_harness harness;
	uint64_t first = 0;
	int streams[64], i, n;

	harness_open(&harness, OPTIONS(0));
	n = 32 - (int)harness_descriptors(&harness);
	limit_descriptors(&harness, 32);
	for (i = 0; i < n + 1; i++)
		streams[i] = harness_offer(&harness, MNFQ_HANDOVER_KEEP, NULL);
	for (i = 0; i < n; i++) {
		uint64_t id = harness_attach(&harness);

		first = i == 0 ? id : first;
		harness_answer(&harness, id, 0, NULL);
		cr_assert(harness_await_reply(streams[i], NULL, 0) == 0);
	}
	cr_assert(mnfq_handover_wait(streams[n], 0, NULL) == -EAGAIN);
	close(streams[0]);
	harness_expect_detach(&harness, first);
	(void)harness_attach(&harness);
	for (i = 1; i < n + 1; i++)
		close(streams[i]);
	cr_assert(wait_until(harness_descriptors(&harness) == 32 - (unsigned int)n));
	harness_close(&harness);
}

/* Each is wrong in another way, or goes too early. */
static void be_bad(int stream, unsigned int kind, int netlink)
{
	static const char zeros[257];

	switch (kind % 8) {
	case 0:
		break; /* sends nothing, and leaves */
	case 1:
		hostile_send(stream, "x", 1, -1, 0);
		break;
	case 2:
		hostile_send(stream, zeros, 256, netlink, 1);
		break;
	case 3:
		hostile_send(stream, "MNFQ", 4, netlink, 2);
		break;
	case 4:
		hostile_send(stream, "MNFQ\x02", 5, netlink, 253);
		break;
	case 5:
		hostile_send(stream, zeros, 257, netlink, 1);
		break;
	case 6:
		hostile_send(stream, zeros, 256, stream, 1);
		break;
	case 7:
		hostile_send(stream, zeros, 100, STDERR_FILENO, 200);
		break;
	}
}

Test(broker, bad_messages_leave_nothing_behind)
{
	const unsigned int count = 100000;
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct broker_harness harness;
	unsigned int i, before;

	harness_open(&harness, OPTIONS(0));
	before = harness_descriptors(&harness);
	for (i = 0; i < count; i++) {
		int stream = harness_connect(&harness);

		be_bad(stream, i, netlink);
		close(stream);
		if (i % 10000 == 0)
			get_through(&harness);
	}
	cr_assert(wait_until(harness_refused(&harness) == count), "%u refused",
		  harness_refused(&harness));
	cr_assert(wait_until(harness_descriptors(&harness) == before), "%u descriptors, not %u",
		  harness_descriptors(&harness), before);
	get_through(&harness);
	harness_close(&harness);
	close(netlink);
}

Test(broker, clients_leave_at_each_stage)
{
	struct broker_harness harness;
	unsigned int before;
	uint64_t id;
	int stream;

	harness_open(&harness, OPTIONS(0));
	before = harness_descriptors(&harness);
	close(harness_connect(&harness));
	stream = harness_connect(&harness);
	be_bad(stream, 1, -1);
	close(stream);
	/* After sending: the socket is handed over for good. */
	close(harness_offer(&harness, 0, NULL));
	harness_answer(&harness, harness_attach(&harness), 0, NULL);
	/* A persistent one has withdrawn it, and the answer is late. */
	close(harness_offer(&harness, MNFQ_HANDOVER_KEEP, NULL));
	id = harness_attach(&harness);
	harness_expect_detach(&harness, id);
	harness_answer(&harness, id, 0, NULL);
	/* It is refused, and has left before the reply. */
	close(harness_offer(&harness, 0, NULL));
	id = harness_attach(&harness);
	(void)harness_refused(&harness);
	harness_answer(&harness, id, -EEXIST, "we have this namespace already");
	/* Half a leave. */
	stream = harness_offer(&harness, 0, NULL);
	id = harness_attach(&harness);
	cr_assert(shutdown(stream, SHUT_WR) == 0);
	(void)harness_refused(&harness); /* by now it has seen that */
	harness_answer(&harness, id, 0, NULL);
	cr_assert(harness_await_reply(stream, NULL, 0) == 0);
	harness_expect_end(stream);
	cr_assert(wait_until(harness_refused(&harness) == 3));
	cr_assert(wait_until(harness_descriptors(&harness) == before));
	harness_close(&harness);
}

/*
 * The kernel counts the descriptors that are on their way by user, and in the sandbox the broker may
 * not go beyond. They are not its own, so all it can do is wait.
 */
Test(broker, descriptors_on_their_way_elsewhere_only_delay)
{
	struct broker_harness harness;
	int ends[2], stream;

	if (geteuid() != 0)
		skip_or_fail("this needs root");
	harness_open(&harness, OPTIONS(0));
	limit_descriptors(&harness, 64);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	hostile_send(ends[0], "x", 1, STDERR_FILENO, 253);
	stream = harness_offer(&harness, 0, NULL);
	cr_assert(harness_refused(&harness) == 0, "%s", harness.note);
	close(ends[0]);
	close(ends[1]);
	harness_answer(&harness, harness_attach(&harness), 0, NULL);
	cr_assert(harness_await_reply(stream, NULL, 0) == 0);
	harness_expect_end(stream);
	harness_close(&harness);
}

/* ---- closing may mean waiting ---- */

/*
 * Closing the first one takes a minute, which is more than the test waits. The broker is stopped until all
 * are in flight, so that the last close of each is its own, or a receiver's.
 */
Test(broker, sockets_that_linger_stop_no_other)
{
	struct netns *ns = netns_new();
	struct broker_harness harness;
	int readers[20], streams[20], writers[20], i;

	for (i = 0; i < 20; i++)
		writers[i] = hostile_linger(ns, &readers[i]);
	harness_open(&harness, OPTIONS(0));
	cr_assert(kill(harness.broker, SIGSTOP) == 0);
	for (i = 0; i < 20; i++) {
		streams[i] = harness_connect_as(&harness, 12345);
		hostile_send(streams[i], "MNFQ", 4, writers[i], 1);
		close(writers[i]);
	}
	cr_assert(kill(harness.broker, SIGCONT) == 0);
	get_through(&harness);
	for (i = 0; i < 20; i++) {
		close(streams[i]);
		close(readers[i]);
	}
	netns_free(ns);
	get_through(&harness);
	cr_assert(wait_until(count_children(harness.broker, "mnfq-receiver") == 0));
	close(harness.ipc);
	cr_assert(wait_until(waitpid(harness.keeper, NULL, WNOHANG) == harness.keeper));
}

#define FILES_MAX 40

struct files {
	const struct fuse *fuse;
	unsigned int count;
	int streams[FILES_MAX];
};

/* In a process of its own, since it cannot close them, either. */
static int send_files(int stream, void *arg)
{
	const struct files *files = arg;
	char byte;

	for (unsigned int i = 0; i < files->count; i++)
		hostile_send(files->streams[i], "MNFQ", 4, fuse_open(files->fuse), 1);
	return write(stream, "", 1) != 1 || read(stream, &byte, 1) != 0;
}

static unsigned int count_stuck(const struct broker_harness *harness)
{
	return count_children(harness->broker, "mnfq-receiver");
}

/* A file of FUSE is worse: no signal ends the wait, so that a process that closes one is lost. */
Test(broker, files_that_cannot_be_closed_stop_no_other)
{
	struct files files;
	struct broker_harness harness;
	struct child child;
	struct fuse fuse;
	int i;

	if (geteuid() != 0)
		skip_or_fail("this needs root");
	fuse_start(&fuse);
	harness_open(&harness, OPTIONS(0));
	files = (struct files){ .fuse = &fuse, .count = 40 };
	for (i = 0; i < 40; i++)
		files.streams[i] = harness_connect_as(&harness, 12345);
	child = child_start(send_files, &files);
	child_await(&child);
	for (i = 0; i < 10; i++)
		get_through(&harness);
	cr_assert(wait_until(count_stuck(&harness) >= 2));
	for (i = 0; i < 40; i++) {
		cr_assert(harness_await_reply(files.streams[i], NULL, 0) < 0);
		close(files.streams[i]);
	}
	/* What they sent was refused, and at most two receivers do not end. */
	cr_assert(wait_until(count_stuck(&harness) == 2), "%u are left", count_stuck(&harness));
	get_through(&harness);
	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&child), 0);
	cr_assert(wait_until(count_stuck(&harness) == 0), "%u are left", count_stuck(&harness));
	get_through(&harness);
	close(harness.ipc);
	cr_assert(wait_until(waitpid(harness.keeper, NULL, WNOHANG) == harness.keeper));
}

#define BATCHES 7
#define BATCH   8 /* of four users; many in flight would reach the limits of other tests */

/* All of them hang, two receivers a user. */
static struct child hand_batch_over(struct broker_harness *harness, struct files *files,
				    unsigned int batch)
{
	struct child child;
	unsigned int i;

	files->count = BATCH;
	for (i = 0; i < BATCH; i++)
		files->streams[i] = harness_connect_as(harness, 20000 + (batch * BATCH + i) / 2);
	child = child_start(send_files, files);
	child_await(&child);
	for (i = 0; i < BATCH; i++) {
		cr_assert(harness_await_reply(files->streams[i], NULL, 0) < 0);
		close(files->streams[i]);
	}
	get_through(harness); /* with all that the broker sent meanwhile */
	return child;
}

/* What is left is for root, and for the user who runs the broker. */
Test(broker, many_users_together_leave_receivers_for_root)
{
	struct child children[BATCHES];
	struct broker_harness harness;
	char errmsg[256] = "";
	struct files files;
	struct fuse fuse;
	int i, stream;

	if (geteuid() != 0)
		skip_or_fail("this needs root");
	fuse_start(&fuse);
	harness_open(&harness, OPTIONS(0));
	files.fuse = &fuse;
	for (i = 0; i < BATCHES; i++)
		children[i] = hand_batch_over(&harness, &files, (unsigned int)i);
	cr_assert(wait_until(count_stuck(&harness) == BATCHES * BATCH), "%u",
		  count_stuck(&harness));
	stream = harness_connect_as(&harness, 12345);
	hostile_send(stream, "x", 1, -1, 0);
	cr_assert_eq(harness_await_reply(stream, errmsg, sizeof(errmsg)), -EBUSY, "%s", errmsg);
	cr_assert(strstr(errmsg, "other users"), "%s", errmsg);
	close(stream);
	get_through(&harness);
	fuse_stop(&fuse);
	for (i = BATCHES - 1; i >= 0; i--) /* each has our ends of those before it */
		cr_assert_eq(child_finish(&children[i]), 0);
	cr_assert(wait_until(count_stuck(&harness) == 0), "%u are left", count_stuck(&harness));
	close(harness.ipc);
	cr_assert(wait_until(waitpid(harness.keeper, NULL, WNOHANG) == harness.keeper));
}

/* As one that was taken over and ignores its alarm: a signal does not end it while it is stopped. */
Test(broker, a_receiver_that_ignores_its_alarm_is_killed)
{
	struct broker_harness harness;
	int reader, stream, writer;
	struct netns *ns;
	pid_t receiver;

	if (geteuid() != 0)
		skip_or_fail("this needs root");
	harness_open(&harness, OPTIONS(.receive_ms = 2000));
	ns = netns_new();
	writer = hostile_linger(ns, &reader);
	stream = harness_connect_as(&harness, 12345);
	hostile_send(stream, "MNFQ", 4, writer, 1);
	close(writer);
	receiver = child_await_named(harness.broker, "mnfq-receiver");
	cr_assert(kill(receiver, SIGSTOP) == 0);
	cr_assert(harness_await_reply(stream, NULL, 0) == -ETIME);
	cr_assert(wait_until(count_stuck(&harness) == 0), "it is still there");
	close(stream);
	close(reader);
	netns_free(ns);
	close(harness.ipc);
	cr_assert(wait_until(waitpid(harness.keeper, NULL, WNOHANG) == harness.keeper));
}

/* ---- the broker hangs ---- */

static void replaced_after(int signal)
{
	struct broker_harness harness;
	int stream;

	harness_open(&harness, OPTIONS(0));
	stream = harness_offer(&harness, MNFQ_HANDOVER_KEEP, NULL);
	harness_answer(&harness, harness_attach(&harness), 0, NULL);
	cr_assert(harness_await_reply(stream, NULL, 0) == 0);
	cr_assert(kill(harness.broker, signal) == 0);
	harness_expect_restart(&harness);
	harness_expect_end(stream);
	get_through(&harness);
	harness_close(&harness);
}

Test(broker, one_that_is_killed_is_replaced)
{
	replaced_after(SIGKILL);
}

Test(broker, one_that_hangs_is_replaced)
{
	replaced_after(SIGSTOP);
}

/* What a receiver of the one before passed on meanwhile, so that its client does not know. */
Test(broker, another_one_withdraws_what_it_does_not_know)
{
	struct broker_harness harness;
	uint64_t id;
	int stream;

	harness_open(&harness, OPTIONS(0));
	stream = harness_offer(&harness, 0, NULL);
	id = harness_attach(&harness);
	cr_assert(kill(harness.broker, SIGKILL) == 0);
	harness_expect_restart(&harness);
	harness_answer(&harness, id, 0, NULL);
	harness_expect_detach(&harness, id);
	harness_expect_end(stream);
	harness_close(&harness);
}

/* Rather none than one that fails again and again. */
Test(broker, one_that_fails_too_often_is_not_replaced)
{
	struct ipc_msg message;
	struct broker_harness harness;
	int fd, status;

	harness_open(&harness, OPTIONS(0));
	for (int i = 0; i < 5; i++) {
		cr_assert(kill(harness.broker, SIGKILL) == 0);
		harness_expect_restart(&harness);
	}
	cr_assert(kill(harness.broker, SIGKILL) == 0);
	cr_assert(wait_readable(harness.ipc) && ipc_receive(harness.ipc, &message, &fd) == 1);
	cr_assert(message.type == IPC_NOTE && message.error < 0, "%s", message.text);
	cr_assert(wait_until(waitpid(harness.keeper, &status, WNOHANG) == harness.keeper));
	cr_assert(status != 0);
	close(harness.ipc);
}

/* ---- the server ---- */

Test(broker, a_client_without_an_answer_gets_a_reply)
{
	char errmsg[256] = "";
	struct broker_harness harness;
	uint64_t id;
	int stream;

	harness_open(&harness, OPTIONS(.answer_ms = 50));
	stream = harness_offer(&harness, 0, NULL);
	id = harness_attach(&harness);
	cr_assert(harness_await_reply(stream, errmsg, sizeof(errmsg)) == -ETIME);
	cr_assert(strstr(errmsg, "did not answer"), "%s", errmsg);
	harness_expect_end(stream);
	harness_expect_detach(&harness, id);
	cr_assert(harness_refused(&harness) == 1);
	harness_close(&harness);
}

/* More than the socket takes: nothing is lost, none is refused, and others are not accepted meanwhile. */
Test(broker, a_server_that_is_late_gets_them_all)
{
	struct broker_harness harness;
	unsigned int before;
	int streams[600], i;

	harness_open(&harness, OPTIONS(0));
	before = harness_descriptors(&harness);
	for (i = 0; i < 600; i++)
		streams[i] = harness_offer(&harness, 0, NULL);
	cr_assert(harness_descriptors(&harness) < before + 600);
	for (i = 0; i < 600; i++)
		harness_answer(&harness, harness_attach(&harness), 0, NULL);
	for (i = 0; i < 600; i++) {
		cr_assert(harness_await_reply(streams[i], NULL, 0) == 0);
		harness_expect_end(streams[i]);
	}
	cr_assert(harness_refused(&harness) == 0);
	harness_close(&harness);
}

/* Counts the broker's messages: ids are attached first, and end once. */
static void follow(struct broker_harness *harness, uint8_t *state, int *attached)
{
	struct ipc_msg message;
	int fd;

	while (ipc_receive(harness->ipc, &message, &fd) == 1) {
		uint8_t *its = &state[message.id & 0xffff];

		if (fd >= 0)
			close(fd);
		cr_assert(message.type == IPC_ATTACH ? *its == 0 : *its == 1, "id 0x%" PRIx64,
			  message.id);
		*attached += message.type == IPC_ATTACH ? 1 : -1;
		++*its;
	}
}

/* Whether the server had them already or not, all are withdrawn. */
Test(broker, what_is_withdrawn_while_the_server_is_late_does_not_stay)
{
	static uint8_t state[0x10000];
	struct broker_harness harness;
	unsigned int before;
	int streams[600], i, attached = 0;

	harness_open(&harness, OPTIONS(0));
	before = harness_descriptors(&harness);
	for (i = 0; i < 600; i++)
		streams[i] = harness_offer(&harness, MNFQ_HANDOVER_KEEP, NULL);
	for (i = 0; i < 50; i++, attached++)
		state[harness_attach(&harness) & 0xffff] = 1;
	for (i = 0; i < 600; i++)
		close(streams[i]);
	cr_assert(wait_until((follow(&harness, state, &attached), attached == 0) &&
			     harness_descriptors(&harness) == before),
		  "%d too many", attached);
	harness_close(&harness); /* some may still wait to be accepted */
}

Test(broker, a_signal_for_the_whole_group_is_not_for_it)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGALRM };
	struct broker_harness harness;

	harness_open(&harness, OPTIONS(0));
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		cr_assert(kill(harness.broker, signals[i]) == 0 &&
			  kill(harness.keeper, signals[i]) == 0);
	get_through(&harness);
	harness_close(&harness);
}

Test(broker, it_holds_no_descriptor_of_others)
{
	struct broker_harness harness;
	int ends[2];
	char byte;

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	harness_open(&harness, OPTIONS(0));
	close(ends[1]);
	cr_assert(wait_readable(ends[0]), "the broker has the other end");
	cr_assert(read(ends[0], &byte, 1) == 0);
	ends[1] = dup(ends[0]); /* as open as it was */
	harness_close(&harness);
	close(ends[0]);
	close(ends[1]);
}

/* The IPC socket stays open in the test, so it is the parent's end that ends it. */
static int start_and_hang(int stream, void *arg)
{
	char error[256];
	pid_t pid;
	int ipc = broker_start(&OPTIONS(0), &pid, error, sizeof(error));

	(void)arg;
	if (ipc < 0 || send_descriptor(stream, ipc) < 0 ||
	    write(stream, &pid, sizeof(pid)) != sizeof(pid))
		return 1;
	return pause();
}

Test(broker, it_does_not_outlive_its_parent)
{
	struct child child = child_start(start_and_hang, NULL);
	struct broker_harness harness = { .ipc = receive_descriptor(child.fd) };

	cr_assert(harness.ipc >= 0);
	cr_assert(read(child.fd, &harness.keeper, sizeof(harness.keeper)) ==
		  sizeof(harness.keeper));
	cr_assert(harness_refused(&harness) == 0);
	harness.broker = child_await_named(harness.keeper, "mnfq-broker");
	child_kill(&child);
	cr_assert(wait_until(kill(harness.broker, 0) < 0), "the broker is still there");
	cr_assert(wait_until(kill(harness.keeper, 0) < 0), "its keeper is still there");
	close(harness.ipc);
}
