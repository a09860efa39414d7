/* SPDX-License-Identifier: MIT */
/* What a packet tells of its connection. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-fixture.h"

struct sight {
	uint8_t tcp_flags;
	char hook[16], state[16], direction[16];
	uint32_t info, id, status, mark;
	uint16_t zone;
	uint8_t labels[MNFQ_CT_LABELS_SIZE];
	struct mnfq_tuple original, reply;
};
static struct sight sights[64];
static unsigned int sight_count;

static uint8_t tcp_flags(const struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	return len >= 40 && payload[0] == 0x45 && payload[9] == IPPROTO_TCP ? payload[33] : 0;
}

/* All zero where none was ever set. */
static void get_labels(uint8_t *labels, const struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *found = mnfq_packet_get_ct_labels(packet, &len);

	memset(labels, 0, MNFQ_CT_LABELS_SIZE);
	if (found)
		memcpy(labels, found, len);
}

static void look_tracked(const struct mnfq_packet *packet, struct sight *s)
{
	snprintf(s->state, sizeof(s->state), "%s", mnfq_packet_get_ct_state_name(packet));
	snprintf(s->direction, sizeof(s->direction), "%s",
		 mnfq_packet_get_ct_direction_name(packet));
	s->id = mnfq_packet_get_ct_id(packet);
	s->status = mnfq_packet_get_ct_status(packet);
	s->mark = mnfq_packet_get_ct_mark(packet);
	s->zone = mnfq_packet_get_ct_zone(packet);
	get_labels(s->labels, packet);
	s->original.size = s->reply.size = sizeof(s->original);
	cr_assert(mnfq_packet_get_ct_tuple(packet, MNFQ_CT_ORIGINAL, &s->original) == 0);
	cr_assert(mnfq_packet_get_ct_tuple(packet, MNFQ_CT_REPLY, &s->reply) == 0);
}

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	struct sight *s = &sights[sight_count++ % 64];

	(void)data;
	memset(s, 0, sizeof(*s));
	s->tcp_flags = tcp_flags(packet);
	snprintf(s->hook, sizeof(s->hook), "%s", mnfq_packet_get_hook_name(packet));
	cr_assert(mnfq_packet_get_ct_info(packet, &s->info) == 0, "packet %u is not tracked",
		  sight_count);
	look_tracked(packet, s);
	return MNFQ_ACCEPT;
}

/* ---- a -- b, and what b sees ---- */

static struct pair {
	struct netns *a, *b;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
} pair;

static void bind_tracking(struct netns *ns, mnfq_callback callback)
{
	expect_ok(NULL, mnfq_socket_open_netns(&pair.sock, ns->name, NULL));
	expect_ok(pair.sock,
		  mnfq_queue_bind(&pair.queue, pair.sock, 1,
				  QUEUE_OPTIONS(.flags = MNFQ_QUEUE_CONNTRACK), callback, &pair));
}

/* A rule that asks for the state is what makes the kernel track connections in a namespace. */
static void track(struct netns *ns, int family)
{
	netns_rule(ns, family, "-A INPUT -m conntrack --ctstate INVALID");
}

static void pair_open(int family, const char *protocol)
{
	pair = (struct pair){ .a = netns_new(), .b = netns_new() };
	netns_join(pair.a, "eth0", pair.b, "eth0", 1);
	track(pair.b, family);
	netns_rule(pair.b, family, "-t mangle -A PREROUTING -p %s -j NFQUEUE --queue-num 1",
		   protocol);
	netns_rule(pair.b, family, "-t mangle -A OUTPUT -p %s -j NFQUEUE --queue-num 1",
		   protocol);
	bind_tracking(pair.b, look);
}

static void see(unsigned int count)
{
	while (sight_count < count)
		cr_assert(mnfq_socket_dispatch(pair.sock, DEADLINE_MS) > 0, "%s",
			  mnfq_socket_get_error(pair.sock));
}

