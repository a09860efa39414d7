/* SPDX-License-Identifier: MIT */
/* mnfq dump --json: every line is an object, with the keys that the packet has and no others. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dump-fixture.h"

TestSuite(dump_json, .timeout = 300);

/* What arrives at @ns from @left passes queue 1 in its hook "input". */
static struct netns *left;
static json_t *object; /* the last one */

static void start_between(int family, const char *protocol, const char *options)
{
	char arguments[64];

	left = netns_new();
	ns = netns_new();
	netns_join(left, "eth0", ns, "veth7", 1);
	netns_rule(ns, family, "-A INPUT -p %s -j NFQUEUE --queue-num 1", protocol);
	snprintf(arguments, sizeof(arguments), "--json %s", options);
	dump_start(arguments);
}

static void next_object(void)
{
	json_error_t error;

	json_decref(object);
	object = json_loads(tool_out(&tool), JSON_REJECT_DUPLICATES, &error);
	cr_assert(object, "%s: '%s'", error.text, tool.line);
}

/* The object of a datagram. */
static void start_and_send(int family, const char *options)
{
	start_between(family, "udp", options);
	udp_open(&udp, left, ns, family == 4 ? "10.0.1.2" : "fd00:0:0:1::2", 9);
	udp_send_sized(&udp, 1, 100);
	next_object();
}

/* Exactly these keys, in any order. */
static void expect_keys(const char *keys)
{
	size_t count = 1;
	const char *key;
	json_t *value;

	for (const char *at = keys; *at; at++)
		count += *at == ' ';
	cr_expect_eq(json_object_size(object), count, "not just: %s", keys);
	json_object_foreach(object, key, value)
	{
		const char *at = strstr(keys, key);

		cr_expect(at, "%s", key);
	}
}

static void expect_text(const char *key, const char *expected)
{
	const char *text = json_string_value(json_object_get(object, key));

	cr_expect(text && strcmp(text, expected) == 0, "%s is %s", key, text ? text : "no text");
}

static void expect_number(const char *key, json_int_t expected)
{
	json_t *value = json_object_get(object, key);

	cr_expect(json_is_integer(value), "%s is no number", key);
	cr_expect_eq(json_integer_value(value), expected, "%s is %lld", key,
		     (long long)json_integer_value(value));
}

/* In seconds, whole microseconds. */
static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)(ts.tv_nsec / 1000) / 1e6;
}

#define KEYS_IP                                                                                       \
	"time time_source netns queue id hook hw_protocol indev hwaddr length caplen checksum family" \
	" protocol src dst verdict tos ttl ip_protocol"
#define KEYS_IPV4 KEYS_IP " ip_id dont_fragment"
#define KEYS_IPV6 KEYS_IP " flow_label"
#define KEYS_ECHO " icmp_type icmp_code icmp_id icmp_seq message data_length"

Test(dump_json, udp_over_ipv4)
{
	double before, time;

	start_between(4, "udp", "");
	udp_open(&udp, left, ns, "10.0.1.2", 9);
	before = now();
	udp_send_sized(&udp, 1, 100);
	next_object();

	expect_keys(KEYS_IPV4 " sport dport data_length");
	expect_text("netns", ns->name);
	expect_number("queue", 1);
	expect_number("id", 1);
	expect_text("hook", "input");
	expect_number("hw_protocol", 0x0800);
	expect_text("indev", "veth7");
	expect_number("length", 128);
	expect_number("caplen", 128);
	expect_text("checksum", "not-ready");
	expect_number("family", 2);
	expect_text("protocol", "udp");
	expect_text("src", "10.0.1.1");
	expect_text("dst", "10.0.1.2");
	expect_number("dport", 9);
	expect_text("verdict", "accept");

	time = json_real_value(json_object_get(object, "time"));
	cr_expect(time >= before && time <= now(), "%f, %f, %f", before, time, now());
	dump_end(SIGTERM);
}

static double send_and_wait(uint32_t seq)
{
	double before = now();

	udp_send(&udp, seq);
	cr_assert(netns_wait_waiting(ns, 1, 1));
	return before;
}

