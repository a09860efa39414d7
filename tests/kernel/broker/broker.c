/* SPDX-License-Identifier: MIT */
/* The broker and its peers: honest ones are let in, whatever the others do. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
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

#include "doorway.h"
#include "fuse.h"

#define OPTIONS(...) ((struct broker_options){ __VA_ARGS__ })

/* ---- honest ones ---- */

/*
 * Somebody hands a socket over, and gets to hear that it was taken. What somebody else may have handed
 * over is taken back meanwhile.
 */
static void get_through(struct doorway *door)
{
	int fd, stream = doorway_offer(door, 0, NULL);
	struct ipc_msg message;
	char sentence[256] = "";

	while ((message = doorway_receive_any(door, &fd)).type == IPC_DETACH)
		;
	cr_assert(message.type == IPC_ATTACH, "type %u", message.type);
	close(fd);
	doorway_tell(door, message.id, 0, NULL);
	cr_assert(doorway_answer(stream, sentence, sizeof(sentence)) == 0, "%s", sentence);
	doorway_expect_end(stream);
}

Test(broker, what_is_known_of_a_socket_comes_along)
{
	struct ipc_msg message;
	struct doorway door;
	int fd, stream;

	doorway_open(&door, OPTIONS(0));
	stream = doorway_offer(&door, MNFQ_HANDOVER_KEEP, "blue");
	message = doorway_receive(&door, &fd);
	check_netfilter(fd);
	cr_assert(message.type == IPC_ATTACH && message.id & IPC_BROKER_ID);
	cr_assert(strcmp(message.label, "blue") == 0 && message.flags == MNFQ_HANDOVER_KEEP);
	cr_assert(message.uid == getuid() && message.pid == (uint32_t)getpid());
	close(fd);
	close(stream);
	doorway_expect_detach(&door, message.id);
	doorway_close(&door);
}

Test(broker, the_answer_is_relayed)
{
	char sentence[256] = "";
	struct doorway door;
	int stream;

	doorway_open(&door, OPTIONS(0));
	get_through(&door);
	stream = doorway_offer(&door, 0, NULL);
	doorway_tell(&door, doorway_attach(&door), -EEXIST, "we have this namespace already");
	cr_assert(doorway_answer(stream, sentence, sizeof(sentence)) == -EEXIST);
	cr_assert(strcmp(sentence, "we have this namespace already") == 0, "%s", sentence);
	doorway_expect_end(stream);
	cr_assert(doorway_refused(&door) == 1);
	doorway_close(&door);
}

Test(broker, who_stays_withdraws_its_socket_by_leaving)
{
	struct doorway door;
	uint32_t ids[2];
	int streams[2], i;

	doorway_open(&door, OPTIONS(0));
	for (i = 0; i < 2; i++) {
		streams[i] = doorway_offer(&door, MNFQ_HANDOVER_KEEP, NULL);
		ids[i] = doorway_attach(&door);
		doorway_tell(&door, ids[i], 0, NULL);
		cr_assert(doorway_answer(streams[i], NULL, 0) == 0);
	}
	cr_assert(ids[0] != ids[1]);
	close(streams[0]);
	doorway_expect_detach(&door, ids[0]);
	cr_assert(send(streams[1], "x", 1, MSG_NOSIGNAL) == 1);
	doorway_expect_detach(&door, ids[1]);
	doorway_expect_end(streams[1]);
	doorway_close(&door);
}

Test(broker, what_the_server_forgets_is_told_to_who_stayed)
{
	struct doorway door;
	uint32_t id;
	int stream;

	doorway_open(&door, OPTIONS(0));
	stream = doorway_offer(&door, MNFQ_HANDOVER_KEEP, NULL);
	id = doorway_attach(&door);
	doorway_tell(&door, id, 0, NULL);
	cr_assert(doorway_answer(stream, NULL, 0) == 0);
	doorway_send(&door, IPC_FORGET, id, 0);
	doorway_expect_end(stream);
	doorway_send(&door, IPC_FORGET, id, 0);
	doorway_tell(&door, id, 0, NULL);
	get_through(&door);
	doorway_close(&door);
}

/* ---- who may ---- */

