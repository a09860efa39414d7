// SPDX-License-Identifier: MIT
/* memory.c: packets made from memory are like those of the kernel, and tell how they were decided. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <pthread.h>
#include <string.h>

#include <mnfq/mnfq.h>

#include "packet.h"
#include "support/build.h"

static struct build udp;
static struct mnfq_packet *packet, *copy;
static struct mnfq_packet_info info;
static struct mnfq_memory_options options;
static struct mnfq_packet_changes changes;

static void begin(void)
{
	udp.len = 0;
	build(&udp, AF_INET, IPPROTO_UDP, 32);
	info = (struct mnfq_packet_info){ .size = sizeof(info),
					  .payload = udp.p + udp.network,
					  .payload_len = udp.len - udp.network,
					  .id = 1,
					  .hook = NF_INET_LOCAL_IN };
	options = (struct mnfq_memory_options)MNFQ_INIT(options);
	changes = (struct mnfq_packet_changes)MNFQ_INIT(changes);
}

static void end(void)
{
	packet = mnfq_packet_free(packet);
	copy = mnfq_packet_free(copy);
}

TestSuite(memory, .init = begin, .fini = end);

static void make(void)
{
	cr_assert(eq(int, mnfq_packet_from_memory(&packet, &info, &options), 0));
}

static void refuse(int err)
{
	struct mnfq_packet *none = NULL;

	cr_expect(eq(int, mnfq_packet_from_memory(&none, &info, &options), err));
	cr_expect(eq(ptr, none, NULL));
	mnfq_packet_free(none);
}

static void expect_changes(uint32_t flags)
{
	cr_assert(eq(int, mnfq_packet_get_changes(packet, &changes), 0));
	cr_expect(eq(u32, changes.flags, flags));
}

/* ---- what it is made of ------------------------------------------------------------------- */

Test(memory, bytes_are_enough)
{
	info = (struct mnfq_packet_info){ .size = sizeof(info),
					  .payload = udp.p + udp.network,
					  .payload_len = udp.len - udp.network };
	cr_assert(eq(int, mnfq_packet_from_memory(&packet, &info, NULL), 0));
	cr_expect(eq(u8, mnfq_packet_get_family(packet), NFPROTO_IPV4));
	cr_expect(eq(u16, mnfq_packet_get_ethertype(packet), ETH_P_IP));
	cr_expect(eq(int, mnfq_packet_is_whole(packet), 1));
	cr_expect(eq(int, mnfq_packet_verify(packet), 0));
	cr_expect(eq(ptr, mnfq_packet_get_queue(packet), NULL));
}

Test(memory, what_get_info_tells_makes_the_same_packet)
{
	struct mnfq_packet_info again = MNFQ_INIT(again);

	info = (struct mnfq_packet_info){ .size = sizeof(info),
					  .payload = udp.p + udp.network,
					  .payload_len = udp.len - udp.network,
					  .length = 1500,
					  .timestamp = 1700000000123456,
					  .flags = MNFQ_INFO_LENGTH | MNFQ_INFO_UID |
						   MNFQ_INFO_GID | MNFQ_INFO_VLAN | MNFQ_INFO_CT,
					  .id = 0xfffffffe,
					  .mark = 0xcafe,
					  .indev = 1,
					  .outdev = 2,
					  .physindev = 3,
					  .physoutdev = 4,
					  .skb_info = MNFQ_SKB_GSO,
					  .priority = 5,
					  .cgroup_classid = 6,
					  .uid = 0,
					  .gid = 1001,
					  .queue_num = 65535,
					  .hw_protocol = ETH_P_IP,
					  .ethertype = ETH_P_IP,
					  .vlan_tci = 0x6abc,
					  .vlan_protocol = ETH_P_8021AD,
					  .ct_info = 4,
					  .hwaddr_len = 6,
					  .hwaddr = { 2, 4, 6, 8, 10, 12 },
					  .family = NFPROTO_BRIDGE,
					  .hook = NF_INET_FORWARD };
	make();
	cr_assert(eq(int, mnfq_packet_get_info(packet, &again), 0));
	cr_expect(memcmp(again.payload, info.payload, info.payload_len) == 0);
	again.payload = info.payload;
	cr_expect(memcmp(&again, &info, sizeof(info)) == 0);
	cr_expect(eq(int, mnfq_packet_is_whole(packet), 0));
}

