/* SPDX-License-Identifier: MIT */
/* What goes wrong in real life: nothing stops the service, and the counters tell what was lost. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

/* ---- a receiver that dies ---- */

static int hold_and_wait(int stream, void *arg)
{
	struct scene *scene = arg;
	struct mnfq_socket *sock;
	char byte = 0;

	if (mnfq_socket_open_netns(&sock, scene->ns->name, NULL) < 0 ||
	    mnfq_queue_bind(&scene->queue, sock, 1, NULL, scene_keep, scene) < 0 ||
	    write(stream, &byte, 1) != 1)
		return 1;
	while (mnfq_socket_dispatch(sock, DEADLINE_MS) > 0)
		;
	return 2;
}

/* With some packets in its hands, and some unread. */
Test(faults, a_receiver_is_killed_and_another_binds_at_once)
{
	struct child child;
	struct scene scene;
	uint32_t round;

	scene_open(&scene, 4);
	for (round = 0; round < 10; round++) {
		child = child_start(hold_and_wait, &scene);
		child_await(&child);
		udp_send_many(&scene.udp, 0, 100);
		cr_assert(netns_wait_waiting(scene.ns, 1, 100));
		child_kill(&child);
		scene_bind(&scene, NULL, scene_count);
		udp_send(&scene.udp, 1000 + round);
		scene_serve(&scene, 1);
		scene_expect(&scene, 1000 + round);
		scene_expect_nothing(&scene);
		cr_assert(scene_stats(&scene).lost == 0);
		mnfq_queue_unbind(scene.queue);
	}
	scene.elsewhere = 1000; /* dropped with the sockets that were killed */
	scene_close(&scene);
}

/* ---- more than the socket holds ---- */

static void drain(struct scene *scene)
{
	struct pollfd pfd = { .fd = mnfq_socket_get_fd(scene->sock), .events = POLLIN };

	while (poll(&pfd, 1, 0) == 1)
		cr_assert(mnfq_socket_dispatch(scene->sock, 0) >= 0);
}

/* @count datagrams into a buffer for a few; one more shows the gap. Returns how many were seen. */
static unsigned int overrun(struct scene *scene, unsigned int count)
{
	udp_send_many(&scene->udp, 0, count);
	drain(scene);
	udp_send(&scene->udp, count);
	while (scene->seen == 0 || scene_stats(scene).lost == 0)
		cr_assert(mnfq_socket_dispatch(scene->sock, DEADLINE_MS) > 0);
	cr_assert(scene->seen > 1 && scene->seen < count);
	return scene->seen;
}

/* The kernel's own counter says the same, and who was seen has arrived. */
static void check_overrun(struct scene *scene, unsigned int count)
{
	struct netns_queue kernel;
	struct tally tally;

	cr_assert(netns_get_queue(scene->ns, 1, &kernel));
	cr_assert(kernel.user_dropped > 0 && kernel.dropped == 0);
	cr_assert_eq(scene_stats(scene).lost, kernel.user_dropped);
	cr_assert_eq(scene_socket_stats(scene).overruns, kernel.user_dropped);
	cr_assert_eq(scene->seen + kernel.user_dropped, count);
	tally_init(&tally, count);
	cr_assert(udp_drain_until(&scene->udp, &tally, scene->seen));
	cr_assert(tally.count == scene->seen && tally.repeated == 0);
	tally_free(&tally);
	udp_send(&scene->udp, 5000);
	scene_serve(scene, 1);
	scene_expect(scene, 5000);
}

Test(faults, an_overrun_is_counted_exactly)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_ok(scene.sock, mnfq_socket_set_receive_buffer(scene.sock, 16384));
	scene_bind(&scene, NULL, scene_count);
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) == 16384);
	(void)overrun(&scene, 500);
	check_overrun(&scene, 501);
	scene_close(&scene);
}

static struct mnfq_kernel_stats kernel_stats(struct scene *scene)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };

	scene_ok(scene->sock, mnfq_queue_get_kernel_stats(scene->queue, &stats));
	return stats;
}

/* No packet comes after the loss by which a gap would show. */
Test(faults, an_overrun_before_silence_is_counted_exactly)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_ok(scene.sock, mnfq_socket_set_receive_buffer(scene.sock, 100000));
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 50000), scene_count);
	udp_send_many(&scene.udp, 0, 3000);
	drain(&scene);
	cr_assert(scene.seen > 1 && scene.seen < 3000);
	cr_assert(scene_stats(&scene).lost == 0);
	cr_assert_eq(scene_socket_stats(&scene).overruns, 3000 - scene.seen);
	cr_assert_eq(kernel_stats(&scene).user_dropped, 3000 - scene.seen);
	scene_close(&scene);
}