Test(broker, only_allowed_users_are_let_in)
{
	const uint32_t others[] = { getuid() + 1, getuid() + 2 }, ours[] = { 4711, getuid() };
	char sentence[256] = "";
	struct doorway door;
	int stream;

	doorway_open(&door, OPTIONS(.allowed_uids = others, .allowed_count = 2));
	stream = doorway_connect(&door);
	cr_assert(wait_readable(stream)); /* it is told at once, and may send all the same */
	cr_assert(doorway_refused(&door) == 1);
	doorway_offer_on(stream, 0, NULL);
	cr_assert(doorway_answer(stream, sentence, sizeof(sentence)) == -EACCES);
	cr_assert(strstr(sentence, "--allow-uid"), "%s", sentence);
	doorway_expect_end(stream);
	cr_assert(doorway_refused(&door) == 1 && door.notes == 1);
	doorway_close(&door);

	doorway_open(&door, OPTIONS(.allowed_uids = ours, .allowed_count = 2));
	get_through(&door);
	doorway_close(&door);
}

static int offer_plain(struct doorway *door)
{
	int stream = doorway_connect(door);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	cr_assert(send_descriptor(stream, fd) == 0);
	close(fd);
	return stream;
}

Test(broker, plain_ones_are_taken_if_that_is_wanted)
{
	struct doorway door;
	int stream;

	doorway_open(&door, OPTIONS(.plain = true));
	stream = offer_plain(&door);
	doorway_tell(&door, doorway_attach(&door), 0, NULL);
	doorway_expect_end(stream);
	close(offer_plain(&door)); /* as programs do that expect no answer */
	doorway_tell(&door, doorway_attach(&door), 0, NULL);
	cr_assert(doorway_refused(&door) == 0);
	doorway_close(&door);

	doorway_open(&door, OPTIONS(0));
	doorway_expect_end(offer_plain(&door));
	cr_assert(doorway_refused(&door) == 1);
	doorway_close(&door);
}

/* ---- strangers ---- */

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

Test(broker, the_silent_keep_nobody_out)
{
	struct doorway door;
	unsigned int before;
	int streams[1100], i;

	allow_descriptors(2048);
	doorway_open(&door, OPTIONS(0));
	before = doorway_descriptors(&door);
	for (i = 0; i < 1100; i++) {
		streams[i] = doorway_connect(&door);
		if (i % 100 == 99)
			get_through(&door);
	}
	cr_assert(doorway_descriptors(&door) <= before + 1024 + 16); /* and receivers */
	cr_assert(doorway_answer(streams[0], NULL, 0) < 0);
	for (i = 1; i < 1100; i++)
		cr_assert(doorway_answer(streams[i], NULL, 0) < 0);
	for (i = 0; i < 1100; i++)
		doorway_expect_end(streams[i]);
	cr_assert(doorway_refused(&door) == 1100);
	cr_assert(wait_until(doorway_descriptors(&door) == before));
	doorway_close(&door);
}

static void limit_descriptors(const struct doorway *door, unsigned int count)
{
	const struct rlimit limit = { count, count };

	cr_assert(prlimit(door->broker, RLIMIT_NOFILE, &limit, NULL) == 0, "%s", strerror(errno));
}

Test(broker, without_descriptors_the_silent_go_first)
{
	struct doorway door;
	int streams[200], i;

	doorway_open(&door, OPTIONS(0));
	limit_descriptors(&door, 32);
	for (i = 0; i < 200; i++)
		streams[i] = doorway_connect(&door);
	get_through(&door);
	for (i = 0; i < 200; i++)
		close(streams[i]);
	get_through(&door);
	doorway_close(&door);
}

/* The whole machine may have had none left for a moment, and nothing tells when that is over. */
Test(broker, without_descriptors_it_tries_again)
{
	struct rlimit before, few;
	struct doorway door;
	unsigned int open;
	int stream, late;

	doorway_open(&door, OPTIONS(0));
	open = doorway_descriptors(&door);
	stream = doorway_connect(&door);
	cr_assert(wait_until(doorway_descriptors(&door) == open + 1));
	cr_assert(prlimit(door.broker, RLIMIT_NOFILE, NULL, &before) == 0);
	few = (struct rlimit){ 3, before.rlim_max };
	cr_assert(prlimit(door.broker, RLIMIT_NOFILE, &few, NULL) == 0);
	late = doorway_connect(
		&door); /* for which the silent one goes, and there is none still */
	cr_assert(doorway_answer(stream, NULL, 0) == -EBUSY);
	doorway_expect_end(stream);
	cr_assert(mnfq_handover_wait(late, 0, NULL) == -EAGAIN);
	close(late);
	cr_assert(prlimit(door.broker, RLIMIT_NOFILE, &before, NULL) == 0);
	get_through(&door);
	doorway_close(&door);
}

