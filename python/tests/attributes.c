/* SPDX-License-Identifier: MIT */
/*
 * Preloaded: adds attributes that the kernel at hand cannot give to each packet that a process receives from
 * NFQUEUE. MNFQ_TEST_ATTRIBUTES: the attributes, in hexadecimal digits. MNFQ_TEST_FAMILY: the family, if another one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static size_t add(const struct msghdr *msg, size_t len)
{
	const char *hex = getenv("MNFQ_TEST_ATTRIBUTES"), *family = getenv("MNFQ_TEST_FAMILY");
	struct nlmsghdr *header = msg->msg_iov[0].iov_base;
	uint8_t *end = (uint8_t *)header + NLMSG_ALIGN(len);

	if (len < NLMSG_LENGTH(sizeof(struct nfgenmsg)) || header->nlmsg_len != len ||
	    header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return len;
	if (family)
		((struct nfgenmsg *)NLMSG_DATA(header))->nfgen_family = (uint8_t)atoi(family);
	for (; hex && sscanf(hex, "%2hhx", end) == 1; hex += 2)
		end++;
	header->nlmsg_len = (uint32_t)(end - (uint8_t *)header);
	return header->nlmsg_len;
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout)
{
	int (*real)(int, struct mmsghdr *, unsigned int, int, struct timespec *) =
		dlsym(RTLD_NEXT, "recvmmsg");
	int i, count = real(fd, msgs, n, flags, timeout);

	for (i = 0; i < count; i++)
		msgs[i].msg_len = (unsigned int)add(&msgs[i].msg_hdr, msgs[i].msg_len);
	return count;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
	ssize_t len = real(fd, msg, flags);

	return len < 0 || flags & MSG_TRUNC ? len : (ssize_t)add(msg, (size_t)len);
}