Test(faults, a_full_queue_is_counted_by_the_kernel)
{
	struct mnfq_kernel_stats stats;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 100), scene_count);
	udp_send_many(&scene.udp, 0, 300);
	stats = kernel_stats(&scene);
	cr_assert(stats.waiting == 100 && stats.queue_dropped == 200 && stats.user_dropped == 0);
	cr_assert(stats.last_id == 100 && stats.portid == mnfq_socket_get_portid(scene.sock));
	drain(&scene);
	cr_assert(scene.seen == 100 && scene_stats(&scene).lost == 0);
	stats = kernel_stats(&scene);
	cr_assert(stats.waiting == 0 && stats.queue_dropped == 200);
	scene_close(&scene);
}

/* More queues than one read of the file has room for. */
Test(faults, the_kernels_counters_of_each_of_many_queues)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	struct mnfq_queue *queues[200];
	struct scene scene;
	unsigned int i;

	scene_open(&scene, 4);
	for (i = 0; i < 200; i++)
		scene_ok(scene.sock, mnfq_queue_bind(&queues[i], scene.sock, i + 100, NULL,
						     scene_count, &scene));
	scene_bind(&scene, NULL, scene_count);
	udp_send_many(&scene.udp, 0, 5);
	for (i = 0; i < 200; i++) {
		scene_ok(scene.sock, mnfq_queue_get_kernel_stats(queues[i], &stats));
		cr_assert(stats.waiting == 0 && stats.last_id == 0);
	}
	cr_assert_eq(kernel_stats(&scene).waiting, 5);
	scene_serve(&scene, 5);
	scene_close(&scene);
}

/* And of no other socket's. */
Test(faults, the_kernels_counters_of_all_queues_of_a_socket)
{
	struct mnfq_kernel_stats stats = { .size = sizeof(stats) };
	struct mnfq_socket *stranger;
	struct mnfq_queue *other;
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, QUEUE_OPTIONS(.max_len = 4), scene_count);
	scene_ok(scene.sock, mnfq_queue_bind(&other, scene.sock, 2, QUEUE_OPTIONS(.max_len = 3),
					     scene_count, &scene));
	scene_ok(NULL, mnfq_socket_open_netns(&stranger, scene.ns->name, NULL));
	netns_rule(scene.ns, 4,
		   "-t mangle -I INPUT -p udp -m statistic --mode nth --every 3 "
		   "--packet 0 -j NFQUEUE --queue-num 2");
	netns_rule(scene.ns, 4,
		   "-t mangle -I INPUT -p udp -m statistic --mode nth --every 3 "
		   "--packet 0 -j NFQUEUE --queue-num 3");
	scene_ok(stranger, mnfq_queue_bind(&other, stranger, 3, QUEUE_OPTIONS(.max_len = 1),
					   scene_count, &scene));
	udp_send_many(&scene.udp, 0, 45);
	scene_ok(scene.sock, mnfq_socket_get_kernel_stats(scene.sock, &stats));
	cr_assert(stats.waiting == 7, "%" PRIu64, stats.waiting);
	cr_assert(stats.queue_dropped == 30 - 7 && stats.user_dropped == 0);
	cr_assert(stats.portid == mnfq_socket_get_portid(scene.sock) && stats.last_id == 0);
	cr_assert_eq(stats.queues, 2);
	drain(&scene);
	mnfq_socket_close(stranger);
	scene.elsewhere = 15; /* the stranger's */
	scene_close(&scene);
}

/* By somebody who shares the socket. */
Test(faults, an_overrun_of_a_shrunk_buffer_is_counted_exactly)
{
	struct scene scene;
	int tiny = 1, copy;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	copy = fcntl(mnfq_socket_get_fd(scene.sock), F_DUPFD_CLOEXEC, 0);
	cr_assert(setsockopt(copy, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)) == 0);
	cr_assert(mnfq_socket_get_receive_buffer(scene.sock) < 8192);
	(void)overrun(&scene, 500);
	check_overrun(&scene, 501);
	close(copy);
	scene_close(&scene);
}

/* The kernel then loses everything until the socket has been drained. */
Test(faults, an_overrun_with_enobufs_is_counted_exactly)
{
	struct scene scene;
	int zero = 0;

	scene_open(&scene, 4);
	scene_ok(scene.sock, mnfq_socket_set_receive_buffer(scene.sock, 16384));
	scene_bind(&scene, NULL, scene_count);
	cr_assert(setsockopt(mnfq_socket_get_fd(scene.sock), SOL_NETLINK, NETLINK_NO_ENOBUFS,
			     &zero, sizeof(zero)) == 0);
	(void)overrun(&scene, 500);
	check_overrun(&scene, 501);
	scene_close(&scene);
}