/*
 * However late it is read. A processor starts to note times a little after it was asked to, so that
 * packets come before that without.
 */
Test(dump_json, time_is_that_of_reception)
{
	double before = 0, after = 0, time = 0;
	const char *source = "";
	int64_t since = 0;
	uint32_t seq = 0;

	start_between(4, "udp", "");
	udp_open(&udp, left, ns, "10.0.1.2", 9);
	while (strcmp(source, "kernel") != 0 && wait_again(&since)) {
		tool_freeze(&tool);
		before = send_and_wait(seq++);
		after = now();
		cr_assert(wait_until(now() > after));
		kill(tool.pid, SIGCONT);
		next_object();
		time = json_real_value(json_object_get(object, "time"));
		source = json_string_value(json_object_get(object, "time_source"));
		source = source && strcmp(source, "kernel") == 0 ? "kernel" : "mnfq";
		cr_expect(strcmp(source, "kernel") == 0 || time > after);
	}
	cr_assert_str_eq(source, "kernel");
	cr_expect(time >= before && time <= after, "%f, %f, %f", before, time, after);
	dump_end(SIGTERM);
}

/* Has one of its sockets the kernel stamp packets? Others on the system may do so at the same time. */
static bool asks_for_timestamps(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), on, fd;
	bool asks = false;
	socklen_t len;

	cr_assert(pidfd >= 0);
	for (int i = 0; i < 64; i++) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, i, 0);
		len = sizeof(on);
		asks = asks || (fd >= 0 &&
				getsockopt(fd, SOL_SOCKET, SO_TIMESTAMP, &on, &len) == 0 && on);
		if (fd >= 0)
			close(fd);
	}
	close(pidfd);
	return asks;
}

Test(dump_json, the_kernel_is_asked_for_times_only_where_they_are_printed)
{
	ns = netns_new();
	dump_start("--json");
	cr_expect(asks_for_timestamps(tool.pid));
	dump_end(SIGTERM);
	dump_start("--quiet");
	cr_expect(!asks_for_timestamps(tool.pid));
	dump_end(SIGTERM);
}

/* Packets that this machine sends are never stamped. */
Test(dump_json, time_is_that_of_reading_where_nothing_was_received)
{
	double after, time;

	ns = netns_new();
	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	dump_start("--json");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	tool_freeze(&tool);
	(void)send_and_wait(0);
	after = now();
	kill(tool.pid, SIGCONT);
	next_object();
	expect_text("time_source", "mnfq");
	time = json_real_value(json_object_get(object, "time"));
	cr_expect(time >= after && time <= now(), "%f, %f, %f", after, time, now());
	dump_end(SIGTERM);
}

Test(dump_json, hwaddr_is_the_senders)
{
	start_and_send(4, "");
	netns_run(left, "ip link set eth0 address 02:00:00:00:0a:ff");
	udp_send(&udp, 1);
	next_object();
	expect_text("hwaddr", "02:00:00:00:0a:ff");
	dump_end(SIGTERM);
}

Test(dump_json, udp_over_ipv6)
{
	start_and_send(6, "--verdict drop");
	expect_keys(KEYS_IPV6 " sport dport data_length");
	expect_number("hw_protocol", 0x86dd);
	expect_number("family", 10);
	expect_text("protocol", "udp");
	expect_text("src", "fd00:0:0:1::1");
	expect_text("dst", "fd00:0:0:1::2");
	expect_number("dport", 9);
	expect_text("verdict", "drop");
	dump_end(SIGTERM);
}

Test(dump_json, tcp)
{
	struct tcp tcp;

	start_between(4, "tcp", "");
	tcp = (struct tcp){
		.from = left, .to = ns, .address = "10.0.1.2", .port = 80, .size = 1000
	};
	tcp_start(&tcp);
	next_object();
	expect_keys(KEYS_IPV4 " sport dport tcp_flags seq window tcp_options data_length");
	expect_text("protocol", "tcp");
	expect_text("tcp_flags", "S");
	expect_number("data_length", 0);
	expect_text("src", "10.0.1.1");
	expect_number("dport", 80);
	cr_expect_eq(tcp_finish(&tcp), 0);
	dump_end(SIGTERM);
}

