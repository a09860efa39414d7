/* SPDX-License-Identifier: MIT */
/* Packets of the bridge family: VLAN tags and link-layer headers, read and changed. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter.h> /* after netinet/in.h, which it would get in the way of */

#include "kernel-fixture.h"

#define MAC_A "\x02\0\0\0\0\x0a"
#define MAC_B "\x02\0\0\0\0\x0b"
#define MAC_C "\x02\0\0\0\0\x0c"

/* a -- p1 [br0] p2 -- b, with queue 1 in the bridge's forward hook. */
static struct {
	struct netns *a, *middle, *b;
	int tx, rx; /* of a and b: whole frames */
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
} span;

/* A frame that has arrived, its tag beside it. */
struct frame {
	uint8_t bytes[2048];
	size_t len;
	bool tagged;
	uint16_t tci, protocol;
};

static int find_index(void *arg)
{
	return (int)if_nametoindex(arg);
}

static int open_frames(struct netns *ns)
{
	char name[] = "eth0";
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL) };
	int fd = netns_socket(ns, AF_PACKET, SOCK_RAW, 0), one = 1;

	address.sll_ifindex = netns_call(ns, find_index, name);
	cr_assert(address.sll_ifindex > 0);
	cr_assert(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) == 0);
	cr_assert(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void end_of(struct netns *ns, const char *port, const char *address)
{
	netns_run(span.middle,
		  "ip link add %s type veth peer name eth0 address %s netns %s &&"
		  " ip link set %s master br0 up",
		  port, address, ns->name, port);
	netns_run(ns, "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip link set eth0 up");
	netns_wait_up(ns, "eth0");
	netns_wait_up(span.middle, port);
}

static void span_open(mnfq_callback callback, void *data)
{
	span.a = netns_new();
	span.middle = netns_new();
	span.b = netns_new();
	/* Where some test has loaded br_netfilter, it drops frames for the checksum that they lack. */
	netns_run(span.middle,
		  "nf=/proc/sys/net/bridge/bridge-nf-call-iptables; [ ! -e $nf ] || echo 0 >$nf;"
		  " ip link add br0 type bridge && ip link set br0 up &&"
		  " nft 'add table bridge t;"
		  " add chain bridge t c { type filter hook forward priority filter; };"
		  " add rule bridge t c counter queue num 1'");
	end_of(span.a, "p1", "02:00:00:00:00:0a");
	end_of(span.b, "p2", "02:00:00:00:00:0b");
	span.tx = open_frames(span.a);
	span.rx = open_frames(span.b);
	expect_ok(NULL, mnfq_socket_open_netns(&span.sock, span.middle->name, NULL));
	expect_ok(span.sock, mnfq_queue_bind(&span.queue, span.sock, 1, NULL, callback, data));
}

static void span_close(void)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);

	cr_assert(mnfq_queue_get_stats(span.queue, &stats) == 0);
	cr_assert(stats.refused == 0 && stats.lost == 0);
	close_accounted(span.sock, span.middle);
	close(span.tx);
	close(span.rx);
}

/* An IPv4 packet with nothing in it but its number, from a to b; @protocol 0: without a tag. */
static const uint8_t *make_frame(uint16_t protocol, uint16_t tci, uint8_t number, size_t *len)
{
	static uint8_t frame[64];
	const uint16_t tag[] = { htons(protocol), htons(tci) }, ip = htons(ETH_P_IP);
	const uint8_t head[20] = { 0x45, 0, 0,  24, 0, number, 0,  0, 1, 253,
				   0,    0, 10, 0,  1, 1,      10, 0, 1, 2 };
	uint8_t *end = frame + 12;

	memset(frame, 0, sizeof(frame));
	memcpy(frame, MAC_B, 6);
	memcpy(frame + 6, MAC_A, 6);
	if (protocol) {
		memcpy(end, tag, sizeof(tag));
		end += sizeof(tag);
	}
	memcpy(end, &ip, sizeof(ip));
	memcpy(end + 2, head, sizeof(head));
	end[22] = number;
	*len = (size_t)(end - frame) + 2 + 24;
	return frame;
}

static void send_frame(uint16_t protocol, uint16_t tci, uint8_t number)
{
	size_t len;
	const uint8_t *frame = make_frame(protocol, tci, number, &len);

	cr_assert(send(span.tx, frame, len, 0) == (ssize_t)len, "%s", strerror(errno));
}

static void read_tag(struct msghdr *msg, struct frame *frame)
{
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	struct tpacket_auxdata aux;

	cr_assert(cmsg && cmsg->cmsg_type == PACKET_AUXDATA);
	memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
	frame->tagged = aux.tp_status & TP_STATUS_VLAN_VALID;
	frame->tci = aux.tp_vlan_tci;
	frame->protocol = aux.tp_vlan_tpid;
}

