/* SPDX-License-Identifier: MIT */
/* packet-edit.c: packets as a callback gets them, retained ones, and what is left of refused edits. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "support/build.h"
#include "support/fixture.h"

static struct build b;
static void (*check)(struct mnfq_packet *packet);
static struct mnfq_packet *retained;

static enum mnfq_verdict call_check(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	check(packet);
	return retained ? MNFQ_DEFER : MNFQ_ACCEPT;
}

static void bind_check(void)
{
	setup();
	rebind_seven(call_check, MNFQ_DROP);
}

TestSuite(edit, .init = bind_check, .fini = teardown);

static void begin(uint8_t family, uint16_t ethertype)
{
	message_begin(&msg, 7);
	((struct nfgenmsg *)(msg.bytes + NLMSG_HDRLEN))->nfgen_family = family;
	message_hdr(&msg, fake_packet(7, b.len, false), ethertype, NF_INET_LOCAL_OUT);
}

static void deliver(void (*function)(struct mnfq_packet *packet))
{
	unsigned int before = seen;

	message_attr(&msg, NFQA_PAYLOAD, b.p, b.len);
	check = function;
	feed();
	cr_assert(eq(uint, seen, before + 1), "the callback was called");
}

static void expect_good(struct mnfq_packet *packet, const char *content)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);
	const uint8_t *p = mnfq_packet_get_payload(packet, NULL);

	cr_assert(eq(int, mnfq_packet_get_layers(packet, &layers), 0));
	cr_expect(eq(sz, layers.end - layers.data, strlen(content)));
	cr_expect(memcmp(p + layers.data, content, strlen(content)) == 0, "not '%s'", content);
	cr_expect(eq(int, mnfq_packet_verify(packet), 0));
}

/* Each edit builds on the one before, and may take its data from the packet. */
static void edit_often(struct mnfq_packet *packet)
{
	const uint8_t *p;

	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 4, "abcdef", 6), 0));
	expect_good(packet, "abcdefdata");
	p = mnfq_packet_get_payload(packet, NULL);
	cr_assert(eq(int, mnfq_packet_edit(packet, 30, 0, p + 28, 6), 0));
	expect_good(packet, "ababcdefcdefdata");
	p = mnfq_packet_get_payload(packet, NULL);
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 10, p + 30, 10), 0));
	expect_good(packet, "abcdefcdefefdata");
	cr_assert(eq(int, mnfq_packet_edit(packet, 40, 4, NULL, 0), 0));
	expect_good(packet, "abcdefcdefef");
	cr_assert(eq(int,
		     mnfq_packet_set_payload(packet, mnfq_packet_get_payload(packet, NULL), 34),
		     0));
	cr_expect(eq(int, mnfq_packet_verify(packet), -EBADMSG));
	cr_assert(eq(int, mnfq_packet_repair(packet), 0));
	expect_good(packet, "abcdef");
	cr_assert(eq(int, mnfq_packet_edit(packet, 34, 0, "!", 1), 0));
	expect_good(packet, "abcdef!");
}

static void make_udp(const char *data)
{
	b.len = 0;
	build_ipv4(&b, IPPROTO_UDP, NULL, 0);
	build_transport(&b, IPPROTO_UDP, data, strlen(data));
	build_end(&b);
}

Test(edit, edits_add_up)
{
	make_udp("datadata");
	begin(NFPROTO_IPV4, 0x0800);
	deliver(edit_often);
	cr_expect(eq(sz, fake_queue(7)->decisions[1].payload_len, 35));
}

static void retain_and_edit(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 0, "data", 4), 0));
	cr_assert(eq(int, mnfq_packet_retain(&retained, packet), 0));
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 0, "more", 4), 0));
}

Test(edit, retained_packets)
{
	make_udp("data");
	begin(NFPROTO_IPV4, 0x0800);
	deliver(retain_and_edit);
	expect_good(retained, "datadata");
	edit_often(retained);
	cr_expect(eq(int, mnfq_packet_edit(retained, 5000, 0, "x", 1), -EINVAL));
	expect_good(retained, "abcdef!");
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_packet_edit(retained, 28, 1, "x", 1), -ENOMEM));
	fake.fail_allocation = 1;
	cr_expect(eq(int, mnfq_packet_repair(retained), -ENOMEM));
	fake.fail_allocation = 0;
	expect_good(retained, "data");
	cr_assert(eq(int, mnfq_packet_edit(retained, 28, 0, "data", 4), 0));
	edit_often(retained);
	cr_expect(eq(int, mnfq_packet_decide(retained, MNFQ_ACCEPT), 0));
	cr_expect(eq(sz, fake_queue(7)->decisions[1].payload_len, 35));
	cr_expect(eq(int, mnfq_packet_edit(retained, 28, 1, "x", 1), -EALREADY));
	cr_expect(eq(int, mnfq_packet_repair(retained), -EALREADY));
	retained = mnfq_packet_free(retained);
}