/* Where those who stay have them all, others wait until one leaves. */
Test(broker, without_descriptors_others_wait)
{
	struct doorway door;
	uint32_t first = 0;
	int streams[64], i, n;

	doorway_open(&door, OPTIONS(0));
	n = 32 - (int)doorway_descriptors(&door);
	limit_descriptors(&door, 32);
	for (i = 0; i < n + 1; i++)
		streams[i] = doorway_offer(&door, MNFQ_HANDOVER_KEEP, NULL);
	for (i = 0; i < n; i++) {
		uint32_t id = doorway_attach(&door);

		first = i == 0 ? id : first;
		doorway_tell(&door, id, 0, NULL);
		cr_assert(doorway_answer(streams[i], NULL, 0) == 0);
	}
	cr_assert(mnfq_handover_wait(streams[n], 0, NULL) == -EAGAIN);
	close(streams[0]);
	doorway_expect_detach(&door, first);
	(void)doorway_attach(&door);
	for (i = 1; i < n + 1; i++)
		close(streams[i]);
	cr_assert(wait_until(doorway_descriptors(&door) == 32 - (unsigned int)n));
	doorway_close(&door);
}

/* One message with any bytes and @count times the descriptor @fd. */
static void send_bad(int stream, const void *bytes, size_t len, int fd, unsigned int count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
	}
	for (unsigned int i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.align) + i * sizeof(fd), &fd, sizeof(fd));
	cr_assert(sendmsg(stream, &msg, MSG_NOSIGNAL) == (ssize_t)len, "%s", strerror(errno));
}

/* Each is wrong in another way, or goes too early. */
static void be_bad(int stream, unsigned int kind, int netlink)
{
	static const char zeros[257];

	switch (kind % 8) {
	case 0:
		break; /* says nothing, and leaves */
	case 1:
		send_bad(stream, "x", 1, -1, 0);
		break;
	case 2:
		send_bad(stream, zeros, 256, netlink, 1);
		break;
	case 3:
		send_bad(stream, "MNFQ", 4, netlink, 2);
		break;
	case 4:
		send_bad(stream, "MNFQ\x02", 5, netlink, 253);
		break;
	case 5:
		send_bad(stream, zeros, 257, netlink, 1);
		break;
	case 6:
		send_bad(stream, zeros, 256, stream, 1);
		break;
	case 7:
		send_bad(stream, zeros, 100, STDERR_FILENO, 200);
		break;
	}
}

Test(broker, bad_messages_leave_nothing_behind)
{
	const unsigned int count = 100000;
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct doorway door;
	unsigned int i, before;

	doorway_open(&door, OPTIONS(0));
	before = doorway_descriptors(&door);
	for (i = 0; i < count; i++) {
		int stream = doorway_connect(&door);

		be_bad(stream, i, netlink);
		close(stream);
		if (i % 10000 == 0)
			get_through(&door);
	}
	cr_assert(wait_until(doorway_refused(&door) == count), "%u refused",
		  doorway_refused(&door));
	cr_assert(wait_until(doorway_descriptors(&door) == before), "%u descriptors, not %u",
		  doorway_descriptors(&door), before);
	get_through(&door);
	doorway_close(&door);
	close(netlink);
}

