/* SPDX-License-Identifier: MIT */
/* Two hosts, and an editor that replaces a text in what the left one sends. */
#include "rewrite.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rewrite rewrite;
struct udp udp;

static void replace_all(struct mnfq_packet *packet)
{
	struct mnfq_layers at = { .size = sizeof(at) };
	size_t len, from = strlen(rewrite.from), to = strlen(rewrite.to), offset = 0;
	const uint8_t *bytes, *hit;
	int err;

	while (mnfq_packet_get_layers(packet, &at) == 0) {
		bytes = mnfq_packet_get_payload(packet, &len);
		offset = offset > at.data ? offset : at.data;
		hit = at.end > offset
			      ? memmem(bytes + offset, at.end - offset, rewrite.from, from)
			      : NULL;
		if (!hit)
			break;
		offset = (size_t)(hit - bytes);
		err = mnfq_packet_edit(packet, offset, from, rewrite.to, to);
		if (err < 0) {
			rewrite.refused++;
			rewrite.error = err;
			snprintf(rewrite.errmsg, sizeof(rewrite.errmsg), "%s",
				 mnfq_packet_get_error(packet));
			break;
		}
		rewrite.edits++;
		offset += to;
	}
}

static enum mnfq_verdict edit(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (mnfq_packet_get_skb_info(packet) & MNFQ_SKB_GSO)
		rewrite.large++;
	if (rewrite.from)
		replace_all(packet);
	return MNFQ_ACCEPT;
}

/* Not all that it sends: the kernel has things to say to its neighbours, of its own accord. */
static void add_rules(struct netns *ns)
{
	static const char *const matches[] = { "tcp", "udp", "udplite", "sctp" };

	for (size_t i = 0; i < 2 * sizeof(matches) / sizeof(matches[0]); i++)
		netns_rule(ns, i & 1 ? 6 : 4,
			   "-t mangle -A OUTPUT -o eth0 -p %s -j NFQUEUE --queue-num 1",
			   matches[i / 2]);
	netns_rule(ns, 4,
		   "-t mangle -A OUTPUT -o eth0 -p icmp --icmp-type echo-request -j NFQUEUE "
		   "--queue-num 1");
	netns_rule(ns, 6,
		   "-t mangle -A OUTPUT -o eth0 -p icmpv6 --icmpv6-type echo-request -j NFQUEUE "
		   "--queue-num 1");
}

void rewrite_open(const struct mnfq_queue_options *options)
{
	memset(&rewrite, 0, sizeof(rewrite));
	rewrite.left = netns_new();
	rewrite.right = netns_new();
	netns_join(rewrite.left, "eth0", rewrite.right, "eth0", 1);
	add_rules(rewrite.left);
	rewrite.descriptors = descriptors();
	expect_ok(NULL, mnfq_socket_open_netns(&rewrite.sock, rewrite.left->name, NULL));
	expect_ok(rewrite.sock,
		  mnfq_queue_bind(&rewrite.queue, rewrite.sock, 1, options, edit, &rewrite));
}

void rewrite_open_udp(const struct mnfq_queue_options *options, const char *address)
{
	rewrite_open(options);
	udp_open(&udp, rewrite.left, rewrite.right, address, PORT);
}

void rewrite_close(void)
{
	struct mnfq_queue_options options = { .size = sizeof(options) };

	if (udp.rx > 0)
		udp_close(&udp);
	/* Without GSO a rule counts a large packet once, and its segments come one by one. */
	cr_assert(mnfq_queue_get_options(rewrite.queue, &options) == 0);
	if (!(options.flags & MNFQ_QUEUE_NO_GSO))
		fixture_account(rewrite.sock, rewrite.left, NULL);
	mnfq_socket_close(rewrite.sock);
	check_descriptors(rewrite.descriptors);
	netns_free(rewrite.left);
	netns_free(rewrite.right);
}

