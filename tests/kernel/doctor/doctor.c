/* SPDX-License-Identifier: MIT */
/* mnfq doctor with real rules and queues: each thing that can be wrong, and set-ups where nothing is. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-fixture.h"
#include "tool.h"

TestSuite(doctor, .timeout = 300);

static char text[1 << 16]; /* what it printed */

/* ---- the doctor ------------------------------------------------------------------------- */

/* Returns its status. */
static int run_doctor(struct netns *ns, const char *arguments)
{
	struct tool tool;
	size_t len;

	tool_start(&tool, NULL, -1, "doctor -n %s --json -t 0.05 %s", ns->name, arguments);
	len = fread(text, 1, sizeof(text) - 1, tool.out);
	text[len] = '\0';
	cr_expect_str_eq(tool_err(&tool), "");
	return tool_finish(&tool);
}

/* It looks so shortly where nothing has to move meanwhile. */
static void examine(struct netns *ns, const char *arguments, int status)
{
	cr_expect_eq(run_doctor(ns, arguments), status, "%s", text);
}

/* A finding of that name, to free; NULL: there is none. */
static json_t *find(const char *name)
{
	json_t *object;

	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		object = json_loadb(line, strcspn(line, "\n"), JSON_REJECT_DUPLICATES, NULL);
		cr_assert(object, "%s", line);
		if (strcmp(json_string_value(json_object_get(object, "finding")), name) == 0)
			return object;
		json_decref(object);
	}
	return NULL;
}

/* It has that level, and these words in its cause and its remedy. */
static void expect(const char *name, const char *level, const char *cause, const char *remedy)
{
	json_t *object = find(name);

	cr_assert(object, "no finding '%s' in: %s", name, text);
	cr_expect_str_eq(json_string_value(json_object_get(object, "level")), level, "%s", name);
	expect_contains(json_string_value(json_object_get(object, "cause")), cause);
	expect_contains(json_string_value(json_object_get(object, "remedy")), remedy);
	json_decref(object);
}

/* However slow this machine is: looks longer and longer, until enough has moved for that finding. */
static void examine_until(struct netns *ns, const char *name)
{
	json_t *found = NULL;
	char time[32];

	for (unsigned int ms = 250; !found && ms < 60000; ms *= 2) {
		snprintf(time, sizeof(time), "-t %u.%03u", ms / 1000, ms % 1000);
		(void)run_doctor(ns, time);
		found = find(name);
	}
	json_decref(found);
}

static void expect_healthy(struct netns *ns, const char *arguments)
{
	examine(ns, arguments, 0);
	cr_expect_str_eq(text, "");
}

static void drain(void)
{
	while (mnfq_socket_dispatch(fixture.sock, 0) > 0)
		;
}

/* Both kinds of iptables have the same rules. */
#define CommandTest(suite, name)                                                                 \
	static void suite##_##name(const char *command);                                         \
	Test(suite, name##_legacy)                                                               \
	{                                                                                        \
		suite##_##name("iptables-legacy");                                               \
	}                                                                                        \
	Test(suite, name##_nft)                                                                  \
	{                                                                                        \
		suite##_##name("iptables-nft");                                                  \
	}                                                                                        \
	static void suite##_##name(const char *command)

/* ---- nothing is wrong ------------------------------------------------------------------- */

FamilyTest(doctor, a_healthy_rule_of_legacy)
{
	fixture_open(family);
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 3);
	expect_healthy(fixture.ns, "");
	expect_healthy(fixture.ns, "-q 1");
	fixture_close();
}

QueueTest(doctor, a_healthy_rule_of_iptables_nft)
{
	netns_rule(fixture.ns, 4, "-t mangle -F");
	netns_run(fixture.ns,
		  "iptables-nft -A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1 "
		  "--queue-bypass",
		  PORT);
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 3);
	expect_healthy(fixture.ns, "");
	expect_healthy(fixture.ns, "-q 1:2");
}

