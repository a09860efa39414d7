/* SPDX-License-Identifier: MIT */
/* What a hostile process sends. */
#include "hostile.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void hostile_send(int stream, const void *bytes, size_t len, int fd, size_t count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(count * sizeof(int));
	}
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.align) + i * sizeof(fd), &fd, sizeof(fd));
	cr_assert(sendmsg(stream, &msg, MSG_NOSIGNAL) == (ssize_t)len, "%s", strerror(errno));
}

int hostile_linger(struct netns *ns, int *reader)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = netns_socket(ns, AF_INET, SOCK_STREAM, 0);
	int writer = netns_socket(ns, AF_INET, SOCK_STREAM, 0);
	static char data[65536];

	cr_assert(bind(listener, (struct sockaddr *)&address, len) == 0);
	cr_assert(listen(listener, 1) == 0);
	cr_assert(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
	cr_assert(connect(writer, (struct sockaddr *)&address, len) == 0);
	*reader = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert(*reader >= 0);
	close(listener);
	while (send(writer, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	cr_assert(setsockopt(writer, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	return writer;
}

static void forge(int netlink, uint32_t portid, const struct nlmsghdr *nlh)
{
	const struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = portid };

	cr_assert(sendto(netlink, nlh, nlh->nlmsg_len, 0, (const struct sockaddr *)&to,
			 sizeof(to)) == (ssize_t)nlh->nlmsg_len,
		  "%s", strerror(errno));
}

void hostile_forge_packet(int netlink, uint32_t portid, uint32_t id)
{
	const struct {
		struct nlmsghdr nlh;
		struct nfgenmsg nfg;
		struct nlattr attr;
		struct nfqnl_msg_packet_hdr header;
		uint8_t padding;
	} packet = { .nlh = { .nlmsg_len = sizeof(packet),
			      .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET },
		     .nfg = { .res_id = htons(1) },
		     .attr = { sizeof(packet.attr) + sizeof(packet.header), NFQA_PACKET_HDR },
		     .header = { .packet_id = htonl(id) } };

	_Static_assert(sizeof(packet) % NLMSG_ALIGNTO == 0, "a whole message");
	forge(netlink, portid, &packet.nlh);
}

void hostile_forge_answer(int netlink, uint32_t portid, uint32_t seq, int error)
{
	const struct {
		struct nlmsghdr nlh;
		struct nlmsgerr answer;
	} answer = { .nlh = { .nlmsg_len = sizeof(answer),
			      .nlmsg_type = NLMSG_ERROR,
			      .nlmsg_seq = seq },
		     .answer = { .error = error,
				 .msg = { .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
					  .nlmsg_seq = seq } } };

	forge(netlink, portid, &answer.nlh);
}
