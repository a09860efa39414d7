/* SPDX-License-Identifier: MIT */
/* What most tests need: a namespace, a rule, numbered datagrams over `lo`, our socket, a queue. */
#include "kernel-fixture.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture fixture = { .verdict = MNFQ_ACCEPT };

void expect_ok(const struct mnfq_socket *sock, int result)
{
	cr_assert(result == 0, "%s: %s", strerror(-result), mnfq_socket_get_error(sock));
}

void fixture_open(int family)
{
	char errmsg[MNFQ_ERRMSG_SIZE] = "";
	int err;

	memset(&fixture, 0, sizeof(fixture));
	fixture.ns = netns_new();
	fixture.verdict = MNFQ_ACCEPT;
	netns_rule(fixture.ns, family,
		   "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1", PORT);
	fixture.descriptors = descriptors();
	udp_open(&fixture.udp, fixture.ns, fixture.ns, family == 6 ? "::1" : "127.0.0.1", PORT);
	err = mnfq_socket_open_netns(
		&fixture.sock, fixture.ns->name,
		SOCKET_OPTIONS(.error = errmsg, .error_size = sizeof(errmsg)));
	cr_assert(err == 0, "%s: %s", strerror(-err), errmsg);
}

void fixture_bind(const struct mnfq_queue_options *options, mnfq_callback callback)
{
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&fixture.queue, fixture.sock, 1, options, callback, &fixture));
}

void fixture_serve(unsigned int count)
{
	const unsigned int goal = fixture.handled + count;

	while (fixture.handled < goal) {
		int n = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);

		cr_assert(n > 0, "%d after %u of %u packets: %s", n, fixture.handled, goal,
			  mnfq_socket_get_error(fixture.sock));
		fixture.handled += (unsigned int)n;
	}
}

void fixture_expect(uint32_t first, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		udp_expect(&fixture.udp, first + i);
}

void fixture_pass(uint32_t first, unsigned int count)
{
	udp_send_many(&fixture.udp, first, count);
	fixture_serve(count);
	fixture_expect(first, count);
}

void fixture_expect_nothing(void)
{
	struct datagram datagram = { 0 };

	cr_assert(!udp_receive(&fixture.udp, &datagram), "datagram %u arrived", datagram.seq);
}

/* What a gap showed, and the kernel did not drop, another process has taken. */
static struct account count_all(struct mnfq_socket *sock, struct netns *ns,
				const struct account *rest)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };
	struct mnfq_kernel_stats kernel = { .size = sizeof(kernel) };
	struct account account = *rest;

	account.sent = netns_queued_packets(ns);
	expect_ok(sock, mnfq_socket_get_stats(sock, &stats));
	expect_ok(sock, mnfq_socket_get_kernel_stats(sock, &kernel));
	account.decided =
		stats.accepted + stats.dropped + stats.repeated + stats.stopped + stats.requeued;
	account.waiting = kernel.waiting;
	account.queue_full = kernel.queue_dropped;
	account.buffer_full = kernel.user_dropped;
	if (stats.lost > account.buffer_full)
		account.taken = stats.lost - account.buffer_full;
	return account;
}

void fixture_account(struct mnfq_socket *sock, struct netns *ns, const struct account *rest)
{
	static const struct account none;
	struct account account;

	/* A packet may be on its way, such as the last one of a connection. */
	(void)wait_until((account = count_all(sock, ns, rest ? rest : &none),
			  account_sum(&account) == (int64_t)account.sent));
	account_check(&account);
}

void close_accounted(struct mnfq_socket *sock, struct netns *ns)
{
	fixture_account(sock, ns, NULL);
	mnfq_socket_close(sock);
}

void fixture_close(void)
{
	struct netns_queue queue;

	if (fixture.sock && netns_get_queue(fixture.ns, 1, &queue))
		cr_expect(queue.waiting == 0, "%u packets wait for a verdict", queue.waiting);
	if (fixture.sock && !fixture.unaccounted)
		fixture_account(fixture.sock, fixture.ns,
				&(struct account){ .elsewhere = fixture.elsewhere,
						   .failed_open = fixture.failed_open });
	mnfq_socket_close(fixture.sock);
	udp_close(&fixture.udp);
	check_descriptors(fixture.descriptors);
	netns_free(fixture.ns);
}

struct mnfq_stats fixture_stats(void)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	cr_assert(mnfq_queue_get_stats(fixture.queue, &stats) == 0);
	return stats;
}

struct mnfq_stats fixture_socket_stats(void)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	cr_assert(mnfq_socket_get_stats(fixture.sock, &stats) == 0);
	return stats;
}

