/* SPDX-License-Identifier: MIT */
/* mnfq stat with real queues: what it says is what the kernel says; what it refuses, each with one line. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exposition.h"
#include "kernel-fixture.h"
#include "tool.h"

TestSuite(stat, .timeout = 300);

static struct tool tool;
static char text[1 << 16]; /* what it printed */

/* Runs it to its end. */
static void run(int status, const char *arguments)
{
	size_t len;

	tool_start(&tool, NULL, -1, "%s", arguments);
	len = fread(text, 1, sizeof(text) - 1, tool.out);
	text[len] = '\0';
	tool_err(&tool);
	cr_expect_eq(tool_finish(&tool), status, "%s", arguments);
}

static void run_on(struct netns *ns, const char *arguments)
{
	char command[256];

	snprintf(command, sizeof(command), "stat -n %s %s", ns->name, arguments);
	run(0, command);
	cr_assert_str_eq(tool.line, "");
}

/* ---- what the kernel says --------------------------------------------------------------- */

static void expect_number(const json_t *object, const char *key, json_int_t number)
{
	const json_t *value = json_object_get(object, key);

	cr_expect(json_is_integer(value), "%s: %s", key, text);
	cr_expect_eq(json_integer_value(value), number, "%s is %lld", key,
		     (long long)json_integer_value(value));
}

static void expect_text(const json_t *object, const char *key, const char *expected)
{
	const char *value = json_string_value(json_object_get(object, key));

	cr_expect(value && strcmp(value, expected) == 0, "%s: %s", key, text);
}

/* The line of queue @num of @ns, as an object to free. */
static json_t *get_object(struct netns *ns, unsigned int num)
{
	json_t *object;

	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		object = json_loadb(line, strcspn(line, "\n"), JSON_REJECT_DUPLICATES, NULL);
		cr_assert(object, "%s", line);
		if (json_integer_value(json_object_get(object, "queue")) == (json_int_t)num &&
		    strcmp(json_string_value(json_object_get(object, "netns")), ns->name) == 0)
			return object;
		json_decref(object);
	}
	cr_assert(false, "no queue %u of %s in %s", num, ns->name, text);
	return NULL;
}

/* It agrees with /proc. */
static void expect_queue(struct netns *ns, unsigned int num, const char *command)
{
	static const char *const modes[] = { "none", "meta", "packet" };
	json_t *object = get_object(ns, num);
	struct netns_queue queue;

	cr_assert(netns_get_queue(ns, num, &queue));
	expect_number(object, "portid", queue.portid);
	expect_number(object, "pid", getpid());
	expect_text(object, "command", command);
	expect_number(object, "waiting", queue.waiting);
	expect_text(object, "copy_mode", modes[queue.copy_mode]);
	expect_number(object, "copy_range", queue.copy_range);
	expect_number(object, "dropped_full", queue.dropped);
	expect_number(object, "dropped_socket", queue.user_dropped);
	expect_number(object, "packets", queue.id);
	cr_expect_eq(json_object_size(object), 11, "%s", text);
	json_decref(object);
}

static void expect_sample(const char *metric, unsigned int value)
{
	char sample[256], number[16];

	snprintf(sample, sizeof(sample), "%s{netns=\"%s\",queue=\"1\"}", metric,
		 fixture.ns->name);
	snprintf(number, sizeof(number), "%u", value);
	exposition_expect(text, sample, number);
}

static void drain(void)
{
	while (mnfq_socket_dispatch(fixture.sock, 0) > 0)
		;
}

/* The name of a process has any bytes, here those that would end a line, a label, a string, a colour. */
#define NAME "a\"\n\\\033[3}"

QueueTest(stat, a_full_queue)
{
	char owner[64];

	prctl(PR_SET_NAME, NAME);
	fixture_bind(QUEUE_OPTIONS(.max_len = 3, .copy_range = 64), count_packet);
	udp_send_many(&fixture.udp, 0, 5);
	run_on(fixture.ns, "--json");
	expect_queue(fixture.ns, 1, NAME);
	run_on(fixture.ns, "--prometheus");
	exposition_check(text);
	expect_sample("nfqueue_packets_waiting", 3);
	expect_sample("nfqueue_packets_total", 3);
	expect_sample("nfqueue_dropped_full_packets_total", 2);
	expect_sample("nfqueue_dropped_socket_packets_total", 0);
	expect_sample("nfqueue_copy_range_bytes", 64);
	expect_contains(text,
			",command=\"a\\\"\\\\x0a\\\\\\\\x1b[3}\",copy_mode=\"packet\"} 1\n");
	run_on(fixture.ns, "");
	snprintf(owner, sizeof(owner), "  %d/a\"\\x0a\\\\x1b[3}  ", (int)getpid());
	expect_contains(text, owner);
	expect_contains(text, "  packet:64          2          0        3\n");
	cr_expect(!strchr(text, '\033'), "no colour but on a terminal");
	drain();
}

