// SPDX-License-Identifier: MIT
/* handover.c, handover-msg.c: the protocol, over socket pairs; nothing of it takes a right. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "handover-msg.h"
#include "support/hostile.h"
#include "wire.h"

#define OPTIONS(...)                                                                             \
	(&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),          \
					  .error = errmsg,                                       \
					  .error_size = sizeof(errmsg),                          \
					  __VA_ARGS__ })

static char errmsg[MNFQ_ERRMSG_SIZE];
static int ours, theirs, netlink;
static struct mnfq_handover info;

static void open_streams(int type)
{
	int ends[2];

	cr_assert(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0);
	ours = ends[0];
	theirs = ends[1];
}

static void setup(void)
{
	open_streams(SOCK_STREAM);
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	cr_assert(netlink >= 0, "a netlink socket: %s", strerror(errno));
}

TestSuite(handover, .init = setup, .timeout = 60);

static void expect(int got, int expected, const char *part)
{
	cr_assert(got == expected, "%d (%s), not %d: '%s'", got, strerror(-got), expected,
		  errmsg);
	cr_assert(strstr(errmsg, part), "'%s' lacks '%s'", errmsg, part);
	errmsg[0] = '\0';
}

static int receive_with(uint32_t flags)
{
	int fd = -1, err;

	info = (struct mnfq_handover)MNFQ_INIT(info);
	err = mnfq_handover_receive(&fd, theirs, 0, &info, OPTIONS(.flags = flags));
	cr_assert((fd >= 0) == (err == 0));
	return err < 0 ? err : fd;
}

static bool same_socket(int a, int b)
{
	char x[64] = "", y[64] = "", path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
	cr_assert(readlink(path, x, sizeof(x) - 1) > 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b);
	cr_assert(readlink(path, y, sizeof(y) - 1) > 0);
	return strcmp(x, y) == 0;
}

/* ---- what works ---- */

static void hand_over(void)
{
	int fd;

	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS(.label = "Küche", .flags = 1)), 0,
	       "");
	fd = receive_with(0);
	cr_assert(fd >= 0, "%s", errmsg);
	cr_assert(fd != netlink && same_socket(fd, netlink));
	cr_assert(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	cr_assert_str_eq(info.label, "Küche");
	cr_assert(info.flags == MNFQ_HANDOVER_KEEP);
	cr_assert(info.pid == (uint32_t)getpid() && info.uid == getuid() && info.gid == getgid());
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EAGAIN, "not that far");
	cr_assert(mnfq_handover_answer(theirs, &info, 0, "unheard") == 0);
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), 0, "");
	close(fd);
}

Test(handover, over_a_stream)
{
	hand_over();
	hand_over();
}

Test(handover, over_packets)
{
	close(ours);
	close(theirs);
	open_streams(SOCK_SEQPACKET);
	hand_over();
	hand_over();
}

/* What a stream is set to bring, and needs room. */
Test(handover, over_a_stream_with_more_control_data)
{
	int on = 1;

	cr_assert(setsockopt(theirs, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	(void)setsockopt(theirs, SOL_SOCKET, SO_PASSSEC, &on, sizeof(on));
	(void)setsockopt(theirs, SOL_SOCKET, 76 /* SO_PASSPIDFD */, &on, sizeof(on));
	hand_over();
}

Test(handover, the_cookie_is_the_sockets)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	(void)getsockopt(netlink, SOL_SOCKET, MNFQ_I_SO_NETNS_COOKIE, &cookie, &len);
	expect(mnfq_handover_send(ours, netlink, 0, NULL), 0, "");
	close(receive_with(0));
	cr_assert(info.netns_cookie == cookie);
	cr_assert_str_eq(info.label, "");
	cr_assert(info.flags == 0);
}

Test(handover, a_caller_may_know_less)
{
	struct mnfq_handover_options options = {
		.size = offsetof(struct mnfq_handover_options, label), .flags = 0
	};
	int fd;

	info.size = offsetof(struct mnfq_handover, netns_cookie);
	info.netns_cookie = 4711;
	expect(mnfq_handover_send(ours, netlink, 0, &options), 0, "");
	expect(mnfq_handover_receive(&fd, theirs, 0, &info, &options), 0, "");
	cr_assert(info.netns_cookie == 4711, "beyond what the caller has");
	close(fd);
}

/* ---- what a sender may not send ---- */

Test(handover, a_sender_hears_at_once_what_is_wrong_with_its_socket)
{
	int inet = socket(AF_INET, SOCK_DGRAM, 0), route = socket(AF_NETLINK, SOCK_RAW, 0);

	expect(mnfq_handover_send(ours, inet, 0, OPTIONS()), -EAFNOSUPPORT, "AF_NETLINK");
	expect(mnfq_handover_send(ours, route, 0, OPTIONS()), -EPROTONOSUPPORT, "NETFILTER");
	expect(mnfq_handover_send(ours, -1, 0, OPTIONS()), -EBADF, "not open");
	expect(receive_with(0), -EAGAIN, "");
}

Test(handover, labels_that_are_refused)
{
	static const char *const labels[] = { "a\n",          "\x1b[2J",      "\x7f",
					      "\xc2\x85",     "\xff",         "\xc0\xaf",
					      "\xe2\x82",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
					      "\xe2\x80\xae", "\xe2\x81\xa6" };
	char big[MNFQ_LABEL_SIZE + 1];

	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++)
		expect(mnfq_handover_send(ours, netlink, 0, OPTIONS(.label = labels[i])), -EINVAL,
		       "control character");
	memset(big, 'x', sizeof(big));
	big[MNFQ_LABEL_SIZE] = '\0';
	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS(.label = big)), -EMSGSIZE, "63");
	big[MNFQ_LABEL_SIZE - 1] = '\0';
	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS(.label = big)), 0, "");
	close(receive_with(0));
	cr_assert_str_eq(info.label, big);
}

