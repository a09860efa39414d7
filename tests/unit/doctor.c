/* SPDX-License-Identifier: MIT */
/* mnfq doctor: what it concludes from what it sees, where the test's kernel cannot show it; and how it says so. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>

#include "doctor/sight.h"

static struct queue_rule rule;
static struct row row;
static char state;
static struct sight sight;
static struct findings findings;

/* A rule of nft that has sent 5 packets to queue 5, which a process reads. Nothing is wrong. */
static void set_up(void)
{
	rule = (struct queue_rule){ .source = RULE_NFT,
				    .family = NFPROTO_INET,
				    .table = "t",
				    .chain = "c",
				    .handle = 42,
				    .number = 1,
				    .first = 5,
				    .last = 5,
				    .counted = true,
				    .packets = 5,
				    .hooks = 1u << NF_INET_LOCAL_IN };
	row = (struct row){
		.netns = "blue",
		.queue = { .num = 5, .copy_mode = MNFQ_COPY_PACKET, .portid = 77, .last_id = 5 },
		.pid = 4711,
		.command = "owner",
		.compared = true
	};
	row.before = row.queue;
	state = 'S';
	sight = (struct sight){ .last = UINT16_MAX,
				.name = "blue",
				.has_rights = true,
				.support.gso = true,
				.support.release = "6.1.0",
				.rmem_max = 8 << 20,
				.queues = { .rows = &row, .count = 1, .elapsed_ms = 1000 },
				.states = &state,
				.rules = { .list = &rule, .count = 1 } };
	for (int i = 0; i < PARTS; i++)
		sight.support.parts[i] = PRESENCE_LOADED;
}

TestSuite(doctor, .init = set_up);

static void examine(void)
{
	findings_free(&findings);
	check_kernel(&sight, &findings);
	check_rules(&sight, &findings);
	check_queues(&sight, &findings);
	check_network(&sight, &findings);
	for (size_t i = 0; i < findings.count; i++) {
		const struct finding *finding = &findings.list[i];

		cr_expect(finding->cause[0] && finding->remedy[0], "%s", finding->name);
		cr_expect(strlen(finding->cause) < FINDING_SIZE - 1, "%s", finding->cause);
		cr_expect(strlen(finding->remedy) < FINDING_SIZE - 1, "%s", finding->remedy);
	}
}

/* Just this one; returns it. */
static const struct finding *expect_finding(const char *name, enum level level)
{
	examine();
	cr_assert_eq(findings.count, 1, "%s: %zu findings, first: %s", name, findings.count,
		     findings.count ? findings.list[0].cause : "none");
	cr_assert_str_eq(findings.list[0].name, name);
	cr_expect_eq(findings.list[0].level, level, "%s", name);
	return &findings.list[0];
}

static void expect_cause(const struct finding *finding, const char *part)
{
	cr_expect(strstr(finding->cause, part), "'%s' lacks '%s'", finding->cause, part);
}

static void expect_remedy(const struct finding *finding, const char *part)
{
	cr_expect(strstr(finding->remedy, part), "'%s' lacks '%s'", finding->remedy, part);
}

Test(doctor, nothing_is_wrong)
{
	examine();
	cr_expect_eq(findings.count, 0);
	cr_expect(!findings_are_bad(&findings));
}

/* ---- rules of nft, which the kernel at hand may lack ------------------------------------ */

Test(doctor, nobody_listens)
{
	const struct finding *finding;

	sight.queues.count = 0;
	finding = expect_finding("unbound-queue", LEVEL_ERROR);
	expect_cause(finding, "rule 1 of chain inet t c (nft) sends to queue 5,");
	expect_cause(finding, "drops its packets; 5 packets have matched it so far");
	expect_remedy(finding, "nft delete rule inet t c handle 42;");
	expect_remedy(finding, "flags bypass");
	rule.bypass = true;
	finding = expect_finding("bypassed-queue", LEVEL_WARNING);
	expect_cause(finding, "lets its packets pass unseen");
}