QueueTest(stat, a_full_receive_buffer)
{
	struct netns_queue queue;

	prctl(PR_SET_NAME, "owner");
	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 16384));
	fixture_bind(QUEUE_OPTIONS(.max_len = 50000), count_packet);
	udp_send_many(&fixture.udp, 0, 500);
	cr_assert(netns_get_queue(fixture.ns, 1, &queue) && queue.user_dropped > 0);
	run_on(fixture.ns, "--json");
	expect_queue(fixture.ns, 1, "owner");
	run_on(fixture.ns, "--prometheus");
	expect_sample("nfqueue_dropped_socket_packets_total", queue.user_dropped);
	drain();
}

/* Each has its own queue 1. */
QueueTest(stat, two_namespaces)
{
	struct netns *other = netns_new();
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	char arguments[128];

	prctl(PR_SET_NAME, "owner");
	fixture_bind(NULL, count_packet);
	expect_ok(NULL, mnfq_socket_open_netns(&sock, other->name, NULL));
	for (uint16_t num = 1; num < 4; num++)
		expect_ok(sock,
			  mnfq_queue_bind(&queue, sock, num,
					  QUEUE_OPTIONS(.copy_mode = num == 2 ? MNFQ_COPY_META
									      : MNFQ_COPY_NONE),
					  count_packet, &fixture));
	udp_send_many(&fixture.udp, 0, 2);
	snprintf(arguments, sizeof(arguments), "--json -n %s", other->name);
	run_on(fixture.ns, arguments);
	expect_queue(fixture.ns, 1, "owner");
	expect_queue(other, 1, "owner");
	expect_queue(other, 2, "owner");
	run(0, "stat --all-netns --json");
	expect_queue(fixture.ns, 1, "owner");
	expect_queue(other, 3, "owner");
	run(0, "stat --all-netns --prometheus");
	exposition_check(text);
	run_on(other, "-q 2:3 --json");
	cr_expect(!strstr(text, "\"queue\":1,"), "%s", text);
	expect_queue(other, 2, "owner");
	expect_queue(other, 3, "owner");
	drain();
	mnfq_socket_close(sock);
	netns_free(other);
}

/* The namespace that it runs in; what it is called if it has no name, see place.h. */
QueueTest(stat, its_own_namespace)
{
	char command[128];

	prctl(PR_SET_NAME, "owner");
	fixture_bind(NULL, count_packet);
	snprintf(command, sizeof(command), "exec ip netns exec %s \"$MNFQ_TOOL\" stat --json",
		 fixture.ns->name);
	tool_start_shell(&tool, NULL, -1, "%s", command);
	snprintf(text, sizeof(text), "%s\n", tool_out(&tool));
	expect_queue(fixture.ns, 1, "owner");
	cr_assert_eq(tool_finish(&tool), 0);
}

/* There are none before the second reading. Closing the pipe ends it. */
QueueTest(stat, rates)
{
	json_t *object;
	int status;

	fixture_bind(NULL, count_packet);
	tool_start(&tool, NULL, -1, "stat -n %s --json --watch 0.1", fixture.ns->name);
	cr_assert(!strstr(tool_out(&tool), "per_second"), "%s", tool.line);
	fixture_pass(0, 7);
	do
		object = json_loads(tool_out(&tool), JSON_REJECT_DUPLICATES, NULL);
	while (object && json_integer_value(json_object_get(object, "packets")) == 0);
	cr_assert(object, "%s", tool.line);
	expect_number(object, "packets", 7);
	cr_expect(json_is_real(json_object_get(object, "time")));
	cr_expect(json_integer_value(json_object_get(object, "packets_per_second")) > 0);
	expect_number(object, "dropped_full_per_second", 0);
	json_decref(object);
	fclose(tool.out);
	cr_assert_str_eq(tool_err(&tool), "");
	fclose(tool.err);
	cr_assert(waitpid(tool.pid, &status, 0) == tool.pid && status == 0);
}

/* ---- refusals --------------------------------------------------------------------------- */