QueueTest(doctor, a_healthy_range_of_queues)
{
	struct mnfq_queue *others[2];

	netns_rule(fixture.ns, 4, "-t mangle -F");
	netns_rule(fixture.ns, 4, "-A INPUT -p udp --dport %d -j NFQUEUE --queue-balance 1:3",
		   PORT);
	fixture_bind(NULL, count_packet);
	for (uint16_t i = 0; i < 2; i++)
		expect_ok(fixture.sock,
			  mnfq_queue_bind(&others[i], fixture.sock, (uint16_t)(2 + i), NULL,
					  count_packet, &fixture));
	udp_send_many(&fixture.udp, 0, 3);
	drain();
	expect_healthy(fixture.ns, "");
	fixture.unaccounted = "three queues";
}

/* ---- rules ------------------------------------------------------------------------------ */

/* A datagram; @source: NULL: as usual. */
static void send_from(struct netns *ns, const char *source, const char *address, uint16_t port)
{
	struct sockaddr_in from = { .sin_family = AF_INET },
			   to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = netns_socket(ns, AF_INET, SOCK_DGRAM, 0);

	cr_assert(inet_pton(AF_INET, address, &to.sin_addr) == 1);
	if (source)
		cr_assert(inet_pton(AF_INET, source, &from.sin_addr) == 1);
	cr_assert(bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
	cr_assert(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
	close(fd);
}

static void send_to(struct netns *ns, uint16_t port)
{
	send_from(ns, NULL, "127.0.0.1", port);
}

Test(doctor, nobody_listens_legacy)
{
	struct netns *ns = netns_new();

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5");
	send_to(ns, 9);
	send_to(ns, 9);
	examine(ns, "", 1);
	expect("unbound-queue", "error",
	       "rule 1 of INPUT in table filter (iptables-legacy) sends to queue 5, to which no "
	       "program is bound: the kernel drops its packets; 2 packets have matched it so far",
	       "iptables-legacy -t filter -D INPUT 1");
	examine(ns, "-q 6", 1);
	cr_expect(!find("unbound-queue"), "not asked for: %s", text);
	netns_free(ns);
}

/* The command that it gives as the remedy works. */
Test(doctor, the_remedy_helps)
{
	struct netns *ns = netns_new();
	char *command, *end;
	json_t *finding;

	netns_run(ns, "ip6tables-nft -t mangle -A PREROUTING -p udp -j NFQUEUE --queue-num 5");
	examine(ns, "", 1);
	finding = find("unbound-queue");
	cr_assert(finding);
	command = strdup(
		strstr(json_string_value(json_object_get(finding, "remedy")), "ip netns exec"));
	end = strchr(command, ';');
	cr_assert(end);
	*end = '\0';
	expect_contains(command, " ip6tables-nft -t mangle -D PREROUTING 1");
	netns_run(NULL, "%s", command);
	examine(ns, "", 0);
	cr_expect(!find("unbound-queue"));
	json_decref(finding);
	free(command);
	netns_free(ns);
}

/* A name that looks like a process id, as "ip netns add 4711" makes it: no command is for another namespace. */
Test(doctor, a_namespace_whose_name_is_a_number)
{
	struct netns *ns = netns_new(), numeric = *ns;

	netns_rule(ns, 4, "-A INPUT -p udp -j NFQUEUE --queue-num 5");
	snprintf(numeric.name, sizeof(numeric.name), "%d", getpid());
	netns_run(NULL, "touch /run/netns/%s && mount --bind /run/netns/%s /run/netns/%s",
		  numeric.name, ns->name, numeric.name);
	examine(&numeric, "", 1);
	netns_run(NULL, "ip netns delete %s", numeric.name);
	expect("unbound-queue", "error", "sends to queue 5", numeric.name);
	expect("unbound-queue", "error", "sends to queue 5", ": ip netns exec ");
	netns_free(ns);
}

/* Whoever runs them as they are printed deletes these rules and no other. */
Test(doctor, the_remedies_help_in_their_order)
{
	static const char begin[] = "or remove the rule (of several, the last one first): ";
	struct netns *ns = netns_new();
	char *rules;

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5");
	netns_rule(ns, 4, "-A INPUT -p udp --dport 10 -j NFQUEUE --queue-num 6");
	netns_rule(ns, 4, "-A INPUT -p icmp -j ACCEPT");
	netns_rule(ns, 4, "-A INPUT -p udp --dport 11 -j NFQUEUE --queue-num 7");
	netns_rule(ns, 4, "-A INPUT -p tcp -j ACCEPT");
	examine(ns, "", 1);
	for (char *at = text; (at = strstr(at, begin)); at += sizeof(begin))
		netns_run(NULL, "%.*s", (int)strcspn(at + strlen(begin), ";"),
			  at + strlen(begin));
	rules = netns_output(ns, "iptables-legacy -S INPUT");
	cr_expect_str_eq(rules, "-P INPUT ACCEPT\n-A INPUT -p icmp -j ACCEPT\n"
				"-A INPUT -p tcp -j ACCEPT\n");
	free(rules);
	netns_free(ns);
}

Test(doctor, nobody_listens_iptables_nft)
{
	struct netns *ns = netns_new();

	netns_run(ns, "iptables-nft -A INPUT -p tcp -j ACCEPT && iptables-nft -A INPUT -p udp "
		      "--dport 9 -j NFQUEUE --queue-balance 5:7");
	send_to(ns, 9);
	examine(ns, "", 1);
	expect("unbound-queue", "error",
	       "rule 2 of INPUT in table filter (iptables-nft) sends to queues 5 to 7, to which no "
	       "program is bound: the kernel drops its packets; 1 packet has matched it so far",
	       "iptables-nft -t filter -D INPUT 2");
	netns_free(ns);
}

Test(doctor, nobody_listens_but_it_is_bypassed)
{
	struct netns *ns = netns_new();

	netns_run(
		ns,
		"iptables-nft -A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 5 --queue-bypass");
	netns_rule(ns, 6, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 6 --queue-bypass");
	send_to(ns, 9);
	examine(ns, "-q 5", 1);
	expect("bypassed-queue", "warning",
	       "lets its packets pass unseen; 1 packet has matched it so far", "mnfq dump -q 5");
	examine(ns, "-q 6", 1);
	expect("bypassed-queue", "warning", "(ip6tables-legacy) sends to queue 6", "-q 6");
	netns_free(ns);
}

/* Chains that packets reach, and rules that they do not. */
CommandTest(doctor, a_rule_behind_one_that_takes_everything)
{
	static const char taken[] = "a rule in front of it takes all packets of the chain";
	struct netns *ns = netns_new();

	netns_run(ns,
		  "%s -N own && %s -A own -j RETURN && %s -A own -p udp -j NFQUEUE --queue-num 5",
		  command, command, command);
	netns_run(ns, "%s -A INPUT -j own", command);
	examine(ns, "", 1);
	expect("unreached-rule", "warning", taken, "-t filter -nvL own --line");
	netns_run(ns, "%s -F own && %s -A INPUT -j ACCEPT", command, command);
	netns_run(ns, "%s -A INPUT -p udp -j NFQUEUE --queue-num 5", command);
	examine(ns, "", 1);
	expect("unreached-rule", "warning", taken, "-t filter -nvL INPUT --line");
	netns_free(ns);
}

/* A jump at the end of a chain may be behind such a rule. */
CommandTest(doctor, a_jump_that_packets_reach)
{
	struct netns *ns = netns_new();
	json_t *finding;

	netns_run(ns, "%s -N own && %s -A own -p udp -j NFQUEUE", command, command);
	netns_run(ns, "%s -A INPUT -j DROP && %s -A INPUT -j own", command, command);
	examine(ns, "", 1);
	finding = find("unreached-rule");
	cr_assert(finding);
	netns_run(NULL, "%s",
		  strstr(json_string_value(json_object_get(finding, "remedy")), "ip netns exec"));
	examine(ns, "", 1);
	cr_expect(!find("unreached-rule"), "%s", text);
	json_decref(finding);
	netns_free(ns);
}

CommandTest(doctor, a_chain_where_nothing_leads)
{
	struct netns *ns = netns_new();
	char remedy[64];

	netns_run(ns, "%s -N own && %s -A own -p udp -j NFQUEUE", command, command);
	netns_run(ns, "%s -N far && %s -A far -j own", command, command);
	examine(ns, "", 1);
	snprintf(remedy, sizeof(remedy), "%s -t filter -I INPUT -j own", command);
	expect("unreached-rule", "warning",
	       ") never gets a packet: no built-in chain leads to own", remedy);
	netns_run(ns, "%s -A INPUT -j far", command);
	examine(ns, "", 1);
	cr_expect(!find("unreached-rule"), "%s", text);
	netns_free(ns);
}

QueueTest(doctor, a_member_of_a_range_is_missing)
{
	netns_rule(fixture.ns, 4, "-A OUTPUT -p tcp -j NFQUEUE --queue-balance 0:3");
	fixture_bind(NULL, count_packet);
	examine(fixture.ns, "", 1);
	expect("balance-gap", "error",
	       "balances over queues 0 to 3, but no program is bound to queues 0, 2 to 3: the "
	       "kernel drops their share of the connections; no packet has matched it so far",
	       "mnfq dump -q 0 ");
}

/* As the remedy says it, while the others stay bound. */
QueueTest(doctor, the_missing_members_can_be_bound)
{
	struct tool left, right;
	char remedy[256];

	netns_rule(fixture.ns, 4, "-A OUTPUT -p tcp -j NFQUEUE --queue-balance 0:3");
	fixture_bind(NULL, count_packet);
	examine(fixture.ns, "", 1);
	snprintf(remedy, sizeof(remedy),
		 "such as: mnfq dump -q 0 -n %s & mnfq dump -q 2:3 -n %s;", fixture.ns->name,
		 fixture.ns->name);
	expect("balance-gap", "error", "no program is bound to queues 0, 2 to 3", remedy);
	tool_start(&left, NULL, -1, "dump -q 0 -n %s --quiet", fixture.ns->name);
	tool_listening(&left);
	tool_start(&right, NULL, -1, "dump -q 2:3 -n %s --quiet", fixture.ns->name);
	tool_listening(&right);
	examine(fixture.ns, "", 0);
	cr_expect(!find("balance-gap"), "%s", text);
	tool_stop(&left, .packets = 0);
	tool_stop(&right, .packets = 0);
}

/*
 * The namespace or the number is wrong: the finding says where the program is. No other test that runs at the same time
 * binds these queues.
 */
Test(doctor, the_program_is_elsewhere)
{
	struct netns *ns = netns_new(), *other = netns_new();
	char expected[128];
	struct tool tool;

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 505");
	tool_start(&tool, other, -1, "dump -q 505 --quiet");
	tool_listening(&tool);
	snprintf(expected, sizeof(expected), "/mnfq is bound to queue 505 in namespace %s",
		 other->name);
	examine(ns, "-q 505", 1);
	expect("unbound-queue", "error", expected,
	       "if that program is meant for this rule: start it in this namespace");
	netns_rule(ns, 4, "-F");
	examine(ns, "-q 505", 1);
	expect("nothing", "error", expected, "look into that namespace: mnfq doctor -q 505 -n ");
	tool_stop(&tool, .packets = 0);
	netns_free(other);
	netns_free(ns);
}

Test(doctor, the_program_has_another_number)
{
	struct netns *ns = netns_new();
	struct tool tool;

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 506");
	tool_start(&tool, ns, -1, "dump -q 507 --quiet");
	tool_listening(&tool);
	examine(ns, "", 1);
	expect("unbound-queue", "error", "/mnfq is bound to queue 507, to which no rule sends",
	       "have the rule send to queue 507, or ");
	cr_expect(!find("no-rule"), "twice the same: %s", text);
	examine(ns, "-q 507", 1);
	expect("no-rule", "warning", "sends to queue 506, to which no program is bound",
	       "have that rule send to queue 507, or the program bind queue 506");
	tool_stop(&tool, .packets = 0);
	netns_free(ns);
}

Test(doctor, too_many_rules)
{
	struct netns *ns = netns_new();

	netns_run(
		ns,
		"{ echo '*filter'; for i in $(seq 4097); do echo '-A INPUT -p udp -j NFQUEUE "
		"--queue-num 5 --queue-bypass'; done; echo COMMIT; } | iptables-legacy-restore");
	/* Beyond what @text holds. */
	netns_run(
		ns,
		"\"$MNFQ_TOOL\" doctor -t 0.01 | grep -A 1 '^unseen: only the first 4096 rules that "
		"send to queues were looked at' | grep 'remedy: replace them by fewer ones'");
	netns_free(ns);
}

QueueTest(doctor, no_packet_has_come)
{
	fixture_bind(NULL, count_packet);
	examine(fixture.ns, "", 0);
	expect("no-packet", "note", "no packet has come to rule 1 of INPUT in table mangle",
	       "iptables-legacy -t mangle -nvL INPUT --line-numbers");
	fixture_pass(0, 1);
	expect_healthy(fixture.ns, "");
}

/* A packet for a closed port, again and again. */
Test(doctor, packets_are_repeated)
{
	struct netns *ns = netns_new();
	struct tool tool;

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	tool_start(&tool, ns, -1, "dump -q 1 --verdict repeat --mark 1 --quiet");
	tool_listening(&tool);
	send_to(ns, 9);
	examine_until(ns, "verdict-loop");
	expect("verdict-loop", "error",
	       "rule 1 of INPUT in table filter (iptables-legacy) has matched ",
	       "add '-m mark ! --mark 1' to it");
	netns_rule(ns, 4, "-F");
	netns_rule(ns, 4,
		   "-A INPUT -p udp --dport 9 -m mark ! --mark 1 -j NFQUEUE --queue-num 1");
	send_to(ns, 9);
	examine(ns, "-t 0.5", 0);
	cr_expect(!find("verdict-loop"), "%s", text);
	kill(tool.pid, SIGTERM);
	expect_contains(tool_err(&tool), " repeated, ");
	cr_expect_eq(tool_finish(&tool), 0);
	netns_free(ns);
}

Test(doctor, packets_go_from_queue_to_queue)
{
	struct netns *ns = netns_new();
	struct tool tools[2];

	netns_rule(ns, 4, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	for (int i = 0; i < 2; i++) {
		tool_start(&tools[i], ns, -1, "dump -q %d --verdict queue:%d --quiet", 1 + i,
			   2 - i);
		tool_listening(&tools[i]);
	}
	send_to(ns, 9);
	examine_until(ns, "verdict-loop");
	expect("verdict-loop", "error", " packets have come to queue ", "accept or drop");
	expect("no-rule", "note", "packets have come to queue 2 of ", "by its verdict");
	for (int i = 0; i < 2; i++) {
		kill(tools[i].pid, SIGTERM);
		expect_contains(tool_err(&tools[i]), " requeued");
		cr_expect_eq(tool_finish(&tools[i]), 0);
	}
	netns_free(ns);
}

/* No rule is missing where there is no other version of IP. */
QueueTest(doctor, packets_of_one_version_of_ip)
{
	netns_run(fixture.ns,
		  "ip link add left type veth peer right && ip addr add 10.7.0.1/24 dev left");
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 1);
	expect_healthy(fixture.ns, "-q 1");
	netns_run(fixture.ns, "ip addr add fd07::1/64 dev left");
	expect_healthy(fixture.ns, "");
	examine(fixture.ns, "-q 1", 0);
	expect("one-ip-version", "note", "only rules of IPv4 send to queue 1", "ip6tables");
	netns_rule(fixture.ns, 6, "-A INPUT -p udp --dport 9 -j NFQUEUE --queue-num 1");
	examine(fixture.ns, "-q 1", 0);
	cr_expect(!find("one-ip-version"), "%s", text);
}

QueueTest(doctor, rules_behind_are_skipped)
{
	netns_rule(fixture.ns, 4, "-t mangle -A INPUT -p udp --dport %d -j DROP", PORT);
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 1);
	examine(fixture.ns, "", 0);
	expect("accept-skips-rules", "note",
	       "packets of rule 1 of INPUT in table mangle (iptables-legacy) that the program "
	       "accepts skip the 1 rule behind it",
	       "move it behind");
}

/* ---- queues ----------------------------------------------------------------------------- */

QueueTest(doctor, a_queue_without_a_rule)
{
	netns_rule(fixture.ns, 4, "-t mangle -F");
	fixture_bind(NULL, count_packet);
	examine(fixture.ns, "-q 1", 1);
	expect("no-rule", "warning",
	       "is bound to queue 1, to which no rule of this namespace sends",
	       "iptables -I INPUT -p icmp -j NFQUEUE --queue-num 1");
}

Test(doctor, neither_a_queue_nor_a_rule)
{
	struct netns *ns = netns_new();

	examine(ns, "", 0);
	expect("nothing", "note", "no program is bound to a queue", "--all-netns");
	if (system("grep -q -e ' nft_queue_eval' /proc/kallsyms || "
		   "ls /lib/modules/$(uname -r)/kernel/net/netfilter/nft_queue.* >/dev/null 2>&1"))
		expect("kernel-support", "note", "has no nft_queue: rules of nft cannot send",
		       "modprobe nft_queue");
	else
		cr_expect(!find("kernel-support"));
	examine(ns, "-q 7", 1);
	expect("nothing", "error", "no program is bound to queue 7, and no rule sends there",
	       "mnfq stat --all-netns");
	netns_free(ns);
}

QueueTest(doctor, a_queue_without_a_copy_mode)
{
	fixture_bind(QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_NONE), count_packet);
	examine(fixture.ns, "", 1);
	expect("copy-none", "error", "without a copy mode: the kernel drops all its packets",
	       "--copy packet");
}

QueueTest(doctor, packets_are_stuck)
{
	char owner[32];

	snprintf(owner, sizeof(owner), "kill %d", (int)getpid());
	fixture_bind(NULL, count_packet);
	udp_send_many(&fixture.udp, 0, 3);
	examine(fixture.ns, "", 1);
	expect("stuck-packets", "error", "3 packets wait in queue 1, and ", owner);
	expect("stuck-packets", "error", "has decided none for ", owner);
	drain();
	expect_healthy(fixture.ns, "");
}

Test(doctor, the_owner_is_stopped)
{
	struct tool tool;
	struct udp udp;
	struct netns *ns = queued_ns_open(&udp);

	tool_start(&tool, ns, -1, "dump -q 1 --max-len 2 --quiet");
	tool_listening(&tool);
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 3);
	examine(ns, "", 1);
	expect("owner-stopped", "error", "is stopped: it decides nothing, 2 packets wait",
	       "kill -CONT ");
	expect("queue-full", "warning", "it was full, and at present nothing of it is decided",
	       "first have its program decide packets");
	kill(tool.pid, SIGCONT);
	queued_ns_expect(ns, &udp, 2);
	examine(ns, "", 1); /* without a rule now */
	cr_expect(!find("owner-stopped"), "%s", text);
	expect("queue-full", "warning", "or its program was stopped for a while",
	       "the counter begins anew once");
	kill(tool.pid, SIGTERM);
	tool_err(&tool);
	tool_account(tool.line, &(struct account){ .sent = 0 });
	expect_contains(tool.line, "2 packets, 120 bytes, 2 accepted, 0 dropped, 1 queue full");
	expect_contains(tool_err(&tool), "raise --max-len (now 2");
	cr_expect_str_eq(tool_err(&tool), "");
	cr_expect_eq(tool_finish(&tool), 0);
	netns_free(ns);
}