Test(doctor, commands_are_for_the_namespace)
{
	sight.queues.count = 0;
	sight.netns = "blue";
	expect_remedy(
		expect_finding("unbound-queue", LEVEL_ERROR),
		"mnfq dump -q 5 -n blue; or remove the rule: ip netns exec blue nft delete");
	sight.netns = "4711";
	expect_remedy(expect_finding("unbound-queue", LEVEL_ERROR), "nsenter -t 4711 -n nft ");
	sight.netns_has_name = true; /* "ip netns add 4711" */
	expect_remedy(expect_finding("unbound-queue", LEVEL_ERROR), "ip netns exec 4711 nft ");
	sight.netns = "/run/x";
	expect_remedy(expect_finding("unbound-queue", LEVEL_ERROR), "nsenter --net=/run/x nft ");
}

/* Nothing of a name is run by a shell, and nothing of it moves a cursor. */
Test(doctor, hostile_names)
{
	const struct finding *finding;

	sight.queues.count = 0;
	sight.netns = "a;reboot";
	strcpy(rule.table, "`reboot`");
	strcpy(rule.chain, "-x\033[2J\n");
	finding = expect_finding("unbound-queue", LEVEL_ERROR);
	expect_cause(finding, "inet `reboot` \"-x\\x1b[2J\\x0a\" (nft)");
	expect_remedy(finding, "ip netns exec NETNS nft delete rule inet TABLE CHAIN handle 42");
	cr_expect(!strstr(finding->remedy, "reboot"), "%s", finding->remedy);
	strcpy(rule.chain, "-x");
	expect_remedy(expect_finding("unbound-queue", LEVEL_ERROR), "inet TABLE CHAIN handle");
	/* Cut off, it would be another one. */
	memset(rule.table, 'a', 101);
	expect_remedy(expect_finding("unbound-queue", LEVEL_ERROR), "inet TABLE CHAIN handle 42");
	rule.table[100] = '\0';
	expect_remedy(expect_finding("unbound-queue", LEVEL_ERROR), "aaa CHAIN handle 42");
	memset(rule.table, '\001', sizeof(rule.table) - 1);
	memset(rule.chain, '\001', sizeof(rule.chain) - 1);
	examine();
}

/* Once a rule is deleted, those behind it have other numbers. */
Test(doctor, rules_to_delete_come_last_first)
{
	struct queue_rule rules[3] = { rule, rule, rule };

	sight.queues.count = 0;
	sight.rules.list = rules;
	sight.rules.count = 3;
	for (unsigned int i = 0; i < 3; i++) {
		rules[i].source = RULE_LEGACY;
		rules[i].family = NFPROTO_IPV4;
		rules[i].number = i + 1;
	}
	strcpy(rules[2].chain, "other");
	examine();
	cr_assert_eq(findings.count, 3);
	expect_remedy(&findings.list[0], "the rule: iptables-legacy -t t -D other 3;");
	expect_remedy(&findings.list[1],
		      "(of several, the last one first): iptables-legacy -t t -D c 2;");
	expect_remedy(&findings.list[2],
		      "(of several, the last one first): iptables-legacy -t t -D c 1;");
	rules[0].source = rules[1].source = RULE_NFT; /* handles stay what they are */
	examine();
	expect_remedy(&findings.list[1], "remove the rule: nft delete");
}

