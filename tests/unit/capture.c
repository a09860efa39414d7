/* SPDX-License-Identifier: MIT */
/* capture/: what is written is read again, and what others have written as well. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <string.h>

#include "capture/comment.h"
#include "capture/files.h"
#include "capture/frame.h"
#include "capture/pcapng-read.h"
#include "capture/pcapng-write.h"
#include "capture/pcapng.h"
#include "capture/reader.h"
#include "capture/view.h"
#include "support/build.h"

static uint8_t bytes[4 * PCAPNG_BLOCK_MAX];
static size_t len;
static struct build udp;
static struct capture_reader *reader;
static FILE *file;
static struct record record;

static void begin(void)
{
	len = 0;
	build(&udp, AF_INET, IPPROTO_UDP, 32);
	record_begin(&record);
	record.info.payload = udp.p + udp.network;
	record.info.payload_len = record.info.length = udp.len - udp.network;
	record.info.flags = MNFQ_INFO_LENGTH;
	record.info.family = NFPROTO_IPV4;
	record.info.hook = NF_INET_LOCAL_OUT;
	record.time = 1700000000123456;
}

static void end(void)
{
	capture_reader_free(reader);
	reader = NULL;
	if (file)
		fclose(file);
	file = NULL;
}

TestSuite(capture, .init = begin, .fini = end);

static void open_bytes(void)
{
	end();
	file = fmemopen(bytes, len, "r");
	reader = capture_reader_new(file);
	cr_assert(file && reader);
}

static const struct record_interface *interface_of(const char *name, const char *netns)
{
	static struct record_interface interface;

	memset(&interface, 0, sizeof(interface));
	strcpy(interface.name, name);
	strcpy(interface.netns, netns);
	interface.link_type = frame_link_type(&record);
	return &interface;
}

/* A capture of @record, and the next packet in it. */
static void write_record(uint32_t snap)
{
	len = pcapng_write_section(bytes);
	len += pcapng_write_interface(bytes + len, interface_of("eth0", "blue"), snap);
	len += pcapng_write_packet(bytes + len, 0, &record, snap);
}

static void read_again(void)
{
	memset(&record, 0x5a, sizeof(record));
	cr_assert_eq(capture_read(reader, &record), 1, "%s", capture_reader_error(reader));
}

static void expect_error(int err, const char *part)
{
	struct record none;

	cr_expect_eq(capture_read(reader, &none), err);
	cr_expect(strstr(capture_reader_error(reader), part), "'%s' lacks '%s'",
		  capture_reader_error(reader), part);
	cr_expect_leq(capture_read(reader, &none), 0, "nothing follows an error");
}

/* ---- ours --------------------------------------------------------------------------------- */

