/* SPDX-License-Identifier: MIT */
/* What a packet tells beside its bytes: priority, class, owner, state of its checksum. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel-fixture.h"

/* What was seen; packet i % 256. */
struct sight {
	int uid_err, gid_err;
	bool has_secctx;
	uint32_t priority, classid, uid, gid, skb_info;
	size_t length;
	char hook[16];
};
static struct sight sights[256];
static unsigned int sight_count;

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	struct sight *s = &sights[sight_count++ % 256];

	(void)data;
	s->priority = mnfq_packet_get_priority(packet);
	s->classid = mnfq_packet_get_cgroup_classid(packet);
	s->uid_err = mnfq_packet_get_uid(packet, &s->uid);
	s->gid_err = mnfq_packet_get_gid(packet, &s->gid);
	s->has_secctx = mnfq_packet_get_secctx(packet, NULL) != NULL;
	s->skb_info = mnfq_packet_get_skb_info(packet);
	(void)mnfq_packet_get_length(packet, &s->length);
	snprintf(s->hook, sizeof(s->hook), "%s", mnfq_packet_get_hook_name(packet));
	return MNFQ_ACCEPT;
}

/* ---- priority ---- */

static void expect_priority(uint32_t priority)
{
	sight_count = 0;
	memset(sights, 0, sizeof(sights));
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(sights[0].priority == priority, "priority 0x%x, not 0x%x", sights[0].priority,
		  priority);
}

static void set_priority(int priority)
{
	cr_assert(setsockopt(fixture.udp.tx, SOL_SOCKET, SO_PRIORITY, &priority,
			     sizeof(priority)) == 0);
}

FamilyTest(meta, priority_of_a_socket)
{
	fixture_open(family);
	fixture_bind(NULL, look);
	expect_priority(0);
	set_priority(6);
	expect_priority(6);
	set_priority(0x00120034);
	expect_priority(0x00120034);
	set_priority(0);
	expect_priority(0);
	fixture_close();
}

QueueTest(meta, priority_set_by_a_rule)
{
	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j CLASSIFY --set-class 1:20");
	fixture_bind(NULL, look);
	expect_priority(0x00010020);
	netns_rule(fixture.ns, 4, "-t mangle -F OUTPUT");
	expect_priority(0);
}

/* ---- class id ---- */

static bool write_file(const char *directory, const char *name, const char *format,
		       uint32_t value)
{
	char path[128];
	FILE *file;
	bool written;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	if (!file)
		return false;
	written = fprintf(file, format, value) > 0;
	return fclose(file) == 0 && written;
}

#define NO_NET_CLS 77

/* Sends datagram 1 from a control group of its own. Sees to it that nothing of that is left. */
static int send_from_group(const char *top, const char *group, const struct udp *udp)
{
	int result = 1;

	if (mkdir(group, 0755) < 0)
		return 1;
	if (write_file(group, "net_cls.classid", "0x%x", 0x00100001) &&
	    write_file(group, "cgroup.procs", "%u", (uint32_t)getpid())) {
		udp_send(udp, 1);
		result = 0;
	}
	if (!write_file(top, "cgroup.procs", "%u", (uint32_t)getpid()))
		result = 1;
	return rmdir(group) == 0 ? result : 1;
}

/* The hierarchy is mounted where no other process sees it. Its sockets come along to the group. */
static int send_classified(int stream, void *arg)
{
	char top[] = "/tmp/mnfq-net-cls-XXXXXX", group[64];
	int result = NO_NET_CLS;

	(void)arg;
	(void)stream;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(top))
		return 1;
	if (mount("cgroup", top, "cgroup", 0, "net_cls") == 0) {
		snprintf(group, sizeof(group), "%s/mnfq-%d", top, (int)getpid());
		result = send_from_group(top, group, &fixture.udp);
		umount(top);
	}
	rmdir(top);
	return result;
}

/* Linux 6.4 was the first. */
static bool kernel_tells_classes(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname uts;

	cr_assert(uname(&uts) == 0 && sscanf(uts.release, "%u.%u", &major, &minor) == 2);
	return major > 6 || (major == 6 && minor >= 4);
}