static void refuse(struct mnfq_packet *packet)
{
	const uint8_t *p = mnfq_packet_get_payload(packet, NULL);

	cr_expect(eq(int, mnfq_packet_edit(packet, 0, 1, "\x46", 1), -EINVAL));
	cr_expect(strlen(mnfq_packet_get_error(packet)) > 0);
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 0, NULL, 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 0, p, 65532), -EMSGSIZE));
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 0, p, SIZE_MAX), -EMSGSIZE));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_payload(packet, NULL), (void *)p));
	cr_expect(memcmp(p, b.p, b.len) == 0);
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), 0));
	p = mnfq_packet_get_payload(packet, NULL);
	cr_expect(eq(int, mnfq_packet_edit(packet, 0, 1, "\x46", 1), -EINVAL));
	cr_expect(eq(ptr, (void *)mnfq_packet_get_payload(packet, NULL), (void *)p));
	expect_good(packet, "Data");
}

static void refuse_only(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_edit(packet, 0, 1, "\x46", 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_edit(packet, 30, 99, "x", 1), -EINVAL));
}

Test(edit, a_refused_edit_changes_nothing)
{
	make_udp("data");
	begin(NFPROTO_IPV4, 0x0800);
	deliver(refuse);
	begin(NFPROTO_IPV4, 0x0800);
	deliver(refuse_only);
	cr_expect(eq(sz, fake_queue(7)->decisions[2].payload_len, SIZE_MAX), "no new payload");
}

/* The family of the hook tells; bridges have the EtherType, and tags in the frame. */
static void tagged(struct mnfq_packet *packet)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);

	cr_assert(eq(int, mnfq_packet_get_layers(packet, &layers), 0));
	cr_expect(eq(sz, layers.network, 4));
	cr_assert(eq(int, mnfq_packet_edit(packet, layers.data, 0, "more", 4), 0));
	expect_good(packet, "moredata");
	cr_expect(eq(int, mnfq_packet_edit(packet, 0, 1, "x", 1), -EINVAL), "the tag stays");
}

static void not_ip(struct mnfq_packet *packet)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);

	cr_expect(eq(int, mnfq_packet_get_layers(packet, &layers), -EPROTONOSUPPORT));
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 0, "x", 1), -EPROTONOSUPPORT));
	cr_expect(eq(int, mnfq_packet_repair(packet), -EPROTONOSUPPORT));
	cr_expect(eq(int, mnfq_packet_verify(packet), -ENODATA));
}

static void six(struct mnfq_packet *packet)
{
	struct mnfq_layers layers = { .size = offsetof(struct mnfq_layers, network) };

	layers.end = 4711;
	cr_assert(eq(int, mnfq_packet_get_layers(packet, &layers), 0));
	cr_expect(eq(u8, layers.family, AF_INET6));
	cr_expect(eq(sz, layers.end, 4711), "a program that knows less of the struct");
	cr_expect(eq(sz, layers.size, offsetof(struct mnfq_layers, network)));
}

Test(edit, families)
{
	static const uint8_t tag[] = { 0, 5, 8, 0 };

	b.len = 0;
	build_add(&b, tag, 4);
	build_ipv4(&b, IPPROTO_UDP, NULL, 0);
	build_transport(&b, IPPROTO_UDP, "data", 4);
	build_end(&b);
	begin(NFPROTO_BRIDGE, 0x8100);
	deliver(tagged);
	make_udp("data");
	begin(NFPROTO_BRIDGE, 0x0806);
	deliver(not_ip);
	begin(NFPROTO_ARP, 0x0806);
	deliver(not_ip);
	build(&b, AF_INET6, IPPROTO_UDP, 4);
	begin(NFPROTO_IPV6, 0);
	deliver(six);
}

