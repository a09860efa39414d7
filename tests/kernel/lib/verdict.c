/* SPDX-License-Identifier: MIT */
/* What the kernel does with each verdict. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "kernel-fixture.h"

/* Sends number 1, which the callback decides, then 2, which must be the only one to arrive. */
static enum mnfq_verdict only_the_first(struct mnfq_packet *packet, void *data)
{
	(void)data;
	return seq_of(packet) == 1 ? fixture.verdict : MNFQ_ACCEPT;
}

static void expect_the_first_dropped(void)
{
	udp_send_many(&fixture.udp, 1, 2);
	fixture_serve(2);
	fixture_expect(2, 1);
	fixture_expect_nothing();
}

QueueTest(verdict, accept_delivers)
{
	fixture_bind(NULL, count_packet);
	fixture_pass(0, 2);
	cr_assert(fixture_stats().accepted == 2);
}

QueueTest(verdict, drop_reaches_nobody)
{
	fixture.verdict = MNFQ_DROP;
	fixture_bind(NULL, only_the_first);
	expect_the_first_dropped();
	cr_assert(fixture_stats().dropped == 1 && fixture_stats().accepted == 1);
}

static enum mnfq_verdict repeat_once(struct mnfq_packet *packet, void *data)
{
	(void)data;
	fixture.seen++;
	mnfq_packet_set_mark(packet, 5);
	return mnfq_packet_get_mark(packet) == 5 ? MNFQ_ACCEPT : MNFQ_REPEAT;
}

/* The second time it comes with the mark that it was given the first time. */
QueueTest(verdict, repeat_enters_the_hook_again_with_its_mark)
{
	fixture_bind(NULL, repeat_once);
	udp_send(&fixture.udp, 1);
	fixture_serve(2);
	fixture_expect(1, 1);
	cr_assert(fixture.seen == 2);
	cr_assert(fixture_stats().repeated == 1 && fixture_stats().marked == 2);
}

/* The queue is in mangle, the rule that counts in filter, which comes later in the same hook. */
static uint64_t passed_filter(enum mnfq_verdict verdict)
{
	uint64_t packets;

	fixture_open(4);
	fixture.verdict = verdict;
	netns_rule(fixture.ns, 4, "-A INPUT -p udp --dport %d", PORT);
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 1);
	packets = netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1);
	cr_assert(fixture_stats().stopped == (verdict == MNFQ_STOP));
	fixture_close();
	return packets;
}

Test(verdict, accept_goes_on_with_the_hook)
{
	cr_assert(passed_filter(MNFQ_ACCEPT) == 1);
}

Test(verdict, stop_skips_the_rest_of_the_hook)
{
	cr_assert(passed_filter(MNFQ_STOP) == 0);
}

QueueTest(verdict, another_queue_sees_the_packet)
{
	struct fixture second = { .verdict = MNFQ_ACCEPT };
	struct mnfq_queue *other;

	fixture.verdict = mnfq_verdict_queue(700);
	fixture_bind(NULL, count_packet);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 700, NULL, count_packet, &second));
	udp_send(&fixture.udp, 1);
	fixture_serve(2);
	fixture_expect(1, 1);
	cr_assert(fixture.seen == 1 && second.seen == 1);
	cr_assert(fixture_stats().requeued == 1 && fixture_stats().accepted == 0);
	fixture.elsewhere = -1; /* in the other queue, by no rule */
}

QueueTest(verdict, another_queue_that_nobody_bound_drops)
{
	fixture.verdict = mnfq_verdict_queue(700);
	fixture_bind(NULL, only_the_first);
	expect_the_first_dropped();
	cr_assert(fixture_stats().refused == 0);
}

QueueTest(verdict, another_queue_that_nobody_bound_is_bypassed)
{
	fixture.verdict = mnfq_verdict_queue_bypass(700);
	netns_rule(fixture.ns, 4, "-A INPUT -p udp --dport %d", PORT);
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1) == 1);
	cr_assert(fixture_stats().requeued == 1);
}