QueueTest(meta, class_of_the_senders_control_group)
{
	struct child child;
	int status;

	netns_rule(fixture.ns, 4, "-t mangle -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	fixture_bind(NULL, look);
	child = child_start(send_classified, &fixture);
	status = child_finish(&child);
	if (status == NO_NET_CLS)
		skip_or_fail("there is no control group net_cls (cgroup v1) to mount");
	cr_assert(status == 0);
	fixture_serve(2);
	cr_assert_str_eq(sights[0].hook, "output");
	if (kernel_tells_classes())
		cr_assert(sights[0].classid == 0x00100001, "class 0x%x", sights[0].classid);
	else
		cr_assert(sights[0].classid == 0, "a kernel before 6.4 tells, too");
	cr_assert_str_eq(sights[1].hook, "input");
	cr_assert(sights[1].classid == 0, "the sender's is not the receiver's");
	udp_send(&fixture.udp, 2);
	fixture_serve(2);
	cr_assert(sights[2].classid == 0);
}

/* ---- the socket behind it ---- */

static struct mnfq_socket *serve_tcp(struct netns *ns, struct tcp *tcp,
				     const struct mnfq_queue_options *options)
{
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	struct pollfd fds[2];

	expect_ok(NULL, mnfq_socket_open_netns(&sock, ns->name, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 1, options, look, NULL));
	tcp_start(tcp);
	fds[0] = (struct pollfd){ .fd = mnfq_socket_get_fd(sock), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = tcp->done_fd, .events = POLLIN };
	do {
		cr_assert(poll(fds, 2, DEADLINE_MS) > 0);
		cr_assert(mnfq_socket_dispatch(sock, 0) >= 0);
	} while (!fds[1].revents);
	cr_assert(tcp_finish(tcp) == 0);
	return sock;
}

/* A transfer over `lo` with the MTU of Ethernet, both directions seen on OUTPUT. */
static void transfer(const struct mnfq_queue_options *options)
{
	struct netns *ns = netns_new();
	struct tcp tcp = {
		.from = ns, .to = ns, .address = "127.0.0.1", .port = 80, .size = 200000
	};
	struct mnfq_socket *sock;

	netns_run(ns, "ip link set lo mtu 1500");
	netns_rule(ns, 4, "-A OUTPUT -p tcp -j NFQUEUE --queue-num 1");
	sock = serve_tcp(ns, &tcp, options);
	if (!options) /* else a large packet, for the rule one, comes in segments */
		fixture_account(sock, ns, NULL);
	mnfq_socket_close(sock);
	cr_assert(sight_count > 4);
	if (sight_count > 256)
		sight_count = 256;
}

/* Segments leave in large packets, and a checksum is left to the device, which never does it. */
Test(meta, tcp_with_gso)
{
	unsigned int large = 0;

	transfer(NULL);
	for (unsigned int i = 0; i < sight_count; i++) {
		cr_assert(!(sights[i].skb_info & MNFQ_SKB_CSUM_NOTVERIFIED), "it is leaving");
		if (sights[i].length <= 1500) {
			cr_assert(!(sights[i].skb_info & MNFQ_SKB_GSO), "packet %u", i);
			continue;
		}
		large++;
		cr_assert(sights[i].skb_info == (MNFQ_SKB_GSO | MNFQ_SKB_CSUMNOTREADY),
			  "packet %u of %zu bytes: flags 0x%x", i, sights[i].length,
			  sights[i].skb_info);
	}
	cr_assert(large > 0);
}

Test(meta, tcp_without_gso)
{
	transfer(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_NO_GSO));
	for (unsigned int i = 0; i < sight_count; i++) {
		cr_assert(sights[i].length <= 1500, "%zu bytes", sights[i].length);
		cr_assert(sights[i].skb_info == 0, "packet %u of %zu bytes: flags 0x%x", i,
			  sights[i].length, sights[i].skb_info);
	}
}

/* A raw socket's checksum was made by the sender, and is still to be looked at by the receiver. */
Test(meta, checksum_that_was_not_verified)
{
	struct netns *ns = netns_new();
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int echo;

	netns_rule(ns, 4, "-A OUTPUT -p icmp -j NFQUEUE --queue-num 1");
	netns_rule(ns, 4, "-A INPUT -p icmp -j NFQUEUE --queue-num 1");
	expect_ok(NULL, mnfq_socket_open_netns(&sock, ns->name, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 1, NULL, look, NULL));
	echo = icmp_open(ns, "127.0.0.1");
	icmp_send(echo, 1);
	while (sight_count < 2)
		cr_assert(mnfq_socket_dispatch(sock, DEADLINE_MS) > 0);
	cr_assert_str_eq(sights[0].hook, "output");
	cr_assert(sights[0].skb_info == 0, "0x%x", sights[0].skb_info);
	cr_assert_str_eq(sights[1].hook, "input");
	cr_assert(sights[1].skb_info == MNFQ_SKB_CSUM_NOTVERIFIED, "0x%x", sights[1].skb_info);
	close_accounted(sock, ns);
	close(echo);
}

/* ---- whose it is ---- */

/* System calls, because the functions change all threads. */
static int tcp_socket_of_somebody(void *arg)
{
	int fd;

	(void)arg;
	if (syscall(SYS_setresgid, 1234, 1234, 1234) < 0 ||
	    syscall(SYS_setresuid, 4321, 4321, 4321) < 0)
		return -errno;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd < 0 ? -errno : fd;
}

/* Connection of two users, both seen on OUTPUT: who answers has no socket of his own yet. */
Test(meta, owners_of_both_ends)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct netns *ns = netns_new();
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int client, listener = netns_socket(ns, AF_INET, SOCK_STREAM, 0);

	netns_rule(ns, 4, "-A OUTPUT -p tcp -j NFQUEUE --queue-num 1");
	expect_ok(NULL, mnfq_socket_open_netns(&sock, ns->name, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 1,
					QUEUE_OPTIONS(.flags = MNFQ_QUEUE_UID_GID), look, NULL));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	cr_assert(listen(listener, 1) == 0);
	client = netns_call(ns, tcp_socket_of_somebody, NULL);
	cr_assert(client >= 0);
	cr_assert(connect(client, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		  errno == EINPROGRESS);
	while (sight_count < 3)
		cr_assert(mnfq_socket_dispatch(sock, DEADLINE_MS) > 0);
	cr_assert(sights[0].uid_err == 0 && sights[0].uid == 4321, "SYN");
	cr_assert(sights[0].gid_err == 0 && sights[0].gid == 1234);
	cr_assert(sights[1].uid_err == -ENODATA && sights[1].gid_err == -ENODATA, "SYN|ACK");
	cr_assert(sights[2].uid_err == 0 && sights[2].uid == 4321, "ACK");
	close_accounted(sock, ns);
	close(client);
	close(listener);
}