/* The program is there, but where this rule does not send. */
Test(doctor, the_owner_is_in_another_namespace)
{
	struct row others[2] = { row, row };
	const struct finding *finding;

	sight.queues.count = 0;
	sight.inode = others[0].netns_inode = 1;
	others[1].netns_inode = 2;
	strcpy(others[1].netns, "a b\n");
	sight.elsewhere = (struct reading){ .rows = others, .count = 2 };
	finding = expect_finding("unbound-queue", LEVEL_ERROR);
	expect_cause(finding,
		     "; elsewhere 4711/owner is bound to queue 5 in namespace \"a b\\x0a\"");
	expect_remedy(finding,
		      "or if that program is meant for this rule: start it in this namespace");
	others[0].netns_inode = 3;
	finding = expect_finding("unbound-queue", LEVEL_ERROR);
	expect_cause(finding, "in namespace blue, others in 1 more");
	expect_remedy(finding, "or if one of these is meant for this rule:");
	others[0].netns_inode = 1;
	rule.bypass = true;
	expect_cause(expect_finding("bypassed-queue", LEVEL_WARNING), "is bound to queue 5 in ");
	sight.rules.count = 0;
	sight.has_queues = true;
	sight.first = 4;
	sight.last = 6;
	finding = expect_finding("nothing", LEVEL_ERROR);
	expect_cause(
		finding,
		"no program is bound to queues 4 to 6, and no rule sends there; elsewhere 4711/");
	expect_remedy(finding, "mnfq doctor -q 5 -n 4711");
}

/* Rule and program mean the same, and say different numbers. */
Test(doctor, different_numbers)
{
	const struct finding *finding;

	row.queue.last_id = row.before.last_id = 0;
	rule.first = rule.last = 6;
	finding = expect_finding("unbound-queue", LEVEL_ERROR);
	expect_cause(finding, "; 4711/owner is bound to queue 5, to which no rule sends");
	expect_remedy(finding,
		      "or if the numbers are meant to be the same: have the rule send to "
		      "queue 5, or 4711/owner bind queue 6");
	sight.last = 5;
	finding = expect_finding("no-rule", LEVEL_WARNING);
	expect_cause(finding, "rule 1 of chain inet t c (nft) sends to queue 6, to which no");
	expect_remedy(finding, "have that rule send to queue 5, or the program bind queue 6");
}

Test(doctor, a_member_is_missing)
{
	const struct finding *finding;

	rule.first = 4;
	rule.last = 7;
	finding = expect_finding("balance-gap", LEVEL_ERROR);
	expect_cause(finding,
		     "over queues 4 to 7, but no program is bound to queues 4, 6 to 7: the "
		     "kernel drops their share of the connections; 5 packets have matched");
	expect_remedy(finding, "such as: mnfq dump -q 4 & mnfq dump -q 6:7; or");
	rule.first = 4;
	rule.last = 5;
	rule.bypass = true;
	expect_cause(expect_finding("balance-gap", LEVEL_WARNING),
		     "no program is bound to queue 4: the kernel lets pass unseen its share");
}

/* Only those that are missing: one that is bound cannot be bound again. */
Test(doctor, many_members_are_missing)
{
	struct row rows[6];

	for (uint16_t i = 0; i < 6; i++) {
		rows[i] = row;
		rows[i].queue.num = (uint16_t)(2 * i);
	}
	sight.queues = (struct reading){ .rows = rows, .count = 6, .elapsed_ms = 1000 };
	sight.states = (char[]){ 'S', 'S', 'S', 'S', 'S', 'S' };
	rule.first = 0;
	rule.last = 10;
	expect_remedy(
		expect_finding("balance-gap", LEVEL_ERROR),
		"such as: mnfq dump -q 1 & mnfq dump -q 3 & mnfq dump -q 5 & mnfq dump -q 7; "
		"or");
	expect_cause(&findings.list[0],
		     "to queues 1, 3, 5, 7 and more, 5 in all: the kernel drops");
	rule.first = 1;
	rule.last = 2;
	sight.first = 1;
	sight.last = 2;
	expect_remedy(expect_finding("balance-gap", LEVEL_ERROR), "such as: mnfq dump -q 1; or");
}

Test(doctor, a_computed_queue_may_be_any)
{
	rule.computed = true;
	rule.first = 0;
	rule.last = UINT16_MAX;
	examine();
	cr_expect_eq(findings.count, 0);
}