/* Once the payload is ours its sum is final, and so is its length. */
static void complete(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_verify(packet), -ENODATA));
	cr_assert(eq(int, mnfq_packet_repair(packet), 0));
	expect_good(packet, "data");
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), 0));
	expect_good(packet, "Data");
}

static void unfinished(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), 0));
	expect_good(packet, "Data");
	cr_assert(eq(int, mnfq_packet_reset(packet), 0));
	cr_expect(eq(int, mnfq_packet_verify(packet), -ENODATA), "to be completed again");
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), 0));
	expect_good(packet, "Data");
}

Test(edit, unfinished_checksums)
{
	make_udp("data");
	build_partial(&b, true);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_CSUMNOTREADY);
	deliver(complete);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_CSUMNOTREADY);
	deliver(unfinished);
}

static void large(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_packet_get_error(packet), "MNFQ_QUEUE_NO_GSO") != NULL);
	cr_expect(eq(int, mnfq_packet_repair(packet), -EOPNOTSUPP));
}

static void cut(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), -EMSGSIZE));
	cr_expect(strstr(mnfq_packet_get_error(packet), "MNFQ_ALLOW_CUT") != NULL);
	cr_expect(eq(int, mnfq_packet_repair(packet), -EMSGSIZE));
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_CUT), 0));
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 1, "Da", 2), 0));
	expect_good(packet, "Daata");
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 2, "d", 1), 0));
	expect_good(packet, "data");
}

static void nonsense(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_edit(packet, 28, 1, "D", 1), 0));
	expect_good(packet, "Datamore");
}

Test(edit, large_and_truncated)
{
	make_udp("data");
	begin(NFPROTO_IPV4, 0x0800);
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_GSO);
	deliver(large);
	make_udp("datamore");
	b.len -= 4;
	begin(NFPROTO_IPV4, 0x0800);
	message_attr32(&msg, NFQA_CAP_LEN, (uint32_t)b.len + 4);
	deliver(cut);
	/* Less than there is: no packet is shorter than its bytes. */
	make_udp("datamore");
	begin(NFPROTO_IPV4, 0x0800);
	message_attr32(&msg, NFQA_CAP_LEN, 3);
	deliver(nonsense);
}

/* ---- advice ---- */

static int edit_it(struct mnfq_packet *packet)
{
	return mnfq_packet_edit(packet, 28, 1, "D", 1);
}

static int set_it(struct mnfq_packet *packet)
{
	return mnfq_packet_set_payload(packet, "new", 3);
}

static int track_it(struct mnfq_packet *packet)
{
	return mnfq_packet_set_ct_mark(packet, 1, 1);
}