Test(capture, what_was_known_is_read_again)
{
	const struct record before = {
		.info = { .size = sizeof(before.info),
			  .flags =
				  MNFQ_INFO_LENGTH | MNFQ_INFO_UID | MNFQ_INFO_GID | MNFQ_INFO_CT,
			  .length = 1500,
			  .id = 0xfffffff0,
			  .queue_num = 65535,
			  .mark = 0xcafe,
			  .skb_info = MNFQ_SKB_GSO,
			  .priority = 5,
			  .cgroup_classid = 6,
			  .uid = 0,
			  .gid = 4294967295,
			  .hw_protocol = ETH_P_IP,
			  .ct_info = 4,
			  .hwaddr_len = 6,
			  .hwaddr = { 2, 4, 6, 8, 10, 0xff },
			  .family = NFPROTO_IPV4,
			  .hook = NF_INET_FORWARD },
		.has_queue = true,
		.has_id = true,
		.secctx = "a b%=\n\xff",
		.secctx_len = 7,
		.ct_mark = 1,
		.ct_id = 2,
		.ct_zone = 3,
		.time = 1700000000123456,
		.indev = "eth0",
		.outdev = "fifteen-letters",
		.physindev = "a%b",
		.physoutdev = "\xc3\xa9",
		.has_verdict = true,
		.verdict = mnfq_verdict_queue(7),
		.has_verdict_mark = true,
		.verdict_mark = 0,
		.inbound = true,
		.dropped = 9,
	};

	record = before;
	record.info.payload = udp.p + udp.network;
	record.info.payload_len = udp.len - udp.network;
	write_record(0);
	open_bytes();
	read_again();
	cr_expect_eq(record.info.payload_len, udp.len - udp.network);
	cr_expect(memcmp(record.info.payload, udp.p + udp.network, record.info.payload_len) == 0);
	cr_expect(strcmp(record.interface->name, "eth0") == 0);
	cr_expect(strcmp(record.interface->netns, "blue") == 0);
	cr_expect_eq(record.interface->link_type, LINK_RAW);
	record.info.payload = NULL;
	record.info.payload_len = 0;
	record.interface = NULL;
	/* Not at once: what is between members may hold anything. */
#define SAME(member)                                                                             \
	cr_expect(memcmp(&record.member, &before.member, sizeof(record.member)) == 0, #member)
	SAME(info);
	SAME(has_queue);
	SAME(has_id);
	SAME(l2hdr);
	SAME(l2hdr_len);
	SAME(made_up_l2hdr);
	SAME(secctx);
	SAME(secctx_len);
	SAME(ct_mark);
	SAME(ct_id);
	SAME(ct_zone);
	SAME(time);
	SAME(kernel_time);
	SAME(indev);
	SAME(outdev);
	SAME(physindev);
	SAME(physoutdev);
	SAME(has_verdict);
	SAME(verdict);
	SAME(has_verdict_mark);
	SAME(verdict_mark);
	SAME(outbound);
	SAME(inbound);
	SAME(dropped);
#undef SAME
	cr_expect_eq(capture_read(reader, &record), 0);
}

/* As Wireshark 4.0 writes a capture anew: the verdict, of 9 bytes, has the number of the queue. */
Test(capture, options_of_another_length_are_none)
{
	static const uint8_t verdict[] = { 7, 0, 9, 0 }, id[] = { 5, 0, 8, 0 };
	uint8_t *at;

	record.has_queue = record.has_id = record.has_verdict = true;
	record.verdict = MNFQ_DROP;
	record.info.queue_num = 7;
	write_record(0);
	at = memmem(bytes, len, verdict, sizeof(verdict));
	cr_assert(at);
	at[0] = 6;
	open_bytes();
	read_again();
	cr_expect(record.has_queue);
	cr_expect_eq(record.info.queue_num, 7);
	cr_expect_eq(record.verdict, MNFQ_DROP, "as the comment says");
	at = memmem(bytes, len, id, sizeof(id));
	cr_assert(at);
	at[2] = 7; /* with a byte to fill up */
	open_bytes();
	read_again();
	cr_expect(!record.has_id);
}

Test(capture, states_of_connections_are_read_again)
{
	static const uint16_t states[] = { 0, 1, 2, 3, 4, 5, 7 };
	char text[COMMENT_SIZE];
	struct record again;

	record.info.flags |= MNFQ_INFO_CT;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		record.info.ct_info = states[i];
		record_begin(&again);
		comment_read(&again, text, comment_write(text, &record));
		cr_expect_eq(again.info.ct_info, states[i], "%u: %s", states[i], text);
	}
}

/* As on the link: the tag of a VLAN is where it was. */
Test(capture, packets_of_bridges_are_frames_of_an_ethernet)
{
	uint8_t head[FRAME_HEAD_MAX];

	record.info.family = NFPROTO_BRIDGE;
	record.info.hw_protocol = ETH_P_IP;
	record.info.flags |= MNFQ_INFO_VLAN;
	record.info.vlan_tci = 0x2005;
	record.info.vlan_protocol = ETH_P_8021AD;
	memcpy(record.l2hdr, "ABCDEFabcdef\x08\0", 14);
	record.l2hdr_len = 14;
	cr_assert_eq(frame_link_type(&record), LINK_ETHERNET);
	cr_assert_eq(frame_head(head, &record), 18);
	cr_expect(memcmp(head, "ABCDEFabcdef\x88\xa8\x20\x05\x08\0", 18) == 0);

	write_record(0);
	open_bytes();
	read_again();
	cr_expect_eq(record.info.flags, MNFQ_INFO_LENGTH | MNFQ_INFO_VLAN);
	cr_expect_eq(record.info.vlan_tci, 0x2005);
	cr_expect_eq(record.info.vlan_protocol, ETH_P_8021AD);
	cr_expect_eq(record.l2hdr_len, 14);
	cr_expect(memcmp(record.l2hdr, "ABCDEFabcdef\x08\0", 14) == 0);
	cr_expect_eq(record.info.length, udp.len - udp.network);
}

Test(capture, a_header_that_is_missing_is_made_up_and_known_to_be)
{
	struct mnfq_packet *packet;
	size_t l2hdr;

	record.info.family = NFPROTO_BRIDGE;
	record.info.hw_protocol = ETH_P_ARP;
	record.made_up_l2hdr = true;
	write_record(0);
	open_bytes();
	read_again();
	cr_expect_eq(record.info.hw_protocol, ETH_P_ARP);
	cr_expect(record.made_up_l2hdr);
	cr_assert_eq(record_packet(&packet, &record), 0);
	mnfq_packet_get_l2hdr(packet, &l2hdr);
	cr_expect_eq(l2hdr, 0);
	mnfq_packet_free(packet);
}

