/* SPDX-License-Identifier: MIT */
/* Packets that were edited, as the receiver's kernel judges them: it drops what has a bad checksum. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/udp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rewrite.h"

#define NO_GSO QUEUE_OPTIONS(.flags = MNFQ_QUEUE_NO_GSO)

/* ---- TCP ---- */

static void tcp(const char *address, const struct mnfq_queue_options *options)
{
	rewrite_open(options);
	rewrite.from = "the quick brown fox";
	rewrite.to = "ThE qUiCk BrOwN fOx";
	rewrite_tcp(address);
	cr_assert(bad_checksums(rewrite.right) == 0);
	cr_assert((rewrite.large > 0) == !options, "%u large packets", rewrite.large);
	rewrite_close();
}

Test(edit, a_tcp_stream_of_large_packets_arrives_as_edited_ipv4)
{
	tcp("10.0.1.2", NULL);
}

Test(edit, a_tcp_stream_of_large_packets_arrives_as_edited_ipv6)
{
	tcp("fd00:0:0:1::2", NULL);
}

Test(edit, a_tcp_stream_without_gso_arrives_as_edited_ipv4)
{
	tcp("10.0.1.2", NO_GSO);
}

Test(edit, a_tcp_stream_without_gso_arrives_as_edited_ipv6)
{
	tcp("fd00:0:0:1::2", NO_GSO);
}

/* Cuts each segment short, cannot have that repaired, and lets it go on all the same. */
static enum mnfq_verdict shorten(struct mnfq_packet *packet, void *data)
{
	struct mnfq_layers at = { .size = sizeof(at) };
	const uint8_t *bytes = mnfq_packet_get_payload(packet, NULL);

	(void)data;
	if (mnfq_packet_get_layers(packet, &at) < 0 || at.end <= at.data)
		return MNFQ_ACCEPT;
	cr_assert(mnfq_packet_set_payload(packet, bytes, at.end - 1) == 0, "%s",
		  mnfq_packet_get_error(packet));
	cr_assert(mnfq_packet_repair(packet) == -EOPNOTSUPP);
	rewrite.refused++;
	return MNFQ_ACCEPT;
}

Test(edit, a_tcp_stream_survives_repairs_that_were_refused)
{
	struct tcp tcp = { .address = "10.0.1.2", .port = PORT, .size = 1000000 };
	int result;

	rewrite_open(NULL);
	mnfq_queue_unbind(rewrite.queue);
	expect_ok(rewrite.sock,
		  mnfq_queue_bind(&rewrite.queue, rewrite.sock, 1, NULL, shorten, &rewrite));
	tcp.from = rewrite.left;
	tcp.to = rewrite.right;
	tcp_start(&tcp);
	rewrite_serve_until(tcp.done_fd);
	result = tcp_finish(&tcp);
	cr_assert(result == 0, "%s", strerror(-result));
	cr_assert(rewrite.refused > 0 && bad_checksums(rewrite.right) == 0);
	rewrite_close();
}

/* ---- datagrams ---- */

static void send_text(const char *text)
{
	cr_assert(send(udp.tx, text, strlen(text), 0) == (ssize_t)strlen(text));
}

/* One datagram that is longer afterwards, and one that is shorter. */
static void lengthen_and_shorten(void)
{
	rewrite.from = "little";
	rewrite.to = "considerably larger";
	send_text("a little text, with little in it");
	rewrite_serve(1);
	cr_assert(rewrite.edits == 2, "%s", rewrite.errmsg);
	expect_text(udp.rx, "a considerably larger text, with considerably larger in it");
	rewrite.to = "";
	send_text("a little text");
	rewrite_serve(1);
	expect_text(udp.rx, "a  text");
	cr_assert(bad_checksums(rewrite.right) == 0 && rewrite.refused == 0);
}

static void udp_with(const char *address, void (*prepare)(int fd))
{
	rewrite_open_udp(NULL, address);
	if (prepare)
		prepare(udp.tx);
	lengthen_and_shorten();
	rewrite_close();
}