/* What the kernel let pass by itself is told as lost, although it arrived. */
Test(faults, an_overrun_with_fail_open_loses_no_datagram)
{
	struct scene scene;
	struct tally tally;
	unsigned int seen;

	scene_open(&scene, 4);
	scene_ok(scene.sock, mnfq_socket_set_receive_buffer(scene.sock, 16384));
	scene_bind(&scene, QUEUE_OPTIONS(.flags = MNFQ_QUEUE_FAIL_OPEN), scene_count);
	seen = overrun(&scene, 500);
	tally_init(&tally, 501);
	cr_assert(udp_drain_until(&scene.udp, &tally, 501));
	cr_assert(tally.count == 501 && tally.repeated == 0);
	cr_assert_eq(seen + scene_stats(&scene).lost, 501);
	tally_free(&tally);
	scene_close(&scene);
}

/* The acknowledgement finds no room either: the request still ends, and the queue is bound. */
Test(faults, a_request_with_a_full_buffer)
{
	struct mnfq_queue *other = NULL;
	struct scene scene;

	scene_open(&scene, 4);
	scene_ok(scene.sock, mnfq_socket_set_receive_buffer(scene.sock, 8192));
	scene_bind(&scene, NULL, scene_count);
	udp_send_many(&scene.udp, 0, 200);
	scene_ok(scene.sock, mnfq_queue_bind(&other, scene.sock, 2, NULL, scene_count, &scene));
	scene_ok(scene.sock, mnfq_queue_configure(scene.queue, QUEUE_OPTIONS(.copy_range = 500)));
	mnfq_queue_unbind(other);
	drain(&scene);
	cr_assert(scene.seen > 0);
	scene_close(&scene);
}

/* ---- forged messages ---- */

/* As the kernel would send it, for queue 1 with the id that comes next. */
static size_t forge(uint8_t *buf, uint32_t id)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct nfgenmsg *nfg = (struct nfgenmsg *)(nlh + 1);
	struct nlattr *attr = (struct nlattr *)(nfg + 1);
	struct nfqnl_msg_packet_hdr *header = (struct nfqnl_msg_packet_hdr *)(attr + 1);

	memset(buf, 0, 64);
	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;
	nlh->nlmsg_len = NLMSG_ALIGN(
		(uint32_t)(sizeof(*nlh) + sizeof(*nfg) + sizeof(*attr) + sizeof(*header)));
	nfg->res_id = htons(1);
	attr->nla_type = NFQA_PACKET_HDR;
	attr->nla_len = (uint16_t)(sizeof(*attr) + sizeof(*header));
	header->packet_id = htonl(id);
	return nlh->nlmsg_len;
}

Test(faults, forged_messages_reach_no_callback)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	uint8_t buf[64] __attribute__((aligned(4)));
	struct scene scene;
	uint32_t i;
	int fd;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_count);
	to.nl_pid = mnfq_socket_get_portid(scene.sock);
	fd = netns_socket(scene.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	for (i = 0; i < 100000; i++) {
		size_t len = forge(buf, i / 100 + 1);

		cr_assert(sendto(fd, buf, len, 0, (struct sockaddr *)&to, sizeof(to)) ==
			  (ssize_t)len);
		if (i % 100 == 50)
			udp_send(&scene.udp, i);
		if (i % 100 == 99) {
			scene_serve(&scene, 1);
			scene_expect(&scene, i - 49);
		}
	}
	while (scene_socket_stats(&scene).forged < 100000)
		cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(scene.seen == 1000 && scene_socket_stats(&scene).forged == 100000);
	cr_assert(scene_stats(&scene).lost == 0 && scene_stats(&scene).refused == 0);
	close(fd);
	scene_close(&scene);
}

/* Forged answers in the socket neither confirm nor deny a request. */
Test(faults, forged_messages_do_not_disturb_requests)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	uint8_t buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	struct nlmsgerr *answer = (struct nlmsgerr *)(nlh + 1);
	struct netns_queue kernel;
	struct scene scene;
	uint32_t i;
	int fd;

	scene_open(&scene, 4);
	to.nl_pid = mnfq_socket_get_portid(scene.sock);
	fd = netns_socket(scene.ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	for (i = 0; i < 200; i++) {
		memset(buf, 0, sizeof(buf));
		nlh->nlmsg_type = NLMSG_ERROR;
		nlh->nlmsg_len = NLMSG_LENGTH(sizeof(*answer));
		nlh->nlmsg_seq = i;
		answer->error = -EPERM;
		answer->msg.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
		answer->msg.nlmsg_seq = i;
		cr_assert(sendto(fd, buf, nlh->nlmsg_len, 0, (struct sockaddr *)&to, sizeof(to)) >
			  0);
	}
	scene_bind(&scene, NULL, scene_count);
	cr_assert(netns_get_queue(scene.ns, 1, &kernel) && kernel.copy_mode == 2);
	drain(&scene);
	cr_assert(scene_socket_stats(&scene).forged == 200);
	close(fd);
	scene_close(&scene);
}