Test(capture, snap_cuts_and_the_length_stays)
{
	write_record(24);
	open_bytes();
	read_again();
	cr_expect_eq(record.info.payload_len, 24);
	cr_expect_eq(record.info.length, udp.len - udp.network);
}

Test(capture, without_a_payload_it_is_as_with_copy_meta)
{
	struct mnfq_packet *packet;

	record.info.payload_len = record.info.length = 0;
	record.info.flags = 0;
	write_record(0);
	open_bytes();
	read_again();
	cr_assert_eq(record_packet(&packet, &record), 0);
	cr_expect_eq(mnfq_packet_get_length(packet, &len), -ENODATA);
	mnfq_packet_free(packet);
}

/* Names are chosen by others, and shown by others. */
Test(capture, names_are_printable)
{
	struct record_interface interface = {
		.name = "e\033[31mh", .netns = "a\nb", .label = "\xff", .link_type = LINK_RAW
	};

	len = pcapng_write_section(bytes);
	len += pcapng_write_interface(bytes + len, &interface, 0);
	cr_expect(memmem(bytes, len, "e?[31mh", 7));
	cr_expect(memmem(bytes, len, "namespace a?b, label ?", 22));
	cr_expect(memmem(bytes, len, "mnfq netns=a%0ab label=%ff", 26));
	len += pcapng_write_packet(bytes + len, 0, &record, 0);
	open_bytes();
	read_again();
	cr_expect(strcmp(record.interface->netns, "a\nb") == 0);
	cr_expect(strcmp(record.interface->label, "\xff") == 0);
}

Test(capture, the_largest_packet_fits)
{
	static uint8_t payload[MNFQ_COPY_RANGE_MAX];

	record.info.payload = payload;
	record.info.payload_len = record.info.length = sizeof(payload);
	memset(record.secctx, '\xff', sizeof(record.secctx));
	record.secctx_len = sizeof(record.secctx);
	record.info.family = NFPROTO_BRIDGE;
	record.l2hdr_len = RECORD_L2HDR_MAX;
	cr_expect_lt(pcapng_write_packet(bytes, 0, &record, 0), PCAPNG_BLOCK_MAX);
}

Test(capture, only_our_comments_are_understood)
{
	static const char *const others[] = {
		"hook=input mark=0x7",
		"mnfqhook=input mark=0x7",
		"mnfq",
		"mnfq mark",
		"mnfq =",
		"mnfq mark=x hook=nowhere family=4000 hwaddr=02:4 ct_dir=reply uid",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		record_begin(&record);
		comment_read(&record, others[i], strlen(others[i]));
		cr_expect_eq(record.info.mark, 0, "%s", others[i]);
		cr_expect_eq(record.info.hook, RECORD_HOOK_UNKNOWN, "%s", others[i]);
		cr_expect_eq(record.info.hwaddr_len, 0, "%s", others[i]);
		cr_expect_eq(record.info.flags, 0, "%s", others[i]);
	}
}

/* ---- of others ---------------------------------------------------------------------------- */

static void put32(uint32_t value)
{
	memcpy(bytes + len, &value, 4);
	len += 4;
}

static void begin_pcap(uint32_t magic, uint32_t link_type)
{
	const uint32_t header[] = { magic, 0x00040002, 0, 0, 65535, link_type };

	len = 0;
	for (size_t i = 0; i < 6; i++)
		put32(header[i]);
}

static void put_pcap(uint32_t fraction, size_t caplen, uint32_t length)
{
	put32(1700000000);
	put32(fraction);
	put32((uint32_t)caplen);
	put32(length);
	memcpy(bytes + len, udp.p + udp.network, caplen);
	len += caplen;
}

Test(capture, a_pcap_file_is_read)
{
	begin_pcap(0xa1b23c4d, LINK_RAW);
	put_pcap(123456789, 28, 60);
	put_pcap(1000, 60, 60);
	open_bytes();
	read_again();
	cr_expect_eq(record.time, 1700000000123456);
	cr_expect_eq(record.info.length, 60);
	cr_expect_eq(record.info.payload_len, 28);
	cr_expect_eq(record.info.family, NFPROTO_IPV4);
	cr_expect_eq(record.info.hook, RECORD_HOOK_UNKNOWN);
	cr_expect_eq(record.info.id, 1);
	cr_expect(!record.has_id && !record.has_queue, "it is only the number in the file");
	cr_expect(!record.has_verdict);
	read_again();
	cr_expect_eq(record.time, 1700000000000001);
	cr_expect_eq(record.info.id, 2);
	cr_expect_eq(capture_read(reader, &record), 0);
}

Test(capture, an_unknown_link_type_is_counted)
{
	uint32_t type;

	begin_pcap(0xa1b2c3d4, 9999);
	put_pcap(0, 28, 28);
	open_bytes();
	cr_expect_eq(capture_read(reader, &record), 0);
	cr_expect_eq(capture_reader_skipped(reader, &type), 1);
	cr_expect_eq(type, 9999);
}