Test(doctor, other_queues_than_asked_for)
{
	sight.queues.count = 0;
	sight.first = 6;
	examine();
	cr_expect_str_eq(findings.list[0].name, "nothing", "a note, for -q was not given");
	cr_expect(!findings_are_bad(&findings));
	sight.has_queues = true;
	expect_finding("nothing", LEVEL_ERROR);
	sight.queues.count = 1;
	expect_cause(expect_finding("nothing", LEVEL_ERROR),
		     "no rule sends there; rule 1 of chain inet t c (nft) sends to queue 5; "
		     "4711/owner is bound to queue 5");
	expect_remedy(&findings.list[0],
		      "by its verdict (queue:6), which the kernel drops now: mnfq "
		      "dump -q 6");
}

Test(doctor, rules_behind)
{
	rule.behind = 2;
	expect_cause(expect_finding("accept-skips-rules", LEVEL_NOTE),
		     "skip the 2 rules behind it");
	cr_expect(!findings_are_bad(&findings));
}

/* ---- queues ----------------------------------------------------------------------------- */

/* ---- packets that come again and again -------------------------------------------------- */

/* @made: packets of the namespace meanwhile. */
static void let_come(uint64_t to_rule, uint32_t to_queue, uint64_t made)
{
	rule.new = to_rule;
	row.queue.last_id = row.before.last_id + to_queue;
	sight.before.counted = sight.now.counted = true;
	sight.before.packets = 1000;
	sight.now.packets = 1000 + made;
}

Test(doctor, packets_that_are_repeated)
{
	const struct finding *finding;

	let_come(34000, 34000, 3);
	finding = expect_finding("verdict-loop", LEVEL_ERROR);
	expect_cause(finding,
		     "rule 1 of chain inet t c (nft) has matched 34000 packets in 1000 ms, "
		     "while at most 3 came in, went out or were made here");
	expect_remedy(finding, "--verdict repeat --mark 1");
	expect_remedy(finding, "'meta mark != 1'");
	rule.source = RULE_IPTABLES_NFT;
	expect_remedy(expect_finding("verdict-loop", LEVEL_ERROR), "'-m mark ! --mark 1'");
}

/* A rule may be met at each hook, and a bridge copies packets to all its ports. */
Test(doctor, many_packets_that_are_no_loop)
{
	let_come(34000, 34000, 3400);
	examine();
	cr_expect_eq(findings.count, 0);
	let_come(99, 99, 0);
	examine();
	cr_expect_eq(findings.count, 0, "too few");
	let_come(34000, 34000, 106);
	strcpy(sight.now.bridge, "br0");
	sight.now.devices = 31;
	examine();
	cr_expect_eq(findings.count, 0);
	sight.now.bridge[0] = '\0';
	sight.before.counted = false;
	examine();
	cr_expect_eq(findings.count, 0, "how many there were is not known");
	sight.before.counted = true;
	sight.before.packets = 2000;
	examine();
	cr_expect_eq(findings.count, 0, "a device has gone with its counters");
}

/* Nothing can be said of the rule then. */
Test(doctor, packets_that_are_repeated_by_a_rule_without_a_counter)
{
	rule.counted = false;
	let_come(0, 34000, 1);
	expect_cause(expect_finding("verdict-loop", LEVEL_ERROR),
		     "4711/owner repeats them (verdict repeat), and a rule matches them again");
	expect_remedy(&findings.list[0], "'meta mark != 1'");
}

/* Without a program nothing is repeated: then the counters are late. */
Test(doctor, packets_that_nobody_can_repeat)
{
	sight.queues.count = 0;
	let_come(34000, 0, 1);
	expect_finding("unbound-queue", LEVEL_ERROR);
}

Test(doctor, packets_that_are_sent_from_queue_to_queue)
{
	let_come(1, 34000, 1);
	expect_cause(
		expect_finding("verdict-loop", LEVEL_ERROR),
		"34000 packets have come to queue 5 in 1000 ms, while at most 1 came in, went out or was "
		"made here: 4711/owner and other programs send them");
	let_come(1000, 34000, 500);
	examine();
	cr_expect_eq(findings.count, 0, "one may be 64 segments");
}

