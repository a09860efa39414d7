/* SPDX-License-Identifier: MIT */
/* Each program of examples/ does what it says, with real packets. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel-fixture.h"

struct program {
	struct netns *ns; /* where it runs; NULL: outside */
	const char *argv[8];
};

static int exec_program(int fd, void *arg)
{
	struct program *program = arg;
	char path[4096];

	if (program->ns)
		netns_enter(program->ns);
	dup2(fd, STDOUT_FILENO); /* what it prints is read by the test */
	dup2(fd, STDERR_FILENO);
	snprintf(path, sizeof(path), "%s/%s", getenv("MNFQ_EXAMPLES"), program->argv[0]);
	execv(path, (char **)program->argv);
	return 127;
}

static struct child start(struct program *program)
{
	cr_assert(getenv("MNFQ_EXAMPLES"), "MNFQ_EXAMPLES names the directory of the programs");
	return child_start(exec_program, program);
}

/* Reads what the program prints until @text is in it. */
static void await_text(const struct child *child, const char *text)
{
	char output[4096] = "";
	size_t len = 0;
	ssize_t got;

	while (!strstr(output, text)) {
		cr_assert(wait_readable(child->fd), "no '%s' in '%s'", text, output);
		got = read(child->fd, output + len, sizeof(output) - 1 - len);
		cr_assert(got > 0, "no '%s' in '%s'", text, output);
		len += (size_t)got;
		output[len] = '\0';
	}
}

/* A namespace, datagrams to queue 1 over its `lo`. */
struct queued_ns {
	struct netns *ns;
	struct udp udp;
};

static void queued_open(struct queued_ns *queued)
{
	queued->ns = netns_new();
	netns_rule(queued->ns, 4, "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1",
		   PORT);
	udp_open(&queued->udp, queued->ns, queued->ns, "127.0.0.1", PORT);
}

static void await_bound(struct queued_ns *queued)
{
	struct netns_queue queue;

	cr_assert(wait_until(netns_get_queue(queued->ns, 1, &queue)), "queue 1 was not bound");
}

static void queued_close(struct queued_ns *queued)
{
	udp_close(&queued->udp);
	netns_free(queued->ns);
}

/* Opens the namespace, and starts the program in it. */
static struct child start_in(struct queued_ns *queued, struct program *program)
{
	struct child child;

	queued_open(queued);
	program->ns = queued->ns;
	child = start(program);
	await_bound(queued);
	return child;
}

static void stop(struct child *child)
{
	kill(child->pid, SIGTERM);
	cr_expect_eq(child_finish(child), 0);
}

Test(examples, acceptor)
{
	struct program program = { .argv = { "acceptor", "1" } };
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, &program);
	for (uint32_t seq = 1; seq <= 20; seq++)
		udp_send(&queued.udp, seq);
	for (uint32_t seq = 1; seq <= 20; seq++)
		udp_expect(&queued.udp, seq);
	child_kill(&child);
	queued_close(&queued);
}

Test(examples, epoll)
{
	struct program program = { .argv = { "epoll", "1" } };
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, &program);
	udp_send(&queued.udp, 1);
	udp_expect(&queued.udp, 1);
	await_text(&child, "packet 1, 60 bytes\n");
	stop(&child);
	queued_close(&queued);
}

/* Three namespaces with 1, 101 and 201 packets. */
Test(examples, many)
{
	struct program program = { .argv = { "many", "1" } };
	struct queued_ns spaces[3];
	struct child child;
	char text[3 * 64] = "";

	for (uint32_t i = 0; i < 3; i++) {
		queued_open(&spaces[i]);
		program.argv[2 + i] = spaces[i].ns->name;
		sprintf(text + strlen(text), "%s: %u packets\n", spaces[i].ns->name, 100 * i + 1);
	}
	child = start(&program);
	for (uint32_t i = 0; i < 3; i++) {
		await_bound(&spaces[i]);
		for (uint32_t seq = 0; seq <= 100 * i; seq++)
			udp_send(&spaces[i].udp, seq);
		for (uint32_t seq = 0; seq <= 100 * i; seq++)
			udp_expect(&spaces[i].udp, seq);
	}
	kill(child.pid, SIGTERM);
	await_text(&child, text);
	cr_expect_eq(child_finish(&child), 0);
	for (uint32_t i = 0; i < 3; i++)
		queued_close(&spaces[i]);
}