QueueTest(verdict, bypass_is_for_unbound_queues_only)
{
	struct fixture second = { .verdict = MNFQ_ACCEPT };
	struct mnfq_queue *other;

	fixture.verdict = mnfq_verdict_queue_bypass(65535);
	fixture_bind(NULL, count_packet);
	expect_ok(fixture.sock,
		  mnfq_queue_bind(&other, fixture.sock, 65535, NULL, count_packet, &second));
	udp_send(&fixture.udp, 1);
	fixture_serve(2);
	fixture_expect(1, 1);
	cr_assert(second.seen == 1);
	fixture.elsewhere = -1; /* in the other queue, by no rule */
}

static enum mnfq_verdict mark_by_number(struct mnfq_packet *packet, void *data)
{
	uint32_t seq = seq_of(packet);

	(void)data;
	cr_assert(mnfq_packet_set_mark(packet, seq == 1 ? 0xdeadbeef : seq) == 0);
	cr_assert(mnfq_packet_get_mark(packet) == 0);
	return MNFQ_ACCEPT;
}

QueueTest(verdict, marks_are_seen_by_later_rules)
{
	netns_rule(fixture.ns, 4, "-A INPUT -m mark --mark 0xdeadbeef");
	netns_rule(fixture.ns, 4, "-A INPUT -m mark --mark 2");
	netns_rule(fixture.ns, 4, "-A INPUT -m mark --mark 0");
	fixture_bind(NULL, mark_by_number);
	udp_send_many(&fixture.udp, 0, 3);
	fixture_serve(3);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1) == 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 2) == 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 3) == 1);
	cr_assert(fixture_stats().marked == 3);
}

/* ---- new payloads ---- */

static struct {
	size_t size; /* of the whole packet that is sent back; 0: as it came */
	uint32_t seq;
	bool repair;
} rewrite;

/* Puts another number in, and what udp_send() would have sent with it. */
static enum mnfq_verdict replace(struct mnfq_packet *packet, void *data)
{
	static uint8_t copy[65536];
	size_t len, size, i, head;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	if (seq_of(packet) != 1)
		return MNFQ_ACCEPT;
	(void)data;
	memcpy(copy, payload, len);
	size = rewrite.size ? rewrite.size : len;
	head = copy[0] >> 4 == 6 ? 48 : 28;
	memset(copy + head, 0, 4);
	copy[head + 3] = (uint8_t)rewrite.seq;
	for (i = head + 4; i < size; i++)
		copy[i] = (uint8_t)(rewrite.seq + i - head);
	if (rewrite.repair)
		packet_repair(copy, size);
	cr_assert(mnfq_packet_set_payload(packet, copy, size) == 0);
	payload = mnfq_packet_get_payload(packet, &len);
	cr_assert(len == size && memcmp(payload, copy, size) == 0);
	return MNFQ_ACCEPT;
}

static void rewrite_to(int family, size_t udp_size)
{
	struct datagram datagram;

	fixture_open(family);
	rewrite.seq = 77;
	rewrite.size = udp_size ? udp_size + (family == 6 ? 48 : 28) : 0;
	rewrite.repair = true;
	fixture_bind(NULL, replace);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(udp_await(&fixture.udp, &datagram));
	cr_assert(datagram.seq == 77 && datagram.intact);
	cr_assert_eq(datagram.size, udp_size ? udp_size : UDP_SIZE);
	cr_assert(fixture_stats().rewritten == 1);
	fixture_close();
}

Test(verdict, payload_of_the_same_length)
{
	rewrite_to(4, 0);
}

Test(verdict, payload_of_the_same_length_ipv6)
{
	rewrite_to(6, 0);
}

Test(verdict, longer_payload)
{
	rewrite_to(4, 1000);
}

Test(verdict, longer_payload_ipv6)
{
	rewrite_to(6, 1001);
}

Test(verdict, much_longer_payload)
{
	rewrite_to(4, 65000);
}

Test(verdict, shorter_payload)
{
	rewrite_to(4, 7);
}

Test(verdict, shorter_payload_ipv6)
{
	rewrite_to(6, 4);
}