void rewrite_serve_until(int fd)
{
	struct pollfd fds[2] = { { .fd = mnfq_socket_get_fd(rewrite.sock), .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };
	int n;

	while (!(fds[1].revents & POLLIN)) {
		cr_assert(poll(fds, 2, DEADLINE_MS) > 0, "nothing happens any more");
		n = mnfq_socket_dispatch(rewrite.sock, 0);
		cr_assert(n >= 0, "%s", mnfq_socket_get_error(rewrite.sock));
	}
}

void rewrite_serve(unsigned int packets)
{
	int n;

	while (packets > 0) {
		n = mnfq_socket_dispatch(rewrite.sock, DEADLINE_MS);
		cr_assert(n > 0 && (unsigned int)n <= packets, "%d: %s", n,
			  mnfq_socket_get_error(rewrite.sock));
		packets -= (unsigned int)n;
	}
}

/* The kernel's counters: in snmp a line of names above a line of numbers, in snmp6 pairs. */
uint64_t bad_checksums(struct netns *ns)
{
	char *output = netns_output(ns, "cat /proc/net/snmp /proc/net/snmp6");
	char names[2048], *line, *rest = output, *name, *number, *name_rest, *number_rest;
	uint64_t sum = 0;

	for (names[0] = '\0'; (line = strsep(&rest, "\n"));) {
		if (strstr(line, "InCsumErrors") && strchr(line, ':')) {
			snprintf(names, sizeof(names), "%s", line);
			continue;
		}
		name = strstr(line, "InCsumErrors");
		if (name)
			sum += strtoull(name + strlen("InCsumErrors"), NULL, 10);
		name = strtok_r(names, " ", &name_rest);
		number = strtok_r(line, " ", &number_rest);
		while (name && number) {
			if (strcmp(name, "InCsumErrors") == 0)
				sum += strtoull(number, NULL, 10);
			name = strtok_r(NULL, " ", &name_rest);
			number = strtok_r(NULL, " ", &number_rest);
		}
		names[0] = '\0';
	}
	free(output);
	return sum;
}

/* ---- text over TCP ---- */

#define TEXT_EVERY 1000u /* bytes */

static size_t replaced;

static uint8_t text_byte(size_t at)
{
	size_t in_line = at % TEXT_EVERY;

	if (in_line < strlen(rewrite.from))
		return (uint8_t)rewrite.from[in_line];
	return (uint8_t)('0' + at / TEXT_EVERY % 10);
}

static bool text_fits(size_t at, uint8_t byte)
{
	size_t in_line = at % TEXT_EVERY;

	if (in_line == 0 && byte == (uint8_t)rewrite.to[0])
		replaced++;
	if (in_line < strlen(rewrite.from) && byte == (uint8_t)rewrite.to[in_line])
		return true;
	return byte == text_byte(at);
}

void rewrite_tcp(const char *address)
{
	struct tcp tcp = { .from = rewrite.left,
			   .to = rewrite.right,
			   .address = address,
			   .port = PORT,
			   .size = 10000000,
			   .byte = text_byte,
			   .fits = text_fits };
	size_t lines = tcp.size / TEXT_EVERY;
	int result;

	replaced = 0;
	tcp_start(&tcp);
	rewrite_serve_until(tcp.done_fd);
	result = tcp_finish(&tcp);
	cr_assert(result == 0, "%s", strerror(-result));
	cr_assert(rewrite.refused == 0, "%s", rewrite.errmsg);
	/* A boundary cuts at most one text in two; there are at most 1500 bytes between them. */
	cr_assert(replaced >= lines * 9 / 10, "%zu of %zu", replaced, lines);
}

/* ---- datagrams ---- */

int raw_open(struct netns *ns, const char *address, int protocol)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	bool is_v6 = strchr(address, ':');
	int fd = netns_socket(ns, is_v6 ? AF_INET6 : AF_INET, SOCK_RAW, protocol);

	cr_assert(inet_pton(is_v6 ? AF_INET6 : AF_INET, address,
			    is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) == 1);
	cr_assert(connect(fd, is_v6 ? (void *)&v6 : (void *)&v4,
			  is_v6 ? sizeof(v6) : sizeof(v4)) == 0,
		  "%s: %s", address, strerror(errno));
	return fd;
}

size_t expect_text(int fd, const char *text)
{
	char data[65536];
	ssize_t len;

	cr_assert(wait_readable(fd), "'%s' does not arrive", text);
	len = recv(fd, data, sizeof(data) - 1, 0);
	cr_assert(len >= 0);
	data[len] = '\0';
	cr_assert((size_t)len >= strlen(text) &&
			  memcmp(data + (size_t)len - strlen(text), text, strlen(text)) == 0,
		  "expected '%s', got '%s'", text,
		  data + ((size_t)len > strlen(text) ? (size_t)len - strlen(text) : 0));
	return (size_t)len;
}