Test(examples, drop_content)
{
	/* The bytes of a datagram begin with its number. */
	struct program program = { .argv = { "drop-content", "1", "XYZ!" } };
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, &program);
	udp_send(&queued.udp, 1);
	udp_send(&queued.udp, 0x58595a21);
	udp_send(&queued.udp, 2);
	udp_expect(&queued.udp, 1);
	udp_expect(&queued.udp, 2);
	kill(child.pid, SIGTERM);
	await_text(&child, "2 accepted, 1 dropped\n");
	cr_expect_eq(child_finish(&child), 0);
	queued_close(&queued);
}

/* The largest datagram there is: a message has no room for its last 4 bytes, nor for this text. */
static void send_unseen(struct queued_ns *queued, const char *text)
{
	static uint8_t bytes[65507];

	memcpy(bytes + sizeof(bytes) - strlen(text), text, strlen(text));
	cr_assert_eq(send(queued->udp.tx, bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
}

/* It is not delivered, but the next one is. */
static void expect_unseen_dropped(struct program *program, const char *output)
{
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, program);
	send_unseen(&queued, "secret");
	udp_send(&queued.udp, 1);
	udp_expect(&queued.udp, 1);
	kill(child.pid, SIGTERM);
	if (output)
		await_text(&child, output);
	cr_expect_eq(child_finish(&child), 0);
	queued_close(&queued);
}

Test(examples, drop_content_lets_nothing_pass_unseen)
{
	expect_unseen_dropped(&(struct program){ .argv = { "drop-content", "1", "secret" } },
			      "1 accepted, 1 dropped\n");
}

Test(examples, replace_lets_nothing_pass_unseen)
{
	expect_unseen_dropped(&(struct program){ .argv = { "replace", "1", "secret", "public" } },
			      NULL);
}

/* Both ends of a connection over IPv6 that is fast enough for packets of more than 64 KiB. */
static void open_big(struct netns *ns, int ends[2])
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				   .sin6_port = htons(PORT) };
	char *refused = netns_output(
		ns, "ip link set lo gso_max_size 185000 gro_max_size 185000 2>&1 || true");
	int listener = netns_socket(ns, AF_INET6, SOCK_STREAM, 0);
	static uint8_t bytes[1 << 20];
	ssize_t got;

	if (*refused)
		cr_skip_test("no BIG TCP here: this needs iproute2 5.19 and Linux 5.19");
	free(refused);
	ends[0] = netns_socket(ns, AF_INET6, SOCK_STREAM, 0);
	cr_assert(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		  listen(listener, 1) == 0 &&
		  connect(ends[0], (struct sockaddr *)&at, sizeof(at)) == 0);
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(send(ends[0], bytes, sizeof(bytes) / 4, 0), sizeof(bytes) / 4);
		for (size_t left = sizeof(bytes) / 4; left > 0; left -= (size_t)got) {
			got = recv(ends[1], bytes, left, 0);
			cr_assert(got > 0);
		}
	}
}

#define BIG 130000 /* two segments of the loopback device */

/* On its way to the program a packet is seen by us. */
static enum mnfq_verdict witness(struct mnfq_packet *packet, void *data)
{
	size_t *length = data;

	cr_assert(mnfq_packet_get_length(packet, length) == 0);
	cr_expect(mnfq_packet_is_whole(packet) == (*length <= MNFQ_COPY_RANGE_MAX));
	return MNFQ_ACCEPT;
}