Test(doctor, packets_of_one_version_of_ip)
{
	const struct finding *finding;

	rule.source = RULE_LEGACY;
	rule.family = NFPROTO_IPV4;
	sight.now.has_v4 = sight.now.has_v6 = true;
	examine();
	cr_expect_eq(findings.count, 0, "nobody asked for the queue");
	sight.has_queues = true;
	finding = expect_finding("one-ip-version", LEVEL_NOTE);
	expect_cause(finding,
		     "only rules of IPv4 send to queue 5, such as rule 1 of c in table t");
	expect_remedy(finding, "the same rule by ip6tables");
	rule.family = NFPROTO_IPV6;
	expect_remedy(expect_finding("one-ip-version", LEVEL_NOTE), "the same rule by iptables");
	sight.now.has_v4 = false;
	examine();
	cr_expect_eq(findings.count, 0, "there is no IPv4");
	sight.now.has_v4 = true;
	rule.family = NFPROTO_INET;
	examine();
	cr_expect_eq(findings.count, 0, "both come");
	rule.family = NFPROTO_IPV4;
	sight.nft_error = -EPERM;
	examine();
	cr_expect(findings.count == 1 && strcmp(findings.list[0].name, "unseen") == 0,
		  "there may be another rule");
}

/* What a verdict sends to a queue takes no rule. */
Test(doctor, a_queue_that_another_one_feeds)
{
	rule.first = rule.last = 6;
	rule.bypass = true;
	examine();
	cr_assert_eq(findings.count, 2);
	cr_expect(!strstr(findings.list[0].cause, "4711"), "%s", findings.list[0].cause);
	cr_expect(findings.list[1].level == LEVEL_NOTE, "%s", findings.list[1].cause);
	expect_cause(&findings.list[1],
		     "5 packets have come to queue 5 of 4711/owner, but no rule");
}

Test(doctor, without_a_rule)
{
	row.queue.last_id = row.before.last_id = 0;
	rule.first = rule.last = 6;
	sight.last = 5;
	expect_cause(expect_finding("no-rule", LEVEL_WARNING), "4711/owner is bound to queue 5");
	row.pid = 0;
	expect_cause(expect_finding("no-rule", LEVEL_WARNING), "the socket with portid 77");
	sight.nft_error = -EPERM;
	expect_finding("unseen", LEVEL_UNSEEN);
	cr_expect(findings_are_bad(&findings), "the rule may be there");
}

Test(doctor, packets_that_are_stuck)
{
	const struct finding *finding;

	row.before.waiting = 2;
	row.before.last_id = 4;
	row.queue.waiting = 3;
	finding = expect_finding("stuck-packets", LEVEL_ERROR);
	expect_cause(finding,
		     "3 packets wait in queue 5, and 4711/owner has decided none for 1000 ms");
	row.pid =
		0; /* in another PID namespace; root of the machine is in another network namespace */
	expect_remedy(expect_finding("stuck-packets", LEVEL_ERROR), "mnfq stat --all-netns -q 5");
	row.queue.waiting = 2;
	examine();
	cr_expect_eq(findings.count, 0, "one came, one was decided");
	row.compared = false;
	examine();
	cr_expect_eq(findings.count, 0, "bound a moment ago");
}

Test(doctor, an_owner_that_is_stopped)
{
	state = 'T';
	expect_remedy(expect_finding("owner-stopped", LEVEL_ERROR), "kill -CONT 4711");
	state = 't';
	expect_remedy(expect_finding("owner-stopped", LEVEL_ERROR), "debugger");
	row.queue.queue_dropped = row.before.queue_dropped = 2;
	examine();
	cr_assert_eq(findings.count, 2);
	expect_cause(&findings.list[1], "it was full, and at present nothing of it is decided");
	expect_remedy(&findings.list[1], "first have its program decide packets");
}

