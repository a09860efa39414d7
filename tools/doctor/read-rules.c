/* SPDX-License-Identifier: MIT */
/* Reading the rules of a network namespace. */
#include "doctor/read-rules.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "common/sys.h"

#define BUFFER_SIZE (1u << 16)
#define TIME_MAX    5000 /* ms, of a list */
#define TRIES       5    /* of a list that changes while it is read */
#define TABLE_MAX   (64u << 20)

/* ---- nf_tables -------------------------------------------------------------------------- */

static int request_list(int fd, uint16_t type, uint32_t seq)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	char buf[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct nfgenmsg))];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(header, sizeof(*family));

	header->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = seq;
	*family = (struct nfgenmsg){ .nfgen_family = NFPROTO_UNSPEC };
	return sendto(fd, buf, header->nlmsg_len, 0, (const struct sockaddr *)&kernel,
		      sizeof(kernel)) < 0
		       ? -errno
		       : 0;
}

/* Returns the length of a datagram of the kernel, or a negative errno. */
static ssize_t receive(int fd, void *buf, int64_t deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct sockaddr_nl from = { 0 };
	int64_t left;
	ssize_t len;

	do {
		socklen_t size = sizeof(from);

		left = deadline - clock_ms();
		if (left <= 0 || poll(&poll_fd, 1, (int)left) == 0)
			return -ETIMEDOUT;
		len = recvfrom(fd, buf, BUFFER_SIZE, MSG_DONTWAIT | MSG_TRUNC,
			       (struct sockaddr *)&from, &size);
	} while ((len < 0 && (errno == EINTR || errno == EAGAIN)) || (len >= 0 && from.nl_pid));
	if (len < 0)
		return -errno;
	return len > BUFFER_SIZE ? -EMSGSIZE : len;
}

static int read_list(struct rules *rules, int fd, char *buf, uint16_t type)
{
	static uint32_t seq;
	const int64_t deadline = clock_ms() + TIME_MAX;
	int err = request_list(fd, type, ++seq);
	ssize_t len;

	while (err == 0) {
		len = receive(fd, buf, deadline);
		err = len < 0 ? (int)len : rules_parse_list(rules, buf, (size_t)len, seq);
	}
	rules_end_chain(rules);
	return err < 0 ? err : 0;
}

static int read_both(struct rules *rules, int fd, char *buf)
{
	int err = read_list(rules, fd, buf, NFT_MSG_GETCHAIN);

	if (err == 0)
		err = read_list(rules, fd, buf, NFT_MSG_GETRULE);
	return err < 0 ? err : rules_follow(rules);
}

/* Takes over what is in @found. */
static int merge(struct rules *rules, struct rules *found)
{
	int err = 0;

	for (size_t i = 0; i < found->count && err == 0; i++)
		err = rules_append(rules, &found->list[i]) || rules->too_many ? 0 : -ENOMEM;
	rules->too_many |= found->too_many;
	rules->chain_begin = rules->count;
	rules->chains = found->chains;
	rules->chain_count = found->chain_count;
	found->chains = NULL;
	rules_free(found);
	return err;
}

int read_rules_nft(struct rules *rules)
{
	struct rules found = { 0 };
	char *buf = malloc(BUFFER_SIZE);
	int fd = -1, err = -EINTR;

	if (!buf)
		return -ENOMEM;
	/* What is left of a list that was given up goes with its socket. */
	for (int i = 0; i < TRIES && err == -EINTR; i++) {
		rules_free(&found);
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
		err = fd < 0 ? -errno : read_both(&found, fd, buf);
		if (fd >= 0)
			close(fd);
	}
	free(buf);
	if (err < 0) {
		rules_free(&found);
		return err;
	}
	return merge(rules, &found);
}

/* ---- iptables-legacy -------------------------------------------------------------------- */

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
		       sizeof(struct ipt_get_entries) == sizeof(struct ip6t_get_entries) &&
		       IPT_SO_GET_INFO == IP6T_SO_GET_INFO &&
		       IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES,
	       "one code serves both families");

/* A table can grow between the two questions: the kernel says EAGAIN. */
static int read_table(struct rules *rules, int fd, int level, const char *name)
{
	const uint8_t family = level == IPPROTO_IPV6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
	struct ipt_getinfo info = { 0 };
	struct legacy_table table = { .name = info.name, .family = family };
	struct ipt_get_entries *entries;
	socklen_t size = sizeof(info);
	int err;

	snprintf(info.name, sizeof(info.name), "%.31s", name);
	if (getsockopt(fd, level, IPT_SO_GET_INFO, &info, &size) < 0)
		return -errno;
	if (info.size > TABLE_MAX)
		return -E2BIG;
	table.hooks = info.valid_hooks;
	memcpy(table.entry, info.hook_entry, sizeof(table.entry));
	memcpy(table.underflow, info.underflow, sizeof(table.underflow));
	entries = calloc(1, sizeof(*entries) + info.size);
	if (!entries)
		return -ENOMEM;
	memcpy(entries->name, info.name, sizeof(entries->name));
	entries->size = info.size;
	size = (socklen_t)(sizeof(*entries) + info.size);
	if (getsockopt(fd, level, IPT_SO_GET_ENTRIES, entries, &size) < 0)
		err = -errno;
	else
		err = rules_parse_legacy(rules, &table, entries->entrytable, info.size);
	free(entries);
	return err;
}

/* Only tables that are there already are listed; to ask for another one would make it. */
static int read_tables(struct rules *rules, int domain, int level, const char *names)
{
	FILE *file = fopen(names, "re");
	int fd, err = 0;
	char line[64];

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err = -errno;
	while (err == 0 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		err = -EAGAIN;
		for (int i = 0; i < TRIES && err == -EAGAIN; i++)
			err = read_table(rules, fd, level, line);
		if (err == -ENOENT) /* gone meanwhile */
			err = 0;
	}
	if (fd >= 0)
		close(fd);
	fclose(file);
	return err;
}

int read_rules_legacy(struct rules *rules)
{
	int err =
		read_tables(rules, AF_INET, IPPROTO_IP, "/proc/thread-self/net/ip_tables_names");

	if (err < 0)
		return err;
	return read_tables(rules, AF_INET6, IPPROTO_IPV6,
			   "/proc/thread-self/net/ip6_tables_names");
}