/* ---- losses ----------------------------------------------------------------------------- */

static atomic_bool enough;

static void *keep_sending(void *arg)
{
	while (!enough)
		udp_send_many(arg, 0, 50);
	return NULL;
}

QueueTest(doctor, a_queue_is_full)
{
	pthread_t thread;

	fixture_bind(QUEUE_OPTIONS(.max_len = 3), count_packet);
	udp_send_many(&fixture.udp, 0, 5);
	drain();
	examine(fixture.ns, "", 1);
	expect("queue-full", "warning", "queue 1 has lost 2 packets, since it was bound",
	       "--max-len");
	cr_assert(pthread_create(&thread, NULL, keep_sending, &fixture.udp) == 0);
	examine(fixture.ns, "-t 0.5", 1);
	enough = true;
	pthread_join(thread, NULL);
	expect("queue-full", "error", "of them just now",
	       "first have its program decide packets");
	drain();
}

/* It decides at most 3 packets each 20 ms. */
static void *decide_slowly(void *arg)
{
	(void)arg;
	while (!enough) {
		mnfq_socket_dispatch(fixture.sock, 0);
		usleep(20000);
	}
	return NULL;
}

QueueTest(doctor, a_program_is_too_slow)
{
	pthread_t sender, decider;

	fixture_bind(QUEUE_OPTIONS(.max_len = 3), count_packet);
	cr_assert(pthread_create(&sender, NULL, keep_sending, &fixture.udp) == 0);
	cr_assert(pthread_create(&decider, NULL, decide_slowly, NULL) == 0);
	examine(fixture.ns, "-t 0.5", 1);
	enough = true;
	pthread_join(sender, NULL);
	pthread_join(decider, NULL);
	expect("queue-full", "error", " packets a second, and ", "a rule that matches less; or");
	expect("queue-full", "error", "of them just now: it is full, as ",
	       "against short bursts");
	drain();
}