/* What a packet came with, what is in force when it is changed, and what is to be done about it. */
static const struct advice {
	const char *what;
	int (*change)(struct mnfq_packet *packet);
	uint32_t true_len, info, copy_range, flags; /* of a packet of 32 bytes, whole if 0 */
	enum mnfq_copy copy_mode;
	bool bare; /* it has no payload */
	const char *says, *lacks;
} advices[] = {
	{ "cut short", edit_it, 40, 0, 32, 0, 0, false, "larger copy_range", "GSO" },
	{ "cut short", mnfq_packet_repair, 40, 0, 32, 0, 0, false, "larger copy_range", "GSO" },
	{ "cut short", set_it, 40, 0, 32, 0, 0, false, "larger copy_range", "GSO" },
	{ "cut before", edit_it, 40, 0, 0, 0, 0, false, "came before", "larger copy_range" },
	{ "cut before", set_it, 40, 0, 40, 0, 0, false, "came before", "larger copy_range" },
	{ "largest", edit_it, 65531, 0, 32, 0, 0, false, "larger copy_range", "GSO" },
	{ "too large", edit_it, 65532, 0, 0, 0, 0, false, "65531", "larger copy_range" },
	{ "too large", set_it, 65535, 0, 0, 0, 0, false, "MNFQ_ALLOW_CUT", "larger copy_range" },
	{ "too large", edit_it, 65535, 0, 32, 0, 0, false, "65531", "larger copy_range" },
	{ "big", edit_it, 178580, MNFQ_SKB_GSO, 0, NFQA_CFG_F_GSO, 0, false, "MNFQ_QUEUE_NO_GSO",
	  "larger copy_range" },
	{ "big before", edit_it, 178580, MNFQ_SKB_GSO, 0, 0, 0, false, "65531",
	  "MNFQ_QUEUE_NO_GSO" },
	{ "large", edit_it, 0, MNFQ_SKB_GSO, 0, NFQA_CFG_F_GSO, 0, false, "MNFQ_QUEUE_NO_GSO",
	  "came before" },
	{ "large before", edit_it, 0, MNFQ_SKB_GSO, 0, 0, 0, false, "came before",
	  "MNFQ_QUEUE_NO_GSO" },
	{ "large", mnfq_packet_repair, 0, MNFQ_SKB_GSO, 0, NFQA_CFG_F_GSO, 0, false,
	  "MNFQ_QUEUE_NO_GSO", "came before" },
	{ "large before", mnfq_packet_repair, 0, MNFQ_SKB_GSO, 0, 0, 0, false, "came before",
	  "MNFQ_QUEUE_NO_GSO" },
	{ "tunnel", edit_it, 0, MNFQ_SKB_CSUMNOTREADY, 0, NFQA_CFG_F_GSO, 0, false,
	  "MNFQ_QUEUE_NO_GSO", "came before" },
	{ "tunnel before", edit_it, 0, MNFQ_SKB_CSUMNOTREADY, 0, 0, 0, false, "came before",
	  "MNFQ_QUEUE_NO_GSO" },
	{ "tunnel before", mnfq_packet_repair, 0, MNFQ_SKB_CSUMNOTREADY, 0, 0, 0, false,
	  "came before", "MNFQ_QUEUE_NO_GSO" },
	{ "no payload", edit_it, 0, 0, 0, 0, MNFQ_COPY_META, true, "MNFQ_COPY_PACKET",
	  "came before" },
	{ "no payload", set_it, 0, 0, 0, 0, MNFQ_COPY_META, true, "MNFQ_COPY_PACKET",
	  "came before" },
	{ "no payload before", edit_it, 0, 0, 0, 0, 0, true, "came before", "MNFQ_COPY_PACKET" },
	{ "no payload before", set_it, 0, 0, 0, 0, 0, true, "came before", "MNFQ_COPY_PACKET" },
	{ "no tracking", track_it, 0, 0, 0, 0, 0, false, "MNFQ_QUEUE_CONNTRACK", "a rule" },
	{ "not tracked", track_it, 0, 0, 0, MNFQ_QUEUE_CONNTRACK, 0, false, "a rule",
	  "MNFQ_QUEUE_CONNTRACK" },
};
static const struct advice *advice;

static void advised(struct mnfq_packet *packet)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .copy_mode = advice->copy_mode,
					      .copy_range = advice->copy_range,
					      .flags = advice->flags ^ MNFQ_QUEUE_NO_GSO };
	const char *why;

	cr_assert(eq(int, mnfq_queue_configure(queue, &options), 0));
	cr_expect(lt(int, advice->change(packet), 0), "%s", advice->what);
	why = mnfq_packet_get_error(packet);
	cr_expect(strstr(why, advice->says) != NULL, "%s: '%s' lacks '%s'", advice->what, why,
		  advice->says);
	cr_expect(strstr(why, advice->lacks) == NULL, "%s: '%s' has '%s'", advice->what, why,
		  advice->lacks);
}

/* Advice to do what has been done already is of no use. */
Test(edit, advice_depends_on_what_is_in_force)
{
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		advice = &advices[i];
		make_udp("data");
		begin(NFPROTO_IPV4, 0x0800);
		if (advice->info)
			message_attr32(&msg, NFQA_SKB_INFO, advice->info);
		if (advice->true_len)
			message_attr32(&msg, NFQA_CAP_LEN, advice->true_len);
		check = advised;
		if (advice->bare)
			feed();
		else
			deliver(advised);
	}
}

static bool is_adjusted(const struct mnfq_packet *packet)
{
	return packet->changes.set & MNFQ_I_CHANGE_SEQ_ADJUST;
}

static void no_resize(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_packet_get_error(packet), "MNFQ_ALLOW_TCP_RESIZE") != NULL);
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_TCP_RESIZE), 0));
	cr_assert(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), 0));
	expect_good(packet, "xdata");
	cr_expect(not(is_adjusted(packet)));
}

static void adjusted(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_edit(packet, 40, 1, "D", 1), 0));
	cr_expect(not(is_adjusted(packet)));
	cr_assert(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), 0));
	expect_good(packet, "xData");
	cr_expect(is_adjusted(packet));
}