Test(memory, options_have_the_rest)
{
	static const uint8_t mark[] = { 8, 0, CTA_MARK, 0, 0, 0, 0, 7 };
	struct mnfq_interface interfaces[] = { { "eth0", 1, 1500 }, { "fifteen-letters", 2, 0 } };
	char name[16];
	uint32_t mtu = 0;
	size_t len;

	options.l2hdr = (const uint8_t *)"ABCDEFabcdef\x08";
	options.l2hdr_len = 14;
	options.secctx = "context";
	options.secctx_len = 7;
	options.ct = mark;
	options.ct_len = sizeof(mark);
	options.interfaces = interfaces;
	options.interface_count = 2;
	info.outdev = 1;
	info.family = NFPROTO_BRIDGE;
	make();
	cr_expect(memcmp(mnfq_packet_get_l2hdr(packet, &len), "ABCDEFabcdef\x08", 14) == 0);
	cr_expect(eq(sz, len, 14));
	cr_expect(strncmp(mnfq_packet_get_secctx(packet, &len), "context", 7) == 0);
	cr_expect(eq(sz, len, 7));
	if (htons(1) != 1) /* the attribute above is little-endian */
		cr_expect(eq(u32, mnfq_packet_get_ct_mark(packet), 7));
	cr_expect(eq(int, mnfq_packet_get_ifname(packet, 2, name), 0));
	cr_expect(strcmp(name, "fifteen-letters") == 0);
	cr_expect(eq(int, mnfq_packet_get_ifname(packet, 3, name), -ENODEV));
	cr_expect(eq(int, mnfq_packet_get_mtu(packet, &mtu), 0));
	cr_expect(eq(u32, mtu, 1500));
}

Test(memory, an_mtu_may_be_unknown)
{
	struct mnfq_interface interface = { "eth0", 2, 0 };
	uint32_t mtu;

	options.interfaces = &interface;
	options.interface_count = 1;
	info.outdev = 2;
	make();
	cr_expect(eq(int, mnfq_packet_get_mtu(packet, &mtu), -ENODATA));
}

Test(memory, without_bytes_it_is_as_with_copy_meta)
{
	info.payload = NULL;
	info.payload_len = 0;
	make();
	cr_expect(eq(int, mnfq_packet_get_length(packet, &info.length), -ENODATA));
	cr_expect(eq(int, mnfq_packet_edit(packet, 0, 0, "x", 1), -ENODATA));
	cr_expect(strstr(mnfq_packet_get_error(packet), "MNFQ_COPY_PACKET") != NULL);
}

Test(memory, nonsense_is_refused)
{
	struct mnfq_interface interface = { "sixteen-letters-", 1, 0 };

	info.flags = 0x40;
	refuse(-EINVAL);
	info.flags = MNFQ_INFO_LENGTH;
	info.length = info.payload_len - 1;
	refuse(-EINVAL);
	begin();
	info.hwaddr_len = 9;
	refuse(-EINVAL);
	begin();
	info.payload = NULL;
	refuse(-EINVAL);
	begin();
	info.timestamp = -1;
	refuse(-EINVAL);
	begin();
	info.payload_len = MNFQ_COPY_RANGE_MAX + 1;
	refuse(-EMSGSIZE);
	begin();
	options.queue_flags = 0x20;
	refuse(-EINVAL);
	begin();
	options.l2hdr_len = 14;
	refuse(-EINVAL);
	options.l2hdr = udp.p;
	options.l2hdr_len = 65;
	refuse(-EMSGSIZE);
	begin();
	options.interfaces = &interface;
	options.interface_count = 1;
	refuse(-EINVAL);
	cr_expect(eq(int, mnfq_packet_from_memory(NULL, &info, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_packet_from_memory(&packet, NULL, NULL), -EINVAL));
}

Test(memory, the_largest_fits)
{
	static uint8_t bytes[MNFQ_COPY_RANGE_MAX], ct[8192];
	static char secctx[4096];
	static struct mnfq_interface interfaces[64];
	size_t len;

	for (size_t i = 0; i < 64; i++)
		interfaces[i].name = "lo";
	options.interfaces = interfaces;
	options.interface_count = 64;
	options.ct = ct;
	options.ct_len = sizeof(ct);
	options.secctx = secctx;
	options.secctx_len = sizeof(secctx);
	options.l2hdr = bytes;
	options.l2hdr_len = 64;
	info.payload = bytes;
	info.payload_len = sizeof(bytes);
	info.flags =
		MNFQ_INFO_LENGTH | MNFQ_INFO_UID | MNFQ_INFO_GID | MNFQ_INFO_VLAN | MNFQ_INFO_CT;
	info.length = UINT32_MAX;
	info.indev = info.outdev = info.physindev = info.physoutdev = info.mark = 1;
	info.skb_info = info.priority = info.cgroup_classid = 1;
	info.timestamp = INT64_MAX;
	info.hwaddr_len = 8;
	make();
	mnfq_packet_get_payload(packet, &len);
	cr_expect(eq(sz, len, sizeof(bytes)));
	cr_expect(eq(i64, mnfq_packet_get_timestamp(packet), INT64_MAX));
}

/* ---- what is done to it ------------------------------------------------------------------- */

/* One as users write it. */
static enum mnfq_verdict shout(struct mnfq_packet *given, void *data)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);

	(void)data;
	if (mnfq_packet_get_layers(given, &layers) < 0 ||
	    mnfq_packet_edit(given, layers.data, 1, "!!", 2) < 0)
		return MNFQ_DROP;
	mnfq_packet_set_mark(given, 7);
	return MNFQ_ACCEPT;
}

