/* SPDX-License-Identifier: MIT */
/* TCP data that changes its length: the kernel adjusts the numbers of what follows. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-fixture.h"

/* left -- router -- right: who is left talks to an FTP server, through NAT. */
static struct {
	int family;
	struct netns *left, *router, *right;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int client, server;
	unsigned int edits;
} call;

/* ---- what is done to a line: "cmd 012 …\r\n" ---- */

#define PREFIX 8 /* bytes that stay */

/* Bytes that line @n loses, and those that it gets instead. */
static size_t lost(unsigned int n)
{
	return n % 3 == 1 ? 5 : n % 3 == 2 ? 2 : 0;
}

static size_t won(unsigned int n)
{
	return n % 3 == 0 ? 1 + n * 7 % 40 : n % 3 == 2 ? 9 : 0;
}

static const char filling[] = "++++++++++++++++++++++++++++++++++++++++++++++++++++++";

/* The line as it is sent. */
static size_t line(char *text, size_t size, const char *word, unsigned int n)
{
	return (size_t)snprintf(text, size, "%s %03u 0123456789 of %u\r\n", word, n, n);
}

/* And as it arrives. */
static size_t edited(char *text, size_t size, const char *word, unsigned int n)
{
	char before[128];
	size_t len = line(before, sizeof(before), word, n);

	if (call.family == 6)
		return line(text, size, word, n);
	return (size_t)snprintf(text, size, "%.*s%.*s%.*s", PREFIX, before, (int)won(n), filling,
				(int)(len - PREFIX - lost(n)), before + PREFIX + lost(n));
}

static size_t tcp_data(const uint8_t *payload, size_t len)
{
	const size_t tcp = payload[0] >> 4 == 6 ? 40 : (size_t)(payload[0] & 15) * 4;
	const size_t data = tcp + (size_t)(payload[tcp + 12] >> 4) * 4;

	return data < len ? data : 0;
}

static enum mnfq_verdict edit(struct mnfq_packet *packet, void *data)
{
	size_t len, offset;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);
	unsigned int n;
	int err;

	(void)data;
	offset = tcp_data(payload, len);
	if (offset == 0 || len < offset + PREFIX ||
	    (memcmp(payload + offset, "cmd ", 4) != 0 &&
	     memcmp(payload + offset, "ans ", 4) != 0))
		return MNFQ_ACCEPT;
	n = (unsigned int)atoi((const char *)payload + offset + 4);
	err = mnfq_packet_edit(packet, offset + PREFIX, lost(n), filling, won(n));
	cr_assert(err == (call.family == 6 && lost(n) != won(n) ? -EOPNOTSUPP : 0),
		  "line %u: %s: %s", n, strerror(-err), mnfq_packet_get_error(packet));
	call.edits += err == 0;
	return MNFQ_ACCEPT;
}

/* ---- the connection ---- */

/* Lets packets pass until @fd is ready for @events. */
static void pump(int fd, short events)
{
	struct pollfd fds[2] = { { .fd = fd, .events = events },
				 { .fd = mnfq_socket_get_fd(call.sock), .events = POLLIN } };

	while (!fds[0].revents) {
		cr_assert(poll(fds, 2, DEADLINE_MS) > 0, "the connection is stuck after %u edits",
			  call.edits);
		cr_assert(mnfq_socket_dispatch(call.sock, 0) >= 0, "%s",
			  mnfq_socket_get_error(call.sock));
	}
}

static void receive(int fd, const char *expected, size_t len)
{
	char text[256];
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		pump(fd, POLLIN);
		n = recv(fd, text + got, len - got, 0);
		cr_assert(n > 0, "%s after %u edits", n ? strerror(errno) : "closed", call.edits);
		got += (size_t)n;
	}
	cr_assert(memcmp(text, expected, len) == 0, "'%.*s' arrives, not '%s'", (int)len, text,
		  expected);
}

