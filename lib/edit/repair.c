// SPDX-License-Identifier: MIT
/* Lengths and checksums of a packet that the caller has put together. No I/O. */
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "edit.h"

/* All that there is, from the network header on, is the packet. */
static int claim_all(const struct mnfq_i_raw *bytes, uint8_t *p)
{
	struct mnfq_i_layers l = { 0 };
	uint16_t ethertype;
	int err = mnfq_i_layers_tags(bytes, &l.at.network, &ethertype);

	if (err < 0)
		return err;
	if (ethertype != ETH_P_IP && ethertype != ETH_P_IPV6)
		return -EPROTONOSUPPORT;
	l.at.family = ethertype == ETH_P_IP ? AF_INET : AF_INET6;
	if (bytes->len - l.at.network < (l.at.family == AF_INET ? 20 : 40))
		return -EBADMSG;
	mnfq_i_put_network_length(&l, p, bytes->len);
	return 0;
}

/* A coverage that was legal is kept: it says how much of the data may be damaged. */
static void claim_transport(const struct mnfq_i_layers *l, uint8_t *p)
{
	size_t len = l->at.end - l->at.transport, coverage;
	uint8_t *field = p + l->at.transport + 4;

	if (l->at.fragment || len < 8)
		return;
	if (l->at.protocol == IPPROTO_UDP)
		mnfq_i_put16(field, len);
	if (l->at.protocol != IPPROTO_UDPLITE)
		return;
	coverage = mnfq_i_get16(field);
	if (coverage < 8 || coverage > len)
		mnfq_i_put16(field, 0);
}

/* What stands in the way of knowing the sum. */
static int permit_repair(struct mnfq_i_subject *s, const struct mnfq_i_layers *l)
{
	struct mnfq_i_layers received;

	if (l->at.fragment)
		return mnfq_i_refuse_edit(
			s, -EOPNOTSUPP,
			"the checksum of a datagram in fragments cannot be known: reassemble "
			"before the queue (nf_defrag)");
	if (s->gso && (l->at.protocol != IPPROTO_TCP || s->bytes.true_len > s->bytes.len))
		return mnfq_i_refuse_unsplit(
			s, "of large packets that are split later (GSO) only TCP can be "
			   "repaired: bind with MNFQ_QUEUE_NO_GSO");
	if (s->not_ready && (mnfq_i_layers_find(&received, &s->bytes) < 0 ||
			     !mnfq_i_is_ours_to_complete(&received, s->bytes.p)))
		return mnfq_i_refuse_unsplit(s, MNFQ_I_IN_TUNNEL);
	return 0;
}

/* Writes the packet with all lengths and sums set to @out, as mnfq_i_edit() does. */
int mnfq_i_repair(struct mnfq_i_subject *s, uint8_t *out, size_t *out_len)
{
	struct mnfq_i_raw bytes = { out, s->bytes.len, s->bytes.len, s->bytes.ethertype };
	struct mnfq_i_layers l;
	int err;

	if (s->bytes.true_len > s->bytes.len && !s->may_cut)
		return mnfq_i_refuse_truncated(s);
	memcpy(out, s->bytes.p, s->bytes.len);
	err = claim_all(&bytes, out);
	if (err == 0)
		err = mnfq_i_layers_network(&l, &bytes);
	if (err < 0)
		return mnfq_i_unlocated(s, err);
	claim_transport(&l, out);
	err = mnfq_i_layers_transport(&l, &bytes);
	if (err < 0)
		return mnfq_i_unlocated(s, err);
	err = permit_repair(s, &l);
	if (err < 0)
		return err;
	mnfq_i_compute_header(&l, out);
	/* Over IPv6 there must be a checksum: receivers drop packets without one. */
	if (l.check && (l.at.family == AF_INET6 || !mnfq_i_is_none(s, &l, out)))
		mnfq_i_compute(&l, out);
	*out_len = bytes.len;
	return 0;
}