Test(broker, peers_leave_at_each_stage)
{
	struct doorway door;
	unsigned int before;
	uint32_t id;
	int stream;

	doorway_open(&door, OPTIONS(0));
	before = doorway_descriptors(&door);
	close(doorway_connect(&door));
	stream = doorway_connect(&door);
	be_bad(stream, 1, -1);
	close(stream);
	/* After sending. Who does not stay has handed it over for good. */
	close(doorway_offer(&door, 0, NULL));
	doorway_tell(&door, doorway_attach(&door), 0, NULL);
	/* Who stays has withdrawn it, and the answer is late. */
	close(doorway_offer(&door, MNFQ_HANDOVER_KEEP, NULL));
	id = doorway_attach(&door);
	doorway_expect_detach(&door, id);
	doorway_tell(&door, id, 0, NULL);
	/* Who does not stay is refused, and has left without hearing it. */
	close(doorway_offer(&door, 0, NULL));
	id = doorway_attach(&door);
	(void)doorway_refused(&door);
	doorway_tell(&door, id, -EEXIST, "we have this namespace already");
	/* Half a leave. */
	stream = doorway_offer(&door, 0, NULL);
	id = doorway_attach(&door);
	cr_assert(shutdown(stream, SHUT_WR) == 0);
	(void)doorway_refused(&door); /* by now it has seen that */
	doorway_tell(&door, id, 0, NULL);
	cr_assert(doorway_answer(stream, NULL, 0) == 0);
	doorway_expect_end(stream);
	cr_assert(wait_until(doorway_refused(&door) == 3));
	cr_assert(wait_until(doorway_descriptors(&door) == before));
	doorway_close(&door);
}

/*
 * The kernel counts the descriptors that are on their way by user, and in the sandbox the broker may
 * not go beyond. They are not its own, so all it can do is wait.
 */
Test(broker, descriptors_on_their_way_elsewhere_only_delay)
{
	struct doorway door;
	int ends[2], stream;

	if (geteuid() != 0)
		skip_or_fail("this needs root");
	doorway_open(&door, OPTIONS(0));
	limit_descriptors(&door, 64);
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	send_bad(ends[0], "x", 1, STDERR_FILENO, 253);
	stream = doorway_offer(&door, 0, NULL);
	cr_assert(doorway_refused(&door) == 0, "%s", door.note);
	close(ends[0]);
	close(ends[1]);
	doorway_tell(&door, doorway_attach(&door), 0, NULL);
	cr_assert(doorway_answer(stream, NULL, 0) == 0);
	doorway_expect_end(stream);
	doorway_close(&door);
}

/* ---- closing may mean waiting ---- */

/* A TCP socket whose close() waits for a minute, since its peer does not read. */
static int lingering(struct netns *ns, int *reader)
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

/*
 * Who closes the first one waits for a minute, which is more than we do. The broker is held until all
 * are on their way, so that the last close of each is its own, or a receiver's.
 */
Test(broker, sockets_that_linger_stop_nobody)
{
	struct netns *ns = netns_new();
	struct doorway door;
	int readers[20], streams[20], writers[20], i;

	for (i = 0; i < 20; i++)
		writers[i] = lingering(ns, &readers[i]);
	doorway_open(&door, OPTIONS(0));
	cr_assert(kill(door.broker, SIGSTOP) == 0);
	for (i = 0; i < 20; i++) {
		streams[i] = doorway_connect_as(&door, 12345);
		send_bad(streams[i], "MNFQ", 4, writers[i], 1);
		close(writers[i]);
	}
	cr_assert(kill(door.broker, SIGCONT) == 0);
	get_through(&door);
	for (i = 0; i < 20; i++) {
		close(streams[i]);
		close(readers[i]);
	}
	netns_free(ns);
	get_through(&door);
	cr_assert(wait_until(count_children(door.broker, "mnfq-receiver") == 0));
	close(door.link);
	cr_assert(wait_until(waitpid(door.keeper, NULL, WNOHANG) == door.keeper));
}

struct files {
	const struct fuse *fuse;
	int streams[40];
};

/* A process of its own, since it cannot close them, either. */
static int send_files(int stream, void *arg)
{
	const struct files *files = arg;
	char byte;

	for (size_t i = 0; i < sizeof(files->streams) / sizeof(files->streams[0]); i++)
		send_bad(files->streams[i], "MNFQ", 4, fuse_open(files->fuse), 1);
	return write(stream, "", 1) != 1 || read(stream, &byte, 1) != 0;
}

static unsigned int count_stuck(const struct doorway *door)
{
	return count_children(door->broker, "mnfq-receiver");
}