Test(dump_json, no_gso_splits_large_packets)
{
	struct netns *right = netns_new();
	struct tcp tcp;
	unsigned int count = 0;

	ns = netns_new();
	netns_join(ns, "eth0", right, "eth0", 1);
	netns_rule(ns, 4, "-A OUTPUT -p tcp -j NFQUEUE --queue-num 1");
	dump_start("--json --no-gso");
	tcp = (struct tcp){
		.from = ns, .to = right, .address = "10.0.1.2", .port = 80, .size = 200000
	};
	tcp_start(&tcp);
	for (json_int_t total = 0; total < 200000;) {
		json_int_t length;

		next_object();
		length = json_integer_value(json_object_get(object, "length"));
		cr_assert(length >= 40 && length <= 1500, "%lld", (long long)length);
		total += length - 40;
		count++;
	}
	cr_expect(count > 200000 / 1500);
	cr_expect_eq(tcp_finish(&tcp), 0);
	dump_end(SIGTERM);
}

static void expect_echo(int family, const char *protocol, const char *name, const char *address)
{
	int fd;

	start_between(family, protocol, "");
	fd = icmp_open(left, address);
	icmp_send(fd, 1);
	next_object();
	if (family == 4)
		expect_keys(KEYS_IPV4 KEYS_ECHO);
	else
		expect_keys(KEYS_IPV6 KEYS_ECHO);
	expect_text("protocol", name);
	expect_number("icmp_type", family == 4 ? 8 : 128);
	expect_number("icmp_code", 0);
	expect_text("message", "echo request");
	expect_text("dst", address);
	expect_text("checksum", "good");
	close(fd);
	dump_end(SIGTERM);
}

Test(dump_json, icmp)
{
	expect_echo(4, "icmp", "icmp", "10.0.1.2");
}

Test(dump_json, icmpv6)
{
	expect_echo(6, "icmpv6 --icmpv6-type echo-request", "icmpv6", "fd00:0:0:1::2");
}

Test(dump_json, what_a_local_sender_adds)
{
	const int priority = 0x10002;

	ns = netns_new();
	netns_rule(ns, 4, "-t mangle -A OUTPUT -p udp -j MARK --set-mark 0xfffffffe");
	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	dump_start("--json --uid-gid --mark 3");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	setsockopt(udp.tx, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	udp_send(&udp, 1);
	next_object();
	expect_keys(
		"time time_source netns queue id hook hw_protocol outdev mark priority length caplen checksum"
		" uid gid family protocol src dst sport dport verdict verdict_mark tos ttl ip_id"
		" dont_fragment ip_protocol data_length");
	expect_number("mark", 0xfffffffe);
	expect_number("verdict_mark", 3);
	expect_number("priority", 0x10002);
	expect_text("outdev", "lo");
	expect_number("uid", 0);
	expect_number("gid", 0);
	dump_end(SIGTERM);
}

/* What udp_send() sends ends with zeros. */
Test(dump_json, payload)
{
	static const struct {
		const char *option, *begin;
	} formats[] = { { "hex", "4500003c" }, { "base64", "RQAAP" } };
	const char *payload;

	ns = netns_new();
	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	for (uint32_t i = 0; i < 2; i++) {
		char arguments[64];

		snprintf(arguments, sizeof(arguments), "-c 1 --json --payload %s",
			 formats[i].option);
		dump_start(arguments);
		udp_send(&udp, i);
		next_object();
		payload = json_string_value(json_object_get(object, "payload"));
		cr_assert(payload);
		cr_expect_eq(strncmp(payload, formats[i].begin, strlen(formats[i].begin)), 0,
			     "%s", payload);
		cr_expect_eq(strlen(payload), i ? 80 : 120);
		cr_assert_eq(tool_finish(&tool), 0);
	}
}

Test(dump_json, without_payload)
{
	start_and_send(4, "--copy meta");
	expect_keys(
		"time time_source netns queue id hook hw_protocol indev hwaddr caplen checksum"
		" family protocol verdict");
	expect_text("protocol", "ipv4");
	expect_number("caplen", 0);
	dump_end(SIGTERM);
}