static void see_state(unsigned int i, const char *hook, const char *direction, const char *state)
{
	const struct sight *s = &sights[i];

	cr_assert(strcmp(s->hook, hook) == 0 && strcmp(s->direction, direction) == 0 &&
			  strcmp(s->state, state) == 0,
		  "packet %u on %s: %s, %s", i, s->hook, s->direction, s->state);
}

static void see_addresses(const struct mnfq_tuple *tuple, const char *src, const char *dst)
{
	const int family = strchr(src, ':') ? AF_INET6 : AF_INET;
	char text[2][INET6_ADDRSTRLEN];

	cr_assert(tuple->family == family);
	inet_ntop(family, tuple->src, text[0], sizeof(text[0]));
	inet_ntop(family, tuple->dst, text[1], sizeof(text[1]));
	cr_assert(strcmp(text[0], src) == 0 && strcmp(text[1], dst) == 0, "%s to %s", text[0],
		  text[1]);
}

/* ---- states ---- */

static void life_of_tcp(void)
{
	struct tcp tcp = {
		.from = pair.a, .to = pair.b, .address = "10.0.1.2", .port = 80, .size = 1
	};
	struct pollfd fds[2];

	tcp_start(&tcp);
	fds[0] = (struct pollfd){ .fd = mnfq_socket_get_fd(pair.sock), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = tcp.done_fd, .events = POLLIN };
	do {
		cr_assert(poll(fds, 2, DEADLINE_MS) > 0);
		cr_assert(mnfq_socket_dispatch(pair.sock, 0) >= 0);
	} while (!fds[1].revents);
	cr_assert(tcp_finish(&tcp) == 0);
	cr_assert(sight_count > 3 && sight_count <= 64);
}

Test(conntrack, life_of_a_tcp_connection)
{
	const uint32_t known = IPS_SEEN_REPLY | IPS_CONFIRMED;
	pair_open(4, "tcp");
	life_of_tcp();
	see_state(0, "prerouting", "original", "new");
	cr_assert(sights[0].tcp_flags == TH_SYN && sights[0].info == IP_CT_NEW);
	cr_assert((sights[0].status & (known | IPS_ASSURED)) == 0, "0x%x", sights[0].status);
	see_state(1, "output", "reply", "established");
	cr_assert(sights[1].tcp_flags == (TH_SYN | TH_ACK));
	cr_assert(sights[1].info == IP_CT_ESTABLISHED_REPLY);
	cr_assert((sights[1].status & (known | IPS_ASSURED)) == known, "0x%x", sights[1].status);
	see_state(2, "prerouting", "original", "established");
	cr_assert(sights[2].tcp_flags == TH_ACK && sights[2].info == IP_CT_ESTABLISHED);
	cr_assert(sights[2].status & IPS_ASSURED, "0x%x", sights[2].status);
	for (unsigned int i = 0; i < sight_count; i++) {
		cr_assert(sights[i].id != 0 && sights[i].id == sights[0].id);
		cr_assert(sights[i].mark == 0 && sights[i].zone == 0);
		cr_assert(sights[i].original.protocol == IPPROTO_TCP);
		see_addresses(&sights[i].original, "10.0.1.1", "10.0.1.2");
		see_addresses(&sights[i].reply, "10.0.1.2", "10.0.1.1");
		cr_assert(sights[i].original.dport == 80 && sights[i].reply.sport == 80);
		cr_assert(sights[i].original.sport == sights[i].reply.dport);
	}
	close_accounted(pair.sock, pair.b);
}

/* The error belongs to the connection of the datagram that it is about. */
Test(conntrack, an_icmp_error_is_related)
{
	struct udp udp;

	pair_open(4, "udp");
	netns_rule(pair.b, 4, "-t mangle -A OUTPUT -p icmp -j NFQUEUE --queue-num 1");
	udp_open(&udp, pair.a, pair.b, "10.0.1.2", PORT);
	close(udp.rx);
	udp.rx = -1;
	udp_send(&udp, 1);
	see(2);
	see_state(0, "prerouting", "original", "new");
	see_state(1, "output", "reply", "related");
	cr_assert(sights[1].info == IP_CT_RELATED + IP_CT_IS_REPLY);
	cr_assert(sights[1].id == sights[0].id);
	cr_assert(sights[1].original.protocol == IPPROTO_UDP);
	cr_assert(sights[1].original.dport == PORT && sights[1].original.sport != 0);
	close(udp.tx);
	close_accounted(pair.sock, pair.b);
}