/* A file of FUSE is worse: no signal ends the wait, so that a process that closes one is lost. */
Test(broker, files_that_cannot_be_closed_stop_nobody)
{
	struct files files;
	struct doorway door;
	struct child child;
	struct fuse fuse;
	int i;

	if (geteuid() != 0)
		skip_or_fail("this needs root");
	fuse_start(&fuse);
	doorway_open(&door, OPTIONS(0));
	files.fuse = &fuse;
	for (i = 0; i < 40; i++)
		files.streams[i] = doorway_connect_as(&door, 12345);
	child = child_start(send_files, &files);
	child_await(&child);
	for (i = 0; i < 10; i++)
		get_through(&door);
	cr_assert(wait_until(count_stuck(&door) >= 2));
	for (i = 0; i < 40; i++) {
		cr_assert(doorway_answer(files.streams[i], NULL, 0) < 0);
		close(files.streams[i]);
	}
	/* What they sent was refused, and at most two of those who received it do not end. */
	cr_assert(wait_until(count_stuck(&door) == 2), "%u are left", count_stuck(&door));
	get_through(&door);
	fuse_stop(&fuse);
	cr_assert_eq(child_finish(&child), 0);
	cr_assert(wait_until(count_stuck(&door) == 0), "%u are left", count_stuck(&door));
	get_through(&door);
	close(door.link);
	cr_assert(wait_until(waitpid(door.keeper, NULL, WNOHANG) == door.keeper));
}

/* ---- the broker hangs ---- */

static void replaced_after(int signal)
{
	struct doorway door;
	int stream;

	doorway_open(&door, OPTIONS(0));
	stream = doorway_offer(&door, MNFQ_HANDOVER_KEEP, NULL);
	doorway_tell(&door, doorway_attach(&door), 0, NULL);
	cr_assert(doorway_answer(stream, NULL, 0) == 0);
	cr_assert(kill(door.broker, signal) == 0);
	doorway_expect_restart(&door);
	doorway_expect_end(stream);
	get_through(&door);
	doorway_close(&door);
}

Test(broker, one_that_is_killed_is_replaced)
{
	replaced_after(SIGKILL);
}

Test(broker, one_that_hangs_is_replaced)
{
	replaced_after(SIGSTOP);
}

/* What a receiver of the one before passed on meanwhile, so that its peer does not know. */
Test(broker, another_one_withdraws_what_it_does_not_know)
{
	struct doorway door;
	uint32_t id;
	int stream;

	doorway_open(&door, OPTIONS(0));
	stream = doorway_offer(&door, 0, NULL);
	id = doorway_attach(&door);
	cr_assert(kill(door.broker, SIGKILL) == 0);
	doorway_expect_restart(&door);
	doorway_tell(&door, id, 0, NULL);
	doorway_expect_detach(&door, id);
	doorway_expect_end(stream);
	doorway_close(&door);
}

/* Rather none than one that fails again and again. */
Test(broker, one_that_fails_too_often_is_not_replaced)
{
	struct ipc_msg message;
	struct doorway door;
	int fd, status;

	doorway_open(&door, OPTIONS(0));
	for (int i = 0; i < 5; i++) {
		cr_assert(kill(door.broker, SIGKILL) == 0);
		doorway_expect_restart(&door);
	}
	cr_assert(kill(door.broker, SIGKILL) == 0);
	cr_assert(wait_readable(door.link) && ipc_receive(door.link, &message, &fd) == 1);
	cr_assert(message.type == IPC_NOTE && message.error < 0, "%s", message.text);
	cr_assert(wait_until(waitpid(door.keeper, &status, WNOHANG) == door.keeper));
	cr_assert(status != 0);
	close(door.link);
}

/* ---- the server ---- */

Test(broker, who_is_not_answered_is_told_so)
{
	char sentence[256] = "";
	struct doorway door;
	uint32_t id;
	int stream;

	doorway_open(&door, OPTIONS(.answer_ms = 50));
	stream = doorway_offer(&door, 0, NULL);
	id = doorway_attach(&door);
	cr_assert(doorway_answer(stream, sentence, sizeof(sentence)) == -ETIME);
	cr_assert(strstr(sentence, "did not answer"), "%s", sentence);
	doorway_expect_end(stream);
	doorway_expect_detach(&door, id);
	cr_assert(doorway_refused(&door) == 1);
	doorway_close(&door);
}

