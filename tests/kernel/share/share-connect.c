/* SPDX-License-Identifier: MIT */
/* mnfq share --connect: a socket is offered to monitors that come and go. */
#include <criterion/criterion.h>
#include <errno.h>
#include <mnfq/handover.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "share-peer.h"

TestSuite(share_connect, .init = share_setup, .fini = share_teardown, .timeout = 300);

static void start_calling(struct netns *ns, const char *options)
{
	tool_start(&tool, ns, -1, "share --connect %s %s", path, options);
}

static void expect_waiting(void)
{
	expect_contains(tool_err(&tool), "waiting for a receiver at ");
}

static void expect_taken(void)
{
	char line[64];

	snprintf(line, sizeof(line), "socket taken by pid %d, uid 0", (int)getpid());
	cr_assert_str_eq(tool_err(&tool), line);
}

QueueTest(share_connect, offers_a_socket_and_ends)
{
	int listener, stream;

	listener = open_listener();
	start_calling(fixture.ns, "--label Küche");
	stream = await_caller(listener);
	take_socket(stream);
	cr_assert_str_eq(info.label, "Küche");
	cr_assert(info.flags == 0 && info.uid == 0 && info.pid == (uint32_t)tool.pid);
	expect_taken();
	cr_assert_eq(tool_finish(&tool), 0);
	close(stream);
	close(listener);
	fixture_pass(0, 2);
}

Test(share_connect, waits_for_a_monitor)
{
	int listener, stream;

	start_calling(netns_new(), "--timeout 1000");
	expect_waiting();
	listener = open_listener();
	stream = await_caller(listener);
	close(stream); /* without a word */
	close(listener);
	listener = open_listener();
	stream = await_caller(listener);
	take_and_leave(stream);
	expect_taken();
	cr_assert_eq(tool_finish(&tool), 0);
	close(stream);
	close(listener);
}

Test(share_connect, waits_no_longer_than_its_timeout)
{
	int listener, stream;

	start_calling(netns_new(), "--timeout 1");
	expect_waiting();
	expect_failure(1, "took the socket within 1 s");
	listener = open_listener();
	start_calling(netns_new(), "--timeout 1");
	stream = await_caller(listener); /* and say nothing */
	expect_failure(1, "took the socket within 1 s");
	close(stream);
	close(listener);
}

Test(share_connect, a_refusal_is_final)
{
	int listener = open_listener(), stream;

	start_calling(netns_new(), "");
	stream = await_caller(listener);
	cr_assert(wait_readable(stream));
	cr_assert(mnfq_handover_answer(stream, NULL, -EACCES, "user 0 may not") == 0);
	close(stream); /* with its offer unread */
	expect_failure(1, "refused the socket: user 0 may not");
	start_calling(netns_new(), "--keep");
	stream = await_caller(listener);
	close(receive_socket(stream));
	cr_assert(mnfq_handover_answer(stream, &info, -EBUSY, "queue 1 is owned") == 0);
	expect_failure(1, "refused the socket: queue 1 is owned");
	close(stream);
	close(listener);
}

Test(share_connect, a_signal_ends_the_waiting)
{
	start_calling(netns_new(), "");
	expect_waiting();
	kill(tool.pid, SIGTERM);
	expect_failure(1, "interrupted before the socket was taken");
	start_calling(netns_new(), "--keep");
	expect_waiting();
	kill(tool.pid, SIGTERM);
	cr_assert_eq(tool_finish(&tool), 0);
}

QueueTest(share_connect, stays_for_monitors_that_come_back)
{
	int listener, stream;

	listener = open_listener();
	start_calling(fixture.ns, "--keep");
	stream = await_caller(listener);
	take_socket(stream);
	cr_assert_eq(info.flags, MNFQ_HANDOVER_KEEP);
	expect_taken();
	fixture_pass(0, 2);

	/* The monitor is killed, and with it goes the queue: the sharer has no copy. */
	close(mnfq_socket_get_fd(fixture.sock));
	cr_assert(!netns_get_queue(fixture.ns, 1, &(struct netns_queue){ 0 }));
	fixture.sock = mnfq_socket_close(fixture.sock);
	close(listener);
	unlink(path);
	close(stream);
	expect_waiting();

	listener = open_listener();
	stream = await_caller(listener);
	take_socket(stream);
	expect_taken();
	fixture_pass(2, 2);
	kill(tool.pid, SIGTERM);
	expect_hang_up(stream); /* it is withdrawn */
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 0);
	close(listener);
	fixture.elsewhere = 2; /* by the first monitor */
}

/* Also if it has no chance to say so. */
Test(share_connect, a_persistent_socket_is_withdrawn_if_it_is_killed)
{
	int listener = open_listener(), stream;

	start_calling(netns_new(), "--keep");
	stream = await_caller(listener);
	take_and_leave(stream);
	expect_taken();
	kill(tool.pid, SIGKILL);
	expect_hang_up(stream);
	cr_assert_eq(tool_finish(&tool), -SIGKILL);
	close(listener);
}
