/* SPDX-License-Identifier: MIT */
/* mnfq share --listen with peers that send what they like, and many of them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "hostile.h"
#include "share-peer.h"
#include "wait.h"

TestSuite(share_hostile, .init = share_setup, .fini = share_teardown, .timeout = 300);

static void start_listening(void)
{
	tool_start(&tool, netns_new(), -1, "share --listen %s 2>/dev/null", path);
	cr_assert(wait_until(access(path, F_OK) == 0));
}

/* It serves as before, and ends when it is told to. */
static void stop_listening(void)
{
	int stream;

	cr_assert(wait_until((stream = try_call()) >= 0));
	take_and_leave(stream);
	expect_hang_up(stream);
	kill(tool.pid, SIGTERM);
	cr_assert_eq(tool_finish(&tool), 0);
	cr_assert(access(path, F_OK) < 0);
}

/* ---- what they send --------------------------------------------------------------------- */

static void send_garbage(int stream, unsigned int kind)
{
	char bytes[1024];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 + kind);
	if (kind % 3 == 0) /* as an answer begins */
		memcpy(bytes, "MNFQ", 4);
	(void)send(stream, bytes, kind % sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (kind % 5 == 0)
		(void)send_descriptor(stream, stream);
	if (kind % 7 == 0)
		(void)shutdown(stream, SHUT_WR);
}

#define PEERS 1000

/*
 * All at once. Some leave, with or without what they were given, others take it and do not answer. Few do not
 * read at all: what lies in their buffers counts against the limit of all programs of this user.
 */
Test(share_hostile, a_thousand_peers_who_send_garbage)
{
	struct rlimit limit;
	int streams[PEERS];

	cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	start_listening();
	for (unsigned int i = 0; i < PEERS; i++) {
		cr_assert(wait_until((streams[i] = try_call()) >= 0));
		send_garbage(streams[i], i);
		if (i % 2) {
			close(streams[i]);
			streams[i] = -1;
		} else if (i % 20) {
			close(receive_descriptor(streams[i]));
		}
	}
	stop_listening();
	for (unsigned int i = 0; i < PEERS; i++)
		if (streams[i] >= 0)
			close(streams[i]);
}

/* Newer than some C libraries; numbered like this where the others are. */
#if !defined(SO_PASSRIGHTS) && SO_PASSCRED == 16
#define SO_PASSRIGHTS 83
#endif

static bool descriptors_can_be_refused(void)
{
#ifdef SO_PASSRIGHTS
	const int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), no = 0;
	const int err = setsockopt(stream, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));

	close(stream);
	return err == 0;
#else
	return false;
#endif
}

/* Clients have no descriptors to send, and closing them would take as long as the peer likes. */
Test(share_hostile, descriptors_that_peers_send_delay_nobody)
{
	struct netns *ns = netns_new();
	int reader, writer, stream;

	if (!descriptors_can_be_refused())
		cr_skip_test("this kernel is older than 6.16");
	writer = hostile_linger(ns, &reader);
	start_listening();
	stream = call();
	if (send_descriptor(stream, writer) < 0) /* refused: it is ours to close */
		close(reader);
	close(writer);
	close(stream);
	stop_listening();
}
