/* SPDX-License-Identifier: MIT */
/* mnfq dump --json: every line is an object, with the keys that the packet has and no others. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"
#include "wait.h"

TestSuite(dump_json, .timeout = 300);

/* Two namespaces; what arrives at @right passes queue 1 in its hook "input". */
struct scene {
	struct netns *left, *right;
	struct tool tool;
};

static void make_scene(struct scene *scene, int family, const char *protocol, const char *options)
{
	scene->left = netns_new();
	scene->right = netns_new();
	netns_join(scene->left, "eth0", scene->right, "veth7", 1);
	netns_rule(scene->right, family, "-A INPUT -p %s -j NFQUEUE --queue-num 1", protocol);
	tool_start(&scene->tool, NULL, -1, "dump --json -q 1 -n %s %s", scene->right->name,
		   options);
	tool_listening(&scene->tool);
}

static json_t *next_object(struct scene *scene)
{
	json_error_t error;
	json_t *object;

	object = json_loads(tool_out(&scene->tool), JSON_REJECT_DUPLICATES, &error);
	cr_assert(object, "%s: '%s'", error.text, scene->tool.line);
	return object;
}

static void end_scene(struct scene *scene)
{
	kill(scene->tool.pid, SIGTERM);
	cr_assert_eq(tool_finish(&scene->tool), 0);
}

/* Exactly these keys, in any order. */
static void expect_keys(json_t *object, const char *keys)
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

static void expect_text(json_t *object, const char *key, const char *expected)
{
	const char *text = json_string_value(json_object_get(object, key));

	cr_expect(text && strcmp(text, expected) == 0, "%s is %s", key, text ? text : "no text");
}

static void expect_number(json_t *object, const char *key, json_int_t expected)
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
	" protocol src dst verdict"

Test(dump_json, udp_over_ipv4)
{
	struct scene scene;
	double before, time;
	json_t *object;
	struct udp udp;

	make_scene(&scene, 4, "udp", "");
	udp_open(&udp, scene.left, scene.right, "10.0.1.2", 9);
	before = now();
	udp_send_sized(&udp, 1, 100);
	object = next_object(&scene);

	expect_keys(object, KEYS_IP " sport dport");
	expect_text(object, "netns", scene.right->name);
	expect_number(object, "queue", 1);
	expect_number(object, "id", 1);
	expect_text(object, "hook", "input");
	expect_number(object, "hw_protocol", 0x0800);
	expect_text(object, "indev", "veth7");
	expect_number(object, "length", 128);
	expect_number(object, "caplen", 128);
	expect_text(object, "checksum", "not-ready");
	expect_number(object, "family", 2);
	expect_text(object, "protocol", "udp");
	expect_text(object, "src", "10.0.1.1");
	expect_text(object, "dst", "10.0.1.2");
	expect_number(object, "dport", 9);
	expect_text(object, "verdict", "accept");

	time = json_real_value(json_object_get(object, "time"));
	cr_expect(time >= before && time <= now(), "%f, %f, %f", before, time, now());
	json_decref(object);
	end_scene(&scene);
}

static double send_and_wait(struct scene *scene, const struct udp *udp, uint32_t seq)
{
	double before = now();

	udp_send(udp, seq);
	cr_assert(netns_wait_waiting(scene->right, 1, 1));
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
	struct scene scene;
	json_t *object;
	struct udp udp;
	int64_t since = 0;
	uint32_t seq = 0;

	make_scene(&scene, 4, "udp", "");
	udp_open(&udp, scene.left, scene.right, "10.0.1.2", 9);
	while (strcmp(source, "kernel") != 0 && wait_again(&since)) {
		tool_freeze(&scene.tool);
		before = send_and_wait(&scene, &udp, seq++);
		after = now();
		cr_assert(wait_until(now() > after));
		kill(scene.tool.pid, SIGCONT);
		object = next_object(&scene);
		time = json_real_value(json_object_get(object, "time"));
		source = json_string_value(json_object_get(object, "time_source"));
		source = source && strcmp(source, "kernel") == 0 ? "kernel" : "mnfq";
		cr_expect(strcmp(source, "kernel") == 0 || time > after);
		json_decref(object);
	}
	cr_assert_str_eq(source, "kernel");
	cr_expect(time >= before && time <= after, "%f, %f, %f", before, time, after);
	end_scene(&scene);
}

/* Packets that this machine sends are never stamped. */
Test(dump_json, time_is_that_of_reading_where_nothing_was_received)
{
	struct netns *ns = netns_new();
	struct scene scene = { .right = ns };
	double after, time;
	json_t *object;
	struct udp udp;

	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	tool_start(&scene.tool, NULL, -1, "dump --json -q 1 -n %s", ns->name);
	tool_listening(&scene.tool);
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	tool_freeze(&scene.tool);
	(void)send_and_wait(&scene, &udp, 0);
	after = now();
	kill(scene.tool.pid, SIGCONT);
	object = next_object(&scene);
	expect_text(object, "time_source", "mnfq");
	time = json_real_value(json_object_get(object, "time"));
	cr_expect(time >= after && time <= now(), "%f, %f, %f", after, time, now());
	json_decref(object);
	end_scene(&scene);
}

