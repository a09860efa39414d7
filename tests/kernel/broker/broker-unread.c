/* SPDX-License-Identifier: MIT */
/* Descriptors from a user who is not allowed: they are not received, and closing them delays no other client. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker-harness.h"
#include "fuse.h"
#include "hostile.h"

TestSuite(broker_unread, .timeout = 300);

#define ATTACKER 12345
#define STREAMS  150 /* more than all receivers together take */

static const uint32_t allowed[] = { 0 };

/* Who is allowed is served, and the broker is the same. */
static void expect_served(struct broker_harness *harness)
{
	int stream = harness_offer(harness, 0, NULL);
	uint64_t id = harness_attach(harness); /* and not IPC_RESTART */

	harness_answer(harness, id, 0, "");
	cr_assert_eq(harness_await_reply(stream, NULL, 0), 0);
	harness_expect_end(stream);
}

static void finish(struct broker_harness *harness)
{
	expect_served(harness);
	cr_assert(wait_until(count_children(harness->broker, "mnfq-receiver") == 0));
	expect_served(harness);
	harness_close(harness);
}

/* The attacker's. They are closed once all is sent: only the broker can still close what is in there. */
static int streams[STREAMS];

static void connect_all(const struct broker_harness *harness)
{
	for (int i = 0; i < STREAMS; i++)
		streams[i] = harness_connect_as(harness, ATTACKER);
}

static void close_all(void)
{
	for (int i = 0; i < STREAMS; i++)
		close(streams[i]);
}

/* A process of its own, since it cannot close them. */
static int send_files(int stream, void *arg)
{
	const struct fuse *fuse = arg;
	char byte;

	for (int i = 0; i < STREAMS; i++)
		if (send_descriptor(streams[i], fuse_open(fuse)) < 0)
			return 1;
	close_all();
	return write(stream, "", 1) != 1 || read(stream, &byte, 1) != 0;
}

Test(broker_unread, files_that_cannot_be_closed_stall_nobody)
{
	struct broker_harness harness;
	struct child child;
	struct fuse fuse;

	netns_require();
	harness_open(&harness,
		     (struct broker_options){ .allowed_uids = allowed, .allowed_count = 1 });
	fuse_start(&fuse);
	cr_assert(kill(harness.broker, SIGSTOP) == 0);
	connect_all(&harness);
	child = child_start(send_files, &fuse);
	child_await(&child);
	close_all();
	cr_assert(kill(harness.broker, SIGCONT) == 0);
	for (int i = 0; i < 10; i++)
		expect_served(&harness);
	/* The kernel does not wait for its file system unless a process has received the file. */
	cr_assert(wait_until(count_children(harness.broker, "mnfq-receiver") == 0));
	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&child), 0);
	finish(&harness);
}

Test(broker_unread, sockets_that_linger_stall_nobody)
{
	struct netns *ns = netns_new();
	int readers[STREAMS], writer;
	struct broker_harness harness;

	harness_open(&harness,
		     (struct broker_options){ .allowed_uids = allowed, .allowed_count = 1 });
	cr_assert(kill(harness.broker, SIGSTOP) == 0);
	connect_all(&harness);
	for (int i = 0; i < STREAMS; i++) {
		writer = hostile_linger(ns, &readers[i]);
		cr_assert_eq(send_descriptor(streams[i], writer), 0);
		close(writer);
	}
	close_all();
	cr_assert(kill(harness.broker, SIGCONT) == 0);
	for (int i = 0; i < 10; i++)
		expect_served(&harness);
	for (int i = 0; i < STREAMS; i++)
		close(readers[i]);
	finish(&harness);
}
