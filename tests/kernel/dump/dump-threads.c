/* SPDX-License-Identifier: MIT */
/* mnfq dump --threads: several sockets, one output, one end. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump-fixture.h"

TestSuite(dump_threads, .timeout = 300);

#define QUEUES 4u
#define FLOWS  64u /* so many that no queue goes without */
#define EACH   40u
#define ALL    (FLOWS * EACH)

static struct udp flows[FLOWS];

/* UDP to port 9 is spread over four queues, by its addresses. */
static void open_balanced(void)
{
	char address[16];

	ns = netns_new();
	netns_rule(ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-balance 0:3");
	for (unsigned int i = 0; i < FLOWS; i++) {
		snprintf(address, sizeof(address), "127.0.0.%u", i + 1);
		udp_open(&flows[i], ns, ns, address, 9);
	}
}

static void send_all(void)
{
	for (unsigned int i = 0; i < FLOWS; i++)
		udp_send_many(&flows[i], 0, EACH);
}

static void expect_all(void)
{
	for (unsigned int i = 0; i < FLOWS; i++)
		for (uint32_t seq = 0; seq < EACH; seq++)
			udp_expect(&flows[i], seq);
}

/* Waits until all packets are in the queues of a tool that is frozen. */
static bool all_wait(void)
{
	struct netns_queue queue;
	unsigned int waiting = 0;

	for (unsigned int num = 0; num < QUEUES; num++)
		if (netns_get_queue(ns, num, &queue))
			waiting += queue.waiting;
	return waiting == ALL;
}

static void start(const char *options)
{
	tool_start(&tool, NULL, -1, "dump -q 0:3 -n %s --threads 2 --max-len %u %s", ns->name,
		   ALL, options);
	tool_listening(&tool);
	expect_contains(tool.line, "listening on queues 0:3 ");
	expect_contains(tool.line, ", 2 threads, ");
}

/* A whole line, of a packet that had none yet. */
static void expect_line(const char *line, bool seen[QUEUES][ALL])
{
	unsigned int num = QUEUES, id = 0;
	int end = 0;

	sscanf(line,
	       "%*2u:%*2u:%*2u.%*6u IP 127.0.0.%*u.%*u > 127.0.0.%*u.9: UDP, length 32 | "
	       "q%u id %u output lo, accept%n",
	       &num, &id, &end);
	cr_assert(end > 0 && line[end] == '\0', "'%s'", line);
	cr_assert(num < QUEUES && id >= 1 && id <= ALL && !seen[num][id - 1], "'%s'", line);
	seen[num][id - 1] = true;
}

Test(dump_threads, print_each_packet_once_and_add_up)
{
	static bool seen[QUEUES][ALL];

	open_balanced();
	start("");
	send_all();
	for (unsigned int i = 0; i < ALL; i++)
		expect_line(tool_out(&tool), seen);
	for (unsigned int num = 0; num < QUEUES; num++)
		cr_expect(seen[num][0], "nothing came through queue %u", num);
	kill(tool.pid, SIGTERM);
	cr_assert_str_eq(tool_out(&tool), "");
	tool_expect_end(&tool, .packets = ALL, .accepted = ALL);
	expect_all();
}

/* Each of two threads has a socket of its own, with half of the queues. */
Test(dump_threads, share_the_queues)
{
	struct netns_queue queues[QUEUES];

	ns = netns_new();
	start("");
	for (unsigned int num = 0; num < QUEUES; num++)
		cr_assert(netns_get_queue(ns, num, &queues[num]));
	cr_expect_eq(queues[0].portid, queues[1].portid);
	cr_expect_neq(queues[1].portid, queues[2].portid);
	cr_expect_eq(queues[2].portid, queues[3].portid);
	dump_end(SIGTERM);
}

Test(dump_threads, end_after_count_packets_together)
{
	static bool seen[QUEUES][ALL];

	open_balanced();
	start("-c 1000");
	tool_freeze(&tool);
	send_all();
	cr_assert(all_wait());
	kill(tool.pid, SIGCONT);
	for (unsigned int i = 0; i < 1000; i++)
		expect_line(tool_out(&tool), seen);
	cr_assert_str_eq(tool_out(&tool), "");
	expect_contains(tool_err(&tool), " packets, ");
	cr_assert_eq(tool_finish(&tool), 0);
	expect_all();
}

Test(dump_threads, end_with_signals)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	ns = netns_new();
	for (unsigned int i = 0; i < 3; i++) {
		start(i ? "--quiet" : "");
		kill(tool.pid, signals[i]);
		tool_expect_end(&tool, .packets = 0);
	}
}

/* One line, with the packets of all threads. */
Test(dump_threads, report_their_counters_together)
{
	static bool seen[QUEUES][ALL];

	open_balanced();
	start("");
	kill(tool.pid, SIGUSR1);
	expect_summary(tool_err(&tool), .packets = 0);
	send_all();
	for (unsigned int i = 0; i < ALL; i++)
		expect_line(tool_out(&tool), seen);
	kill(tool.pid, SIGUSR1);
	expect_summary(tool_err(&tool), .packets = ALL, .accepted = ALL);
	kill(tool.pid, SIGTERM);
	tool_expect_end(&tool, .packets = ALL, .accepted = ALL);
	expect_all();
}