/* Padding in the hop-by-hop options; in the destination options one that is unknown and skipped. */
static void add_extension_headers(int fd)
{
	static const uint8_t hops[8] = { 0, 0, 1, 4 };
	static const uint8_t destination[24] = { 0, 2, 0x1e, 20 };

	cr_assert(setsockopt(fd, IPPROTO_IPV6, IPV6_HOPOPTS, hops, sizeof(hops)) == 0);
	cr_assert(setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, destination, sizeof(destination)) ==
		  0);
}

/* Record route, empty. */
static void add_ip_options(int fd)
{
	static const uint8_t options[] = { 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

	cr_assert(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, sizeof(options)) == 0);
}

static void send_no_checksum(int fd)
{
	const int one = 1;

	cr_assert(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)) == 0);
}

Test(edit, udp_gets_longer_and_shorter_ipv4)
{
	udp_with("10.0.1.2", NULL);
}

Test(edit, udp_gets_longer_and_shorter_behind_ip_options)
{
	udp_with("10.0.1.2", add_ip_options);
}

Test(edit, udp_gets_longer_and_shorter_ipv6)
{
	udp_with("fd00:0:0:1::2", NULL);
}

Test(edit, udp_gets_longer_and_shorter_behind_extension_headers)
{
	udp_with("fd00:0:0:1::2", add_extension_headers);
}

/* A raw socket sees the datagram with its headers. */
Test(edit, no_checksum_stays_none)
{
	uint8_t bytes[128];
	int raw;

	rewrite_open_udp(NULL, "10.0.1.2");
	raw = raw_open(rewrite.right, "10.0.1.1", IPPROTO_UDP);
	send_no_checksum(udp.tx);
	lengthen_and_shorten();
	cr_assert(recv(raw, bytes, sizeof(bytes), 0) > 28);
	cr_assert(bytes[26] == 0 && bytes[27] == 0, "%02x%02x", bytes[26], bytes[27]);
	close(raw);
	rewrite_close();
}

/* ---- echo ---- */

static uint16_t naive_sum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void echo(const char *address, const char *to)
{
	bool v6 = strchr(address, ':');
	struct {
		struct icmphdr head;
		char text[24];
	} request = { .head = { .type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO },
		      .text = "is anybody out there, 42" };
	char expected[64];
	int fd;

	rewrite_open(NULL);
	rewrite.from = "anybody out";
	rewrite.to = to;
	snprintf(expected, sizeof(expected), "is %s there, 42", to);
	fd = icmp_open(rewrite.left, address);
	if (v6) {
		struct icmp6_filter filter;

		ICMP6_FILTER_SETBLOCKALL(&filter);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
		cr_assert(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) ==
			  0);
	}
	request.head.checksum = v6 ? 0 : naive_sum((const uint8_t *)&request, sizeof(request));
	cr_assert(send(fd, &request, sizeof(request), 0) == sizeof(request));
	rewrite_serve(1);
	cr_assert(rewrite.edits == 1, "%s", rewrite.errmsg);
	expect_text(fd, expected); /* who answers has checked the checksum */
	cr_assert(bad_checksums(rewrite.right) == 0);
	close(fd);
	rewrite_close();
}

Test(edit, an_echo_request_is_answered_as_edited_ipv4)
{
	echo("10.0.1.2", "nothing out");
	echo("10.0.1.2", "a penguin");
}

Test(edit, an_echo_request_is_answered_as_edited_ipv6)
{
	echo("fd00:0:0:1::2", "nothing out");
	echo("fd00:0:0:1::2", "a flock of penguins");
}

/* ---- what is refused ---- */

/* The editor has refused with @error, and the datagram arrived as it was sent. */
static void expect_refused(const char *text, int error)
{
	rewrite_serve(1);
	cr_assert(rewrite.refused == 1 && rewrite.edits == 0);
	cr_assert(rewrite.error == error, "%s: %s", strerror(-rewrite.error), rewrite.errmsg);
	expect_text(udp.rx, text);
}

