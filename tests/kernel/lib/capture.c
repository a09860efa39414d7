/* SPDX-License-Identifier: MIT */
/*
 * Edited packets as they arrive, judged by tshark: an implementation of every checksum that is not
 * ours and not the kernel's. Senders compute checksums themselves here, so that packets that were not
 * edited have right ones, too.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rewrite.h"

/* ---- capturing ---- */

static int index_of_eth0(void *arg)
{
	(void)arg;
	return (int)if_nametoindex("eth0");
}

/* From now on, everything that the right host receives and sends. */
static int capture_open(void)
{
	const int buffer = 256 << 20;
	int fd = netns_socket(rewrite.right, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	struct sockaddr_ll eth0 = { .sll_family = AF_PACKET,
				    .sll_protocol = htons(ETH_P_ALL),
				    .sll_ifindex =
					    netns_call(rewrite.right, index_of_eth0, NULL) };

	cr_assert(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) == 0);
	cr_assert(bind(fd, (struct sockaddr *)&eth0, sizeof(eth0)) == 0);
	return fd;
}

/* What was sent before this has arrived behind it: the first packet waits for its neighbour's address. */
static void settle(void)
{
	udp_open(&udp, rewrite.left, rewrite.right, "10.0.1.2", PORT + 1);
	udp_send(&udp, 1);
	rewrite_serve(1);
	cr_assert(wait_readable(udp.rx));
	udp_close(&udp);
}

/* All of it to a file, in the format of libpcap (https://www.tcpdump.org/manpages/pcap-savefile.5). */
static unsigned int capture_write(int fd, FILE *file)
{
	const uint32_t head[] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65536, 1 /* Ethernet */ };
	struct tpacket_stats stats = { 0 };
	socklen_t len = sizeof(stats);
	unsigned int packets = 0;
	uint8_t frame[65536];
	ssize_t size;

	fwrite(head, sizeof(head), 1, file);
	while ((size = recv(fd, frame, sizeof(frame), 0)) > 0) {
		const uint32_t record[] = { 0, packets++, (uint32_t)size, (uint32_t)size };

		fwrite(record, sizeof(record), 1, file);
		fwrite(frame, (size_t)size, 1, file);
	}
	cr_assert(fflush(file) == 0 && !ferror(file));
	cr_assert(getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0);
	cr_assert(stats.tp_drops == 0, "%u frames were lost", stats.tp_drops);
	return packets;
}

/* ---- judging ---- */

#define PROTOCOLS 6
static const char *const protocols[PROTOCOLS] = { "ip", "tcp", "udp", "icmp", "icmpv6", "sctp" };

/* How many packets have a good and a bad checksum of each protocol. */
struct judgement {
	unsigned int good[PROTOCOLS], bad[PROTOCOLS];
};

/*
 * A line of tshark's: the status for each protocol (0 bad, 1 good, several behind commas if a packet
 * quotes another), then TCP's checksum. Where the kernel completes a checksum (skb_checksum_help) it
 * writes 0xffff for 0, as only UDP has to, and tshark objects; but these are the same number in ones'
 * complement, and receivers do not mind.
 */
static void read_line(struct judgement *judgement, char *line)
{
	bool same = strstr(line, "0xffff");
	char *status;

	for (size_t i = 0; i < PROTOCOLS && (status = strsep(&line, "\t")); i++) {
		judgement->bad[i] += strchr(status, '0') && !(i == 1 && same);
		judgement->good[i] += strchr(status, '1') != NULL;
	}
}

static struct judgement judge(const char *path)
{
	struct judgement judgement = { { 0 }, { 0 } };
	char fields[512] = "", *output, *rest, *line;

	for (size_t i = 0; i < PROTOCOLS; i++)
		sprintf(fields + strlen(fields), "-e %s.checksum.status ", protocols[i]);
	rest = output = netns_output(
		NULL,
		"tshark -n -r %s -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE"
		" -o udp.check_checksum:TRUE -o udplite.check_checksum:TRUE"
		" -o 'sctp.checksum:CRC 32c' -T fields %s -e tcp.checksum 2>/dev/null",
		path, fields);
	while ((line = strsep(&rest, "\n")))
		read_line(&judgement, line);
	free(output);
	return judgement;
}

/* No packet has a bad checksum, and at least so many of each protocol have a good one. */
static void expect_good(int fd, const unsigned int least[PROTOCOLS])
{
	char path[] = "/tmp/mnfq-capture-XXXXXX";
	FILE *file = fdopen(mkstemp(path), "w");
	struct judgement judgement;
	unsigned int packets;

	cr_assert(file);
	packets = capture_write(fd, file);
	judgement = judge(path);
	for (size_t i = 0; i < PROTOCOLS; i++) {
		cr_expect(judgement.bad[i] == 0, "%u of %u packets have a bad checksum of %s",
			  judgement.bad[i], packets, protocols[i]);
		cr_expect(judgement.good[i] >= least[i],
			  "%u packets with a good checksum of %s, %u expected", judgement.good[i],
			  protocols[i], least[i]);
	}
	fclose(file);
	unlink(path);
}

/* ---- traffic ---- */

static int open_capture(const struct mnfq_queue_options *options)
{
	if (system("command -v tshark ethtool >/dev/null") != 0)
		skip_or_fail("this needs the commands tshark and ethtool");
	rewrite_open(options);
	netns_run(rewrite.left, "ethtool -K eth0 tx off");
	netns_run(rewrite.right, "ethtool -K eth0 tx off");
	return capture_open();
}