/* ---- the ground moves ---- */

static void decide_all(struct scene *scene)
{
	unsigned int i;

	for (i = 0; i < scene->kept_count; i++) {
		cr_assert(mnfq_packet_decide(scene->kept[i], MNFQ_ACCEPT) == 0);
		mnfq_packet_free(scene->kept[i]);
	}
	scene->kept_count = 0;
}

static void expect_service(struct scene *scene, uint32_t seq)
{
	udp_send(&scene->udp, seq);
	scene_serve(scene, 1);
	decide_all(scene);
	scene_expect(scene, seq);
}

Test(faults, a_link_goes_down_and_its_packets_with_it)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_keep);
	udp_send_many(&scene.udp, 0, 5);
	scene_serve(&scene, 5);
	netns_run(scene.ns, "ip link set lo down");
	cr_assert(netns_wait_waiting(scene.ns, 1, 0));
	decide_all(&scene);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0, "that is no error of the loop");
	cr_assert(scene_stats(&scene).refused == 5 && scene_stats(&scene).held == 0);
	netns_run(scene.ns, "ip link set lo up");
	expect_service(&scene, 9);
	scene_close(&scene);
}

Test(faults, a_rule_is_removed_while_packets_wait)
{
	struct scene scene;
	uint32_t i;

	scene_open(&scene, 4);
	scene_bind(&scene, NULL, scene_keep);
	udp_send_many(&scene.udp, 0, 3);
	scene_serve(&scene, 3);
	netns_rule(scene.ns, 4, "-t mangle -F INPUT");
	udp_send(&scene.udp, 3);
	scene_expect(&scene, 3);
	decide_all(&scene);
	for (i = 0; i < 3; i++)
		scene_expect(&scene, i);
	netns_rule(scene.ns, 4, "-t mangle -A INPUT -p udp -j NFQUEUE --queue-num 1");
	expect_service(&scene, 9);
	scene.elsewhere = -3; /* of the rule that is gone */
	scene_close(&scene);
}

/* Removing a base chain makes the kernel drop all that is queued in the namespace. */
Test(faults, a_hook_is_removed_and_all_packets_with_it)
{
	struct scene scene;

	scene_open(&scene, 4);
	if (system("command -v iptables-nft >/dev/null") != 0)
		skip_or_fail("this needs iptables-nft");
	netns_rule(scene.ns, 4, "-t mangle -F INPUT");
	netns_run(scene.ns, "iptables-nft -A INPUT -p udp -j NFQUEUE --queue-num 1");
	scene_bind(&scene, NULL, scene_keep);
	udp_send_many(&scene.udp, 0, 3);
	scene_serve(&scene, 3);
	netns_run(scene.ns, "iptables-nft -F INPUT && iptables-nft -X INPUT");
	cr_assert(netns_wait_waiting(scene.ns, 1, 0));
	decide_all(&scene);
	cr_assert(mnfq_socket_dispatch(scene.sock, 0) == 0);
	cr_assert(scene_stats(&scene).refused == 3);
	netns_rule(scene.ns, 4, "-t mangle -A INPUT -p udp -j NFQUEUE --queue-num 1");
	expect_service(&scene, 9);
	scene.elsewhere = -3; /* of the rule that is gone */
	scene_close(&scene);
}

static bool has_device(struct netns *ns, const char *device)
{
	char *links = netns_output(ns, "ip -o link");
	bool found = strstr(links, device) != NULL;

	free(links);
	return found;
}

/* Its other end of a veth pair tells whether a namespace still exists. */
Test(faults, a_deleted_namespace_is_served_and_freed_by_our_close)
{
	struct netns *outside = netns_new();
	struct scene scene;

	scene_open(&scene, 4);
	free(scene.descriptors);
	netns_join(outside, "witness", scene.ns, "eth0", 1);
	scene_bind(&scene, NULL, scene_keep);
	netns_free(scene.ns);
	expect_service(&scene, 1);
	cr_assert(has_device(outside, "witness"));
	udp_close(&scene.udp);
	mnfq_socket_close(scene.sock);
	cr_assert(wait_until(!has_device(outside, "witness")), "the namespace is still there");
}
