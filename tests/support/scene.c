/* SPDX-License-Identifier: MIT */
/* What most tests need: a namespace, a rule, numbered datagrams over `lo`, our socket, a queue. */
#include "scene.h"

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

void scene_ok(const struct mnfq_socket *sock, int result)
{
	cr_assert(result == 0, "%s: %s", strerror(-result), mnfq_socket_get_error(sock));
}

void scene_open(struct scene *scene, int family)
{
	char sentence[512] = "";
	int err;

	memset(scene, 0, sizeof(*scene));
	scene->ns = netns_new();
	scene->verdict = MNFQ_ACCEPT;
	netns_rule(scene->ns, family,
		   "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1", PORT);
	scene->descriptors = descriptors();
	udp_open(&scene->udp, scene->ns, scene->ns, family == 6 ? "::1" : "127.0.0.1", PORT);
	err = mnfq_socket_open_netns(
		&scene->sock, scene->ns->name,
		SOCKET_OPTIONS(.error = sentence, .error_size = sizeof(sentence)));
	cr_assert(err == 0, "%s: %s", strerror(-err), sentence);
}

void scene_bind(struct scene *scene, const struct mnfq_queue_options *options,
		mnfq_callback callback)
{
	scene_ok(scene->sock,
		 mnfq_queue_bind(&scene->queue, scene->sock, 1, options, callback, scene));
}

void scene_serve(struct scene *scene, unsigned int count)
{
	const unsigned int goal = scene->handled + count;

	while (scene->handled < goal) {
		int n = mnfq_socket_dispatch(scene->sock, DEADLINE_MS);

		cr_assert(n > 0, "%d after %u of %u packets: %s", n, scene->handled, goal,
			  mnfq_socket_get_error(scene->sock));
		scene->handled += (unsigned int)n;
	}
}

void scene_expect(struct scene *scene, uint32_t seq)
{
	struct datagram datagram = { 0 };

	cr_assert(udp_await(&scene->udp, &datagram), "datagram %u does not arrive", seq);
	cr_assert(datagram.seq == seq && datagram.intact, "expected %u, got %u%s", seq,
		  datagram.seq, datagram.intact ? "" : ", changed");
}

void scene_expect_nothing(struct scene *scene)
{
	struct datagram datagram = { 0 };

	cr_assert(!udp_receive(&scene->udp, &datagram), "datagram %u arrived", datagram.seq);
}

/* What a gap showed, and the kernel did not drop, somebody else has taken. */
static struct account count_all(struct mnfq_socket *sock, struct netns *ns,
				const struct account *rest)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };
	struct mnfq_kernel_stats kernel = { .size = sizeof(kernel) };
	struct account account = *rest;

	account.sent = netns_queued_packets(ns);
	scene_ok(sock, mnfq_socket_get_stats(sock, &stats));
	scene_ok(sock, mnfq_socket_get_kernel_stats(sock, &kernel));
	account.decided =
		stats.accepted + stats.dropped + stats.repeated + stats.stopped + stats.requeued;
	account.waiting = kernel.waiting;
	account.queue_full = kernel.queue_dropped;
	account.buffer_full = kernel.user_dropped;
	if (stats.lost > account.buffer_full)
		account.taken = stats.lost - account.buffer_full;
	return account;
}

void scene_account(struct mnfq_socket *sock, struct netns *ns, const struct account *rest)
{
	static const struct account none;
	struct account account;

	/* A packet may be on its way, such as the last one of a connection. */
	(void)wait_until((account = count_all(sock, ns, rest ? rest : &none),
			  account_sum(&account) == (int64_t)account.sent));
	account_check(&account);
}

void scene_close(struct scene *scene)
{
	struct netns_queue queue;

	if (scene->sock && netns_get_queue(scene->ns, 1, &queue))
		cr_expect(queue.waiting == 0, "%u packets wait for a verdict", queue.waiting);
	if (scene->sock && !scene->unaccounted)
		scene_account(scene->sock, scene->ns,
			      &(struct account){ .elsewhere = scene->elsewhere,
						 .failed_open = scene->failed_open });
	mnfq_socket_close(scene->sock);
	udp_close(&scene->udp);
	check_descriptors(scene->descriptors);
	netns_free(scene->ns);
}

struct mnfq_stats scene_stats(struct scene *scene)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	cr_assert(mnfq_queue_get_stats(scene->queue, &stats) == 0);
	return stats;
}

struct mnfq_stats scene_socket_stats(struct scene *scene)
{
	struct mnfq_stats stats = { .size = sizeof(stats) };

	cr_assert(mnfq_socket_get_stats(scene->sock, &stats) == 0);
	return stats;
}

enum mnfq_verdict scene_count(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	(void)packet;
	scene->seen++;
	return scene->verdict;
}

enum mnfq_verdict scene_keep(struct mnfq_packet *packet, void *data)
{
	struct scene *scene = data;

	if (mnfq_packet_retain(&scene->kept[scene->kept_count], packet) < 0)
		abort();
	scene->kept_count++;
	return MNFQ_DEFER;
}

uint32_t scene_seq(const struct mnfq_packet *packet)
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
	err = mnfq_queue_bind(&queue, sock, 1, QUEUE_OPTIONS(.flags = flag), scene_count, NULL);
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

uint8_t *scene_raw_put(uint8_t *to, unsigned int type, const void *data, size_t len)
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
	uint8_t *end =
		scene_raw_put(request.attributes, NFQA_VERDICT_HDR, &verdict, sizeof(verdict));

	memcpy(end, attributes, len);
	request.nlh.nlmsg_len = (uint32_t)(end + len - (uint8_t *)&request);
	cr_assert(send(fd, &request, request.nlh.nlmsg_len, 0) > 0);
}

void scene_raw_send(struct scene *scene, uint32_t id, const void *attributes, size_t len)
{
	raw_verdict(mnfq_socket_get_fd(scene->sock), 0, id, attributes, len);
}

int scene_raw_accept(struct scene *scene, uint32_t id, const void *attributes, size_t len)
{
	const int fd = mnfq_socket_get_fd(scene->sock);
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