Test(handover, wrong_arguments)
{
	struct mnfq_handover_options unsized = { .error = errmsg, .error_size = sizeof(errmsg) };
	struct mnfq_handover_options large[2] = { *OPTIONS(), { .flags = 1 } };
	int fd, ends[2];

	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS(.flags = MNFQ_HANDOVER_PLAIN)),
	       -EINVAL, "flags");
	expect(mnfq_handover_receive(&fd, theirs, 0, &info, NULL), -EINVAL, "");
	expect(mnfq_handover_receive(&fd, theirs, 0, &info, OPTIONS()), -EINVAL, ".size");
	info.size = sizeof(info);
	expect(mnfq_handover_receive(&fd, theirs, 0, &info, &unsized), -EINVAL, "set .size");
	expect(mnfq_handover_receive(NULL, theirs, 0, &info, OPTIONS()), -EINVAL, "no place");
	expect(mnfq_handover_receive(&fd, theirs, 0, NULL, OPTIONS()), -EINVAL, "no place");
	expect(mnfq_handover_receive(&fd, theirs, 0, &info, OPTIONS(.flags = MNFQ_HANDOVER_KEEP)),
	       -EINVAL, "flags");
	large[0].size = sizeof(large);
	expect(mnfq_handover_send(ours, netlink, 0, large), -E2BIG, ".size");
	cr_assert(mnfq_handover_answer(theirs, &info, 1, NULL) == -EINVAL);
	cr_assert(mnfq_handover_answer(theirs, &info, -4096, NULL) == -EINVAL);
	cr_assert(mnfq_handover_answer(theirs, &info, INT_MIN, NULL) == -EINVAL);
	cr_assert(mnfq_handover_answer(-1, &info, 0, NULL) == -EBADF);
	expect(mnfq_handover_send(-1, netlink, 0, OPTIONS()), -EBADF, "Unix socket");
	expect(mnfq_handover_send(netlink, netlink, 0, OPTIONS()), -EINVAL, "SOCK_STREAM");
	cr_assert(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
	expect(mnfq_handover_send(ends[0], netlink, 0, OPTIONS()), -EINVAL, "SOCK_STREAM");
	cr_assert(pipe(ends) == 0);
	expect(mnfq_handover_wait(ends[0], 0, OPTIONS()), -ENOTSOCK, "Unix socket");
	cr_assert(mnfq_handover_answer(ends[0], &info, 0, NULL) == -ENOTSOCK);
	theirs = socket(AF_UNIX, SOCK_STREAM, 0);
	expect(receive_with(0), -ENOTCONN, "");
	expect(mnfq_handover_send(theirs, netlink, 0, OPTIONS()), -ENOTCONN, "");
	cr_assert(mnfq_handover_answer(theirs, &info, 0, NULL) == -ENOTCONN);
}

/* ---- what a receiver refuses ---- */

static struct mnfq_i_handover_msg offer(void)
{
	struct mnfq_i_handover_msg message;

	mnfq_i_handover_msg_offer(&message, 0, 0, "peer");
	return message;
}