static void adjusted_by_the_caller(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_TCP_RESIZE), 0));
	cr_assert(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), 0));
	cr_expect(not(is_adjusted(packet)));
}

/* The same bytes, put together by another process. */
static int rebuild(struct mnfq_packet *packet, const char *data)
{
	struct build built = { .len = 0 };

	build_ipv4(&built, IPPROTO_TCP, NULL, 0);
	build_transport(&built, IPPROTO_TCP, data, strlen(data));
	cr_assert(eq(int, mnfq_packet_set_payload(packet, built.p, built.len), 0));
	return mnfq_packet_repair(packet);
}

/* As it came, whatever was set meanwhile. */
static void expect_received(struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *p = mnfq_packet_get_payload(packet, &len);

	cr_assert(eq(sz, len, b.len));
	cr_expect(memcmp(p, b.p, len) == 0);
	cr_expect(not(packet->changes.set & (MNFQ_I_CHANGE_PAYLOAD | MNFQ_I_CHANGE_SEQ_ADJUST)));
}

static void no_other_length(struct mnfq_packet *packet)
{
	cr_expect(eq(int, rebuild(packet, "DATA"), 0));
	expect_good(packet, "DATA");
	cr_expect(eq(int, rebuild(packet, "other data"), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_packet_get_error(packet), "sequence numbers") != NULL);
	expect_received(packet);
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_TCP_RESIZE), 0));
	cr_expect(eq(int, rebuild(packet, "other data"), 0));
	expect_good(packet, "other data");
	cr_expect(not(is_adjusted(packet)));
}

static void refused_and_marked(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_set_mark(packet, 7), 0));
	cr_assert(eq(int, mnfq_packet_edit(packet, 40, 1, "D", 1), 0));
	cr_expect(eq(int, rebuild(packet, "other data"), -EOPNOTSUPP));
	expect_received(packet);
	cr_expect(eq(u32, packet->changes.set, MNFQ_I_CHANGE_MARK));
}

static void adjusted_and_refused(struct mnfq_packet *packet)
{
	cr_expect(eq(int, rebuild(packet, "other data"), 0));
	cr_expect(is_adjusted(packet));
	cr_assert(eq(int, mnfq_packet_set_payload(packet, "bad", 3), 0));
	cr_expect(eq(int, mnfq_packet_repair(packet), -EBADMSG));
	expect_received(packet);
}

static void refused_and_retained(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_set_payload(packet, "bad", 3), 0));
	cr_assert(eq(int, mnfq_packet_retain(&retained, packet), 0));
}

static void other_length_adjusted(struct mnfq_packet *packet)
{
	cr_expect(eq(int, rebuild(packet, "other data"), 0), "%s", mnfq_packet_get_error(packet));
	expect_good(packet, "other data");
	cr_expect(is_adjusted(packet));
}

/* A program that switches GSO off, as advised, would get the same advice again. */
static void no_resize_of_large(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_packet_get_error(packet), "sequence numbers") != NULL);
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_TCP_RESIZE), 0));
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_packet_get_error(packet), "MNFQ_QUEUE_NO_GSO") != NULL);
}

static void attr(uint8_t *at, uint16_t type, uint16_t len, uint32_t value)
{
	struct nlattr head = { .nla_len = len, .nla_type = type };

	value = htonl(value);
	memcpy(at, &head, sizeof(head));
	memcpy(at + 4, &value, sizeof(value));
}

static void build_tcp(void)
{
	b.len = 0;
	build_ipv4(&b, IPPROTO_TCP, NULL, 0);
	build_transport(&b, IPPROTO_TCP, "data", 4);
	build_end(&b);
}

Test(edit, other_lengths_of_tcp)
{
	uint8_t ct[16];

	build_tcp();
	begin(NFPROTO_IPV4, 0x0800);
	deliver(no_resize);
	begin(NFPROTO_IPV4, 0x0800);
	deliver(no_other_length);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr32(&msg, NFQA_SKB_INFO, MNFQ_SKB_GSO);
	deliver(no_resize_of_large);
	attr(ct, CTA_STATUS, 8, IPS_SRC_NAT);
	attr(ct + 8, CTA_HELP, 8, 0);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr(&msg, NFQA_CT, ct, sizeof(ct));
	deliver(adjusted);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr(&msg, NFQA_CT, ct, sizeof(ct));
	deliver(other_length_adjusted);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr(&msg, NFQA_CT, ct, sizeof(ct));
	deliver(adjusted_by_the_caller);
}