Test(capture, cooked_frames_are_packets_of_ip)
{
	begin_pcap(0xa1b2c3d4, 113);
	put_pcap(0, 44, 76);
	memset(bytes + 40, 0, 16);
	bytes[40 + 14] = 0x08;
	memcpy(bytes + 56, udp.p + udp.network, 28);
	open_bytes();
	read_again();
	cr_expect_eq(record.info.family, NFPROTO_IPV4);
	cr_expect_eq(record.info.payload_len, 28);
	cr_expect_eq(record.info.length, 60);
}

/* ---- what is wrong ------------------------------------------------------------------------ */

Test(capture, a_file_of_something_else_is_refused)
{
	strcpy((char *)bytes, "#!/bin/sh");
	len = 9;
	open_bytes();
	expect_error(-EBADMSG, "neither pcapng nor a pcap file");
	cr_expect(!strstr(capture_reader_error(reader), "at byte"));
}

Test(capture, a_file_that_is_compressed_is_refused)
{
	static const char *const begins[][2] = { { "\x1f\x8b\x08\x00", "zcat" },
						 { "\x28\xb5\x2f\xfd", "zstdcat" },
						 { "\xfd"
						   "7zXZ",
						   "xzcat" } };

	for (size_t i = 0; i < 3; i++) {
		memcpy(bytes, begins[i][0], 4);
		len = 4;
		open_bytes();
		expect_error(-EBADMSG, begins[i][1]);
		capture_reader_free(reader);
		reader = NULL;
	}
}

Test(capture, an_end_in_the_middle_is_reported_behind_what_is_whole)
{
	size_t whole;

	write_record(0);
	whole = len;
	len += pcapng_write_packet(bytes + len, 0, &record, 0) - 1;
	open_bytes();
	read_again();
	expect_error(-EBADMSG, "in the middle");
	cr_expect(strstr(capture_reader_error(reader), "at byte "));
	len = whole + 3;
	open_bytes();
	read_again();
	expect_error(-EBADMSG, "in the middle");
}

Test(capture, lengths_are_checked)
{
	size_t section = pcapng_write_section(bytes), interface;
	const uint32_t large = 17 << 20, odd = 21, caplen = 0xfffffff0;

	interface = pcapng_write_interface(bytes + section, interface_of("eth0", "blue"), 0);
	len = section + interface;
	memcpy(bytes + section + 4, &large, 4);
	open_bytes();
	expect_error(-EBADMSG, "longer than 16 MiB");
	memcpy(bytes + section + 4, &odd, 4);
	open_bytes();
	expect_error(-EBADMSG, "the length of a block is invalid");

	write_record(0);
	memcpy(bytes + section + interface + 20, &caplen, 4);
	open_bytes();
	expect_error(-EBADMSG, "a packet is longer than its block");
	begin_pcap(0xa1b2c3d4, LINK_RAW);
	put_pcap(0, 28, 28);
	memcpy(bytes + 32, &caplen, 4);
	open_bytes();
	expect_error(-EBADMSG, "longer than 256 KiB");
}

Test(capture, a_packet_of_no_interface_is_refused)
{
	len = pcapng_write_section(bytes);
	len += pcapng_write_packet(bytes + len, 0, &record, 0);
	open_bytes();
	expect_error(-EBADMSG, "of no interface");
}

/* A small file must not take much memory. */
Test(capture, interfaces_are_limited)
{
	const uint32_t block[] = { BLOCK_INTERFACE, 20, LINK_RAW, 0, 20 };
	FILE *many = tmpfile();
	size_t n = pcapng_write_section(bytes);

	cr_assert(many && fwrite(bytes, 1, n, many) == n);
	for (size_t i = 0; i < 65537; i++)
		cr_assert_eq(fwrite(block, sizeof(block), 1, many), 1);
	rewind(many);
	end();
	file = many;
	reader = capture_reader_new(file);
	expect_error(-EBADMSG, "more than 65536 interfaces");
}

/* ---- files -------------------------------------------------------------------------------- */

Test(capture, packets_are_counted)
{
	write_record(0);
	len += pcapng_write_packet(bytes + len, 0, &record, 0);
	len += pcapng_write_statistics(bytes + len, 0, &(struct pcapng_counts){ .start = 1 });
	cr_expect_eq(files_count((char *)bytes, len), 2);
	cr_expect_eq(files_count((char *)bytes, 0), 0);
	cr_expect_eq(files_whole((char *)bytes, len), len);
	cr_expect_eq(files_whole((char *)bytes, 0), 0);
	cr_expect_eq(files_whole((char *)bytes, 7), 0);
	cr_expect_lt(files_whole((char *)bytes, len - 1), len - 1);
}