Test(doctor, losses)
{
	row.queue.queue_dropped = row.before.queue_dropped = 7;
	expect_cause(expect_finding("queue-full", LEVEL_WARNING),
		     "7 packets, since it was bound, none of them just now: it was full, as "
		     "packets came faster than they were decided, or its program was stopped");
	/* A command that binds the queue would fail as long as its owner lives. */
	expect_remedy(&findings.list[0], "if that comes again: a longer queue (NFQA_CFG_");
	cr_expect(!strstr(findings.list[0].remedy, "-q 5"), "%s", findings.list[0].remedy);
	row.before.queue_dropped = 5;
	row.queue.last_id += 10;
	row.queue.waiting = 4;
	expect_cause(
		expect_finding("queue-full", LEVEL_ERROR),
		"2 of them just now: it is full, as 4711/owner decides 6 packets a second, and "
		"12 come");
	expect_remedy(&findings.list[0], "or against short bursts only: a longer queue (");
	row.queue.queue_dropped = row.before.queue_dropped = 0;
	row.queue.user_dropped = 3;
	expect_cause(
		expect_finding("buffer-full", LEVEL_ERROR),
		"3 of them just now: the receive buffer of its program is full, as 4711/owner "
		"decides 3 packets a second, and 10 come");
	row.queue.waiting = 100;
	expect_cause(expect_finding("buffer-full", LEVEL_ERROR), "decides 0 packets a second");
	row.before.user_dropped = 3;
	expect_cause(expect_finding("buffer-full", LEVEL_WARNING),
		     "none of them just now: the receive buffer of its program was full, as");
}

/* A packet that gets into a queue takes a number, and none has. */
Test(doctor, a_queue_of_length_0)
{
	row.queue.last_id = row.before.last_id = 0;
	row.queue.queue_dropped = row.before.queue_dropped = 7;
	expect_cause(expect_finding("queue-full", LEVEL_ERROR),
		     "7 packets, since it was bound, none of them just now: its length is 0");
	expect_remedy(&findings.list[0], "have its program set a length");
	row.queue.last_id = row.before.last_id = 1;
	expect_finding("queue-full", LEVEL_WARNING);
}

Test(doctor, a_small_receive_buffer)
{
	row.queue.user_dropped = row.before.user_dropped = 3;
	sight.rmem_max = 212992;
	examine();
	cr_assert_eq(findings.count, 2);
	cr_expect_str_eq(findings.list[1].name, "rmem-max");
	expect_cause(&findings.list[1], "212992 bytes, about 92 packets");
	sight.rmem_max = 0;
	expect_finding("buffer-full", LEVEL_WARNING);
}

Test(doctor, losses_of_the_socket)
{
	row.socket_drops = 4;
	expect_cause(expect_finding("socket-losses", LEVEL_WARNING), "has lost 4 messages");
	row.queue.user_dropped = row.before.user_dropped = 4;
	expect_finding("buffer-full", LEVEL_WARNING);
}

Test(doctor, no_copy_mode)
{
	row.queue.copy_mode = MNFQ_COPY_NONE;
	expect_finding("copy-none", LEVEL_ERROR);
}

/* ---- the kernel, rights ----------------------------------------------------------------- */

Test(doctor, what_the_kernel_lacks)
{
	sight.queues.count = sight.rules.count = 0;
	sight.support.parts[PART_NFT] = PRESENCE_ABSENT;
	examine();
	cr_expect_str_eq(findings.list[0].name, "kernel-support");
	cr_expect(!findings_are_bad(&findings), "iptables does");
	sight.support.parts[PART_XT] = PRESENCE_ABSENT;
	examine();
	cr_expect(findings_are_bad(&findings));
	expect_cause(&findings.list[0], "(6.1.0) has no xt_NFQUEUE: and no nft_queue either");
	sight.support.parts[PART_QUEUE] = PRESENCE_ABSENT;
	examine();
	expect_cause(&findings.list[0], "has no nfnetlink_queue: no program can bind a queue");
	expect_remedy(&findings.list[0], "modprobe nfnetlink_queue");
}