/* As large as the machine lets it be: what the doctor says of that is right for this machine. */
static bool has_small_rmem_max(void)
{
	FILE *file = fopen("/proc/sys/net/core/rmem_max", "re");
	unsigned long value = 0;

	cr_assert(file && fscanf(file, "%lu", &value) == 1);
	fclose(file);
	return value < 1024 * 2304;
}

QueueTest(doctor, a_receive_buffer_is_full)
{
	struct mnfq_queue *other;

	expect_ok(fixture.sock, mnfq_socket_set_receive_buffer(fixture.sock, 16384));
	fixture_bind(QUEUE_OPTIONS(.max_len = 50000), count_packet);
	udp_send_many(&fixture.udp, 0, 500);
	examine(fixture.ns, "", 1);
	expect("buffer-full", "warning", "the receive buffer of its program was full",
	       "--receive-buffer");
	if (has_small_rmem_max())
		expect("rmem-max", "warning", "net.core.rmem_max is ",
		       "sysctl -w net.core.rmem_max=");
	else
		cr_expect(!find("rmem-max"));
	cr_expect(!find("socket-losses"), "they are those of the queue");
	drain();
	/* A queue that is new on the socket has no losses; the socket still has. */
	mnfq_queue_unbind(fixture.queue);
	fixture.queue = NULL;
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 2, NULL, count_packet, &fixture));
	examine(fixture.ns, "-q 2", 1);
	expect("socket-losses", "warning", "messages of the kernel besides packets of its queues",
	       "--receive-buffer");
	fixture.unaccounted = "queue 1 is unbound";
}