/* ---- addresses ---- */

static void echo(int family, uint8_t request, uint8_t reply)
{
	const char *const src = family == 6 ? "fd00:0:0:1::1" : "10.0.1.1";
	const char *const dst = family == 6 ? "fd00:0:0:1::2" : "10.0.1.2";
	int fd;

	pair_open(family, family == 6 ? "icmpv6 --icmpv6-type echo-request" : "icmp");
	if (family == 6)
		netns_rule(pair.b, 6,
			   "-t mangle -A OUTPUT -p icmpv6 --icmpv6-type echo-reply "
			   "-j NFQUEUE --queue-num 1");
	fd = icmp_open(pair.a, dst);
	icmp_send(fd, 1);
	see(2);
	cr_assert(wait_until(icmp_replied(fd, 1)));
	see_state(0, "prerouting", "original", "new");
	see_state(1, "output", "reply", "established");
	for (unsigned int i = 0; i < 2; i++) {
		see_addresses(&sights[i].original, src, dst);
		see_addresses(&sights[i].reply, dst, src);
		cr_assert(sights[i].original.id == 0x4d4e);
		cr_assert(sights[i].reply.id == 0x4d4e);
		cr_assert(sights[i].original.type == request);
		cr_assert(sights[i].reply.type == reply);
		cr_assert(sights[i].original.code == 0 && sights[i].original.sport == 0);
	}
	close(fd);
	close_accounted(pair.sock, pair.b);
}

Test(conntrack, icmp_echo)
{
	echo(4, ICMP_ECHO, ICMP_ECHOREPLY);
}

Test(conntrack, icmpv6_echo)
{
	echo(6, 128, 129);
}

/* Through a router that sends what is for its own port 7777 on: the directions differ. */
FamilyTest(conntrack, addresses_with_nat)
{
	const char *const src = family == 6 ? "fd00:0:0:1::1" : "10.0.1.1";
	const char *const router = family == 6 ? "fd00:0:0:1::2" : "10.0.1.2";
	const char *const dst = family == 6 ? "fd00:0:0:2::1" : "10.0.2.1";
	struct netns *left = netns_new(), *middle = netns_new(), *right = netns_new();
	struct datagram datagram;
	struct udp in, out;

	netns_route(left, middle, right);
	netns_rule(middle, family,
		   "-t nat -A PREROUTING -p udp --dport 7777 -j DNAT --to-destination %s%s%s:%d",
		   family == 6 ? "[" : "", dst, family == 6 ? "]" : "", PORT);
	netns_rule(middle, family, "-A FORWARD -p udp -j NFQUEUE --queue-num 1");
	bind_tracking(middle, look);
	udp_open(&out, left, right, dst, PORT);
	udp_open(&in, left, middle, router, 7777);
	udp_send(&in, 5);
	see(1);
	cr_assert(udp_await(&out, &datagram) && datagram.seq == 5);
	see_state(0, "forward", "original", "new");
	see_addresses(&sights[0].original, src, router);
	see_addresses(&sights[0].reply, dst, src);
	cr_assert(sights[0].original.dport == 7777 && sights[0].reply.sport == PORT);
	cr_assert(sights[0].original.sport == sights[0].reply.dport);
	cr_assert((sights[0].status & IPS_NAT_MASK) == IPS_DST_NAT, "0x%x", sights[0].status);
	udp_close(&in);
	udp_close(&out);
	close_accounted(pair.sock, middle);
}

/* ---- zone, mark, labels ---- */

