/* SPDX-License-Identifier: MIT */
/* What a packet tells about itself, compared with what was really sent. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/netfilter.h> /* after netinet/in.h, which it would get in the way of */

#include "kernel-fixture.h"

/* What a callback saw, kept for the test. */
struct sight {
	uint32_t seq, mark, skb_info, uid, gid;
	char hook[16], in[16], out[16], physin[16], physout[16];
	uint8_t family, hwaddr[8];
	uint16_t hw_protocol;
	size_t hwaddr_len, payload_len, length;
	int length_err, uid_err, gid_err;
	int64_t timestamp;
};
static struct sight sights[64];
static unsigned int sight_count;

static void ifname(const struct mnfq_packet *packet, uint32_t index, char *name)
{
	struct mnfq_socket *sock = mnfq_queue_get_socket(mnfq_packet_get_queue(packet));

	if (index != 0 && mnfq_socket_get_ifname(sock, index, name) < 0)
		strcpy(name, "unknown");
}

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	struct sight *s = &sights[sight_count++ % 64];
	const uint8_t *hwaddr = mnfq_packet_get_hwaddr(packet, &s->hwaddr_len);

	(void)data;
	s->seq = seq_of(packet);
	snprintf(s->hook, sizeof(s->hook), "%s", mnfq_packet_get_hook_name(packet));
	ifname(packet, mnfq_packet_get_indev(packet), s->in);
	ifname(packet, mnfq_packet_get_outdev(packet), s->out);
	ifname(packet, mnfq_packet_get_physindev(packet), s->physin);
	ifname(packet, mnfq_packet_get_physoutdev(packet), s->physout);
	if (hwaddr && s->hwaddr_len <= sizeof(s->hwaddr))
		memcpy(s->hwaddr, hwaddr, s->hwaddr_len);
	s->family = mnfq_packet_get_family(packet);
	s->hw_protocol = mnfq_packet_get_hw_protocol(packet);
	s->mark = mnfq_packet_get_mark(packet);
	s->skb_info = mnfq_packet_get_skb_info(packet);
	s->uid_err = mnfq_packet_get_uid(packet, &s->uid);
	s->gid_err = mnfq_packet_get_gid(packet, &s->gid);
	s->timestamp = mnfq_packet_get_timestamp(packet);
	s->length_err = mnfq_packet_get_length(packet, &s->length);
	(void)mnfq_packet_get_payload(packet, &s->payload_len);
	return MNFQ_ACCEPT;
}

static void expect_hook(unsigned int i, const char *hook, const char *in, const char *out)
{
	cr_assert_str_eq(sights[i].hook, hook);
	cr_assert(!in || strcmp(sights[i].in, in) == 0, "%s: in '%s'", hook, sights[i].in);
	cr_assert_str_eq(sights[i].out, out, "%s: out '%s'", hook, sights[i].out);
}

/* ---- hooks and devices ---- */

struct route {
	struct netns *left, *router, *right;
	struct mnfq_socket *sock;
};

/* Every hook of the router leads UDP to queue 1. */
static void route_open(struct route *route, int family)
{
	static const char *const chains[] = { "PREROUTING", "INPUT", "FORWARD", "OUTPUT",
					      "POSTROUTING" };
	struct mnfq_queue *queue;

	route->left = netns_new();
	route->router = netns_new();
	route->right = netns_new();
	netns_route(route->left, route->router, route->right);
	for (size_t i = 0; i < 5; i++)
		netns_rule(route->router, family,
			   "-t mangle -A %s -p udp -j NFQUEUE --queue-num 1", chains[i]);
	expect_ok(NULL, mnfq_socket_open_netns(&route->sock, route->router->name, NULL));
	expect_ok(route->sock, mnfq_queue_bind(&queue, route->sock, 1, NULL, look, NULL));
}