/* The next frame of ours that arrives at b; the bridge sends some of its own. */
static void receive_frame(struct frame *frame)
{
	uint8_t control[256] __attribute__((aligned(8)));
	struct iovec iov = { .iov_base = frame->bytes, .iov_len = sizeof(frame->bytes) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t len;

	do {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cr_assert(wait_readable(span.rx), "no frame arrives");
		len = recvmsg(span.rx, &msg, MSG_DONTWAIT);
	} while (len < 38 || memcmp(frame->bytes + 6, MAC_A, 6) != 0);
	frame->len = (size_t)len;
	read_tag(&msg, frame);
}

static void serve(void)
{
	cr_assert(mnfq_socket_dispatch(span.sock, DEADLINE_MS) == 1);
}

/* Sends one, decides it, and takes it where it arrives. */
static void cross(uint16_t protocol, uint16_t tci, uint8_t number, struct frame *frame)
{
	send_frame(protocol, tci, number);
	serve();
	receive_frame(frame);
	cr_assert(frame->bytes[14 + 20] == number, "another frame");
}

/* ---- reading ---- */

static struct {
	int vlan_err;
	uint16_t tci, protocol, hw_protocol;
	uint8_t l2hdr[32], family, first, last;
	size_t l2hdr_len, payload_len, length;
	char hook[16], in[16], out[16], physin[16], physout[16];
} sight;

static void ifname(uint32_t index, char *name)
{
	if (index != 0)
		cr_assert(mnfq_socket_get_ifname(span.sock, index, name) == 0);
}

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	const uint8_t *l2hdr, *payload = mnfq_packet_get_payload(packet, &sight.payload_len);

	(void)data;
	sight.family = mnfq_packet_get_family(packet);
	sight.hw_protocol = mnfq_packet_get_hw_protocol(packet);
	snprintf(sight.hook, sizeof(sight.hook), "%s", mnfq_packet_get_hook_name(packet));
	ifname(mnfq_packet_get_indev(packet), sight.in);
	ifname(mnfq_packet_get_outdev(packet), sight.out);
	ifname(mnfq_packet_get_physindev(packet), sight.physin);
	ifname(mnfq_packet_get_physoutdev(packet), sight.physout);
	sight.vlan_err = mnfq_packet_get_vlan(packet, &sight.tci, &sight.protocol);
	l2hdr = mnfq_packet_get_l2hdr(packet, &sight.l2hdr_len);
	if (l2hdr && sight.l2hdr_len <= sizeof(sight.l2hdr))
		memcpy(sight.l2hdr, l2hdr, sight.l2hdr_len);
	cr_assert(mnfq_packet_get_length(packet, &sight.length) == 0);
	cr_assert(sight.payload_len > 0);
	sight.first = payload[0];
	sight.last = payload[sight.payload_len - 1];
	return MNFQ_ACCEPT;
}

static void expect_common(void)
{
	cr_assert(sight.family == NFPROTO_BRIDGE && sight.hw_protocol == ETH_P_IP);
	cr_assert_str_eq(sight.hook, "forward");
	cr_assert_str_eq(sight.physin, "p1");
	cr_assert_str_eq(sight.physout, "p2");
	cr_assert_str_eq(sight.in, "br0");
	cr_assert_str_eq(sight.out, "br0");
	cr_assert(sight.payload_len == 24 && sight.length == 24, "%zu bytes", sight.payload_len);
	cr_assert(sight.first == 0x45 && sight.last == 0, "not from the network header on");
	cr_assert(sight.l2hdr_len == 14, "%zu bytes", sight.l2hdr_len);
	cr_assert(memcmp(sight.l2hdr, MAC_B MAC_A "\x08\0", 14) == 0);
}

Test(bridge, a_frame_without_a_tag)
{
	struct frame frame;

	span_open(look, NULL);
	cross(0, 0, 1, &frame);
	expect_common();
	cr_assert(sight.vlan_err == -ENODATA);
	cr_assert(!frame.tagged && frame.len == 38);
	span_close();
}

static void tagged(uint16_t protocol, uint16_t tci)
{
	struct frame frame;

	span_open(look, NULL);
	cross(protocol, tci, 2, &frame);
	expect_common();
	cr_assert(sight.vlan_err == 0 && sight.tci == tci && sight.protocol == protocol,
		  "%d, 0x%x of 0x%x", sight.vlan_err, sight.tci, sight.protocol);
	cr_assert(frame.tagged && frame.tci == tci && frame.protocol == protocol);
	span_close();
}

Test(bridge, a_frame_with_a_tag)
{
	tagged(ETH_P_8021Q, 5 << 13 | 1 << 12 | 0xabc);
}

Test(bridge, a_frame_with_a_service_tag)
{
	tagged(ETH_P_8021AD, 100);
}

/* ---- changing ---- */

static struct {
	uint16_t tci, protocol;
	const char *l2hdr; /* NULL: leave it */
} change;

static enum mnfq_verdict set(struct mnfq_packet *packet, void *data)
{
	(void)data;
	if (change.protocol)
		cr_assert(mnfq_packet_set_vlan(packet, change.tci, change.protocol) == 0);
	if (change.l2hdr)
		cr_assert(mnfq_packet_set_l2hdr(packet, change.l2hdr, 14) == 0);
	return MNFQ_ACCEPT;
}

