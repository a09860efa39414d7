/* SPDX-License-Identifier: MIT */
/* What a packet tells of its connection is what libnetfilter_conntrack reads in the same bytes. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"

static struct {
	struct nf_conntrack *ct; /* as the library parsed it */
	struct mnfq_tuple tuples[2];
	uint32_t mark, id, status;
	uint16_t zone;
	uint8_t labels[MNFQ_CT_LABELS_SIZE];
} sight;

/* All zero where none was ever set. */
static void get_labels(uint8_t *labels, const struct mnfq_packet *packet)
{
	size_t len;
	const uint8_t *found = mnfq_packet_get_ct_labels(packet, &len);

	memset(labels, 0, MNFQ_CT_LABELS_SIZE);
	if (found)
		memcpy(labels, found, len);
}

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	const int family = mnfq_packet_get_family(packet);
	const void *attributes;
	size_t len;

	(void)data;
	sight.ct = nfct_new();
	attributes = mnfq_packet_get_ct(packet, &len);
	cr_assert(attributes != NULL);
	cr_assert(nfct_payload_parse(attributes, len, (uint16_t)family, sight.ct) == 0);
	for (unsigned int i = 0; i < 2; i++) {
		sight.tuples[i].size = sizeof(sight.tuples[i]);
		cr_assert(mnfq_packet_get_ct_tuple(packet, i, &sight.tuples[i]) == 0);
	}
	sight.mark = mnfq_packet_get_ct_mark(packet);
	sight.id = mnfq_packet_get_ct_id(packet);
	sight.status = mnfq_packet_get_ct_status(packet);
	sight.zone = mnfq_packet_get_ct_zone(packet);
	get_labels(sight.labels, packet);
	return MNFQ_ACCEPT;
}

static void expect_tuple(const struct mnfq_tuple *tuple, enum nf_conntrack_attr src4,
			 enum nf_conntrack_attr src6, enum nf_conntrack_attr sport)
{
	const size_t size = tuple->family == AF_INET ? 4 : 16;
	const enum nf_conntrack_attr src = tuple->family == AF_INET ? src4 : src6;
	const void *theirs = nfct_get_attr(sight.ct, src);

	cr_assert(theirs && memcmp(theirs, tuple->src, size) == 0);
	theirs = nfct_get_attr(sight.ct, src + 1); /* the destination follows the source */
	cr_assert(theirs && memcmp(theirs, tuple->dst, size) == 0);
	cr_assert(ntohs(nfct_get_attr_u16(sight.ct, sport)) == tuple->sport);
	cr_assert(ntohs(nfct_get_attr_u16(sight.ct, sport + 1)) == tuple->dport);
}

static void expect_labels(void)
{
	const struct nfct_bitmask *theirs = nfct_get_attr(sight.ct, ATTR_CONNLABELS);

	cr_assert(theirs && nfct_bitmask_maxbit(theirs) == 127);
	for (unsigned int i = 0; i < 128; i++)
		cr_assert(nfct_bitmask_test_bit(theirs, i) == (sight.labels[i / 8] >> i % 8 & 1),
			  "label %u", i);
	cr_assert(sight.labels[2] == 1 << 1, "nothing was compared");
}

/* The connection in the kernel's table that has this id. */
static int find_by_id(enum nf_conntrack_msg_type type, struct nf_conntrack *ct, void *data)
{
	(void)type;
	if (nfct_get_attr_u32(ct, ATTR_ID) == sight.id &&
	    ntohs(nfct_get_attr_u16(ct, ATTR_ORIG_PORT_DST)) == PORT)
		(*(unsigned int *)data)++;
	return NFCT_CB_CONTINUE;
}

static int dump(void *arg)
{
	struct nfct_handle *handle = nfct_open(CONNTRACK, 0);
	uint32_t family = AF_UNSPEC;
	int result;

	if (!handle)
		return -1;
	nfct_callback_register(handle, NFCT_T_ALL, find_by_id, arg);
	result = nfct_query(handle, NFCT_Q_DUMP, &family);
	nfct_close(handle);
	return result;
}

static void compare(int family)
{
	unsigned int found = 0;

	fixture_open(family);
	netns_rule(fixture.ns, family, "-t raw -A OUTPUT -p udp -j CT --zone 3");
	netns_rule(fixture.ns, family, "-t mangle -A OUTPUT -j CONNMARK --set-mark 0x12345678");
	netns_rule(fixture.ns, family, "-t mangle -A OUTPUT -m connlabel --label 17 --set");
	fixture_bind(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_CONNTRACK), look);
	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(sight.tuples[0].dport == PORT && sight.tuples[0].protocol == IPPROTO_UDP);
	expect_tuple(&sight.tuples[0], ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC,
		     ATTR_ORIG_PORT_SRC);
	expect_tuple(&sight.tuples[1], ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC,
		     ATTR_REPL_PORT_SRC);
	cr_assert(nfct_get_attr_u8(sight.ct, ATTR_L4PROTO) == sight.tuples[0].protocol);
	cr_assert(nfct_get_attr_u32(sight.ct, ATTR_MARK) == sight.mark);
	cr_assert(nfct_get_attr_u32(sight.ct, ATTR_ID) == sight.id);
	cr_assert(nfct_get_attr_u32(sight.ct, ATTR_STATUS) == sight.status);
	cr_assert(nfct_get_attr_u16(sight.ct, ATTR_ZONE) == sight.zone && sight.zone == 3);
	expect_labels();
	cr_assert(netns_call(fixture.ns, dump, &found) == 0);
	cr_assert(found == 1, "%u connections in the table have its id", found);
	nfct_destroy(sight.ct);
	fixture_close();
}

Test(nfct, ipv4)
{
	compare(4);
}

Test(nfct, ipv6)
{
	compare(6);
}