Test(memory, a_callback_can_be_tested)
{
	size_t len;

	make();
	cr_assert(eq(int, (int)shout(packet, NULL), MNFQ_ACCEPT));
	cr_expect(eq(int, mnfq_packet_verify(packet), 0));
	mnfq_packet_get_payload(packet, &len);
	cr_expect(eq(sz, len, info.payload_len + 1));
	expect_changes(MNFQ_CHANGED_PAYLOAD | MNFQ_CHANGED_MARK);
	cr_expect(eq(u32, changes.mark, 7));
	cr_expect(eq(sz, changes.payload_len, len));
	cr_expect(memcmp(changes.payload + 28, "!!", 2) == 0);
	cr_expect(eq(int, mnfq_packet_reset(packet), 0));
	expect_changes(0);
}

Test(memory, everything_that_was_set_is_told)
{
	static const uint8_t labels[16] = { 1, 2 }, mask[16] = { 3 };
	static const uint8_t ct[4] = { 4, 0, 1, 0 };

	info.family = NFPROTO_BRIDGE;
	info.hw_protocol = ETH_P_IP;
	options.l2hdr = (const uint8_t *)"ABCDEFabcdef\x08";
	options.l2hdr_len = 14;
	options.ct = ct;
	options.ct_len = sizeof(ct);
	make();
	cr_expect(eq(int, mnfq_packet_set_priority(packet, 1), 0));
	cr_expect(eq(int, mnfq_packet_set_vlan(packet, 2, ETH_P_8021Q), 0));
	cr_expect(eq(int, mnfq_packet_set_l2hdr(packet, "123456123456\x08\0", 14), 0));
	cr_expect(eq(int, mnfq_packet_set_ct_mark(packet, 3, 4), 0));
	cr_expect(eq(int, mnfq_packet_set_ct_labels(packet, labels, mask), 0));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_REPEAT), 0));
	expect_changes(MNFQ_CHANGED_VERDICT | MNFQ_CHANGED_PRIORITY | MNFQ_CHANGED_VLAN |
		       MNFQ_CHANGED_L2HDR | MNFQ_CHANGED_CT_MARK | MNFQ_CHANGED_CT_LABELS);
	cr_expect(eq(u32, changes.verdict, MNFQ_REPEAT));
	cr_expect(eq(u32, changes.priority, 1));
	cr_expect(eq(u16, changes.vlan_tci, 2));
	cr_expect(eq(u16, changes.vlan_protocol, ETH_P_8021Q));
	cr_expect(memcmp(changes.l2hdr, "123456123456\x08\0", 14) == 0);
	cr_expect(eq(u32, changes.ct_mark, 3));
	cr_expect(eq(u32, changes.ct_mark_mask, 4));
	cr_expect(memcmp(changes.ct_labels, labels, 16) == 0);
	cr_expect(memcmp(changes.ct_labels_mask, mask, 16) == 0);
	cr_expect(eq(ptr, (void *)changes.payload, NULL));
}

