// SPDX-License-Identifier: MIT
/*
 * The packets of the public functions that look into a payload or change it, as bytes for those
 * files that do it: layers.c, sums.c, payload.c, repair.c. No I/O.
 */
#include "edit/edit.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>

#include "options.h"
#include "packet-ct.h"
#include "packet-set.h"
#include "packet.h"
#include "ring.h"
#include "verdict.h"

/* Returns 0, or -EINVAL without a packet, or -ENODATA without a payload. */
static int look(const struct mnfq_packet *packet, struct mnfq_i_subject *s)
{
	const bool ours = packet && (packet->changes.set & MNFQ_I_CHANGE_PAYLOAD);
	size_t true_len;
	uint32_t info;
	int err = mnfq_packet_get_length(packet, &true_len);

	if (err < 0 && !ours) /* ours may have taken the place of one that did not come */
		return err;
	info = mnfq_packet_get_skb_info(packet);
	*s = (struct mnfq_i_subject){
		.bytes = { .p = packet->payload,
			   .len = packet->payload_len,
			   .true_len = packet->payload_len,
			   .ethertype = mnfq_packet_get_ethertype(packet) },
		.gso = info & MNFQ_SKB_GSO,
		.ours = ours,
		.may_cut = packet->allowed & MNFQ_ALLOW_CUT,
		.may_resize = packet->allowed & MNFQ_ALLOW_TCP_RESIZE,
	};
	if (ours)
		return 0;
	s->not_ready = info & MNFQ_SKB_CSUMNOTREADY;
	if (true_len > packet->payload_len)
		s->bytes.true_len = true_len;
	return 0;
}

int mnfq_packet_get_layers(const struct mnfq_packet *packet, struct mnfq_layers *layers)
{
	struct mnfq_i_layers found;
	struct mnfq_i_subject s;
	int err = mnfq_i_options_sized(layers) ? look(packet, &s) : -EINVAL;

	if (err == 0)
		err = mnfq_i_layers_find(&found, &s.bytes);
	if (err == 0)
		mnfq_i_options_return(layers, &found.at, sizeof(found.at));
	return err;
}

static void edit_read_icmp(struct mnfq_tuple *tuple, const uint8_t *header)
{
	const bool four = tuple->protocol == IPPROTO_ICMP;

	tuple->type = header[0];
	tuple->code = header[1];
	if (four ? tuple->type == ICMP_ECHO || tuple->type == ICMP_ECHOREPLY
		 : tuple->type == ICMP6_ECHO_REQUEST || tuple->type == ICMP6_ECHO_REPLY)
		tuple->id = mnfq_i_get16(header + 4);
}

static void edit_read_tuple(struct mnfq_tuple *tuple, const struct mnfq_layers *at,
			    const uint8_t *p)
{
	const bool four = at->family == AF_INET;
	const size_t len = four ? 4 : 16;
	const uint8_t *addresses = p + at->network + (four ? 12 : 8), *header = p + at->transport;

	tuple->family = at->family;
	tuple->protocol = at->protocol;
	memcpy(tuple->src, addresses, len);
	memcpy(tuple->dst, addresses + len, len);
	if (at->data == at->transport) /* nothing of it is there, or it is unknown */
		return;
	if (at->protocol == IPPROTO_ICMP || at->protocol == IPPROTO_ICMPV6) {
		edit_read_icmp(tuple, header);
	} else {
		tuple->sport = mnfq_i_get16(header);
		tuple->dport = mnfq_i_get16(header + 2);
	}
}

int mnfq_packet_get_tuple(const struct mnfq_packet *packet, struct mnfq_tuple *tuple)
{
	struct mnfq_tuple read = { 0 };
	struct mnfq_i_layers found;
	struct mnfq_i_subject s;
	int err = mnfq_i_options_sized(tuple) ? look(packet, &s) : -EINVAL;

	if (err == 0)
		err = mnfq_i_layers_find(&found, &s.bytes);
	if (err < 0)
		return err;
	edit_read_tuple(&read, &found.at, s.bytes.p);
	mnfq_i_options_return(tuple, &read, sizeof(read));
	return 0;
}

int mnfq_packet_verify(const struct mnfq_packet *packet)
{
	struct mnfq_i_subject s;
	int err = look(packet, &s);

	return err < 0 ? err : mnfq_i_verify(&s);
}

static int look_to_change(struct mnfq_packet *packet, struct mnfq_i_subject *s)
{
	struct mnfq_queue_options settings;
	int err;

	if (!packet)
		return -EINVAL;
	if (packet->decided)
		return mnfq_i_refuse(packet, -EALREADY, "the packet is decided already");
	settings = mnfq_i_packet_settings(packet);
	err = look(packet, s);
	if (err == -ENODATA)
		return mnfq_i_refuse(packet, err,
				     settings.copy_mode == MNFQ_COPY_PACKET
					     ? MNFQ_I_STALE
					     : "its payload is not known: bind its queue "
					       "with MNFQ_COPY_PACKET");
	s->gso_on = !(settings.flags & MNFQ_QUEUE_NO_GSO);
	s->range = settings.copy_range;
	return err;
}

/* A payload that did not come is a part that was not received, and may be cut off like any other. */
static int look_to_replace(struct mnfq_packet *packet, struct mnfq_i_subject *s)
{
	struct mnfq_i_bytes received;

	if (!packet || packet->decided || !(packet->allowed & MNFQ_ALLOW_CUT) ||
	    mnfq_i_packet_find(packet, NFQA_PAYLOAD, &received) == 0)
		return look_to_change(packet, s);
	*s = (struct mnfq_i_subject){ .may_cut = true };
	return 0;
}