/* One datagram, which meets @hooks hooks on its way. */
static void travel(struct route *route, struct netns *from, struct netns *to, const char *address,
		   unsigned int hooks)
{
	struct datagram datagram;
	struct udp udp;

	udp_open(&udp, from, to, address, PORT);
	sight_count = 0;
	memset(sights, 0, sizeof(sights));
	udp_send(&udp, 42);
	while (sight_count < hooks)
		cr_assert(mnfq_socket_dispatch(route->sock, DEADLINE_MS) > 0);
	cr_assert(udp_await(&udp, &datagram) && datagram.seq == 42 && datagram.intact);
	cr_assert(sight_count == hooks);
	udp_close(&udp);
}

/* A forwarded packet still has its input device in POSTROUTING with some kernels. */
FamilyTest(packet, all_hooks_and_devices)
{
	struct route route;

	route_open(&route, family);
	travel(&route, route.left, route.right, family == 6 ? "fd00:0:0:2::1" : "10.0.2.1", 3);
	expect_hook(0, "prerouting", "left", "");
	expect_hook(1, "forward", "left", "right");
	expect_hook(2, "postrouting", NULL, "right");
	travel(&route, route.left, route.router, family == 6 ? "fd00:0:0:1::2" : "10.0.1.2", 2);
	expect_hook(0, "prerouting", "left", "");
	expect_hook(1, "input", "left", "");
	travel(&route, route.router, route.right, family == 6 ? "fd00:0:0:2::1" : "10.0.2.1", 2);
	expect_hook(0, "output", "", "right");
	expect_hook(1, "postrouting", "", "right");
	for (unsigned int i = 0; i < 2; i++) {
		cr_assert(sights[i].family == (family == 6 ? NFPROTO_IPV6 : NFPROTO_IPV4));
		cr_assert(sights[i].hw_protocol == (family == 6 ? ETH_P_IPV6 : ETH_P_IP));
		cr_assert(sights[i].seq == 42);
	}
	close_accounted(route.sock, route.router);
}

Test(packet, hwaddr_is_the_senders)
{
	static const uint8_t address[6] = { 2, 0x11, 0x22, 0x33, 0x44, 0x55 };
	struct route route;

	route_open(&route, 4);
	netns_run(route.left, "ip link set eth0 down address 02:11:22:33:44:55 && "
			      "ip link set eth0 up && ip route add 10.0.2.0/24 via 10.0.1.2");
	travel(&route, route.left, route.right, "10.0.2.1", 3);
	cr_assert(sights[0].hwaddr_len == 6 && memcmp(sights[0].hwaddr, address, 6) == 0);
	travel(&route, route.router, route.right, "10.0.2.1", 2);
	cr_assert(sights[0].hwaddr_len == 0, "a local packet has no sender's address");
	close_accounted(route.sock, route.router);
}

Test(packet, bridge_ports_are_reported)
{
	struct netns *a = netns_new(), *b = netns_new();
	struct route route = { .router = netns_new() };
	struct mnfq_queue *queue;

	if (access("/proc/sys/net/bridge", F_OK) < 0 && system("modprobe -q br_netfilter") != 0)
		skip_or_fail("this kernel has no br_netfilter");
	netns_bridge(a, route.router, b);
	netns_run(route.router, "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables");
	netns_rule(route.router, 4, "-A FORWARD -p udp -j NFQUEUE --queue-num 1");
	expect_ok(NULL, mnfq_socket_open_netns(&route.sock, route.router->name, NULL));
	expect_ok(route.sock, mnfq_queue_bind(&queue, route.sock, 1, NULL, look, NULL));
	travel(&route, a, b, "10.0.1.9", 1);
	expect_hook(0, "forward", "br0", "br0");
	cr_assert_str_eq(sights[0].physin, "p1");
	cr_assert_str_eq(sights[0].physout, "p2");
	close_accounted(route.sock, route.router);
}

/* ---- the rest of the attributes, over `lo` ---- */