static void call_open(int family)
{
	const char *const address = family == 6 ? "fd00:0:0:2::1" : "10.0.2.1";
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(21) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(21) };
	struct sockaddr *to = family == 6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t len = family == 6 ? sizeof(v6) : sizeof(v4);
	int listener = netns_socket(call.right, to->sa_family, SOCK_STREAM, 0);

	inet_pton(AF_INET6, address, &v6.sin6_addr);
	inet_pton(AF_INET, address, &v4.sin_addr);
	cr_assert(bind(listener, to, len) == 0 && listen(listener, 1) == 0);
	call.client = netns_socket(call.left, to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert(connect(call.client, to, len) < 0 && errno == EINPROGRESS);
	pump(listener, POLLIN);
	call.server = accept(listener, NULL, NULL);
	cr_assert(call.server >= 0);
	pump(call.client, POLLOUT);
	close(listener);
}

static void router_open(int family)
{
	call.family = family;
	call.left = netns_new();
	call.router = netns_new();
	call.right = netns_new();
	netns_route(call.left, call.router, call.right);
	netns_run(call.router, "modprobe -q nf_nat_ftp");
	netns_rule(call.router, family,
		   "-t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp");
	netns_rule(call.router, family, "-t nat -A POSTROUTING -o right -j MASQUERADE");
	netns_rule(call.router, family, "-A FORWARD -p tcp -j NFQUEUE --queue-num 1");
	expect_ok(NULL, mnfq_socket_open_netns(&call.sock, call.router->name, NULL));
	expect_ok(call.sock,
		  mnfq_queue_bind(&call.queue, call.sock, 1,
				  QUEUE_OPTIONS(.flags = MNFQ_QUEUE_CONNTRACK), edit, NULL));
}

/* One of them says a line, which arrives as it was edited. */
static void say(int from, int to, const char *word, unsigned int n)
{
	char sent[128], expected[192];
	size_t len = line(sent, sizeof(sent), word, n);

	cr_assert(send(from, sent, len, MSG_NOSIGNAL) == (ssize_t)len);
	receive(to, expected, edited(expected, sizeof(expected), word, n));
}

/* Much that is not edited; as much at a time as there is room for. */
static void say_much(int from, int to)
{
	static char text[60000];
	char received[4096];
	size_t sent = 0, got = 0;
	ssize_t n;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('A' + i % 23);
	while (got < sizeof(text)) {
		n = send(from, text + sent, sizeof(text) - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		cr_assert(n >= 0 || errno == EAGAIN, "%s", strerror(errno));
		sent += n > 0 ? (size_t)n : 0;
		pump(to, POLLIN);
		n = recv(to, received, sizeof(received), 0);
		cr_assert(n > 0 && memcmp(received, text + got, (size_t)n) == 0);
		got += (size_t)n;
	}
}

static void hang_up(int from, int to)
{
	char byte;

	cr_assert(shutdown(from, SHUT_WR) == 0);
	pump(to, POLLIN);
	cr_assert(recv(to, &byte, 1, 0) == 0);
}

static void talk(int family, bool answers)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	router_open(family);
	call_open(family);
	for (unsigned int n = 0; n < 30; n++) {
		say(call.client, call.server, "cmd", n);
		if (answers)
			say(call.server, call.client, "ans", n + 1);
	}
	say_much(call.client, call.server);
	say_much(call.server, call.client);
	say(call.client, call.server, "cmd", 99);
	hang_up(call.client, call.server);
	hang_up(call.server, call.client);
	cr_assert(mnfq_queue_get_stats(call.queue, &stats) == 0);
	if (family == 4)
		cr_assert(call.edits >= (answers ? 61 : 31));
	cr_assert(stats.rewritten == call.edits);
	cr_assert(stats.refused == 0);
	close(call.client);
	close(call.server);
	mnfq_socket_close(call.sock);
}

Test(ftp, commands_are_edited_ipv4)
{
	talk(4, false);
}

Test(ftp, commands_and_answers_are_edited_ipv4)
{
	talk(4, true);
}

/* The kernel would adjust the numbers by bytes that are not TCP's, and break the connection. */
Test(ftp, no_edit_changes_the_length_over_ipv6)
{
	talk(6, true);
}