/* More than the link takes: nothing is lost, nobody is refused, and the others are not let in. */
Test(broker, a_server_that_is_late_gets_them_all)
{
	struct doorway door;
	unsigned int before;
	int streams[600], i;

	doorway_open(&door, OPTIONS(0));
	before = doorway_descriptors(&door);
	for (i = 0; i < 600; i++)
		streams[i] = doorway_offer(&door, 0, NULL);
	cr_assert(doorway_descriptors(&door) < before + 600);
	for (i = 0; i < 600; i++)
		doorway_tell(&door, doorway_attach(&door), 0, NULL);
	for (i = 0; i < 600; i++) {
		cr_assert(doorway_answer(streams[i], NULL, 0) == 0);
		doorway_expect_end(streams[i]);
	}
	cr_assert(doorway_refused(&door) == 0);
	doorway_close(&door);
}

/* Takes what the broker says into account: ids are attached first, and end once. */
static void follow(struct doorway *door, uint8_t *state, int *attached)
{
	struct ipc_msg message;
	int fd;

	while (ipc_receive(door->link, &message, &fd) == 1) {
		uint8_t *its = &state[message.id & 0xffff];

		if (fd >= 0)
			close(fd);
		cr_assert(message.type == IPC_ATTACH ? *its == 0 : *its == 1, "id 0x%x",
			  message.id);
		*attached += message.type == IPC_ATTACH ? 1 : -1;
		++*its;
	}
}

/* Whether they were told already or not: none stays that nobody withdraws. */
Test(broker, what_is_withdrawn_while_the_server_is_late_does_not_stay)
{
	static uint8_t state[0x10000];
	struct doorway door;
	unsigned int before;
	int streams[600], i, attached = 0;

	doorway_open(&door, OPTIONS(0));
	before = doorway_descriptors(&door);
	for (i = 0; i < 600; i++)
		streams[i] = doorway_offer(&door, MNFQ_HANDOVER_KEEP, NULL);
	for (i = 0; i < 50; i++, attached++)
		state[doorway_attach(&door) & 0xffff] = 1;
	for (i = 0; i < 600; i++)
		close(streams[i]);
	cr_assert(wait_until((follow(&door, state, &attached), attached == 0) &&
			     doorway_descriptors(&door) == before),
		  "%d too many", attached);
	doorway_close(&door); /* some may still wait to be accepted */
}

Test(broker, a_signal_for_the_whole_group_is_not_for_it)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGALRM };
	struct doorway door;

	doorway_open(&door, OPTIONS(0));
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		cr_assert(kill(door.broker, signals[i]) == 0 &&
			  kill(door.keeper, signals[i]) == 0);
	get_through(&door);
	doorway_close(&door);
}

Test(broker, it_holds_no_descriptor_of_others)
{
	struct doorway door;
	int ends[2];
	char byte;

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	doorway_open(&door, OPTIONS(0));
	close(ends[1]);
	cr_assert(wait_readable(ends[0]), "the broker has the other end");
	cr_assert(read(ends[0], &byte, 1) == 0);
	ends[1] = dup(ends[0]); /* as open as it was */
	doorway_close(&door);
	close(ends[0]);
	close(ends[1]);
}

/* The link stays open in the test, so it is the parent's end that ends it. */
static int start_and_hang(int stream, void *arg)
{
	char error[256];
	pid_t pid;
	int link = broker_start(&OPTIONS(0), &pid, error, sizeof(error));

	(void)arg;
	if (link < 0 || send_descriptor(stream, link) < 0 ||
	    write(stream, &pid, sizeof(pid)) != sizeof(pid))
		return 1;
	return pause();
}

Test(broker, it_does_not_outlive_its_parent)
{
	struct child child = child_start(start_and_hang, NULL);
	struct doorway door = { .link = receive_descriptor(child.fd) };

	cr_assert(door.link >= 0);
	cr_assert(read(child.fd, &door.keeper, sizeof(door.keeper)) == sizeof(door.keeper));
	cr_assert(doorway_refused(&door) == 0);
	door.broker = child_named(door.keeper, "mnfq-broker");
	cr_assert(door.broker > 0);
	child_kill(&child);
	cr_assert(wait_until(kill(door.broker, 0) < 0), "the broker is still there");
	cr_assert(wait_until(kill(door.keeper, 0) < 0), "its keeper is still there");
	close(door.link);
}