Test(doctor, what_the_kernel_lacks_but_nobody_misses)
{
	sight.support.parts[PART_NFT] = PRESENCE_ABSENT;
	sight.support.parts[PART_CONNTRACK] = PRESENCE_ABSENT;
	examine();
	cr_expect_eq(findings.count, 0);
	sight.verbose = true;
	examine();
	cr_expect_eq(findings.count, 2);
	sight.support.gso = false;
	examine();
	cr_expect(findings_are_bad(&findings));
}

Test(doctor, what_could_not_be_seen)
{
	sight.queues_error = -EACCES;
	sight.legacy_error = -EPERM;
	sight.nft_error = -ENOSYS;
	sight.has_rights = false;
	sight.queues.count = sight.rules.count = 0;
	examine();
	cr_expect_eq(findings.count, 4);
	cr_expect_str_eq(findings.list[0].name, "no-rights");
	for (size_t i = 1; i < findings.count; i++)
		cr_expect_eq(findings.list[i].level, LEVEL_UNSEEN);
}

/* ---- the network ------------------------------------------------------------------------ */

Test(doctor, bridges_without_br_netfilter)
{
	rule.packets = 0;
	rule.hooks = 1u << NF_INET_FORWARD;
	expect_finding("no-packet", LEVEL_NOTE);
	strcpy(sight.now.bridge, "br0");
	examine();
	cr_assert_eq(findings.count, 2);
	cr_expect_str_eq(findings.list[1].name, "br-netfilter-off");
	sight.now.bridge_calls_v4 = sight.now.bridge_calls_v6 = true;
	expect_finding("no-packet", LEVEL_NOTE);
}

Test(doctor, bridges_with_br_netfilter)
{
	sight.now.bridge_calls_v4 = true;
	rule.family = NFPROTO_BRIDGE;
	examine();
	cr_expect_eq(findings.count, 0, "packets come");
	rule.packets = 0;
	examine();
	cr_assert_eq(findings.count, 2);
	cr_expect_str_eq(findings.list[1].name, "br-netfilter-on");
}

Test(doctor, reverse_path)
{
	rule.packets = 0;
	sight.before.reverse_path = 3;
	sight.now.reverse_path = 4;
	expect_finding("no-packet", LEVEL_NOTE);
	strcpy(sight.now.strict, "eth0");
	examine();
	cr_assert_eq(findings.count, 2);
	cr_expect_str_eq(findings.list[1].name, "rp-filter");
	expect_cause(&findings.list[1], "has dropped 4 packets");
	expect_cause(&findings.list[1], "(1 just now)");
	rule.hooks = 1u << NF_INET_PRE_ROUTING;
	expect_finding("no-packet", LEVEL_NOTE);
}

/* ---- output ----------------------------------------------------------------------------- */

static void expect_printed(bool json, const char *expected)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	findings_print(out, &findings, json);
	fclose(out);
	cr_expect_str_eq(text, expected);
	free(text);
}

/* A name of a process is no remedy. */
Test(doctor, remedies_in_quotes)
{
	finding_remedy(finding_cause(findings_add(&findings, LEVEL_ERROR, "e", 5), "c"),
		       "end 1/\"; or \\\"; or \"; or r2");
	expect_printed(false, "error: c\n  remedy: end 1/\"; or \\\"; or \"\n      or: r2\n");
}

Test(doctor, the_worst_first)
{
	finding_remedy(finding_cause(findings_add(&findings, LEVEL_NOTE, "n", -1), "a \"c\""),
		       "r");
	finding_remedy(finding_cause(findings_add(&findings, LEVEL_ERROR, "e", 5), "c%d", 2),
		       "r2; or r3; or r4");
	expect_printed(false, "error: c2\n  remedy: r2\n      or: r3\n      or: r4\nnote: a "
			      "\"c\"\n  remedy: r\n");
	expect_printed(
		true,
		"{\"level\":\"error\",\"finding\":\"e\",\"queue\":5,\"cause\":\"c2\","
		"\"remedy\":\"r2; or r3; or r4\"}\n{\"level\":\"note\",\"finding\":\"n\",\"cause\":"
		"\"a \\\"c\\\"\",\"remedy\":\"r\"}\n");
}
