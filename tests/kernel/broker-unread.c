/* SPDX-License-Identifier: MIT */
/* Descriptors that a user sends who is not allowed to: nobody receives them, and closing them stalls nobody. */
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

#include "doorway.h"
#include "fuse.h"

TestSuite(broker_unread, .timeout = 300);

#define ATTACKER 12345
#define STREAMS  150 /* more than all receivers together take */

static const uint32_t allowed[] = { 0 };

/* Who is allowed is served, and the broker is the same. */
static void expect_served(struct doorway *door)
{
	int stream = doorway_offer(door, 0, NULL);
	uint32_t id = doorway_attach(door); /* and not IPC_RESTART */

	doorway_tell(door, id, 0, NULL);
	cr_assert_eq(doorway_answer(stream, NULL, 0), 0);
	doorway_expect_end(stream);
}

static void finish(struct doorway *door)
{
	expect_served(door);
	cr_assert(wait_until(count_children(door->broker, "mnfq-receiver") == 0));
	expect_served(door);
	doorway_close(door);
}

/* The attacker's. They are closed once all is sent: only the broker can still close what is in there. */
static int streams[STREAMS];

static void connect_all(const struct doorway *door)
{
	for (int i = 0; i < STREAMS; i++)
		streams[i] = doorway_connect_as(door, ATTACKER);
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
	struct doorway door;
	struct child child;
	struct fuse fuse;

	netns_require();
	doorway_open(&door,
		     (struct broker_options){ .allowed_uids = allowed, .allowed_count = 1 });
	fuse_start(&fuse);
	cr_assert(kill(door.broker, SIGSTOP) == 0);
	connect_all(&door);
	child = child_start(send_files, &fuse);
	child_await(&child);
	close_all();
	cr_assert(kill(door.broker, SIGCONT) == 0);
	for (int i = 0; i < 10; i++)
		expect_served(&door);
	/* The kernel does not wait for its file system unless a process has received the file. */
	cr_assert(wait_until(count_children(door.broker, "mnfq-receiver") == 0));
	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&child), 0);
	finish(&door);
}

/* A TCP socket whose close() waits for a minute, since its peer does not read. */
static int make_lingering(struct netns *ns, int *reader)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = netns_socket(ns, AF_INET, SOCK_STREAM, 0);
	int writer = netns_socket(ns, AF_INET, SOCK_STREAM, 0);
	static char data[65536];

	cr_assert(bind(listener, (struct sockaddr *)&address, len) == 0);
	cr_assert(listen(listener, 1) == 0);
	cr_assert(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
	cr_assert(connect(writer, (struct sockaddr *)&address, len) == 0);
	*reader = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert(*reader >= 0);
	close(listener);
	while (send(writer, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	cr_assert(setsockopt(writer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	return writer;
}

Test(broker_unread, sockets_that_linger_stall_nobody)
{
	struct netns *ns = netns_new();
	int readers[STREAMS], writer;
	struct doorway door;

	doorway_open(&door,
		     (struct broker_options){ .allowed_uids = allowed, .allowed_count = 1 });
	cr_assert(kill(door.broker, SIGSTOP) == 0);
	connect_all(&door);
	for (int i = 0; i < STREAMS; i++) {
		writer = make_lingering(ns, &readers[i]);
		cr_assert_eq(send_descriptor(streams[i], writer), 0);
		close(writer);
	}
	close_all();
	cr_assert(kill(door.broker, SIGCONT) == 0);
	for (int i = 0; i < 10; i++)
		expect_served(&door);
	for (int i = 0; i < STREAMS; i++)
		close(readers[i]);
	finish(&door);
}