QueueTest(packet, mark_set_by_a_rule)
{
	netns_rule(fixture.ns, 4, "-t mangle -I INPUT -j MARK --set-mark 0xfedcba98");
	fixture_bind(NULL, look);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	netns_rule(fixture.ns, 4, "-t mangle -D INPUT 1");
	udp_send(&fixture.udp, 2);
	fixture_serve(1);
	cr_assert(sights[0].mark == 0xfedcba98 && sights[1].mark == 0);
}

static int64_t now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static bool stamped(void)
{
	sight_count = 0;
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	return sights[0].timestamp != 0;
}

/*
 * The kernel begins to stamp a moment after it was asked to, and does not report it of packets on their way
 * out.
 */
Test(packet, timestamp_where_the_kernel_stamps)
{
	int64_t begin = now_usec();

	fixture_open(4);
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name,
					       SOCKET_OPTIONS(.flags = MNFQ_SOCKET_TIMESTAMPS)));
	fixture_bind(NULL, look);
	cr_assert(wait_until(stamped()));
	cr_assert(sights[0].timestamp >= begin && sights[0].timestamp <= now_usec());

	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	netns_rule(fixture.ns, 4, "-t mangle -A POSTROUTING -p udp -j NFQUEUE --queue-num 1");
	memset(sights, 0, sizeof(sights));
	sight_count = 0;
	udp_send(&fixture.udp, 1);
	fixture_serve(3);
	expect_hook(0, "output", "", "lo");
	expect_hook(1, "postrouting", "", "lo");
	expect_hook(2, "input", "lo", "");
	cr_assert(sights[0].timestamp == 0 && sights[1].timestamp == 0);
	cr_assert(sights[2].timestamp >= begin && sights[2].timestamp <= now_usec());
	fixture_close();
}

/* System calls, because the functions change all threads. */
static int socket_of_somebody(void *arg)
{
	(void)arg;
	if (syscall(SYS_setresgid, 1234, 1234, 1234) < 0 ||
	    syscall(SYS_setresuid, 4321, 4321, 4321) < 0)
		return -errno;
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

Test(packet, owner_of_the_local_sender)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	fixture_open(4);
	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	close(fixture.udp.tx);
	fixture.udp.tx = netns_call(fixture.ns, socket_of_somebody, NULL);
	cr_assert(fixture.udp.tx >= 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(connect(fixture.udp.tx, (struct sockaddr *)&to, sizeof(to)) == 0);
	fixture_bind(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_UID_GID), look);
	udp_send(&fixture.udp, 1);
	fixture_serve(2);
	cr_assert_str_eq(sights[0].hook, "output");
	cr_assert(sights[0].uid_err == 0 && sights[0].uid == 4321);
	cr_assert(sights[0].gid_err == 0 && sights[0].gid == 1234);
	cr_assert_str_eq(sights[1].hook, "input");
	cr_assert(sights[1].uid_err == -ENODATA && sights[1].gid_err == -ENODATA);
	fixture_close();
}

QueueTest(packet, the_owner_is_reported_only_on_request)
{
	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	fixture_bind(NULL, look);
	udp_send(&fixture.udp, 1);
	fixture_serve(2);
	cr_assert(sights[0].uid_err == -ENODATA && sights[0].gid_err == -ENODATA);
}

/* Five segments in one send, seen on OUTPUT with the GSO flag on or off. */
static void send_segments(bool gso)
{
	int segment = 1000;

	fixture_open(4);
	netns_rule(fixture.ns, 4, "-t mangle -F");
	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	cr_assert(setsockopt(fixture.udp.tx, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) ==
		  0);
	fixture_bind(QUEUE_OPTIONS(.flags = gso ? 0 : MNFQ_QUEUE_NO_GSO), look);
	udp_send_sized(&fixture.udp, 1, 5000);
	fixture_serve(gso ? 1 : 5);
	cr_assert(sight_count == (gso ? 1 : 5));
	cr_assert_eq(sights[0].length, gso ? 5028 : 1028);
	if (gso)
		cr_assert(sights[0].skb_info == (MNFQ_SKB_GSO | MNFQ_SKB_CSUMNOTREADY));
	else
		cr_assert((sights[0].skb_info & (MNFQ_SKB_GSO | MNFQ_SKB_CSUMNOTREADY)) == 0);
	fixture.elsewhere = gso ? 0 : -4; /* for the rule five segments are one packet */
	fixture_close();
}