/* The next report that begins like this, or none within the deadline. */
static void await_report(const char *begin)
{
	struct pollfd ready = { .fd = fileno(tool.err), .events = POLLIN };

	do
		cr_assert(poll(&ready, 1, DEADLINE_MS) == 1, "no '%s', but '%s'", begin,
			  tool.line);
	while (strncmp(tool_err(&tool), begin, strlen(begin)) != 0);
}

/* Of signals that come faster than threads look, some threads see more than others. */
Test(dump_threads, report_their_latest_counters)
{
	struct datagram datagram;
	char summary[128];

	open_balanced();
	start("--quiet");
	setvbuf(tool.err, NULL, _IONBF, 0);
	for (unsigned int round = 1; round <= 50; round++) {
		for (unsigned int i = 0; i < 200; i++)
			kill(tool.pid, SIGUSR1);
		for (unsigned int i = 0; i < FLOWS; i++) {
			udp_send(&flows[i], round);
			cr_assert(udp_await(&flows[i], &datagram));
		}
		kill(tool.pid, SIGUSR1);
		snprintf(summary, sizeof(summary), "%u packets, %u bytes, %u accepted, 0 dropped",
			 FLOWS * round, 60 * FLOWS * round, FLOWS * round);
		await_report(summary);
	}
	tool_stop(&tool, .packets = 50 * FLOWS, .accepted = 50 * FLOWS);
}

Test(dump_threads, end_although_their_output_is_not_read)
{
	open_balanced();
	start("");
	cr_assert(fcntl(fileno(tool.out), F_SETPIPE_SZ, 4096) >= 0);
	send_all();
	cr_assert(wait_until(tool_is_stalled(&tool)));
	kill(tool.pid, SIGINT);
	expect_contains(tool_err(&tool), " packets, ");
	cr_assert_eq(tool_finish(&tool), 0);
	expect_all();
}

Test(dump_threads, report_once_that_output_cannot_be_written)
{
	open_balanced();
	start(">/dev/full");
	tool_freeze(&tool);
	send_all();
	cr_assert(all_wait());
	kill(tool.pid, SIGCONT);
	expect_contains(tool_err(&tool), "mnfq dump: cannot write to stdout: ");
	expect_contains(tool_err(&tool), " packets, ");
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 1);
	expect_all();
}

/* A copy of the tool's socket that owns a queue. */
static int copy_socket(uint32_t portid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, tool.pid, 0);
	struct sockaddr_nl address;
	socklen_t len;

	cr_assert(pidfd >= 0);
	for (int number = 3; number < 32; number++) {
		int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

		len = sizeof(address);
		if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
		    address.nl_family == AF_NETLINK && address.nl_pid == portid)
			return fd;
	}
	cr_assert_fail("no socket with port id %u", portid);
	return -1;
}

/* Takes a queue away from the tool, on a socket of its own. */
static void unbind_behind_its_back(uint16_t num)
{
	struct {
		struct nlmsghdr nlh;
		struct nfgenmsg nfg;
		struct nlattr attr;
		struct nfqnl_msg_config_cmd cmd;
	} request = { .nlh = { .nlmsg_len = sizeof(request),
			       .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG,
			       .nlmsg_flags = NLM_F_REQUEST },
		      .nfg = { .res_id = htons(num) },
		      .attr = { sizeof(request.attr) + sizeof(request.cmd), NFQA_CFG_CMD },
		      .cmd = { .command = NFQNL_CFG_CMD_UNBIND } };
	struct netns_queue queue;

	cr_assert(netns_get_queue(ns, num, &queue));
	cr_assert(send(copy_socket(queue.portid), &request, sizeof(request), 0) > 0);
	cr_assert(!netns_get_queue(ns, num, &queue));
}

Test(dump_threads, one_that_fails_ends_the_others)
{
	ns = netns_new();
	netns_rule(ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 2");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	start("");
	tool_freeze(&tool);
	udp_send(&udp, 0);
	unbind_behind_its_back(2);
	kill(tool.pid, SIGCONT);
	expect_contains(tool_err(&tool), "mnfq dump: ");
	expect_contains(tool.line, "unbound");
	expect_contains(tool_err(&tool), "1 packet, ");
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 1);
}

/* One that is served alone ends it with the reason, too. */
Test(dump_threads, one_without_threads_that_fails)
{
	char begin[96];

	dump_open_and_start("");
	tool_freeze(&tool);
	udp_send(&udp, 0);
	unbind_behind_its_back(1);
	kill(tool.pid, SIGCONT);
	snprintf(begin, sizeof(begin), "mnfq dump: namespace %s: queue 1: another user ",
		 ns->name);
	cr_assert(strncmp(tool_err(&tool), begin, strlen(begin)) == 0, "%s", tool.line);
	expect_contains(tool_err(&tool), "1 packet, ");
	expect_contains(tool.line, ", queue full unknown"); /* it went with the queue */
	cr_assert_str_eq(tool_err(&tool), "");
	cr_assert_eq(tool_finish(&tool), 1);
}

Test(dump_threads, end_with_their_namespace)
{
	char line[64];

	ns = netns_new();
	start("");
	snprintf(line, sizeof(line), "namespace %s: gone", ns->name);
	netns_free(ns);
	cr_assert_str_eq(tool_err(&tool), line);
	tool_expect_end(&tool, .packets = 0);
}