static void tcp(const char *address, const struct mnfq_queue_options *options,
		const unsigned int least[PROTOCOLS])
{
	int fd = open_capture(options);

	rewrite.from = "the quick brown fox";
	rewrite.to = "ThE qUiCk BrOwN fOx";
	rewrite_tcp(address);
	cr_assert((rewrite.large > 0) == !options, "%u large packets", rewrite.large);
	expect_good(fd, least);
	close(fd);
	rewrite_close();
}

/* 10 MB are 6,906 segments of 1,448 bytes, or 7,003 of 1,428 with IPv6, and acknowledgements. */
Test(capture, tcp_of_large_packets_ipv4)
{
	tcp("10.0.1.2", NULL, (unsigned int[PROTOCOLS]){ 6900, 6900 });
}

Test(capture, tcp_without_gso_ipv4)
{
	tcp("10.0.1.2", QUEUE_OPTIONS(.flags = MNFQ_QUEUE_NO_GSO),
	    (unsigned int[PROTOCOLS]){ 6900, 6900 });
}

Test(capture, tcp_of_large_packets_ipv6)
{
	tcp("fd00:0:0:1::2", NULL, (unsigned int[PROTOCOLS]){ 0, 7000 });
}

/*
 * As they are behind the IP header. Their checksums were made by scapy, and those of UDP-Lite by hand
 * (RFC 3828): the first covers all of the datagram, the second 16 bytes.
 */
static const struct {
	int protocol;
	const char *hex;
} raw_packets[] = {
	{ IPPROTO_ICMP, "0800097f4d4e000161206c6974746c65206563686f" },
	{ IPPROTO_SCTP, "03e807d000000001859910400000001e000000010000000000000000"
			"61206c6974746c65206368756e6b0000" },
	{ IPPROTO_UDPLITE, "10001b58000020c361206c6974746c65206c697465" },
	{ IPPROTO_UDPLITE, "10001b5800100f9461206c6974746c65206c697465" },
};

static void send_raw(const char *address, int protocol, const char *hex)
{
	int fd = raw_open(rewrite.left, address, protocol);
	size_t len = strlen(hex) / 2;
	uint8_t bytes[128];

	for (size_t i = 0; i < len; i++)
		cr_assert(sscanf(hex + 2 * i, "%2hhx", &bytes[i]) == 1);
	cr_assert(send(fd, bytes, len, 0) == (ssize_t)len, "%s", strerror(errno));
	rewrite_serve(1);
	close(fd);
}

/* Texts of eight lengths. */
static void send_datagrams(const char *address, void (*prepare)(int fd))
{
	static const char text[] = "a little datagram, with a little text";

	udp_open(&udp, rewrite.left, rewrite.right, address, PORT);
	if (prepare)
		prepare(udp.tx);
	for (size_t i = 0; i < 8; i++)
		cr_assert(send(udp.tx, text, strlen(text) - i, 0) > 0);
	rewrite_serve(8);
	udp_close(&udp);
}

static void add_extension_header(int fd)
{
	static const uint8_t options[24] = { 0, 2, 0x1e, 20 };

	cr_assert(setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, options, sizeof(options)) == 0);
}

static void send_all(void)
{
	for (size_t i = 0; i < sizeof(raw_packets) / sizeof(raw_packets[0]); i++)
		send_raw("10.0.1.2", raw_packets[i].protocol, raw_packets[i].hex);
	/* The kernel writes the checksum of ICMPv6. */
	send_raw("fd00:0:0:1::2", IPPROTO_ICMPV6, "800000004d4e000161206c6974746c65206563686f");
	send_datagrams("10.0.1.2", NULL);
	send_datagrams("fd00:0:0:1::2", NULL);
	send_datagrams("fd00:0:0:1::2", add_extension_header);
}

/* Sent three times: edited to the same length, to a larger one, to a smaller one. */
Test(capture, datagrams_of_all_kinds)
{
	static const char *const texts[] = { "LITTLE", "considerably larger", "big" };
	int fd = open_capture(NULL);

	rewrite.from = "little";
	for (size_t i = 0; i < 3; i++) {
		rewrite.to = texts[i];
		send_all();
	}
	cr_assert(rewrite.refused == 0, "%s", rewrite.errmsg);
	cr_assert(rewrite.edits >= 3 * (5 + 24), "%u", rewrite.edits);
	settle();
	/* Echoes are answered; UDP-Lite counts as UDP. */
	expect_good(fd, (unsigned int[PROTOCOLS]){ 3 * 13, 0, 3 * (24 + 2), 3 * 2, 3 * 2, 3 });
	close(fd);
	rewrite_close();
}

/* The judge does judge: a checksum that is wrong on purpose is found. */
Test(capture, a_bad_checksum_is_found)
{
	char path[] = "/tmp/mnfq-capture-XXXXXX";
	int fd = open_capture(NULL);
	FILE *file = fdopen(mkstemp(path), "w");
	struct judgement judgement;

	cr_assert(file);
	send_raw("10.0.1.2", IPPROTO_ICMP, "0800097e4d4e000161206c6974746c65206563686f");
	send_raw("10.0.1.2", IPPROTO_SCTP,
		 "03e807d000000001859910410000001e000000010000000000000000"
		 "61206c6974746c65206368756e6b0000");
	settle();
	capture_write(fd, file);
	/* The answer that there is no SCTP quotes the packet. */
	judgement = judge(path);
	cr_expect(judgement.bad[3] == 1 && judgement.bad[5] >= 1);
	fclose(file);
	unlink(path);
	close(fd);
	rewrite_close();
}