/* What was put together and could not be repaired is not sent. */
Test(edit, a_refused_repair_puts_the_payload_back)
{
	const struct fake_decision *d = fake_queue(7)->decisions;
	uint8_t ct[16];

	build_tcp();
	begin(NFPROTO_IPV4, 0x0800);
	deliver(refused_and_marked);
	cr_expect(eq(sz, d[1].payload_len, SIZE_MAX), "no new payload");
	cr_expect(eq(u32, d[1].mark, 7));
	attr(ct, CTA_STATUS, 8, IPS_SRC_NAT);
	attr(ct + 8, CTA_HELP, 8, 0);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr(&msg, NFQA_CT, ct, sizeof(ct));
	deliver(adjusted_and_refused);
	cr_expect(eq(sz, d[2].ct_len, SIZE_MAX), "no numbers are adjusted");
	begin(NFPROTO_IPV4, 0x0800);
	deliver(refused_and_retained);
	cr_expect(eq(int, mnfq_packet_repair(retained), -EBADMSG));
	expect_received(retained);
	cr_expect(eq(int, mnfq_packet_decide(retained, MNFQ_ACCEPT), 0));
	cr_expect(eq(sz, d[3].payload_len, SIZE_MAX));
	retained = mnfq_packet_free(retained);
}

static void no_resize_of_ipv6(struct mnfq_packet *packet)
{
	cr_expect(eq(int, mnfq_packet_edit(packet, 60, 0, "x", 1), -EOPNOTSUPP));
	cr_expect(not(is_adjusted(packet)));
}

/* The kernel would take the bytes behind a header of IPv4 for TCP. */
Test(edit, other_lengths_of_tcp_over_ipv6)
{
	uint8_t ct[16];

	b.len = 0;
	build_ipv6(&b, IPPROTO_TCP);
	build_transport(&b, IPPROTO_TCP, "data", 4);
	build_end(&b);
	attr(ct, CTA_STATUS, 8, IPS_SRC_NAT);
	attr(ct + 8, CTA_HELP, 8, 0);
	begin(NFPROTO_IPV6, 0x86dd);
	message_attr(&msg, NFQA_CT, ct, sizeof(ct));
	deliver(no_resize_of_ipv6);
}

/* The data of the connection that mark and labels are for has the kernel adjust, asked or not. */
static void resized_then_marked(struct mnfq_packet *packet)
{
	static const uint8_t labels[MNFQ_CT_LABELS_SIZE] = { 1 };

	adjusted_by_the_caller(packet);
	cr_expect(eq(int, mnfq_packet_set_ct_mark(packet, 1, 1), -EOPNOTSUPP));
	cr_expect(strlen(mnfq_packet_get_error(packet)) > 0);
	cr_expect(eq(int, mnfq_packet_set_ct_labels(packet, labels, NULL), -EOPNOTSUPP));
	cr_expect(eq(u32, packet->changes.set, MNFQ_I_CHANGE_PAYLOAD));
}

static void marked_then_resized(struct mnfq_packet *packet)
{
	uint8_t longer[45] = { 0 };

	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_TCP_RESIZE), 0));
	cr_assert(eq(int, mnfq_packet_set_ct_mark(packet, 1, 1), 0));
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), -EOPNOTSUPP));
	cr_expect(strlen(mnfq_packet_get_error(packet)) > 0);
	cr_expect(eq(int, mnfq_packet_set_payload(packet, longer, 45), -EOPNOTSUPP));
	cr_expect(eq(u32, packet->changes.set, MNFQ_I_CHANGE_CT_MARK));
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 1, "x", 1), 0), "of the same length");
	cr_expect(eq(int, mnfq_packet_set_payload(packet, longer, 44), 0));
}

static void marked_and_adjusted(struct mnfq_packet *packet)
{
	adjusted(packet);
	cr_expect(eq(int, mnfq_packet_set_ct_mark(packet, 1, 1), 0), "the kernel is to adjust");
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), 0));
}

static void marked_and_resized(struct mnfq_packet *packet)
{
	adjusted_by_the_caller(packet);
	cr_expect(eq(int, mnfq_packet_set_ct_mark(packet, 1, 1), 0),
		  "the kernel adjusts nothing");
	cr_expect(eq(int, mnfq_packet_edit(packet, 40, 0, "x", 1), 0));
}