/* The message is refused with @err and these words, and the sender hears the same. */
static void expect_refused(const struct mnfq_i_handover_msg *message, size_t count, int err,
			   const char *part)
{
	hostile_send(ours, message, sizeof(*message), netlink, count);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), err, part);
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), err, part);
}

Test(handover, another_version_is_refused)
{
	struct mnfq_i_handover_msg message = offer();

	message.version = 2;
	expect_refused(&message, 1, -EPROTONOSUPPORT, "version 2");
	hostile_send(ours, &message, 100, netlink, 1);
	expect(receive_with(0), -EPROTONOSUPPORT, "version 2");
}

Test(handover, malformed_messages_are_refused)
{
	struct mnfq_i_handover_msg message = offer();

	message.type = MNFQ_I_HANDOVER_MSG_ANSWER;
	expect_refused(&message, 1, -EBADMSG, "no sense");
	message = offer();
	message.reserved[39] = 1;
	expect_refused(&message, 1, -EBADMSG, "no sense");
	message = offer();
	message.flags = MNFQ_HANDOVER_PLAIN;
	expect_refused(&message, 1, -EBADMSG, "flags");
	message = offer();
	message.label[3] = '\n';
	expect_refused(&message, 1, -EBADMSG, "label");
	memset(message.label, 'x', sizeof(message.label));
	expect_refused(&message, 1, -EBADMSG, "label");
}

Test(handover, only_one_descriptor_is_taken)
{
	static const size_t counts[] = { 0, 2, 3, 83, 84, 253 };
	struct mnfq_i_handover_msg message = offer();
	int next = dup(0);

	close(next);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		expect_refused(&message, counts[i], -EBADMSG,
			       counts[i] > 84 ? "cut" : "exactly one");
		cr_assert(dup(0) == next, "after %zu something is left open", counts[i]);
		close(next);
	}
}

Test(handover, wrong_sizes_are_refused)
{
	static const size_t sizes[] = { 4, 5, 6, 8, 256, 511, 513, 1000 };
	char bytes[1000] = "";
	struct mnfq_i_handover_msg message = offer();

	memcpy(bytes, &message, sizeof(message));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		hostile_send(ours, bytes, sizes[i], netlink, 1);
		expect(receive_with(MNFQ_HANDOVER_PLAIN), -EBADMSG, "512 bytes");
		close(ours);
		close(theirs);
		open_streams(i % 2 ? SOCK_STREAM : SOCK_SEQPACKET);
	}
}

/* It comes in two halves, or with the next one at its heels. */
Test(handover, pieces_are_refused)
{
	struct mnfq_i_handover_msg message = offer();

	hostile_send(ours, &message, 256, netlink, 0);
	expect(receive_with(0), -EBADMSG, "512 bytes");
	hostile_send(ours, &message, sizeof(message), netlink, 0);
	hostile_send(ours, &message, sizeof(message), netlink, 1);
	expect(receive_with(0), -EBADMSG, "512 bytes");
}

Test(handover, a_lie_about_the_namespace_is_refused)
{
	struct mnfq_i_handover_msg message = offer();
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (getsockopt(netlink, SOL_SOCKET, MNFQ_I_SO_NETNS_COOKIE, &cookie, &len) < 0)
		cr_skip_test("this kernel has no SO_NETNS_COOKIE");
	message.netns_cookie = cookie + 1;
	expect_refused(&message, 1, -ESTALE, "another network namespace");
	message.netns_cookie = cookie;
	hostile_send(ours, &message, sizeof(message), netlink, 1);
	close(receive_with(0));
	cr_assert(info.netns_cookie == cookie);
}

Test(handover, something_else_is_refused)
{
	struct mnfq_i_handover_msg message = offer();
	int ends[2];

	cr_assert(pipe(ends) == 0);
	hostile_send(ours, &message, sizeof(message), ends[0], 1);
	expect(receive_with(0), -ENOTSOCK, "not a socket");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -ENOTSOCK, "not a socket");
	hostile_send(ours, &message, sizeof(message), ours, 1);
	expect(receive_with(0), -EAFNOSUPPORT, "AF_NETLINK");
	hostile_send(ours, "x", 1, ours, 1);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), -EAFNOSUPPORT, "AF_NETLINK");
}

/* Criterion needs descriptors itself: no assertion while there is none. */
#define LIMITED 77

/* Valgrind keeps what is set to itself, so that receiving does not meet it. */
static void skip_unless_kernel_limits(void)
{
	FILE *file = fopen("/proc/self/limits", "re");
	char line[128];
	int soft = -1;

	while (file && soft < 0 && fgets(line, sizeof(line), file))
		(void)sscanf(line, "Max open files %d", &soft);
	if (file)
		fclose(file);
	if (soft != LIMITED)
		cr_skip_test("the kernel does not hear of our limit of descriptors");
}