static bool is_queued(struct netns *ns)
{
	struct netns_queue queue;

	return netns_get_queue(ns, 1, &queue) && queue.id >= 1;
}

Test(examples, drop_content_lets_nothing_pass_in_big_tcp)
{
	struct program program = { .argv = { "drop-content", "1", "secret" } };
	static uint8_t bytes[BIG];
	struct queued_ns queued = { .ns = netns_new() };
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	struct child child;
	size_t length = 0;
	ssize_t len;
	int ends[2];

	open_big(queued.ns, ends);
	udp_open(&queued.udp, queued.ns, queued.ns, "::1", PORT);
	netns_rule(queued.ns, 6, "-t mangle -A INPUT -p tcp --dport %d -j NFQUEUE --queue-num 1",
		   PORT);
	netns_rule(queued.ns, 6, "-t mangle -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1",
		   PORT);
	netns_rule(queued.ns, 6, "-t mangle -A OUTPUT -p tcp --dport %d -j NFQUEUE --queue-num 2",
		   PORT);
	expect_ok(NULL, mnfq_socket_open_netns(&sock, queued.ns->name, NULL));
	expect_ok(sock, mnfq_queue_bind(&queue, sock, 2, NULL, witness, &length));
	program.ns = queued.ns;
	child = start(&program);
	await_bound(&queued);
	memcpy(bytes + 100000, "secret", 6);
	cr_assert_eq(send(ends[0], bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
	cr_assert_eq(mnfq_socket_dispatch(sock, DEADLINE_MS), 1);
	cr_assert(length > BIG, "a packet of %zu bytes is not big", length);
	cr_assert(wait_until(is_queued(queued.ns)));
	udp_send(&queued.udp, 1); /* is decided after it */
	udp_expect(&queued.udp, 1);
	while ((len = recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		cr_expect(!memmem(bytes, (size_t)len, "secret", 6), "it passed unseen");
	close(ends[0]);
	close(ends[1]);
	kill(child.pid, SIGTERM);
	await_text(&child, " dropped\n");
	cr_expect_eq(child_finish(&child), 0);
	mnfq_socket_close(sock);
	queued_close(&queued);
}

Test(examples, reorder)
{
	static const uint32_t order[] = { 4, 3, 2, 1, 8, 7, 6, 5 };
	struct program program = { .argv = { "reorder", "1" } };
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, &program);
	for (uint32_t seq = 1; seq <= 9; seq++)
		udp_send(&queued.udp, seq);
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		udp_expect(&queued.udp, order[i]);
	stop(&child); /* which lets go what is not a whole group */
	udp_expect(&queued.udp, 9);
	queued_close(&queued);
}

Test(examples, pull)
{
	struct program program = { .argv = { "pull", "1" } };
	struct datagram datagram;
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, &program);
	for (uint32_t seq = 1; seq <= 10; seq++)
		udp_send(&queued.udp, seq);
	for (uint32_t seq = 1; seq <= 10; seq++)
		if (seq % 3)
			udp_expect(&queued.udp, seq);
	kill(child.pid, SIGTERM);
	await_text(&child, "10 packets\n");
	cr_expect_eq(child_finish(&child), 0);
	cr_expect(!udp_receive(&queued.udp, &datagram));
	queued_close(&queued);
}

Test(examples, replace)
{
	struct program program = { .argv = { "replace", "1", "small", "considerable" } };
	char text[] = "a small change, and another small one", received[128] = "";
	struct queued_ns queued;
	struct child child;

	child = start_in(&queued, &program);
	cr_assert(send(queued.udp.tx, text, strlen(text), 0) == (ssize_t)strlen(text));
	cr_assert(wait_readable(queued.udp.rx));
	cr_assert(recv(queued.udp.rx, received, sizeof(received) - 1, 0) > 0);
	cr_assert_str_eq(received, "a considerable change, and another considerable one");
	stop(&child);
	queued_close(&queued);
}

/* The queue depends on the addresses: so many that none of up to 64 goes without. */
#define FLOWS 1000

static void send_flows(struct queued_ns *queued)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = netns_socket(queued->ns, AF_INET, SOCK_DGRAM, 0);

	for (uint32_t i = 0; i < FLOWS; i++) {
		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i);
		cr_assert_eq(sendto(fd, "", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	}
	close(fd);
}

/* Reads "queue 0: N packets" and so on to the end; returns how many packets it were in all. */
static unsigned int add_up(const struct child *child, long threads)
{
	char output[4096] = "", *line = output;
	unsigned int sum = 0, packets;
	long num = 0, printed;
	size_t len = 0;
	ssize_t got;

	while ((got = read(child->fd, output + len, sizeof(output) - 1 - len)) > 0)
		len += (size_t)got;
	for (; *line; line = strchr(line, '\n') + 1) {
		cr_assert(sscanf(line, "queue %ld: %u packets\n", &printed, &packets) == 2, "%s",
			  output);
		cr_expect(printed == num && packets > 0, "each thread sees some: %s", line);
		sum += packets;
		num++;
	}
	cr_expect_eq(num, threads);
	return sum;
}

Test(examples, balance)
{
	long threads = sysconf(_SC_NPROCESSORS_ONLN);
	struct program program = { .argv = { "balance", "0" } };
	struct netns_queue queue;
	struct queued_ns queued;
	struct child child;

	queued_open(&queued);
	netns_run(queued.ns, "iptables-legacy -t mangle -F INPUT");
	netns_rule(queued.ns, 4,
		   threads > 1 ? "-A OUTPUT -p udp -j NFQUEUE --queue-balance 0:%ld"
			       : "-A OUTPUT -p udp -j NFQUEUE --queue-num %ld",
		   threads - 1);
	netns_rule(queued.ns, 4, "-A INPUT -p udp -d 127.0.0.0/8");
	program.ns = queued.ns;
	child = start(&program);
	cr_assert(wait_until(netns_get_queue(queued.ns, (unsigned int)threads - 1, &queue)));
	send_flows(&queued);
	cr_assert(wait_until(netns_rule_packets(queued.ns, 4, "filter", "INPUT", 1) == FLOWS));
	kill(child.pid, SIGTERM);
	cr_expect_eq(add_up(&child, threads), FLOWS);
	cr_expect_eq(child_finish(&child), 0);
	queued_close(&queued);
}

#define TRANSFER (8u << 20)
#define FEW      400u /* what was on its way until the mark was saved; a whole transfer is 6000 */

/* Rules as in the head of the example, on a router. */
static struct netns *open_router(struct tcp *tcp)
{
	struct netns *left = netns_new(), *router = netns_new(), *right = netns_new();

	netns_route(left, router, right);
	netns_run(left, "ethtool -K eth0 tso off gso off");
	netns_rule(router, 4, "-t mangle -A FORWARD -m connmark --mark 0x1/0x1 -j RETURN");
	netns_rule(router, 4, "-t mangle -A FORWARD -p tcp -j NFQUEUE --queue-num 1");
	netns_rule(router, 4,
		   "-t mangle -A POSTROUTING -m mark --mark 0x1/0x1"
		   " -j CONNMARK --save-mark --nfmask 0x1 --ctmask 0x1");
	*tcp = (struct tcp){
		.from = left, .to = right, .address = "10.0.2.1", .port = 80, .size = TRANSFER
	};
	return router;
}

Test(examples, decide_once)
{
	struct program program = { .argv = { "decide-once", "1", "10" } };
	struct tcp tcp;
	struct netns *router = open_router(&tcp);
	struct netns_queue queue;
	struct child child;
	uint64_t queued;
	char text[64];

	program.ns = router;
	child = start(&program);
	cr_assert(wait_until(netns_get_queue(router, 1, &queue)), "queue 1 was not bound");
	tcp_start(&tcp);
	cr_assert_eq(tcp_finish(&tcp), 0);
	queued = netns_rule_packets(router, 4, "mangle", "FORWARD", 2);
	cr_expect(queued >= 10 && queued < FEW, "%d packets were queued", (int)queued);
	cr_expect_gt(netns_rule_packets(router, 4, "mangle", "FORWARD", 1), 10 * FEW);
	kill(child.pid, SIGTERM);
	snprintf(text, sizeof(text), "%d packets seen\n", (int)queued);
	await_text(&child, text);
	cr_expect_eq(child_finish(&child), 0);
}

/* A program that asks for connection tracking data says what is missing where there is none. */
static void run_tracking(struct program *program, bool looks, const char *output)
{
	struct queued_ns queued;
	struct child child;

	queued_open(&queued);
	netns_run(queued.ns, "iptables-legacy -A OUTPUT -m conntrack --ctstate NEW || true");
	program->ns = queued.ns;
	if (!kernel_has(queued.ns, MNFQ_QUEUE_CONNTRACK)) {
		child = start(program);
		await_text(&child, kernel_lacks_for_conntrack(queued.ns));
		cr_expect_eq(child_finish(&child), 1);
	} else {
		child = start(program);
		await_bound(&queued);
		if (looks) /* that is not delivered */
			send_unseen(&queued, "XYZ!");
		udp_send(&queued.udp, 0x58595a21);
		udp_expect(&queued.udp, 0x58595a21);
		kill(child.pid, SIGTERM);
		await_text(&child, output);
		cr_expect_eq(child_finish(&child), 0);
	}
	queued_close(&queued);
}

Test(examples, conntrack)
{
	struct program program = { .argv = { "conntrack", "1" } };
	char path[4096];

	snprintf(path, sizeof(path), "%s/conntrack", getenv("MNFQ_EXAMPLES"));
	if (access(path, X_OK) < 0)
		skip_or_fail("conntrack was not built: libnetfilter_conntrack is missing");
	run_tracking(&program, false, "src=127.0.0.1 dst=127.0.0.1 ");
}

Test(examples, mark_flow)
{
	struct program program = { .argv = { "mark-flow", "1", "XYZ!" } };

	run_tracking(&program, true, "1 packets marked their connections\n");
}

/* Hands a socket of its namespace over to a program that waits outside. */
static void pass_socket(struct queued_ns *queued, const struct child *receiver, const char *path)
{
	struct program sender = { .ns = queued->ns, .argv = { "pass-socket", "send", path } };
	struct child child;

	await_text(receiver, "waiting for a socket");
	child = start(&sender);
	cr_assert_eq(child_finish(&child), 0);
	await_bound(queued);
}

Test(examples, received_socket)
{
	char directory[] = "/tmp/mnfq-test-XXXXXX", path[64];
	struct program program = { .argv = { "received-socket", path, "1" } };
	struct queued_ns queued;
	struct child child;

	queued_open(&queued);
	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	child = start(&program);
	pass_socket(&queued, &child, path);
	udp_send(&queued.udp, 1);
	udp_expect(&queued.udp, 1);
	await_text(&child, "packet 1 from lo, 60 bytes\n");
	stop(&child);
	cr_expect_eq(rmdir(directory), 0);
	queued_close(&queued);
}

Test(examples, pass_socket_to_a_command)
{
	char directory[] = "/tmp/mnfq-test-XXXXXX", path[64];
	struct program program = { .argv = { "pass-socket", "receive", path, "readlink",
					     "/proc/self/fd/3" } };
	struct program sender = { .argv = { "pass-socket", "send", path } };
	struct child receiver, child;
	struct netns *ns = netns_new();

	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	receiver = start(&program);
	await_text(&receiver, "waiting for a socket");
	sender.ns = ns;
	child = start(&sender);
	cr_expect_eq(child_finish(&child), 0);
	await_text(&receiver, "socket:[");
	cr_expect_eq(child_finish(&receiver), 0);
	cr_expect_eq(rmdir(directory), 0);
	netns_free(ns);
}