static void begin_tracked(uint32_t status, uint8_t protocol, bool helper)
{
	uint8_t ct[48];

	attr(ct, CTA_STATUS, 8, status);
	attr(ct + 8, CTA_TUPLE_ORIG, 24, 0);
	attr(ct + 12, CTA_TUPLE_IP, 4, 0);
	attr(ct + 16, CTA_TUPLE_PROTO, 12, 0);
	attr(ct + 20, CTA_PROTO_NUM, 5, (uint32_t)protocol << 24);
	attr(ct + 28, CTA_TUPLE_MAX + 1, 4, 0);
	attr(ct + 32, CTA_HELP, 8, 0);
	begin(NFPROTO_IPV4, 0x0800);
	message_attr(&msg, NFQA_CT, ct, helper ? 40 : 32);
}

static void deliver_tracked(uint32_t status, uint8_t protocol, bool helper,
			    void (*function)(struct mnfq_packet *packet))
{
	begin_tracked(status, protocol, helper);
	deliver(function);
}

Test(edit, other_lengths_of_tcp_with_a_connection_mark)
{
	build_tcp();
	deliver_tracked(IPS_SRC_NAT, IPPROTO_TCP, false, resized_then_marked);
	deliver_tracked(IPS_DST_NAT, IPPROTO_TCP, true, resized_then_marked);
	deliver_tracked(IPS_SRC_NAT, IPPROTO_TCP, false, marked_then_resized);
	deliver_tracked(IPS_SRC_NAT, IPPROTO_TCP, true, marked_and_adjusted);
	deliver_tracked(IPS_CONFIRMED, IPPROTO_TCP, true, marked_and_resized);
	deliver_tracked(IPS_SRC_NAT, IPPROTO_UDP, false, marked_and_resized);
}

static void unseen_and_marked(struct mnfq_packet *packet)
{
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_CUT), 0));
	cr_assert(eq(int, mnfq_packet_set_payload(packet, b.p, b.len), 0));
	cr_expect(eq(int, mnfq_packet_set_ct_mark(packet, 1, 1), -EOPNOTSUPP));
	cr_assert(eq(int, mnfq_packet_reset(packet), 0));
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_CUT), 0));
	cr_assert(eq(int, mnfq_packet_set_ct_mark(packet, 1, 1), 0));
	cr_expect(eq(int, mnfq_packet_set_payload(packet, b.p, b.len), -EOPNOTSUPP));
}

/* Any length may be another one then. */
Test(edit, an_unknown_length_of_tcp_with_a_connection_mark)
{
	build_tcp();
	begin_tracked(IPS_SRC_NAT, IPPROTO_TCP, false);
	check = unseen_and_marked;
	feed();
	cr_expect(eq(uint, seen, 1));
}

static void without(struct mnfq_packet *packet)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);

	cr_expect(eq(int, mnfq_packet_get_layers(packet, &layers), -ENODATA));
	cr_expect(eq(int, mnfq_packet_edit(packet, 0, 0, "x", 1), -ENODATA));
	cr_expect(strlen(mnfq_packet_get_error(packet)) > 0);
	cr_expect(eq(int, mnfq_packet_repair(packet), -ENODATA));
	cr_expect(eq(int, mnfq_packet_verify(packet), -ENODATA));
	cr_expect(eq(int, mnfq_packet_get_layers(packet, NULL), -EINVAL));
}

/* With a new payload in place of one that did not come there is something to look into and to change. */
static void given_one(struct mnfq_packet *packet)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);

	without(packet);
	cr_assert(eq(int, mnfq_packet_allow(packet, MNFQ_ALLOW_CUT), 0));
	without(packet); /* that alone is no payload */
	cr_assert(eq(int, mnfq_packet_set_payload(packet, b.p, b.len), 0));
	expect_good(packet, "data");
	cr_assert(eq(int, mnfq_packet_get_layers(packet, &layers), 0));
	cr_expect(eq(int, mnfq_packet_edit(packet, layers.data, 4, "other", 5), 0));
	expect_good(packet, "other");
	cr_assert(eq(int, mnfq_packet_set_payload(packet, b.p, b.len), 0));
	cr_expect(eq(int, mnfq_packet_repair(packet), 0));
	expect_good(packet, "data");
	/* What cannot be repaired is discarded, and then there is none again. */
	cr_assert(eq(int, mnfq_packet_set_payload(packet, "E", 1), 0));
	cr_expect(eq(int, mnfq_packet_repair(packet), -EBADMSG));
	without(packet);
}

