// SPDX-License-Identifier: MIT
/* Packets that an edit made larger than the MTU of their way out, and seeing that coming. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel-fixture.h"

#define NARROW 1300u /* the MTU behind the router */
#define SIZE   1000u /* of a datagram, which fits */
#define GROWTH 400u  /* with which it does not */

struct route {
	struct netns *left, *router, *right;
	bool heedful; /* edits only what fits afterwards */
	unsigned int edits;
};

static enum mnfq_verdict grow(struct mnfq_packet *packet, void *data)
{
	static const uint8_t more[GROWTH];
	struct mnfq_layers at = { .size = sizeof(at) };
	struct route *route = data;
	uint32_t mtu = 0;

	cr_assert(mnfq_packet_get_layers(packet, &at) == 0);
	cr_assert(mnfq_packet_get_mtu(packet, &mtu) == 0);
	cr_assert(mtu == NARROW, "%u", mtu);
	if (route->heedful && at.end + GROWTH > mtu)
		return MNFQ_ACCEPT;
	cr_assert(mnfq_packet_edit(packet, at.end, 0, more, GROWTH) == 0, "%s",
		  mnfq_packet_get_error(packet));
	route->edits++;
	return MNFQ_ACCEPT;
}

/* With the queue on the router, or on the left one, which then has a narrow way out. */
static void open_route(struct route *route, const char *address, bool local)
{
	struct netns *ns;

	*route = (struct route){ netns_new(), netns_new(), netns_new(), false, 0 };
	ns = local ? route->left : route->router;
	netns_route(route->left, route->router, route->right);
	netns_run(ns, "ip link set %s mtu %u", local ? "eth0" : "right", NARROW);
	netns_rule(ns, strchr(address, ':') ? 6 : 4,
		   "-t mangle -A %s -p udp -j NFQUEUE --queue-num 1",
		   local ? "OUTPUT" : "FORWARD");
	udp_open(&fixture.udp, route->left, route->right, address, PORT);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, ns->name, NULL));
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, grow, route));
}

static void close_route(struct route *route)
{
	fixture_account(fixture.sock,
			netns_queued_packets(route->left) > 0 ? route->left : route->router,
			NULL);
	mnfq_socket_close(fixture.sock);
	udp_close(&fixture.udp);
	netns_free(route->left);
	netns_free(route->router);
	netns_free(route->right);
}

static void pass(const struct route *route, uint32_t seq, unsigned int edits)
{
	udp_send_sized(&fixture.udp, seq, SIZE);
	fixture_serve(1);
	cr_assert(route->edits == edits);
}

static bool is_told(int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	cr_assert(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
	cr_assert(err == 0 || err == EMSGSIZE, "%s", strerror(err));
	return err == EMSGSIZE;
}

/* The router drops it, and its sender hears of a packet too big that it never sent. */
static void is_dropped(const char *address)
{
	struct route route;
	struct datagram datagram;

	open_route(&route, address, false);
	pass(&route, 1, 1);
	cr_assert(wait_until(is_told(fixture.udp.tx)), "the sender was not told");
	route.heedful = true;
	pass(&route, 2, 1);
	cr_assert(udp_await(&fixture.udp, &datagram));
	cr_assert(datagram.seq == 2 && datagram.intact && datagram.size == SIZE);
	close_route(&route);
}

Test(mtu, a_forwarded_packet_that_may_not_be_fragmented_is_dropped)
{
	is_dropped("10.0.2.1");
}

Test(mtu, a_forwarded_packet_of_ipv6_is_dropped)
{
	is_dropped("fd00:0:0:2::1");
}

static void is_fragmented(const char *address, bool local, int discover)
{
	struct datagram datagram;
	struct route route;

	open_route(&route, address, local);
	if (discover >= 0)
		cr_assert(setsockopt(fixture.udp.tx, IPPROTO_IP, IP_MTU_DISCOVER, &discover,
				     sizeof(discover)) == 0);
	pass(&route, 1, 1);
	cr_assert(udp_await(&fixture.udp, &datagram));
	cr_assert(datagram.seq == 1 && datagram.size == SIZE + GROWTH);
	close_route(&route);
}

Test(mtu, a_forwarded_packet_that_may_be_fragmented_arrives)
{
	is_fragmented("10.0.2.1", false, IP_PMTUDISC_DONT);
}

/* With the settings that sockets have by default. */
Test(mtu, a_datagram_of_a_local_sender_is_fragmented)
{
	is_fragmented("10.0.2.1", true, -1);
	is_fragmented("fd00:0:0:2::1", true, -1);
}

/* ---- where there is one ---- */

struct found {
	struct mnfq_packet *kept;
	uint32_t mtu;
	int err;
};

static enum mnfq_verdict find(struct mnfq_packet *packet, void *data)
{
	struct found *found = data;

	found->mtu = 0;
	found->err = mnfq_packet_get_mtu(packet, &found->mtu);
	cr_assert(mnfq_packet_retain(&found->kept, packet) == 0);
	return MNFQ_DEFER;
}

static void find_one(struct found *found, int err, uint32_t mtu)
{
	uint32_t later = 0;

	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(found->err == err && found->mtu == mtu, "%d, %u", found->err, found->mtu);
	cr_assert(mnfq_packet_get_mtu(found->kept, &later) == err && later == mtu);
}

QueueTest(mtu, packets_that_come_in_have_none)
{
	struct found found;

	expect_ok(fixture.sock,
		  mnfq_queue_bind(&fixture.queue, fixture.sock, 1, NULL, find, &found));
	find_one(&found, -ENODATA, 0);
	mnfq_packet_free(found.kept);
}

QueueTest(mtu, it_is_gone_with_its_queue)
{
	struct found found;
	uint32_t mtu;

	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 2");
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&fixture.queue, fixture.sock, 2, NULL, find, &found));
	find_one(&found, 0, 65536);
	netns_run(fixture.ns, "ip link set lo mtu 1500");
	cr_assert(mnfq_packet_get_mtu(found.kept, &mtu) == 0 && mtu == 1500);
	mnfq_queue_unbind(fixture.queue);
	cr_assert(mnfq_packet_get_mtu(found.kept, &mtu) == -ENODEV);
	mnfq_packet_free(found.kept);
}