Test(dump_json, hwaddr_is_the_senders)
{
	struct scene scene;
	json_t *object;
	struct udp udp;

	make_scene(&scene, 4, "udp", "");
	netns_run(scene.left, "ip link set eth0 address 02:00:00:00:0a:ff");
	udp_open(&udp, scene.left, scene.right, "10.0.1.2", 9);
	udp_send(&udp, 1);
	object = next_object(&scene);
	expect_text(object, "hwaddr", "02:00:00:00:0a:ff");
	json_decref(object);
	end_scene(&scene);
}

Test(dump_json, udp_over_ipv6)
{
	struct scene scene;
	json_t *object;
	struct udp udp;

	make_scene(&scene, 6, "udp", "--verdict drop");
	udp_open(&udp, scene.left, scene.right, "fd00:0:0:1::2", 9);
	udp_send(&udp, 1);
	object = next_object(&scene);
	expect_keys(object, KEYS_IP " sport dport");
	expect_number(object, "hw_protocol", 0x86dd);
	expect_number(object, "family", 10);
	expect_text(object, "protocol", "udp");
	expect_text(object, "src", "fd00:0:0:1::1");
	expect_text(object, "dst", "fd00:0:0:1::2");
	expect_number(object, "dport", 9);
	expect_text(object, "verdict", "drop");
	json_decref(object);
	end_scene(&scene);
}

Test(dump_json, tcp)
{
	struct scene scene;
	json_t *object;
	struct tcp tcp;

	make_scene(&scene, 4, "tcp", "");
	tcp = (struct tcp){ .from = scene.left,
			    .to = scene.right,
			    .address = "10.0.1.2",
			    .port = 80,
			    .size = 1000 };
	tcp_start(&tcp);
	object = next_object(&scene);
	expect_keys(object, KEYS_IP " sport dport tcp_flags");
	expect_text(object, "protocol", "tcp");
	expect_text(object, "tcp_flags", "S");
	expect_text(object, "src", "10.0.1.1");
	expect_number(object, "dport", 80);
	json_decref(object);
	cr_expect_eq(tcp_finish(&tcp), 0);
	end_scene(&scene);
}

Test(dump_json, no_gso_splits_large_packets)
{
	struct netns *left = netns_new(), *right = netns_new();
	struct scene scene;
	struct tcp tcp;
	unsigned int count = 0;

	netns_join(left, "eth0", right, "eth0", 1);
	netns_rule(left, 4, "-A OUTPUT -p tcp -j NFQUEUE --queue-num 1");
	tool_start(&scene.tool, NULL, -1, "dump --json -q 1 -n %s --no-gso", left->name);
	tool_listening(&scene.tool);
	tcp = (struct tcp){
		.from = left, .to = right, .address = "10.0.1.2", .port = 80, .size = 200000
	};
	tcp_start(&tcp);
	for (json_int_t total = 0; total < 200000;) {
		json_t *object = next_object(&scene);
		json_int_t length = json_integer_value(json_object_get(object, "length"));

		cr_assert(length >= 40 && length <= 1500, "%lld", (long long)length);
		total += length - 40;
		count++;
		json_decref(object);
	}
	cr_expect(count > 200000 / 1500);
	cr_expect_eq(tcp_finish(&tcp), 0);
	end_scene(&scene);
}

static void expect_echo(int family, const char *protocol, const char *name, const char *address)
{
	struct scene scene;
	json_t *object;
	int fd;

	make_scene(&scene, family, protocol, "");
	fd = icmp_open(scene.left, address);
	icmp_send(fd, 1);
	object = next_object(&scene);
	expect_keys(object, KEYS_IP " icmp_type icmp_code message");
	expect_text(object, "protocol", name);
	expect_number(object, "icmp_type", family == 4 ? 8 : 128);
	expect_number(object, "icmp_code", 0);
	expect_text(object, "message", "echo request");
	expect_text(object, "dst", address);
	expect_text(object, "checksum", "good");
	json_decref(object);
	close(fd);
	end_scene(&scene);
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
	struct netns *ns = netns_new();
	struct scene scene;
	json_t *object;
	struct udp udp;

	netns_rule(ns, 4, "-t mangle -A OUTPUT -p udp -j MARK --set-mark 0xfffffffe");
	netns_rule(ns, 4, "-A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	tool_start(&scene.tool, NULL, -1, "dump --json -q 1 -n %s --uid-gid --mark 3", ns->name);
	tool_listening(&scene.tool);
	udp_open(&udp, ns, ns, "127.0.0.1", 9);
	setsockopt(udp.tx, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	udp_send(&udp, 1);
	object = next_object(&scene);
	expect_keys(
		object,
		"time time_source netns queue id hook hw_protocol outdev mark priority length caplen checksum"
		" uid gid family protocol src dst sport dport verdict");
	expect_number(object, "mark", 0xfffffffe);
	expect_number(object, "priority", 0x10002);
	expect_text(object, "outdev", "lo");
	expect_number(object, "uid", 0);
	expect_number(object, "gid", 0);
	json_decref(object);
	end_scene(&scene);
}

Test(dump_json, without_payload)
{
	struct scene scene;
	json_t *object;
	struct udp udp;

	make_scene(&scene, 4, "udp", "--copy meta");
	udp_open(&udp, scene.left, scene.right, "10.0.1.2", 9);
	udp_send(&udp, 1);
	object = next_object(&scene);
	expect_keys(
		object,
		"time time_source netns queue id hook hw_protocol indev hwaddr caplen checksum"
		" family protocol verdict");
	expect_text(object, "protocol", "ipv4");
	expect_number(object, "caplen", 0);
	json_decref(object);
	end_scene(&scene);
}