static void without_arguments(struct mnfq_packet *packet)
{
	struct mnfq_layers layers = { .size = 0 };

	cr_expect(eq(int, mnfq_packet_get_layers(packet, &layers), -EINVAL));
	cr_expect(eq(int, mnfq_packet_edit(packet, 28, 0, NULL, 1), -EINVAL));
	cr_expect(strlen(mnfq_packet_get_error(packet)) > 0, "it says why");
}

static uint8_t expected_protocol;

static void tell_tuple(struct mnfq_packet *packet)
{
	struct mnfq_layers at = MNFQ_INIT(at);
	struct mnfq_tuple t = MNFQ_INIT(t), none = { 0 };
	const uint8_t *p = mnfq_packet_get_payload(packet, NULL);
	size_t len, source;

	cr_assert(eq(int, mnfq_packet_get_layers(packet, &at), 0));
	cr_assert(eq(int, mnfq_packet_get_tuple(packet, &t), 0));
	len = at.family == AF_INET ? 4 : 16;
	source = at.network + (at.family == AF_INET ? 12 : 8);
	cr_expect(eq(u8, t.family, at.family));
	cr_expect(eq(u8, t.protocol, expected_protocol));
	cr_expect(memcmp(t.src, p + source, len) == 0, "source");
	cr_expect(memcmp(t.dst, p + source + len, len) == 0, "destination");
	cr_expect(eq(u16, t.zone, 0));
	if (expected_protocol == IPPROTO_ICMP || expected_protocol == IPPROTO_ICMPV6) {
		cr_expect(eq(u8, t.type, p[at.transport]));
		cr_expect(eq(u8, t.code, p[at.transport + 1]));
		cr_expect(eq(u16, t.sport | t.dport, 0));
	} else {
		cr_expect(eq(u16, t.sport, p[at.transport] << 8 | p[at.transport + 1]));
		cr_expect(eq(u16, t.dport, p[at.transport + 2] << 8 | p[at.transport + 3]));
		cr_expect(t.sport != 0 && t.dport != 0 && t.sport != t.dport);
		cr_expect(eq(u16, t.id | t.type | t.code, 0));
	}
	cr_expect(eq(int, mnfq_packet_get_tuple(packet, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_tuple(packet, &none), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_tuple(NULL, &t), -EINVAL));
}

Test(edit, a_tuple_names_the_flow)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	for (size_t i = 0; i < sizeof(protocols); i++) {
		expected_protocol = protocols[i];
		build(&b, AF_INET, protocols[i], 4);
		begin(NFPROTO_IPV4, 0x0800);
		deliver(tell_tuple);
		build(&b, AF_INET6, protocols[i], 4);
		begin(NFPROTO_IPV6, 0);
		deliver(tell_tuple);
	}
	expected_protocol = IPPROTO_ICMP;
	build(&b, AF_INET, IPPROTO_ICMP, 4);
	begin(NFPROTO_IPV4, 0x0800);
	deliver(tell_tuple);
	expected_protocol = IPPROTO_ICMPV6;
	build(&b, AF_INET6, IPPROTO_ICMPV6, 4);
	begin(NFPROTO_IPV6, 0);
	deliver(tell_tuple);
}

Test(edit, without_arguments)
{
	make_udp("data");
	begin(NFPROTO_IPV4, 0x0800);
	deliver(without_arguments);
}

Test(edit, a_payload_in_place_of_one_that_did_not_come)
{
	make_udp("data");
	begin(NFPROTO_IPV4, 0x0800);
	check = given_one;
	feed();
	cr_expect(eq(uint, seen, 1));
}

Test(edit, without_a_payload)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);

	make_udp("data");
	begin(NFPROTO_IPV4, 0x0800);
	check = without;
	feed();
	cr_expect(eq(uint, seen, 1));
	cr_expect(eq(int, mnfq_packet_get_layers(NULL, &layers), -EINVAL));
	cr_expect(eq(int, mnfq_packet_edit(NULL, 0, 0, "x", 1), -EINVAL));
	cr_expect(eq(int, mnfq_packet_repair(NULL), -EINVAL));
	cr_expect(eq(int, mnfq_packet_verify(NULL), -EINVAL));
}