Test(packet, large_packets_come_whole_with_gso)
{
	send_segments(true);
}

Test(packet, large_packets_come_split_without_gso)
{
	send_segments(false);
}

/* ---- how much of it ---- */

static void big(int family, uint32_t range)
{
	const size_t head = family == 6 ? 48 : 28;
	struct datagram datagram;

	fixture_open(family);
	fixture_bind(QUEUE_OPTIONS(.copy_range = range), look);
	udp_send_sized(&fixture.udp, 9, 60000);
	fixture_serve(1);
	cr_assert(sights[0].length_err == 0 && sights[0].length == 60000 + head);
	cr_assert_eq(sights[0].payload_len, range ? range : 60000 + head);
	cr_assert(udp_await(&fixture.udp, &datagram));
	cr_assert(datagram.size == 60000 && datagram.seq == 9 && datagram.intact);
	cr_assert(fixture_stats().bytes == 60000 + head);
	expect_counts(.truncated = 0);
	fixture_close();
}

Test(packet, sixty_thousand_bytes_whole)
{
	big(4, 0);
}

Test(packet, sixty_thousand_bytes_whole_ipv6)
{
	big(6, 0);
}

Test(packet, true_length_of_a_truncated_packet)
{
	big(4, 96);
	sight_count = 0;
	big(6, 1);
}

static enum mnfq_verdict rewrite_unseen(struct mnfq_packet *packet, void *data)
{
	(void)look(packet, data);
	cr_assert(mnfq_packet_set_payload(packet, "x", 1) == -ENODATA);
	return MNFQ_ACCEPT;
}

QueueTest(packet, meta_mode_copies_nothing)
{
	fixture_bind(QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_META), rewrite_unseen);
	fixture_pass(1, 1);
	cr_assert(sights[0].payload_len == 0 && sights[0].length_err == -ENODATA);
	cr_assert_str_eq(sights[0].in, "lo");
}

static enum mnfq_verdict check_ids(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_assert(mnfq_packet_get_id(packet) == ++fixture.seen);
	cr_assert(mnfq_packet_get_queue(packet) == fixture.queue);
	cr_assert(mnfq_packet_get_hook(packet) == NF_INET_LOCAL_IN);
	return MNFQ_ACCEPT;
}

QueueTest(packet, ids_count_up_from_one)
{
	fixture_bind(NULL, check_ids);
	udp_send_many(&fixture.udp, 0, 300);
	fixture_serve(300);
	cr_assert(fixture.seen == 300);
}

/* Connections and echoes, not datagrams only. */
FamilyTest(packet, tcp_and_icmp)
{
	struct netns *ns = netns_new();
	const char *address = family == 6 ? "::1" : "127.0.0.1";
	struct tcp tcp = {
		.from = ns, .to = ns, .address = address, .port = 80, .size = 1000000
	};
	struct pollfd fds[2];
	int echo;

	netns_rule(ns, family, "-A INPUT -j NFQUEUE --queue-num 1");
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, ns->name, NULL));
	fixture_bind(NULL, count_packet);
	echo = icmp_open(ns, address);
	icmp_send(echo, 7);
	fixture_serve(2);
	cr_assert(wait_until(icmp_replied(echo, 7)));
	tcp_start(&tcp);
	fds[0] = (struct pollfd){ .fd = mnfq_socket_get_fd(fixture.sock), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = tcp.done_fd, .events = POLLIN };
	do {
		cr_assert(poll(fds, 2, DEADLINE_MS) > 0);
		cr_assert(mnfq_socket_dispatch(fixture.sock, 0) >= 0);
	} while (!fds[1].revents);
	cr_assert(tcp_finish(&tcp) == 0);
	expect_counts(.lost = 0);
	close_accounted(fixture.sock, ns);
	close(echo);
}