static void one_datagram(void)
{
	struct udp udp;

	udp_open(&udp, pair.a, pair.b, "10.0.1.2", PORT);
	sight_count = 0;
	udp_send(&udp, 1);
	see(1);
	udp_close(&udp);
}

Test(conntrack, zone)
{
	pair_open(4, "udp");
	netns_rule(pair.b, 4, "-t raw -A PREROUTING -p udp -j CT --zone 7");
	one_datagram();
	cr_assert(sights[0].zone == 7, "%u", sights[0].zone);
	cr_assert(sights[0].original.zone == 0 && sights[0].reply.zone == 0);
	close_accounted(pair.sock, pair.b);
}

Test(conntrack, zone_of_one_direction)
{
	pair_open(4, "udp");
	netns_rule(pair.b, 4, "-t raw -A PREROUTING -p udp -j CT --zone-orig 9");
	one_datagram();
	cr_assert(sights[0].zone == 0, "%u", sights[0].zone);
	cr_assert(sights[0].original.zone == 9 && sights[0].reply.zone == 0);
	close_accounted(pair.sock, pair.b);
}

Test(conntrack, mark)
{
	pair_open(4, "udp");
	netns_rule(pair.b, 4, "-t mangle -I PREROUTING -j CONNMARK --set-mark 0xfedcba98");
	one_datagram();
	cr_assert(sights[0].mark == 0xfedcba98, "0x%x", sights[0].mark);
	close_accounted(pair.sock, pair.b);
}

Test(conntrack, labels)
{
	pair_open(4, "udp");
	netns_rule(pair.b, 4, "-t mangle -I PREROUTING -m connlabel --label 5 --set");
	netns_rule(pair.b, 4, "-t mangle -I PREROUTING -m connlabel --label 127 --set");
	one_datagram();
	cr_assert(sights[0].labels[0] == 1 << 5 && sights[0].labels[15] == 1 << 7);
	cr_assert(sights[0].labels[1] == 0 && sights[0].labels[14] == 0);
	close_accounted(pair.sock, pair.b);
}

/* ---- what is not tracked ---- */

static enum mnfq_verdict look_untracked(struct mnfq_packet *packet, void *data)
{
	static const uint8_t labels[MNFQ_CT_LABELS_SIZE] = { 1 };
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);
	uint32_t value;
	size_t len;

	(void)data;
	cr_assert(!mnfq_packet_get_ct(packet, &len) && len == 0);
	cr_assert(mnfq_packet_get_ct_info(packet, &value) == -ENODATA);
	cr_assert(mnfq_packet_get_ct_mark(packet) == 0);
	cr_assert(mnfq_packet_get_ct_tuple(packet, MNFQ_CT_REPLY, &tuple) == -ENODATA);
	cr_assert(mnfq_packet_get_ct_state_name(packet) == NULL);
	cr_assert(mnfq_packet_get_ct_direction_name(packet) == NULL);
	cr_assert(mnfq_packet_set_ct_mark(packet, 1, 1) == -ENODATA);
	cr_assert(mnfq_packet_set_ct_labels(packet, labels, NULL) == -ENODATA);
	sight_count++;
	return MNFQ_ACCEPT;
}

static void expect_untracked(const char *exempt)
{
	pair = (struct pair){ .a = netns_new(), .b = netns_new() };
	netns_join(pair.a, "eth0", pair.b, "eth0", 1);
	if (exempt) {
		track(pair.b, 4);
		netns_rule(pair.b, 4, "%s", exempt);
	}
	netns_rule(pair.b, 4, "-t mangle -A PREROUTING -p udp -j NFQUEUE --queue-num 1");
	bind_tracking(pair.b, look_untracked);
	one_datagram();
	close_accounted(pair.sock, pair.b);
}

Test(conntrack, packets_that_a_rule_exempts)
{
	expect_untracked("-t raw -A PREROUTING -p udp -j CT --notrack");
}

Test(conntrack, packets_of_a_namespace_that_tracks_nothing)
{
	expect_untracked(NULL);
}