/* ---- the network ------------------------------------------------------------------------ */

/* From an address to which no way leads back; the neighbour is known by then, and sees it at once. */
static void send_spoofed(struct netns *from)
{
	netns_run(from, "ip addr add 10.9.9.9/32 dev lo");
	send_from(from, NULL, "10.0.1.2", 9);
	netns_run(from, "until ip neigh show to 10.0.1.2 | grep -q lladdr; do :; done");
	send_from(from, "10.9.9.9", "10.0.1.2", PORT);
}

Test(doctor, rp_filter_drops_them_in_front_of_the_rule)
{
	struct netns *from = netns_new(), *ns = netns_new();

	netns_join(from, "eth0", ns, "eth0", 1);
	netns_run(ns, "echo 1 >/proc/sys/net/ipv4/conf/eth0/rp_filter");
	netns_rule(ns, 4, "-A INPUT -p udp --dport %d -j NFQUEUE --queue-num 1", PORT);
	examine(ns, "", 1);
	cr_expect(!find("rp-filter"), "it has dropped none: %s", text);
	send_spoofed(from);
	examine(ns, "", 1);
	expect("rp-filter", "warning", "rp_filter has dropped 1 packet ", "strict on eth0");
	netns_free(from);
	netns_free(ns);
}

Test(doctor, a_bridge_without_br_netfilter)
{
	struct netns *left = netns_new(), *middle = netns_new(), *right = netns_new();

	netns_bridge(left, middle, right);
	netns_run(middle, "for i in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do "
			  "[ ! -e $i ] || echo 0 >$i; done");
	netns_rule(middle, 4, "-A FORWARD -p udp -j NFQUEUE --queue-num 1");
	examine(middle, "", 1);
	expect("br-netfilter-off", "warning", "packets that bridge br0 forwards do not pass",
	       "modprobe br_netfilter");
	netns_rule(middle, 4, "-F");
	examine(middle, "", 0);
	cr_expect(!find("br-netfilter-off"));
	netns_free(left);
	netns_free(middle);
	netns_free(right);
}
