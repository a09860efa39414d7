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
	expect_counts(.accepted = 2);
}

QueueTest(verdict, drop_delivers_nothing)
{
	fixture.verdict = MNFQ_DROP;
	fixture_bind(NULL, only_the_first);
	expect_the_first_dropped();
	expect_counts(.dropped = 1, .accepted = 1);
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
	expect_counts(.seen = 2, .repeated = 1, .marked = 2);
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

QueueTest(verdict, another_queue_that_is_not_bound_drops)
{
	fixture.verdict = mnfq_verdict_queue(700);
	fixture_bind(NULL, only_the_first);
	expect_the_first_dropped();
	expect_counts(.refused = 0);
}

QueueTest(verdict, another_queue_that_is_not_bound_is_bypassed)
{
	fixture.verdict = mnfq_verdict_queue_bypass(700);
	netns_rule(fixture.ns, 4, "-A INPUT -p udp --dport %d", PORT);
	fixture_bind(NULL, count_packet);
	fixture_pass(1, 1);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 1) == 1);
	expect_counts(.requeued = 1);
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
	expect_counts(.marked = 3);
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
	size_t len, size, head;
	const uint8_t *payload = mnfq_packet_get_payload(packet, &len);

	if (seq_of(packet) != 1)
		return MNFQ_ACCEPT;
	(void)data;
	memcpy(copy, payload, len);
	size = rewrite.size ? rewrite.size : len;
	head = copy[0] >> 4 == 6 ? 48 : 28;
	memset(copy + head, 0, 4);
	copy[head + 3] = (uint8_t)rewrite.seq;
	for (size_t i = head + 4; i < size; i++)
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
	expect_counts(.rewritten = 1);
	fixture_close();
}

/* Sizes of the datagram; 0: as it came. */
Test(verdict, payloads_of_any_length_replace_the_packets)
{
	static const size_t sizes[] = { 0, 7, 1000, 65000 }, sizes6[] = { 0, 4, 1001 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		rewrite_to(4, sizes[i]);
	for (size_t i = 0; i < sizeof(sizes6) / sizeof(sizes6[0]); i++)
		rewrite_to(6, sizes6[i]);
}

/* Of packets that came without their payload: what takes its place is all of the packet. */
static enum mnfq_verdict replace_unseen(struct mnfq_packet *packet, void *data)
{
	static uint8_t whole[65536];
	static size_t whole_len;
	const uint8_t *payload;
	size_t len, size, head;

	(void)data;
	payload = mnfq_packet_get_payload(packet, &len);
	if (len > 0) { /* the pattern for the next one */
		memcpy(whole, payload, len);
		whole_len = len;
		return MNFQ_DROP;
	}
	cr_assert(mnfq_packet_set_payload(packet, whole, whole_len) == -ENODATA);
	cr_assert(mnfq_packet_allow(packet, MNFQ_ALLOW_CUT) == 0);
	head = whole[0] >> 4 == 6 ? 48 : 28;
	size = head + rewrite.size;
	memset(whole + head, 0, 4);
	whole[head + 3] = (uint8_t)rewrite.seq;
	for (size_t i = head + 4; i < size; i++)
		whole[i] = (uint8_t)(rewrite.seq + i - head);
	cr_assert(mnfq_packet_set_payload(packet, whole, size) == 0);
	cr_assert(mnfq_packet_repair(packet) == 0, "%s", mnfq_packet_get_error(packet));
	return MNFQ_ACCEPT;
}

/* To @to bytes of a datagram, from @from. */
static void replace_meta(int family, size_t from, size_t to)
{
	struct datagram datagram;

	fixture_open(family);
	fixture_bind(NULL, replace_unseen);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	expect_ok(fixture.sock, mnfq_queue_configure(fixture.queue,
						     QUEUE_OPTIONS(.copy_mode = MNFQ_COPY_META)));
	rewrite.seq = 77;
	rewrite.size = to;
	udp_send_sized(&fixture.udp, 2, from);
	fixture_serve(1);
	cr_assert(udp_await(&fixture.udp, &datagram));
	cr_assert(datagram.seq == 77 && datagram.intact);
	cr_assert_eq(datagram.size, to);
	expect_counts(.packets = 2, .dropped = 1, .accepted = 1, .rewritten = 1);
	fixture_close();
}

Test(verdict, payloads_replace_packets_that_came_without)
{
	static const size_t sizes[][2] = {
		{ 32, 32 }, { 1000, 32 }, { 32, 1000 }, { 60000, 4 }, { 4, 60000 }
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		replace_meta(4, sizes[i][0], sizes[i][1]);
		replace_meta(6, sizes[i][0], sizes[i][1]);
	}
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
	expect_counts(.rewritten = 1);
}