Test(handover, without_a_free_descriptor)
{
	struct rlimit limit = { 0 }, none;
	struct mnfq_i_handover_msg message = offer();
	int err, fd;

	cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ .rlim_cur = LIMITED, .rlim_max = limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	skip_unless_kernel_limits();
	hostile_send(ours, &message, sizeof(message), netlink, 1);
	none = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
	info.size = sizeof(info);
	setrlimit(RLIMIT_NOFILE, &none);
	err = mnfq_handover_receive(&fd, theirs, -1, &info, OPTIONS());
	setrlimit(RLIMIT_NOFILE, &limit);
	expect(err, -EMFILE, "ulimit -n");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EMFILE, "ulimit -n");
}

/* ---- plain ones ---- */

Test(handover, plain_ones_have_to_be_allowed)
{
	hostile_send(ours, "x", 1, netlink, 1);
	expect(receive_with(0), -EBADMSG, "not of the protocol");
	cr_assert(recv(ours, errmsg, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "answered");
}

Test(handover, plain_ones_are_taken_where_allowed)
{
	char bytes[513] = "MNF";
	int fd;

	hostile_send(ours, "x", 1, netlink, 1);
	fd = receive_with(MNFQ_HANDOVER_PLAIN);
	cr_assert(fd >= 0 && same_socket(fd, netlink), "%s", errmsg);
	cr_assert(info.flags == MNFQ_HANDOVER_PLAIN && info.label[0] == '\0');
	cr_assert(info.pid == (uint32_t)getpid());
	cr_assert(mnfq_handover_answer(theirs, &info, -EPERM, "unheard") == 0);
	cr_assert(recv(ours, errmsg, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "answered");
	close(fd);
	hostile_send(ours, bytes, 512, netlink, 1);
	close(receive_with(MNFQ_HANDOVER_PLAIN));
	hostile_send(ours, bytes, 513, netlink, 1);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), -EBADMSG, "not of the protocol");
}

Test(handover, plain_ones_are_counted_too)
{
	hostile_send(ours, "x", 1, netlink, 0);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), -EBADMSG, "exactly one");
	hostile_send(ours, "x", 1, netlink, 2);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), -EBADMSG, "exactly one");
	hostile_send(ours, "x", 1, netlink, 253);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), -EBADMSG, "cut");
}

/* ---- answers ---- */

static void answer(int err, const char *text)
{
	cr_assert(mnfq_handover_answer(theirs, NULL, err, text) == 0);
}

Test(handover, a_refusal_is_heard_with_its_words)
{
	answer(-EPERM, "queue 5: no right");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EPERM, "queue 5: no right");
	answer(-ENODEV, NULL);
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -ENODEV, strerror(ENODEV));
	expect(mnfq_handover_wait(ours, 0, NULL), -EAGAIN, "");
}

Test(handover, a_refusal_is_not_taken_for_no_answer_yet)
{
	answer(-EAGAIN, "later");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EBUSY, "later");
	answer(-EINTR, NULL);
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EBUSY, "refused");
	answer(-ETIMEDOUT, "queue 5: no answer from the kernel");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -ETIME, "queue 5");
}

Test(handover, words_cannot_steer_a_terminal)
{
	char words[500];

	answer(-EPERM, "a\x1b[2J\xc2\x9b"
		       "b\xe2\x82\xac\xff\n");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EPERM, "a?[2J??b\xe2\x82\xac??");
	memset(words, 'x', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	answer(-EPERM, words);
	cr_assert(mnfq_handover_wait(ours, 0, OPTIONS()) == -EPERM);
	cr_assert(strlen(errmsg) == MNFQ_ERRMSG_SIZE - 1);
}

static void expect_no_answer(const void *bytes, size_t len)
{
	cr_assert(send(theirs, bytes, len, 0) == (ssize_t)len);
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EBADMSG, "");
}

Test(handover, answers_without_sense)
{
	struct mnfq_i_handover_msg message = offer();

	expect_no_answer(&message, sizeof(message));
	expect_no_answer("thanks", 6);
	mnfq_i_handover_msg_answer(&message, 0, "");
	expect_no_answer(&message, 511);
	message.error = 1;
	expect_no_answer(&message, sizeof(message));
	message.error = -4096;
	expect_no_answer(&message, sizeof(message));
	message.error = INT32_MIN;
	expect_no_answer(&message, sizeof(message));
	message.error = -1;
	memset(message.text, 'x', sizeof(message.text));
	expect_no_answer(&message, sizeof(message));
	mnfq_i_handover_msg_answer(&message, 0, "");
	message.version = 2;
	expect_no_answer(&message, sizeof(message));
}