Test(memory, a_decided_one_cannot_be_changed)
{
	make();
	cr_expect(eq(int, mnfq_packet_decide(packet, (enum mnfq_verdict)99), -EINVAL));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DEFER), 0), "and it is undecided");
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 1), 0));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DEFER), -EINVAL), "it would be lost");
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DROP), 0));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_ACCEPT), -EALREADY));
	cr_expect(eq(int, mnfq_packet_set_mark(packet, 2), -EALREADY));
	cr_expect(eq(int, mnfq_packet_retain(&copy, packet), -EINVAL));
	expect_changes(MNFQ_CHANGED_VERDICT | MNFQ_CHANGED_MARK);
	cr_expect(eq(u32, changes.verdict, MNFQ_DROP));
	cr_expect(eq(u32, changes.mark, 1));
}

static void *decide_copy(void *data)
{
	struct mnfq_packet *kept = data;

	cr_assert(eq(int, mnfq_packet_set_payload(kept, "later", 5), 0));
	cr_assert(eq(int, mnfq_packet_decide(kept, MNFQ_DEFER), -EINVAL));
	cr_assert(eq(int, mnfq_packet_decide(kept, MNFQ_STOP), 0));
	mnfq_packet_free(kept);
	return NULL;
}

Test(memory, a_copy_decides_later)
{
	pthread_t thread;

	make();
	mnfq_packet_set_mark(packet, 7);
	mnfq_packet_set_data(packet, &info);
	cr_assert(eq(int, mnfq_packet_retain(&copy, packet), 0));
	cr_expect(eq(int, mnfq_packet_retain(&copy, packet), -EEXIST));
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DEFER), 0));
	cr_expect(eq(ptr, mnfq_packet_get_data(copy), &info));
	mnfq_packet_set_data(packet, &options);
	cr_expect(eq(ptr, mnfq_packet_get_data(copy), &options));
	cr_expect(eq(ptr, mnfq_packet_get_queue(copy), NULL));

	cr_assert(eq(int, pthread_create(&thread, NULL, decide_copy, copy), 0));
	pthread_join(thread, NULL);
	copy = NULL;
	cr_expect(eq(int, mnfq_packet_decide(packet, MNFQ_DROP), -EALREADY));
	expect_changes(MNFQ_CHANGED_VERDICT | MNFQ_CHANGED_MARK | MNFQ_CHANGED_PAYLOAD);
	cr_expect(eq(u32, changes.verdict, MNFQ_STOP));
	cr_expect(eq(sz, changes.payload_len, 5));
	cr_expect(memcmp(changes.payload, "later", 5) == 0);
}

Test(memory, a_copy_lives_longer)
{
	size_t len;

	make();
	cr_assert(eq(int, mnfq_packet_set_payload(packet, "new", 3), 0));
	cr_assert(eq(int, mnfq_packet_retain(&copy, packet), 0));
	packet = mnfq_packet_free(packet);
	cr_expect(memcmp(mnfq_packet_get_payload(copy, &len), "new", 3) == 0);
	cr_expect(eq(int, mnfq_packet_reset(copy), 0));
	mnfq_packet_get_payload(copy, &len);
	cr_expect(eq(sz, len, info.payload_len));
	cr_expect(eq(int, mnfq_packet_decide(copy, MNFQ_ACCEPT), 0));
}

/* ---- callers ------------------------------------------------------------------------------ */

Test(memory, changes_of_a_packet_of_the_kernel_are_told)
{
	struct mnfq_packet view;

	make();
	cr_assert(eq(int, mnfq_i_packet_parse(&view, packet->msg, packet->msg_len), 0));
	cr_expect(eq(int, mnfq_packet_set_mark(&view, 5), 0));
	cr_expect(eq(int, mnfq_packet_get_changes(&view, &changes), 0));
	cr_expect(eq(u32, changes.flags, MNFQ_CHANGED_MARK));
	cr_expect(eq(u32, changes.mark, 5));
	cr_expect(eq(int, mnfq_packet_get_changes(NULL, &changes), -EINVAL));
}