/* The kernel would split it by a size that it does not tell: datagrams would run into each other. */
Test(edit, large_packets_of_udp_are_refused)
{
	int size = 4;

	rewrite_open_udp(NULL, "10.0.1.2");
	cr_assert(setsockopt(udp.tx, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0);
	rewrite.from = "two2";
	rewrite.to = "four";
	send_text("one1two2");
	expect_refused("one1", -EOPNOTSUPP);
	cr_assert(rewrite.large == 1 && strstr(rewrite.errmsg, "MNFQ_QUEUE_NO_GSO"), "%s",
		  rewrite.errmsg);
	expect_text(udp.rx, "two2");
	rewrite_close();
}

Test(edit, split_packets_of_udp_are_edited)
{
	int size = 4;

	rewrite_open_udp(NO_GSO, "10.0.1.2");
	cr_assert(setsockopt(udp.tx, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0);
	rewrite.from = "two2";
	rewrite.to = "four or more";
	send_text("one1two2");
	rewrite_serve(2);
	expect_text(udp.rx, "one1");
	expect_text(udp.rx, "four or more");
	cr_assert(bad_checksums(rewrite.right) == 0);
	rewrite_close();
}

Test(edit, a_truncated_packet_is_refused)
{
	rewrite_open_udp(QUEUE_OPTIONS(.copy_range = 40), "10.0.1.2");
	rewrite.from = "begins";
	rewrite.to = "starts";
	send_text("it begins, and goes on");
	expect_refused("it begins, and goes on", -EMSGSIZE);
	rewrite_close();
}

/* The largest datagram there is: no setting makes a message carry all of it. */
Test(edit, no_advice_to_raise_what_is_at_its_maximum)
{
	static char text[65507];

	rewrite_open_udp(NULL, "10.0.1.2");
	rewrite.from = "begins";
	rewrite.to = "starts";
	memcpy(text, "it begins", 9);
	cr_assert(send(udp.tx, text, sizeof(text), 0) == (ssize_t)sizeof(text));
	rewrite_serve(1);
	cr_assert(rewrite.refused == 1 && rewrite.error == -EMSGSIZE, "%s", rewrite.errmsg);
	cr_assert(strstr(rewrite.errmsg, "65531 bytes") && !strstr(rewrite.errmsg, "copy_range"),
		  "%s", rewrite.errmsg);
	rewrite_close();
}

static enum mnfq_verdict cut(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(mnfq_packet_allow(packet, MNFQ_ALLOW_CUT) == 0);
	cr_assert(mnfq_packet_edit(packet, 28, 2, "IT", 2) == 0);
	return MNFQ_ACCEPT;
}

Test(edit, a_truncated_packet_is_cut_by_those_who_insist)
{
	rewrite_open(NULL);
	mnfq_queue_unbind(rewrite.queue);
	expect_ok(rewrite.sock, mnfq_queue_bind(&rewrite.queue, rewrite.sock, 1,
						QUEUE_OPTIONS(.copy_range = 37), cut, NULL));
	udp_open(&udp, rewrite.left, rewrite.right, "10.0.1.2", PORT);
	send_text("it begins, and goes on");
	rewrite_serve(1);
	cr_assert(expect_text(udp.rx, "IT begins") == 9);
	cr_assert(bad_checksums(rewrite.right) == 0);
	rewrite_close();
}

/* ---- packets that no socket would send ---- */

/* An IPv4 packet with @len bytes behind its header, of a raw socket that leaves it as it is. */
static void send_ip(uint8_t protocol, uint16_t fragment, const void *data, size_t len)
{
	struct {
		struct iphdr head;
		uint8_t data[1000];
	} packet = { .head = { .version = 4,
			       .ihl = 5,
			       .id = htons(4711),
			       .frag_off = htons(fragment),
			       .ttl = 64,
			       .protocol = protocol,
			       .saddr = htonl(0x0a000101),
			       .daddr = htonl(0x0a000102) } };
	int fd = raw_open(rewrite.left, "10.0.1.2", IPPROTO_RAW);

	memcpy(packet.data, data, len);
	cr_assert(send(fd, &packet, sizeof(packet.head) + len, 0) > 0, "%s", strerror(errno));
	close(fd);
}

/* A datagram to PORT with @text, cut into fragments behind @first bytes; the second gets refused. */
#define TEXT "the first part of it, and the rest of it"

Test(edit, of_fragments_is_edited_what_can_be)
{
	uint8_t datagram[8 + sizeof(TEXT) - 1 + 12] = { 0x10,       0x00, PORT >> 8,
							PORT & 255, 0,    8 + sizeof(TEXT) - 1 };
	uint8_t sums[12 + sizeof(datagram)] = { 10, 0, 1, 1,           10, 0,
						1,  2, 0, IPPROTO_UDP, 0,  8 + sizeof(TEXT) - 1 };
	const size_t len = 8 + sizeof(TEXT) - 1, first = 32;
	uint16_t check;

	memcpy(datagram + 8, TEXT, sizeof(TEXT) - 1);
	memcpy(sums + 12, datagram, len);
	check = naive_sum(sums, 12 + len);
	memcpy(datagram + 6, &check, 2);

	rewrite_open_udp(NULL, "10.0.1.2");
	rewrite.from = "part";
	rewrite.to = "PART";
	send_ip(IPPROTO_UDP, IP_MF, datagram, first);
	rewrite_serve(1);
	cr_assert(rewrite.edits == 1, "%s", rewrite.errmsg);

	/* The second one goes on as it is: its layers show no data, and an edit is refused. */
	rewrite.from = "rest";
	rewrite.to = "REST";
	rewrite.edits = 0;
	send_ip(IPPROTO_UDP, (uint16_t)(first / 8), datagram + first, len - first);
	expect_refused("the first PART of it, and the rest of it", -EOPNOTSUPP);
	cr_assert(bad_checksums(rewrite.right) == 0);
	rewrite_close();
}

/* The checksum is wrong: so it stays, or the edit is refused. */
Test(edit, a_damaged_packet_stays_damaged)
{
	const uint8_t datagram[] = { 0x10, 0,    PORT >> 8, PORT & 255, 0,   12,
				     0xba, 0xad, 't',       'e',        'x', 't' };

	rewrite_open_udp(NULL, "10.0.1.2");
	rewrite.from = "ex";
	rewrite.to = "EX";
	send_ip(IPPROTO_UDP, 0, datagram, sizeof(datagram));
	rewrite_serve(1);
	cr_assert(rewrite.edits == 1, "%s", rewrite.errmsg);
	cr_assert(wait_until(bad_checksums(rewrite.right) == 1));
	rewrite.to = "longer";
	send_ip(IPPROTO_UDP, 0, datagram, sizeof(datagram));
	rewrite_serve(1);
	cr_assert(rewrite.refused == 1 && rewrite.error == -EBADMSG, "%s", rewrite.errmsg);
	cr_assert(wait_until(bad_checksums(rewrite.right) == 2));
	rewrite_close();
}

Test(edit, another_length_of_tcp_is_refused)
{
	uint8_t segment[] = { 0x10, 0,    0x20, 0, 0, 0, 0, 1, 0,   0,   0,   1,
			      0x50, 0x18, 1,    0, 0, 0, 0, 0, 't', 'e', 'x', 't' };
	uint8_t sums[12 + sizeof(segment)] = { 10, 0, 1, 1,           10, 0,
					       1,  2, 0, IPPROTO_TCP, 0,  sizeof(segment) };
	uint16_t check;

	memcpy(sums + 12, segment, sizeof(segment));
	check = naive_sum(sums, sizeof(sums));
	memcpy(segment + 16, &check, 2);
	rewrite_open(NULL);
	rewrite.from = "text";
	rewrite.to = "prose";
	send_ip(IPPROTO_TCP, 0, segment, sizeof(segment));
	rewrite_serve(1);
	cr_assert(rewrite.refused == 1 && rewrite.error == -EOPNOTSUPP, "%s", rewrite.errmsg);
	rewrite_close();
}

/* ---- other ways ---- */

static enum mnfq_verdict redirect(struct mnfq_packet *packet, void *data)
{
	static const uint8_t address[] = { 10, 0, 1, 9 };

	(void)data;
	cr_assert(mnfq_packet_edit(packet, 16, 4, address, 4) == 0, "%s",
		  mnfq_packet_get_error(packet));
	return MNFQ_ACCEPT;
}

Test(edit, an_address_is_changed_with_both_checksums)
{
	struct udp other;

	rewrite_open(NULL);
	netns_run(rewrite.right, "ip address add 10.0.1.9/24 dev eth0");
	mnfq_queue_unbind(rewrite.queue);
	expect_ok(rewrite.sock,
		  mnfq_queue_bind(&rewrite.queue, rewrite.sock, 1, NULL, redirect, NULL));
	udp_open(&udp, rewrite.left, rewrite.right, "10.0.1.2", PORT);
	udp_open(&other, rewrite.left, rewrite.right, "10.0.1.9", PORT);
	send_text("to the other one");
	rewrite_serve(1);
	expect_text(other.rx, "to the other one");
	cr_assert(bad_checksums(rewrite.right) == 0);
	udp_close(&other);
	rewrite_close();
}

static enum mnfq_verdict keep(struct mnfq_packet *packet, void *data)
{
	cr_assert(mnfq_packet_edit(packet, 28, 1, "A", 1) == 0);
	cr_assert(mnfq_packet_retain(data, packet) == 0);
	return MNFQ_DEFER;
}

Test(edit, a_retained_packet_is_edited_before_and_after)
{
	struct mnfq_packet *kept = NULL;

	rewrite_open(NULL);
	mnfq_queue_unbind(rewrite.queue);
	expect_ok(rewrite.sock,
		  mnfq_queue_bind(&rewrite.queue, rewrite.sock, 1, NULL, keep, &kept));
	udp_open(&udp, rewrite.left, rewrite.right, "10.0.1.2", PORT);
	send_text("a text");
	rewrite_serve(1);
	cr_assert(kept && mnfq_packet_edit(kept, 30, 4, "letter", 6) == 0);
	cr_assert(mnfq_packet_edit(kept, 30, 1, "L", 1) == 0);
	cr_assert(mnfq_packet_decide(kept, MNFQ_ACCEPT) == 0);
	expect_text(udp.rx, "A Letter");
	cr_assert(bad_checksums(rewrite.right) == 0);
	mnfq_packet_free(kept);
	rewrite_close();
}

static enum mnfq_verdict rebuild(struct mnfq_packet *packet, void *data)
{
	const bool *repair = data;
	size_t len;
	const uint8_t *old = mnfq_packet_get_payload(packet, &len);
	uint8_t bytes[256];

	memcpy(bytes, old, len);
	memcpy(bytes + len, " and more", 9);
	cr_assert(mnfq_packet_set_payload(packet, bytes, len + 9) == 0);
	if (*repair)
		cr_assert(mnfq_packet_repair(packet) == 0, "%s", mnfq_packet_get_error(packet));
	return MNFQ_ACCEPT;
}

/* Without the repair the length is wrong, and so is the checksum: the counter does count. */
Test(edit, a_payload_of_our_own_is_repaired)
{
	bool repair = true;

	rewrite_open(NULL);
	mnfq_queue_unbind(rewrite.queue);
	expect_ok(rewrite.sock,
		  mnfq_queue_bind(&rewrite.queue, rewrite.sock, 1, NULL, rebuild, &repair));
	udp_open(&udp, rewrite.left, rewrite.right, "10.0.1.2", PORT);
	send_text("something");
	rewrite_serve(1);
	expect_text(udp.rx, "something and more");
	cr_assert(bad_checksums(rewrite.right) == 0);
	repair = false;
	send_text("something");
	rewrite_serve(1);
	cr_assert(wait_until(bad_checksums(rewrite.right) == 1));
	rewrite_close();
}