/* The kernel takes the checksum as final, and UDP finds it wrong. */
QueueTest(verdict, checksums_are_not_repaired)
{
	rewrite.seq = 77;
	fixture_bind(NULL, replace);
	expect_the_first_dropped();
}

static enum mnfq_verdict empty(struct mnfq_packet *packet, void *data)
{
	size_t len = 1;

	(void)data;
	if (seq_of(packet) == 1) {
		cr_assert(mnfq_packet_set_payload(packet, NULL, 0) == 0);
		cr_assert(mnfq_packet_get_payload(packet, &len) != NULL && len == 0);
	}
	return MNFQ_ACCEPT;
}

QueueTest(verdict, empty_payload_is_accepted_and_dropped_by_the_kernel)
{
	fixture_bind(NULL, empty);
	expect_the_first_dropped();
	cr_assert(fixture_stats().rewritten == 1 && fixture_stats().refused == 0);
}

static enum mnfq_verdict rewrite_truncated(struct mnfq_packet *packet, void *data)
{
	static uint8_t bytes[MNFQ_COPY_RANGE_MAX + 1];
	size_t len;

	(void)data;
	(void)mnfq_packet_get_payload(packet, &len);
	cr_assert(len == 40);
	cr_assert(mnfq_packet_set_payload(packet, bytes, len) == -EMSGSIZE);
	fixture.seen++;
	return MNFQ_ACCEPT;
}

/* A cut copy sent back would cut the packet. */
QueueTest(verdict, payload_of_a_truncated_packet_is_refused)
{
	fixture_bind(QUEUE_OPTIONS(.copy_range = 40), rewrite_truncated);
	fixture_pass(1, 1);
	cr_assert(fixture.seen == 1 && fixture_stats().rewritten == 0);
}

static enum mnfq_verdict rewrite_too_long(struct mnfq_packet *packet, void *data)
{
	static uint8_t bytes[MNFQ_COPY_RANGE_MAX + 1];

	(void)data;
	cr_assert(mnfq_packet_set_payload(packet, bytes, sizeof(bytes)) == -EMSGSIZE);
	cr_assert(mnfq_packet_set_payload(packet, NULL, 1) == -EINVAL);
	return MNFQ_ACCEPT;
}

QueueTest(verdict, payload_out_of_range_changes_nothing)
{
	fixture_bind(NULL, rewrite_too_long);
	fixture_pass(1, 1);
}

/* ---- no verdict at all ---- */

static void invalid(enum mnfq_verdict nonsense, enum mnfq_verdict default_verdict)
{
	struct mnfq_stats stats;

	fixture_open(4);
	fixture.verdict = nonsense;
	fixture_bind(QUEUE_OPTIONS(.default_verdict = default_verdict), only_the_first);
	udp_send_many(&fixture.udp, 1, 2);
	fixture_serve(2);
	if (default_verdict == MNFQ_ACCEPT)
		fixture_expect(1, 2);
	stats = fixture_stats();
	cr_assert(stats.invalid == 1 && stats.defaulted == 1 && stats.refused == 0);
	cr_assert(stats.dropped == (default_verdict == MNFQ_DROP));
	fixture_close();
}

Test(verdict, nonsense_gets_the_default)
{
	invalid((enum mnfq_verdict)99, MNFQ_DROP);
	invalid((enum mnfq_verdict)99, MNFQ_ACCEPT);
}

Test(verdict, stolen_gets_the_default)
{
	invalid((enum mnfq_verdict)2, MNFQ_DROP);
	invalid((enum mnfq_verdict)2, MNFQ_ACCEPT);
}

Test(verdict, a_queue_with_garbage_gets_the_default)
{
	invalid((enum mnfq_verdict)(3 | 0x100), MNFQ_ACCEPT);
}

Test(verdict, accept_with_garbage_gets_the_default)
{
	invalid((enum mnfq_verdict)(MNFQ_ACCEPT | 7 << 16), MNFQ_DROP);
}

Test(verdict, defer_without_retain_gets_the_default)
{
	invalid(MNFQ_DEFER, MNFQ_DROP);
	invalid(MNFQ_DEFER, MNFQ_ACCEPT);
}