static void expect_refused(int status, const char *part, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A sanitizer has something to say itself where there is no /proc. */
static const char *next_err(void)
{
	while (strncmp(tool_err(&tool), "==", 2) == 0)
		;
	return tool.line;
}

/* A shell command that ends in the tool; a single line says why. */
static void expect_refused(int status, const char *part, const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	tool_start_shell(&tool, NULL, -1, "%s", command);
	cr_expect_str_eq(tool_out(&tool), "", "%s", command);
	next_err();
	cr_expect(strncmp(tool.line, "mnfq stat: ", 11) == 0 && strstr(tool.line, part), "%s: %s",
		  command, tool.line);
	cr_expect(status != 2 || strstr(tool.line, "--help"), "%s", tool.line);
	cr_expect_str_eq(next_err(), "", "%s: one line", command);
	cr_expect_eq(tool_finish(&tool), status, "%s", command);
}

#define STAT "exec \"$MNFQ_TOOL\" stat "

Test(stat, wrong_command_lines)
{
	expect_refused(2, "65536", STAT "-q 65536");
	expect_refused(2, "3:1", STAT "-q 3:1");
	expect_refused(2, "only once", STAT "-q 1 -q 2");
	expect_refused(2, "cannot be combined", STAT "-n a --all-netns");
	expect_refused(2, "cannot be combined", STAT "--json --prometheus");
	expect_refused(2, "--watch", STAT "--prometheus --watch");
	expect_refused(2, "0.1 to 86400", STAT "--watch 0");
	expect_refused(2, "0.1 to 86400", STAT "-w 99999999999999999999");
	expect_refused(2, "0.1 to 86400", STAT "-w 1e3");
	expect_refused(2, "0.1 to 86400", STAT "--watch=x");
	expect_refused(2, "0.1 to 86400", STAT "--watch x");
	expect_refused(2, "unexpected argument 'x'", STAT "--watch 2 x");
	expect_refused(2, "auto, always or never", STAT "--color red");
	expect_refused(2, "at most 256", STAT "$(seq 257 | sed 's/^/-n /')");
}

Test(stat, what_cannot_be_read)
{
	struct netns *ns = netns_new();

	expect_refused(1, "mnfq-no-such", STAT "-n mnfq-no-such");
	expect_refused(1, "mnfq-no-such", STAT "-n mnfq-no-such --watch");
	expect_refused(1, "and 1 more", STAT "-n mnfq-no-such -n mnfq-nor-this");
	expect_refused(1, "/dev/null is not a network namespace", STAT "-n /dev/null");
	expect_refused(1, "queue 5 is not bound", STAT "-q 5 -n %s", ns->name);
	expect_refused(
		1, "root",
		"exec setpriv --reuid 54321 --regid 54321 --clear-groups \"$MNFQ_TOOL\" stat");
	expect_refused(
		1, "CAP_SYS_ADMIN",
		"exec setpriv --bounding-set=-all --inh-caps=-all \"$MNFQ_TOOL\" stat -n %s",
		ns->name);
	expect_refused(1, "mount /proc",
		       "exec unshare -m sh -c 'mount -t tmpfs none /proc && " STAT "'");
	expect_refused(1, "mount /proc",
		       "exec unshare -m sh -c 'mount -t tmpfs none /proc && " STAT
		       "--all-netns'");
}

Test(stat, output_that_cannot_be_written)
{
	expect_refused(1, "No space left", STAT ">/dev/full");
	expect_refused(1, "No space left", STAT "--prometheus >/dev/full");
	expect_refused(1, "No space left", STAT "--watch >/dev/full");
	expect_refused(1, "cannot write", STAT ">&-");
}

/* Whoever closes the pipe has seen enough. It is closed before anything is written. */
Test(stat, a_closed_pipe)
{
	static const char *const commands[] = {
		"stat",        "stat --prometheus", "stat --watch 0.1", "help",
		"dump --help", "--version",         "doctor -t 0.01"
	};

	struct netns *ns = netns_new();

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		tool_start_shell(
			&tool, NULL, -1,
			"d=$(mktemp -d) && mkfifo $d/go && { read -r go <$d/go; "
			"\"$MNFQ_TOOL\" %s; echo $? >&2; } | { exec <&-; echo >$d/go; }; "
			"rm -r $d",
			commands[i]);
		cr_expect_str_eq(tool_err(&tool), "0", "%s", commands[i]);
		cr_expect_str_eq(tool_err(&tool), "");
		cr_expect_eq(tool_finish(&tool), 0);
	}
	netns_free(ns);
}

/* What is behind the cut is not known; what is before it is. */
Test(stat, proc_cut_in_the_middle)
{
	char directory[] = "/tmp/mnfq-XXXXXX";

	netns_require();
	cr_assert(mkdtemp(directory));
	netns_run(
		NULL,
		"mkdir %s/netfilter && printf '    5   4711    12 2 65531     7     8      345  "
		"1\\n    6   4711    12 2 65' >%s/netfilter/nfnetlink_queue && "
		"head -c 100 /proc/net/netlink >%s/netlink",
		directory, directory, directory);
	tool_start_shell(&tool, NULL, -1,
			 "exec unshare -m sh -c 'mount --bind %s /proc/$$/task/$$/net && " STAT
			 "-q 5:6'",
			 directory);
	expect_contains(tool_out(&tool), "QUEUE");
	expect_contains(tool_out(&tool), "portid:4711");
	cr_expect_str_eq(tool_out(&tool), "");
	cr_expect_eq(tool_finish(&tool), 0);
	netns_run(NULL, "rm -r %s", directory);
}