static void expect_tag(const struct frame *frame, uint16_t protocol, uint16_t tci)
{
	cr_assert(frame->tagged && frame->tci == tci && frame->protocol == protocol,
		  "tag 0x%x of 0x%x", frame->tci, frame->protocol);
	cr_assert(frame->len == 38 && memcmp(frame->bytes, MAC_B MAC_A "\x08\0\x45", 15) == 0);
}

Test(bridge, a_tag_is_rewritten)
{
	struct frame frame;

	span_open(set, NULL);
	change.protocol = ETH_P_8021Q;
	change.tci = 3 << 13 | 77;
	cross(ETH_P_8021Q, 5, 3, &frame);
	expect_tag(&frame, ETH_P_8021Q, 3 << 13 | 77);
	change.protocol = ETH_P_8021AD;
	cross(ETH_P_8021Q, 5, 4, &frame);
	expect_tag(&frame, ETH_P_8021AD, 3 << 13 | 77);
	change.tci = 0;
	cross(ETH_P_8021Q, 5, 5, &frame);
	expect_tag(&frame, ETH_P_8021AD, 0);
	span_close();
}

Test(bridge, a_tag_is_added)
{
	struct frame frame;

	span_open(set, NULL);
	change.protocol = ETH_P_8021Q;
	change.tci = 42;
	cross(0, 0, 6, &frame);
	expect_tag(&frame, ETH_P_8021Q, 42);
	span_close();
}

/* The frame was forwarded already, so it leaves by the same port. */
Test(bridge, a_link_layer_header_is_rewritten)
{
	struct frame frame;

	span_open(set, NULL);
	change.l2hdr = MAC_C MAC_A "\x08\0";
	cross(0, 0, 7, &frame);
	cr_assert(frame.len == 38 && memcmp(frame.bytes, MAC_C MAC_A "\x08\0\x45", 15) == 0);
	cr_assert(!frame.tagged);
	change.protocol = ETH_P_8021Q;
	change.tci = 8;
	cross(ETH_P_8021Q, 5, 8, &frame);
	cr_assert(frame.len == 38 && memcmp(frame.bytes, MAC_C MAC_A "\x08\0\x45", 15) == 0);
	cr_assert(frame.tagged && frame.tci == 8);
	span_close();
}

static enum mnfq_verdict set_with_payload(struct mnfq_packet *packet, void *data)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);
	uint8_t copy[64] = { 0 };

	memcpy(copy, payload, len);
	copy[3] = (uint8_t)(len + 6);
	copy[len + 5] = 0x66;
	cr_assert(mnfq_packet_set_payload(packet, copy, len + 6) == 0);
	cr_assert(mnfq_packet_set_mark(packet, 1) == 0);
	return set(packet, data);
}

/* The payload begins at the network header, and the header before it is kept. */
Test(bridge, a_payload_is_replaced_with_a_tag_and_a_header)
{
	struct frame frame;

	span_open(set_with_payload, NULL);
	cross(0, 0, 9, &frame);
	cr_assert(frame.len == 38 + 6 && frame.bytes[frame.len - 1] == 0x66);
	cr_assert(memcmp(frame.bytes, MAC_B MAC_A "\x08\0\x45", 15) == 0 && !frame.tagged);
	change.protocol = ETH_P_8021Q;
	change.tci = 9;
	change.l2hdr = MAC_C MAC_A "\x08\0";
	cross(ETH_P_8021Q, 5, 10, &frame);
	cr_assert(frame.len == 38 + 6 && frame.bytes[frame.len - 1] == 0x66);
	cr_assert(memcmp(frame.bytes, MAC_C MAC_A "\x08\0\x45", 15) == 0);
	cr_assert(frame.tagged && frame.tci == 9);
	span_close();
}

/* ---- what is refused ---- */

static enum mnfq_verdict refuse(struct mnfq_packet *packet, void *data)
{
	static const uint8_t bytes[64];

	(void)data;
	cr_assert(mnfq_packet_set_l2hdr(packet, bytes, 13) == -EMSGSIZE);
	cr_assert(mnfq_packet_set_l2hdr(packet, bytes, 18) == -EMSGSIZE);
	cr_assert(mnfq_packet_set_l2hdr(packet, bytes, 0) == -EMSGSIZE);
	cr_assert(strstr(mnfq_packet_get_error(packet), "long as the old one"));
	cr_assert(mnfq_packet_set_vlan(packet, 1, ETH_P_IP) == -EINVAL);
	cr_assert(mnfq_packet_set_vlan(packet, 1, 0) == -EINVAL);
	return MNFQ_ACCEPT;
}

Test(bridge, refusals_change_nothing)
{
	struct frame frame;

	span_open(refuse, NULL);
	cross(ETH_P_8021Q, 5, 11, &frame);
	expect_tag(&frame, ETH_P_8021Q, 5);
	span_close();
}