/* Nothing may be answered to that: it would be taken for an answer to something else. */
Test(handover, a_sender_may_say_why_it_does_not_send)
{
	cr_assert(mnfq_handover_answer(ours, NULL, -EACCES, "user 7 may not") == 0);
	expect(receive_with(0), -EACCES, "user 7 may not");
	cr_assert(mnfq_handover_answer(ours, NULL, 0, NULL) == 0);
	expect(receive_with(MNFQ_HANDOVER_PLAIN), -EBADMSG, "nothing had been sent");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EAGAIN, "");
}

static void refuse_unread(int type)
{
	close(ours);
	close(theirs);
	open_streams(type);
	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS()), 0, "");
	cr_assert(mnfq_handover_answer(theirs, NULL, -EACCES, "user 7 may not") == 0);
	close(theirs);
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -EACCES, "user 7 may not");
	expect(mnfq_handover_wait(ours, 0, OPTIONS()), -ECONNRESET, "gone");
}

Test(handover, a_refusal_arrives_although_the_message_was_not_read)
{
	refuse_unread(SOCK_STREAM);
	refuse_unread(SOCK_SEQPACKET);
}

/* A receiver that sends a descriptor back. */
Test(handover, descriptors_with_an_answer_are_closed)
{
	struct mnfq_i_handover_msg message;
	int next = dup(0), swap = ours;

	close(next);
	ours = theirs;
	mnfq_i_handover_msg_answer(&message, 0, "");
	hostile_send(ours, &message, sizeof(message), netlink, 5);
	expect(mnfq_handover_wait(swap, 0, OPTIONS()), 0, "");
	cr_assert(dup(0) == next);
}

/* ---- the other side is gone, or slow ---- */

Test(handover, the_other_side_has_gone)
{
	close(ours);
	expect(receive_with(0), -ECONNRESET, "gone");
	expect(mnfq_handover_send(theirs, netlink, 0, OPTIONS()), -EPIPE, "gone");
	expect(mnfq_handover_wait(theirs, 0, OPTIONS()), -ECONNRESET, "gone");
	cr_assert(mnfq_handover_answer(theirs, &info, 0, NULL) == -EPIPE);
}

static void leave_unread(int type)
{
	open_streams(type);
	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS()), 0, "");
	close(theirs);
}

/* The kernel's words for it depend on what is called first. */
Test(handover, it_went_with_a_message_unread)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };

	for (size_t i = 0; i < 2; i++) {
		leave_unread(types[i]);
		expect(mnfq_handover_wait(ours, -1, OPTIONS()), -ECONNRESET, "gone");
		leave_unread(types[i]);
		expect(mnfq_handover_send(ours, netlink, 0, OPTIONS()), -EPIPE, "gone");
		leave_unread(types[i]);
		cr_assert(mnfq_handover_answer(ours, NULL, -EPERM, NULL) == -EPIPE);
	}
}

Test(handover, nothing_comes)
{
	int fd;

	info.size = sizeof(info);
	expect(receive_with(0), -EAGAIN, "");
	expect(mnfq_handover_receive(&fd, theirs, 20, &info, OPTIONS()), -ETIMEDOUT, "20 ms");
	expect(mnfq_handover_wait(ours, 20, OPTIONS()), -ETIMEDOUT, "20 ms");
}

static void fill(int timeout_ms, int expected)
{
	int err;

	do
		err = mnfq_handover_send(ours, netlink, timeout_ms, OPTIONS());
	while (err == 0);
	expect(err, expected, "");
}

Test(handover, a_peer_that_does_not_read)
{
	fill(0, -EAGAIN);
	fill(20, -ETIMEDOUT);
	do
		close(receive_with(0));
	while (poll(&(struct pollfd){ .fd = theirs, .events = POLLIN }, 1, 0) == 1);
	expect(mnfq_handover_send(ours, netlink, 0, OPTIONS()), 0, "");
}

static void on_alarm(int signal)
{
	(void)signal;
}

Test(handover, a_signal_ends_the_waiting)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 10000 }, { 0, 10000 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	expect(mnfq_handover_wait(ours, -1, OPTIONS()), -EINTR, "");
}