void check_counts(const struct counts *expected)
{
	const struct mnfq_stats stats = fixture_stats();
	const struct {
		const char *name;
		uint64_t is, expected;
		bool always;
	} counters[] = {
		{ "seen", fixture.seen, expected->seen, false },
#define COUNTER(name, always) { #name, stats.name, expected->name, always }
		COUNTER(packets, false),
		COUNTER(bytes, false),
		COUNTER(accepted, false),
		COUNTER(dropped, false),
		COUNTER(repeated, false),
		COUNTER(stopped, false),
		COUNTER(requeued, false),
		COUNTER(marked, false),
		COUNTER(rewritten, false),
		COUNTER(defaulted, false),
		COUNTER(deferred, false),
		COUNTER(held, true),
		COUNTER(invalid, true),
		COUNTER(lost, true),
		COUNTER(truncated, true),
		COUNTER(refused, true),
		COUNTER(unsent, true),
#undef COUNTER
	};

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		cr_assert(counters[i].is == counters[i].expected ||
				  (!counters[i].always && counters[i].expected == 0),
			  "%s: %llu, not %llu", counters[i].name,
			  (unsigned long long)counters[i].is,
			  (unsigned long long)counters[i].expected);
}

enum mnfq_verdict count_packet(struct mnfq_packet *packet, void *data)
{
	struct fixture *to = data;

	(void)packet;
	to->seen++;
	return to->verdict;
}

enum mnfq_verdict retain_packet(struct mnfq_packet *packet, void *data)
{
	struct fixture *to = data;

	if (mnfq_packet_retain(&to->retained[to->retained_count], packet) < 0)
		abort();
	to->retained_count++;
	return MNFQ_DEFER;
}

uint32_t seq_of(const struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	return packet_seq(payload, len);
}

bool kernel_has(struct netns *ns, uint32_t flag)
{
	struct mnfq_queue *queue;
	struct mnfq_socket *sock;
	int err;

	cr_assert_eq(mnfq_socket_open_netns(&sock, ns->name, NULL), 0);
	err = mnfq_queue_bind(&queue, sock, 1, QUEUE_OPTIONS(.flags = flag), count_packet, NULL);
	cr_assert(err == 0 || err == -EOPNOTSUPP, "%s", mnfq_socket_get_error(sock));
	mnfq_socket_close(sock);
	return err == 0;
}

const char *kernel_lacks_for_conntrack(struct netns *ns)
{
	const struct {
		struct nlmsghdr nlh;
		struct nfgenmsg nfg;
	} list = { .nlh = { .nlmsg_len = sizeof(list),
			    .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct nlmsghdr answer[1024];

	cr_assert(send(fd, &list, sizeof(list), 0) == sizeof(list) &&
		  recv(fd, answer, sizeof(answer), 0) >= (ssize_t)sizeof(answer[0]));
	close(fd);
	return answer[0].nlmsg_type == NLMSG_ERROR
		       ? "connection tracking data (load nf_conntrack_netlink)"
		       : "connection tracking data (built without "
			 "CONFIG_NETFILTER_NETLINK_GLUE_CT)";
}

uint8_t *raw_put(uint8_t *to, unsigned int type, const void *data, size_t len)
{
	struct nlattr attr = { .nla_len = (uint16_t)(sizeof(attr) + len),
			       .nla_type = (uint16_t)type };

	memset(to, 0, sizeof(attr) + NLA_ALIGN(len));
	memcpy(to, &attr, sizeof(attr));
	if (len > 0)
		memcpy(to + sizeof(attr), data, len);
	return to + sizeof(attr) + NLA_ALIGN(len);
}

static void raw_verdict(int fd, uint16_t flags, uint32_t id, const void *attributes, size_t len)
{
	const struct nfqnl_msg_verdict_hdr verdict = { htonl(MNFQ_ACCEPT), htonl(id) };
	struct {
		struct nlmsghdr nlh;
		struct nfgenmsg nfg;
		uint8_t attributes[512];
	} request = { .nlh = { .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT,
			       .nlmsg_flags = NLM_F_REQUEST | flags },
		      .nfg = { .res_id = htons(1) } };
	uint8_t *end = raw_put(request.attributes, NFQA_VERDICT_HDR, &verdict, sizeof(verdict));

	memcpy(end, attributes, len);
	request.nlh.nlmsg_len = (uint32_t)(end + len - (uint8_t *)&request);
	cr_assert(send(fd, &request, request.nlh.nlmsg_len, 0) > 0);
}

void raw_send(uint32_t id, const void *attributes, size_t len)
{
	raw_verdict(mnfq_socket_get_fd(fixture.sock), 0, id, attributes, len);
}

int raw_accept(uint32_t id, const void *attributes, size_t len)
{
	const int fd = mnfq_socket_get_fd(fixture.sock);
	struct {
		struct nlmsghdr nlh;
		struct nlmsgerr error;
		uint8_t more[1024];
	} answer = { .nlh = { .nlmsg_len = 0 } };

	raw_verdict(fd, NLM_F_ACK, id, attributes, len);
	cr_assert(wait_readable(fd));
	cr_assert(recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) > 0);
	cr_assert(answer.nlh.nlmsg_type == NLMSG_ERROR);
	return answer.error.error;
}