int mnfq_packet_set_payload(struct mnfq_packet *packet, const void *data, size_t len)
{
	struct mnfq_i_subject s;
	int err = look_to_replace(packet, &s);

	if (err < 0)
		return err;
	if (!data && len > 0)
		return mnfq_i_refuse(packet, -EINVAL, "what to set was not given: it is NULL");
	if (len > MNFQ_COPY_RANGE_MAX)
		return mnfq_i_refuse(packet, -EMSGSIZE, "a new payload has 65531 bytes at most");
	if (s.bytes.true_len > s.bytes.len && !s.may_cut) {
		err = mnfq_i_refuse_truncated(&s);
		return mnfq_i_refuse(packet, err, s.why);
	}
	err = mnfq_i_packet_resizable(packet, len);
	return err < 0 ? err : mnfq_i_packet_replace(packet, data, len);
}

/* Bytes behind the TCP header of a whole packet; -1 if it is none. */
static long tcp_data(const struct mnfq_i_raw *bytes)
{
	struct mnfq_i_layers l;

	if (mnfq_i_layers_find(&l, bytes) < 0 || l.at.protocol != IPPROTO_TCP || l.cut ||
	    l.at.fragment)
		return -1;
	return (long)(l.at.end - l.at.data);
}

/* Would what was put together shift the numbers of the connection that the packet was received of? */
static int check_resized(const struct mnfq_packet *packet, struct mnfq_i_subject *s,
			 const uint8_t *repaired, size_t len)
{
	struct mnfq_i_raw now = { repaired, len, len, s->bytes.ethertype }, before = now;
	struct mnfq_i_bytes received;
	size_t true_len;
	long was, is;

	if (mnfq_i_packet_find(packet, NFQA_PAYLOAD, &received) < 0 ||
	    mnfq_packet_get_length(packet, &true_len) < 0)
		return 0;
	before.p = received.data;
	before.len = received.len;
	before.true_len = true_len;
	was = tcp_data(&before);
	is = tcp_data(&now);
	s->resized = was >= 0 && is >= 0 && was != is;
	if (!s->resized || s->may_resize)
		return 0;
	return mnfq_i_refuse_edit(s, -EOPNOTSUPP, MNFQ_I_SHIFTS_NUMBERS);
}

/*
 * Changes the packet from where it is to where it is not yet, so that a failure leaves it as it
 * was; without an edit it is repaired.
 */
static int edit_change(struct mnfq_packet *packet, struct mnfq_i_subject *s,
		       const struct mnfq_i_edit *edit)
{
	uint8_t *out = packet->scratch;
	size_t len;
	int err;

	if (packet->allocates) {
		/* While it is being written there is what was removed, and what is inserted. */
		out = malloc(s->bytes.len + (edit ? edit->insert : 0) + 1);
		if (!out)
			return mnfq_i_refuse(packet, -ENOMEM, "out of memory");
	} else if (packet->payload == packet->scratch) {
		out += MNFQ_I_SCRATCH_SIZE;
	}
	err = edit ? mnfq_i_edit(s, edit, out, &len) : mnfq_i_repair(s, out, &len);
	if (err == 0 && !edit)
		err = check_resized(packet, s, out, len);
	if (packet->allocates) {
		free(err < 0 ? out : packet->scratch);
		if (err == 0)
			packet->scratch = out;
	}
	if (err < 0)
		return mnfq_i_refuse(packet, err, s->why);
	packet->payload = out;
	packet->payload_len = len;
	packet->changes.set |= MNFQ_I_CHANGE_PAYLOAD;
	return 0;
}

/*
 * The same, to @len bytes. If the kernel will make up for another length of TCP data, it may change and
 * the kernel is asked to. It looks for TCP behind a header of IPv4, whatever there is.
 */
static int change_length(struct mnfq_packet *packet, struct mnfq_i_subject *s,
			 const struct mnfq_i_edit *edit, size_t len)
{
	bool adjusted = !s->may_resize && s->bytes.ethertype == ETH_P_IP &&
			mnfq_i_packet_seq_adjustable(packet);
	int err = adjusted ? 0 : mnfq_i_packet_resizable(packet, len);

	s->may_resize |= adjusted;
	if (err == 0)
		err = edit_change(packet, s, edit);
	if (err == 0 && s->resized && adjusted)
		packet->changes.set |= MNFQ_I_CHANGE_SEQ_ADJUST;
	return err;
}

int mnfq_packet_edit(struct mnfq_packet *packet, size_t offset, size_t remove, const void *data,
		     size_t insert)
{
	struct mnfq_i_edit edit = { offset, remove, data, insert };
	struct mnfq_i_subject s;
	int err = look_to_change(packet, &s);
	size_t gone;

	if (err < 0)
		return err;
	if (!data && insert > 0)
		return mnfq_i_refuse(packet, -EINVAL, "what to insert was not given: it is NULL");
	if (insert > MNFQ_COPY_RANGE_MAX)
		return mnfq_i_refuse(packet, -EMSGSIZE, "a packet has 65531 bytes at most");
	gone = remove < s.bytes.len ? remove : s.bytes.len;
	return change_length(packet, &s, &edit, s.bytes.len - gone + insert);
}

/* A payload that cannot be repaired is discarded, so that a later ACCEPT does not send it. */
int mnfq_packet_repair(struct mnfq_packet *packet)
{
	struct mnfq_i_subject s;
	int err = look_to_change(packet, &s);

	if (err < 0)
		return err;
	err = change_length(packet, &s, NULL, s.bytes.len);
	if (err < 0)
		mnfq_i_packet_restore(packet);
	return err;
}
